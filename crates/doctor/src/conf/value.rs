//! Times and sizes, as nginx reads them.

/// The milliseconds of a time such as `10m` or `1h30m`. A number without a unit is of seconds.
#[must_use]
pub fn time_ms(text: &str) -> Option<u64> {
    let mut sum = 0u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at_checked(digits)?;
        let units = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(units)?;
        let factor = match unit.trim() {
            "ms" => 1,
            "" | "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            "M" => 30 * 86_400_000,
            "y" => 365 * 86_400_000,
            _ => return None,
        };
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(sum)
}

/// The bytes of a size such as `16m`.
#[must_use]
pub fn size(text: &str) -> Option<u64> {
    let (digits, factor) = match text.as_bytes().last()? {
        b'k' | b'K' => (text.strip_suffix(['k', 'K'])?, 1 << 10),
        b'm' | b'M' => (text.strip_suffix(['m', 'M'])?, 1 << 20),
        b'g' | b'G' => (text.strip_suffix(['g', 'G'])?, 1 << 30),
        _ => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// A word, in the quotes that it needs to be one word of a configuration.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:$*~^=@[]+%,?&".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

/// A word, in the quotes that it needs to be one word of a shell.
#[must_use]
pub fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_those_of_nginx() {
        assert_eq!(time_ms("60"), Some(60_000));
        assert_eq!(time_ms("1h30m"), Some(5_400_000));
        assert_eq!(time_ms("500ms"), Some(500));
        assert_eq!(time_ms("10x"), None);
        assert_eq!(time_ms(""), None);
        assert_eq!(time_ms("99999999999999999999"), None);
        assert_eq!(size("16m"), Some(16 << 20));
        assert_eq!(size("8K"), Some(8 << 10));
        assert_eq!(size("0"), Some(0));
        assert_eq!(size("m"), None);
        assert_eq!(size(""), None);
        assert_eq!(size("99999999999999999999g"), None);
    }

    #[test]
    fn a_word_is_quoted_where_it_has_to_be() {
        assert_eq!(quoted("http://engine"), "http://engine");
        assert_eq!(quoted(""), "\"\"");
        assert_eq!(shell("/etc/nginx/keys.json"), "/etc/nginx/keys.json");
        assert_eq!(shell("/a b$(c)'d"), "'/a b$(c)'\\''d'");
        assert_eq!(shell(""), "''");
        assert_eq!(quoted("a \"b\"; }"), "\"a \\\"b\\\"; }\"");
    }
}

//! Strings of JSON: what they say, and how they are written.

use std::borrow::Cow;

/// What a string says. It is given with its quotes, and whole. A half of a surrogate pair stands for nothing
/// that has a form in UTF-8: it reads as U+FFFD.
pub(super) fn decoded(quoted: &str) -> Cow<'_, str> {
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    match memchr::memchr(b'\\', inner.as_bytes()) {
        None => Cow::Borrowed(inner),
        Some(_) => Cow::Owned(resolved(inner)),
    }
}

/// The same without quotes, of a text that has an escape in it.
pub(super) fn resolved(inner: &str) -> String {
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((run, after)) = rest.split_once('\\') {
        text.push_str(run);
        rest = resolve(after, &mut text);
    }
    text.push_str(rest);
    text
}

/// Adds what the escape stands for that `after` begins with, behind its backslash. Returns what is behind it.
fn resolve<'t>(after: &'t str, text: &mut String) -> &'t str {
    let mut characters = after.chars();
    let character = match characters.next() {
        Some('n') => '\n',
        Some('t') => '\t',
        Some('r') => '\r',
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('u') => {
            let (character, rest) = unit(after.get(1..).unwrap_or_default());
            text.push(character);
            return rest;
        }
        Some(other) => other,
        None => return "",
    };
    text.push(character);
    characters.as_str()
}

/// The character of `\u`, of which `digits` begin with the digits.
fn unit(digits: &str) -> (char, &str) {
    let four = |text: &str| -> Option<u32> {
        let digits = text.get(..4).filter(|four| four.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u32::from_str_radix(digits, 16).ok()
    };
    let Some(first) = four(digits) else { return (char::REPLACEMENT_CHARACTER, digits) };
    let rest = digits.get(4..).unwrap_or_default();
    if let Some(character) = char::from_u32(first) {
        return (character, rest);
    }
    let second =
        rest.strip_prefix("\\u").and_then(four).filter(|low| (0xdc00..0xe000).contains(low));
    match second {
        Some(low) if first < 0xdc00 => {
            let code = 0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00);
            let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
            (character, rest.get(6..).unwrap_or_default())
        }
        _ => (char::REPLACEMENT_CHARACTER, rest),
    }
}

/// Writes a text as a string of JSON, with its quotes, on one line.
pub(super) fn quote(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut start = 0;
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let simple = match byte {
            b'"' | b'\\' => Some(*byte),
            b'\n' => Some(b'n'),
            b'\r' => Some(b'r'),
            b'\t' => Some(b't'),
            0..=0x1f | 0x7f => None,
            _ => continue,
        };
        out.extend_from_slice(bytes.get(start..at).unwrap_or_default());
        start = at + 1;
        match simple {
            Some(byte) => out.extend_from_slice(&[b'\\', byte]),
            None => {
                let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
                let escape = ['\\', 'u', '0', '0', digit(byte >> 4), digit(byte & 15)];
                out.extend(escape.iter().filter_map(|c| u8::try_from(*c).ok()));
            }
        }
    }
    out.extend_from_slice(bytes.get(start..).unwrap_or_default());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn halves_of_pairs_read_as_a_replacement() {
        for (quoted, expected) in [
            (r#""\ud83d\ude00""#, "\u{1f600}"),
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""\ud83dx""#, "\u{fffd}x"),
            (r#""\ude00\ud83d\u0041""#, "\u{fffd}\u{fffd}A"),
            (r#""\u00e9\"\/\\""#, "é\"/\\"),
            (r#""\u00""#, "\u{fffd}00"),
            (r#""\u+041""#, "\u{fffd}+041"),
            ("\"\"", ""),
        ] {
            assert_eq!(decoded(quoted), expected, "{quoted}");
        }
    }

    #[test]
    fn what_has_no_form_in_a_string_is_escaped() {
        for character in '\0'..='\u{a0}' {
            let mut quoted = Vec::new();
            quote(&format!("a{character}b"), &mut quoted);
            let quoted = String::from_utf8(quoted).unwrap();
            assert!(!quoted.contains(|c: char| c.is_ascii_control()), "{quoted:?}");
            assert_eq!(decoded(&quoted), format!("a{character}b"));
        }
        let mut quoted = Vec::new();
        quote("a\tb", &mut quoted);
        assert_eq!(quoted, br#""a\tb""#);
    }

    proptest! {
        #[test]
        fn a_text_says_what_was_written(text: String) {
            let mut quoted = Vec::new();
            quote(&text, &mut quoted);
            let quoted = String::from_utf8(quoted).unwrap();
            prop_assert_eq!(&serde_json::from_str::<String>(&quoted).unwrap(), &text);
            prop_assert_eq!(decoded(&quoted), text.as_str());
            prop_assert!(!quoted.contains(['\n', '\r']));
        }

        #[test]
        fn a_string_reads_as_a_parser_reads_it(inner in "([a-z]|\\\\[nt\"\\\\/bfr]|\\\\u00e9|\\\\ud83d\\\\ude00|é){0,20}") {
            let quoted = format!("\"{inner}\"");
            prop_assert_eq!(decoded(&quoted), serde_json::from_str::<String>(&quoted).unwrap());
        }
    }
}

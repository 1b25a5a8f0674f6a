//! Characters that are read as others: one always as one.

/// The character that this one is read as: digits and letters of full width, digits of other scripts, spaces and
/// hyphens of other kinds. One character is always read as one.
pub(crate) fn folded(c: char) -> char {
    let code = u32::from(c);
    let digit = |zero: u32| char::from_digit(code.wrapping_sub(zero) % 10, 10);
    let image = match code {
        ..0xa0 => None,
        0xff01..=0xff5e => char::from_u32(code - 0xff01 + 0x21),
        0xa0 | 0x2000..=0x200a | 0x202f | 0x205f | 0x3000 => Some(' '),
        0x2010..=0x2012 => Some('-'),
        0x0660..=0x0669 => digit(0x0660),
        0x06f0..=0x06f9 => digit(0x06f0),
        0x0966..=0x096f => digit(0x0966),
        0x1d7ce..=0x1d7ff => digit(0x1d7ce),
        _ => None,
    };
    image.unwrap_or(c)
}

/// A pattern for a text in which characters are [folded]: what it spells is folded as well. Classes of a script, and
/// characters that it names by their number, stay what they are.
pub(crate) fn folded_pattern(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    for c in pattern.chars() {
        let image = folded(c);
        if image == c {
            out.push(c);
        } else {
            out.push_str(&regex_syntax::escape(image.encode_utf8(&mut [0; 4])));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_letters_blanks_and_hyphens_are_read_as_those_of_ascii() {
        let text: String =
            "ＡＢｃ＠５０٠١۲५𝟕\u{a0}\u{3000}\u{2011}é鷹".chars().map(folded).collect();
        assert_eq!(text, "ABc@500125 7  -é鷹".replace(" 7", "7"));
    }

    #[test]
    fn a_pattern_spells_what_is_read() {
        assert_eq!(folded_pattern("ＸＹ[０-９]（a\\d"), "XY[0-9]\\(a\\d");
    }
}

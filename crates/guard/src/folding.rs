//! Characters that are read as others: one always as one.

use crate::views::is_ignorable;

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

/// Whether no reader sees it: of no width, soft hyphens, what turns the direction, tags, controls.
pub(crate) fn is_unseen(c: char) -> bool {
    match c {
        ' '..='~' | '\t'..='\r' | '\u{85}' => false,
        _ => c.is_control() || is_ignorable(c),
    }
}

/// Whether there is such a character in a text. Quick where it is ASCII.
pub(crate) fn has_unseen(text: &str) -> bool {
    let is_control = |byte: u8| byte == 0x7f || (byte < b' ' && !(b'\t'..=b'\r').contains(&byte));
    if text.is_ascii() {
        return text.bytes().fold(false, |seen, byte| seen | is_control(byte));
    }
    text.chars().any(is_unseen)
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

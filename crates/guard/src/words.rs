//! Words: where one begins and ends, and which stand before a candidate.

/// Whether it is part of a word, as the class `\w` of patterns has it, but for marks.
#[must_use]
pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether it is of a script that is written without blanks between words, so that a word begins anywhere.
#[must_use]
pub fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c),
        0x0E00..=0x0EFF // Thai, Lao
        | 0x1000..=0x109F // Burmese
        | 0x1780..=0x17FF // Khmer
        | 0x2E80..=0x2FDF // radicals
        | 0x3005..=0x30FF // Hiragana, Katakana
        | 0x3400..=0x4DBF
        | 0x4E00..=0x9FFF // Han
        | 0xF900..=0xFAFF
        | 0xFF66..=0xFF9D // Katakana of half width
        | 0x20000..=0x3FFFF)
}

/// The end of the last character of which it may be unknown what stood before it, in bytes: a text is looked at
/// from a character on that begins within this many bytes of the furthest one.
const EDGE: usize = 3;

/// Whether one of the words, which are in lower case, stands in the text. Each is one only where a word begins:
/// `ip` is not in `ship`. It may go on, as in `cards`, unless it is of three bytes or fewer. A blank of a word is
/// also found as `_` or `-`, and capitals begin a word: `credit card` is in `creditCard`.
///
/// The text is that before a candidate: where it may be cut, at `furthest` bytes, its first characters begin no word.
#[must_use]
pub fn has_any(text: &str, furthest: usize, words: &[&str]) -> bool {
    if words.is_empty() {
        return false;
    }
    let mut last = (text.len() + EDGE >= furthest).then_some('x');
    if text.is_ascii() && text.len() <= Beginnings::MOST {
        let begin = Beginnings::of(text.as_bytes(), last.is_some());
        return words.iter().any(|word| begin.any(text, word));
    }
    for (at, c) in text.char_indices() {
        let begins = is_word(c)
            && match last {
                None => true,
                Some(last) => {
                    !last.is_alphanumeric()
                        || is_unspaced(c)
                        || (c.is_uppercase() && !last.is_uppercase())
                        || (last.is_numeric() && !c.is_numeric())
                }
            };
        if begins {
            let rest = text.get(at..).unwrap_or_default();
            if words.iter().any(|word| begins_with(rest, word)) {
                return true;
            }
        }
        last = Some(c);
    }
    false
}

/// Where words begin in a text of ASCII: for each letter the places of those that begin with it, as bits, and for all
/// other bytes together.
struct Beginnings([u64; 27]);

impl Beginnings {
    /// The longest text, in bytes.
    const MOST: usize = 64;

    /// Those of a text, of which it may be unknown what stood before it.
    fn of(text: &[u8], is_cut: bool) -> Self {
        let mut places = [0; 27];
        let mut last = if is_cut { ALNUM } else { 0 };
        for (at, &byte) in text.iter().enumerate() {
            let class = CLASSES.get(usize::from(byte)).copied().unwrap_or(0);
            let begins = last & ALNUM == 0
                || (class & UPPER != 0 && last & UPPER == 0)
                || (last & DIGIT != 0 && class & DIGIT == 0);
            if begins && class != 0 {
                if let Some(places) = places.get_mut(first(byte)) {
                    *places |= 1 << at;
                }
            }
            last = class;
        }
        Self(places)
    }

    /// Whether this word begins at one of them.
    fn any(&self, text: &str, word: &str) -> bool {
        let Some(&byte) = word.as_bytes().first() else { return false };
        let mut places = self.0.get(first(byte)).copied().unwrap_or(0);
        while places != 0 {
            let at = usize::try_from(places.trailing_zeros()).unwrap_or(0);
            if begins_with(text.get(at..).unwrap_or_default(), word) {
                return true;
            }
            places &= places - 1;
        }
        false
    }
}

const ALNUM: u8 = 1;
const UPPER: u8 = 2;
const DIGIT: u8 = 4;

/// What a byte of ASCII is.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0u8;
    while byte < 0x80 {
        #[allow(clippy::indexing_slicing)]
        {
            classes[byte as usize] = if byte.is_ascii_uppercase() {
                ALNUM | UPPER
            } else if byte.is_ascii_digit() {
                ALNUM | DIGIT
            } else if byte.is_ascii_alphanumeric() {
                ALNUM
            } else {
                0
            };
        }
        byte += 1;
    }
    classes
};

/// The number of the letter that a word begins with; of all other bytes the same.
fn first(byte: u8) -> usize {
    usize::from((byte | 0x20).wrapping_sub(b'a')).min(26)
}

/// Whether the text begins with the word.
fn begins_with(text: &str, word: &str) -> bool {
    if let (Some(one), Some(other)) = (text.as_bytes().first(), word.as_bytes().first()) {
        if one.is_ascii() && one.to_ascii_lowercase() != *other {
            return false;
        }
    }
    // Most words differ in their second letter.
    if let (Some(one), Some(other)) = (text.as_bytes().get(1), word.as_bytes().get(1)) {
        if one.is_ascii() && other.is_ascii_alphanumeric() && one.to_ascii_lowercase() != *other {
            return false;
        }
    }
    let mut chars = text.chars().peekable();
    let mut wanted = word.chars().peekable();
    while let Some(&want) = wanted.peek() {
        let Some(c) = chars.next() else { return false };
        if want == ' ' {
            wanted.next();
            if matches!(c, ' ' | '_' | '-') {
                continue;
            }
            // `creditCard`: no blank, but a capital.
            if !c.is_uppercase() || wanted.next() != c.to_lowercase().next() {
                return false;
            }
            continue;
        }
        if c.is_ascii() {
            if c.to_ascii_lowercase() != want {
                return false;
            }
            wanted.next();
            continue;
        }
        for lower in c.to_lowercase() {
            if wanted.next() != Some(lower) {
                return false;
            }
        }
    }
    word.len() > 3 || chars.peek().is_none_or(|&c| !c.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_where_one_begins() {
        let has = |text, words| has_any(text, 64, words);
        assert!(has("my card is ", &["card"]));
        assert!(has("My CARDS: ", &["card"]));
        assert!(has("{\"credit_card\": \"", &["credit card"]));
        assert!(has("creditCard=", &["credit card"]));
        assert!(has("credit-card=", &["credit card"]));
        assert!(has("userIp: ", &["ip"]));
        assert!(has("IP=", &["ip"]));
        assert!(has("Straße ÜBERWEISUNG", &["überweisung"]));
        assert!(has("我的电话是", &["电话"]));
        assert!(!has("discard ", &["card"]));
        assert!(!has("ship ", &["ip"]));
        assert!(!has("ipsum ", &["ip"]));
        assert!(!has("credit", &["credit card"]));
        assert!(!has("creditX", &["credit card"]));
        assert!(!has("", &["card"]));
        assert!(!has("card", &[]));
    }

    #[test]
    fn ascii_is_read_as_other_text_is() {
        let words = ["card", "ip", "credit card", "2fa", "überweisung", "id"];
        for text in [
            "my card",
            "userIp:",
            "credit_card",
            "xcard",
            "2FA",
            "4card",
            "ID2",
            "a-ID ",
            "CARDS",
            "ship",
            "x2fa",
        ] {
            let other = format!("ü {text} ü");
            assert_eq!(has_any(text, 64, &words), has_any(&other, 64, &words), "{text}");
        }
    }

    #[test]
    fn a_word_that_may_be_cut_is_none() {
        let long = format!("card {}", "-".repeat(59));
        assert!(!has_any(&long, 64, &["card"]));
        assert!(has_any(long.get(..60).unwrap(), 64, &["card"]));
    }
}

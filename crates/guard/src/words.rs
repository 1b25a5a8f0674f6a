//! Words: where one begins and ends, and which stand before a candidate.

use std::fmt;

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
pub fn has_any(text: &str, furthest: usize, words: &Words) -> bool {
    if words.all.is_empty() {
        return false;
    }
    let mut last = (text.len() + EDGE >= furthest).then_some('x');
    if text.is_ascii() && text.len() <= Beginnings::MOST {
        return has_any_of_ascii(text, last.is_some(), words);
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
            if words.all.iter().any(|word| begins_with(rest, word)) {
                return true;
            }
        }
        last = Some(c);
    }
    false
}

fn has_any_of_ascii(text: &str, is_cut: bool, words: &Words) -> bool {
    let bytes = text.as_bytes();
    let mut places = Beginnings::of(bytes, is_cut);
    while places != 0 {
        let at = usize::try_from(places.trailing_zeros()).unwrap_or(0);
        places &= places - 1;
        let Some(rest) = text.get(at..) else { break };
        let [first, second] = [0, 1].map(|next| bytes.get(at + next).copied().unwrap_or(0));
        if !words.may_begin(first, second) {
            continue;
        }
        let first = Some(first.to_ascii_lowercase());
        let has_first = |word: &&&str| word.bytes().next() == first;
        if words.all.iter().filter(has_first).any(|word| begins_with(rest, word)) {
            return true;
        }
    }
    false
}

/// Where words begin in a text of ASCII.
struct Beginnings;

impl Beginnings {
    /// The longest text, in bytes.
    const MOST: usize = 64;

    /// Their places in a text, as bits. It may be unknown what stood before the text.
    fn of(text: &[u8], is_cut: bool) -> u64 {
        const ONES: u64 = 0x0101_0101_0101_0101;
        let mut bytes = [0; Self::MOST];
        bytes.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
        let (mut alnum, mut upper, mut digit) = (0, 0, 0);
        let (eights, _) = bytes.as_chunks::<8>();
        // Eight bytes at once: the highest bit of each says whether it is one of those.
        for (at, eight) in eights.iter().enumerate() {
            let eight = u64::from_le_bytes(*eight);
            let are = |bytes: u64, first: u8, last: u8| {
                let from = bytes + u64::from(0x80 - first) * ONES;
                let behind = bytes + u64::from(0x7f - last) * ONES;
                (from & !behind) >> 7 & ONES
            };
            // Brings the bits of eight bytes next to each other.
            let gathered = |bits: u64| (bits.wrapping_mul(0x0102_0408_1020_4080) >> 56) << (at * 8);
            let digits = are(eight, b'0', b'9');
            upper |= gathered(are(eight, b'A', b'Z'));
            alnum |= gathered(digits | are(eight | (0x20 * ONES), b'a', b'z'));
            digit |= gathered(digits);
        }
        let is_behind = alnum << 1 | u64::from(is_cut);
        alnum & (!is_behind | (upper & !(upper << 1)) | (digit << 1 & !digit))
    }
}

/// Words that are looked for, in lower case.
#[derive(Clone, Copy)]
pub struct Words {
    all: &'static [&'static str],
    /// With which letters of ASCII they begin: of each first one, the second ones as bits. All other signs of it count
    /// as one letter.
    heads: [u32; 27],
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all).finish()
    }
}

impl Words {
    /// None.
    pub const NONE: Self = Self::of(&[]);

    /// These words.
    #[must_use]
    #[allow(clippy::indexing_slicing, reason = "iterators can't be used here")]
    pub const fn of(all: &'static [&'static str]) -> Self {
        let mut heads = [0; 27];
        let mut at = 0;
        while at < all.len() {
            let word = all[at].as_bytes();
            if !word.is_empty() && word[0].is_ascii() {
                heads[letter(word[0])] |= match word.len() {
                    1 => u32::MAX,
                    // A blank is found as other signs, too.
                    _ if word[1] == b' ' => u32::MAX,
                    _ if word[1].is_ascii() => 1 << letter(word[1]),
                    _ => 0,
                };
            }
            at += 1;
        }
        Self { all, heads }
    }

    /// Whether one of them may begin with these bytes of ASCII.
    fn may_begin(&self, first: u8, second: u8) -> bool {
        let seconds = self.heads.get(letter(first)).copied().unwrap_or(0);
        seconds >> letter(second) & 1 != 0
    }
}

/// The number of a letter; of all other bytes the same.
const fn letter(byte: u8) -> usize {
    let letter = (byte | 0x20).wrapping_sub(b'a');
    if letter < 26 {
        letter as usize
    } else {
        26
    }
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
        let has = |text, words| has_any(text, 64, &Words::of(words));
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
        let words = Words::of(&["card", "ip", "credit card", "2fa", "überweisung", "id"]);
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
        assert!(!has_any(&long, 64, &Words::of(&["card"])));
        assert!(has_any(long.get(..60).unwrap(), 64, &Words::of(&["card"])));
    }
}

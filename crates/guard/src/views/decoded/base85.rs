//! Ascii85 (as of Adobe, and of btoa), and base85 (as of RFC 1924, and of git and Python).

use std::ops::Range;

use super::super::words::text_of;
use super::found::Found;

/// The shortest that is looked at, in bytes.
const SHORTEST: usize = 12;

/// The digits of RFC 1924 that are no letters and no digits.
const SIGNS: &[u8] = b"!#$%&()*+-;<=>?@^_`{|}~";

/// Adds the text that a word is.
pub(super) fn read(text: &str, range: Range<usize>, found: &mut Found<'_>) {
    let bytes = text.as_bytes();
    let Some(word) = bytes.get(range.clone()) else { return };
    let (mut from, mut to) = (0, word.len());
    // It may be quoted.
    if let (Some(first), Some(last)) = (word.first(), word.last()) {
        if first == last && matches!(first, b'"' | b'\'' | b'`') {
            (from, to) = (1, word.len().saturating_sub(1));
        }
    }
    let Some(mut inside) = word.get(from..to) else { return };
    if let Some(marked) = inside.strip_prefix(b"<~") {
        inside = marked.strip_suffix(b"~>").unwrap_or(marked);
    }
    if inside.len() < SHORTEST {
        return;
    }
    let decoded = decode(inside, ascii85).or_else(|| decode(inside, base85));
    if let Some(decoded) = decoded {
        found.text(&decoded, range);
    }
}

fn ascii85(byte: u8) -> Option<u32> {
    byte.checked_sub(b'!').filter(|digit| *digit < 85).map(u32::from)
}

fn base85(byte: u8) -> Option<u32> {
    Some(match byte {
        b'0'..=b'9' => u32::from(byte - b'0'),
        b'A'..=b'Z' => 10 + u32::from(byte - b'A'),
        b'a'..=b'z' => 36 + u32::from(byte - b'a'),
        sign => 62 + u32::try_from(SIGNS.iter().position(|known| *known == sign)?).ok()?,
    })
}

/// Reads groups of five digits, up to one that is no text.
fn decode(word: &[u8], digit: impl Fn(u8) -> Option<u32>) -> Option<String> {
    let mut out = Vec::new();
    for group in word.chunks(5) {
        let mut number = Some(0u32);
        for place in 0..5 {
            // What lacks of the last group counts as the highest digit.
            let value = match group.get(place) {
                Some(byte) => digit(*byte),
                None => Some(84),
            };
            number = number.and_then(|sum| sum.checked_mul(85)?.checked_add(value?));
        }
        let Some(number) = number else { break };
        let bytes = number.to_be_bytes();
        let whole = bytes.get(..group.len().saturating_sub(1)).unwrap_or_default();
        // Texts of other scripts than Latin are seldom written so, and noise often looks like them.
        if whole.iter().any(|byte| !matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t')) {
            break;
        }
        out.extend_from_slice(whole);
    }
    // A sign or word may follow without a space.
    let is_most = out.len() * 5 + 15 >= word.len() * 4;
    text_of(&out, 9).filter(|_| is_most).map(str::to_owned)
}

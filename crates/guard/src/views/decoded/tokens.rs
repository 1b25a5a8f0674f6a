//! Long words that are bytes in disguise: base64, base32, base16, ascii85, uuencode, rows of binary digits.

use std::ops::Range;
use std::sync::OnceLock;

use data_encoding::{Encoding, Specification};

use super::super::words::text_of;
use super::found::Found;

/// The shortest word that is looked at, in bytes.
const SHORTEST: usize = 12;

/// The shortest text that is worth it, in bytes: of fewer, noise reads as text by chance.
const SHORTEST_TEXT: usize = 8;

/// How much of a word is decoded to see whether it is worth it, in bytes.
const HEAD: usize = 16;

/// The shortest line after which the next one goes on (RFC 2045 allows up to 76).
const SHORTEST_LINE: usize = 48;

fn encoding(alphabet: &str, translate: (&str, &str)) -> Option<Encoding> {
    let mut specification = Specification::new();
    specification.symbols.push_str(alphabet);
    specification.check_trailing_bits = false;
    specification.translate.from.push_str(translate.0);
    specification.translate.to.push_str(translate.1);
    specification.encoding().ok()
}

/// RFC 4648, sections 4 and 5 at once.
fn base64() -> Option<&'static Encoding> {
    static ENCODING: OnceLock<Option<Encoding>> = OnceLock::new();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    ENCODING.get_or_init(|| encoding(alphabet, ("-_", "+/"))).as_ref()
}

/// RFC 4648, section 6, in any case.
fn base32() -> Option<&'static Encoding> {
    static ENCODING: OnceLock<Option<Encoding>> = OnceLock::new();
    let small = "abcdefghijklmnopqrstuvwxyz";
    let capitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    ENCODING
        .get_or_init(|| encoding("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", (small, capitals)))
        .as_ref()
}

/// What a byte may be part of.
const WORD: u8 = 1;
const BASE64: u8 = 2;
const BASE32: u8 = 4;
const BASE16: u8 = 8;
const BASE2: u8 = 16;
const LETTER: u8 = 32;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0x21u8;
    while byte < 0x7f {
        let mut class = WORD;
        if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_') {
            class |= BASE64;
        }
        if byte.is_ascii_alphabetic() {
            class |= LETTER | BASE32;
        }
        if matches!(byte, b'2'..=b'7') {
            class |= BASE32;
        }
        if byte.is_ascii_hexdigit() {
            class |= BASE16;
        }
        if matches!(byte, b'0' | b'1') {
            class |= BASE2;
        }
        #[allow(clippy::indexing_slicing)]
        {
            classes[byte as usize] = class;
        }
        byte += 1;
    }
    classes
};

fn class(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(0)
}

/// Adds what long words are the disguise of.
pub(super) fn read(text: &str, found: &mut Found<'_>) {
    let bytes = text.as_bytes();
    let mut start = 0;
    // A long word has one of its bytes in each such step, so most bytes of short words are never looked at.
    while let Some(head) = bytes.get(start..).and_then(|rest| rest.first_chunk::<SHORTEST>()) {
        if let Some(space) = last_space(head) {
            start += space + 1;
            continue;
        }
        let probe = start + SHORTEST - 1;
        let rest = bytes.get(probe..).unwrap_or_default();
        let end = probe + rest.iter().take_while(|byte| class(**byte) & WORD != 0).count();
        start = word(text, start..end, found).max(end) + 1;
    }
}

/// The last byte that is none of a word. Of the last bytes, eight are looked at together.
fn last_space(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const LOW: u64 = 0x7f * ONES;
    let Some((others, last)) = bytes.split_last_chunk::<8>() else {
        return bytes.iter().rposition(|byte| class(*byte) & WORD == 0);
    };
    let last = u64::from_le_bytes(*last);
    // The highest bit of a byte tells of it; nothing is carried from one to the next.
    let is_below = !((last & LOW) + (0x80 - 0x21) * ONES);
    let is_above = ((last & LOW) + ONES) | last;
    let spaces = (is_below | is_above) & !LOW;
    match spaces.leading_zeros() {
        64 => others.iter().rposition(|byte| class(*byte) & WORD == 0),
        zeros => Some(bytes.len() - 1 - usize::try_from(zeros / 8).unwrap_or(0)),
    }
}

/// Looks at one long word. Returns where what was decoded ends.
fn word(text: &str, range: Range<usize>, found: &mut Found<'_>) -> usize {
    let bytes = text.as_bytes();
    let word = bytes.get(range.clone()).unwrap_or_default();
    let (all, any) = word.iter().fold((0xff, 0), |(all, any), byte| {
        let class = class(*byte);
        (all & class, any | class)
    });
    // A long word of a language.
    if all & LETTER != 0 && word.iter().skip(1).all(u8::is_ascii_lowercase) && word.len() < 24 {
        return range.end;
    }
    let mut end = range.end;
    let mut has_found = false;
    let mut at = range.start;
    while at < range.end {
        let rest = bytes.get(at..range.end).unwrap_or_default();
        let Some(from) = rest.iter().position(|byte| class(*byte) & BASE64 != 0) else { break };
        let from = at + from;
        let length = bytes
            .get(from..range.end)
            .unwrap_or_default()
            .iter()
            .take_while(|byte| class(**byte) & BASE64 != 0)
            .count();
        at = from + length;
        if length >= SHORTEST {
            if let Some(to) = run(text, from..at, found) {
                has_found = true;
                at = to;
                end = end.max(to);
            }
        }
    }
    if !has_found && all & BASE64 == 0 && any != 0 {
        if let Some(to) = super::uuencode::read(text, range.start, found) {
            return to.max(end);
        }
        super::base85::read(text, range, found);
    }
    end
}

/// Looks at a run of characters of base64, and its padding. Returns where it ends, if it was text.
fn run(text: &str, range: Range<usize>, found: &mut Found<'_>) -> Option<usize> {
    let bytes = text.as_bytes();
    let part = bytes.get(range.clone())?;
    let class = part.iter().fold(0xff, |all, byte| all & class(*byte));
    if class & BASE2 != 0 && part.len() >= 4 * 7 {
        if let Some(decoded) = bits(part) {
            return found.text(&decoded, range.clone()).then_some(range.end);
        }
    }
    let digits = part.strip_prefix(b"0x").or_else(|| part.strip_prefix(b"0X")).unwrap_or(part);
    if digits.iter().all(u8::is_ascii_hexdigit) && digits.len().is_multiple_of(2) {
        let decoded = data_encoding::HEXLOWER_PERMISSIVE.decode(digits).unwrap_or_default();
        if let Some(decoded) = text_of(&decoded, SHORTEST_TEXT - 2) {
            return found.text(decoded, range.clone()).then_some(range.end);
        }
    }
    if class & BASE32 != 0 && part.len() >= 13 {
        if let Some(decoded) = base32().and_then(|encoding| decode(encoding, part, 8)) {
            let end = padding(bytes, range.end);
            return found.text(&decoded, range.start..end).then_some(end);
        }
    }
    // Text in base64 has capitals, other than most names.
    if !part.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let encoding = base64()?;
    if let Some(end) = lines(bytes, &range) {
        let all: Vec<u8> = bytes
            .get(range.start..end)?
            .iter()
            .copied()
            .filter(|byte| self::class(*byte) & BASE64 != 0)
            .collect();
        if let Some(decoded) = decode(encoding, &all, 4) {
            let end = padding(bytes, end);
            return found.text(&decoded, range.start..end).then_some(end);
        }
    }
    if let Some(decoded) = decode(encoding, part, 4) {
        let end = padding(bytes, range.end);
        return found.text(&decoded, range.start..end).then_some(end);
    }
    pieces(bytes, range, encoding, found)
}

/// Looks at what stands between signs that are in the alphabet, but for others are between words: paths, names.
fn pieces(
    bytes: &[u8],
    range: Range<usize>,
    encoding: &Encoding,
    found: &mut Found<'_>,
) -> Option<usize> {
    let mut end = None;
    let mut at = range.start;
    let is_sign = |byte: &u8| matches!(byte, b'/' | b'-' | b'_' | b'+');
    let part = bytes.get(range.clone())?;
    if !part.iter().any(is_sign) {
        return None;
    }
    for piece in part.split(is_sign) {
        let to = at + piece.len();
        if piece.len() >= SHORTEST && piece.len() < part.len() {
            if let Some(decoded) = decode(encoding, piece, 4) {
                let close = if to == range.end { padding(bytes, to) } else { to };
                if found.text(&decoded, at..close) {
                    end = Some(close);
                }
            }
        }
        at = to + 1;
    }
    end
}

fn padding(bytes: &[u8], end: usize) -> usize {
    let signs = bytes.get(end..).unwrap_or_default().iter();
    end + signs.take(6).take_while(|byte| **byte == b'=').count()
}

/// Where the lines of one text in base64 end, of which this run is the first. `None` if there is but this.
fn lines(bytes: &[u8], first: &Range<usize>) -> Option<usize> {
    let mut line = first.clone();
    while line.len() >= SHORTEST_LINE && line.len().is_multiple_of(4) {
        let rest = bytes.get(line.end..).unwrap_or_default();
        let breaks = rest
            .iter()
            .take(4)
            .take_while(|byte| matches!(byte, b'\r' | b'\n' | b' ' | b'>'))
            .count();
        if breaks == 0 {
            break;
        }
        let from = line.end + breaks;
        let rest = bytes.get(from..).unwrap_or_default();
        let length = rest.iter().take_while(|byte| class(**byte) & BASE64 != 0).count();
        // The last line may be shorter, and is padded; other words may follow.
        let next = rest.get(..length).unwrap_or_default();
        let whole = padding(bytes, from + length) - from;
        let is_word = next.iter().skip(1).all(u8::is_ascii_lowercase);
        if length != first.len() && (length > first.len() || !whole.is_multiple_of(4) || is_word) {
            break;
        }
        line = from..from + length;
    }
    (line.end > first.end).then_some(line.end)
}

/// The text that these characters are, of which so many make whole bytes.
fn decode(encoding: &Encoding, part: &[u8], whole: usize) -> Option<String> {
    let head = part.get(..HEAD).unwrap_or(part);
    let mut buffer = [0; HEAD];
    let first = partly(encoding, head, whole, &mut buffer)?;
    // A character may be cut in two here.
    let readable = text_of(first, SHORTEST_TEXT.min(first.len().saturating_sub(3)).max(5))?;
    if part.len() <= HEAD {
        return (first.len() >= SHORTEST_TEXT).then(|| readable.to_owned());
    }
    let mut buffer = vec![0; part.len()];
    let all = partly(encoding, part, whole, &mut buffer)?;
    text_of(all, SHORTEST_TEXT).map(str::to_owned)
}

fn partly<'b>(
    encoding: &Encoding,
    part: &[u8],
    whole: usize,
    out: &'b mut [u8],
) -> Option<&'b [u8]> {
    let mut length = part.len();
    // Some lengths can't be: what is too much is left out.
    let decoded = loop {
        match encoding.decode_len(length) {
            Ok(decoded) => break decoded,
            Err(_) if length > 0 && part.len() - length < whole => length -= 1,
            Err(_) => return None,
        }
    };
    let out = out.get_mut(..decoded)?;
    match encoding.decode_mut(part.get(..length)?, out) {
        Ok(written) => out.get(..written),
        Err(partial) => out.get(..partial.written),
    }
}

/// The text that these binary digits are, eight for a character, or seven.
fn bits(part: &[u8]) -> Option<String> {
    [8, 7].into_iter().filter(|width| part.len().is_multiple_of(*width)).find_map(|width| {
        let bytes: Vec<u8> = part
            .chunks_exact(width)
            .map(|digits| digits.iter().fold(0u8, |sum, digit| (sum << 1) | (digit & 1)))
            .collect();
        text_of(&bytes, 4).map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bytes_together_are_what_each_of_them_is() {
        let plainly = |bytes: &[u8]| bytes.iter().rposition(|byte| class(*byte) & WORD == 0);
        for byte in 0..=255_u8 {
            for (place, length) in
                (1..=11).flat_map(|length| (0..length).map(move |at| (at, length)))
            {
                for around in *b"a!~" {
                    let mut bytes = vec![around; length];
                    bytes[place] = byte;
                    assert_eq!(last_space(&bytes), plainly(&bytes), "{bytes:?}");
                }
                let mut bytes = vec![b' '; length];
                bytes[place] = byte;
                assert_eq!(last_space(&bytes), plainly(&bytes), "{bytes:?}");
            }
        }
    }
}

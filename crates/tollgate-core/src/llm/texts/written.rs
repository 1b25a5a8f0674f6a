//! From a text to how it is written in JSON, and back.

use std::borrow::Cow;

/// The text that is written so between quotes. `None`: that is no text.
pub(super) fn text(written: &str) -> Option<Cow<'_, str>> {
    let Some(mut at) = memchr::memchr(b'\\', written.as_bytes()) else {
        return Some(Cow::Borrowed(written));
    };
    let mut text = String::with_capacity(written.len());
    let mut rest = written;
    loop {
        text.push_str(rest.get(..at)?);
        let (character, len) = escape(rest.as_bytes().get(at..)?)?;
        text.push(character);
        rest = rest.get(at + len..)?;
        let Some(next) = memchr::memchr(b'\\', rest.as_bytes()) else { break };
        at = next;
    }
    text.push_str(rest);
    Some(Cow::Owned(text))
}

/// The character that is written as an escape here, and how long that is. Half of a surrogate pair is U+FFFD.
fn escape(written: &[u8]) -> Option<(char, usize)> {
    let character = match written.get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let first = unit(written)?;
            let second = || unit(written.get(6..)?).filter(|low| (0xdc00..0xe000).contains(low));
            if let (0xd800..0xdc00, Some(second)) = (first, second()) {
                let whole = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Some((char::from_u32(whole)?, 12));
            }
            return Some((char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6));
        }
        _ => return None,
    };
    Some((character, 2))
}

/// The number in `\uXXXX`.
fn unit(written: &[u8]) -> Option<u32> {
    let digits = written.strip_prefix(b"\\u")?.get(..4)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// A place in a text, and where that is written. It goes forward only.
#[derive(Debug, Default)]
pub(super) struct Position {
    text: usize,
    written: usize,
}

impl Position {
    /// Where the byte `to` of the text is written.
    pub(super) fn advance(&mut self, written: &[u8], to: usize) -> usize {
        while self.text < to {
            let rest = written.get(self.written..).unwrap_or_default();
            let plain = memchr::memchr(b'\\', rest).unwrap_or(rest.len()).min(to - self.text);
            self.text += plain;
            self.written += plain;
            if self.text == to {
                break;
            }
            let Some((character, len)) = rest.get(plain..).and_then(escape) else { break };
            self.text += character.len_utf8();
            self.written += len;
        }
        self.written
    }
}

/// A text as it is written between quotes.
pub(super) fn escaped(text: &str) -> Vec<u8> {
    let quoted = serde_json::Value::from(text).to_string();
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or_default().as_bytes().to_vec()
}

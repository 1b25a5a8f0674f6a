//! Texts that are JSON themselves, as what tools are called with is: what of them can be changed so that they stay JSON.

use std::ops::Range;

/// A scalar, or the name of a member.
#[derive(Clone)]
struct Token {
    /// Of a string, what stands between its quotes.
    range: Range<usize>,
    is_string: bool,
}

/// A part of a text: all or nothing of each escape, and of a number.
pub(super) struct Part {
    pub(super) range: Range<usize>,
    pub(super) is_in_string: bool,
}

/// Goes through a text once, from the beginning to its end.
pub(super) struct Cursor<'t> {
    json: &'t [u8],
    /// Where the next token is looked for.
    at: usize,
    token: Option<Token>,
    /// Where in a string a character is written, or an escape begins.
    character: usize,
}

impl<'t> Cursor<'t> {
    /// `None`: it is no JSON.
    pub(super) fn new(said: &'t str) -> Option<Self> {
        serde_json::from_str::<serde::de::IgnoredAny>(said).ok()?;
        let mut cursor = Self { json: said.as_bytes(), at: 0, token: None, character: 0 };
        cursor.go_on();
        Some(cursor)
    }

    /// What can be changed where `found` is to be, which is behind all that was asked for before.
    pub(super) fn parts(&mut self, found: &Range<usize>) -> Vec<Part> {
        let mut parts = Vec::new();
        while let Some(token) = self.token.clone().filter(|token| token.range.start < found.end) {
            let Token { range, is_string } = token;
            if found.start < range.end {
                let range = if is_string { self.in_string(&range, found) } else { range.clone() };
                if !range.is_empty() {
                    parts.push(Part { range, is_in_string: is_string });
                }
            }
            if found.end < range.end {
                break;
            }
            self.go_on();
        }
        parts
    }

    /// What of `found` is in a string, without the rest of an escape with which it would begin, and with all of the one
    /// with which it ends.
    fn in_string(&mut self, string: &Range<usize>, found: &Range<usize>) -> Range<usize> {
        while self.character < found.start {
            self.character += self.character_len();
        }
        let start = self.character;
        while self.character < found.end.min(string.end) {
            self.character += self.character_len();
        }
        start..self.character.min(string.end)
    }

    fn character_len(&self) -> usize {
        match self.json.get(self.character..).unwrap_or_default() {
            [b'\\', b'u', rest @ ..] if is_pair(rest) => 12,
            [b'\\', b'u', ..] => 6,
            [b'\\', ..] => 2,
            _ => 1,
        }
    }

    /// Goes to the next token.
    fn go_on(&mut self) {
        self.token = self.next();
        self.character = self.token.as_ref().map_or(self.json.len(), |token| token.range.start);
    }

    fn next(&mut self) -> Option<Token> {
        loop {
            let start = self.at;
            let rest = self.json.get(start..)?;
            match rest.first()? {
                b'"' => {
                    let mut end = start + 1;
                    while *self.json.get(end)? != b'"' {
                        end += if *self.json.get(end)? == b'\\' { 2 } else { 1 };
                    }
                    self.at = end + 1;
                    return Some(Token { range: start + 1..end, is_string: true });
                }
                b'{' | b'}' | b'[' | b']' | b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => {
                    self.at += 1;
                }
                _ => {
                    let is_end = |byte: &u8| b"}],: \t\r\n".contains(byte);
                    self.at += rest.iter().position(is_end).unwrap_or(rest.len());
                    return Some(Token { range: start..self.at, is_string: false });
                }
            }
        }
    }
}

/// Whether the four digits with which this begins are half of a pair, with its other half behind it.
fn is_pair(digits: &[u8]) -> bool {
    matches!(
        digits,
        [b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', _, _, b'\\', b'u', b'd' | b'D', b'c'..=b'f' | b'C'..=b'F', ..]
    )
}

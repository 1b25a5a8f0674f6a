//! Escape sequences in strings and keys.

use super::find::simple;
use super::scanner::Scanner;
use super::strings::Of;
use super::{Fault, Reader};
use crate::surrogate::MARK;

/// How far an escape sequence has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    None,
    /// After the backslash.
    Begun,
    /// After `\u` and `digits` hexadecimal digits, which make up `unit`.
    Unicode {
        digits: u8,
        unit: u32,
    },
    /// After the first half of a surrogate pair: the second one may follow.
    High(u32),
    /// A backslash after that.
    HighBegun(u32),
    /// The second half, as far as it has come.
    HighUnicode {
        high: u32,
        digits: u8,
        unit: u32,
    },
}

impl<P: Copy, const DEPTH: usize> Scanner<P, DEPTH> {
    /// What the byte behind a backslash stands for, if that is one byte and no other escape follows.
    #[inline]
    pub(super) fn single_escape(bytes: &[u8], at: usize) -> Option<u8> {
        match bytes.get(at..)? {
            [_, b'\\', ..] => None,
            [byte, ..] => simple(*byte),
            [] => None,
        }
    }

    /// Reads an escape sequence from the byte behind its backslash on, and those that follow it at once.
    pub(super) fn read_escapes<R: Reader<Place = P>>(
        &mut self,
        of: Of,
        bytes: &[u8],
        at: usize,
        reader: &mut R,
    ) -> Result<usize, Fault> {
        let mut decoded = Decoded::new();
        let mut at = at;
        while let Some(&byte) = bytes.get(at) {
            self.escape = match self.escape {
                Escape::None if byte == b'\\' => Escape::Begun,
                Escape::None => break,
                Escape::Begun => match simple(byte) {
                    Some(character) => {
                        decoded.push(character);
                        Escape::None
                    }
                    None if byte == b'u' => Escape::Unicode { digits: 0, unit: 0 },
                    None => return Err(Fault::Syntax),
                },
                Escape::Unicode { digits, unit } => {
                    let unit = unit << 4 | hexadecimal(byte)?;
                    match digits {
                        ..3 => Escape::Unicode { digits: digits + 1, unit },
                        _ => self.end_unit::<R>(unit, &mut decoded),
                    }
                }
                Escape::High(high) if byte == b'\\' => Escape::HighBegun(high),
                Escape::High(_) => {
                    self.push_half::<R>(&mut decoded);
                    self.escape = Escape::None;
                    break;
                }
                Escape::HighBegun(high) if byte == b'u' => {
                    Escape::HighUnicode { high, digits: 0, unit: 0 }
                }
                Escape::HighBegun(_) => {
                    self.push_half::<R>(&mut decoded);
                    self.escape = Escape::Begun;
                    continue;
                }
                Escape::HighUnicode { high, digits, unit } => {
                    let unit = unit << 4 | hexadecimal(byte)?;
                    match digits {
                        ..3 => Escape::HighUnicode { high, digits: digits + 1, unit },
                        _ => match pair(high, unit) {
                            Some(character) => {
                                decoded.push_char(character);
                                Escape::None
                            }
                            None => {
                                self.push_half::<R>(&mut decoded);
                                self.end_unit::<R>(unit, &mut decoded)
                            }
                        },
                    }
                }
            };
            at += 1;
            if decoded.is_full() {
                self.tell_decoded(of, &mut decoded, reader);
            }
        }
        self.tell_decoded(of, &mut decoded, reader);
        Ok(at)
    }

    fn end_unit<R: Reader<Place = P>>(&mut self, unit: u32, decoded: &mut Decoded) -> Escape {
        match char::from_u32(unit) {
            Some(character) => {
                if R::STRICT && character == MARK {
                    self.text.note_half();
                    decoded.has_half = true;
                }
                decoded.push_char(character);
                Escape::None
            }
            None if unit < 0xdc00 => Escape::High(unit),
            None => {
                self.push_half::<R>(decoded);
                Escape::None
            }
        }
    }

    /// Of a pair, no more than the first half has come.
    pub(super) fn cut_pair(&mut self) {
        let has_half = |escape| {
            matches!(escape, Escape::High(_) | Escape::HighBegun(_) | Escape::HighUnicode { .. })
        };
        if has_half(self.escape) {
            self.text.push(&[0xff; 2]);
        }
    }

    /// A half of a pair stands alone.
    fn push_half<R: Reader<Place = P>>(&mut self, decoded: &mut Decoded) {
        if R::STRICT {
            self.text.note_half();
            decoded.has_half = true;
            decoded.push_char(MARK);
        } else {
            // Half of the four bytes that the pair has in UTF-8. No name of interest has any of them.
            decoded.push(0xff);
            decoded.push(0xff);
        }
    }

    fn tell_decoded<R: Reader<Place = P>>(
        &mut self,
        of: Of,
        decoded: &mut Decoded,
        reader: &mut R,
    ) {
        let part = decoded.bytes.get(..decoded.len).unwrap_or_default();
        if part.is_empty() {
            return;
        }
        if decoded.has_half {
            self.text.push_whole(part);
        } else {
            self.text.push(part);
        }
        self.tell_reader(of, part, reader);
        decoded.len = 0;
    }
}

/// What came of escapes that stand next to each other.
struct Decoded {
    bytes: [u8; Self::ROOM],
    len: usize,
    has_half: bool,
}

impl Decoded {
    const ROOM: usize = 64;

    fn new() -> Self {
        Self { bytes: [0; Self::ROOM], len: 0, has_half: false }
    }

    #[inline]
    fn push(&mut self, byte: u8) {
        if let Some(room) = self.bytes.get_mut(self.len) {
            *room = byte;
            self.len += 1;
        }
    }

    fn push_char(&mut self, character: char) {
        let mut utf8 = [0; 4];
        character.encode_utf8(&mut utf8).bytes().for_each(|byte| self.push(byte));
    }

    /// Whether there is too little room for what one escape sequence can make: a half and another
    /// character.
    fn is_full(&self) -> bool {
        self.len + 8 > Self::ROOM
    }
}

#[inline]
fn hexadecimal(byte: u8) -> Result<u32, Fault> {
    char::from(byte).to_digit(16).ok_or(Fault::Syntax)
}

/// The character that both halves of a pair make.
fn pair(high: u32, low: u32) -> Option<char> {
    let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    char::from_u32(0x1_0000 + ((high & 0x3ff) << 10 | low))
}

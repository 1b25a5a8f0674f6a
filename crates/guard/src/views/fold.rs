//! What a character is written for: the plain letter or digit that a reader sees in it.
//!
//! A character becomes what it is compatible with (NFKD, UAX #15), without marks, and then the Latin letter that it
//! looks like (UTS #39, section 4). Case is kept where there is a Latin letter, so that formats in which case counts can
//! still be found; other letters become small. What is not there for readers (UAX #44, Default_Ignorable_Code_Point)
//! vanishes. As this is done character by character, whatever form the text was in (NFC, NFD, ...), the result is the
//! same; Hangul, whose syllables have parts, is put together by [`Hangul`].

use std::sync::OnceLock;

use unicode_normalization::char::{decompose_compatible, is_combining_mark};

/// What becomes of a character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Folded {
    /// It stays.
    Same,
    /// It vanishes.
    Nothing,
    /// It becomes this.
    Ascii(u8),
    /// It becomes this, which is at most [`LONGEST`] bytes.
    Other(String),
}

/// A character that becomes more than this stays as it is: so that a copy of a text is at most four times as long.
const LONGEST: usize = 8;

const SAME: u8 = 0;
const NOTHING: u8 = 1;
const OTHER: u8 = 2;

/// Characters of a page.
const PAGE: usize = 256;

/// The pages of the planes that have letters, and of the tags and variation selectors. They are made when a
/// character of them is first seen: 256 bytes each.
static PAGES: [OnceLock<Box<[u8; PAGE]>>; 0x200] = [const { OnceLock::new() }; 0x200];

/// What becomes of a character that is not a printable one of ASCII.
pub(super) fn fold(character: char) -> Folded {
    let code = character as u32;
    // Ideographs and syllables are most of what isn't in pages that others are in, and stay.
    if matches!(code, 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xac00..=0xd7a3 | 0x2_0000..=0x2_f7ff) {
        return Folded::Same;
    }
    let (page, place) = ((code >> 8) as usize, (code & 0xff) as usize);
    let entry = match PAGES.get(page) {
        Some(cell) => cell.get_or_init(|| made(page)).get(place).copied().unwrap_or(OTHER),
        None => return slowly(character),
    };
    match entry {
        SAME => Folded::Same,
        NOTHING => Folded::Nothing,
        OTHER => slowly(character),
        ascii => Folded::Ascii(ascii),
    }
}

fn made(page: usize) -> Box<[u8; PAGE]> {
    let mut entries = Box::new([SAME; PAGE]);
    for (code, entry) in (page << 8..).zip(entries.iter_mut()) {
        let Some(character) = u32::try_from(code).ok().and_then(char::from_u32) else { continue };
        *entry = match slowly(character) {
            Folded::Same => SAME,
            Folded::Nothing => NOTHING,
            Folded::Ascii(ascii) => ascii,
            Folded::Other(_) => OTHER,
        };
    }
    entries
}

fn slowly(character: char) -> Folded {
    if is_ignorable(character) {
        return match character as u32 {
            tag @ 0xe_0020..=0xe_007e => Folded::Ascii((tag & 0x7f).try_into().unwrap_or(b' ')),
            _ => Folded::Nothing,
        };
    }
    match character {
        '\t' | '\n' | '\r' | ' '..='~' => return Folded::Same,
        '\u{b}' | '\u{c}' => return Folded::Ascii(b' '),
        '\u{85}' | '\u{2028}' | '\u{2029}' => return Folded::Ascii(b'\n'),
        _ if character.is_control() => return Folded::Nothing,
        _ if character.is_whitespace() => return Folded::Ascii(b' '),
        _ => {}
    }
    let mut out = String::new();
    decompose_compatible(character, |part| {
        if !is_combining_mark(part) {
            look(part, &mut out);
        }
    });
    if out.is_empty() {
        return Folded::Nothing;
    }
    let mut bytes = out.bytes();
    match (bytes.next(), bytes.next()) {
        (Some(ascii), None) if ascii >= b' ' => Folded::Ascii(ascii),
        _ if out.chars().eq([character]) || out.len() > LONGEST => Folded::Same,
        _ => Folded::Other(out),
    }
}

/// Adds what a character looks like.
fn look(character: char, out: &mut String) {
    // Parts of Korean syllables look like letters, and are put together instead.
    if character.is_ascii() || matches!(character, '\u{1100}'..='\u{11ff}') {
        out.push(character);
        return;
    }
    if let Some(digit) = digit(character) {
        out.push(digit);
        return;
    }
    if let Some(own) = own(character) {
        out.push_str(own);
        return;
    }
    if let Some(letter) = enclosed(character) {
        out.push(letter);
        return;
    }
    // A capital I and a small l look the same, and which one it is, the small letter tells. So do those of Cyrillic, as words
    // that differ in case alone must stay alike.
    if character.is_uppercase() && !matches!(character, '\u{400}'..='\u{52f}') {
        if let Some(letter) =
            twin(character).filter(|twin| twin.is_ascii_alphabetic() && *twin != 'l')
        {
            out.push(letter.to_ascii_uppercase());
            return;
        }
    }
    for small in character.to_lowercase() {
        if is_combining_mark(small) {
            continue;
        }
        match (twin(small), own(small)) {
            (_, Some(own)) => out.push_str(own),
            (Some(twin), None) if character.is_uppercase() => out.push(twin.to_ascii_uppercase()),
            (Some(twin), None) => out.push(twin),
            (None, None) => out.push(small),
        }
    }
}

/// The character of ASCII that it looks like: a letter for a letter, and anything but a letter or digit for the others.
fn twin(character: char) -> Option<char> {
    let mut buffer = [0; 4];
    let text: &str = character.encode_utf8(&mut buffer);
    let mut parts = unicode_security::skeleton(text).filter(|part| !is_combining_mark(*part));
    let (first, second, third) = (parts.next()?, parts.next(), parts.next());
    let twin = match (first, second, third) {
        // The table says what looks like an m so.
        ('r', Some('n'), None) => 'm',
        (first, None, None) => first,
        _ => return None,
    };
    let fits = if character.is_alphabetic() {
        twin.is_ascii_alphabetic()
    } else {
        twin.is_ascii_punctuation()
    };
    match small_capital(twin) {
        Some(letter) if character.is_alphabetic() => Some(letter),
        _ => fits.then_some(twin),
    }
}

/// What the table of confusables doesn't have, or has for other readers.
fn own(character: char) -> Option<&'static str> {
    Some(match character {
        'ß' => "ss",
        'æ' => "ae",
        'Æ' => "AE",
        'œ' => "oe",
        'Œ' => "OE",
        'ø' => "o",
        'Ø' => "O",
        'đ' => "d",
        'Đ' => "D",
        'ł' => "l",
        'Ł' => "L",
        'β' => "b",
        'ε' => "e",
        'η' => "n",
        'ω' => "w",
        'κ' => "k",
        'τ' => "t",
        '。' | '｡' => ".",
        '、' => ",",
        '‘' | '’' | '‚' | '‛' | '′' => "'",
        '“' | '”' | '„' | '‟' | '«' | '»' | '″' => "\"",
        '‐' | '‑' | '‒' | '–' | '—' | '―' | '−' => "-",
        _ => return None,
    })
}

/// Small capitals, of which the table of confusables has but some.
fn small_capital(character: char) -> Option<char> {
    const LETTERS: [(char, char); 27] = [
        ('ᴀ', 'a'),
        ('ʙ', 'b'),
        ('ᴄ', 'c'),
        ('ᴅ', 'd'),
        ('ᴇ', 'e'),
        ('ɛ', 'e'),
        ('ꜰ', 'f'),
        ('ɢ', 'g'),
        ('ʜ', 'h'),
        ('ɪ', 'i'),
        ('ᴊ', 'j'),
        ('ᴋ', 'k'),
        ('ĸ', 'k'),
        ('ʟ', 'l'),
        ('ᴍ', 'm'),
        ('ʍ', 'm'),
        ('ɴ', 'n'),
        ('ᴏ', 'o'),
        ('ᴘ', 'p'),
        ('ʀ', 'r'),
        ('ꜱ', 's'),
        ('ᴛ', 't'),
        ('ᴜ', 'u'),
        ('ᴠ', 'v'),
        ('ᴡ', 'w'),
        ('ʏ', 'y'),
        ('ᴢ', 'z'),
    ];
    LETTERS.iter().find(|(from, _)| *from == character).map(|(_, to)| *to)
}

/// Letters in black circles and squares, and those of flags, which have no decomposition.
fn enclosed(character: char) -> Option<char> {
    let code = character as u32;
    let place = match code {
        0x1_f150..=0x1_f169 => code - 0x1_f150,
        0x1_f170..=0x1_f189 => code - 0x1_f170,
        0x1_f1e6..=0x1_f1ff => code - 0x1_f1e6,
        _ => return None,
    };
    char::from_u32('A' as u32 + place)
}

/// Where the decimal digits of scripts begin (UAX #44, Numeric_Type=Decimal), but for those that are compatible with
/// ASCII's.
const ZEROS: [u32; 37] = [
    0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66,
    0x0de6, 0x0e50, 0x0ed0, 0x0f20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90,
    0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0,
    0x1_04a0, 0x1_e950,
];

fn digit(character: char) -> Option<char> {
    let code = character as u32;
    let index = ZEROS.partition_point(|zero| *zero <= code);
    let zero = ZEROS.get(index.checked_sub(1)?)?;
    char::from_digit(code - zero, 10)
}

/// Default_Ignorable_Code_Point, and braille's blank, are not there for readers.
pub(crate) fn is_ignorable(character: char) -> bool {
    matches!(
        character as u32,
        0x00ad
            | 0x034f
            | 0x061c
            | 0x115f..=0x1160
            | 0x17b4..=0x17b5
            | 0x180b..=0x180f
            | 0x200b..=0x200f
            | 0x202a..=0x202e
            | 0x2060..=0x206f
            | 0x3164
            | 0xfe00..=0xfe0f
            | 0xfeff
            | 0xffa0
            | 0xfff0..=0xfff8
            | 0x1_bca0..=0x1_bca3
            | 0x1_d173..=0x1_d17a
            | 0xe_0000..=0xe_0fff
    )
}

/// Parts of a Korean syllable that become one (The Unicode Standard, section 3.12).
#[derive(Default)]
pub(super) struct Hangul {
    /// Its code so far, and whether a last consonant may follow.
    open: Option<(u32, bool)>,
}

impl Hangul {
    /// Whether the character is a part of a syllable, rather than a syllable.
    pub(super) fn is_part(character: char) -> bool {
        matches!(character as u32, 0x1100..=0x1112 | 0x1161..=0x1175 | 0x11a8..=0x11c2)
    }

    /// The next part. Gives a syllable or part that has ended by that.
    pub(super) fn push(&mut self, part: char) -> Option<char> {
        let code = part as u32;
        match (self.open, code) {
            (Some((first @ 0x1100..=0x1112, _)), 0x1161..=0x1175) => {
                let syllable = 0xac00 + ((first - 0x1100) * 21 + (code - 0x1161)) * 28;
                self.open = Some((syllable, true));
                None
            }
            (Some((syllable, true)), 0x11a8..=0x11c2) => {
                self.open = None;
                char::from_u32(syllable + (code - 0x11a7))
            }
            _ => {
                let ended = self.end();
                self.open = Some((code, false));
                ended
            }
        }
    }

    /// Whether a part or syllable waits for more.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// No part follows.
    pub(super) fn end(&mut self) -> Option<char> {
        self.open.take().and_then(|(code, _)| char::from_u32(code))
    }
}

//! The text as detectors read it, and the bytes in which it came.

use std::collections::VecDeque;

use crate::detector::BEFORE;
use crate::folding::{folded, is_unseen};
use crate::stream::Quoting;

/// From here on, one byte of what is read is one of what came, up to the next mark.
#[derive(Clone, Copy, Default)]
struct Mark {
    seen: usize,
    came: usize,
}

/// A part of a text, in two copies. Places are counted in bytes of what is read, from the beginning of all of the text.
pub(super) struct Seen {
    quoting: Quoting,
    /// Whether it is the second reading: what came is the text of the first.
    is_second: bool,
    /// What is read.
    text: String,
    /// The place of its first byte.
    base: usize,
    /// What came.
    came: String,
    came_base: usize,
    /// What holds before the first of `marks`.
    floor: Mark,
    marks: VecDeque<Mark>,
    /// The beginning of an escape, of which the rest is missing. In JSON only.
    escape: String,
}

/// How much of what was shown may be here, in bytes, before it is dropped.
const SLACK: usize = 1024;

impl Seen {
    pub(super) fn new(quoting: Quoting) -> Self {
        Self {
            quoting,
            is_second: false,
            text: String::new(),
            base: 0,
            came: String::new(),
            came_base: 0,
            floor: Mark::default(),
            marks: VecDeque::new(),
            escape: String::new(),
        }
    }

    /// The text of this one without what no reader sees. This far there is nothing such. What came is not kept.
    pub(super) fn without_unseen(&self, to: usize) -> Self {
        let text = self.text.get(..to - self.base).unwrap_or_default().to_owned();
        let floor = Mark { seen: self.base, came: self.base };
        Self {
            text,
            base: self.base,
            came_base: to,
            floor,
            is_second: true,
            ..Self::new(Quoting::Plain)
        }
    }

    /// More of the text has come of which this is the one without what no reader sees.
    pub(super) fn push_seen(&mut self, piece: &str) {
        for c in piece.chars() {
            self.came_base += c.len_utf8();
            if is_unseen(c) {
                self.mark(self.came_base);
            } else {
                self.text.push(c);
            }
        }
    }

    /// The place in the first reading of what begins here.
    pub(super) fn start_of(&self, at: usize) -> usize {
        if !self.is_second {
            return at;
        }
        self.mark_before(self.marks.partition_point(|mark| mark.seen <= at), at)
    }

    /// The place in the first reading of what ends here.
    pub(super) fn end_of(&self, at: usize) -> usize {
        if !self.is_second {
            return at;
        }
        self.mark_before(self.marks.partition_point(|mark| mark.seen < at), at)
    }

    fn mark_before(&self, after: usize, at: usize) -> usize {
        let mark =
            after.checked_sub(1).and_then(|index| self.marks.get(index)).unwrap_or(&self.floor);
        (mark.came + at).saturating_sub(mark.seen)
    }

    /// What is read, as far as it is here; and the place of its first byte.
    pub(super) fn text(&self) -> (&str, usize) {
        (&self.text, self.base)
    }

    /// The place behind the last byte.
    pub(super) fn end(&self) -> usize {
        self.base + self.text.len()
    }

    /// Whether the beginning of an escape waits for its rest.
    pub(super) fn is_in_escape(&self) -> bool {
        !self.escape.is_empty()
    }

    /// The last character that was read.
    pub(super) fn last(&self) -> Option<char> {
        self.text.chars().next_back()
    }

    /// More has come.
    pub(super) fn push(&mut self, piece: &str) {
        let has_escapes = self.quoting == Quoting::Json
            && (!self.escape.is_empty() || piece.as_bytes().contains(&b'\\'));
        if has_escapes {
            self.push_json(piece);
        } else {
            self.push_plain(piece);
        }
    }

    /// Nothing more comes: what waits for its rest is read as it is.
    pub(super) fn finish(&mut self) {
        let escape = std::mem::take(&mut self.escape);
        self.push_plain(&escape);
    }

    /// What came from here to there.
    pub(super) fn came(&self, from: usize, to: usize) -> &str {
        let range = self.place_of(from)..self.place_of(to);
        self.came.get(range).unwrap_or_default()
    }

    /// Drops what was shown, and is no longer needed before what is judged from here on. Seldom: it moves the rest.
    /// How many bytes of what is read were dropped.
    pub(super) fn drop_before(&mut self, judged: usize, shown: usize) -> usize {
        if self.text.len() < SLACK {
            return 0;
        }
        // A character before the place, for what looks at it, and those that a check may look at.
        let mut keep = judged.min(shown).saturating_sub(self.base + BEFORE + 4);
        while !self.text.is_char_boundary(keep) {
            keep -= 1;
        }
        let gone = self.place_of(shown);
        self.came.drain(..gone);
        self.came_base += gone;
        while let Some(mark) = self.marks.front().filter(|mark| mark.seen <= shown) {
            self.floor = *mark;
            self.marks.pop_front();
        }
        self.text.drain(..keep);
        self.base += keep;
        keep
    }

    /// Where in `came` the byte at this place of the text is.
    fn place_of(&self, at: usize) -> usize {
        let after = self.marks.partition_point(|mark| mark.seen <= at);
        self.mark_before(after, at).saturating_sub(self.came_base)
    }

    fn push_plain(&mut self, piece: &str) {
        self.came.push_str(piece);
        if piece.is_ascii() {
            self.text.push_str(piece);
            return;
        }
        let behind = self.came_base + self.came.len() - piece.len();
        for (at, c) in piece.char_indices() {
            let image = folded(c);
            self.text.push(image);
            if image.len_utf8() != c.len_utf8() {
                self.mark(behind + at + c.len_utf8());
            }
        }
    }

    fn push_json(&mut self, piece: &str) {
        for c in piece.chars() {
            if self.escape.is_empty() && c != '\\' {
                self.push_plain(c.encode_utf8(&mut [0; 4]));
                continue;
            }
            self.escape.push(c);
            self.read_escape();
        }
    }

    /// Reads what has come of an escape, if that is all of it.
    fn read_escape(&mut self) {
        let (read, length) = match unescaped(&self.escape) {
            Escape::Incomplete => return,
            Escape::Is(c, length) => (c, length),
        };
        let rest = self.escape.split_off(length.min(self.escape.len()));
        self.came.push_str(&self.escape);
        self.text.push(folded(read));
        self.mark(self.came_base + self.came.len());
        self.escape.clear();
        // What a high surrogate was waiting for, and isn't its other half.
        if !rest.is_empty() {
            self.push_json(&rest);
        }
    }

    fn mark(&mut self, came: usize) {
        self.marks.push_back(Mark { seen: self.end(), came });
    }
}

/// What a backslash and what follows it stand for.
enum Escape {
    /// More must come.
    Incomplete,
    /// This character, written with so many bytes.
    Is(char, usize),
}

/// Reads the escape with which this text begins (RFC 8259, section 7). What is none, stands for what is behind the backslash.
fn unescaped(text: &str) -> Escape {
    let Some(kind) = text.chars().nth(1) else {
        return Escape::Incomplete;
    };
    let plain = |c| Escape::Is(c, 1 + kind.len_utf8());
    match kind {
        'n' => plain('\n'),
        't' => plain('\t'),
        'r' => plain('\r'),
        'b' => plain('\u{8}'),
        'f' => plain('\u{c}'),
        'u' => match unit(text.get(2..).unwrap_or_default()) {
            Unit::Incomplete => Escape::Incomplete,
            Unit::Bad => plain('u'),
            Unit::Is(high @ 0xd800..=0xdbff) => match text.get(6..).unwrap_or_default() {
                "" | "\\" => Escape::Incomplete,
                rest if rest.starts_with("\\u") => match unit(rest.get(2..).unwrap_or_default()) {
                    Unit::Incomplete => Escape::Incomplete,
                    Unit::Is(low @ 0xdc00..=0xdfff) => {
                        let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                        Escape::Is(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
                    }
                    _ => Escape::Is(char::REPLACEMENT_CHARACTER, 6),
                },
                _ => Escape::Is(char::REPLACEMENT_CHARACTER, 6),
            },
            Unit::Is(code) => {
                Escape::Is(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 6)
            }
        },
        other => plain(other),
    }
}

enum Unit {
    Incomplete,
    Bad,
    Is(u32),
}

fn unit(digits: &str) -> Unit {
    let mut value = 0;
    for (index, c) in digits.chars().enumerate() {
        match c.to_digit(16) {
            _ if index == 4 => break,
            Some(digit) => value = value * 16 + digit,
            None => return Unit::Bad,
        }
    }
    if digits.len() < 4 {
        Unit::Incomplete
    } else {
        Unit::Is(value)
    }
}

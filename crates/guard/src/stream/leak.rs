//! Parts of the system prompt in what a model writes.
//!
//! Words are compared, in small letters, and not what is between them: so quotes, lists, line breaks and
//! Markdown change nothing. In scripts that have no blanks between words, two characters count as a word.

use std::sync::Arc;

use crate::finding::{Action, RuleIndex};
use crate::folding::folded;
use crate::words::is_unspaced;

/// How many words of the system prompt in a row are a leak.
pub(super) const WORDS: usize = 12;

/// As many characters behind the first words of a row are one, too, however few words they are.
const CHARACTERS: usize = 128;

/// How many words a row begins with. No earlier is anything held back.
const FIRST: usize = 4;

/// The longest word, in characters, and those that count as nothing. A longer one is taken for several.
const LONGEST_WORD: usize = 64;

/// The longest gap between the words of a row, in characters.
const LONGEST_GAP: usize = 64;

/// What is remembered of a system prompt, at most: as many rows. It is 1 MB.
const MOST_ROWS: usize = 1 << 18;

/// The words of the system prompt.
#[derive(Default)]
pub struct Leak {
    /// A hash of each row of [`FIRST`] words, sorted.
    rows: Vec<u32>,
}

impl std::fmt::Debug for Leak {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leak").field("rows", &self.rows.len()).finish()
    }
}

/// Which rule finds leaks, and what is done.
#[derive(Clone, Debug)]
pub struct LeakRule {
    /// The rule that findings name.
    pub rule: RuleIndex,
    /// What is done.
    pub action: Action,
    /// What takes the place of what is masked.
    pub label: Box<str>,
}

impl Leak {
    /// The words of these texts. Texts of fewer than 12 words can't leak.
    pub fn of<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let mut rows = Vec::new();
        for text in texts {
            let mut reader = Reader::default();
            let mut of_text = Vec::new();
            let mut weight = 0;
            let mut add = |row: &Row| {
                weight += row.last().weight;
                of_text.extend(row.hash());
            };
            for c in text.chars() {
                reader.read(folded(c), 0, 0, &mut add);
            }
            reader.end_word(&mut add);
            if weight >= WORDS * WORD {
                rows.append(&mut of_text);
            }
            rows.truncate(MOST_ROWS);
        }
        rows.sort_unstable();
        rows.dedup();
        rows.shrink_to_fit();
        Self { rows }
    }

    /// Whether there is nothing that could leak.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn has(&self, row: &Row) -> bool {
        row.hash().is_some_and(|hash| self.rows.binary_search(&hash).is_ok())
    }
}

/// Looks for a leak in one text. Places are counted in bytes from its beginning.
pub(super) struct Tracker {
    leak: Arc<Leak>,
    pub(super) rule: LeakRule,
    reader: Reader,
    /// How far the text was read.
    read: usize,
    run: Option<Run>,
}

/// Words in a row that are in the system prompt, too: [`FIRST`] at least.
struct Run {
    weight: usize,
    /// Behind the first words: nothing is shown from there on.
    held_from: usize,
    /// As many characters were read before that.
    count: usize,
    /// Where the word begins that follows them, if it has come.
    start: Option<usize>,
    /// Behind the last word.
    end: usize,
    is_leak: bool,
}

impl Tracker {
    pub(super) fn new(leak: Arc<Leak>, rule: LeakRule) -> Self {
        Self { leak, rule, reader: Reader::default(), read: 0, run: None }
    }

    /// Reads what has come. Says where leaks have begun in it, and how far they go by now; and the same of the one that
    /// had begun before.
    pub(super) fn read(
        &mut self,
        text: &str,
        base: usize,
        ends: bool,
        begun: &mut Vec<(usize, usize)>,
    ) -> Option<(usize, usize)> {
        let (leak, run) = (&self.leak, &mut self.run);
        let mut earlier = None;
        let mut add = |row: &Row| {
            if !leak.has(row) {
                *run = None;
                return;
            }
            let last = row.last();
            let Some(run) = run else {
                let weight = row.words.iter().map(|word| word.weight).sum();
                let (held_from, count, end) = (last.end, last.count, last.end);
                *run = Some(Run { weight, held_from, count, start: None, end, is_leak: false });
                return;
            };
            run.weight += last.weight;
            run.end = last.end;
            let start = *run.start.get_or_insert(last.start);
            let was_leak = run.is_leak;
            run.is_leak |= run.weight >= WORDS * WORD || last.count - run.count > CHARACTERS;
            match begun.last_mut() {
                Some((begin, end)) if was_leak && *begin == start => *end = run.end,
                _ if was_leak => earlier = Some((start, run.end)),
                _ if run.is_leak => begun.push((start, run.end)),
                _ => {}
            }
        };
        let new = text.get(self.read - base..).unwrap_or_default();
        for (at, c) in new.char_indices() {
            self.reader.read(c, self.read + at, self.read + at + c.len_utf8(), &mut add);
        }
        if ends {
            self.reader.end_word(&mut add);
        }
        self.read += new.len();
        if ends || self.reader.gap > LONGEST_GAP {
            self.run = None;
        }
        earlier
    }

    /// From where on nothing may be shown yet.
    pub(super) fn held_from(&self) -> Option<usize> {
        if self.rule.action == Action::Log {
            return None;
        }
        self.run.as_ref().map(|run| if run.is_leak { run.end } else { run.held_from })
    }
}

/// What a word counts. A character of a script without blanks counts the half.
const WORD: usize = 2;

#[derive(Clone, Copy, Default)]
struct Word {
    hash: u64,
    weight: usize,
    start: usize,
    /// Behind it, in bytes.
    end: usize,
    /// The same in characters.
    count: usize,
}

/// The last words.
#[derive(Default)]
struct Row {
    words: [Word; FIRST],
    length: usize,
}

impl Row {
    fn push(&mut self, word: Word) {
        self.words.rotate_left(1);
        let [.., last] = &mut self.words;
        *last = word;
        self.length += 1;
    }

    fn last(&self) -> Word {
        let [.., last] = self.words;
        last
    }

    /// `None`: there are not enough of them.
    fn hash(&self) -> Option<u32> {
        let mix = |all: u64, word: &Word| {
            (all.rotate_left(23) ^ word.hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        };
        let hash = self.words.iter().fold(0, mix) >> 32;
        u32::try_from(hash).ok().filter(|_| self.length >= FIRST)
    }
}

/// Tells the words of a text.
#[derive(Default)]
struct Reader {
    row: Row,
    /// Of the word that has begun: its hash, its letters, and all of its characters.
    hash: u64,
    letters: usize,
    length: usize,
    /// Whether it has digits alone.
    is_number: bool,
    start: usize,
    /// Where it ends, as far as it has come.
    end: usize,
    end_count: usize,
    /// Characters since the last word.
    gap: usize,
    /// Characters of the text.
    count: usize,
}

impl Reader {
    /// The next character, its place, and the one behind it. Calls with each word that has ended.
    fn read(&mut self, c: char, at: usize, behind: usize, add: &mut impl FnMut(&Row)) {
        self.count += 1;
        if c.is_ascii_alphanumeric() {
            self.letter(u32::from(c.to_ascii_lowercase()), at, behind);
        } else if is_nothing(c) {
            if self.letters == 0 {
                self.space();
            } else {
                self.length += 1;
            }
        } else if c.is_ascii() || !c.is_alphanumeric() {
            self.end_word(add);
            self.space();
        } else if is_unspaced(c) {
            self.end_word(add);
            self.letter(u32::from(c), at, behind);
            self.push(1, add);
        } else {
            for lower in c.to_lowercase() {
                self.letter(u32::from(lower), at, behind);
            }
        }
        if self.length >= LONGEST_WORD {
            self.end_word(add);
        }
    }

    /// The word has ended, if one has begun.
    fn end_word(&mut self, add: &mut impl FnMut(&Row)) {
        // The numbers of lists are no words.
        if self.is_number && self.letters <= 2 {
            self.gap += self.letters;
            (self.letters, self.length) = (0, 0);
        }
        if self.letters > 0 {
            self.push(WORD, add);
        }
    }

    fn letter(&mut self, code: u32, at: usize, behind: usize) {
        // FNV-1a.
        const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0100_0000_01b3;
        if self.letters == 0 {
            (self.hash, self.start, self.is_number) = (BASIS, at, true);
        }
        self.is_number &= code < 0x3a;
        self.hash = (self.hash ^ u64::from(code)).wrapping_mul(PRIME);
        self.letters += 1;
        self.length += 1;
        (self.end, self.end_count) = (behind, self.count);
    }

    fn space(&mut self) {
        self.gap += 1;
        if self.gap > LONGEST_GAP {
            self.row.length = 0;
        }
    }

    fn push(&mut self, weight: usize, add: &mut impl FnMut(&Row)) {
        self.row.push(Word {
            hash: self.hash,
            weight,
            start: self.start,
            end: self.end,
            count: self.end_count,
        });
        (self.letters, self.length, self.gap) = (0, 0, 0);
        add(&self.row);
    }
}

/// Whether a word is the same without it: marks of Markdown, accents, and what has no width.
fn is_nothing(c: char) -> bool {
    matches!(c, '*' | '_' | '`' | '~' | '\'' | '\u{ad}' | '\u{300}'..='\u{36f}' | '\u{2018}' | '\u{2019}'
        | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{fe0f}' | '\u{feff}')
}

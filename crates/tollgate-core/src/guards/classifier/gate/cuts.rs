//! How the texts of an answer are cut for one judge, and which windows it has judged.

use std::collections::VecDeque;

/// How many texts are remembered of which nothing is new, for the windows to come.
const MAX_TAILS: usize = 64;

/// The part of a window that was in the one before: a quarter.
const OVERLAP: usize = 4;

/// How a judge is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How much it is shown at once, in bytes, at least 64.
    pub window: usize,
    /// The most windows of one answer.
    pub most: usize,
    /// Whether an answer waits for it.
    pub blocks: bool,
}

/// What a judge is shown at once.
#[derive(Clone, PartialEq, Eq)]
pub struct Cut {
    /// In which round it was cut: what is cut at the same time is of the same round.
    pub round: u64,
    /// The text.
    pub text: Box<str>,
}

/// Not the text.
impl std::fmt::Debug for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cut").field("round", &self.round).finish_non_exhaustive()
    }
}

/// The windows for one judge.
pub(super) struct Cuts {
    shape: Shape,
    /// How much text is new since the last round.
    fresh: usize,
    texts: Vec<Tail>,
    /// How many rounds were cut.
    rounds: u64,
    /// How many of them were judged, from the first on.
    judged: u64,
    /// Of those that come then, how many windows are not.
    open: VecDeque<usize>,
    made: usize,
    due: Vec<Cut>,
    is_dismissed: bool,
}

/// The end of a text.
struct Tail {
    of: Of,
    text: String,
    /// Where in it what is new begins.
    new: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Pieces(u64),
    Whole(u64),
}

impl Cuts {
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            shape: Shape { window: shape.window.max(64), ..shape },
            fresh: 0,
            texts: Vec::new(),
            rounds: 0,
            judged: 0,
            open: VecDeque::new(),
            made: 0,
            due: Vec::new(),
            is_dismissed: false,
        }
    }

    fn overlap(&self) -> usize {
        self.shape.window / OVERLAP
    }

    /// More of a text: of the one with this `id`, or else the one with that `number`, which comes as a whole.
    pub(super) fn say(&mut self, id: Option<u64>, number: u64, mut text: &str) {
        if self.is_dismissed {
            return;
        }
        let of = id.map_or(Of::Whole(number), Of::Pieces);
        let step = self.shape.window.saturating_sub(self.overlap());
        while !text.is_empty() {
            let mut len = text.len().min(step.saturating_sub(self.fresh));
            while !text.is_char_boundary(len) {
                len -= 1;
            }
            let (now, later) = text.split_at(len);
            if !now.is_empty() {
                self.add(of, now);
            }
            text = later;
            if !text.is_empty() || self.fresh >= step {
                self.cut();
            }
        }
    }

    /// Adds to the end of a text.
    fn add(&mut self, of: Of, piece: &str) {
        match self.texts.iter_mut().rev().find(|tail| tail.of == of) {
            Some(tail) => tail.text.push_str(piece),
            None => self.texts.push(Tail { of, text: piece.to_owned(), new: 0 }),
        }
        self.fresh += piece.len();
    }

    /// What is new of each text is in a window now.
    pub(super) fn cut(&mut self) {
        if self.fresh == 0 || self.is_dismissed {
            return;
        }
        self.fresh = 0;
        self.rounds += 1;
        let before = self.due.len();
        let overlap = self.overlap();
        for tail in self.texts.iter_mut().filter(|tail| tail.new < tail.text.len()) {
            let this_round = self.due.get(before..).unwrap_or_default();
            let is_said = this_round.iter().any(|cut| *cut.text == *tail.text);
            // Some servers take an empty text for an error.
            if !is_said && !tail.text.trim().is_empty() {
                self.due.push(Cut { round: self.rounds, text: tail.text.as_str().into() });
            }
            let mut start = tail.text.len().saturating_sub(overlap);
            while !tail.text.is_char_boundary(start) {
                start += 1;
            }
            tail.text.drain(..start);
            tail.new = tail.text.len();
        }
        if self.texts.len() > MAX_TAILS {
            self.texts.drain(..self.texts.len() - MAX_TAILS);
        }
        let count = self.due.len() - before;
        self.made += count;
        self.open.push_back(count);
        self.settle();
    }

    pub(super) fn take(&mut self) -> Vec<Cut> {
        std::mem::take(&mut self.due)
    }

    pub(super) fn is_too_much(&self) -> bool {
        self.made > self.shape.most
    }

    pub(super) fn judged(&mut self, round: u64) {
        let index =
            round.checked_sub(self.judged + 1).and_then(|index| usize::try_from(index).ok());
        if let Some(left) = index.and_then(|index| self.open.get_mut(index)) {
            *left = left.saturating_sub(1);
        }
        self.settle();
    }

    fn settle(&mut self) {
        while self.open.front() == Some(&0) {
            self.open.pop_front();
            self.judged += 1;
        }
    }

    pub(super) fn dismiss(&mut self) {
        self.is_dismissed = true;
        self.texts.clear();
        self.due.clear();
    }

    /// Up to which round has to be judged what has come.
    pub(super) fn need(&self) -> u64 {
        self.rounds + u64::from(self.fresh > 0)
    }

    pub(super) fn lets_pass(&self, need: u64) -> bool {
        !self.shape.blocks || self.is_dismissed || self.judged >= need
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.is_dismissed && self.judged < self.need()
    }
}

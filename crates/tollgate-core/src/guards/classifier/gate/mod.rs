//! What of an answer goes on to its client, and what waits until classifiers have judged the texts in it.
//!
//! The texts of an answer are judged in windows. Where these are cut depends on the texts alone: whenever a certain
//! number of bytes of text is new, of all texts together, there is a window of each text with something new in it,
//! which begins with the end of the one before. So a text that is followed by another one (reasoning, by the answer)
//! doesn't wait for more of its own.
//!
//! Bytes go on when all text that has come before them, or with them, was judged.

mod cuts;

use std::collections::VecDeque;

use siphasher::sip128::{Hasher128 as _, SipHasher13};
use smallvec::SmallVec;
use std::hash::Hasher as _;

use cuts::Cuts;
pub use cuts::{Cut, Shape};

/// How many bytes of an answer wait, when no more of it are to be read. Then what there is of texts is cut.
pub const MAX_HELD: usize = 256 << 10;

/// Of how many texts it is known what they said.
const MAX_KNOWN: usize = 1024;

/// Which text of an answer a piece belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// A piece of this one.
    Piece(u64),
    /// It is all of a text, which may have come in pieces before.
    Whole,
}

/// An answer before those who judge it.
pub struct Gate {
    key: [u8; 16],
    judges: Vec<Cuts>,
    frames: VecDeque<Frame>,
    held: usize,
    known: VecDeque<Known>,
    /// The number of the next text that comes as a whole.
    next: u64,
}

/// Bytes of an answer, and up to which round each judge has to have judged its texts.
struct Frame {
    needs: SmallVec<[u64; 2]>,
    bytes: Vec<u8>,
}

/// What a text has said, for when it is told again.
struct Known {
    /// `None`: it came as a whole.
    id: Option<u64>,
    len: usize,
    hasher: SipHasher13,
}

/// Nothing of what it holds.
impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("held", &self.held).finish_non_exhaustive()
    }
}

impl Gate {
    /// An answer for these judges. `key` must be random, and secret: a model that knows it can tell another text as
    /// one that was judged.
    #[must_use]
    pub fn new(shapes: impl IntoIterator<Item = Shape>, key: [u8; 16]) -> Self {
        Self {
            key,
            judges: shapes.into_iter().map(Cuts::new).collect(),
            frames: VecDeque::new(),
            held: 0,
            known: VecDeque::new(),
            next: 0,
        }
    }

    /// Text has come. What was said before, and is told again as a whole, is not judged again.
    pub fn say(&mut self, said: Said, text: &str) {
        if text.is_empty() {
            return;
        }
        let id = match said {
            Said::Piece(id) => self.know_piece(id, text),
            Said::Whole if self.is_known(text) => return,
            Said::Whole => {
                let mut hasher = SipHasher13::new_with_key(&self.key);
                hasher.write(text.as_bytes());
                self.know(Known { id: None, len: text.len(), hasher });
                self.next = self.next.wrapping_add(1);
                None
            }
        };
        for judge in &mut self.judges {
            judge.say(id, self.next, text);
        }
    }

    fn know_piece(&mut self, id: u64, piece: &str) -> Option<u64> {
        let known = self.known.iter_mut().rev().find(|known| known.id == Some(id));
        match known {
            Some(known) => {
                known.len = known.len.saturating_add(piece.len());
                known.hasher.write(piece.as_bytes());
            }
            None => {
                let mut hasher = SipHasher13::new_with_key(&self.key);
                hasher.write(piece.as_bytes());
                self.know(Known { id: Some(id), len: piece.len(), hasher });
            }
        }
        Some(id)
    }

    fn know(&mut self, known: Known) {
        if self.known.len() >= MAX_KNOWN {
            self.known.pop_front();
        }
        self.known.push_back(known);
    }

    fn is_known(&self, text: &str) -> bool {
        let mut digest = None;
        self.known.iter().filter(|known| known.len == text.len()).any(|known| {
            let digest = digest.get_or_insert_with(|| {
                let mut hasher = SipHasher13::new_with_key(&self.key);
                hasher.write(text.as_bytes());
                hasher.finish128().as_u128()
            });
            known.hasher.finish128().as_u128() == *digest
        })
    }

    /// Bytes have come, with or behind the texts that were said.
    pub fn put(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let needs: SmallVec<[u64; 2]> = self.judges.iter().map(Cuts::need).collect();
        self.held = self.held.saturating_add(bytes.len());
        match self.frames.back_mut().filter(|last| last.needs == needs) {
            Some(last) => last.bytes.extend_from_slice(bytes),
            None => self.frames.push_back(Frame { needs, bytes: bytes.to_vec() }),
        }
        if self.is_full() {
            self.cut();
        }
    }

    /// No more comes.
    pub fn finish(&mut self) {
        self.cut();
    }

    fn cut(&mut self) {
        self.judges.iter_mut().for_each(Cuts::cut);
    }

    /// What a judge is to be asked about that it was not asked yet.
    pub fn take_cuts(&mut self, judge: usize) -> Vec<Cut> {
        self.judges.get_mut(judge).map(Cuts::take).unwrap_or_default()
    }

    /// Whether there is more text than the judge may be asked about.
    #[must_use]
    pub fn is_too_much(&self, judge: usize) -> bool {
        self.judges.get(judge).is_some_and(Cuts::is_too_much)
    }

    /// The judge lets a window of this round pass.
    pub fn judged(&mut self, judge: usize, round: u64) {
        if let Some(judge) = self.judges.get_mut(judge) {
            judge.judged(round);
        }
    }

    /// The judge isn't asked any more, and nothing waits for it.
    pub fn dismiss(&mut self, judge: usize) {
        if let Some(judge) = self.judges.get_mut(judge) {
            judge.dismiss();
        }
    }

    /// Adds to `out` what may go on by now.
    pub fn take_passed(&mut self, out: &mut Vec<u8>) {
        while let Some(frame) = self.frames.front() {
            let mut needs = self.judges.iter().zip(&frame.needs);
            if !needs.all(|(judge, need)| judge.lets_pass(*need)) {
                break;
            }
            self.held = self.held.saturating_sub(frame.bytes.len());
            out.extend_from_slice(&frame.bytes);
            self.frames.pop_front();
        }
    }

    /// The answer goes no further: what waits is not shown, and nobody is asked about it.
    pub fn close(&mut self) {
        self.frames.clear();
        self.held = 0;
        self.judges.iter_mut().for_each(Cuts::dismiss);
    }

    /// Whether there is anything that isn't judged, by whomever.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.frames.is_empty() || self.judges.iter().any(Cuts::is_waiting)
    }

    /// Whether no more is to be read before something was judged.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.held >= MAX_HELD
    }
}

#[cfg(test)]
mod tests;

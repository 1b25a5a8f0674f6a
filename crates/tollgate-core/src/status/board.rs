//! What is written where in the file.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use super::{Description, SetState, Worker};

/// The format.
const MAGIC: [u8; 8] = *b"tgstat\0\x02";
/// The magic number; how many sets and workers there are; the length of the description, its checksum.
pub(super) const HEADER: usize = 40;
/// The bytes that a state has room for, twice.
const ROOM: usize = 16 << 10;
/// In front of each copy: its length and its checksum.
const COPY: usize = 16 + ROOM;
/// In front of both copies: the turn, which says which of them counts, and goes up by one with each
/// change; 0: neither.
const SET: usize = 8 + 2 * COPY;
/// Of a worker: pid, phase, sign of life; behind them a generation for each set.
const WORKER: usize = 24;

/// Bytes, and where in the file they belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// From the start of the file on, in bytes.
    pub at: u64,
    /// What is written there.
    pub bytes: Vec<u8>,
}

/// Where everything is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    pub(super) sets: usize,
    pub(super) workers: usize,
    /// Bytes of the description.
    pub(super) described: usize,
}

impl Board {
    /// The file of a configuration with so many workers, and what it holds in the beginning.
    #[must_use]
    pub fn new(description: &Description, workers: usize) -> (Self, Vec<u8>) {
        // Strings, numbers and arrays of them: nothing that has no JSON.
        let text = serde_json::to_vec(description).unwrap_or_default();
        let board = Self { sets: description.sets.len(), workers, described: text.len() };
        let mut file = MAGIC.to_vec();
        for number in [board.sets, board.workers, board.described] {
            file.extend_from_slice(&(number as u64).to_le_bytes());
        }
        file.extend_from_slice(&checksum(0, &text).to_le_bytes());
        file.extend_from_slice(&text);
        file.resize(board.len(), 0);
        (board, file)
    }

    /// The layout of a file that says so.
    pub(super) fn read(file: &[u8]) -> Option<Self> {
        let mut numbers =
            file.strip_prefix(&MAGIC)?.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
        let mut next = || numbers.next().and_then(|number| usize::try_from(number).ok());
        let board = Self { sets: next()?, workers: next()?, described: next()? };
        // Sums and products are at most the largest number: what is too much by itself, is so in all.
        (board.len() <= file.len()).then_some(board)
    }

    fn sets_at(self) -> usize {
        HEADER.saturating_add(self.described)
    }

    fn workers_at(self) -> usize {
        self.sets_at().saturating_add(self.sets.saturating_mul(SET))
    }

    fn worker_len(self) -> usize {
        WORKER.saturating_add(self.sets.saturating_mul(8))
    }

    fn len(self) -> usize {
        self.workers_at().saturating_add(self.workers.saturating_mul(self.worker_len()))
    }

    /// Where the bytes of a set are, and how many, for [`Board::read_set`].
    #[must_use]
    pub fn set(self, set: usize) -> Option<(usize, usize)> {
        let at = self.sets_at().saturating_add(set.saturating_mul(SET));
        (set < self.sets).then_some((at, SET))
    }

    pub(super) fn worker_at(self, worker: usize) -> Option<(usize, usize)> {
        let len = self.worker_len();
        let at = self.workers_at().saturating_add(worker.saturating_mul(len));
        (worker < self.workers).then_some((at, len))
    }

    /// The bytes that a worker locks as long as it lives, with a lock of its process (fcntl(2)): where they
    /// are, and how many. What it says of itself lies there.
    #[must_use]
    pub fn worker_lock(self, worker: usize) -> Option<(u64, u64)> {
        self.worker_at(worker).map(|(at, len)| (at as u64, len as u64))
    }

    /// The turn of a set, and its state: `None`, if there is none that is whole.
    #[must_use]
    pub fn read_set(bytes: &[u8]) -> (u64, Option<SetState>) {
        let Some((turn, copies)) = bytes.split_first_chunk() else { return (0, None) };
        let turn = u64::from_le_bytes(*turn);
        let read = || {
            let copy = copies.chunks_exact(COPY).nth(usize::from(turn & 1 != 0))?;
            let (len, copy) = copy.split_first_chunk()?;
            let (sum, text) = copy.split_first_chunk()?;
            let text = text.get(..usize::try_from(u64::from_le_bytes(*len)).ok()?)?;
            let is_whole = turn != 0 && u64::from_le_bytes(*sum) == checksum(turn, text);
            is_whole.then(|| serde_json::from_slice(text).ok()).flatten()
        };
        (turn, read())
    }

    /// What says that this was made of a set, in the order in which it is to be written: before the
    /// last part is, the file says what it said before. `turn` is that of before. One process at a time
    /// may write.
    #[must_use]
    pub fn set_parts(self, set: usize, turn: u64, state: &SetState) -> Option<[Part; 2]> {
        let (at, _) = self.set(set)?;
        let turn = turn.wrapping_add(1).max(1);
        let copy = at.saturating_add(8).saturating_add(if turn & 1 == 0 { 0 } else { COPY });
        let text = fitting(state);
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(&checksum(turn, &text).to_le_bytes());
        bytes.extend_from_slice(&text);
        let turn = turn.to_le_bytes().to_vec();
        Some([Part { at: copy as u64, bytes }, Part { at: at as u64, bytes: turn }])
    }

    /// What a worker says of itself.
    #[must_use]
    pub fn worker_part(self, index: usize, worker: &Worker) -> Option<Part> {
        let (at, _) = self.worker_at(index)?;
        let mut bytes = Vec::with_capacity(self.worker_len());
        for word in [u64::from(worker.pid), worker.phase.word(), worker.sign.word()] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        for generation in worker.generations.iter().take(self.sets) {
            bytes.extend_from_slice(&generation.to_le_bytes());
        }
        Some(Part { at: at as u64, bytes })
    }
}

/// What tells a whole copy from one that is being written: not against an enemy, who has no business
/// with the file.
pub(super) fn checksum(turn: u64, bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(u64::from_le_bytes(MAGIC), turn);
    hasher.write(bytes);
    hasher.finish()
}

/// The state as a text for which there is room: what is told first goes last.
fn fitting(state: &SetState) -> Vec<u8> {
    let text_of = |state: &SetState| serde_json::to_vec(state).unwrap_or_default();
    let mut text = text_of(state);
    if text.len() <= ROOM {
        return text;
    }
    let mut short = state.clone();
    while text.len() > ROOM {
        if short.refused.pop().or_else(|| short.warnings.pop()).is_none() {
            // Of hundreds of files in one set, the digests are too many.
            let version = state.version.clone();
            let SetState { generation, since_ms, keys, .. } = *state;
            short = SetState { generation, since_ms, keys, version, ..SetState::default() };
        }
        text = text_of(&short);
    }
    text
}

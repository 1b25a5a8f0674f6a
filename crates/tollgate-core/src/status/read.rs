//! The file, as it is read from outside.

use std::io;

use super::board::{checksum, Board, HEADER};
use super::{Description, Phase, SetState};

/// A worker that gave no sign of life for so long is taken for dead, in milliseconds.
pub const WORKER_SILENCE_MS: i64 = 3000;

/// How often a file is read until it stays the same meanwhile.
const TRIES: usize = 10;

/// What the file says at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What doesn't change.
    pub description: Description,
    /// What was made of each set; `None`: that was being written just now, or was never said.
    pub sets: Vec<Option<SetState>>,
    /// The workers of the configuration: as many as there are to be.
    pub workers: Vec<Worker>,
}

/// A worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    /// The number of its process; 0: there was none yet.
    pub pid: u32,
    /// How far it is.
    pub phase: Phase,
    /// How it shows that it is there.
    pub sign: Sign,
    /// What its requests use of each set; 0: nothing.
    pub generations: Vec<u64>,
}

/// How a worker shows that it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It locks its part of the file ([`Board::worker_lock`]) until it ends.
    Lock,
    /// It can't. It was there at this moment, in milliseconds since 1970, and says so again and again.
    Beat(i64),
}

impl Sign {
    pub(super) fn word(self) -> u64 {
        match self {
            Self::Lock => u64::MAX,
            Self::Beat(ms) => u64::try_from(ms).unwrap_or(0),
        }
    }

    fn of(word: u64) -> Self {
        match word {
            u64::MAX => Self::Lock,
            ms => Self::Beat(i64::try_from(ms).unwrap_or(0)),
        }
    }
}

impl Worker {
    /// Whether it was alive a moment ago, and takes new requests.
    #[must_use]
    pub fn is_serving(&self, now_ms: i64) -> bool {
        self.phase == Phase::Running && self.was_seen(now_ms)
    }

    fn was_seen(&self, now_ms: i64) -> bool {
        self.pid != 0
            && match self.sign {
                // One whose lock nobody holds is gone: so it was read.
                Sign::Lock => true,
                Sign::Beat(ms) => now_ms.saturating_sub(ms).saturating_abs() <= WORKER_SILENCE_MS,
            }
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (words, _) = bytes.as_chunks();
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        Some(Self {
            pid: u32::try_from(words.next()?).unwrap_or(0),
            phase: Phase::of(words.next()?),
            sign: Sign::of(words.next()?),
            generations: words.collect(),
        })
    }
}

impl Status {
    /// Reads the file as it is at one moment; `None`: it is none of this version. `content` is all of it;
    /// `is_locked` says whether some process has locked bytes of it: where, and how many.
    ///
    /// # Errors
    ///
    /// Those of the two.
    pub fn look(
        mut content: impl FnMut() -> io::Result<Vec<u8>>,
        mut is_locked: impl FnMut(u64, u64) -> io::Result<bool>,
    ) -> io::Result<Option<Self>> {
        let mut file = content()?;
        for _ in 1..TRIES {
            let found = Self::read(&file, &mut is_locked)?;
            // Whoever replaces a worker writes before it has the lock: so nobody is taken for that one.
            let again = content()?;
            if again == file {
                return Ok(found);
            }
            file = again;
        }
        Self::read(&file, &mut is_locked)
    }

    fn read(
        file: &[u8],
        mut is_locked: impl FnMut(u64, u64) -> io::Result<bool>,
    ) -> io::Result<Option<Self>> {
        let Some((mut status, board)) = Self::parse(file) else { return Ok(None) };
        for (index, worker) in status.workers.iter_mut().enumerate() {
            let Some((at, len)) = board.worker_lock(index) else { continue };
            if worker.sign == Sign::Lock && !is_locked(at, len)? {
                worker.phase = Phase::Gone;
            }
        }
        Ok(Some(status))
    }

    fn parse(file: &[u8]) -> Option<(Self, Board)> {
        let board = Board::read(file)?;
        let part = |(at, len): (usize, usize)| file.get(at..at.checked_add(len)?);
        let text = part((HEADER, board.described))?;
        let sum = part((HEADER - 8, 8))?.first_chunk().map(|sum| u64::from_le_bytes(*sum));
        if sum != Some(checksum(0, text)) {
            return None;
        }
        let description: Description = serde_json::from_slice(text).ok()?;
        if description.sets.len() != board.sets {
            return None;
        }
        let state = |set| Board::read_set(part(board.set(set)?)?).1;
        let worker = |index| Worker::read(part(board.worker_at(index)?)?);
        let status = Self {
            sets: (0..board.sets).map(state).collect(),
            workers: (0..board.workers).map(worker).collect::<Option<_>>()?,
            description,
        };
        Some((status, board))
    }

    /// Whether nginx runs, or has just begun: else the file was left behind.
    #[must_use]
    pub fn is_alive(&self, now_ms: i64) -> bool {
        let age = now_ms.saturating_sub(self.description.since_ms).saturating_abs();
        let is_new = age <= WORKER_SILENCE_MS && self.workers.iter().all(|worker| worker.pid == 0);
        let lives = |worker: &Worker| worker.phase != Phase::Gone && worker.was_seen(now_ms);
        is_new || self.workers.iter().any(lives)
    }

    /// How many workers take new requests, and judge them by what is in force of this set.
    #[must_use]
    pub fn following(&self, set: usize, now_ms: i64) -> usize {
        let Some(Some(state)) = self.sets.get(set) else { return 0 };
        let follows = |worker: &&Worker| {
            worker.is_serving(now_ms) && worker.generations.get(set) == Some(&state.generation)
        };
        self.workers.iter().filter(follows).count()
    }
}

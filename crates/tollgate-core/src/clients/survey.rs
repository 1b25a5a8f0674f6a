//! Going through all clients to find who is nearest to a limit, while somebody wants to know: a part at a time, by
//! whichever worker comes.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use super::directory::Directory;
use crate::clock::UnixMillis;

/// For how long after somebody has asked that goes on: more than the time between two scrapes.
const WANTED_MS: u64 = 90_000;
/// From one round to the next.
const ROUND_MS: u64 = 2_000;

const WORD_WANTED: usize = 0;
const WORD_ROUND: usize = 1;
const WORD_NEXT: usize = 2;

/// How far that has come.
#[derive(Clone, Copy, Debug)]
pub struct Survey<'m> {
    /// Until when it is wanted.
    wanted: &'m AtomicU64,
    /// When this round began.
    round: &'m AtomicU64,
    /// The next entry of this round.
    next: &'m AtomicU64,
    given: u32,
}

fn ms(now: UnixMillis) -> u64 {
    u64::try_from(now.0).unwrap_or(0)
}

impl<'m> Survey<'m> {
    /// That of a directory.
    #[must_use]
    pub fn of(directory: &Directory<'m>) -> Option<Self> {
        let word = |at: usize| directory.survey().get(at);
        Some(Self {
            wanted: word(WORD_WANTED)?,
            round: word(WORD_ROUND)?,
            next: word(WORD_NEXT)?,
            given: directory.given(),
        })
    }

    /// Somebody wants to know.
    pub fn want(&self, now: UnixMillis) {
        let until = ms(now).saturating_add(WANTED_MS);
        if self.wanted.load(Ordering::Relaxed) < until {
            self.wanted.store(until, Ordering::Relaxed);
        }
    }

    /// The entries that this worker is to look at now, at most so many; `None`: none.
    pub fn part(&self, now: UnixMillis, count: u32) -> Option<Range<u32>> {
        let until = self.wanted.load(Ordering::Relaxed);
        let now = ms(now);
        // A clock that was put back must not make it go on for ever.
        if now >= until || until > now.saturating_add(2 * WANTED_MS) {
            return None;
        }
        if self.next.load(Ordering::Relaxed) >= u64::from(self.given) {
            let began = self.round.load(Ordering::Relaxed);
            let is_due = now.abs_diff(began) >= ROUND_MS;
            let swap =
                || self.round.compare_exchange(began, now, Ordering::AcqRel, Ordering::Relaxed);
            if !is_due || swap().is_err() {
                return None;
            }
            self.next.store(0, Ordering::Relaxed);
        }
        let start = self.next.fetch_add(count.into(), Ordering::Relaxed);
        let start = u32::try_from(start).ok().filter(|start| *start < self.given)?;
        if start == 0 {
            self.round.store(now, Ordering::Relaxed);
        }
        Some(start..start.saturating_add(count).min(self.given))
    }
}

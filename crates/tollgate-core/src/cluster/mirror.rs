//! What the limits of the node's zone show of those in the store.
//!
//! The zone's own word of a limit stays in use: it says how the limit of the whole cluster stands, and refuses whoever
//! has nothing left without a lease being touched. It may be wrong for a moment, which costs a wait or a refusal, and
//! never lets anybody through: that takes a lease.

use std::collections::HashMap;

use super::super::limits::ask::{period_of, Kind};
use super::super::limits::{Key, Now, Quota, Scale, Zone};

/// The limits of a node that show those in the store.
pub trait Mirror {
    /// How much is in use of a limit here: tokens of a bucket for which `terms` are its rate (tokens a period) and
    /// capacity, nano-units, or requests in flight.
    fn in_use(&mut self, key: Key, word: usize, terms: (u32, u32)) -> u64;

    /// Sets it, but for requests in flight.
    fn show(&mut self, key: Key, word: usize, terms: (u32, u32), used: u64);
}

/// The limits of a zone.
#[derive(Debug)]
pub struct ZoneMirror<'z> {
    zone: Zone<'z>,
    now: Now,
    /// Those that came before: one takes a while to compute.
    scales: HashMap<Quota, Scale>,
}

/// More quotas than any configuration has.
const MOST_SCALES: usize = 4_096;

impl<'z> ZoneMirror<'z> {
    /// Those of this zone, at `now`; its wall clock is the store's.
    #[must_use]
    pub fn new(zone: Zone<'z>, now: Now) -> Self {
        Self { zone, now, scales: HashMap::new() }
    }

    /// Goes on to a later moment.
    pub fn at(&mut self, now: Now) {
        self.now = now;
    }

    fn scale(&mut self, word: usize, (count, capacity): (u32, u32)) -> Option<Scale> {
        if Kind::of(word) != Kind::Bucket {
            return None;
        }
        let quota = Quota::new(count, period_of(word), capacity).ok()?;
        if self.scales.len() >= MOST_SCALES {
            self.scales.clear();
        }
        Some(*self.scales.entry(quota).or_insert_with(|| self.zone.scale(quota)))
    }
}

impl Mirror for ZoneMirror<'_> {
    fn in_use(&mut self, key: Key, word: usize, terms: (u32, u32)) -> u64 {
        let scale = self.scale(word, terms);
        self.zone.in_use(key, word, scale.as_ref(), self.now)
    }

    fn show(&mut self, key: Key, word: usize, terms: (u32, u32), used: u64) {
        let scale = self.scale(word, terms);
        self.zone.set_in_use(key, word, (scale.as_ref(), used), self.now);
    }
}

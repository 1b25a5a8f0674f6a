//! Which limits of the zone have begun anew lately: what a settlement asks before it gives back. See
//! [`reset`](super::reset).

use super::ask::{Dimension, Kind, Take, ROW};
use super::key::Key;
use super::sync::{AtomicU64, Ordering};

/// Resets that are remembered: each that happens while a request is in flight. Were there more, the request is
/// given back what it had reserved, as if there was none.
pub(super) const REMEMBERED: usize = 8;

/// Words of the zone's header: how many resets there were, and whose the last ones were.
pub(super) const WORDS: usize = 1 + REMEMBERED;

/// What begins anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reset {
    /// All buckets and budgets.
    #[default]
    All,
    /// The buckets of one dimension.
    Buckets(Dimension),
    /// The budgets.
    Budgets,
}

impl Reset {
    /// Everything that can be named, in the order of the documentation.
    pub const NAMED: [Self; 5] = [
        Self::Buckets(Dimension::Requests),
        Self::Buckets(Dimension::Tokens),
        Self::Buckets(Dimension::InputTokens),
        Self::Buckets(Dimension::OutputTokens),
        Self::Budgets,
    ];

    /// As a limit of that kind is called in the configuration; of all: empty.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "",
            Self::Buckets(dimension) => dimension.as_str(),
            Self::Budgets => "budget",
        }
    }

    /// Whether the limit from which that is taken begins anew.
    #[must_use]
    pub fn is_of(self, take: &Take) -> bool {
        self.is_about(take.word())
    }

    /// Whether that is about the word `index` of a slot.
    pub(super) fn is_about(self, index: usize) -> bool {
        bit_of(index) & self.bits() != 0
    }

    /// A bit for each kind of limit.
    fn bits(self) -> u64 {
        match self {
            Self::All => BITS,
            Self::Buckets(dimension) => 1 << dimension.column(),
            Self::Budgets => BUDGETS,
        }
    }
}

/// The bit of budgets; those of buckets are before it.
const BUDGETS: u64 = 1 << (ROW - 1);
const BITS: u64 = (1 << ROW) - 1;

/// The bit of the word `index` of a slot; 0: it is not reset.
fn bit_of(index: usize) -> u64 {
    match Kind::of(index) {
        Kind::Concurrency => 0,
        Kind::Bucket => 1 << (index % ROW),
        Kind::Budget(_) => BUDGETS,
    }
}

/// Whose reset it was, and of what: all but a few bits of the key.
fn entry_of(key: Key, what: Reset) -> u64 {
    key.low & !BITS | what.bits()
}

/// The resets of a zone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resets<'z>(pub(super) &'z [AtomicU64]);

impl<'z> Resets<'z> {
    /// Over [`WORDS`] words; zeros: there was none.
    pub(super) fn new(words: &'z [AtomicU64]) -> Self {
        Self(words)
    }

    fn count(&self) -> u64 {
        self.0.first().map_or(0, |count| count.load(Ordering::Acquire))
    }

    /// How many resets there were, for [`Resets::is_since`]: to be read after the word that is about to be
    /// swapped.
    #[inline]
    pub(super) fn epoch(&self) -> u16 {
        epoch_of(self.count())
    }

    /// Whether the word `index` of the slot of `key` was reset since a reservation noted `epoch`.
    #[inline]
    pub(super) fn is_since(&self, epoch: u16, (key, index): (Key, usize)) -> bool {
        let count = self.count();
        match epoch_of(count).wrapping_sub(epoch) {
            0 => false,
            resets => self.is_among((key, bit_of(index)), count, resets),
        }
    }

    #[cold]
    fn is_among(&self, (key, bit): (Key, u64), mut count: u64, mut resets: u16) -> bool {
        loop {
            let resets_long = u64::from(resets);
            if resets_long >= REMEMBERED as u64 {
                return false;
            }
            let is_it = |back: u64| {
                let entry = self.entry(count.wrapping_sub(back));
                let noted = entry.map_or(0, |entry| entry.load(Ordering::Acquire));
                noted & !BITS == key.low & !BITS && noted & bit != 0
            };
            let found = (1..=resets_long).any(is_it);
            // Else one of them may have made room for another one meanwhile.
            match self.count().wrapping_sub(count) {
                0 => return found,
                more => {
                    count = count.wrapping_add(more);
                    resets = resets.saturating_add(epoch_of(more));
                }
            }
        }
    }

    fn entry(&self, number: u64) -> Option<&'z AtomicU64> {
        let ring = self.0.get(1..)?;
        ring.get(usize::try_from(number % REMEMBERED as u64).ok()?)
    }

    /// The slot of `key` is being reset. The caller holds the zone's mutex.
    pub(super) fn note(&self, key: Key, what: Reset) {
        let count = self.count();
        if let (Some(entry), Some(place)) = (self.entry(count), self.0.first()) {
            entry.store(entry_of(key, what), Ordering::Release);
            place.store(count.wrapping_add(1), Ordering::Release);
        }
    }
}

/// The part of the number that reservations note: so many resets while one is in flight aren't told from none.
fn epoch_of(count: u64) -> u16 {
    u16::try_from(count & u64::from(u16::MAX)).unwrap_or(0)
}

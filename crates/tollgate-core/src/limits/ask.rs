//! What a request takes from one limit, and which word of a slot keeps it.

use std::num::NonZeroU16;

use super::bucket::Scale;
use super::budget::Budget;
use super::calendar::Calendar;
use super::key::Key;
use super::quota::Period;
use super::standing::Standing;
use crate::clock::{MonoNanos, UnixSeconds};

/// A moment on both clocks: buckets are refilled by the monotonic one, budgets turn with the wall
/// clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock.
    pub mono: MonoNanos,
    /// The wall clock.
    pub wall: UnixSeconds,
}

/// What a token bucket counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dimension {
    /// Requests that were let through.
    Requests,
    /// LLM tokens, input and output.
    Tokens,
    /// LLM tokens of the prompt.
    InputTokens,
    /// LLM tokens that were generated.
    OutputTokens,
    /// Credentials that were presented and found wrong. They have keys of their own, see
    /// [`Zone::auth_failures_key`](super::Zone::auth_failures_key).
    AuthFailures,
}

impl Dimension {
    /// The name in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::AuthFailures => "auth_failures",
        }
    }

    /// The place of its word in a row of a slot.
    pub(super) fn column(self) -> usize {
        match self {
            Self::Requests | Self::AuthFailures => 0,
            Self::Tokens => 1,
            Self::InputTokens => 2,
            Self::OutputTokens => 3,
        }
    }
}

/// What becomes of an ask for more than the capacity of its bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Oversize {
    /// It passes when the bucket is full, and leaves it in debt.
    #[default]
    Debt,
    /// It never passes.
    Refuse,
}

/// How much of a limit a request may need, in tokens or nano-units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// By what it says itself.
    pub known: u64,
    /// How much more, by a guess: it never keeps a request out that would pass when the limit is full.
    pub guess: u64,
}

/// What is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// Tokens of a bucket.
    Bucket {
        /// What the bucket counts.
        dimension: Dimension,
        /// Its quota, as [`Zone::scale`](super::Zone::scale) gives it.
        scale: Scale,
        /// How many tokens.
        n: u32,
        /// Whether it may be more than the capacity.
        oversize: Oversize,
    },
    /// Money of a budget.
    Budget {
        /// The budget.
        budget: Budget,
        /// How many nano-units.
        n: u64,
        /// How many more, as far as there are so many.
        guess: u64,
    },
    /// A place among the requests in flight.
    Concurrency {
        /// How many there may be at once.
        limit: u16,
    },
}

impl Take {
    /// Whether waiting can't help: more is asked for than there can ever be.
    pub(super) fn is_oversized(&self) -> bool {
        match *self {
            Self::Bucket { scale, n, oversize: Oversize::Refuse, .. } => n > scale.quota().burst(),
            Self::Bucket { oversize: Oversize::Debt, .. } => false,
            Self::Budget { budget, n, .. } => n > budget.amount(),
            Self::Concurrency { limit } => limit == 0,
        }
    }

    /// How the limit stands where nothing was ever taken from it.
    pub(super) fn full(&self, now: Now) -> Standing {
        match *self {
            Self::Bucket { scale, .. } => scale.full(),
            Self::Budget { budget, .. } => budget.full(now.wall),
            Self::Concurrency { limit } => in_flight(limit, 0),
        }
    }

    /// Which word of a slot it is about. That depends on what is counted and for how long, and on
    /// nothing that a reload could change.
    pub(super) fn word(&self) -> usize {
        match *self {
            Self::Bucket { dimension, scale, .. } => {
                let column = dimension.column();
                let row = match scale.quota().period() {
                    Period::Minute => 0,
                    Period::Day => 1,
                    Period::Hour => 2,
                    Period::Second => 3,
                };
                row * ROW + column
            }
            Self::Concurrency { .. } => IN_FLIGHT,
            Self::Budget { budget, .. } => match budget.calendar() {
                Calendar::Day => 2 * ROW - 1,
                Calendar::Hour => 3 * ROW - 1,
                Calendar::Month => 4 * ROW - 1,
            },
        }
    }
}

/// How a limit on concurrency stands.
pub(super) fn in_flight(limit: u16, count: u16) -> Standing {
    Standing {
        quota: limit.into(),
        period_secs: 0,
        capacity: limit.into(),
        remaining: limit.saturating_sub(count).into(),
        until_full_nanos: 0,
    }
}

/// What one word of a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bucket,
    Budget(Calendar),
    Concurrency,
}

/// Words of a slot: four rows of four buckets, and one other word. What is limited most often
/// (minutes and concurrency, then days) comes first, and shares its cache lines.
pub(super) const SLOT_WORDS: usize = 4 * ROW;
pub(super) const ROW: usize = 5;
/// The word of the requests in flight.
pub(super) const IN_FLIGHT: usize = ROW - 1;

impl Kind {
    /// What the word `index` of a slot is.
    pub(crate) fn of(index: usize) -> Self {
        match (index / ROW, index % ROW) {
            (_, ..4) => Self::Bucket,
            (0, _) => Self::Concurrency,
            (1, _) => Self::Budget(Calendar::Day),
            (2, _) => Self::Budget(Calendar::Hour),
            _ => Self::Budget(Calendar::Month),
        }
    }
}

/// The period of the bucket that the word `index` of a slot is.
pub(crate) fn period_of(index: usize) -> Period {
    match index / ROW {
        0 => Period::Minute,
        1 => Period::Day,
        2 => Period::Hour,
        _ => Period::Second,
    }
}

/// What a request takes from one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Whose limit.
    pub key: Key,
    /// What is taken.
    pub take: Take,
    /// Whether input that the engine had in its cache is left out of what is taken in the end.
    pub cached_free: bool,
    /// The period of a budget that it was taken from, and how much that was, as often as it counts: noted by a
    /// reservation, for its settlement.
    pub(super) period: u32,
    pub(super) taken: u64,
    /// How many resets there were when it was reserved.
    pub(super) epoch: u16,
    /// How many times it counts: see [`Ask::weighing`].
    weight: NonZeroU16,
}

impl Ask {
    /// Asks for `take` on behalf of `key`.
    #[must_use]
    pub fn new(key: Key, take: Take) -> Self {
        let weight = NonZeroU16::MIN;
        Self { key, take, cached_free: false, period: 0, taken: 0, epoch: 0, weight }
    }

    /// The same, counted so many times: of so many nodes that don't hear of each other, each gives away its part of
    /// a limit, and all of them together no more than there is. Its settlement counts as often.
    #[must_use]
    pub fn weighing(self, weight: NonZeroU16) -> Self {
        Self { weight, ..self }
    }

    /// How many tokens of a bucket `n` count for.
    pub(super) fn weighed(&self, n: u32) -> u32 {
        n.saturating_mul(self.weight.get().into())
    }

    /// How many nano-units of a budget, or tokens that were used, `n` count for.
    pub(super) fn weighed_amount(&self, n: u64) -> u64 {
        n.saturating_mul(self.weight.get().into())
    }

    /// How many may be in flight.
    pub(super) fn weighed_limit(&self, limit: u16) -> u16 {
        limit / self.weight
    }

    /// Asks for what a request may need of a token bucket. At most as much as it can hold is reserved;
    /// what is used beyond that is charged when it is known. Where `oversize` says so, a request whose
    /// known need is larger never passes.
    #[must_use]
    pub fn tokens(
        key: Key,
        (dimension, scale): (Dimension, Scale),
        need: Need,
        oversize: Oversize,
    ) -> Self {
        let most = u64::from(scale.quota().burst());
        let n = match oversize {
            Oversize::Refuse if need.known > most => need.known,
            Oversize::Refuse | Oversize::Debt => need.known.saturating_add(need.guess).min(most),
        };
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        Self::new(key, Take::Bucket { dimension, scale, n, oversize })
    }

    /// Whether it took money of a period that has ended by now.
    #[must_use]
    pub fn is_over(&self, now: Now) -> bool {
        match self.take {
            Take::Budget { budget, .. } => budget.calendar().number(now.wall) != self.period,
            Take::Bucket { .. } | Take::Concurrency { .. } => false,
        }
    }

    /// Which word of a slot it is about.
    #[must_use]
    pub fn word(&self) -> usize {
        self.take.word()
    }

    /// How much of a bucket or a budget a successful [`Zone::reserve`](super::Zone::reserve) took, in tokens
    /// or nano-units.
    #[must_use]
    pub fn reserved(&self) -> u64 {
        match self.take {
            Take::Bucket { n, .. } => n.into(),
            Take::Budget { .. } => self.taken / u64::from(self.weight.get()),
            Take::Concurrency { .. } => 0,
        }
    }

    /// Asks for what a request may cost of a budget, as [`Ask::tokens`]. Of what is guessed no more is
    /// reserved than is left, so that a guess refuses nobody while there is anything.
    #[must_use]
    pub fn money(key: Key, budget: Budget, need: Need, oversize: Oversize) -> Self {
        let n = match oversize {
            Oversize::Refuse => need.known,
            Oversize::Debt => need.known.min(budget.amount()),
        };
        Self::new(key, Take::Budget { budget, n, guess: need.guess })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::key::Area;
    use crate::limits::Quota;
    use std::collections::HashSet;

    #[test]
    fn money_of_a_period_is_over_with_it_and_nothing_else_is() {
        const NOON: i64 = 1_798_804_800;
        const DAY: i64 = 86_400;
        let at = |wall: i64| Now { mono: MonoNanos(5), wall: UnixSeconds(wall) };
        let key = Key::from_hash(Area::Clients, 1, 2);
        let budget = Budget::new(1_000, Calendar::Day).unwrap();
        let period = Calendar::Day.number(at(NOON).wall);
        let ask = Ask { period, ..Ask::new(key, Take::Budget { budget, n: 1, guess: 0 }) };
        for (wall, is_over) in [(-DAY, true), (-DAY / 2, false), (0, false), (DAY / 2 - 1, false)] {
            assert_eq!(ask.is_over(at(NOON + wall)), is_over, "{wall}");
        }
        assert!(ask.is_over(at(NOON + DAY / 2)));
        let scale = Scale::plain(Quota::new(1, Period::Second, 1).unwrap());
        let dimension = Dimension::Requests;
        for take in [
            Take::Concurrency { limit: 1 },
            Take::Bucket { dimension, scale, n: 1, oversize: Oversize::Debt },
        ] {
            assert!(!Ask { period, ..Ask::new(key, take) }.is_over(at(NOON + 400 * DAY)));
        }
    }

    #[test]
    fn every_limit_has_a_word_of_its_own_and_of_its_kind() {
        let mut seen = HashSet::new();
        for dimension in [
            Dimension::Requests,
            Dimension::Tokens,
            Dimension::InputTokens,
            Dimension::OutputTokens,
        ] {
            for period in Period::ALL {
                let scale = Scale::plain(Quota::new(1, period, 1).unwrap());
                let take = Take::Bucket { dimension, scale, n: 1, oversize: Oversize::Debt };
                assert_eq!(Kind::of(take.word()), Kind::Bucket);
                assert_eq!(period_of(take.word()), period);
                assert!(seen.insert(take.word()));
            }
        }
        for calendar in [Calendar::Hour, Calendar::Day, Calendar::Month] {
            let take = Take::Budget { budget: Budget::new(1, calendar).unwrap(), n: 1, guess: 0 };
            assert_eq!(Kind::of(take.word()), Kind::Budget(calendar));
            assert!(seen.insert(take.word()));
        }
        let take = Take::Concurrency { limit: 1 };
        assert_eq!(Kind::of(take.word()), Kind::Concurrency);
        assert!(seen.insert(take.word()));
        assert_eq!(seen.len(), SLOT_WORDS);
        assert_eq!(seen.into_iter().max(), Some(SLOT_WORDS - 1));
    }
}

//! A budget of money for a period of the calendar, spent in one 64-bit word by compare-and-swap.
//!
//! ```text
//!  63                46                           0
//! +--------------------+---------------------------+
//! | number of period   | spent, in nano-units      |     (hour; 50 bits for a day, 54 for a month)
//! +--------------------+---------------------------+
//! ```
//!
//! As both are in one word, the turn of the period is one swap: what is spent at that moment counts
//! once, and in one period. Period 0 is that of a word of which nothing is spent; its low bits then
//! hold a number that no word had before, so that a worker which read the word of a slot, and was
//! suspended while the slot changed hands, cannot take the new word for the one it read.
//!
//! Workers read the wall clock at slightly different moments, so at the turn some of them are late:
//! whoever is late by up to a minute counts in the period that has begun. A clock that was set back
//! by more than that takes the amount along into the period which it is now: nobody is freed, and
//! nobody is locked for longer than that period.

use std::fmt;

use super::calendar::{Calendar, SKEW_SECS};
use super::standing::{Standing, View, Wait};
use crate::clock::UnixSeconds;
use crate::money::{parse_nanos, Amount, MoneyError};

/// So much money a period, in nano-units (10^-9) of the operator's currency. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    amount: u64,
    calendar: Calendar,
}

impl Budget {
    /// `amount` nano-units a period.
    ///
    /// # Errors
    ///
    /// When it is zero, or more than a word can count.
    pub fn new(amount: u64, calendar: Calendar) -> Result<Self, BudgetError> {
        if amount == 0 {
            return Err(BudgetError::Zero);
        }
        if amount > Self::max(calendar) {
            return Err(BudgetError::TooLarge(calendar));
        }
        Ok(Self { amount, calendar })
    }

    /// Parses `20/day`, `0.50/hour` or `100/month`.
    ///
    /// # Errors
    ///
    /// When the text has another form, or as [`Budget::new`].
    pub fn parse(text: &str) -> Result<Self, BudgetError> {
        let (amount, period) = text.split_once('/').ok_or(BudgetError::Form)?;
        let calendar = [Calendar::Hour, Calendar::Day, Calendar::Month]
            .into_iter()
            .find(|calendar| calendar.as_str() == period)
            .ok_or(BudgetError::Form)?;
        let amount = match parse_nanos(amount) {
            Err(MoneyError::TooLarge) => return Err(BudgetError::TooLarge(calendar)),
            amount => amount.map_err(BudgetError::Amount)?,
        };
        Self::new(amount, calendar)
    }

    /// The most that a budget of this period can be, in nano-units.
    fn max(calendar: Calendar) -> u64 {
        (1 << calendar.amount_bits()) - 1
    }

    /// The amount, in nano-units.
    #[must_use]
    pub fn amount(self) -> u64 {
        self.amount
    }

    /// The period.
    #[must_use]
    pub fn calendar(self) -> Calendar {
        self.calendar
    }

    fn standing(self, period: u32, spent: u64, now: UnixSeconds) -> Standing {
        Standing {
            quota: self.amount,
            period_secs: self.calendar.seconds(period),
            capacity: self.amount,
            remaining: self.amount.saturating_sub(spent),
            until_full_nanos: match spent {
                0 => 0,
                _ => nanos_until_end(self.calendar, period, now),
            },
        }
    }

    /// The standing of a budget of which nothing is spent.
    pub(super) fn full(self, now: UnixSeconds) -> Standing {
        self.standing(self.calendar.number(now), 0, now)
    }

    /// How the budget stands.
    pub(super) fn look(self, word: u64, now: UnixSeconds) -> Standing {
        let Spent { period, amount } = Spent::running(self.calendar, word, now);
        self.standing(period, amount, now)
    }

    /// The same, and how much is spent.
    pub(super) fn view(self, word: u64, now: UnixSeconds) -> View {
        let Spent { period, amount } = Spent::running(self.calendar, word, now);
        View { used: amount, standing: self.standing(period, amount, now) }
    }

    /// How long a reservation of `n` nano-units, and of a `guess` of more, has to wait; `None` if it
    /// would succeed now. Money is never overdrawn by a reservation: one of more than the budget has to
    /// be refused by the caller, as it would wait for ever. Of an overdrawn budget, nothing at all is
    /// reserved, and of a spent one no guess.
    pub(super) fn wait(self, word: u64, n: u64, guess: u64, now: UnixSeconds) -> Option<Wait> {
        let Spent { period, amount } = Spent::running(self.calendar, word, now);
        let least = n.saturating_add(guess.min(1));
        if amount.saturating_add(least) <= self.amount {
            return None;
        }
        let nanos = nanos_until_end(self.calendar, period, now).max(1);
        // Only after the clock was set back: else the word, if no reservation succeeds that would
        // write it, stays spent when the clock comes to its period again.
        let is_ahead = Spent::of(self.calendar, word).period > period;
        Some(Wait { nanos, converted: is_ahead.then(|| pack(self.calendar, period, amount)) })
    }

    /// Reserving `n` nano-units, and as many of the `guess` as are left: what to store, or how long to
    /// wait.
    pub(super) fn take(
        self,
        word: u64,
        n: u64,
        guess: u64,
        now: UnixSeconds,
    ) -> Result<Reserved, Wait> {
        if let Some(wait) = self.wait(word, n, guess, now) {
            return Err(wait);
        }
        let Spent { period, amount } = Spent::running(self.calendar, word, now);
        let left = self.amount.saturating_sub(amount).saturating_sub(n);
        let n = n.saturating_add(guess.min(left));
        let spent = amount.saturating_add(n);
        Ok(Reserved {
            amount: n,
            // Period and amount 0 would be a word that can come a second time.
            word: (n > 0).then(|| pack(self.calendar, period, spent)),
            period,
            standing: self.standing(period, spent, now),
        })
    }

    /// Settling a reservation of `reserved` nano-units of the period `period`, of which `used` were
    /// spent. What was reserved in a period that is over is not given back to this one, and what
    /// was spent beyond the reservation is charged to this one, however little is left of it.
    pub(super) fn settle(
        self,
        word: u64,
        period: u32,
        (reserved, used): (u64, u64),
        now: UnixSeconds,
    ) -> Settled {
        let spent = Spent::running(self.calendar, word, now);
        let left = match used.checked_sub(reserved) {
            Some(excess) => spent.amount.saturating_add(excess),
            None if Spent::of(self.calendar, word).period > period => spent.amount,
            None => spent.amount.saturating_sub(reserved - used),
        };
        match left {
            left if left == spent.amount => Settled::Same,
            0 => Settled::Nothing,
            left => Settled::Word(pack(self.calendar, spent.period, left)),
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amount = Amount::from_nanos(self.amount);
        f.write_str(std::str::from_utf8(amount.as_bytes()).unwrap_or_default())?;
        write!(f, "/{}", self.calendar.as_str())
    }
}

/// What a successful [`Budget::take`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reserved {
    /// How much, in nano-units.
    pub(super) amount: u64,
    /// The word to store; `None`: it stays.
    pub(super) word: Option<u64>,
    /// The period of which it was reserved, for [`Budget::settle`].
    pub(super) period: u32,
    pub(super) standing: Standing,
}

/// What a settlement leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// The word stays.
    Same,
    /// Nothing is spent any more: the word is to be [`fresh`] again.
    Nothing,
    /// The word to store.
    Word(u64),
}

/// A word, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spent {
    period: u32,
    amount: u64,
}

impl Spent {
    fn of(calendar: Calendar, word: u64) -> Self {
        let bits = calendar.amount_bits();
        match u32::try_from(word >> bits).unwrap_or(u32::MAX) {
            0 => Self { period: 0, amount: 0 },
            period => Self { period, amount: word & ((1 << bits) - 1) },
        }
    }

    /// The period that a word counts in: over, or the one that is running at the latest.
    fn running_or_over(calendar: Calendar, word: u64, now: UnixSeconds) -> u32 {
        let period = Self::of(calendar, word).period;
        let late = calendar.number(UnixSeconds(now.0.saturating_add(SKEW_SECS)));
        if period <= late {
            period
        } else {
            calendar.number(now)
        }
    }

    /// The period that counts at `now`, and what is spent in it.
    fn running(calendar: Calendar, word: u64, now: UnixSeconds) -> Self {
        let Self { period, amount } = Self::of(calendar, word);
        let running = calendar.number(now);
        if period < running {
            return Self { period: running, amount: 0 };
        }
        Self { period: Self::running_or_over(calendar, word, now), amount }
    }
}

fn pack(calendar: Calendar, period: u32, amount: u64) -> u64 {
    u64::from(period) << calendar.amount_bits() | amount.min(Budget::max(calendar))
}

/// A word of which nothing is spent. `unique` is a number that no word was made with before.
pub(super) fn fresh(calendar: Calendar, unique: u64) -> u64 {
    unique & Budget::max(calendar)
}

/// How much is spent in the running period, in nano-units.
pub(super) fn spent(calendar: Calendar, word: u64, now: UnixSeconds) -> u64 {
    Spent::running(calendar, word, now).amount
}

/// The word of so much that is spent in the running period; not of nothing.
pub(super) fn word_of_spent(calendar: Calendar, amount: u64, now: UnixSeconds) -> u64 {
    pack(calendar, calendar.number(now), amount)
}

/// Whether nothing is spent of the running period, nor of the one that a worker whose clock is late
/// may think is running.
pub(super) fn is_idle(calendar: Calendar, word: u64, now: UnixSeconds) -> bool {
    let late = calendar.number(UnixSeconds(now.0.saturating_sub(SKEW_SECS)));
    Spent::of(calendar, word).period < late
}

/// Whether something is spent of a period that is in the future, further than clocks differ: the clock
/// was wrong then, or is wrong now.
pub(super) fn is_ahead(calendar: Calendar, word: u64, now: UnixSeconds) -> bool {
    let late = calendar.number(UnixSeconds(now.0.saturating_add(SKEW_SECS)));
    Spent::of(calendar, word).period > late
}

/// How long what is spent counts, in nanoseconds. What is spent of a future period counts in this one.
pub(super) fn lasts(calendar: Calendar, word: u64, now: UnixSeconds) -> u64 {
    nanos_until_end(calendar, Spent::running_or_over(calendar, word, now), now)
}

fn nanos_until_end(calendar: Calendar, period: u32, now: UnixSeconds) -> u64 {
    let seconds = calendar.end(period).0.saturating_sub(now.0);
    u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000)
}

/// What is wrong with a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BudgetError {
    /// Not of the form `20/day`.
    Form,
    /// The amount is not a decimal number.
    Amount(MoneyError),
    /// An amount of zero.
    Zero,
    /// More than can be counted in such a period.
    TooLarge(Calendar),
}

impl fmt::Display for BudgetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => {
                f.write_str("must be an amount with a period: 0.50/hour, 20/day or 100/month")
            }
            Self::Amount(error) => error.fmt(f),
            Self::Zero => f.write_str(
                "must not be zero; to refuse a client, disable its key or leave out its tier",
            ),
            Self::TooLarge(calendar) => write!(
                f,
                "is too large: at most {} per {}",
                Budget::max(*calendar) / 1_000_000_000,
                calendar.as_str()
            ),
        }
    }
}

impl std::error::Error for BudgetError {}

#[cfg(test)]
mod tests;

//! How long a server that has failed is left alone.

use std::time::{Duration, Instant};

use crate::failure::Failure;

/// After the first failure.
const FIRST: Duration = Duration::from_millis(25);
/// After many.
const LONGEST: Duration = Duration::from_secs(1);

/// What is remembered of failures in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    until: Option<Instant>,
}

impl Backoff {
    /// Whether it may be tried again.
    pub(crate) fn check(&self, now: Instant) -> Result<(), Failure> {
        match self.until.map(|until| until.saturating_duration_since(now)) {
            Some(left) if !left.is_zero() => Err(Failure::Pausing(left)),
            _ => Ok(()),
        }
    }

    /// It has failed. `dice` is any number: nodes that lost a server at once don't come back at once.
    pub(crate) fn failed(&mut self, now: Instant, dice: u8) {
        let whole = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        // Between a half and the whole of it.
        let pause = whole / 2 + (whole / 2) * u32::from(dice) / 255;
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now + pause);
    }

    /// It works.
    pub(crate) fn worked(&mut self) {
        *self = Self::default();
    }
}

/// Any number.
pub(crate) fn dice() -> u8 {
    let mut dice = [0];
    // Without a random number, all wait as long as each other.
    let _ = getrandom::fill(&mut dice);
    dice[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_second_and_end_with_success() {
        let begun = Instant::now();
        let mut backoff = Backoff::default();
        assert_eq!(backoff.check(begun), Ok(()));
        let mut last = Duration::ZERO;
        for _ in 0..40 {
            backoff.failed(begun, 255);
            let Err(Failure::Pausing(left)) = backoff.check(begun) else { panic!("no pause") };
            assert!(left >= last && left <= LONGEST);
            last = left;
        }
        assert_eq!(last, LONGEST);
        assert_eq!(backoff.check(begun + LONGEST), Ok(()));
        backoff.worked();
        assert_eq!(backoff.check(begun), Ok(()));
    }

    #[test]
    fn jitter_is_at_most_a_half() {
        let begun = Instant::now();
        for dice in [0, 1, 128, 255] {
            let mut backoff = Backoff::default();
            backoff.failed(begun, dice);
            let Err(Failure::Pausing(left)) = backoff.check(begun) else { panic!("no pause") };
            assert!(left >= FIRST / 2 && left <= FIRST);
        }
    }
}

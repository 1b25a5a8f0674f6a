//! The last hour, by the minute: a ring in the row of each worker.

use std::sync::atomic::{AtomicU64, Ordering};

use super::flow::{Observation, Outcome};
use crate::clock::UnixMillis;
use crate::guards::Action;
use crate::llm::Source;

/// How many minutes are kept: an hour, and some that are being overwritten.
pub const MINUTES: usize = 64;
/// The words of a minute.
const WORDS_OF_ONE: usize = 16;
/// The words of the ring.
pub(super) const WORDS: usize = MINUTES * WORDS_OF_ONE;
const MS: i64 = 60_000;

/// What came in one minute: of requests that ended in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Minute {
    /// Since 1970.
    pub number: u64,
    /// All requests.
    pub requests: u64,
    /// Those that were refused.
    pub refused: u64,
    /// Those that were let in, and answered with 500 or more.
    pub errors: u64,
    /// Tokens.
    pub input: u64,
    /// Tokens.
    pub output: u64,
    /// Tokens, which are among the input.
    pub cached: u64,
    /// Nano-units of money.
    pub cost_nanos: u64,
    /// The sum of all times to the first token, in milliseconds.
    pub ttft_ms: u64,
    /// How many requests had one.
    pub ttft_count: u64,
    /// How often guards found what is but logged.
    pub found_logged: u64,
    /// What is masked, or given a placeholder.
    pub found_masked: u64,
    /// What is blocked.
    pub found_blocked: u64,
}

/// The numbers of a minute: in the order of the fields, behind the first.
const NUMBERS: usize = 12;

impl Minute {
    fn words(&self) -> [u64; NUMBERS] {
        let Self { requests, refused, errors, input, output, .. } = *self;
        let Self { cached, cost_nanos, ttft_ms, ttft_count, .. } = *self;
        let Self { found_logged, found_masked, found_blocked, .. } = *self;
        [
            requests,
            refused,
            errors,
            input,
            output,
            cached,
            cost_nanos,
            ttft_ms,
            ttft_count,
            found_logged,
            found_masked,
            found_blocked,
        ]
    }

    fn of(number: u64, words: [u64; NUMBERS]) -> Self {
        let [requests, refused, errors, input, output, cached, cost_nanos, ttft_ms, ttft_count, found_logged, found_masked, found_blocked] =
            words;
        Self {
            number,
            requests,
            refused,
            errors,
            input,
            output,
            cached,
            cost_nanos,
            ttft_ms,
            ttft_count,
            found_logged,
            found_masked,
            found_blocked,
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let mut sums = self.words();
        sums.iter_mut().zip(other.words()).for_each(|(sum, more)| *sum = sum.wrapping_add(more));
        Self::of(self.number, sums)
    }
}

/// The number of the minute: since 1970.
#[must_use]
pub fn number(now: UnixMillis) -> u64 {
    u64::try_from(now.0.div_euclid(MS)).unwrap_or(0)
}

fn place(ring: &[AtomicU64], number: u64) -> &[AtomicU64] {
    let index = usize::try_from(number % MINUTES as u64).unwrap_or(0);
    ring.chunks_exact(WORDS_OF_ONE).nth(index).unwrap_or_default()
}

/// The cells of the running minute. Only the process whose ring it is may ask.
#[inline]
fn running(ring: &[AtomicU64], now: UnixMillis) -> Option<&[AtomicU64]> {
    let number = number(now);
    let (at, cells) = place(ring, number).split_first()?;
    if at.load(Ordering::Relaxed) != number {
        // Whoever reads in the middle finds no minute.
        at.store(0, Ordering::Release);
        cells.iter().for_each(|cell| cell.store(0, Ordering::Relaxed));
        at.store(number, Ordering::Release);
    }
    Some(cells)
}

/// Counts what a guard found. Only the process whose ring it is does.
pub(super) fn count_found(ring: &[AtomicU64], action: Action, times: u64, now: UnixMillis) {
    let Some(cells) = running(ring, now) else { return };
    let index = match action {
        Action::Log => 9,
        Action::Mask | Action::Tokenize => 10,
        Action::Block => 11,
    };
    super::add(cells, index, times);
}

/// Counts a request that ended. Only the process whose ring it is does.
#[inline]
pub(super) fn count(ring: &[AtomicU64], observation: &Observation, now: UnixMillis) {
    let Some(cells) = running(ring, now) else { return };
    let add = |index: usize, amount: u64| super::add(cells, index, amount);
    add(0, 1);
    match observation.outcome {
        Outcome::Denied(_) => add(1, 1),
        _ if observation.status >= 500 => add(2, 1),
        _ => {}
    }
    if let Some((source, usage)) = observation.usage {
        if source != Source::None {
            add(3, usage.input);
            add(4, usage.output);
            add(5, usage.cached_input);
            add(6, observation.cost_nanos);
        }
        if let Some(ttft) = observation.ttft_ms {
            add(7, ttft);
            add(8, 1);
        }
    }
}

/// What a ring has of a minute; `None`: nothing.
#[must_use]
pub(super) fn read(ring: &[AtomicU64], number: u64) -> Option<Minute> {
    let (at, cells) = place(ring, number).split_first()?;
    let is_it = || at.load(Ordering::Acquire) == number && number != 0;
    if !is_it() {
        return None;
    }
    let mut words = [0; NUMBERS];
    words.iter_mut().zip(cells).for_each(|(word, cell)| *word = cell.load(Ordering::Acquire));
    is_it().then(|| Minute::of(number, words))
}

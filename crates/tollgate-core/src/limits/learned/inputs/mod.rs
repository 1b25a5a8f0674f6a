//! How many tokens a model makes of a text: learned from what engines say of inputs that were counted
//! here by [kinds of bytes](Text), for each model and client.
//!
//! A text is taken for the sum of what its parts take. What each part takes is the configuration's
//! [`Rates`] times a factor, which begins at one. An answer corrects the factors of what the text was
//! made of, each by as much as it is still uncertain: a Kalman filter that keeps the variances and
//! leaves the covariances out. A factor that no text has had a part in stays uncertain, and is learned
//! from the first one that does.
//!
//! A client's factors count for itself. Others get, of each factor, the median of the clients'. One
//! answer moves an estimate by no more than four times, and a factor stays between a sixteenth and
//! sixteen; in half a day without an answer it goes half of the way back to one.

use super::super::key::Key;
use super::super::sync::{AtomicU64, Ordering};
use super::lines::{median, Cell, Head, Lines, Minute, Who};

/// How many kinds of parts a text has.
pub const FEATURES: usize = 13;
/// Words of a cell: its head, and 24 bits for each factor.
const CELL_WORDS: usize = 1 + (FEATURES * 3).div_ceil(8);
/// Four cache lines.
pub(super) const LINE_WORDS: usize = 32;
const CELLS: usize = (LINE_WORDS - 1) / CELL_WORDS;
/// Answers after which a client is a voice for others.
const VOICE_ANSWERS: u32 = 4;
const ANSWERS_MAX: u32 = 1_000;
/// Minutes in which half of what was learned is forgotten.
const HALF_LIFE: u16 = 12 * 60;

/// Fractions are in 4096ths, factors and variances in the zone in 12 bits each: a factor in 256ths.
const ONE: i64 = 1 << 12;
const FACTOR_ONE: u16 = 1 << 8;
const FACTOR_MIN: u16 = FACTOR_ONE / 16;
const FACTOR_MAX: u16 = (1 << 12) - 1;
const VARIANCE_MAX: u16 = (1 << 12) - 1;
/// What an answer adds to each variance: for models and texts change.
const DRIFT: u16 = 4;
/// How far off a text is from the sum of its parts, as a variance: about a sixth.
const NOISE: i64 = ONE * ONE * 3 / 100;
/// The most that an answer is taken to be off.
const MOST_OFF: i64 = 4;
/// Bits of the fraction of [`Rates`].
const RATE_BITS: u32 = 16;

/// What a text is made of: how many there are of each kind of part.
pub type Text = [u32; FEATURES];

/// How many tokens a part of each kind takes, in 2^-16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates(pub [u32; FEATURES]);

/// The table, over its words in the zone.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Inputs<'z>(Lines<'z>);

/// What is known of one kind of part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Factor {
    /// In 256ths.
    value: u16,
    /// In 4096ths.
    variance: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Factors([Factor; FEATURES]);

impl Rates {
    /// The tokens of a text.
    #[must_use]
    pub fn tokens(&self, text: &Text) -> u64 {
        let parts = text.iter().zip(&self.0).map(|(n, rate)| u64::from(*n) * u64::from(*rate));
        parts.fold(0, u64::saturating_add).div_ceil(1 << RATE_BITS)
    }

    fn times(&self, factors: [u16; FEATURES]) -> Self {
        let mut rates = self.0;
        for (rate, factor) in rates.iter_mut().zip(factors) {
            let scaled = u64::from(*rate) * u64::from(factor) / u64::from(FACTOR_ONE);
            *rate = u32::try_from(scaled).unwrap_or(u32::MAX);
        }
        Self(rates)
    }
}

impl Default for Factors {
    fn default() -> Self {
        Self([Factor { value: FACTOR_ONE, variance: VARIANCE_MAX }; FEATURES])
    }
}

impl Factors {
    fn of(cell: Cell<'_>) -> Self {
        let mut bytes = [0; (CELL_WORDS - 1) * 8];
        for (bytes, word) in bytes.chunks_exact_mut(8).zip(cell.rest()) {
            bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
        let mut factors = Self::default();
        for (factor, bytes) in factors.0.iter_mut().zip(bytes.as_chunks::<3>().0) {
            let [low, middle, high] = bytes.map(u16::from);
            // Whatever was written by whom.
            factor.value = (low | (middle & 0xf) << 8).max(FACTOR_MIN);
            factor.variance = middle >> 4 | high << 4;
        }
        factors
    }

    fn put(&self, cell: Cell<'_>) {
        let mut bytes = [0; (CELL_WORDS - 1) * 8];
        for (factor, bytes) in self.0.iter().zip(bytes.as_chunks_mut::<3>().0) {
            let both = u32::from(factor.variance) << 12 | u32::from(factor.value);
            let [low, middle, high, _] = both.to_le_bytes();
            *bytes = [low, middle, high];
        }
        for (bytes, word) in bytes.as_chunks::<8>().0.iter().zip(cell.rest()) {
            word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
        }
    }

    fn values(&self) -> [u16; FEATURES] {
        self.0.map(|factor| factor.value)
    }

    /// As they are when nothing was learned for so many minutes.
    fn decayed(mut self, minutes: u16) -> Self {
        let one = i32::from(FACTOR_ONE);
        for factor in &mut self.0 {
            let left = (i32::from(factor.value) - one) >> (minutes / HALF_LIFE).min(16);
            factor.value = u16::try_from(one + left).unwrap_or(FACTOR_ONE);
        }
        self
    }

    /// After the engine has said that it made so many `tokens` of the text.
    fn learn(&mut self, text: &Text, tokens: u64, rates: &Rates) {
        // Below 2^64, for the product of each; all of them together are more only by what nobody sends.
        let parts = text.iter().zip(&rates.0).map(|(n, rate)| u64::from(*n) * u64::from(*rate));
        let whole = parts.clone().fold(0, u64::saturating_add);
        if whole == 0 {
            return;
        }
        // Nearly all texts are so small that a word of the machine is enough.
        let fraction = |part: u64| match part.checked_mul(1 << 12) {
            Some(part) => i64::try_from(part / whole).unwrap_or(ONE),
            None => i64::try_from((u128::from(part) << 12) / u128::from(whole)).unwrap_or(ONE),
        };
        let mut shares = [0; FEATURES];
        for (share, part) in shares.iter_mut().zip(parts) {
            *share = fraction(part);
        }
        let each = || self.0.iter().zip(shares);
        let expected = each().map(|(f, share)| i64::from(f.value) * 16 * share).sum::<i64>() >> 12;
        let seen = (u128::from(tokens) << (RATE_BITS + 12)) / u128::from(whole);
        let seen = i64::try_from(seen).unwrap_or(i64::MAX);
        let seen = seen.clamp(expected / MOST_OFF, expected.saturating_mul(MOST_OFF));
        let error = seen - expected;
        // A token more or less is nothing to be learned from.
        let token = fraction((1 << RATE_BITS).min(whole));
        let noise = ((seen * seen) >> 12) * NOISE / (ONE * ONE) + ((token * token) >> 12);
        let spread: i64 =
            each().map(|(f, share)| (((i64::from(f.variance) * share) >> 12) * share) >> 12).sum();
        let all = (noise + spread).max(1);
        for (factor, share) in self.0.iter_mut().zip(shares) {
            if share == 0 {
                factor.variance = factor.variance.saturating_add(DRIFT).min(VARIANCE_MAX);
                continue;
            }
            let gain = (i64::from(factor.variance) * share / all).min(ONE * MOST_OFF);
            let value = i64::from(factor.value) * 16 + ((gain * error) >> 12);
            factor.value = u16::try_from(((value + 8) >> 4).max(0))
                .unwrap_or(FACTOR_MAX)
                .clamp(FACTOR_MIN, FACTOR_MAX);
            let rest = (ONE - ((gain * share) >> 12)).max(0);
            let left = (i64::from(factor.variance) * rest) >> 12;
            let left = u16::try_from(left).unwrap_or(0);
            factor.variance = left.saturating_add(DRIFT).min(VARIANCE_MAX);
        }
    }
}

impl<'z> Inputs<'z> {
    pub(in super::super) fn new(words: &'z [AtomicU64]) -> Self {
        Self(Lines::new(words, LINE_WORDS, CELL_WORDS))
    }

    pub(in super::super) fn lines(self) -> Lines<'z> {
        self.0
    }

    /// What a model takes for the texts of this client; `None` where nobody knows.
    pub(in super::super) fn get(
        self,
        key: Key,
        who: Who,
        start: &Rates,
        now: Minute,
    ) -> Option<Rates> {
        let line = self.0.find(key)?;
        if let Some((head, cell)) = line.of(who) {
            let factors = Factors::of(cell).decayed(now.since(head.minute));
            return Some(start.times(factors.values()));
        }
        let mut said = [[0; FEATURES]; CELLS];
        let mut count = 0;
        let voices = line.remembered(now).filter(|(head, _)| head.payload >= VOICE_ANSWERS);
        for (place, (_, cell)) in said.iter_mut().zip(voices) {
            *place = Factors::of(cell).values();
            count += 1;
        }
        let said = said.get(..count).unwrap_or_default();
        if count < 2 {
            return None;
        }
        let mut factors = [FACTOR_ONE; FEATURES];
        for (kind, factor) in factors.iter_mut().enumerate() {
            let of_kind = said.iter().filter_map(|values| values.get(kind).copied());
            *factor = median::<_, CELLS>(of_kind, FACTOR_ONE);
        }
        Some(start.times(factors))
    }

    /// The engine made so many tokens of this client's text.
    pub(in super::super) fn add(
        self,
        key: Key,
        who: Who,
        (text, tokens): (&Text, u64),
        start: &Rates,
        now: Minute,
    ) {
        let Some(line) = self.0.claim(key, now) else { return };
        let (mut factors, answers, cell) = match line.of(who) {
            Some((head, cell)) => {
                let factors = Factors::of(cell).decayed(now.since(head.minute));
                (factors, head.payload, Some(cell))
            }
            None => (Factors::default(), 0, line.spare(now)),
        };
        let Some(cell) = cell else { return };
        factors.learn(text, tokens, start);
        factors.put(cell);
        cell.put(Head { who, minute: now, payload: answers.saturating_add(1).min(ANSWERS_MAX) });
    }
}

#[cfg(test)]
mod tests;

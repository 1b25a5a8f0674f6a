//! How much output requests lately had: a running high estimate for each tier, model and client, from
//! which a request that doesn't bound its output is reserved.
//!
//! The estimate follows a quantile, not a mean: each output above it raises it by a large step, and
//! each one below lowers it by a small one, so that it comes to rest where the outputs above are
//! about as much rarer as the step is larger (19 times: the 95th percentile). Steps are relative to
//! the estimate, and an output far above it makes a larger one; so it rises within a few requests,
//! falls over some hundred (the first ones of a client count for more), and settles between the 92nd
//! and the 99th percentile, whatever the shape of the outputs.
//!
//! It begins with the first answer, and goes back to what the configuration says: half of the way in
//! each half an hour in which nothing is learned. An answer that its bound may have cut short says only
//! that there was so much at least: it raises the estimate, and never lowers it.

use super::super::key::Key;
use super::super::sync::AtomicU64;
use super::lines::{median, Head, Lines, Minute, Who, PAYLOAD_BITS};

/// The estimate counts in quarters of a token, so that the small steps are not rounded away.
const FRACTION_BITS: u32 = 2;
/// The answers of a client of which each lowers the estimate by more.
const FIRST_ANSWERS: u32 = 15;
/// Answers after which a client is a voice for others.
const VOICE_ANSWERS: u32 = 3;
const ESTIMATE_BITS: u32 = PAYLOAD_BITS - 4;
/// The largest estimate, in tokens.
const MOST: u32 = (1 << (ESTIMATE_BITS - FRACTION_BITS)) - 1;
/// Minutes in which half of what was learned is forgotten.
const HALF_LIFE: u16 = 30;
/// Two cache lines.
pub(super) const LINE_WORDS: usize = 16;
/// Cells of a line.
const CELLS: usize = LINE_WORDS - 1;

/// The output of one answer, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// How many there were.
    pub tokens: u32,
    /// The engine came to its end by itself, and was not told where that has to be.
    pub is_whole: bool,
}

/// What the output of a request may be, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputGuess {
    /// By what this client's answers lately had; of a client that isn't known, by those of others.
    pub own: u32,
    /// The same, and not less than by what others had: for limits that it shares with them.
    pub shared: u32,
}

/// The table, over its words in the zone.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Outputs<'z>(Lines<'z>);

/// What is known of a client's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Estimate {
    answers: u32,
    /// With its fraction.
    level: u32,
}

impl Estimate {
    fn of(head: Head) -> Self {
        let level = head.payload & ((1 << ESTIMATE_BITS) - 1);
        Self { answers: head.payload >> ESTIMATE_BITS, level }
    }

    fn payload(self) -> u32 {
        self.answers.min(FIRST_ANSWERS) << ESTIMATE_BITS | self.level
    }

    fn beginning(start: u32) -> Self {
        Self { answers: 0, level: with_fraction(start) }
    }

    /// As it is when nothing was learned for so many minutes.
    fn decayed(self, start: u32, minutes: u16) -> Self {
        let start = i64::from(with_fraction(start));
        let away = i64::from(self.level) - start;
        let halved = away >> (minutes / HALF_LIFE).min(32);
        let left = halved - halved * i64::from(minutes % HALF_LIFE) / i64::from(2 * HALF_LIFE);
        Self { level: u32::try_from(start + left).unwrap_or(0), ..self }
    }

    fn tokens(self) -> u32 {
        self.level.div_ceil(1 << FRACTION_BITS)
    }

    /// After an answer; `None`: it says nothing.
    fn next(self, output: Output) -> Option<Self> {
        let Self { answers, level } = self;
        let tokens = with_fraction(output.tokens);
        let next = match tokens.checked_sub(level) {
            Some(above) if above > 0 => {
                let step = (above / 4).max(level * 19 / 128).max(1);
                level.saturating_add(step).min(with_fraction(MOST))
            }
            _ if !output.is_whole => return None,
            _ => {
                let part = if answers < FIRST_ANSWERS { 8 } else { 128 };
                level.saturating_sub((level / part).clamp(1, (level - tokens).max(1)))
            }
        };
        let next = if tokens == level { level } else { next };
        Some(Self { answers: answers.saturating_add(1).min(FIRST_ANSWERS), level: next })
    }
}

fn with_fraction(tokens: u32) -> u32 {
    tokens.min(MOST) << FRACTION_BITS
}

impl<'z> Outputs<'z> {
    pub(in super::super) fn new(words: &'z [AtomicU64]) -> Self {
        Self(Lines::new(words, LINE_WORDS, 1))
    }

    pub(in super::super) fn lines(self) -> Lines<'z> {
        self.0
    }

    /// What an answer to this client may have; `start` is what the configuration says.
    pub(in super::super) fn get(self, key: Key, who: Who, start: u32, now: Minute) -> OutputGuess {
        let Some(line) = self.0.find(key) else { return OutputGuess { own: start, shared: start } };
        let tokens =
            |head: Head| Estimate::of(head).decayed(start, now.since(head.minute)).tokens();
        let voices = line.remembered(now).map(|(head, _)| head);
        let said = voices.filter(|head| Estimate::of(*head).answers >= VOICE_ANSWERS).map(tokens);
        let shared = median::<_, CELLS>(said, start);
        let own = line.of(who).map_or(shared, |(head, _)| tokens(head));
        OutputGuess { own, shared: own.max(shared) }
    }

    /// An answer to this client had so much.
    pub(in super::super) fn add(self, key: Key, who: Who, output: Output, start: u32, now: Minute) {
        let known = self.0.find(key).and_then(|line| line.of(who));
        let before = known.map_or(Estimate::beginning(start), |(head, _)| {
            Estimate::of(head).decayed(start, now.since(head.minute))
        });
        let next = match known {
            None if output.is_whole => {
                Some(Estimate { answers: 1, ..Estimate::beginning(output.tokens) })
            }
            _ => before.next(output),
        };
        let Some(next) = next else { return };
        let cell = match known {
            Some((_, cell)) => Some(cell),
            None => self.0.claim(key, now).and_then(|line| line.spare(now)),
        };
        if let Some(cell) = cell {
            cell.put(Head { who, minute: now, payload: next.payload() });
        }
    }
}

#[cfg(test)]
mod tests;

//! What many requests came to.

use hdrhistogram::Histogram;
use tollgate_core::decision::Reason;

use super::record::{Record, RecordedDecision};

/// The refusals for each reason; the last place is for reasons that this version does not know. Most groups
/// have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reasons(Option<Box<[u64; REASONS]>>);

const REASONS: usize = Reason::ALL.len() + 1;

/// The place of a reason among all.
pub(super) fn place_of(reason: Option<&str>) -> usize {
    let known = Reason::ALL.iter().position(|known| Some(known.as_str()) == reason);
    known.unwrap_or(Reason::ALL.len())
}

/// The reason at a place.
pub(super) fn reason_at(place: usize) -> &'static str {
    Reason::ALL.get(place).map_or("other", |reason| reason.as_str())
}

impl Reasons {
    fn count(&mut self, reason: Option<&str>) {
        let counts = self.0.get_or_insert_with(|| Box::new([0; REASONS]));
        if let Some(count) = counts.get_mut(place_of(reason)) {
            *count += 1;
        }
    }

    fn add(&mut self, other: &Self) {
        if let Some(other) = &other.0 {
            let counts = self.0.get_or_insert_with(|| Box::new([0; REASONS]));
            counts.iter_mut().zip(other.iter()).for_each(|(count, other)| *count += other);
        }
    }

    /// All reasons and how often they were given.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let count = |place: usize| self.0.as_ref().and_then(|counts| counts.get(place)).copied();
        (0..REASONS).map(move |place| (reason_at(place), count(place).unwrap_or(0)))
    }
}

/// Durations in milliseconds: the first ones as they are, many to one percent. It grows with the largest of
/// them: a few kilobytes.
#[derive(Clone)]
pub(super) enum Times {
    Few(Vec<u64>),
    Many(Box<Histogram<u32>>),
}

/// How many are kept as they are: a report may have very many rows of a few requests.
const FEW: usize = 64;

impl Default for Times {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Times {
    fn record(&mut self, ms: u64) {
        match self {
            Self::Few(few) if few.len() < FEW => few.push(ms),
            Self::Few(few) => {
                // Two significant digits: there is no error to make.
                let Ok(mut many) = Histogram::new(2).map(Box::new) else { return };
                few.iter().chain([&ms]).for_each(|ms| record(&mut many, *ms));
                *self = Self::Many(many);
            }
            Self::Many(many) => record(many, ms),
        }
    }

    fn add(&mut self, other: &Self) {
        match (&mut *self, other) {
            (_, Self::Few(few)) => few.iter().for_each(|ms| self.record(*ms)),
            // It resizes itself, so that it has room for all that the other has.
            (Self::Many(many), Self::Many(other)) => many.add(&**other).unwrap_or_default(),
            (Self::Few(few), Self::Many(other)) => {
                let mut many = other.clone();
                few.iter().for_each(|ms| record(&mut many, *ms));
                *self = Self::Many(many);
            }
        }
    }

    /// The milliseconds that so many percent of the requests took at most; `None` without any.
    pub(super) fn percentile(&self, percent: u8) -> Option<u64> {
        match self {
            Self::Few(few) => {
                let mut few = few.clone();
                few.sort_unstable();
                let rank = (few.len() * usize::from(percent)).div_ceil(100).max(1);
                few.get(rank - 1).copied()
            }
            Self::Many(many) => {
                let value = many.value_at_quantile(f64::from(percent) / 100.0);
                // The end of its bucket may lie behind the longest of all.
                Some(value.min(many.max()))
            }
        }
    }
}

/// It resizes itself; and what is beyond all bounds is kept as the largest.
fn record(histogram: &mut Histogram<u32>, ms: u64) {
    if histogram.record(ms).is_err() {
        histogram.saturating_record(ms);
    }
}

/// Requests of one kind, and what of the sums is theirs.
#[derive(Clone, Default)]
pub(super) struct Part {
    pub(super) requests: u64,
    pub(super) input_tokens: u128,
    pub(super) output_tokens: u128,
    pub(super) cost_nanos: u128,
}

impl Part {
    const NONE: Self = Self { requests: 0, input_tokens: 0, output_tokens: 0, cost_nanos: 0 };

    fn count(&mut self, record: &Record<'_>) {
        self.requests += 1;
        self.input_tokens += u128::from(record.input_tokens.unwrap_or(0));
        self.output_tokens += u128::from(record.output_tokens.unwrap_or(0));
        self.cost_nanos += u128::from(record.cost_nanos().unwrap_or(0));
    }

    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.cost_nanos += other.cost_nanos;
    }
}

/// What of the sums is not as certain as the rest.
#[derive(Clone, Default)]
pub(super) struct Parts {
    /// What was estimated, as the engine did not say.
    pub(super) estimated: Part,
    /// What was counted of answers that were cut off.
    pub(super) partial: Part,
    /// What was charged tokens, and has no price.
    pub(super) unpriced: Part,
}

impl Parts {
    const NONE: Self = Self { estimated: Part::NONE, partial: Part::NONE, unpriced: Part::NONE };

    fn add(&mut self, other: &Self) {
        self.estimated.add(&other.estimated);
        self.partial.add(&other.partial);
        self.unpriced.add(&other.unpriced);
    }
}

/// What requests came to. Sums of tokens and money are exact.
#[derive(Clone, Default)]
pub(super) struct Totals {
    pub(super) requests: u64,
    pub(super) allowed: u64,
    pub(super) refused: u64,
    pub(super) not_judged: u64,
    /// Of the requests, those under `tollgate_dry_run`; none of them is among `refused`.
    pub(super) dry_run: u64,
    /// Of those, the ones that would have been refused.
    pub(super) would_be_refused: u64,
    pub(super) reasons: Reasons,
    pub(super) dry_run_reasons: Reasons,
    pub(super) input_tokens: u128,
    pub(super) output_tokens: u128,
    pub(super) cached_tokens: u128,
    pub(super) cache_write_tokens: u128,
    pub(super) reasoning_tokens: u128,
    pub(super) cost_nanos: u128,
    /// Most groups have none.
    parts: Option<Box<Parts>>,
    /// Requests that have a price.
    pub(super) priced: u64,
    /// Of the requests that were let in.
    pub(super) duration: Times,
    pub(super) ttft: Times,
}

impl Totals {
    pub(super) fn count(&mut self, record: &Record<'_>) {
        self.requests += 1;
        self.dry_run += u64::from(record.is_dry_run());
        match record.outcome() {
            RecordedDecision::Allowed => self.allowed += 1,
            RecordedDecision::NotJudged => self.not_judged += 1,
            RecordedDecision::Refused => {
                self.refused += 1;
                self.reasons.count(record.reason());
            }
            RecordedDecision::WouldBeRefused => {
                self.would_be_refused += 1;
                self.dry_run_reasons.count(record.reason());
            }
        }
        let number = |tokens: Option<u64>| u128::from(tokens.unwrap_or(0));
        self.input_tokens += number(record.input_tokens);
        self.output_tokens += number(record.output_tokens);
        self.cached_tokens += number(record.cached_tokens);
        self.cache_write_tokens += number(record.cache_write_tokens);
        self.reasoning_tokens += number(record.reasoning_tokens);
        self.cost_nanos += number(record.cost_nanos());
        self.priced += u64::from(record.cost_nanos().is_some());
        if record.is_charged() {
            match record.usage() {
                Some("estimated") => self.parts_mut().estimated.count(record),
                Some("partial") => self.parts_mut().partial.count(record),
                _ => {}
            }
            if record.cost_nanos().is_none() {
                self.parts_mut().unpriced.count(record);
            }
        }
    }

    /// What of it is not as certain as the rest.
    pub(super) fn parts(&self) -> &Parts {
        self.parts.as_deref().unwrap_or(&Parts::NONE)
    }

    fn parts_mut(&mut self) -> &mut Parts {
        self.parts.get_or_insert_default()
    }

    /// Of those that were let in: refusals take no time, and would hide how long the others took.
    pub(super) fn count_times(&mut self, record: &Record<'_>) {
        if matches!(record.outcome(), RecordedDecision::Allowed | RecordedDecision::WouldBeRefused)
        {
            record.duration_ms.into_iter().for_each(|ms| self.duration.record(ms));
            record.ttft_ms.into_iter().for_each(|ms| self.ttft.record(ms));
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.allowed += other.allowed;
        self.refused += other.refused;
        self.not_judged += other.not_judged;
        self.dry_run += other.dry_run;
        self.would_be_refused += other.would_be_refused;
        self.reasons.add(&other.reasons);
        self.dry_run_reasons.add(&other.dry_run_reasons);
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.cached_tokens += other.cached_tokens;
        self.cache_write_tokens += other.cache_write_tokens;
        self.reasoning_tokens += other.reasoning_tokens;
        self.cost_nanos += other.cost_nanos;
        if let Some(parts) = &other.parts {
            self.parts_mut().add(parts);
        }
        self.priced += other.priced;
        self.duration.add(&other.duration);
        self.ttft.add(&other.ttft);
    }
}

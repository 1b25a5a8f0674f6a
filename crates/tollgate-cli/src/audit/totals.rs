//! What many requests came to.

use std::collections::HashMap;

use clap::ValueEnum;
use hdrhistogram::Histogram;
use tollgate_core::decision::Reason;

use super::record::{Record, RecordedDecision};

/// What requests are put together by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum By {
    Client,
    Tenant,
    Model,
    Tier,
    KeyId,
    Hour,
}

impl By {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Tenant => "tenant",
            Self::Model => "model",
            Self::Tier => "tier",
            Self::KeyId => "key_id",
            Self::Hour => "hour",
        }
    }
}

/// The refusals for each reason; the last place is for reasons that this version does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reasons([u64; Reason::ALL.len() + 1]);

impl Default for Reasons {
    fn default() -> Self {
        Self([0; Reason::ALL.len() + 1])
    }
}

impl Reasons {
    fn count(&mut self, reason: Option<&str>) {
        let known = Reason::ALL.iter().position(|known| Some(known.as_str()) == reason);
        if let Some(count) = self.0.get_mut(known.unwrap_or(Reason::ALL.len())) {
            *count += 1;
        }
    }

    fn add(&mut self, other: &Self) {
        for (count, other) in self.0.iter_mut().zip(other.0) {
            *count += other;
        }
    }

    /// All reasons and how often they were given.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let names = Reason::ALL.iter().map(|reason| reason.as_str()).chain(["other"]);
        names.zip(self.0)
    }
}

/// Durations in milliseconds, to one percent. It grows with the largest of them: a few kilobytes.
#[derive(Clone, Default)]
pub(super) struct Times(Option<Histogram<u32>>);

impl Times {
    fn record(&mut self, ms: u64) {
        // Two significant digits: there is no error to make.
        if self.0.is_none() {
            self.0 = Histogram::new(2).ok();
        }
        if let Some(histogram) = &mut self.0 {
            // It resizes itself; and what is beyond all bounds is kept as the largest.
            if histogram.record(ms).is_err() {
                histogram.saturating_record(ms);
            }
        }
    }

    fn add(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (_, None) => {}
            (None, Some(other)) => self.0 = Some(other.clone()),
            // It resizes itself, so that it has room for all that the other has.
            (Some(histogram), Some(other)) => histogram.add(other).unwrap_or_default(),
        }
    }

    /// The milliseconds that so many percent of the requests took at most; `None` without any.
    pub(super) fn percentile(&self, percent: u8) -> Option<u64> {
        let histogram = self.0.as_ref()?;
        let value = histogram.value_at_quantile(f64::from(percent) / 100.0);
        // The end of its bucket may lie behind the longest of all.
        Some(value.min(histogram.max()))
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
    /// Of the requests that were let in.
    pub(super) duration: Times,
    pub(super) ttft: Times,
}

impl Totals {
    fn count(&mut self, record: &Record<'_>) {
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
    }

    /// Of those that were let in: refusals take no time, and would hide how long the others took.
    fn count_times(&mut self, record: &Record<'_>) {
        if matches!(record.outcome(), RecordedDecision::Allowed | RecordedDecision::WouldBeRefused)
        {
            record.duration_ms.into_iter().for_each(|ms| self.duration.record(ms));
            record.ttft_ms.into_iter().for_each(|ms| self.ttft.record(ms));
        }
    }

    fn add(&mut self, other: &Self) {
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
        self.duration.add(&other.duration);
        self.ttft.add(&other.ttft);
    }
}

/// More groups than this are put into one: whoever names a new model with each request must not fill
/// the memory.
const MAX_GROUPS: usize = 1_000_000;

/// The totals of each client, or of each model, and so on.
pub(super) struct Groups {
    by: By,
    named: HashMap<Box<str>, Totals>,
    /// Of requests that have no client, no model...
    unnamed: Totals,
    others: Totals,
}

/// One of them.
pub(super) struct Group {
    /// `None`: the requests that have none.
    pub(super) name: Option<String>,
    pub(super) totals: Totals,
}

impl Groups {
    pub(super) fn new(by: By) -> Self {
        Self { by, named: HashMap::new(), unnamed: Totals::default(), others: Totals::default() }
    }

    /// Counts a request, its times included.
    pub(super) fn count(&mut self, record: &Record<'_>) {
        let totals = self.totals_of(record);
        totals.count(record);
        totals.count_times(record);
    }

    /// Counts a request without its times, which take most of the memory.
    pub(super) fn count_use(&mut self, record: &Record<'_>) {
        self.totals_of(record).count(record);
    }

    fn totals_of(&mut self, record: &Record<'_>) -> &mut Totals {
        let hour;
        let name = match self.by {
            By::Client => record.client(),
            By::Tenant => record.tenant(),
            By::Model => record.model(),
            By::Tier => record.tier(),
            By::KeyId => record.key_id(),
            By::Hour => {
                hour = record.hour();
                Some(&*hour)
            }
        };
        let Some(name) = name else { return &mut self.unnamed };
        if !self.named.contains_key(name) {
            if self.named.len() >= MAX_GROUPS {
                return &mut self.others;
            }
            self.named.insert(name.into(), Totals::default());
        }
        self.named.get_mut(name).unwrap_or(&mut self.others)
    }

    /// Adds those of another time.
    pub(super) fn add(&mut self, other: &Self) {
        for (name, totals) in &other.named {
            if self.named.len() < MAX_GROUPS || self.named.contains_key(name) {
                self.named.entry(name.clone()).or_default().add(totals);
            } else {
                self.others.add(totals);
            }
        }
        self.unnamed.add(&other.unnamed);
        self.others.add(&other.others);
    }

    /// All groups, in no order, and the sum of them.
    pub(super) fn finish(self) -> (Vec<Group>, Totals) {
        let suffix = if self.by == By::Hour { ":00Z" } else { "" };
        let group =
            |(name, totals): (Box<str>, _)| Group { name: Some(format!("{name}{suffix}")), totals };
        let mut groups: Vec<Group> = self.named.into_iter().map(group).collect();
        let rest = [(None, self.unnamed), (Some("(others)".to_owned()), self.others)];
        groups.extend(
            rest.into_iter()
                .filter(|(_, totals)| totals.requests > 0)
                .map(|(name, totals)| Group { name, totals }),
        );
        let mut sum = Totals::default();
        groups.iter().for_each(|group| sum.add(&group.totals));
        (groups, sum)
    }
}

//! What is counted of the requests of one tier and model at one endpoint.

use std::sync::atomic::AtomicU64;

use super::add;
use super::bounds::{Bounds, DURATION, FIRST_TOKEN, PER_OUTPUT_TOKEN, TOKENS};
use super::names::Name;
use crate::decision::{Decision, Reason};
use crate::llm::{Source, Usage};

/// Whose requests, for which model, at which endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flow {
    /// Of the client.
    pub tier: Name,
    /// What was asked for.
    pub model: Name,
    /// The path of the engine's table.
    pub endpoint: Name,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was let in.
    Allowed,
    /// nginx answered before anything was decided.
    Undecided,
    /// It was refused; under `tollgate_dry_run` it would have been.
    Denied(Reason),
    /// It was let in, and cut off later.
    CutOff(Reason),
}

const REASONS: usize = Reason::ALL.len();

impl Outcome {
    /// How many there are.
    pub const COUNT: usize = 2 + 2 * REASONS;

    /// Of a request of which this was decided.
    #[must_use]
    pub fn of(decision: Option<Decision>, cut_off: Option<Reason>) -> Self {
        match (decision, cut_off) {
            (Some(Decision::Deny(reason)), _) => Self::Denied(reason),
            (_, Some(reason)) => Self::CutOff(reason),
            (Some(Decision::Allow), None) => Self::Allowed,
            (None, None) => Self::Undecided,
        }
    }

    /// All of them, in the order of their cells.
    pub fn all() -> impl Iterator<Item = Self> {
        let reasons = || Reason::ALL.into_iter();
        [Self::Allowed, Self::Undecided]
            .into_iter()
            .chain(reasons().map(Self::Denied))
            .chain(reasons().map(Self::CutOff))
    }

    fn index(self) -> usize {
        match self {
            Self::Allowed => 0,
            Self::Undecided => 1,
            Self::Denied(reason) => 2 + reason as usize,
            Self::CutOff(reason) => 2 + REASONS + reason as usize,
        }
    }

    /// `decision` and `reason`, as labels: those of the audit log, or `none` and nothing.
    #[must_use]
    pub fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::Allowed => ("allow", ""),
            Self::Undecided => ("none", ""),
            Self::Denied(reason) => ("deny", reason.as_str()),
            Self::CutOff(reason) => ("allow", reason.as_str()),
        }
    }
}

/// The kinds of tokens that are told apart, by their label.
pub const TOKEN_TYPES: [&str; 4] = ["input", "output", "cached", "reasoning"];
/// How a usage is known, by its label; [`Source::None`] has no tokens.
pub const SOURCES: [Source; 3] = [Source::Measured, Source::Partial, Source::Estimated];

/// Where what is in the cells of a flow.
pub mod cells {
    use super::{Outcome, DURATION, FIRST_TOKEN, PER_OUTPUT_TOKEN, SOURCES, TOKENS, TOKEN_TYPES};

    /// Requests by [`Outcome`].
    pub const OUTCOMES: usize = 0;
    /// Histogram, [`DURATION`].
    pub const DURATIONS: usize = OUTCOMES + Outcome::COUNT;
    /// Histogram, [`FIRST_TOKEN`].
    pub const FIRST_TOKENS: usize = DURATIONS + DURATION.cells();
    /// Histogram, [`PER_OUTPUT_TOKEN`].
    pub const PER_OUTPUT_TOKENS: usize = FIRST_TOKENS + FIRST_TOKEN.cells();
    /// Histogram of input tokens of a request, [`TOKENS`].
    pub const INPUTS: usize = PER_OUTPUT_TOKENS + PER_OUTPUT_TOKEN.cells();
    /// Histogram of output tokens of a request, [`TOKENS`].
    pub const OUTPUTS: usize = INPUTS + TOKENS.cells();
    /// Tokens: for each of `SOURCES` the [`TOKEN_TYPES`].
    pub const TOKEN_COUNTS: usize = OUTPUTS + TOKENS.cells();
    /// Nano-units of money.
    pub const COST: usize = TOKEN_COUNTS + TOKEN_TYPES.len() * SOURCES.len();
    /// How many there are.
    pub const COUNT: usize = COST + 1;
}

/// A request that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Whose it was, and what for.
    pub flow: Flow,
    /// What became of it.
    pub outcome: Outcome,
    /// The status that the client got; 0: none.
    pub status: u16,
    /// From the first byte of the request to the last of the answer, in milliseconds.
    pub duration_ms: u64,
    /// What it took, and how that is known.
    pub usage: Option<(Source, Usage)>,
    /// What that cost, in nano-units of money.
    pub cost_nanos: u64,
    /// From the first byte of the request to the first token, in milliseconds.
    pub ttft_ms: Option<u64>,
}

impl Observation {
    /// Microseconds for each token after the first one; `None` where that is not known.
    #[must_use]
    pub fn per_output_token_us(&self) -> Option<u64> {
        let (source, usage) = self.usage?;
        per_output_token_us(source, usage.output, self.duration_ms.checked_sub(self.ttft_ms?)?)
    }

    /// Adds the request to the cells of its flow.
    #[inline]
    pub(super) fn count(&self, flow: &[AtomicU64; cells::COUNT]) {
        add(flow, cells::OUTCOMES + self.outcome.index(), 1);
        add_to(flow, cells::DURATIONS, &DURATION, self.duration_ms);
        if let Some((source, usage)) = self.usage {
            count_usage(flow, (source, &usage), self.cost_nanos, self.duration_ms, self.ttft_ms);
        }
    }
}

fn per_output_token_us(source: Source, output: u64, rest_ms: u64) -> Option<u64> {
    let rest = output.checked_sub(1).filter(|rest| *rest > 0)?;
    (source == Source::Measured).then(|| rest_ms.saturating_mul(1000) / rest)
}

// What most requests don't have; and no method, so that an observation need not lie anywhere for it.
#[inline(never)]
fn count_usage(
    flow: &[AtomicU64; cells::COUNT],
    (source, usage): (Source, &Usage),
    cost_nanos: u64,
    duration_ms: u64,
    ttft_ms: Option<u64>,
) {
    if let Some(ttft) = ttft_ms {
        add_to(flow, cells::FIRST_TOKENS, &FIRST_TOKEN, ttft);
        let rest_ms = duration_ms.checked_sub(ttft);
        if let Some(us) = rest_ms.and_then(|ms| per_output_token_us(source, usage.output, ms)) {
            add_to(flow, cells::PER_OUTPUT_TOKENS, &PER_OUTPUT_TOKEN, us);
        }
    }
    let source = match source {
        Source::Measured => 0,
        Source::Partial => 1,
        Source::Estimated => 2,
        Source::None => return,
    };
    add_to(flow, cells::INPUTS, &TOKENS, usage.input);
    add_to(flow, cells::OUTPUTS, &TOKENS, usage.output);
    let at = cells::TOKEN_COUNTS + source * TOKEN_TYPES.len();
    let tokens = [usage.input, usage.output, usage.cached_input, usage.reasoning];
    for (index, tokens) in tokens.into_iter().enumerate() {
        add(flow, at + index, tokens);
    }
    add(flow, cells::COST, cost_nanos);
}

/// Adds a value to the histogram whose cells begin at `at`.
#[inline]
pub(super) fn add_to(block: &[AtomicU64], at: usize, bounds: &Bounds, value: u64) {
    add(block, at + bounds.bucket(value), 1);
    add(block, at + bounds.sum(), value);
}

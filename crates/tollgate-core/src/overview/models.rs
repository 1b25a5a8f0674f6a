//! What is told of a model.

use std::collections::BTreeMap;

use serde::Serialize;

use super::recent::Recent;
use crate::clients::view::money;
use crate::metrics::bounds::{Bounds, FIRST_TOKEN, PER_OUTPUT_TOKEN};
use crate::metrics::flow::{cells, TOKEN_TYPES};
use crate::metrics::{Outcome, Readings};

/// How many models are shown.
const SHOWN: usize = 100;

/// A model, as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Model {
    /// Empty: the requests named none.
    model: String,
    requests: u64,
    /// Of the last minutes.
    recent: u64,
    /// Of the last minutes; absent: no request had a first token.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttft_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttft_p95_ms: Option<f64>,
    /// Output tokens, once the first one is there: the mean of the requests of the last minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_per_second_per_request: Option<f64>,
    input_tokens: u64,
    output_tokens: u64,
    cost: String,
}

/// What was counted of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    requests: u64,
    input: u64,
    output: u64,
    cost_nanos: u64,
    /// Histogram, [`FIRST_TOKEN`].
    first_token: Vec<u64>,
    /// Histogram, [`PER_OUTPUT_TOKEN`].
    per_output_token: Vec<u64>,
}

/// What was counted, by model.
pub(super) fn sums(readings: &Readings) -> BTreeMap<String, Sums> {
    let mut sums: BTreeMap<String, Sums> = BTreeMap::new();
    for (flow, cells) in &readings.flows {
        sums.entry(flow.model.clone()).or_default().add(cells);
    }
    sums
}

/// The models that were used most in the last minutes, and before, and how many more there are.
pub(super) fn of(readings: &Readings, recent: &Recent) -> (Vec<Model>, usize) {
    let none = Sums::default();
    let mut models: Vec<Model> = sums(readings)
        .into_iter()
        .map(|(name, sums)| {
            let before = recent.model_before(&name).unwrap_or(&none);
            sums.shown(name, before)
        })
        .collect();
    models.sort_by_key(|model| std::cmp::Reverse((model.recent, model.requests)));
    let more = models.len().saturating_sub(SHOWN);
    models.truncate(SHOWN);
    (models, more)
}

impl Sums {
    fn add(&mut self, flow: &[u64]) {
        let part = |at: usize, len: usize| flow.get(at..at + len).unwrap_or_default();
        let sum = |cells: &[u64]| cells.iter().fold(0_u64, |sum, more| sum.saturating_add(*more));
        let tokens = part(cells::TOKEN_COUNTS, cells::COST - cells::TOKEN_COUNTS);
        let [input, output] = [0, 1].map(|kind| {
            let of_kind = tokens.iter().skip(kind).step_by(TOKEN_TYPES.len());
            of_kind.fold(0_u64, |sum, more| sum.saturating_add(*more))
        });
        self.requests = self.requests.saturating_add(sum(part(cells::OUTCOMES, Outcome::COUNT)));
        self.input = self.input.saturating_add(input);
        self.output = self.output.saturating_add(output);
        self.cost_nanos = self.cost_nanos.saturating_add(sum(part(cells::COST, 1)));
        add_all(&mut self.first_token, part(cells::FIRST_TOKENS, FIRST_TOKEN.cells()));
        let rates = part(cells::PER_OUTPUT_TOKENS, PER_OUTPUT_TOKEN.cells());
        add_all(&mut self.per_output_token, rates);
    }

    fn shown(self, model: String, before: &Self) -> Model {
        let first_token = less(&self.first_token, &before.first_token);
        let quantile = |part| quantile(&FIRST_TOKEN, &first_token, part).map(rounded);
        let per_token = less(&self.per_output_token, &before.per_output_token);
        Model {
            model,
            requests: self.requests,
            recent: self.requests.saturating_sub(before.requests),
            ttft_p50_ms: quantile(0.5),
            ttft_p95_ms: quantile(0.95),
            tokens_per_second_per_request: rate(&per_token).map(rounded),
            input_tokens: self.input,
            output_tokens: self.output,
            cost: money(self.cost_nanos),
        }
    }
}

/// Rounds to three digits behind the point: nobody reads more.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn add_all(sums: &mut Vec<u64>, cells: &[u64]) {
    sums.resize(cells.len().max(sums.len()), 0);
    sums.iter_mut().zip(cells).for_each(|(sum, more)| *sum = sum.wrapping_add(*more));
}

fn less(now: &[u64], before: &[u64]) -> Vec<u64> {
    let before = before.iter().copied().chain(std::iter::repeat(0));
    now.iter().zip(before).map(|(now, before)| now.wrapping_sub(before)).collect()
}

/// The value under which this part of all values lies, in the unit of the bounds: as Prometheus's
/// `histogram_quantile` tells it, as if the values of a bucket lay evenly between its bounds. What is above the last
/// bound is taken for that. `None`: there are none.
fn quantile(bounds: &Bounds, histogram: &[u64], part: f64) -> Option<f64> {
    let buckets = histogram.get(..bounds.upper.len() + 1)?;
    let total: u64 = buckets.iter().sum();
    let rank = part * total as f64;
    let (mut below, mut lower) = (0_u64, 0_u64);
    for (count, upper) in buckets.iter().zip(bounds.upper) {
        if *count > 0 && (below + count) as f64 >= rank {
            let share = (rank - below as f64) / *count as f64;
            return Some(lower as f64 + (*upper - lower) as f64 * share);
        }
        (below, lower) = (below + count, *upper);
    }
    (total > 0).then_some(lower as f64)
}

/// Tokens a second, of a histogram of microseconds for one.
fn rate(histogram: &[u64]) -> Option<f64> {
    let us = *histogram.get(PER_OUTPUT_TOKEN.sum())?;
    let count: u64 = histogram.get(..=PER_OUTPUT_TOKEN.upper.len())?.iter().sum();
    (us > 0).then(|| count as f64 * 1e6 / us as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: &[u64]) -> Vec<u64> {
        let mut cells = vec![0; FIRST_TOKEN.cells()];
        for value in values {
            cells[FIRST_TOKEN.bucket(*value)] += 1;
            cells[FIRST_TOKEN.sum()] += value;
        }
        cells
    }

    #[test]
    fn quantiles_are_those_that_prometheus_tells() {
        let of = |values: &[u64], part| quantile(&FIRST_TOKEN, &histogram(values), part);
        assert_eq!(of(&[], 0.5), None);
        // All in (10, 20].
        assert_eq!(of(&[15, 16, 17, 18], 0.5), Some(15.0));
        assert_eq!(of(&[15, 16, 17, 18], 0.95), Some(19.5));
        // Three in (0, 1], one in (5000, 7500].
        assert_eq!(of(&[1, 1, 1, 6000], 0.5), Some(2.0 / 3.0));
        assert_eq!(of(&[1, 1, 1, 6000], 0.95), Some(5000.0 + 2500.0 * 0.8));
        assert_eq!(of(&[60_000], 0.95), Some(10_000.0));
        assert_eq!(of(&[1, 60_000], 0.5), Some(1.0));
    }

    #[test]
    fn rate_is_that_of_the_mean_token() {
        let mut cells = vec![0; PER_OUTPUT_TOKEN.cells()];
        assert_eq!(rate(&cells), None);
        for us in [10_000, 30_000] {
            cells[PER_OUTPUT_TOKEN.bucket(us)] += 1;
            cells[PER_OUTPUT_TOKEN.sum()] += us;
        }
        assert_eq!(rate(&cells), Some(50.0));
    }
}

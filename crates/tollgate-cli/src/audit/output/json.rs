//! A report as JSON.

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::{period, Report, OTHERS};
use crate::audit::by::{self, By};
use crate::audit::groups::{Common, Group};
use crate::audit::span::shown;
use crate::audit::table::amount;
use crate::audit::totals::{Part, Reasons, Times, Totals};
use crate::escape::shown_json;
use crate::exit::Failure;

#[derive(Serialize)]
struct JsonReport<'a> {
    by: String,
    /// The times of the first and of the last request.
    first: Option<String>,
    last: Option<String>,
    broken_lines: u64,
    total: JsonTotals,
    groups: Vec<JsonPeriod<'a>>,
}

/// A group, and when it was.
#[derive(Serialize)]
struct JsonPeriod<'a> {
    period_start: Option<String>,
    period_end: Option<String>,
    #[serde(flatten)]
    group: JsonGroup<'a>,
}

/// A member for each name that the requests have in common, and what they came to.
#[derive(Serialize)]
pub(crate) struct JsonGroup<'a> {
    #[serde(flatten)]
    common: JsonCommon<'a>,
    #[serde(flatten)]
    totals: JsonTotals,
}

struct JsonCommon<'a> {
    by: &'a [By],
    common: &'a Common,
}

impl Serialize for JsonCommon<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let name = |place: usize| match self.common {
            Common::Names(names) => names.get(place).and_then(Option::as_deref),
            Common::Others | Common::All => None,
        };
        if self.by.len() == 1 {
            map.serialize_entry("name", &name(0))?;
        }
        for (place, by) in self.by.iter().enumerate() {
            map.serialize_entry(by.as_str(), &name(place))?;
        }
        // Nobody's name is taken for it.
        if matches!(self.common, Common::Others) {
            map.serialize_entry("group", OTHERS)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct JsonTotals {
    requests: u64,
    allowed: u64,
    refused: u64,
    not_judged: u64,
    dry_run: u64,
    would_be_refused: u64,
    input_tokens: u128,
    cached_tokens: u128,
    cache_write_tokens: u128,
    output_tokens: u128,
    reasoning_tokens: u128,
    /// A number with all its digits, as the log has it.
    cost: Box<RawValue>,
    estimated: JsonPart,
    partial: JsonPart,
    unpriced: JsonPart,
    duration_ms: JsonTimes,
    ttft_ms: JsonTimes,
    refused_by_reason: JsonReasons,
    would_be_refused_by_reason: JsonReasons,
}

type JsonReasons = BTreeMap<&'static str, u64>;

#[derive(Serialize)]
struct JsonPart {
    requests: u64,
    input_tokens: u128,
    output_tokens: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct JsonTimes {
    p50: Option<u64>,
    p95: Option<u64>,
    p99: Option<u64>,
}

/// Money as a number with all its digits.
fn money(nanos: u128) -> Result<Box<RawValue>, Failure> {
    RawValue::from_string(amount(nanos)).map_err(failed)
}

impl JsonPart {
    fn new(part: &Part, has_cost: bool) -> Result<Self, Failure> {
        Ok(Self {
            requests: part.requests,
            input_tokens: part.input_tokens,
            output_tokens: part.output_tokens,
            cost: has_cost.then(|| money(part.cost_nanos)).transpose()?,
        })
    }
}

impl JsonTotals {
    fn new(totals: &Totals) -> Result<Self, Failure> {
        let reasons = |reasons: &Reasons| reasons.iter().filter(|(_, count)| *count > 0).collect();
        let times = |times: &Times| JsonTimes {
            p50: times.percentile(50),
            p95: times.percentile(95),
            p99: times.percentile(99),
        };
        Ok(Self {
            requests: totals.requests,
            allowed: totals.allowed,
            refused: totals.refused,
            not_judged: totals.not_judged,
            dry_run: totals.dry_run,
            would_be_refused: totals.would_be_refused,
            input_tokens: totals.input_tokens,
            cached_tokens: totals.cached_tokens,
            cache_write_tokens: totals.cache_write_tokens,
            output_tokens: totals.output_tokens,
            reasoning_tokens: totals.reasoning_tokens,
            cost: money(totals.cost_nanos)?,
            estimated: JsonPart::new(&totals.parts().estimated, true)?,
            partial: JsonPart::new(&totals.parts().partial, true)?,
            unpriced: JsonPart::new(&totals.parts().unpriced, false)?,
            duration_ms: times(&totals.duration),
            ttft_ms: times(&totals.ttft),
            refused_by_reason: reasons(&totals.reasons),
            would_be_refused_by_reason: reasons(&totals.dry_run_reasons),
        })
    }
}

fn failed(error: serde_json::Error) -> Failure {
    Failure::failed(error.to_string())
}

fn group<'a>(by: &'a [By], group: &'a Group) -> Result<JsonGroup<'a>, Failure> {
    let common = JsonCommon { by, common: &group.common };
    Ok(JsonGroup { common, totals: JsonTotals::new(&group.totals)? })
}

/// The groups, as JSON has them.
pub(crate) fn groups<'a>(by: &'a [By], groups: &'a [Group]) -> Result<Vec<JsonGroup<'a>>, Failure> {
    groups.iter().map(|one| group(by, one)).collect()
}

pub(crate) fn json(report: &Report) -> Result<String, Failure> {
    let groups = report.groups.iter().map(|one| {
        let [period_start, period_end] = period(report, &one.common);
        Ok(JsonPeriod { period_start, period_end, group: group(&report.by, one)? })
    });
    pretty(&JsonReport {
        by: by::joined(&report.by),
        first: report.seen.map(|(first, _)| shown(first)),
        last: report.seen.map(|(_, last)| shown(last)),
        broken_lines: report.broken,
        total: JsonTotals::new(&report.sum)?,
        groups: groups.collect::<Result<_, Failure>>()?,
    })
}

pub(crate) fn pretty(value: &impl Serialize) -> Result<String, Failure> {
    let json = serde_json::to_string_pretty(value).map_err(failed)?;
    Ok(shown_json(&json) + "\n")
}

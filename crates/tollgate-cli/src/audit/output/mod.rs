//! A report as a table, as CSV and as JSON.

mod csv;
mod json;
mod text;

pub(super) use csv::csv;
pub(super) use json::{groups as json_groups, json, pretty, JsonGroup};
pub(super) use text::{broken, text, totals_table};

use super::by::{finest_period, By};
use super::groups::{Common, Group};
use super::span::{self, shown, Span};
use super::totals::Totals;

/// The percentiles that are shown.
const PERCENTILES: [u8; 3] = [50, 95, 99];

/// What the row of requests that are in none stands for: there were too many groups.
const OTHERS: &str = "(others)";

/// All that was read.
pub(super) struct Report {
    pub(super) by: Vec<By>,
    pub(super) groups: Vec<Group>,
    /// Groups that are not among `groups`, as there are too many.
    pub(super) left_out: usize,
    pub(super) sum: Totals,
    /// Lines that are no record.
    pub(super) broken: u64,
    /// The time that was asked for.
    pub(super) span: Span,
    /// The times of the first and of the last request, in milliseconds since 1970.
    pub(super) seen: Option<(i64, i64)>,
}

/// From when to when a row reports, in RFC 3339: the end is not part of it.
///
/// A row of a day, a month or an hour is of all of it, but for what `--since` and `--until` left out. Any
/// other one is of the whole report; where that has no bounds, of the time from its first request to its last.
fn period(report: &Report, common: &Common) -> [Option<String>; 2] {
    let of_row = match (finest_period(&report.by), common) {
        (Some((place, _)), Common::Names(names)) => {
            let name = names.get(place).and_then(Option::as_deref);
            name.and_then(|name| span::of_period(name.trim_end_matches(":00Z")))
        }
        _ => None,
    };
    let seen = report.seen.map(|(first, last)| Span { start: Some(first), end: Some(last + 1) });
    let whole = of_row.or(seen).unwrap_or(Span { start: None, end: None });
    let start = match of_row {
        Some(row) => row.start.max(report.span.start),
        None => report.span.start.or(whole.start),
    };
    let end = match (of_row, report.span.end) {
        (Some(row), Some(end)) => row.end.map(|row_end| row_end.min(end)),
        (None, Some(end)) => Some(end),
        (_, None) => whole.end,
    };
    [start.map(shown), end.map(shown)]
}

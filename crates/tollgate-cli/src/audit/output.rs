//! A report as a table, as CSV and as JSON.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::report::Report;
use super::table::{amount, grouped, grouped_amounts, Table};
use super::totals::{Group, Reasons, Times, Totals};
use crate::escape::{shown, shown_json};
use crate::exit::Failure;

/// The percentiles that are shown.
const PERCENTILES: [u8; 3] = [50, 95, 99];

pub(super) fn text(report: &Report) -> String {
    let mut text = String::new();
    if let Some((first, last)) = report.span {
        text.push_str(&format!("{} to {}\n\n", time(first), time(last)));
    }
    let sum = Group { name: Some("all".to_owned()), totals: report.sum.clone() };
    let rows: Vec<&Group> = report.groups.iter().chain([&sum]).collect();
    text.push_str(&totals_table(report.by.as_str(), &rows).render());
    if report.left_out > 0 {
        text.push_str(&format!("{} more are not shown\n", report.left_out));
    }
    for (title, reasons) in [
        ("refused for", &report.sum.reasons),
        ("would be refused for (dry run)", &report.sum.dry_run_reasons),
    ] {
        let mut reasons: Vec<_> = reasons.iter().filter(|(_, count)| *count > 0).collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        if !reasons.is_empty() {
            let names = reasons.iter().map(|(name, _)| Some(*name));
            let counts = reasons.iter().map(|(_, count)| grouped((*count).into()));
            text.push('\n');
            text.push_str(&Table::new(title, names).column("requests", counts).render());
        }
    }
    if report.broken > 0 {
        text.push_str(&format!("\n{}\n", broken(report.broken)));
    }
    text
}

/// The columns of people: those that have nothing are left out.
pub(super) fn totals_table(title: &'static str, rows: &[&Group]) -> Table {
    let numbers = |of: fn(&Totals) -> u128| rows.iter().map(move |row| grouped(of(&row.totals)));
    let times = |of: fn(&Totals) -> &Times, percent| {
        rows.iter().map(move |row| {
            of(&row.totals).percentile(percent).map_or(String::new(), |ms| grouped(ms.into()))
        })
    };
    let costs: Vec<u128> = rows.iter().map(|row| row.totals.cost_nanos).collect();
    let names = rows.iter().map(|row| row.name.as_deref());
    let mut table = Table::new(title, names)
        .column("requests", numbers(|totals| totals.requests.into()))
        .column("refused", numbers(|totals| totals.refused.into()))
        .column("dry run", numbers(|totals| totals.dry_run.into()))
        .column("input", numbers(|totals| totals.input_tokens))
        .column("cached", numbers(|totals| totals.cached_tokens))
        .column("written", numbers(|totals| totals.cache_write_tokens))
        .column("output", numbers(|totals| totals.output_tokens))
        .column("reasoning", numbers(|totals| totals.reasoning_tokens))
        .column("cost", grouped_amounts(&costs));
    for (percent, title) in PERCENTILES.into_iter().zip(["ms p50", "p95", "p99"]) {
        table = table.column(title, times(|totals| &totals.duration, percent));
    }
    for (percent, title) in PERCENTILES.into_iter().zip(["first p50", "p95", "p99"]) {
        table = table.column(title, times(|totals| &totals.ttft, percent));
    }
    table
}

pub(super) fn broken(lines: u64) -> String {
    match lines {
        1 => "1 line is no record, and was left out".to_owned(),
        _ => format!("{} lines are no records, and were left out", grouped(lines.into())),
    }
}

fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| time.to_string())
}

pub(super) fn csv(report: &Report) -> Result<String, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let failed = |error: csv::Error| Failure::failed(error.to_string());
    let percentile = |what| PERCENTILES.map(|percent| format!("{what}_p{percent}_ms"));
    let head = [
        report.by.as_str(),
        "requests",
        "allowed",
        "refused",
        "not_judged",
        "dry_run",
        "would_be_refused",
        "input_tokens",
        "cached_tokens",
        "cache_write_tokens",
        "output_tokens",
        "reasoning_tokens",
        "cost",
    ];
    let mut row: Vec<String> = head.map(str::to_owned).to_vec();
    row.extend(percentile("duration").into_iter().chain(percentile("ttft")));
    row.extend(report.sum.reasons.iter().map(|(reason, _)| format!("refused_{reason}")));
    writer.write_record(&row).map_err(failed)?;
    for Group { name, totals } in &report.groups {
        let mut row = vec![name.as_deref().map_or(String::new(), csv_name)];
        row.extend(
            [
                totals.requests,
                totals.allowed,
                totals.refused,
                totals.not_judged,
                totals.dry_run,
                totals.would_be_refused,
            ]
            .map(|number| number.to_string()),
        );
        row.extend(
            [
                totals.input_tokens,
                totals.cached_tokens,
                totals.cache_write_tokens,
                totals.output_tokens,
                totals.reasoning_tokens,
            ]
            .map(|number| number.to_string()),
        );
        row.push(amount(totals.cost_nanos));
        for times in [&totals.duration, &totals.ttft] {
            let cell =
                |percent| times.percentile(percent).map_or(String::new(), |ms| ms.to_string());
            row.extend(PERCENTILES.map(cell));
        }
        row.extend(totals.reasons.iter().map(|(_, count)| count.to_string()));
        writer.write_record(&row).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(|error| Failure::failed(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| Failure::failed(error.to_string()))
}

/// A name that no spreadsheet takes for a formula, and no terminal for a command.
fn csv_name(name: &str) -> String {
    let name = shown(name);
    match name.starts_with(['=', '+', '-', '@', '\'']) {
        true => format!("'{name}"),
        false => name,
    }
}

#[derive(Serialize)]
struct JsonReport<'a> {
    by: &'a str,
    first: Option<String>,
    last: Option<String>,
    broken_lines: u64,
    total: JsonTotals,
    groups: Vec<JsonGroup<'a>>,
}

#[derive(Serialize)]
pub(super) struct JsonGroup<'a> {
    name: Option<&'a str>,
    #[serde(flatten)]
    totals: JsonTotals,
}

#[derive(Serialize)]
pub(super) struct JsonTotals {
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
    duration_ms: JsonTimes,
    ttft_ms: JsonTimes,
    refused_by_reason: JsonReasons,
    would_be_refused_by_reason: JsonReasons,
}

type JsonReasons = std::collections::BTreeMap<&'static str, u64>;

#[derive(Serialize)]
struct JsonTimes {
    p50: Option<u64>,
    p95: Option<u64>,
    p99: Option<u64>,
}

impl JsonTotals {
    pub(super) fn new(totals: &Totals) -> Result<Self, Failure> {
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
            cost: RawValue::from_string(amount(totals.cost_nanos)).map_err(json_failed)?,
            duration_ms: times(&totals.duration),
            ttft_ms: times(&totals.ttft),
            refused_by_reason: reasons(&totals.reasons),
            would_be_refused_by_reason: reasons(&totals.dry_run_reasons),
        })
    }
}

fn json_failed(error: serde_json::Error) -> Failure {
    Failure::failed(error.to_string())
}

/// The groups, as JSON has them.
pub(super) fn json_groups(groups: &[Group]) -> Result<Vec<JsonGroup<'_>>, Failure> {
    groups
        .iter()
        .map(|group| {
            let totals = JsonTotals::new(&group.totals)?;
            Ok(JsonGroup { name: group.name.as_deref(), totals })
        })
        .collect()
}

pub(super) fn json(report: &Report) -> Result<String, Failure> {
    let report = JsonReport {
        by: report.by.as_str(),
        first: report.span.map(|(first, _)| time(first)),
        last: report.span.map(|(_, last)| time(last)),
        broken_lines: report.broken,
        total: JsonTotals::new(&report.sum)?,
        groups: json_groups(&report.groups)?,
    };
    pretty(&report)
}

pub(super) fn pretty(value: &impl Serialize) -> Result<String, Failure> {
    let json = serde_json::to_string_pretty(value).map_err(json_failed)?;
    Ok(shown_json(&json) + "\n")
}

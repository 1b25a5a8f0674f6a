//! A report as a table.

use super::{Report, OTHERS, PERCENTILES};
use crate::audit::by::By;
use crate::audit::groups::{Common, Group};
use crate::audit::span::shown;
use crate::audit::table::{amount, grouped, grouped_amounts, Table};
use crate::audit::totals::{Part, Times, Totals};

pub(crate) fn text(report: &Report) -> String {
    let mut text = String::new();
    if let Some((first, last)) = report.seen {
        text.push_str(&format!("{} to {}\n\n", shown(first), shown(last)));
    }
    let sum = Group { common: Common::All, totals: report.sum.clone() };
    let rows: Vec<&Group> = report.groups.iter().chain([&sum]).collect();
    text.push_str(&totals_table(&report.by, &rows).render());
    if report.left_out > 0 {
        text.push_str(&format!("{} more are not shown\n", report.left_out));
    }
    for remark in remarks(&report.sum) {
        text.push_str(&format!("\n{remark}"));
    }
    if !remarks(&report.sum).is_empty() {
        text.push('\n');
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

/// What of the sums is not as certain as the rest.
fn remarks(sum: &Totals) -> Vec<String> {
    let tokens = |part: &Part| {
        let tokens = part.input_tokens + part.output_tokens;
        let requests = if part.requests == 1 { "request" } else { "requests" };
        format!("{} {requests}, {} tokens", grouped(part.requests.into()), grouped(tokens))
    };
    let costs = |part: &Part| match sum.priced {
        0 => String::new(),
        _ => format!(", {} of the cost", amount(part.cost_nanos)),
    };
    let mut remarks = Vec::new();
    if sum.parts().estimated.requests > 0 {
        let (tokens, costs) = (tokens(&sum.parts().estimated), costs(&sum.parts().estimated));
        remarks.push(format!("estimated: {tokens}{costs}; the engine did not say what they took"));
    }
    if sum.parts().partial.requests > 0 {
        let (tokens, costs) = (tokens(&sum.parts().partial), costs(&sum.parts().partial));
        remarks.push(format!("partial: {tokens}{costs}; cut off, and counted up to there"));
    }
    if is_priced(sum) && sum.parts().unpriced.requests > 0 {
        let tokens = tokens(&sum.parts().unpriced);
        remarks.push(format!(
            "unpriced: {tokens}; their models have no price, so that the cost lacks them"
        ));
    }
    remarks
}

/// Whether there are prices at all: else all requests are without one.
fn is_priced(sum: &Totals) -> bool {
    sum.priced > 0
}

/// The columns of people: those that have nothing are left out.
pub(crate) fn totals_table(by: &[By], rows: &[&Group]) -> Table {
    let numbers = |of: fn(&Totals) -> u128| rows.iter().map(move |row| grouped(of(&row.totals)));
    let times = |of: fn(&Totals) -> &Times, percent| {
        rows.iter().map(move |row| {
            of(&row.totals).percentile(percent).map_or(String::new(), |ms| grouped(ms.into()))
        })
    };
    let costs: Vec<u128> = rows.iter().map(|row| row.totals.cost_nanos).collect();
    let is_without =
        |row: &Group| row.totals.priced == 0 && row.totals.parts().unpriced.requests > 0;
    let costs = grouped_amounts(&costs).into_iter().zip(rows);
    let costs = costs.map(|(cost, row)| if is_without(row) { "-".to_owned() } else { cost });
    let mut table = Table::default();
    for (place, by) in by.iter().enumerate() {
        let name = |row: &&Group| match &row.common {
            Common::Names(names) => names.get(place).cloned().flatten(),
            // Once is enough.
            Common::Others | Common::All if place > 0 => Some(String::new()),
            Common::Others => Some(OTHERS.to_owned()),
            Common::All => Some("all".to_owned()),
        };
        let names: Vec<Option<String>> = rows.iter().map(name).collect();
        table = table.names(by.as_str(), names.iter().map(Option::as_deref));
    }
    table = table
        .column("requests", numbers(|totals| totals.requests.into()))
        .column("refused", numbers(|totals| totals.refused.into()))
        .column("dry run", numbers(|totals| totals.dry_run.into()))
        .column("input", numbers(|totals| totals.input_tokens))
        .column("cached", numbers(|totals| totals.cached_tokens))
        .column("written", numbers(|totals| totals.cache_write_tokens))
        .column("output", numbers(|totals| totals.output_tokens))
        .column("reasoning", numbers(|totals| totals.reasoning_tokens))
        .column("cost", costs)
        .column("estimated", numbers(|totals| totals.parts().estimated.requests.into()))
        .column("partial", numbers(|totals| totals.parts().partial.requests.into()));
    if rows.iter().any(|row| is_priced(&row.totals)) {
        table = table.column("unpriced", numbers(|totals| totals.parts().unpriced.requests.into()));
    }
    for (percent, title) in PERCENTILES.into_iter().zip(["ms p50", "p95", "p99"]) {
        table = table.column(title, times(|totals| &totals.duration, percent));
    }
    for (percent, title) in PERCENTILES.into_iter().zip(["first p50", "p95", "p99"]) {
        table = table.column(title, times(|totals| &totals.ttft, percent));
    }
    table
}

pub(crate) fn broken(lines: u64) -> String {
    match lines {
        1 => "1 line is no record, and was left out".to_owned(),
        _ => format!("{} lines are no records, and were left out", grouped(lines.into())),
    }
}

//! A report as CSV (RFC 4180), for spreadsheets and billing.

use csv::{Terminator, WriterBuilder};

use super::{period, Report, OTHERS, PERCENTILES};
use crate::audit::groups::{Common, Group};
use crate::audit::table::amount;
use crate::audit::totals::{Part, Totals};
use crate::escape::shown;
use crate::exit::Failure;

pub(in crate::audit) fn csv(report: &Report) -> Result<String, Failure> {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    let failed = |error: csv::Error| Failure::failed(error.to_string());
    let head = ["period_start", "period_end"].into_iter();
    let head = head.chain(report.by.iter().map(|by| by.as_str())).map(str::to_owned);
    let numbers = numbers(&report.sum).into_iter().map(|(name, _)| name);
    writer.write_record(head.chain(numbers)).map_err(failed)?;
    for Group { common, totals } in &report.groups {
        let period = period(report, common).into_iter().map(Option::unwrap_or_default);
        let names = (0..report.by.len()).map(|place| match common {
            Common::Names(names) => names.get(place).cloned().flatten().map(|name| cell(&name)),
            Common::Others | Common::All => Some(OTHERS.to_owned()),
        });
        let names = names.map(Option::unwrap_or_default);
        let numbers = numbers_of(totals);
        writer.write_record(period.chain(names).chain(numbers)).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(|error| Failure::failed(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| Failure::failed(error.to_string()))
}

fn numbers_of(totals: &Totals) -> impl Iterator<Item = String> {
    numbers(totals).into_iter().map(|(_, number)| number)
}

/// The columns and what is in them.
fn numbers(totals: &Totals) -> Vec<(String, String)> {
    let mut columns = Vec::new();
    let mut add = |name: &str, number: String| columns.push((name.to_owned(), number));
    for (name, number) in [
        ("requests", totals.requests),
        ("allowed", totals.allowed),
        ("refused", totals.refused),
        ("not_judged", totals.not_judged),
        ("dry_run", totals.dry_run),
        ("would_be_refused", totals.would_be_refused),
    ] {
        add(name, number.to_string());
    }
    for (name, number) in [
        ("input_tokens", totals.input_tokens),
        ("cached_tokens", totals.cached_tokens),
        ("cache_write_tokens", totals.cache_write_tokens),
        ("output_tokens", totals.output_tokens),
        ("reasoning_tokens", totals.reasoning_tokens),
    ] {
        add(name, number.to_string());
    }
    add("cost", amount(totals.cost_nanos));
    let mut part = |name: &str, part: &Part, has_cost: bool| {
        add(&format!("{name}_requests"), part.requests.to_string());
        add(&format!("{name}_input_tokens"), part.input_tokens.to_string());
        add(&format!("{name}_output_tokens"), part.output_tokens.to_string());
        if has_cost {
            add(&format!("{name}_cost"), amount(part.cost_nanos));
        }
    };
    part("estimated", &totals.estimated, true);
    part("partial", &totals.partial, true);
    part("unpriced", &totals.unpriced, false);
    for (name, times) in [("duration", &totals.duration), ("ttft", &totals.ttft)] {
        for percent in PERCENTILES {
            let ms = times.percentile(percent).map_or(String::new(), |ms| ms.to_string());
            add(&format!("{name}_p{percent}_ms"), ms);
        }
    }
    for (reason, count) in totals.reasons.iter() {
        add(&format!("refused_{reason}"), count.to_string());
    }
    columns
}

/// A name that no spreadsheet takes for a formula, and no terminal for a command.
///
/// A spreadsheet may split lines at other characters than commas, depending on its language: so what would
/// begin a formula is kept from that behind those as well. Some take the wide forms for formulas, too.
fn cell(name: &str) -> String {
    let mut cell = String::with_capacity(name.len());
    let mut may_begin = true;
    for c in shown(name).chars() {
        if may_begin && matches!(c, '=' | '+' | '-' | '@' | '\'' | '＝' | '＋' | '－' | '＠') {
            cell.push('\'');
        }
        may_begin = matches!(c, ',' | ';' | '|' | '"' | '\t') || (may_begin && c.is_whitespace());
        cell.push(c);
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_begins_a_formula_wherever_the_line_is_split() {
        for (name, safe) in [
            ("=1+1", "'=1+1"),
            ("-2", "'-2"),
            (" @x", " '@x"),
            ("＝1", "'＝1"),
            ("a;=1+1", "a;'=1+1"),
            ("a,\"=1", "a,\"'=1"),
            ("a; ;+1", "a; ;'+1"),
            ("\t=1", "\\u{9}=1"),
            ("'a", "''a"),
            ("llama-3.1-8b", "llama-3.1-8b"),
            ("a=b", "a=b"),
            ("k_1@x", "k_1@x"),
        ] {
            assert_eq!(cell(name), safe);
        }
    }
}

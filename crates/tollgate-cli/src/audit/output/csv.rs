//! A report as CSV (RFC 4180), for spreadsheets and billing.

use std::borrow::Cow;
use std::io::Write;

use csv::{Terminator, WriterBuilder};

use super::{period, Report, OTHERS, PERCENTILES};
use crate::audit::groups::{Common, Group};
use crate::audit::table::amount;
use crate::audit::totals::Totals;
use crate::escape::shown;
use crate::exit::Failure;

/// There may be very many rows: they are written as they are made.
pub(crate) fn csv(report: &Report, out: impl Write) -> Result<(), Failure> {
    write(report, out).map_err(|error| match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        other => Failure::failed(format!("{other:?}")),
    })
}

fn write(report: &Report, out: impl Write) -> csv::Result<()> {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(out);
    let mut row: Vec<Cow<'static, str>> = vec!["period_start".into(), "period_end".into()];
    row.extend(report.by.iter().map(|by| Cow::Borrowed(by.as_str())));
    numbers(&report.sum, |name, _| row.push(name().into()));
    writer.write_record(row.iter().map(|cell| cell.as_bytes()))?;
    for Group { common, totals } in &report.groups {
        row.clear();
        row.extend(period(report, common).map(|time| time.unwrap_or_default().into()));
        row.extend((0..report.by.len()).map(|place| match common {
            Common::Names(names) => {
                let name = names.get(place).and_then(Option::as_deref);
                name.map(cell).unwrap_or_default().into()
            }
            Common::Others | Common::All => Cow::Borrowed(OTHERS),
        }));
        numbers(totals, |_, number| row.push(number));
        writer.write_record(row.iter().map(|cell| cell.as_bytes()))?;
    }
    writer.flush()?;
    Ok(())
}

/// Calls `each` with the name of every column and with what is in it.
fn numbers(totals: &Totals, mut each: impl FnMut(&dyn Fn() -> String, Cow<'static, str>)) {
    for (name, number) in [
        ("requests", totals.requests),
        ("allowed", totals.allowed),
        ("refused", totals.refused),
        ("not_judged", totals.not_judged),
        ("dry_run", totals.dry_run),
        ("would_be_refused", totals.would_be_refused),
    ] {
        each(&|| name.to_owned(), digits(number.into()));
    }
    for (name, number) in [
        ("input_tokens", totals.input_tokens),
        ("cached_tokens", totals.cached_tokens),
        ("cache_write_tokens", totals.cache_write_tokens),
        ("output_tokens", totals.output_tokens),
        ("reasoning_tokens", totals.reasoning_tokens),
    ] {
        each(&|| name.to_owned(), digits(number));
    }
    each(&|| "cost".to_owned(), amount(totals.cost_nanos).into());
    for (name, part, has_cost) in [
        ("estimated", &totals.parts().estimated, true),
        ("partial", &totals.parts().partial, true),
        ("unpriced", &totals.parts().unpriced, false),
    ] {
        each(&|| format!("{name}_requests"), digits(part.requests.into()));
        each(&|| format!("{name}_input_tokens"), digits(part.input_tokens));
        each(&|| format!("{name}_output_tokens"), digits(part.output_tokens));
        if has_cost {
            each(&|| format!("{name}_cost"), amount(part.cost_nanos).into());
        }
    }
    for (name, times) in [("duration", &totals.duration), ("ttft", &totals.ttft)] {
        for percent in PERCENTILES {
            let ms = times.percentile(percent).map_or(Cow::Borrowed(""), |ms| digits(ms.into()));
            each(&|| format!("{name}_p{percent}_ms"), ms);
        }
    }
    for (reason, count) in totals.reasons.iter() {
        each(&|| format!("refused_{reason}"), digits(count.into()));
    }
}

/// Most numbers of most rows are none, and there may be very many rows.
fn digits(number: u128) -> Cow<'static, str> {
    match number {
        0 => Cow::Borrowed("0"),
        _ => Cow::Owned(number.to_string()),
    }
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

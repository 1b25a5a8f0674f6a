//! `tollgate audit report`

use std::io;

use clap::Args;

use super::by::{self, finest_period, By};
use super::filter::Filter;
use super::groups::{Groups, Sort};
use super::logs::Logs;
use super::output::{self, Report};
use super::span::{Span, SpanOptions};
use crate::exit::{print, tell, Exit, Failure};
use crate::time::now;

/// Add up audit logs: requests, refusals, tokens, money, times.
///
/// Files may be compressed with gzip; - is stdin. Lines that are no record are counted, and left out.
/// Times are those of requests that were let in, to one percent. Hours, days and months are those of UTC.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    logs: Logs,
    /// What to put requests together by; several with commas between them, such as client,model.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "client",
        value_name = "BY,..."
    )]
    by: Vec<By>,
    #[command(flatten)]
    span: SpanOptions,
    #[command(flatten)]
    filter: Filter,
    /// The order of the rows; by default requests, and with a period in --by the name.
    #[arg(long, value_enum)]
    sort: Option<Sort>,
    /// Only the first N rows; the sum is of all of them.
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    /// Print CSV.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        by::check(&self.by)?;
        let (report, damage) = self.read(self.span.at(now())?);
        if self.json {
            print(output::json(&report)?.as_bytes())?;
        } else if self.csv {
            if report.broken > 0 {
                // The rows have no place for it.
                tell(&format!("tollgate: {}", output::broken(report.broken)));
            }
            output::csv(&report, io::stdout().lock())?;
        } else {
            print(output::text(&report).as_bytes())?;
        }
        // What could be read is reported all the same.
        match damage {
            Some(failure) => Err(failure),
            None => Ok(Exit::Yes),
        }
    }

    /// The report, and why not all of it could be read.
    fn read(&self, span: Span) -> (Report, Option<Failure>) {
        let mut groups = Groups::new(&self.by);
        let mut seen: Option<(i64, i64)> = None;
        let done = self.logs.each_request(|record| {
            let time = record.time_ms;
            if span.has(time) && self.filter.wants(record) {
                groups.count(record);
                let (first, last) = seen.unwrap_or((time, time));
                seen = Some((first.min(time), last.max(time)));
            }
        });
        let (mut groups, sum) = groups.finish();
        let is_over_time = finest_period(&self.by).is_some();
        let by_default = if is_over_time { Sort::Name } else { Sort::Requests };
        self.sort.unwrap_or(by_default).sort(&mut groups);
        let all = groups.len();
        groups.truncate(self.top.unwrap_or(usize::MAX));
        let left_out = all - groups.len();
        let by = self.by.clone();
        let report = Report { by, groups, left_out, sum, broken: done.broken, span, seen };
        (report, done.damage)
    }
}

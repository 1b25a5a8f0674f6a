//! `tollgate audit report`

use std::cmp::{Ordering, Reverse};
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::input;
use super::output;
use super::record::Reader;
use super::totals::{By, Group, Groups, Totals};
use crate::exit::{print, Exit, Failure};
use crate::time::{now, When};

/// Add up audit logs: requests, refusals, tokens, money, times.
///
/// Files may be compressed with gzip; - is stdin. Lines that are no record are counted, and left out.
/// Times are those of requests that were let in, to one percent.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The logs.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// What to put requests together by.
    #[arg(long, value_enum, default_value = "client")]
    by: By,
    /// Only requests that ended at this time or later: a date, or how long ago.
    #[arg(long, value_name = "WHEN", value_parser = When::parse)]
    since: Option<When>,
    /// Only requests that ended before this time.
    #[arg(long, value_name = "WHEN", value_parser = When::parse)]
    until: Option<When>,
    /// The order of the rows; by default requests, and with --by hour the name.
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

/// The order of rows: the largest first, or by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Sort {
    Requests,
    Refused,
    Tokens,
    Cost,
    Name,
}

impl Sort {
    pub(super) fn sort(self, groups: &mut [Group]) {
        let key = |totals: &Totals| match self {
            Self::Requests => totals.requests.into(),
            Self::Refused => totals.refused.into(),
            Self::Tokens => totals.input_tokens + totals.output_tokens,
            Self::Cost => totals.cost_nanos,
            Self::Name => 0,
        };
        groups.sort_by(|a, b| {
            let by_key = Reverse(key(&a.totals)).cmp(&Reverse(key(&b.totals)));
            let by_requests = match self {
                Self::Name => Ordering::Equal,
                _ => b.totals.requests.cmp(&a.totals.requests),
            };
            // Those without a name come last.
            let by_name = a.name.is_none().cmp(&b.name.is_none()).then(a.name.cmp(&b.name));
            by_key.then(by_requests).then(by_name)
        });
    }
}

/// All that was read.
pub(super) struct Report {
    pub(super) by: By,
    pub(super) groups: Vec<Group>,
    /// Groups that are not among `groups`, as there are too many.
    pub(super) left_out: usize,
    pub(super) sum: Totals,
    /// Lines that are no record.
    pub(super) broken: u64,
    /// The times of the first and of the last request, in milliseconds since 1970.
    pub(super) span: Option<(i64, i64)>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let (report, damage) = self.read();
        let text = if self.json {
            output::json(&report)?
        } else if self.csv {
            if report.broken > 0 {
                // The rows have no place for it.
                let _ = writeln!(io::stderr(), "tollgate: {}", output::broken(report.broken));
            }
            output::csv(&report)?
        } else {
            output::text(&report)
        };
        print(text.as_bytes())?;
        // What could be read is reported all the same.
        match damage {
            Some(failure) => Err(failure),
            None => Ok(Exit::Yes),
        }
    }

    /// The report, and why not all of it could be read.
    fn read(&self) -> (Report, Option<Failure>) {
        let now = now();
        let since = self.since.map_or(i64::MIN, |when| when.before(now).0);
        let until = self.until.map_or(i64::MAX, |when| when.before(now).0);
        let mut groups = Groups::new(self.by);
        let mut reader = Reader::default();
        let mut broken = 0;
        let mut span: Option<(i64, i64)> = None;
        let mut damage = None;
        let progress = input::progress(&self.files);
        for path in &self.files {
            let read = input::each_line(path, &progress, |line| {
                let Some(record) = line.and_then(|line| reader.read(line)) else {
                    // An empty line is nobody's record.
                    broken += u64::from(!line.is_some_and(|line| line.trim_ascii().is_empty()));
                    return;
                };
                let time = record.time_ms;
                if since <= time && time < until {
                    groups.count(&record);
                    let (first, last) = span.unwrap_or((time, time));
                    span = Some((first.min(time), last.max(time)));
                }
            });
            damage = damage.or(read.err());
        }
        progress.finish_and_clear();
        let (mut groups, sum) = groups.finish();
        let by_default = if self.by == By::Hour { Sort::Name } else { Sort::Requests };
        self.sort.unwrap_or(by_default).sort(&mut groups);
        let all = groups.len();
        groups.truncate(self.top.unwrap_or(usize::MAX));
        let left_out = all - groups.len();
        (Report { by: self.by, groups, left_out, sum, broken, span }, damage)
    }
}

//! `tollgate audit anomalies`

mod evidence;
mod finding;
mod history;
mod network;
mod usual;

use clap::Args;
use serde::Serialize;

use super::logs::Logs;
use super::output::{broken, pretty};
use super::span::{shown, Past};
use super::table::grouped;
use crate::exit::{print, Exit, Failure};
use crate::time::now;

use finding::{find, judged_keys, Anomaly, HISTORY_DAYS};
use history::{History, HOUR_MS};

/// Name what is unusual for a key: first use from a network, far more requests or tokens in an hour than before,
/// a surge of refusals.
///
/// What is usual, the lines of the 28 days before tell: so name rotated files as well. Of a key that was
/// used in less than 24 hours, or on less than 5 days, nothing is said. Exit status: 0 if nothing is unusual, 1 if
/// something is.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    logs: Logs,
    /// Name what happened at this time or later, as with report; what was before is history.
    #[arg(long, value_name = "WHEN", value_parser = Past::parse)]
    since: Option<Past>,
    /// Only of this client; repeatable.
    #[arg(long, value_name = "NAME")]
    client: Vec<String>,
    /// At most so many of them; the exit status is by all.
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    /// Print nothing if nothing is unusual.
    #[arg(short, long)]
    quiet: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// How many are printed for people; whoever reads more has --top and --json.
const SHOWN: usize = 100;

#[derive(Serialize)]
struct Json {
    since: Option<String>,
    requests: u64,
    keys: usize,
    /// Of them, those that were used long enough to tell what is usual.
    judged_keys: usize,
    broken_lines: u64,
    /// Requests of which something was not kept, as there was too much.
    overlooked_requests: u64,
    found: usize,
    anomalies: Vec<evidence::JsonAnomaly>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let since = self.since.map(|past| past.at(now()).0);
        let history_ms = i64::from(HISTORY_DAYS) * 24 * HOUR_MS;
        let oldest = since.map_or(i64::MIN, |since| since.saturating_sub(history_ms));
        let mut history = History::default();
        let done = self.logs.each_request(|record| {
            let is_of = |client: &String| record.client() == Some(client);
            if record.time_ms >= oldest && (self.client.is_empty() || self.client.iter().any(is_of))
            {
                history.count(record);
            }
        });
        let found = find(&history, since.unwrap_or(i64::MIN));
        let top = self.top.unwrap_or(if self.json { usize::MAX } else { SHOWN });
        let shown_ones: Vec<&Anomaly> = found.iter().take(top).collect();
        let text = match self.json {
            true => pretty(&Json {
                since: since.map(shown),
                requests: history.requests,
                keys: history.keys().len(),
                judged_keys: judged_keys(&history),
                broken_lines: done.broken,
                overlooked_requests: history.overlooked,
                found: found.len(),
                anomalies: shown_ones.into_iter().map(evidence::json).collect(),
            })?,
            false => text(&shown_ones, found.len(), &history, done.broken),
        };
        // What was overlooked is worth a word in any case.
        let is_all = history.overlooked == 0 && done.broken == 0;
        if !(self.quiet && found.is_empty() && is_all) {
            print(text.as_bytes())?;
        }
        match (done.damage, found.is_empty()) {
            (Some(failure), _) => Err(failure),
            (None, true) => Ok(Exit::Yes),
            (None, false) => Ok(Exit::No),
        }
    }
}

fn text(shown: &[&Anomaly], found: usize, history: &History, broken_lines: u64) -> String {
    let mut text: String = shown.iter().map(|anomaly| evidence::text(anomaly)).collect();
    if found == 0 {
        text.push_str("nothing unusual; ");
    }
    text.push_str(&format!(
        "{} of {} keys were used long enough to tell, in {} requests\n",
        judged_keys(history),
        history.keys().len(),
        grouped(history.requests.into())
    ));
    if found > shown.len() {
        text.push_str(&format!("{} more are not shown\n", found - shown.len()));
    }
    if history.overlooked > 0 {
        let overlooked = grouped(history.overlooked.into());
        text.push_str(&format!(
            "not all was looked at: there are too many keys, networks or hours for {overlooked} of the requests; \
             --since and --client narrow it down\n"
        ));
    }
    if broken_lines > 0 {
        text.push_str(&format!("{}\n", broken(broken_lines)));
    }
    text
}

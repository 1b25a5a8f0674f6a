//! `tollgate key prune`

use std::time::Duration;

use clap::Args;

use super::values::moment;
use super::written::Writing;
use crate::exit::{print, Exit, Failure};
use crate::keys_file::{self, Entry};
use crate::time::{now, parse_duration, When};

/// Remove keys that expired or were revoked long ago.
///
/// Whoever tries one of them is unknown from then on.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    writing: Writing,
    /// How long ago.
    #[arg(long, value_parser = parse_duration, default_value = "30d", value_name = "TIME")]
    older_than: Duration,
    /// Say which, and keep them.
    #[arg(long)]
    dry_run: bool,
    /// Print a JSON array of their ids.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let limit = When::Distance(self.older_than).before(now());
        let is_old =
            |date: &Option<String>| date.as_deref().and_then(moment).is_some_and(|at| at <= limit);
        let has_ended = |entry: &Entry| is_old(&entry.expires) || is_old(&entry.revoked);
        let ids = |entries: &[Entry]| -> Vec<String> {
            entries.iter().filter(|entry| has_ended(entry)).map(|entry| entry.id.clone()).collect()
        };
        let pruned = match self.dry_run {
            true => ids(&keys_file::read(self.writing.path())?),
            false => keys_file::change(self.writing.path(), |entries| {
                let pruned = ids(entries);
                entries.retain(|entry| !has_ended(entry));
                Ok(pruned)
            })?,
        };
        let text = match self.json {
            true => format!("{}\n", serde_json::json!(pruned)),
            false => pruned.iter().map(|id| format!("{}\n", crate::escape::shown(id))).collect(),
        };
        print(text.as_bytes())?;
        match self.dry_run {
            true => Ok(Exit::Yes),
            false => self.writing.tell(&[], true),
        }
    }
}

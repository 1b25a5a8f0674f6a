//! `tollgate check`

use std::fs;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use serde_json::json;
use tollgate_core::clock::UnixMillis;
use tollgate_core::keys::faults;
use tollgate_core::rfc3339;

use crate::exit::{print, Exit, Failure};
use crate::key::count_states;
use crate::keys_file::{self, Entry};
use crate::time::now;

/// Keys that end within this time are told of.
const SOON_MS: i64 = 7 * 86_400_000;

/// Say what is wrong in a keys file, and where: as nginx would read it, and all of it.
///
/// Whether the tiers are declared is in nginx.conf: "nginx -t" tells.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The keys file.
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let path = self.file.display();
        let bytes = fs::read(&self.file)
            .map_err(|error| Failure::failed(format!("cannot read {path}: {error}")))?;
        let faults: Vec<String> = faults(&bytes).iter().map(ToString::to_string).collect();
        let entries = match faults.is_empty() {
            true => keys_file::parsed(&bytes)?,
            false => Vec::new(),
        };
        let now = now();
        let mut warnings = Vec::new();
        if keys_file::is_readable_by_all(&self.file) {
            warnings.push("everybody on this machine can read it".to_owned());
        }
        if faults.is_empty() && entries.is_empty() {
            warnings.push("it holds no keys, so nginx refuses to start with it".to_owned());
        }
        let without = entries.iter().filter(|entry| entry.tenant.is_none()).count();
        if 0 < without && without < entries.len() {
            warnings.push(format!(
                "{without} of {} keys have no tenant, and limits by $tollgate_tenant don't hold for them",
                entries.len()
            ));
        }
        warnings.extend(entries.iter().filter(|entry| ends_soon(entry, now)).map(|entry| {
            format!(
                "key \"{}\" ends at {}",
                entry.id.escape_debug(),
                entry.expires.as_deref().unwrap_or_default()
            )
        }));
        let states = count_states(&entries, now);
        let text = match self.json {
            true => {
                let states: serde_json::Map<_, _> =
                    states.iter().map(|(state, count)| (state.to_string(), json!(count))).collect();
                let report = json!({
                    "file": self.file.to_string_lossy(), "ok": faults.is_empty(), "faults": faults,
                    "warnings": warnings, "keys": entries.len(), "states": states,
                });
                format!("{report}\n")
            }
            false => {
                let mut text = String::new();
                for fault in &faults {
                    text.push_str(&format!("{path}: {fault}\n"));
                }
                for warning in &warnings {
                    text.push_str(&format!("{path}: warning: {warning}\n"));
                }
                if faults.is_empty() {
                    let states: Vec<String> =
                        states.iter().map(|(state, count)| format!("{count} {state}")).collect();
                    let rest = match states.is_empty() {
                        true => String::new(),
                        false => format!(" ({})", states.join(", ")),
                    };
                    text.push_str(&format!("{path}: ok, {} keys{rest}\n", entries.len()));
                }
                text
            }
        };
        print(text.as_bytes())?;
        Ok(if faults.is_empty() { Exit::Yes } else { Exit::No })
    }
}

fn ends_soon(entry: &Entry, now: UnixMillis) -> bool {
    let end = entry.expires.as_deref().and_then(rfc3339::parse);
    let is_off = entry.revoked.is_some() || entry.disabled == Some(true);
    end.is_some_and(|end| end > now && end.0 <= now.0.saturating_add(SOON_MS)) && !is_off
}

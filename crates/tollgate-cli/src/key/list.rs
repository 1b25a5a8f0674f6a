//! `tollgate key list` and `show`

use std::time::Duration;

use clap::Args;
use serde_json::{json, Value};
use tollgate_core::clock::UnixMillis;

use super::state::State;
use super::values::moment;
use crate::escape::{shown, shown_json};
use crate::exit::{print, Exit, Failure};
use crate::keys_file::{self, find, Entry, Keys};
use crate::time::{from_now, now, parse_duration, When};

/// List keys.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    keys: Keys,
    /// Those of this client.
    #[arg(long)]
    client: Option<String>,
    /// Those of this tenant.
    #[arg(long)]
    tenant: Option<String>,
    /// Those of this tier.
    #[arg(long)]
    tier: Option<String>,
    /// Those in this state.
    #[arg(long)]
    state: Option<State>,
    /// Active ones that end within this time, such as 7d.
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    expiring_within: Option<Duration>,
    /// Print a JSON array.
    #[arg(long)]
    json: bool,
}

/// Show everything about a key, but for the key itself, which is not kept.
#[derive(Args)]
pub(crate) struct ShowArguments {
    #[command(flatten)]
    keys: Keys,
    /// The id of the key.
    id: String,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

/// The entry with its state.
fn as_json(entry: &Entry, now: UnixMillis) -> Value {
    let mut value = json!(entry);
    if let Some(members) = value.as_object_mut() {
        members.insert("state".to_owned(), State::of(entry, now).as_str().into());
    }
    value
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let now = now();
        let mut entries = keys_file::read(&self.keys.file)?;
        entries.retain(|entry| self.is_wanted(entry, now));
        if self.json {
            let values: Vec<Value> = entries.iter().map(|entry| as_json(entry, now)).collect();
            print(format!("{}\n", json!(values)).as_bytes())?;
        } else if !entries.is_empty() {
            print(table(&entries, now).as_bytes())?;
        }
        Ok(if entries.is_empty() { Exit::No } else { Exit::Yes })
    }

    fn is_wanted(&self, entry: &Entry, now: UnixMillis) -> bool {
        let state = State::of(entry, now);
        let ends_soon = |within: Duration| {
            let end = entry.expires.as_deref().and_then(moment);
            state == State::Active
                && end.is_some_and(|end| end <= When::Distance(within).after(now))
        };
        self.client.as_ref().is_none_or(|client| *client == entry.client)
            && self.tenant.as_ref().is_none_or(|tenant| Some(tenant) == entry.tenant.as_ref())
            && self.tier.as_ref().is_none_or(|tier| Some(tier) == entry.tier.as_ref())
            && self.state.is_none_or(|wanted| wanted == state)
            && self.expiring_within.is_none_or(ends_soon)
    }
}

/// Columns as wide as they have to be.
fn table(entries: &[Entry], now: UnixMillis) -> String {
    // Where nobody has a tenant, nobody misses the column.
    let has_tenants = entries.iter().any(|entry| entry.tenant.is_some());
    let columns = |row: [String; 6]| {
        let [id, client, tenant, tier, expires, state] = row;
        let tenant = has_tenants.then_some(tenant);
        let row = [Some(id), Some(client), tenant, Some(tier), Some(expires), Some(state)];
        row.into_iter().flatten().collect::<Vec<String>>()
    };
    let titles = ["ID", "CLIENT", "TENANT", "TIER", "EXPIRES", "STATE"].map(str::to_owned);
    let mut rows = vec![columns(titles)];
    let named = |name: &Option<String>| name.as_deref().map_or_else(|| "-".to_owned(), shown);
    rows.extend(entries.iter().map(|entry| {
        columns([
            shown(&entry.id),
            shown(&entry.client),
            named(&entry.tenant),
            named(&entry.tier),
            entry.expires.clone().unwrap_or_else(|| "never".to_owned()),
            State::of(entry, now).as_str().to_owned(),
        ])
    }));
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

impl ShowArguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let mut entries = keys_file::read(&self.keys.file)?;
        let Some(entry) = find(&mut entries, &self.id) else { return Ok(Exit::No) };
        show(entry, self.json)
    }
}

/// Prints everything about a key.
pub(super) fn show(entry: &Entry, is_json: bool) -> Result<Exit, Failure> {
    let now = now();
    if is_json {
        print(format!("{}\n", as_json(entry, now)).as_bytes())?;
        return Ok(Exit::Yes);
    }
    let date = |date: &Option<String>| {
        let date = date.as_ref()?;
        let at = moment(date)?;
        Some(format!("{date} ({})", from_now(at.seconds().0, now.seconds().0)))
    };
    let list = |names: &Option<Vec<String>>| {
        names
            .as_ref()
            .map(|names| names.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", "))
    };
    let metadata = entry.metadata.as_ref().map(|metadata| {
        let members = metadata.iter().map(|(key, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), shown);
            format!("{}={value}", shown(key))
        });
        members.collect::<Vec<_>>().join(", ")
    });
    let rows = [
        ("id", Some(shown(&entry.id))),
        ("client", Some(shown(&entry.client))),
        ("tenant", entry.tenant.as_deref().map(shown)),
        ("name", entry.name.as_deref().map(shown)),
        ("tier", entry.tier.as_deref().map(shown)),
        ("state", Some(State::of(entry, now).as_str().to_owned())),
        ("models", list(&entry.models)),
        ("scopes", list(&entry.scopes)),
        ("cidrs", list(&entry.cidrs)),
        ("deny cidrs", list(&entry.deny_cidrs)),
        ("created", date(&entry.created)),
        ("not before", date(&entry.not_before)),
        ("expires", date(&entry.expires)),
        ("revoked", date(&entry.revoked)),
        ("metadata", metadata),
        ("description", entry.description.as_deref().map(shown)),
        ("cert", entry.cert.as_deref().map(shown)),
        ("hash", entry.hash.as_deref().map(shown_json)),
    ];
    let text: String = rows
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name:<12} {}\n", value?)))
        .collect();
    print(text.as_bytes())?;
    Ok(Exit::Yes)
}

//! `tollgate key create`

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use clap::Args;
use serde_json::json;

use super::values::{cert, check_networks, date, name, Rights};
use super::written::Writing;
use crate::exit::{print, tell, Exit, Failure};
use crate::keys_file::{self, Entry, KEY_PREFIX};
use crate::time::{now, When};

/// Make a key, and print it once: only its hash is kept.
///
/// The first line on stdout is the key, and nothing else is there: `key=$(tollgate key create ...)`. With
/// --cert no key is made: the client is known by its certificate, and what is printed is the entry's id.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    writing: Writing,
    /// Whom the key belongs to: the unit of limits.
    #[arg(long, value_parser = name)]
    client: String,
    /// The name in its certificate: spiffe://..., dns:HOST, cn:NAME, or sha256:DIGITS.
    #[arg(long, value_parser = cert, value_name = "NAME")]
    cert: Option<String>,
    #[command(flatten)]
    rights: Rights,
    /// What it is called in logs; random, if it isn't given.
    #[arg(long, value_parser = name)]
    id: Option<String>,
    /// Say nothing on stderr.
    #[arg(long)]
    quiet: bool,
    /// Print one JSON object instead.
    #[arg(long)]
    json: bool,
}

/// A new key: 256 random bits.
pub(crate) fn new_key() -> Result<String, Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Failure::failed(error.to_string()))?;
    Ok(format!("{KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        self.rights.check()?;
        let now = now();
        let (not_before, expires) = self.rights.dates();
        let key = match self.cert {
            None => Some(new_key()?),
            Some(_) => None,
        };
        let id = match self.id {
            Some(id) => id,
            None => keys_file::new_id()?,
        };
        let entry = Entry {
            id,
            hash: key.as_ref().map(|key| keys_file::hash_of(key.as_bytes())),
            cert: self.cert,
            client: self.client,
            tenant: self.rights.tenant,
            tier: self.rights.tier,
            models: self.rights.models,
            scopes: self.rights.scopes,
            cidrs: self.rights.cidrs,
            deny_cidrs: self.rights.deny_cidrs,
            not_before,
            expires,
            disabled: None,
            revoked: None,
            name: self.rights.name,
            created: Some(date(When::Moment(now), now)),
            metadata: match self.rights.metadata {
                none if none.is_empty() => None,
                members => Some(members.into_iter().collect()),
            },
            description: self.rights.description,
        };
        check_networks(&entry)?;
        // The file first: a key that was printed, but never filed, would be taken for a good one.
        keys_file::change_or_make(self.writing.path(), |entries| {
            entries.push(entry.clone());
            Ok(())
        })?;
        let Some(key) = key else {
            let line = match self.json {
                true => json!({"id": entry.id, "entry": entry}).to_string(),
                false => entry.id.clone(),
            };
            print(format!("{line}\n").as_bytes())?;
            return self.writing.tell(&[entry], self.quiet || self.json);
        };
        hand_out(&key, &entry, self.json)?;
        let is_quiet = self.quiet || self.json;
        if !is_quiet {
            tell(&format!(
                "This is the key of \"{}\", called {}: hand it out now, it is not kept.",
                entry.client.escape_debug(),
                entry.id.escape_debug()
            ));
        }
        self.writing.tell(&[entry], is_quiet)
    }
}

/// Prints a new key, this once.
pub(super) fn hand_out(key: &str, entry: &Entry, as_json: bool) -> Result<(), Failure> {
    let line = match as_json {
        true => json!({"key": key, "id": entry.id, "entry": entry}).to_string(),
        false => key.to_owned(),
    };
    print(format!("{line}\n").as_bytes()).map_err(|failure| {
        Failure::failed(format!(
            "the new key could not be printed, and nobody has it ({failure}); revoke it with \
             \"tollgate key revoke {}\"",
            entry.id.escape_debug()
        ))
    })
}

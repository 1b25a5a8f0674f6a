//! `tollgate key edit`, `revoke`, `disable` and `enable`

use clap::Args;

use super::values::{cert, check_networks, name, Rights};
use super::written::Writing;
use crate::cluster::Everywhere;
use crate::exit::{tell, Exit, Failure};
use crate::keys_file::{self, find, Entry};
use crate::time::{date_of, now};

/// Which keys.
#[derive(Args)]
pub(crate) struct Ids {
    #[command(flatten)]
    writing: Writing,
    #[command(flatten)]
    cluster: Everywhere,
    /// The ids of the keys.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
}

impl Ids {
    pub(crate) fn revoke(self) -> Result<Exit, Failure> {
        let now = date_of(now());
        self.take_back("revoked", |entry| {
            entry.disabled = Some(true);
            // The first time counts.
            entry.revoked.get_or_insert_with(|| now.clone());
        })
    }

    pub(crate) fn disable(self) -> Result<Exit, Failure> {
        self.take_back("disabled", |entry| entry.disabled = Some(true))
    }

    pub(crate) fn enable(self) -> Result<Exit, Failure> {
        self.each("enabled", true, |entry| {
            if entry.revoked.is_some() {
                return Err(Failure::usage(format!(
                    "{} is revoked, which is for good; make a new key with \"tollgate key create\"",
                    entry.id.escape_debug()
                )));
            }
            entry.disabled = None;
            Ok(())
        })
    }

    /// Changes those that there are: where one is misspelt, the others are revoked all the same.
    fn each(
        &self,
        done: &str,
        is_to_be_good: bool,
        change: impl Fn(&mut Entry) -> Result<(), Failure>,
    ) -> Result<Exit, Failure> {
        let changed = keys_file::change(self.writing.path(), |entries| {
            let mut changed = Vec::new();
            for id in &self.ids {
                if let Some(entry) = find(entries, id) {
                    change(entry)?;
                    changed.push(entry.clone());
                }
            }
            Ok(changed)
        })?;
        self.tell(done, &changed, is_to_be_good)
    }

    /// The same, to take keys back, which what is wrong with other entries is not to keep us from.
    fn take_back(&self, done: &str, change: impl Fn(&mut Entry)) -> Result<Exit, Failure> {
        let changed = keys_file::take_back(self.writing.path(), |entries, fault| {
            let mut changed = Vec::new();
            for id in &self.ids {
                // In a file with a fault, an id may be there twice.
                let all = entries.iter_mut().filter(|entry| entry.id == *id);
                let before = changed.len();
                for entry in all {
                    change(entry);
                    changed.push(entry.clone());
                }
                if changed.len() == before && fault.is_none() {
                    find(entries, id);
                }
            }
            match fault {
                Some(fault) if changed.is_empty() => {
                    return Err(keys_file::untouched(self.writing.path(), fault))
                }
                Some(fault) => tell(&format!(
                    "tollgate: {}: {fault}; that entry stays as it is, and nginx refuses it",
                    self.writing.path().display()
                )),
                None => {}
            }
            Ok(changed)
        })?;
        self.tell(done, &changed, false)
    }

    fn tell(&self, done: &str, changed: &[Entry], is_to_be_good: bool) -> Result<Exit, Failure> {
        if changed.is_empty() {
            return Ok(Exit::No);
        }
        let names: Vec<String> =
            changed.iter().map(|entry| entry.id.escape_debug().to_string()).collect();
        tell(&format!("{done} in the file: {}", names.join(", ")));
        // What is to be refused, is refused as soon as can be: before nginx here is waited for.
        self.cluster.tell(changed, !is_to_be_good)?;
        let taken = self.writing.tell(if is_to_be_good { changed } else { &[] }, false)?;
        let is_all = self.ids.iter().all(|id| changed.iter().any(|entry| entry.id == *id));
        Ok(if is_all { taken } else { Exit::No })
    }
}

/// Change what a key may do, or whose it is. What isn't named stays.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    writing: Writing,
    /// The id of the key.
    id: String,
    /// Whom it belongs to.
    #[arg(long, value_parser = name)]
    client: Option<String>,
    /// The name in its certificate: spiffe://..., dns:HOST, cn:NAME, or sha256:DIGITS.
    #[arg(long, value_parser = cert, value_name = "NAME")]
    cert: Option<String>,
    #[command(flatten)]
    rights: Rights,
    /// It has no certificate any more.
    #[arg(long, conflicts_with = "cert")]
    no_cert: bool,
    /// It names no tenant any more.
    #[arg(long, conflicts_with = "tenant")]
    no_tenant: bool,
    /// It names no tier any more.
    #[arg(long, conflicts_with = "tier")]
    no_tier: bool,
    /// It may use all models.
    #[arg(long, conflicts_with = "models")]
    no_models: bool,
    /// It has all scopes.
    #[arg(long, conflicts_with = "scopes")]
    no_scopes: bool,
    /// It may be used from anywhere.
    #[arg(long, conflicts_with = "cidrs")]
    no_cidrs: bool,
    /// It is denied to no network.
    #[arg(long, conflicts_with = "deny_cidrs")]
    no_deny_cidrs: bool,
    /// It doesn't end.
    #[arg(long, conflicts_with = "expires")]
    no_expires: bool,
    /// It has begun.
    #[arg(long, conflicts_with = "not_before")]
    no_not_before: bool,
    /// Without a name.
    #[arg(long, conflicts_with = "name")]
    no_name: bool,
    /// Without any metadata; with --metadata: without any other.
    #[arg(long)]
    no_metadata: bool,
    /// Without a note.
    #[arg(long, conflicts_with = "description")]
    no_description: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        fn set<T>(field: &mut Option<T>, value: Option<T>, unset: bool) -> bool {
            if unset {
                *field = None;
            }
            let is_given = value.is_some();
            if is_given {
                *field = value;
            }
            is_given || unset
        }
        self.rights.check()?;
        let (not_before, expires) = self.rights.dates();
        let is_of_networks = self.rights.cidrs.is_some() || self.rights.deny_cidrs.is_some();
        let edited = keys_file::change(self.writing.path(), |entries| {
            let Some(entry) = find(entries, &self.id) else { return Ok(None) };
            let mut is_any = self.client.is_some();
            if let Some(client) = self.client {
                entry.client = client;
            }
            is_any |= set(&mut entry.cert, self.cert, self.no_cert);
            is_any |= set(&mut entry.tenant, self.rights.tenant, self.no_tenant);
            is_any |= set(&mut entry.name, self.rights.name, self.no_name);
            is_any |= self.no_metadata || !self.rights.metadata.is_empty();
            if self.no_metadata {
                entry.metadata = None;
            }
            if !self.rights.metadata.is_empty() {
                entry.metadata.get_or_insert_default().extend(self.rights.metadata);
            }
            is_any |= set(&mut entry.tier, self.rights.tier, self.no_tier);
            is_any |= set(&mut entry.models, self.rights.models, self.no_models);
            is_any |= set(&mut entry.scopes, self.rights.scopes, self.no_scopes);
            is_any |= set(&mut entry.cidrs, self.rights.cidrs, self.no_cidrs);
            is_any |= set(&mut entry.deny_cidrs, self.rights.deny_cidrs, self.no_deny_cidrs);
            is_any |= set(&mut entry.expires, expires, self.no_expires);
            is_any |= set(&mut entry.not_before, not_before, self.no_not_before);
            is_any |= set(&mut entry.description, self.rights.description, self.no_description);
            if is_of_networks {
                check_networks(entry)?;
            }
            match is_any {
                true => Ok(Some(entry.clone())),
                false => {
                    Err(Failure::usage("name what to change, such as --tier pro or --expires 90d"))
                }
            }
        })?;
        match edited {
            Some(entry) => self.writing.tell(&[entry], false),
            None => Ok(Exit::No),
        }
    }
}

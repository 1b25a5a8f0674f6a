//! Values of the command line, held to the rules of the keys file where they are typed in.

use std::borrow::Cow;
use std::collections::HashSet;

use clap::Args;
use serde_json::Value;
use tollgate_core::about::{is_metadata_key, MAX_METADATA_KEY_LEN};
use tollgate_core::address::Cidr;
use tollgate_core::cert::CertName;
use tollgate_core::clock::UnixMillis;
use tollgate_core::disclosure::redacted;
use tollgate_core::pattern::Pattern;
use tollgate_core::permissions::networks::Networks;
use tollgate_core::permissions::scopes::Scope;
use tollgate_core::principal::{is_valid_name, MAX_NAME_LEN};
use tollgate_core::rfc3339;

use crate::exit::Failure;
use crate::keys_file::Entry;
use crate::time::{date_of, now, When};

/// What a key may do, and when.
#[derive(Args)]
pub(super) struct Rights {
    /// Who is behind the client: several clients may be of one tenant.
    #[arg(long, value_parser = name)]
    pub(super) tenant: Option<String>,
    /// The tier, as declared by `tollgate_tier`.
    #[arg(long, value_parser = name)]
    pub(super) tier: Option<String>,
    /// The models it may use: patterns, with commas between them.
    #[arg(long, value_parser = model_pattern, value_delimiter = ',', value_name = "PATTERN,...")]
    pub(super) models: Option<Vec<String>>,
    #[arg(
        long,
        value_parser = scope,
        value_delimiter = ',',
        value_name = "SCOPE,...",
        help = format!("The scopes it has, with commas between them: some of {}", Scope::names())
    )]
    pub(super) scopes: Option<Vec<String>>,
    /// The networks it may be used from, such as 203.0.113.0/24,2001:db8::/32.
    #[arg(long, value_parser = network, value_delimiter = ',', value_name = "NETWORK,...")]
    pub(super) cidrs: Option<Vec<String>>,
    /// The networks it may not be used from, whatever else is said.
    #[arg(long, value_parser = network, value_delimiter = ',', value_name = "NETWORK,...")]
    pub(super) deny_cidrs: Option<Vec<String>>,
    /// When it ends: 90d from now, or 2027-01-01.
    #[arg(long, value_parser = When::parse, value_name = "WHEN")]
    expires: Option<When>,
    /// When it begins: the same.
    #[arg(long, value_parser = When::parse, value_name = "WHEN")]
    not_before: Option<When>,
    /// What people call it, as the audit log may have it.
    #[arg(long, value_parser = name)]
    pub(super) name: Option<String>,
    /// What else the audit log may have of it; repeatable. Numbers, true and false are such.
    #[arg(long, value_parser = member, value_name = "KEY=VALUE")]
    pub(super) metadata: Vec<(String, Value)>,
    /// A note for people.
    #[arg(long)]
    pub(super) description: Option<String>,
}

impl Rights {
    /// Refuses what one value alone doesn't show.
    ///
    /// # Errors
    ///
    /// A name of `metadata` is there twice, so that which value was meant would be a guess; or a value looks like
    /// a secret, which whoever reads the file, or the audit log, would have. It is not repeated.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let mut names = HashSet::new();
        for (name, value) in &self.metadata {
            if !names.insert(name) {
                return Err(Failure::usage(format!(
                    "--metadata has \"{name}\" twice; a name has one value, so leave one of them out"
                )));
            }
            let is_secret = |text: &str| matches!(redacted(text.as_bytes(), None), Cow::Owned(_));
            if value.as_str().is_some_and(is_secret) {
                return Err(Failure::usage(format!(
                    "the value of \"{name}\" in --metadata looks like a key or a token: the keys file keeps it as \
                     it is, and the audit log may have it; name what it is of instead"
                )));
            }
        }
        Ok(())
    }

    /// When it begins and when it ends, as dates for the file.
    pub(super) fn dates(&self) -> (Option<String>, Option<String>) {
        let now = now();
        let dated = |when: Option<When>| when.map(|when| date(when, now));
        (dated(self.not_before), dated(self.expires))
    }
}

fn scope(text: &str) -> Result<String, String> {
    match Scope::from_name(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(format!("no scope; known are {}", Scope::names())),
    }
}

pub(crate) fn name(text: &str) -> Result<String, String> {
    match is_valid_name(text) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "must be 1 to {MAX_NAME_LEN} bytes, without control characters, and without space at \
             either end"
        )),
    }
}

/// The name in a certificate.
pub(super) fn cert(text: &str) -> Result<String, String> {
    CertName::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Refuses a network that a key may be used from to no effect, as all of it is denied.
pub(super) fn check_networks(entry: &Entry) -> Result<(), Failure> {
    let parse = |list: &Option<Vec<String>>| -> Option<Box<[Cidr]>> {
        // What is no network is told of when the file is written.
        list.as_ref().map(|list| list.iter().filter_map(|cidr| cidr.parse().ok()).collect())
    };
    let networks = Networks::new(parse(&entry.cidrs), parse(&entry.deny_cidrs).unwrap_or_default());
    match networks.contradiction() {
        Some((allowed, denied)) => Err(Failure::usage(format!(
            "the key may be used from {allowed} (--cidrs) to no effect: all of it is in {denied}, which \
             --deny-cidrs denies; leave one of them out"
        ))),
        None => Ok(()),
    }
}

/// A member of `metadata`. How many there may be is seen when the file is written.
fn member(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or("is not of the form KEY=VALUE")?;
    if !is_metadata_key(key) {
        return Err(format!(
            "its name must be 1 to {MAX_METADATA_KEY_LEN} letters, digits, \"_\", \"-\" and \".\""
        ));
    }
    let value = match serde_json::from_str(value) {
        Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
        _ => Value::String(name(value).map_err(|problem| format!("its value {problem}"))?),
    };
    Ok((key.to_owned(), value))
}

pub(super) fn model_pattern(text: &str) -> Result<String, String> {
    let name = name(text)?;
    Pattern::of_models(&name).map(|_| name).map_err(|problem| problem.to_string())
}

pub(super) fn network(text: &str) -> Result<String, String> {
    let cidr: Result<Cidr, _> = text.parse();
    cidr.map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// A date for the file: UTC, in whole seconds.
pub(super) fn date(when: When, now: UnixMillis) -> String {
    date_of(when.after(now))
}

/// A date of the file.
pub(super) fn moment(text: &str) -> Option<UnixMillis> {
    rfc3339::parse(text)
}

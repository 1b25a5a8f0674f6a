//! `tollgate key rotate`

use std::time::Duration;

use clap::Args;

use super::create::{hand_out, new_key};
use super::state::State;
use super::values::{date, moment};
use super::written::Writing;
use crate::exit::{tell, Exit, Failure};
use crate::keys_file::{self, find, Entry};
use crate::time::{from_now, now, parse_duration, When};

/// Make a successor with the same rights, and print it once; the old key ends after an overlap.
///
/// The successor ends when the old key would have ended, unless --expires or --no-expires is given.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    writing: Writing,
    /// The id of the key.
    id: String,
    /// How long the old key goes on; 0s: not at all.
    #[arg(long, value_parser = parse_duration, default_value = "7d", value_name = "TIME")]
    overlap: Duration,
    /// When the new key ends: 90d from now, or 2027-01-01.
    #[arg(long, value_parser = When::parse, value_name = "WHEN")]
    expires: Option<When>,
    /// The new key doesn't end.
    #[arg(long, conflicts_with = "expires")]
    no_expires: bool,
    /// Say nothing on stderr.
    #[arg(long)]
    quiet: bool,
    /// Print one JSON object instead of the key.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let now = now();
        let end = date(When::Distance(self.overlap), now);
        let new_end = self.expires.map(|when| date(when, now));
        let key = new_key()?;
        let id = keys_file::new_id()?;
        let successor = keys_file::change(self.writing.path(), |entries| {
            let Some(old) = find(entries, &self.id) else { return Ok(None) };
            match State::of(old, now) {
                State::Active => {}
                state => {
                    return Err(Failure::usage(format!(
                        "{} is {}, so that nothing follows it; make a new key with \"tollgate key \
                         create\"",
                        old.id.escape_debug(),
                        state.as_str()
                    )))
                }
            }
            if old.hash.is_none() {
                return Err(Failure::usage(format!(
                    "{} is a certificate without a key, so that no key follows it; its name stays when the \
                     certificate is renewed",
                    old.id.escape_debug()
                )));
            }
            let hash = Some(keys_file::hash_of(key.as_bytes()));
            let mut successor = Entry { id, hash, ..old.clone() };
            successor.created = Some(date(When::Moment(now), now));
            // A certificate belongs to one entry.
            old.cert = None;
            if new_end.is_some() || self.no_expires {
                successor.expires = new_end;
            }
            // Never later than it would have ended anyway.
            let ends_sooner =
                old.expires.as_deref().and_then(moment) < moment(&end) && old.expires.is_some();
            if self.overlap.is_zero() {
                old.disabled = Some(true);
                old.revoked = Some(date(When::Moment(now), now));
            } else if !ends_sooner {
                old.expires = Some(end.clone());
            }
            let ends = old.expires.clone();
            entries.push(successor.clone());
            Ok(Some((successor, ends)))
        })?;
        let Some((successor, ends)) = successor else { return Ok(Exit::No) };
        hand_out(&key, &successor, self.json)?;
        let is_quiet = self.quiet || self.json;
        if !is_quiet {
            let told = |date: &str| {
                let at = moment(date).map_or(0, |at| at.seconds().0);
                format!("{date} ({})", from_now(at, now.seconds().0))
            };
            let old = match self.overlap.is_zero() {
                true => "is revoked".to_owned(),
                false => format!("ends at {}", told(ends.as_deref().unwrap_or_default())),
            };
            let new = match &successor.expires {
                Some(date) => format!("ends at {}", told(date)),
                None => "doesn't end".to_owned(),
            };
            tell(&format!(
                "This is the key that follows {}, called {}: hand it out now, it is not kept. It {new}. \
                 The old one {old}.",
                self.id.escape_debug(),
                successor.id
            ));
        }
        self.writing.tell(&[successor], is_quiet)
    }
}

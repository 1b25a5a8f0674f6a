//! `tollgate key rotate`

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::create::{hand_out, new_key};
use super::state::State;
use super::values::{date, moment};
use super::{find, Keys};
use crate::exit::{tell, Exit, Failure};
use crate::keys_file::{self, Entry};
use crate::time::{exactly_in_words, parse_duration, When};

/// Make a successor with the same rights, and print it once; the old key ends after an overlap.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    keys: Keys,
    /// The id of the key.
    id: String,
    /// How long the old key goes on; 0s: not at all.
    #[arg(long, value_parser = parse_duration, default_value = "7d", value_name = "TIME")]
    overlap: Duration,
    /// Say nothing on stderr.
    #[arg(long)]
    quiet: bool,
    /// Print one JSON object instead of the key.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let now = Timestamp::now();
        let end = date(When::Distance(self.overlap), now)?;
        let key = new_key()?;
        let id = keys_file::new_id()?;
        let successor = keys_file::change(&self.keys.file, |entries| {
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
            let successor = Entry { id, hash: keys_file::hash_of(key.as_bytes()), ..old.clone() };
            // Never later than it would have ended anyway.
            let ends_sooner =
                old.expires.as_deref().and_then(moment) < moment(&end) && old.expires.is_some();
            if self.overlap.is_zero() {
                old.disabled = Some(true);
                old.revoked = Some(date(When::Moment(now), now)?);
            } else if !ends_sooner {
                old.expires = Some(end.clone());
            }
            let ends = old.expires.clone();
            entries.push(successor.clone());
            Ok(Some((successor, ends)))
        })?;
        let Some((successor, ends)) = successor else { return Ok(Exit::No) };
        hand_out(&key, &successor, self.json)?;
        if !self.quiet && !self.json {
            let rest = match self.overlap.is_zero() {
                true => "has ended".to_owned(),
                false => format!(
                    "goes on until {} ({})",
                    ends.as_deref().unwrap_or("it is revoked"),
                    exactly_in_words(self.overlap.as_secs())
                ),
            };
            tell(&format!(
                "This is the key that follows {}, called {}: hand it out now, it is not kept. The old \
                 one {rest}.",
                self.id.escape_debug(),
                successor.id
            ));
        }
        Ok(Exit::Yes)
    }
}

//! `tollgate key`: API keys, from first to leaked.

mod create;
mod edit;
mod find;
mod list;
mod prune;
mod rotate;
mod state;
mod values;
mod written;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum as _, ValueHint};
use state::State;
use tollgate_core::clock::UnixMillis;

use crate::exit::{tell, Exit, Failure};
use crate::keys_file::{self, Entry};

/// API keys.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a key, and print it once: only its hash is kept.
    Create(Box<create::Arguments>),
    /// List keys.
    #[command(visible_alias = "ls")]
    List(list::Arguments),
    /// Show everything about a key.
    Show(list::ShowArguments),
    /// Show whose a key is, which is read from stdin.
    Find(find::Arguments),
    /// Revoke keys for good.
    Revoke(edit::Ids),
    /// Refuse keys until they are enabled again.
    Disable(edit::Ids),
    /// Accept disabled keys again.
    Enable(edit::Ids),
    /// Change what a key may do, or whose it is.
    Edit(Box<edit::Arguments>),
    /// Make a successor with the same rights; the old key ends after an overlap.
    Rotate(rotate::Arguments),
    /// Remove keys that ended long ago.
    Prune(prune::Arguments),
    /// Take over the keys of another gateway.
    Import(Box<crate::import::Arguments>),
}

impl Command {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Create(arguments) => arguments.run(),
            Self::List(arguments) => arguments.run(),
            Self::Show(arguments) => arguments.run(),
            Self::Find(arguments) => arguments.run(),
            Self::Revoke(ids) => ids.revoke(),
            Self::Disable(ids) => ids.disable(),
            Self::Enable(ids) => ids.enable(),
            Self::Edit(arguments) => arguments.run(),
            Self::Rotate(arguments) => arguments.run(),
            Self::Prune(arguments) => arguments.run(),
            Self::Import(arguments) => arguments.run(),
        }
    }
}

/// Which file.
#[derive(Args)]
pub(crate) struct Keys {
    /// The keys file, as `tollgate_api_keys` names it.
    #[arg(long, env = "TOLLGATE_KEYS", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
}

/// The key of this id. Says so where there is none.
fn find<'e>(entries: &'e mut [Entry], id: &str) -> Option<&'e mut Entry> {
    let Some(position) = entries.iter().position(|entry| entry.id == id) else {
        // Whoever holds a key that has leaked may well take it for its name. It is not repeated.
        let message = match is_a_key(entries, id) {
            true => "that is a key, and no id: \"tollgate key find\" tells its id".to_owned(),
            false => format!("no key has the id \"{}\"", id.escape_debug()),
        };
        tell(&format!("tollgate: {message}"));
        return None;
    };
    entries.get_mut(position)
}

/// Whether a text is a key of the file, or has the form of those that are made here.
fn is_a_key(entries: &[Entry], text: &str) -> bool {
    let hash = keys_file::hash_of(text.as_bytes());
    text.starts_with(create::PREFIX) || entries.iter().any(|entry| entry.hash == hash)
}

/// Whether a text has the form of the keys that are made here: as a name, nginx refuses it.
pub(crate) fn is_like_a_key(text: &str) -> bool {
    text.len() == 46 && text.starts_with(create::PREFIX)
}

/// Whether it is an address or a network, as keys may be restricted to.
pub(crate) fn is_network(text: &str) -> bool {
    values::network(text).is_ok()
}

/// How many keys are in which state, in the order of the states; none of those without a key.
pub(crate) fn count_states(entries: &[Entry], now: UnixMillis) -> Vec<(&'static str, usize)> {
    let count = |state| entries.iter().filter(|entry| State::of(entry, now) == state).count();
    let states = State::value_variants().iter().map(|state| (state.as_str(), count(*state)));
    states.filter(|(_, count)| *count > 0).collect()
}

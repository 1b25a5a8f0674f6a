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

use clap::Subcommand;

use crate::exit::{Exit, Failure};

pub(crate) use create::new_key;
pub(crate) use state::count_states;
pub(crate) use values::name;

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

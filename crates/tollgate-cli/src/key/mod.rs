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
    Create(Box<create::Arguments>),
    #[command(visible_alias = "ls")]
    List(list::Arguments),
    Show(list::ShowArguments),
    Find(find::Arguments),
    /// Revoke keys for good.
    Revoke(edit::Ids),
    /// Refuse keys until they are enabled again.
    Disable(edit::Ids),
    /// Accept disabled keys again.
    Enable(edit::Ids),
    Edit(Box<edit::Arguments>),
    Rotate(rotate::Arguments),
    Prune(prune::Arguments),
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

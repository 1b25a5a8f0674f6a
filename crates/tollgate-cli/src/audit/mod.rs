//! `tollgate audit`: what the audit log tells.

mod follow;
mod heads;
mod input;
mod output;
mod record;
mod report;
mod seal;
mod table;
mod tail;
mod top;
mod totals;
mod verify;

use clap::Subcommand;

use crate::exit::{Exit, Failure};

// What each does is said where its arguments are.
#[derive(Subcommand)]
pub(crate) enum Command {
    Report(report::Arguments),
    Tail(tail::Arguments),
    Top(top::Arguments),
    #[command(subcommand)]
    Seal(seal::Command),
    Verify(verify::Arguments),
    Heads(heads::Arguments),
}

impl Command {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Report(arguments) => arguments.run(),
            Self::Tail(arguments) => arguments.run(),
            Self::Top(arguments) => arguments.run(),
            Self::Seal(command) => command.run(),
            Self::Verify(arguments) => arguments.run(),
            Self::Heads(arguments) => arguments.run(),
        }
    }
}

//! `tollgate audit`: what the audit log tells.

mod anomalies;
mod by;
mod filter;
mod follow;
mod groups;
mod heads;
mod input;
mod logs;
mod output;
mod record;
mod report;
mod seal;
mod show;
mod span;
pub(crate) mod table;
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
    Anomalies(anomalies::Arguments),
    Show(show::Arguments),
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
            Self::Anomalies(arguments) => arguments.run(),
            Self::Show(arguments) => arguments.run(),
            Self::Tail(arguments) => arguments.run(),
            Self::Top(arguments) => arguments.run(),
            Self::Seal(command) => command.run(),
            Self::Verify(arguments) => arguments.run(),
            Self::Heads(arguments) => arguments.run(),
        }
    }
}

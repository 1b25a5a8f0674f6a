//! `tollgate client`: what clients have left, and what an operator does about it.

mod drops;
mod list;
mod reset;
mod show;
mod told;

use clap::Subcommand;

use crate::exit::{Exit, Failure};

pub(crate) use list::standings;
pub(crate) use told::List;

// What each does is said where its arguments are.
#[derive(Subcommand)]
pub(crate) enum Command {
    List(list::Arguments),
    Show(show::Arguments),
    Reset(reset::Arguments),
    Drop(drops::Arguments),
}

impl Command {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::List(arguments) => arguments.run(),
            Self::Show(arguments) => arguments.run(),
            Self::Reset(arguments) => arguments.run(),
            Self::Drop(arguments) => arguments.run(),
        }
    }
}

//! `tollgate guard`: what guards find in texts, how well they do, and by which rules.

mod bench;
mod check;
mod kinds;
mod place;
mod sought;
mod test;

use clap::Subcommand;

use crate::exit::{Exit, Failure};

// What each does is said where its arguments are.
#[derive(Subcommand)]
pub(crate) enum Command {
    Test(test::Arguments),
    Check(check::Arguments),
    Bench(bench::Arguments),
    Kinds(kinds::Arguments),
}

impl Command {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Test(arguments) => arguments.run(),
            Self::Check(arguments) => arguments.run(),
            Self::Bench(arguments) => arguments.run(),
            Self::Kinds(arguments) => arguments.run(),
        }
    }
}

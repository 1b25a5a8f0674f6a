//! `tollgate limit`: how limits of `tollgate_limit` stand, and what an operator does about it.

mod reset;
mod show;
pub(crate) mod table;

use clap::{Args, Subcommand};

use crate::control::Socket;
use crate::exit::{Exit, Failure};

// What each does is said where its arguments are.
#[derive(Subcommand)]
pub(crate) enum Command {
    Show(show::Arguments),
    Reset(reset::Arguments),
}

impl Command {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Show(arguments) => arguments.run(),
            Self::Reset(arguments) => arguments.run(),
        }
    }
}

/// Which limit, and whose.
#[derive(Args)]
struct Subject {
    #[command(flatten)]
    socket: Socket,
    /// The name of the tollgate_limit.
    name: String,
    /// The value of its key: an address, a tenant, whatever `key=` comes to.
    key: String,
}

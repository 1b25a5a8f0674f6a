//! `tollgate jwt`: tokens, and the keys that they are signed with.

mod base64url;
mod input;
mod inspect;
mod issue;
mod keygen;
mod private_key;
mod verify;

use clap::Subcommand;

use crate::exit::{Exit, Failure};

// What each does is said where its arguments are.
#[derive(Subcommand)]
pub(crate) enum Command {
    Issue(Box<issue::Arguments>),
    Inspect(inspect::Arguments),
    Verify(Box<verify::Arguments>),
    Keygen(keygen::Arguments),
}

impl Command {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Issue(arguments) => arguments.run(),
            Self::Inspect(arguments) => arguments.run(),
            Self::Verify(arguments) => arguments.run(),
            Self::Keygen(arguments) => arguments.run(),
        }
    }
}

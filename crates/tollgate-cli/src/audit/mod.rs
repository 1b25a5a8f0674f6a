//! tollgate audit

use clap::Subcommand;

use crate::exit::{Exit, Failure};

/// tollgate audit
#[derive(Subcommand)]
pub(crate) enum Command {}

impl Command {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {}
    }
}

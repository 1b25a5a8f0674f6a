//! tollgate check

use clap::Args;

use crate::exit::{Exit, Failure};

/// tollgate check
#[derive(Args)]
pub(crate) struct Arguments {
    /// The keys file.
    file: std::path::PathBuf,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        Err(Failure::failed(format!("{}: not checked", self.file.display())))
    }
}

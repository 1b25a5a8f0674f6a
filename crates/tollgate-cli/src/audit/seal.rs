//! `tollgate audit seal`

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use tollgate_core::audit::seal::generate;
use zeroize::Zeroizing;

use crate::exit::{tell, Exit, Failure};

/// The keys of a sealed log.
#[derive(Subcommand)]
pub(crate) enum Command {
    Keygen(Keygen),
}

impl Command {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Keygen(arguments) => arguments.run(),
        }
    }
}

/// Make the pair of keys of a sealed log.
///
/// The first one seals, on the machine that writes the log: "tollgate_audit_log PATH seal=FILE;". nginx changes it
/// at each start, and only who starts nginx may read it. The second one verifies. It can seal as well, and so must
/// be taken off that machine: "tollgate audit verify --key FILE LOG...".
#[derive(Args)]
pub(crate) struct Keygen {
    /// Where the key that seals goes.
    #[arg(long, value_name = "FILE")]
    seal: PathBuf,
    /// Where the key that verifies goes.
    #[arg(long, value_name = "FILE")]
    verify: PathBuf,
}

impl Keygen {
    fn run(self) -> Result<Exit, Failure> {
        for path in [&self.seal, &self.verify] {
            if path.symlink_metadata().is_ok() {
                return Err(exists(path));
            }
        }
        if self.seal == self.verify {
            return Err(Failure::usage("--seal and --verify: these are two files"));
        }
        let now = jiff::Timestamp::now();
        let mut random = Zeroizing::new([0; 104]);
        getrandom::fill(random.as_mut_slice())
            .map_err(|error| Failure::failed(error.to_string()))?;
        let pair =
            generate(&random, now.as_second()).map_err(|error| Failure::failed(error.to_string()));
        let (sealing, verifying) = pair?;
        write(&self.verify, &verifying.to_file())?;
        if let Err(failure) = write(&self.seal, &sealing.to_file()) {
            // One without the other is of no use, and in the way of the next try.
            let _ = std::fs::remove_file(&self.verify);
            return Err(failure);
        }
        tell(&format!(
            "tollgate: take {} off this machine before nginx starts: whoever has it can seal what he likes",
            self.verify.display()
        ));
        Ok(Exit::Yes)
    }
}

fn exists(path: &Path) -> Failure {
    Failure::failed(format!(
        "{} is there already, and what was sealed with it could not be verified without it",
        path.display()
    ))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(path),
        _ => Failure::failed(format!("cannot write {}: {error}", path.display())),
    };
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(|error| {
        let _ = std::fs::remove_file(path);
        failed(error)
    })
}

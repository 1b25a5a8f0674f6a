//! How the command ends.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

/// The command could do its work, and this is the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done; or the answer is yes.
    Yes,
    /// The answer is no: not valid, not found, not clean.
    No,
    /// The answer is no, and worse than that: of what was found, something must not stay.
    Bad,
}

/// Why the command could not do its work: a lower-case sentence without a full stop.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was asked for what can't be, as the command line shows.
    Usage(String),
    /// A file, or the machine.
    Failed(String),
    /// Whoever reads our output has gone. There is nobody to tell.
    NobodyReads,
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Failed(message) => f.write_str(message),
            Self::NobodyReads => f.write_str("nobody reads the output"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::NobodyReads,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Has a write beyond the limit on the size of files (`ulimit -f`) fail as others do: by default, it ends the
/// process without a word. Where that can't be arranged, it stays so.
pub(crate) fn survive_file_size_limit() {
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
}

/// Writes to stdout.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()?;
    Ok(())
}

/// Writes a line to stderr. Where that can't be written to, the work goes on, and the status tells.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Tells what went wrong, and makes the exit status.
pub(crate) fn code(outcome: Result<Exit, Failure>) -> ExitCode {
    match outcome {
        Ok(Exit::Yes) => ExitCode::SUCCESS,
        Ok(Exit::No) => ExitCode::from(1),
        Ok(Exit::Bad) => ExitCode::from(2),
        Err(Failure::NobodyReads) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(&format!("tollgate: {failure}"));
            ExitCode::from(match failure {
                Failure::Usage(_) => 2,
                _ => 3,
            })
        }
    }
}

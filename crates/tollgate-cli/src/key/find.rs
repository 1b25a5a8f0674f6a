//! `tollgate key find`

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use clap::Args;
use tollgate_core::keys::MAX_KEY_LEN;

use super::list::show;
use crate::exit::{tell, Exit, Failure};
use crate::keys_file::{self, Keys};

/// Show whose a key is, such as one that has leaked.
///
/// The key is read from stdin, so that it stays out of the history of the shell and the list of
/// processes. It is not shown.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    keys: Keys,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let entries = keys_file::read(&self.keys.file)?;
        let hash = Some(keys_file::hash_of(&read_key()?));
        let Some(entry) = entries.iter().find(|entry| entry.hash == hash) else {
            tell("tollgate: it is no key of this file");
            return Ok(Exit::No);
        };
        show(entry, self.json)
    }
}

/// Stdin, less one line break.
fn read_key() -> Result<Vec<u8>, Failure> {
    let stdin = io::stdin();
    let is_terminal = stdin.is_terminal();
    // With room for the line break.
    let mut input = stdin.lock().take(MAX_KEY_LEN as u64 + 3);
    let mut key = Vec::new();
    if is_terminal {
        // Whoever pastes a key ends the line, and waits.
        let _ = write!(io::stderr(), "key: ");
        input.read_until(b'\n', &mut key)?;
    } else {
        input.read_to_end(&mut key)?;
    }
    if key.pop_if(|last| *last == b'\n').is_some() {
        key.pop_if(|last| *last == b'\r');
    }
    match key.len() {
        0 => Err(Failure::usage("stdin holds no key")),
        length if length > MAX_KEY_LEN => Err(Failure::usage("stdin holds more than a key")),
        _ => Ok(key),
    }
}

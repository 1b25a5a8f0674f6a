//! What is read: tokens, and files with keys.

use std::ffi::OsStr;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::exit::Failure;

/// The most that is read of a token: more than any header line of nginx holds.
const MAX_TOKEN: u64 = 1 << 20;

/// The most that is read of a key file.
const MAX_KEY_FILE: u64 = 16 << 20;

/// The bytes of a token: those of the argument, or of stdin less one line break.
pub(super) fn read_token(argument: Option<&OsStr>) -> Result<Vec<u8>, Failure> {
    if let Some(token) = argument.filter(|token| *token != "-") {
        return Ok(token.as_bytes().to_vec());
    }
    let stdin = io::stdin();
    let is_terminal = stdin.is_terminal();
    let mut input = stdin.lock().take(MAX_TOKEN + 1);
    let mut token = Vec::new();
    if is_terminal {
        // Whoever pastes a token ends the line, and waits.
        let _ = write!(io::stderr(), "token: ");
        input.read_until(b'\n', &mut token)?;
    } else {
        input.read_to_end(&mut token)?;
    }
    if token.len() as u64 > MAX_TOKEN {
        return Err(Failure::failed("stdin holds more than a token"));
    }
    Ok(without_line_break(&token).to_vec())
}

pub(super) fn without_line_break(bytes: &[u8]) -> &[u8] {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    match line.strip_suffix(b"\r") {
        Some(shorter) if line.len() < bytes.len() => shorter,
        _ => line,
    }
}

/// The contents of a file with keys.
pub(super) fn read_key_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let fail = |error: io::Error| Failure::failed(format!("{}: {error}", path.display()));
    let mut contents = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_KEY_FILE + 1).read_to_end(&mut contents))
        .map_err(fail)?;
    if contents.len() as u64 > MAX_KEY_FILE {
        return Err(Failure::failed(format!("{}: too large for a key file", path.display())));
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_line_break_is_no_part_of_a_token() {
        for (bytes, token) in
            [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), ("a\r", "a\r"), ("a\n\n", "a\n"), ("\n", "")]
        {
            assert_eq!(without_line_break(bytes.as_bytes()), token.as_bytes());
        }
    }
}

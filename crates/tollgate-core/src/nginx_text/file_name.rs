//! What is given where a directive asks for a file, and is none: what `access_log`, `error_log` and the
//! directives of other modules take. Taken for a path, each would make a file of that name, which nobody
//! reads, or find none.

use std::fmt;

/// What a directive does with its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Lines are added to it.
    Log,
    /// It is written as a whole.
    Kept,
    /// It is read.
    Read,
}

/// Something that isn't the name of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAFile {
    /// Nothing.
    Empty,
    /// A `$`: no variables are replaced.
    Variable,
    /// `syslog:server=...`
    Syslog,
    /// `memory:32m`
    Memory,
    /// `stderr`, `stdout`
    Stream,
    /// `|command`
    Command,
    /// `data:...`, `env:...`, `engine:...`, `store:...`
    Scheme,
    /// `https://...`
    Url,
    /// `on`, `none`: what switches are set to.
    Switch,
    /// A control character.
    ControlCharacter,
}

/// Whether `text` is the name of a file, as far as that shows.
///
/// # Errors
///
/// What it is instead.
pub fn check(text: &str) -> Result<(), NotAFile> {
    const SWITCHES: [&str; 9] =
        ["on", "off", "none", "no", "yes", "true", "false", "default", "combined"];
    const STREAMS: [&str; 4] = ["stderr", "stdout", "stdin", "-"];
    const SCHEMES: [&str; 5] = ["data:", "env:", "engine:", "store:", "unix:"];
    let lower = text.to_ascii_lowercase();
    let begins = |with: &str| lower.starts_with(with);
    let found = match text {
        "" => NotAFile::Empty,
        _ if text.contains(char::is_control) => NotAFile::ControlCharacter,
        _ if text.contains('$') => NotAFile::Variable,
        _ if begins("syslog:") || lower == "syslog" => NotAFile::Syslog,
        _ if begins("memory:") => NotAFile::Memory,
        _ if STREAMS.contains(&lower.as_str()) => NotAFile::Stream,
        _ if text.trim_start().starts_with('|') => NotAFile::Command,
        _ if lower.contains("://") => NotAFile::Url,
        _ if SCHEMES.iter().any(|scheme| begins(scheme)) => NotAFile::Scheme,
        _ if SWITCHES.contains(&lower.as_str()) => NotAFile::Switch,
        _ => return Ok(()),
    };
    Err(found)
}

/// What is wrong, and the way out.
#[must_use]
pub fn advice(found: NotAFile, purpose: Use) -> String {
    Advice(found, purpose).to_string()
}

struct Advice(NotAFile, Use);

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(found, purpose) = self;
        let verb = match purpose {
            Use::Log | Use::Kept => "write to",
            Use::Read => "read",
        };
        match found {
            NotAFile::Empty => f.write_str("needs the path of a file"),
            NotAFile::ControlCharacter => {
                f.write_str("can't have a control character in its path; write the path without it")
            }
            NotAFile::Variable => f.write_str(
                "can't have variables in its path, as there is one file for all requests; write the \
                 path without \"$\"",
            ),
            NotAFile::Syslog => write!(
                f,
                "can't {verb} syslog; use a file instead, which rsyslog (imfile), journald or another \
                 log shipper follows"
            ),
            NotAFile::Memory => {
                write!(f, "can't {verb} a buffer in memory; use the path of a file instead")
            }
            NotAFile::Stream if *purpose == Use::Log => f.write_str(
                "can't take a stream by its name, which would be that of a file; use \"/dev/stderr\" or \
                 \"/dev/stdout\" instead",
            ),
            NotAFile::Stream => {
                write!(f, "can't {verb} a stream; use the path of a file instead")
            }
            NotAFile::Command => write!(
                f,
                "can't {verb} a command; use a file instead, and let the command {} that",
                match purpose {
                    Use::Log | Use::Kept => "read",
                    Use::Read => "write",
                }
            ),
            NotAFile::Scheme => write!(
                f,
                "can't {verb} anything but a file; put it into one, and use its path instead"
            ),
            NotAFile::Url if *purpose == Use::Read => f.write_str(
                "can't read a URL; use the path of a file instead (keys of tokens can be asked for with \
                 \"tollgate_jwt_key_request\")",
            ),
            NotAFile::Url => write!(f, "can't {verb} a URL; use the path of a file instead"),
            NotAFile::Switch => f.write_str(
                "takes the path of a file; a file that really has this name is written \"./\" before it",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_directives_take_is_no_file() {
        for (text, expected) in [
            ("", NotAFile::Empty),
            ("a/$host.log", NotAFile::Variable),
            ("${year}.log", NotAFile::Variable),
            ("syslog:server=127.0.0.1:514,tag=x", NotAFile::Syslog),
            ("SYSLOG:server=unix:/dev/log", NotAFile::Syslog),
            ("syslog", NotAFile::Syslog),
            ("memory:32m", NotAFile::Memory),
            ("stderr", NotAFile::Stream),
            ("stdout", NotAFile::Stream),
            ("-", NotAFile::Stream),
            ("|/usr/bin/rotatelogs x", NotAFile::Command),
            (" | cat", NotAFile::Command),
            ("https://login.example.com/keys", NotAFile::Url),
            ("file:///etc/keys.json", NotAFile::Url),
            ("data:abc", NotAFile::Scheme),
            ("env:SECRET", NotAFile::Scheme),
            ("unix:/run/log.sock", NotAFile::Scheme),
            ("on", NotAFile::Switch),
            ("OFF", NotAFile::Switch),
            ("none", NotAFile::Switch),
            ("a\tb", NotAFile::ControlCharacter),
        ] {
            assert_eq!(check(text), Err(expected), "{text}");
            for purpose in [Use::Log, Use::Kept, Use::Read] {
                assert!(!advice(expected, purpose).is_empty());
            }
        }
    }

    #[test]
    fn what_looks_like_it_and_is_a_file_is_taken() {
        for text in [
            "audit.log",
            "/var/log/nginx/audit.log",
            "./on",
            "logs/off",
            "on.log",
            "stderr.log",
            "/dev/stderr",
            "syslog/audit.log",
            "memory.log",
            "a|b.log",
            "data/keys.json",
            "C:keys.json",
            "schlüssel.json",
            "my keys.json",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }
}

//! The socket of `tollgate_control`, at which nginx answers.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueHint};
use serde::de::DeserializeOwned;
use serde::Deserialize;
use tollgate_core::control::Request;

use crate::escape::shown;
use crate::exit::Failure;

/// Where it is, unless that is said.
const USUAL: &str = "/run/tollgate.sock";

/// A worker that doesn't answer by then is in trouble.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest answer that is read: more than any.
const MAX_ANSWER: u64 = 64 << 20;

/// Which socket.
#[derive(Args, Clone)]
pub(crate) struct Socket {
    /// The socket at which nginx answers, as `tollgate_control` names it; by default /run/tollgate.sock.
    #[arg(
        id = "socket",
        long = "socket",
        env = "TOLLGATE_CONTROL",
        value_name = "PATH",
        value_hint = ValueHint::FilePath
    )]
    path: Option<PathBuf>,
}

/// What nginx refuses.
#[derive(Debug, Deserialize)]
pub(crate) struct Refused {
    pub(crate) code: String,
    message: String,
}

/// A line of nginx's.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer<T> {
    Ok(T),
    Error(Refused),
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Silence {
    /// nginx refuses.
    Refused(Refused),
    /// Nobody answers: a lower-case sentence without a full stop.
    NoAnswer(String),
}

impl From<Silence> for Failure {
    fn from(silence: Silence) -> Self {
        match silence {
            Silence::Refused(Refused { code, message }) => match &*code {
                "malformed" => Self::usage(shown(&message)),
                _ => Self::failed(shown(&message)),
            },
            Silence::NoAnswer(why) => Self::failed(why),
        }
    }
}

impl Socket {
    /// Whether it was said which one.
    pub(crate) fn is_said(&self) -> bool {
        self.path.is_some()
    }

    fn path(&self) -> PathBuf {
        let path = self.path.clone().unwrap_or_else(|| PathBuf::from(USUAL));
        // As it stands in nginx.conf.
        match path.to_str().and_then(|path| path.strip_prefix("unix:")) {
            Some(path) => PathBuf::from(path),
            None => path,
        }
    }

    /// Asks, and reads the answer.
    pub(crate) fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T, Silence> {
        let path = self.path();
        let line = self.exchange(&path, request).map_err(|error| told(&path, &error))?;
        if line.is_empty() {
            return Err(Silence::NoAnswer(format!(
                "nginx at {} hears nobody but root and the user that starts it, and 32 at a time",
                path.display()
            )));
        }
        match serde_json::from_slice(&line) {
            Ok(Answer::Ok(found)) => Ok(found),
            Ok(Answer::Error(refused)) => Err(Silence::Refused(refused)),
            Err(error) => Err(Silence::NoAnswer(format!(
                "what answers at {} is no nginx with this version of Tollgate: {error}",
                path.display()
            ))),
        }
    }

    fn exchange(&self, path: &Path, request: &Request) -> io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        let sent = stream.write_all(&line).and_then(|()| stream.shutdown(Shutdown::Write));
        let mut answer = Vec::new();
        let read = (&stream).take(MAX_ANSWER).read_to_end(&mut answer);
        match (sent, read) {
            // Whoever isn't heard finds the connection closed, maybe before all was said.
            (Err(error), _) | (_, Err(error)) if answer.is_empty() && !is_closed(&error) => {
                Err(error)
            }
            _ => Ok(answer),
        }
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected
    )
}

/// Why nobody answers.
fn told(path: &Path, error: &io::Error) -> Silence {
    let path = path.display();
    Silence::NoAnswer(match error.kind() {
        io::ErrorKind::NotFound => format!(
            "no nginx answers at {path}: say \"tollgate_control unix:{path};\" in nginx.conf, or name its \
             socket with --socket or TOLLGATE_CONTROL"
        ),
        io::ErrorKind::ConnectionRefused => {
            format!("the socket {path} was left by an nginx that doesn't run any more")
        }
        io::ErrorKind::PermissionDenied => {
            format!("cannot connect to {path}: {error}; root may, and the user that starts nginx")
        }
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("nginx at {path} doesn't answer in time")
        }
        _ => format!("cannot ask at {path}: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_be_written_as_in_nginx_conf() {
        for (said, path) in [
            (None, USUAL),
            (Some("/run/x.sock"), "/run/x.sock"),
            (Some("unix:/run/x.sock"), "/run/x.sock"),
        ] {
            let socket = Socket { path: said.map(PathBuf::from) };
            assert_eq!(socket.path(), Path::new(path));
            assert_eq!(socket.is_said(), said.is_some());
        }
    }
}

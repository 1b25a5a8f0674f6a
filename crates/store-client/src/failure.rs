//! Why the store has given no answer that could be used.

use std::fmt;
use std::time::Duration;

/// What has failed. Its text is made for logs: no credential, and of what the store said no more than is known to be
/// harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was tried: the store is left alone for that long after what has failed before.
    Pausing(Duration),
    /// The name of its host has no address, or nobody says.
    Unresolved,
    /// Nobody has taken the connection, or it broke.
    Unreachable(std::io::ErrorKind),
    /// There was no (whole) answer in time.
    TimedOut,
    /// TLS couldn't be agreed on: its reason, without anything that the store chose.
    Tls(String),
    /// The answer is no RESP, or too large, or not of the kind that was asked for.
    Garbled(&'static str),
    /// The store has said no.
    Refused(ServerError),
    /// No sentinel knows the master.
    NoMaster,
    /// The server that should be master is none.
    NotMaster,
    /// No server of the cluster has the place of a key.
    NoPlace,
    /// The keys have moved from server to server too often.
    Restless,
}

/// An error that a server has told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    /// Its first word, such as `NOAUTH`.
    pub code: String,
    /// The rest: printable, and short. Empty where it might repeat what is secret.
    pub text: String,
}

/// The longest first word that is taken for a code.
const MAX_CODE: usize = 24;
/// How much of an error is kept.
const MAX_TEXT: usize = 160;

impl ServerError {
    /// What is known of a line that a server has sent.
    pub(crate) fn read(line: &[u8]) -> Self {
        let (code, rest) = match line.iter().position(|b| *b == b' ') {
            Some(at) => line.split_at(at),
            None => (line, &[][..]),
        };
        let is_code =
            !code.is_empty() && code.len() <= MAX_CODE && code.iter().all(u8::is_ascii_uppercase);
        let code =
            if is_code { String::from_utf8_lossy(code).into_owned() } else { "ERR".to_owned() };
        let printable =
            |b: &u8| if b.is_ascii_graphic() || *b == b' ' { char::from(*b) } else { '?' };
        let text = rest.iter().skip(1).take(MAX_TEXT).map(printable).collect();
        Self { code, text }
    }

    /// Without its text: servers repeat what they were asked.
    pub(crate) fn without_text(mut self) -> Self {
        self.text.clear();
        self
    }

    /// What the operator can do about it.
    fn advice(&self) -> Option<&'static str> {
        Some(match self.code.as_str() {
            "NOAUTH" => "it wants a password: \"password_file=\"",
            "WRONGPASS" => "the user or the password is wrong",
            "NOPERM" => {
                "its user may not do that: see docs/cluster.md for the rights that are needed"
            }
            "OOM" => "it is out of memory (maxmemory)",
            "READONLY" => "it is a replica now",
            "LOADING" => "it is reading its data",
            "CLUSTERDOWN" => "its cluster is down",
            "MISCONF" => "it can't write to its disk",
            "BUSY" => "a script of somebody else runs there",
            "MASTERDOWN" | "NOREPLICAS" => "it misses its master, or its replicas",
            "DENIED" => "it is in protected mode: set a password",
            _ => return None,
        })
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code)?;
        match self.advice() {
            Some(advice) => write!(f, ", {advice}"),
            None if self.text.is_empty() => Ok(()),
            None => write!(f, " {}", self.text),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pausing(left) => write!(f, "the next attempt is in {} ms", left.as_millis()),
            Self::Unresolved => f.write_str("the name of its host has no address"),
            Self::Unreachable(kind) => write!(f, "it can't be reached: {kind}"),
            Self::TimedOut => f.write_str("it didn't answer in time"),
            Self::Tls(reason) => write!(f, "TLS failed: {reason}"),
            Self::Garbled(what) => write!(f, "it answered {what}"),
            Self::Refused(error) => write!(f, "it refused: {error}"),
            Self::NoMaster => f.write_str("no sentinel knows a master of that name"),
            Self::NotMaster => f.write_str("the server that sentinels name is no master"),
            Self::NoPlace => f.write_str("no server of the cluster has the place of a key"),
            Self::Restless => f.write_str("keys moved from server to server"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => Self::TimedOut,
            // rustls wraps its own errors so.
            std::io::ErrorKind::InvalidData => {
                let told = error
                    .get_ref()
                    .and_then(|inner| inner.downcast_ref::<rustls::Error>())
                    .map(told);
                told.map_or(Self::Garbled("with what isn't TLS"), Self::Tls)
            }
            kind => Self::Unreachable(kind),
        }
    }
}

/// The reason, without names that stand in the certificate of whoever answers.
fn told(error: &rustls::Error) -> String {
    use rustls::{CertificateError, Error};
    match error {
        Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => "its certificate has expired".to_owned(),
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "its certificate is signed by nobody who is trusted: name the authority in \"ca=\""
                .to_owned()
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "its certificate is for another name than that of the address: see \"tls_name=\""
            .to_owned(),
        Error::InvalidCertificate(_) => "its certificate can't be trusted".to_owned(),
        Error::AlertReceived(alert) => format!("it sent the alert {alert:?}"),
        Error::InvalidMessage(_) => "it doesn't speak TLS at this port".to_owned(),
        _ => "the two can't agree".to_owned(),
    }
}

//! Where a store is: `redis://`, `rediss://` or `unix:`.

use std::fmt;
use std::path::PathBuf;

use super::ConfigError;

/// The port of a store, where its URL names none.
const STORE_PORT: u16 = 6379;
/// The longest name that DNS knows.
const MAX_HOST: usize = 253;
/// The longest name of a user that is taken.
const MAX_USER: usize = 128;
/// Stores have 16 databases, unless they are told otherwise.
const MAX_DATABASE: u16 = 9999;

/// One server, as the URL names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Where it listens.
    pub place: Place,
    /// Whether TLS is spoken with it.
    pub tls: bool,
    /// As whom to log in; `None`: as `default`.
    pub user: Option<String>,
    /// The number of its database.
    pub database: u16,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A name or an address, without the brackets of IPv6, and a port.
    Host(String, u16),
    /// A socket of the file system.
    Socket(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Host(host, port) => write!(f, "{host}:{port}"),
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Place {
    /// Whether only this machine can reach it, so that nobody between can listen.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Socket(_) => true,
            Self::Host(host, _) => {
                host == "localhost"
                    || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
            }
        }
    }
}

impl Address {
    /// Reads a URL. An error never quotes it where a password may stand in it.
    pub(super) fn parse(word: &str) -> Result<Self, ConfigError> {
        if let Some(path) = word.strip_prefix("unix:") {
            if !path.starts_with('/') {
                return Err(ConfigError::new(format!(
                    "\"{word}\" must be \"unix:\" and the whole path of a socket"
                )));
            }
            let place = Place::Socket(PathBuf::from(path));
            return Ok(Self { place, tls: false, user: None, database: 0 });
        }
        let (tls, rest) = match (word.strip_prefix("redis://"), word.strip_prefix("rediss://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(Self::unknown(word)),
        };
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(Self::user(user)?), rest),
            None => (None, rest),
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let place = Self::host(host).ok_or_else(|| {
            ConfigError::new(format!(
                "\"{host}\" of a store's URL must be a host, or a host and a port"
            ))
        })?;
        Ok(Self { place, tls, user, database: Self::database(path)? })
    }

    fn unknown(word: &str) -> ConfigError {
        // What isn't known as a URL may still have a password in it.
        let shown = if word.contains('@') { "the address of the store" } else { word };
        ConfigError::new(format!(
            "{} must begin with \"redis://\", \"rediss://\" (TLS) or \"unix:\"",
            if shown == word { format!("\"{word}\"") } else { shown.to_owned() }
        ))
    }

    fn user(user: &str) -> Result<String, ConfigError> {
        if user.contains(':') {
            return Err(ConfigError::new(
                "the URL of the store has a password, which \"nginx -T\" would print: write it into a file, and name \
                 that in \"password_file=\""
                    .to_owned(),
            ));
        }
        let is_known = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if user.is_empty() || user.len() > MAX_USER || !user.chars().all(is_known) {
            return Err(ConfigError::new(
                "the user in the URL of the store must be of letters, digits and \"._-\""
                    .to_owned(),
            ));
        }
        Ok(user.to_owned())
    }

    fn host(text: &str) -> Option<Place> {
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, after) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        } else {
            match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        let port = match port {
            None => STORE_PORT,
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port.parse().ok()?,
            Some(_) => return None,
        };
        (is_host(host) && port != 0).then(|| Place::Host(host.to_owned(), port))
    }

    fn database(path: &str) -> Result<u16, ConfigError> {
        if path.is_empty() {
            return Ok(0);
        }
        let number = path.parse().ok().filter(|number| *number <= MAX_DATABASE);
        number.filter(|_| path.bytes().all(|b| b.is_ascii_digit())).ok_or_else(|| {
            ConfigError::new(
                "what follows the host in the URL of the store must be the number of a database"
                    .to_owned(),
            )
        })
    }
}

/// Whether it can be the name or the address of a host. Asked of what a store says about others, too.
pub(crate) fn is_host(host: &str) -> bool {
    let is_known = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
    !host.is_empty() && host.len() <= MAX_HOST && host.chars().all(is_known)
}

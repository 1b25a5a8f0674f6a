//! The origins that `tollgate_cors` names, and those that requests come from.
//!
//! A browser writes the origin of a page in one way (HTML, "ASCII serialisation of an origin"): in lower case,
//! without the port that is the scheme's own, and without a path. So what is named is held to that form, and
//! compared byte by byte: whatever else a request says is no origin that is named.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// An origin, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// `*`: all of them, but for `null`.
    Any,
    /// One, as browsers write it.
    Exact(Box<str>),
    /// `https://*.example.com`: those of the names below that one.
    Below {
        /// With `://`.
        scheme: Box<str>,
        /// What follows the first labels: `.example.com`, perhaps with a port.
        rest: Box<str>,
    },
}

/// Why a text names no origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginError {
    /// `null` is what pages without an origin say, anybody's among them.
    Null,
    /// There is no scheme before it.
    NoScheme,
    /// Pages of this scheme have no origin.
    Opaque,
    /// The host is none, or not in ASCII.
    Host,
    /// The port is none.
    Port,
    /// It has a user, a query or a fragment.
    NoOrigin,
    /// A `*` that is not the whole first label, or behind a scheme that has no names below others.
    Wildcard,
    /// A `*` below a name that has one label, or none.
    TooWide,
    /// Browsers write it in this way.
    Write(String),
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str(
                "is what browsers send for pages without an origin, those of anybody in a sandboxed frame among \
                 them; name origins such as \"https://app.example.com\"",
            ),
            Self::NoScheme => f.write_str(
                "has no scheme, which is a part of an origin; write \"https://app.example.com\"",
            ),
            Self::Opaque => f.write_str(
                "has a scheme whose pages have no origin: browsers send \"null\" for them; serve the page from a \
                 host",
            ),
            Self::Host => f.write_str(
                "has no valid host; write a name in lower case, in its ASCII form (\"xn--...\"), or an address",
            ),
            Self::Port => f.write_str("has no valid port; write a number from 1 to 65535"),
            Self::NoOrigin => f.write_str(
                "is more than an origin; write the scheme, the host and perhaps a port alone",
            ),
            Self::Wildcard => f.write_str(
                "has a \"*\" where none can stand; write \"https://*.example.com\" for all names below one, or \
                 \"*\" alone for every origin",
            ),
            Self::TooWide => f.write_str(
                "would let in the pages of everybody who has a name there; write a name of at least two labels \
                 behind \"*.\"",
            ),
            Self::Write(form) => write!(f, "is written \"{form}\" by browsers, and compared with that; write it so"),
        }
    }
}

impl std::error::Error for OriginError {}

/// Schemes whose pages have no origin of their own.
const OPAQUE: [&str; 6] = ["file", "data", "blob", "about", "javascript", "filesystem"];

/// Names below which anybody can have one.
const SHARED: [&str; 38] = [
    "co.uk",
    "org.uk",
    "ac.uk",
    "com.au",
    "co.nz",
    "co.jp",
    "com.br",
    "co.in",
    "com.cn",
    "co.za",
    "github.io",
    "gitlab.io",
    "pages.dev",
    "workers.dev",
    "vercel.app",
    "netlify.app",
    "herokuapp.com",
    "web.app",
    "firebaseapp.com",
    "azurewebsites.net",
    "cloudapp.net",
    "cloudfront.net",
    "amazonaws.com",
    "appspot.com",
    "run.app",
    "fly.dev",
    "onrender.com",
    "surge.sh",
    "ngrok.io",
    "ngrok.app",
    "ngrok-free.app",
    "trycloudflare.com",
    "hf.space",
    "streamlit.app",
    "repl.co",
    "replit.app",
    "glitch.me",
    "blogspot.com",
];

impl Pattern {
    /// # Errors
    ///
    /// Why it names none.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if text.eq_ignore_ascii_case("null") {
            return Err(OriginError::Null);
        }
        let (scheme, rest) = text.split_once("://").ok_or(OriginError::NoScheme)?;
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if !is_scheme {
            return Err(OriginError::NoScheme);
        }
        let scheme = scheme.to_ascii_lowercase();
        if OPAQUE.contains(&scheme.as_str()) {
            return Err(OriginError::Opaque);
        }
        if rest.contains(['@', '?', '#', '\\']) {
            return Err(OriginError::NoOrigin);
        }
        let authority = rest.split('/').next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let below = host.strip_prefix("*.");
        if below.unwrap_or(host).contains('*') {
            return Err(OriginError::Wildcard);
        }
        let host = match below {
            Some(_) if !matches!(scheme.as_str(), "http" | "https") => {
                return Err(OriginError::Wildcard)
            }
            Some(name) => format!("*.{}", canonical_name(name)?),
            None => canonical_host(host)?,
        };
        if below.is_some_and(|name| !name.contains('.')) {
            return Err(OriginError::TooWide);
        }
        let port = match port {
            None => String::new(),
            Some(port) => canonical_port(&scheme, port)?,
        };
        let form = format!("{scheme}://{host}{port}");
        if form != text {
            return Err(OriginError::Write(form));
        }
        Ok(match host.strip_prefix('*') {
            Some(name) => Self::Below {
                scheme: format!("{scheme}://").into(),
                rest: format!("{name}{port}").into(),
            },
            None => Self::Exact(form.into()),
        })
    }

    /// Whether a page of `origin`, as the browser says it, is one of these.
    #[must_use]
    pub fn contains(&self, origin: &[u8]) -> bool {
        match self {
            // What no browser says is none.
            Self::Any => {
                origin != b"null" && !origin.is_empty() && origin.iter().all(u8::is_ascii_graphic)
            }
            Self::Exact(exact) => origin == exact.as_bytes(),
            Self::Below { scheme, rest } => {
                let host = origin.strip_prefix(scheme.as_bytes());
                host.and_then(|host| host.strip_suffix(rest.as_bytes())).is_some_and(are_labels)
            }
        }
    }

    /// What an operator may not have thought of.
    #[must_use]
    pub fn doubt(&self) -> Option<&'static str> {
        let Self::Below { rest, .. } = self else { return None };
        let name = rest.trim_start_matches('.').split(':').next().unwrap_or_default();
        SHARED.contains(&name).then_some(
            "lets in pages of strangers, as anybody can have a name there; name the origins of your own",
        )
    }
}

/// One or more labels of a name, with dots between them.
fn are_labels(name: &[u8]) -> bool {
    let is_label = |label: &[u8]| {
        let is_of = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        !label.is_empty() && label.iter().all(is_of)
    };
    name.split(|byte| *byte == b'.').all(is_label)
}

fn canonical_name(name: &str) -> Result<String, OriginError> {
    let name = name.to_ascii_lowercase();
    let last = name.rsplit('.').next().unwrap_or_default();
    // A browser takes what ends in a number for an address.
    let is_name = are_labels(name.as_bytes()) && !last.bytes().all(|byte| byte.is_ascii_digit());
    is_name.then_some(name).ok_or(OriginError::Host)
}

fn canonical_host(host: &str) -> Result<String, OriginError> {
    if let Some(address) = host.strip_prefix('[') {
        let address =
            address.strip_suffix(']').and_then(|address| address.parse::<Ipv6Addr>().ok());
        let address = address.ok_or(OriginError::Host)?;
        // Browsers write the last 32 bits as all others.
        return Ok(match (address.to_ipv4_mapped(), address.segments()) {
            (Some(_), [.., high, low]) => format!("[::ffff:{high:x}:{low:x}]"),
            _ => format!("[{address}]"),
        });
    }
    match host.parse::<Ipv4Addr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => canonical_name(host),
    }
}

/// With its colon; empty where it is that of the scheme.
fn canonical_port(scheme: &str, port: &str) -> Result<String, OriginError> {
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let number = port.parse::<u16>().ok().filter(|number| is_number && *number > 0);
    let number = number.ok_or(OriginError::Port)?;
    Ok(match (scheme, number) {
        ("http" | "ws", 80) | ("https" | "wss", 443) => String::new(),
        _ => format!(":{number}"),
    })
}

#[cfg(test)]
mod tests;

//! What is given where the header of an API key is asked for (`tollgate_api_key_header`), and can't be
//! one.

use std::fmt;

/// Why a key can't be in such a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderNameError {
    /// Not a token of RFC 9110.
    NotAToken,
    /// A variable.
    Variable,
    /// What stands before the credential in `Authorization`.
    Scheme,
    /// nginx, or HTTP itself, goes by what is in it.
    Taken,
    /// Tollgate writes it, and takes off what the client says under this name.
    Ours,
    /// Proxies write it, and it is in everybody's log.
    OfProxies,
}

impl fmt::Display for HeaderNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAToken => "is no header name; write it without a colon and blanks",
            Self::Variable => {
                "is no header name, but a variable; write the name of the header, such as X-API-Key"
            }
            Self::Scheme => {
                "is no header name, but the word before a credential; \"Authorization\" takes \
                 \"Bearer KEY\" anyway"
            }
            Self::Taken => {
                "can't hold a key, as nginx or the backend needs what is in it, and a credential is \
                 taken off; use a name of its own, such as X-API-Key"
            }
            Self::Ours => {
                "can't hold a key, as Tollgate writes this header itself; use a name of its own, such \
                 as X-API-Key"
            }
            Self::OfProxies => {
                "can't hold a key, as proxies write this header and logs show it; use a name of its \
                 own, such as X-API-Key"
            }
        })
    }
}

impl std::error::Error for HeaderNameError {}

/// Headers that mean something to nginx, to HTTP, or to every backend.
const TAKEN: [&str; 30] = [
    "host",
    "connection",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "keep-alive",
    "proxy-connection",
    "http2-settings",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-extensions",
    "sec-websocket-accept",
    "accept",
    "accept-encoding",
    "accept-language",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
    "range",
    "date",
    "user-agent",
    "referer",
    "origin",
];
const OURS: [&str; 3] = ["x-client-id", "x-client-tier", "x-request-id"];
const OF_PROXIES: [&str; 9] = [
    "forwarded",
    "via",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "traceparent",
    "tracestate",
];

/// Whether keys can be looked for in the header `name`.
///
/// # Errors
///
/// Why not.
pub fn check(name: &str) -> Result<(), HeaderNameError> {
    const SCHEMES: [&str; 4] = ["bearer", "basic", "digest", "token"];
    let lower = name.to_ascii_lowercase();
    let is_one_of = |names: &[&str]| names.contains(&lower.as_str());
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.starts_with('$') {
        return Err(HeaderNameError::Variable);
    }
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(HeaderNameError::NotAToken);
    }
    match () {
        () if is_one_of(&SCHEMES) => Err(HeaderNameError::Scheme),
        () if is_one_of(&TAKEN) => Err(HeaderNameError::Taken),
        () if is_one_of(&OURS) => Err(HeaderNameError::Ours),
        () if is_one_of(&OF_PROXIES) => Err(HeaderNameError::OfProxies),
        () => Ok(()),
    }
}

/// What makes nginx drop a header line before anybody sees it: the directive that has it kept. `None`: it
/// isn't dropped.
///
/// `underscores` and `ignores` are what `underscores_in_headers` and `ignore_invalid_headers` say.
#[must_use]
pub fn dropped(name: &str, underscores: bool, ignores: bool) -> Option<&'static str> {
    let is_odd = name.bytes().any(|byte| !(byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
    match () {
        () if !ignores => None,
        () if is_odd => Some("ignore_invalid_headers off"),
        () if name.contains('_') && !underscores => Some("underscores_in_headers on"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_are_for_something_else_hold_no_keys() {
        for (name, expected) in [
            ("", HeaderNameError::NotAToken),
            ("X Key", HeaderNameError::NotAToken),
            ("Authorization:", HeaderNameError::NotAToken),
            ("X-Key\n", HeaderNameError::NotAToken),
            ("$http_x_api_key", HeaderNameError::Variable),
            ("Bearer", HeaderNameError::Scheme),
            ("HOST", HeaderNameError::Taken),
            ("Content-length", HeaderNameError::Taken),
            ("x-client-id", HeaderNameError::Ours),
            ("X-Request-ID", HeaderNameError::Ours),
            ("X-Forwarded-For", HeaderNameError::OfProxies),
        ] {
            assert_eq!(check(name), Err(expected), "{name}");
        }
        for name in
            ["Authorization", "X-API-Key", "api-key", "Cookie", "x_api_key", "Proxy-Authorization"]
        {
            assert_eq!(check(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn nginx_keeps_what_it_is_told_to_keep() {
        let (underscores, odd) =
            (Some("underscores_in_headers on"), Some("ignore_invalid_headers off"));
        for (name, allowed, ignores, expected) in [
            ("X-Api-Key", false, true, None),
            ("X_Api_Key", false, true, underscores),
            ("X_Api_Key", true, true, None),
            ("X_Api_Key", false, false, None),
            ("X.Api.Key", true, true, odd),
            ("X_Api.Key", false, true, odd),
            ("X.Api.Key", false, false, None),
        ] {
            assert_eq!(dropped(name, allowed, ignores), expected, "{name} {allowed} {ignores}");
        }
    }
}

//! `tollgate_endpoints`: what an operator opens beyond the table of an engine, and what he closes.

use std::fmt;

use crate::path::{is_ambiguous, up_to_query};
use crate::pattern::{Pattern, PatternError};
use crate::permissions::scopes::Scope;

/// `+METHOD:PATH`, `+METHOD:PATH:SCOPE`, `-METHOD:PATH` or `-PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    opens: bool,
    /// `None`: any.
    method: Option<Box<str>>,
    path: Pattern,
    /// What a credential must be for; `None`: what the table says, if the path is for clients.
    scope: Option<Scope>,
}

/// The methods that can be named. HEAD is a GET.
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Why a text is no [`Exception`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExceptionError {
    /// Neither `+` nor `-` before it.
    NoSign,
    /// A `+` without a method.
    NoMethod,
    /// None of [`METHODS`].
    BadMethod,
    /// No path that begins with `/` or `*`.
    BadPath,
    /// What stands behind the path is no scope.
    BadScope,
    /// What is closed needs no scope.
    ScopeOfClosed,
    /// A path that no request has when it is compared.
    Unmatchable,
    /// No pattern.
    Pattern(PatternError),
}

impl fmt::Display for ExceptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSign => "it begins with \"+\" for what is opened, or \"-\" for what is closed",
            Self::NoMethod => {
                "what is opened needs a method before the path, such as \"+POST:/path\""
            }
            Self::BadMethod => {
                "the method is GET (and HEAD with it), POST, PUT, PATCH, DELETE or OPTIONS, in capitals, \
                 or \"*\" for any"
            },
            Self::BadPath => "the path begins with \"/\", and has no \"?\" and \"#\"",
            Self::BadScope => {
                let scopes = Scope::names();
                return write!(
                    f,
                    "behind the path stands one of the scopes {scopes}; a \":\" in a path can't be written, \
                     put \"*\" in its place"
                );
            }
            Self::ScopeOfClosed => {
                "what is closed is closed to all scopes; a \":\" in a path can't be written, put \"*\" in \
                 its place"
            }
            Self::Unmatchable => {
                "no request has it: paths are compared decoded, without empty and dot segments, and \
                 have no variables; put \"*\" in the place of a \"%\", \"$\" or \"\\\""
            }
            Self::Pattern(error) => return error.fmt(f),
        })
    }
}

impl std::error::Error for ExceptionError {}

impl Exception {
    /// Reads one word of the directive.
    ///
    /// # Errors
    /// See [`ExceptionError`].
    pub fn parse(text: &str) -> Result<Self, ExceptionError> {
        let (opens, rest) = match text.as_bytes().first() {
            Some(b'+') => (true, text.get(1..)),
            Some(b'-') => (false, text.get(1..)),
            _ => return Err(ExceptionError::NoSign),
        };
        let rest = rest.unwrap_or_default();
        let (method, path) = match rest.split_once(':') {
            Some((method, path)) => (Some(method), path),
            None if opens => return Err(ExceptionError::NoMethod),
            None => (None, rest),
        };
        let method = match method {
            None | Some("*") => None,
            Some(name) if METHODS.contains(&name) => Some(name.into()),
            Some(_) => return Err(ExceptionError::BadMethod),
        };
        let (path, scope) = match path.split_once(':') {
            None => (path, None),
            Some(_) if !opens => return Err(ExceptionError::ScopeOfClosed),
            Some((path, scope)) => {
                (path, Some(Scope::from_name(scope).ok_or(ExceptionError::BadScope)?))
            }
        };
        if !path.starts_with(['/', '*']) || path.contains(['?', '#']) {
            return Err(ExceptionError::BadPath);
        }
        if path.contains(['%', '$']) || is_ambiguous(path.as_bytes(), path.as_bytes()) {
            return Err(ExceptionError::Unmatchable);
        }
        let path = if opens { path.to_owned() } else { closed_form(path) };
        let path = Pattern::parse(&path).map_err(ExceptionError::Pattern)?;
        Ok(Self { opens, method, path, scope })
    }

    fn is_for(&self, method: &[u8]) -> bool {
        let method = if method == b"HEAD" { b"GET" } else { method };
        self.method.as_ref().is_none_or(|own| own.as_bytes() == method)
    }
}

/// Those of `exceptions` that open the path, to the letter: what a credential must be for. `None` inside:
/// what the table says.
pub fn opening<'e>(
    exceptions: &'e [Exception],
    method: &'e [u8],
    path: &'e [u8],
) -> impl Iterator<Item = Option<Scope>> + 'e {
    let path = String::from_utf8_lossy(path);
    let is_open =
        move |one: &&Exception| one.opens && one.is_for(method) && one.path.matches(&path);
    exceptions.iter().filter(is_open).map(|one| one.scope)
}

/// Whether one of `exceptions` opens the path.
#[must_use]
pub fn opens(exceptions: &[Exception], method: &[u8], path: &[u8]) -> bool {
    opening(exceptions, method, path).next().is_some()
}

/// Whether one of `exceptions` closes the path, in any case, below any prefix.
#[must_use]
pub fn closes(exceptions: &[Exception], method: &[u8], path: &[u8]) -> bool {
    let closing = || exceptions.iter().filter(|one| !one.opens && one.is_for(method));
    if closing().next().is_none() {
        return false;
    }
    let is_closed = |path: &[u8]| is_end_closed(path, &closing);
    is_closed(path) || up_to_query(path).is_some_and(is_closed)
}

fn is_end_closed<'e, I: Iterator<Item = &'e Exception>>(
    path: &[u8],
    closing: &impl Fn() -> I,
) -> bool {
    let path = closed_form(&String::from_utf8_lossy(path));
    let starts = path.char_indices().filter(|(_, c)| *c == '/').map(|(at, _)| at);
    let mut ends = starts.filter_map(|at| path.get(at..));
    ends.any(|end| closing().any(|one| one.path.matches(end)))
}

/// In lower case, without slashes at its end.
fn closed_form(path: &str) -> String {
    let plain = path.trim_end_matches('/');
    if plain.is_empty() { "/" } else { plain }.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exceptions(words: &[&str]) -> Vec<Exception> {
        words.iter().map(|word| Exception::parse(word).unwrap()).collect()
    }

    #[test]
    fn what_is_opened_is_opened_to_the_letter() {
        let list = exceptions(&["+POST:/v1/audio/*", "+*:/x", "+GET:/v1/realtime"]);
        for (method, path) in [
            ("POST", "/v1/audio/transcriptions"),
            ("PUT", "/x"),
            ("GET", "/v1/realtime"),
            ("HEAD", "/v1/realtime"),
        ] {
            assert!(opens(&list, method.as_bytes(), path.as_bytes()), "{method} {path}");
        }
        for (method, path) in [
            ("PUT", "/v1/audio/transcriptions"),
            ("POST", "/V1/audio/transcriptions"),
            ("POST", "/y/v1/audio/transcriptions"),
            ("POST", "/x/"),
            ("POST", "/v1/realtime"),
        ] {
            assert!(!opens(&list, method.as_bytes(), path.as_bytes()), "{method} {path}");
        }
        assert!(!opens(&list, b"PUT", b"/x\xff"));
        assert!(opens(&list, b"POST", b"/v1/audio/\xff"));
        assert!(!closes(&list, b"PUT", b"/x"));
    }

    #[test]
    fn what_is_opened_says_for_which_scope() {
        let list = exceptions(&["+GET:/metrics:admin", "+GET:/m*:models", "+GET:/me*"]);
        let scopes = |path: &str| opening(&list, b"GET", path.as_bytes()).collect::<Vec<_>>();
        assert_eq!(scopes("/metrics"), [Some(Scope::Admin), Some(Scope::Models), None]);
        assert_eq!(scopes("/m"), [Some(Scope::Models)]);
        assert_eq!(scopes("/x"), []);
    }

    #[test]
    fn what_is_closed_is_closed_in_any_spelling_and_below_any_prefix() {
        let list = exceptions(&["-/v1/Embeddings", "-POST:/api/*", "-/"]);
        for (method, path) in [
            ("POST", "/v1/embeddings"),
            ("GET", "/V1/EMBEDDINGS//"),
            ("POST", "/llm/v1/embeddings"),
            ("POST", "/API/chat"),
            ("POST", "/v1/embeddings?x"),
            ("POST", "/x?/v1/embeddings"),
            ("POST", "/"),
        ] {
            assert!(closes(&list, method.as_bytes(), path.as_bytes()), "{method} {path}");
        }
        for (method, path) in [("POST", "/embeddings"), ("GET", "/api/tags"), ("POST", "/v1")] {
            assert!(!closes(&list, method.as_bytes(), path.as_bytes()), "{method} {path}");
        }
        assert!(!opens(&list, b"POST", b"/v1/embeddings"));
    }

    #[test]
    fn errors_name_the_way_out() {
        for (word, expected) in [
            ("", ExceptionError::NoSign),
            ("POST:/x", ExceptionError::NoSign),
            ("+/x", ExceptionError::NoMethod),
            ("+post:/x", ExceptionError::BadMethod),
            ("+:/x", ExceptionError::BadMethod),
            ("+POST:x", ExceptionError::BadPath),
            ("-x", ExceptionError::BadPath),
            ("-", ExceptionError::BadPath),
            ("+POST:/x?y", ExceptionError::BadPath),
            ("+POST:/x:y", ExceptionError::BadScope),
            ("+POST:/x:admin:chat", ExceptionError::BadScope),
            ("+POST:/x:", ExceptionError::BadScope),
            ("-POST:/x:admin", ExceptionError::ScopeOfClosed),
            ("-HEAD:/x", ExceptionError::BadMethod),
            ("-PSOT:/x", ExceptionError::BadMethod),
            ("-/x%20y", ExceptionError::Unmatchable),
            ("-/$x", ExceptionError::Unmatchable),
            ("-/x//y", ExceptionError::Unmatchable),
            ("-/x/../y", ExceptionError::Unmatchable),
            ("-/x\\y", ExceptionError::Unmatchable),
        ] {
            assert_eq!(Exception::parse(word), Err(expected), "{word}");
            let text = expected.to_string();
            assert!(!text.ends_with('.') && !text.starts_with(char::is_uppercase), "{text}");
        }
    }
}

//! Endpoints: which of those that an engine serves a client reaches. The default is no: what the engine's
//! table has no line for, is for operators.

use crate::detail::{Cause, Detail};
use crate::llm::engines::{exception, Engine, Exception, Route, Standing};
use crate::permissions::scopes::{Scope, Scopes};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The method, as the client sent it.
    pub method: &'a [u8],
    /// The path that the engine gets, decoded.
    pub path: &'a [u8],
    /// The path by which nginx chose the location.
    pub uri: &'a [u8],
    /// What the engine's table says of method and path.
    pub route: &'a Route,
    /// Its tokens are read.
    pub is_read: bool,
}

/// Whether the client may have it, for whom the scopes are `granted`. `exceptions` are the operator's;
/// `counts` says whether the client's tokens or money are counted.
///
/// What is closed, is closed for everybody. What is opened needs the scope that its opening names, or else
/// the one of its line in the table if that is for clients. What takes tokens that can't be read, is refused
/// where they are counted.
///
/// # Errors
/// Why not.
#[inline]
pub fn judge(
    asked: Asked<'_>,
    (engine, exceptions): (Engine, &[Exception]),
    granted: Scopes,
    counts: impl FnOnce() -> bool,
) -> Result<(), Detail> {
    if !exceptions.is_empty() {
        if let Some(verdict) = judge_exceptions(asked, (engine, exceptions), granted) {
            return verdict;
        }
    }
    match asked.route.standing {
        Standing::Clients { scope, .. } if !granted.has(scope) => Err(missing(scope)),
        Standing::Clients { is_harmless, .. } => match asked.is_read || is_harmless || !counts() {
            true => Ok(()),
            false => Err(Detail::new(Cause::NotCounted, engine.as_str())),
        },
        _ if granted.has(Scope::Admin) => Ok(()),
        Standing::Operators => Err(Cause::OperatorsEndpoint.into()),
        Standing::Others => Err(Cause::OthersRequests.into()),
        Standing::Unknown => Err(Detail::new(Cause::UnknownEndpoint, engine.as_str())),
    }
}

/// What `tollgate_endpoints` says; `None`: nothing.
fn judge_exceptions(
    asked: Asked<'_>,
    (engine, exceptions): (Engine, &[Exception]),
    granted: Scopes,
) -> Option<Result<(), Detail>> {
    let Asked { method, path, uri, .. } = asked;
    // It may be read without its version.
    let is_row_closed =
        || engine.read(path).is_some_and(|row| is_closed(exceptions, method, row.path.as_bytes()));
    if is_closed(exceptions, method, path)
        || (uri != path && is_closed(exceptions, method, uri))
        || is_row_closed()
    {
        return Some(Err(Cause::ClosedEndpoint.into()));
    }
    let of_table = match asked.route.standing {
        Standing::Clients { scope, .. } => Some(scope),
        Standing::Operators | Standing::Others | Standing::Unknown => None,
    };
    let mut denied = None;
    for scope in exception::opening(exceptions, method, path) {
        match scope.or(of_table) {
            Some(scope) if !granted.has(scope) => denied = denied.or(Some(scope)),
            _ => return Some(Ok(())),
        }
    }
    denied.map(|scope| Err(missing(scope)))
}

/// Whether `tollgate_endpoints` closes this path.
#[must_use]
pub fn is_closed(exceptions: &[Exception], method: &[u8], path: &[u8]) -> bool {
    !exceptions.is_empty() && exception::closes(exceptions, method, path)
}

fn missing(scope: Scope) -> Detail {
    Detail::new(Cause::MissingScope, scope.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict of a request at the beginning of whose path there is nothing of the operator's.
    fn judged(
        (engine, method, path): (Engine, &str, &str),
        exceptions: &[&str],
        scopes: &str,
        counts: bool,
    ) -> Option<Cause> {
        let list: Vec<_> = exceptions.iter().map(|word| Exception::parse(word).unwrap()).collect();
        let (method, path) = (method.as_bytes(), path.as_bytes());
        let route = Route::of(engine, method, (path, 0));
        let is_read = route.form.is_some();
        let asked = Asked { method, path, uri: path, route: &route, is_read };
        let granted = match scopes {
            "default" => Scopes::DEFAULT,
            names => Scopes::among(names.split(' ')),
        };
        judge(asked, (engine, &list), granted, || counts).err().map(|detail| detail.cause())
    }

    #[test]
    fn what_is_opened_needs_the_scope_that_it_names() {
        let metrics = (Engine::Vllm, "GET", "/metrics");
        assert_eq!(judged(metrics, &[], "default", false), Some(Cause::OperatorsEndpoint));
        assert_eq!(judged(metrics, &[], "admin", false), None);
        assert_eq!(judged(metrics, &["+GET:/metrics"], "default", false), None);
        assert_eq!(judged(metrics, &["+GET:/metrics:models"], "models", false), None);
        let denied = Some(Cause::MissingScope);
        assert_eq!(judged(metrics, &["+GET:/metrics:models"], "chat", false), denied);
        assert_eq!(judged(metrics, &["+GET:/metrics:models", "+GET:/m*"], "chat", false), None);
    }

    #[test]
    fn opening_what_is_for_clients_takes_no_scope_off() {
        let speech = (Engine::OpenAi, "POST", "/v1/audio/speech");
        assert_eq!(judged(speech, &[], "default", true), Some(Cause::NotCounted));
        assert_eq!(judged(speech, &[], "default", false), None);
        assert_eq!(judged(speech, &["+POST:/v1/audio/*"], "default", true), None);
        let denied = Some(Cause::MissingScope);
        assert_eq!(judged(speech, &["+POST:/v1/audio/*"], "chat", true), denied);
        assert_eq!(judged(speech, &["+POST:/v1/audio/*:chat"], "chat", true), None);
    }

    #[test]
    fn what_is_closed_is_closed_to_admins_as_well() {
        let chat = (Engine::Vllm, "POST", "/v1/chat/completions");
        let closed = Some(Cause::ClosedEndpoint);
        assert_eq!(judged(chat, &["-/v1/chat/*"], "chat admin", false), closed);
        assert_eq!(judged(chat, &["-/v1/chat/*", "+*:/*"], "chat admin", false), closed);
        assert_eq!(judged(chat, &["-/v1/models"], "chat", false), None);
        let short = |engine| (engine, "POST", "/chat/completions");
        assert_eq!(judged(short(Engine::Vllm), &["-/v1/chat/*"], "chat", false), closed);
        assert_eq!(judged(short(Engine::Vllm), &["-POST:/v1/completions"], "chat", false), None);
        // A path of its own there.
        assert_eq!(judged(short(Engine::LlamaCpp), &["-/v1/chat/*"], "chat", false), None);
        assert_eq!(
            judged(short(Engine::LlamaCpp), &["-*/chat/completions"], "chat", false),
            closed
        );
    }

    #[test]
    fn admin_opens_what_nobody_knows_and_nothing_that_has_a_scope() {
        for (method, path) in [("GET", "/next"), ("PUT", "/v1/models"), ("OPTIONS", "/v1/models")] {
            let next = (Engine::Vllm, method, path);
            assert_eq!(judged(next, &[], "default", false), Some(Cause::UnknownEndpoint));
            assert_eq!(judged(next, &[], "admin", true), None);
        }
        let chat = (Engine::Vllm, "POST", "/v1/chat/completions");
        assert_eq!(judged(chat, &[], "admin", false), Some(Cause::MissingScope));
        let abort = (Engine::Vllm, "POST", "/abort_requests");
        assert_eq!(judged(abort, &[], "default", false), Some(Cause::OthersRequests));
        assert_eq!(judged(abort, &[], "admin", false), None);
    }
}

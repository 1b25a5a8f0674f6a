//! ACCESS: from the credential to the principal.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use tollgate_core::clock::UnixSeconds;
use tollgate_core::credential::Credential;
use tollgate_core::decision::Reason;
use tollgate_core::jwt::{self, TokenError};
use tollgate_core::keys::KeyOwner;
use tollgate_core::principal::Principal;

use crate::conf::credentials::Verifier;
use crate::conf::policy::Policy;
use crate::ffi::clock::wall_now;
use crate::ffi::request::Request;
use crate::state::{SavedCredential, State};
use crate::{live, worker};

/// A refusal, with what is known about it.
pub(crate) struct Denial {
    pub(crate) reason: Reason,
    pub(crate) owner: Option<KeyOwner>,
}

impl From<Reason> for Denial {
    fn from(reason: Reason) -> Self {
        Self { reason, owner: None }
    }
}

/// The principal of the credential; `None` where none is asked for.
#[inline]
pub(crate) fn authenticate(
    r: Request<'_>,
    policy: &Policy,
    saved: SavedCredential,
) -> Result<Option<Arc<Principal>>, Denial> {
    if policy.anonymous {
        return Ok(None);
    }
    let credential = match saved {
        SavedCredential::None => return Err(Reason::MissingCredential.into()),
        SavedCredential::Conflict => return Err(Reason::ConflictingCredentials.into()),
        SavedCredential::One { bytes, bearer, raw } => {
            Credential { bytes: r.kept(bytes), bearer, raw }
        }
    };
    let now = wall_now().seconds();
    if let Some(verifier) = &policy.jwt {
        // A token that was verified here before has that shape, and need not be taken apart again.
        let known = match credential.bearer && credential.bytes.contains(&b'.') {
            true => verifier
                .keys
                .id()
                .and_then(|keys| worker::with(|w| w.tokens.get(keys, credential.bytes, now))),
            false => None,
        };
        let is_token = known.is_some()
            || policy.api_keys.is_none()
            || (policy.bearer_is_jwt && !credential.raw)
            || (credential.bearer && jwt::looks_like_jws(credential.bytes));
        if is_token {
            let verified = match known {
                Some(known) => known,
                None => verify(verifier, credential.bytes, now)?,
            };
            return verified.map(Some).map_err(|error| {
                r.log().info(format_args!("tollgate: token refused: {error}"));
                error.reason().into()
            });
        }
    }
    let Some(keys) = &policy.api_keys else { return Err(Reason::InvalidCredential.into()) };
    // Without a set nobody can be judged.
    let set = keys.current().ok_or(Reason::InternalError)?;
    let find = |key: &[u8]| set.loaded.find(key);
    let found = worker::with(|w| w.api_keys.get(set.id, credential.bytes, find));
    let key = found.ok_or(Reason::InvalidCredential)?;
    match key.judge(now, r.client_addr()) {
        Ok(principal) => Ok(Some(Arc::clone(principal))),
        Err(refusal) => Err(Denial { reason: refusal.reason, owner: refusal.owner }),
    }
}

fn verify(
    verifier: &Verifier,
    token: &[u8],
    now: UnixSeconds,
) -> Result<Result<Arc<Principal>, TokenError>, Denial> {
    let keys = verifier.keys.current().ok_or(Reason::InternalError)?;
    Ok(jwt::verify(token, &keys.loaded, &verifier.policy, now).map(|verified| {
        worker::with(|w| w.tokens.insert(keys.id, token, &verified, now));
        Arc::clone(verified.principal())
    }))
}

/// What a judgement rests on: as long as it is the same, so is the judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grounds {
    epoch: u64,
    /// Keys and tokens begin and end with a second.
    at: UnixSeconds,
}

impl Grounds {
    pub(crate) fn now() -> Self {
        Self { epoch: live::epoch(), at: wall_now().seconds() }
    }
}

/// Whether the credential of a request that has been waiting, or runs, is still good.
#[inline(never)]
pub(crate) fn recheck(r: Request<'_>, state: &RefCell<State>) -> Result<(), Denial> {
    let grounds = Grounds::now();
    let (policy, saved) = {
        let state = state.borrow();
        if state.grounds == Some(grounds) {
            return Ok(());
        }
        (Rc::clone(&state.policy), state.credential)
    };
    authenticate(r, &policy, saved)?;
    state.borrow_mut().grounds = Some(grounds);
    Ok(())
}

//! ACCESS: from the credential to the principal.

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
use crate::state::SavedCredential;
use crate::worker;

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
            true => worker::with(|w| w.tokens.get(verifier.id, credential.bytes, now)),
            false => None,
        };
        let is_token = known.is_some()
            || policy.api_keys.is_none()
            || (policy.bearer_is_jwt && !credential.raw)
            || (credential.bearer && jwt::looks_like_jws(credential.bytes));
        if is_token {
            let verified = known.unwrap_or_else(|| verify(verifier, credential.bytes, now));
            return verified.map(Some).map_err(|error| {
                r.log().info(format_args!("tollgate: token refused: {error}"));
                error.reason().into()
            });
        }
    }
    let Some(keys) = &policy.api_keys else { return Err(Reason::InvalidCredential.into()) };
    let position =
        worker::with(|w| w.api_keys.position(keys.id, credential.bytes, |key| keys.set.find(key)));
    match keys.set.judge(position, now, r.client_addr()) {
        Ok(principal) => Ok(Some(Arc::clone(principal))),
        Err(refusal) => Err(Denial { reason: refusal.reason, owner: refusal.owner }),
    }
}

fn verify(
    verifier: &Verifier,
    token: &[u8],
    now: UnixSeconds,
) -> Result<Arc<Principal>, TokenError> {
    let verified = jwt::verify(token, &verifier.keys, &verifier.policy, now)?;
    worker::with(|w| w.tokens.insert(verifier.id, token, &verified, now));
    Ok(Arc::clone(verified.principal()))
}

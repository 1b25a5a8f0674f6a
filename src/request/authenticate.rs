//! ACCESS: from the credential to the principal.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use tollgate_core::credential::Credential;
use tollgate_core::decision::Reason;
use tollgate_core::detail::{odd_key, Cause, Detail};
use tollgate_core::jwt::{self, ClaimMap, Newer, TokenError, VerifiedToken};
use tollgate_core::keys::{KeyOwner, Refusal};
use tollgate_core::principal::{AuthMethod, Principal};

use crate::clock::wall_clock;
use crate::conf::credentials::{TokenKeys, Verifier};
use crate::conf::policy::Policy;
use crate::conf::rules::Tier;
use crate::keys::introspection::{Consent, Finding, Inquiry, Introspector};
use crate::keys::jwks::Keys;
use crate::keys::memory;
use crate::keys::waiting::Topic;
use crate::request::certificate;
use crate::request::grounds::Grounds;
use crate::request::state::{Later, SavedCredential, SavedForwarded, State};
use crate::types::Request;
use crate::zone::revocations;

/// A refusal, with what is known about it.
pub(crate) struct Denial {
    pub(crate) reason: Reason,
    pub(crate) detail: Option<Detail>,
    pub(crate) owner: Option<KeyOwner>,
}

impl From<Reason> for Denial {
    fn from(reason: Reason) -> Self {
        Self { reason, detail: None, owner: None }
    }
}

impl From<Detail> for Denial {
    fn from(detail: Detail) -> Self {
        Self { reason: detail.cause().reason(), detail: Some(detail), owner: None }
    }
}

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Self {
        let Refusal { reason, cause, owner } = refusal;
        Self { reason, detail: cause.map(Detail::from), owner }
    }
}

impl From<Cause> for Denial {
    fn from(cause: Cause) -> Self {
        Detail::from(cause).into()
    }
}

/// How far authentication has come.
pub(crate) enum Authentication {
    /// The principal of the credential; `None` where none is asked for.
    Done(Option<Arc<Principal>>),
    /// A provider has been asked, and the request has to wait for the answer.
    Wait(Topic, Option<Rc<Inquiry>>),
}

/// What a request may do to find out.
#[derive(Clone, Copy)]
pub(crate) enum Means<'i> {
    /// Ask providers, and wait; it may have waited for this one already. What is called before a
    /// question about the credential may refuse it.
    Ask(Option<&'i Inquiry>, Consent<'i>),
    /// It has waited for long enough.
    Last(Option<&'i Inquiry>),
    /// Nothing but looking at what is known.
    Look,
}

impl<'i> Means<'i> {
    fn asks(self, r: Request<'_>) -> Option<Request<'_>> {
        matches!(self, Self::Ask(..)).then_some(r)
    }

    fn inquiry(self) -> Option<&'i Inquiry> {
        match self {
            Self::Ask(inquiry, _) | Self::Last(inquiry) => inquiry,
            Self::Look => None,
        }
    }

    /// The request is to wait, if it still may.
    fn wait(
        self,
        topic: Topic,
        inquiry: Option<Rc<Inquiry>>,
        instead: impl FnOnce() -> Detail,
    ) -> Result<Authentication, Denial> {
        match self {
            Self::Ask(..) | Self::Look => Ok(Authentication::Wait(topic, inquiry)),
            Self::Last(_) => Err(instead().into()),
        }
    }
}

/// From the credential to its principal. What is in a header is judged first, and alone: a certificate may be
/// there with every request of a client.
#[inline]
pub(crate) fn authenticate(
    r: Request<'_>,
    policy: &Policy,
    (saved, forwarded): (SavedCredential, SavedForwarded),
    means: Means<'_>,
) -> Result<Authentication, Denial> {
    if policy.anonymous {
        return Ok(Authentication::Done(None));
    }
    let credential = match (saved, &policy.client_cert) {
        (SavedCredential::Not(cause), Some(certs))
            if cause.reason() == Reason::MissingCredential =>
        {
            let found = certificate::authenticate(r, policy, certs, forwarded)?;
            return Ok(Authentication::Done(Some(found)));
        }
        (SavedCredential::Not(cause), _) => return Err(cause.into()),
        (SavedCredential::One { bytes, bearer, raw }, _) => {
            Credential { bytes: r.kept(bytes), bearer, raw }
        }
    };
    let found = by_header(r, policy, credential, means)?;
    if let Authentication::Done(Some(principal)) = &found {
        if principal.bound_to().is_some() || policy.client_cert.is_some() {
            certificate::check(r, policy, principal, forwarded)?;
        }
    }
    Ok(found)
}

/// From what is in a header to its principal.
#[inline]
fn by_header(
    r: Request<'_>,
    policy: &Policy,
    credential: Credential<'_>,
    means: Means<'_>,
) -> Result<Authentication, Denial> {
    let now = wall_clock();
    // What is in `Authorization` is a token, if API keys have headers of their own.
    let is_no_key = policy.bearer_is_jwt && !credential.raw;
    if let Some(verifier) = &policy.jwt {
        // A token that was verified here before has that shape, and need not be taken apart again.
        let known = match credential.bearer && jwt::may_be_jws(credential.bytes) {
            true => verifier.keys.id(r).and_then(|keys| {
                memory::TOKENS.with(|tokens| tokens.get(keys, credential.bytes, now))
            }),
            false => None,
        };
        let is_token = known.is_some()
            || (credential.bearer && jwt::looks_like_jws(credential.bytes))
            || (policy.introspector.is_none() && (policy.api_keys.is_none() || is_no_key));
        if is_token {
            return verify(r, verifier, credential.bytes, known, means);
        }
    }
    if let Some(keys) = policy.api_keys.as_ref().filter(|_| !is_no_key) {
        // Without a set nobody can be judged.
        let set = keys.current().ok_or(Cause::NoKeySet)?;
        let find = |key: &[u8]| set.loaded.find(key);
        let found = memory::API_KEYS.with(|known| known.get(set.id, credential.bytes, find));
        if let Some(key) = found {
            if revocations::has(key.hash()) {
                return Err(key.revoked().into());
            }
            return match key.judge(now, r.client_addr()) {
                Ok(principal) => Ok(Authentication::Done(Some(Arc::clone(principal)))),
                Err(refusal) => Err(refusal.into()),
            };
        }
    }
    match &policy.introspector {
        Some(introspector) if credential.bearer => {
            introspect(r, &introspector.of(r), credential.bytes, means)
        }
        _ => {
            // Where tokens are accepted as well, what looks like one was judged as one.
            let is_token = policy.jwt.is_none() && jwt::looks_like_jws(credential.bytes);
            Err(odd_key(credential.bytes, is_token).into())
        }
    }
}

fn verify(
    r: Request<'_>,
    verifier: &Verifier,
    token: &[u8],
    known: Option<Result<Arc<Principal>, TokenError>>,
    means: Means<'_>,
) -> Result<Authentication, Denial> {
    let now = wall_clock();
    let judged = |verdict| judged(token, verdict, &verifier.policy.claims);
    let (id, keys, provider) = match &verifier.keys {
        TokenKeys::Files(files) => match known {
            Some(known) => return judged(known),
            None => {
                let set = files.current().ok_or(Cause::NoKeySet)?;
                let verified = jwt::verify(token, &set.loaded, &verifier.policy, now);
                return judged(remember(set.id, token, verified));
            }
        },
        TokenKeys::Provider(providers) => {
            let provider = providers.of(r);
            match provider.keys(means.asks(r)) {
                Keys::Set(id, keys) => (id, keys, provider),
                none => {
                    // What no key could make good needs none.
                    let policy = &verifier.policy;
                    let form = jwt::check_form(token, policy.algorithms.as_ref(), policy.max_len);
                    if let Err(error) = form {
                        return judged(Err(error));
                    }
                    // A request that runs ends with its key, as when others have taken its place.
                    if matches!(means, Means::Look) && provider.is_withdrawn() {
                        return judged(Err(TokenError::NoKey));
                    }
                    let none_because = |cause| Detail::new(cause, provider.uri().to_owned());
                    return match none {
                        Keys::Wait(topic) => {
                            means.wait(topic, None, || none_because(Cause::NoKeysInTime))
                        }
                        _ => Err(none_because(Cause::NoKeysFromProvider).into()),
                    };
                }
            }
        }
    };
    if let Some(known) = known {
        return judged(known);
    }
    let policy = &verifier.policy;
    let verified = jwt::verify(token, &keys, policy, now);
    // A key may have changed under its name, or have none.
    let newer = match &verified {
        Err(TokenError::NoKey) => Some(Newer::Name),
        Err(TokenError::BadSignature) => Some(Newer::Signature),
        Ok(_) | Err(_) => None,
    };
    if let Some(newer) = newer.filter(|_| matches!(means, Means::Ask(..))) {
        let algorithms = policy.algorithms.as_ref();
        if jwt::could_have_newer_key(token, algorithms, policy.max_len) {
            if let Some(Keys::Wait(topic)) = provider.newer_keys(newer, r) {
                return Ok(Authentication::Wait(topic, None));
            }
        }
    }
    judged(remember(id, token, verified))
}

/// Remembers a token that was found good.
fn remember(
    keys: u64,
    token: &[u8],
    verified: Result<VerifiedToken, TokenError>,
) -> Result<Arc<Principal>, TokenError> {
    let now = wall_clock();
    verified.map(|verified| {
        memory::TOKENS.with(|tokens| tokens.insert(keys, token, &verified, now));
        Arc::clone(verified.principal())
    })
}

fn introspect(
    r: Request<'_>,
    introspector: &Rc<Introspector>,
    token: &[u8],
    means: Means<'_>,
) -> Result<Authentication, Denial> {
    let none_because = |cause| Detail::new(cause, introspector.uri().to_owned());
    let question = match means {
        Means::Ask(_, before) => Some((r, before)),
        Means::Last(_) | Means::Look => None,
    };
    match introspector.judge(token, means.inquiry(), question) {
        Finding::Refused(reason) => Err(reason.into()),
        Finding::Judged(verdict) => judged(token, verdict, introspector.claims()),
        Finding::Wait(topic, inquiry) => {
            means.wait(topic, Some(inquiry), || none_because(Cause::NoVerdictInTime))
        }
        // It was judged when the request came, and nobody asks again while it runs.
        Finding::Unavailable if matches!(means, Means::Look) => Ok(Authentication::Done(None)),
        Finding::Unavailable => Err(none_because(Cause::NoVerdict).into()),
    }
}

fn judged(
    token: &[u8],
    verdict: Result<Arc<Principal>, TokenError>,
    claims: &ClaimMap,
) -> Result<Authentication, Denial> {
    match verdict {
        Ok(principal) => Ok(Authentication::Done(Some(principal))),
        // Whatever else is wrong with it then.
        Err(error) if token.is_empty() && error.reason() == Reason::InvalidToken => {
            Err(Cause::NoToken.into())
        }
        Err(error) => Err(error.detail(claims).into()),
    }
}

/// Calls `f` with the claims that a principal was made of; not where it was made of none.
fn with_claims<T>(
    r: Request<'_>,
    auth: AuthMethod,
    policy: &Policy,
    f: impl FnOnce(&ClaimMap) -> T,
) -> Option<T> {
    match auth {
        AuthMethod::ApiKey | AuthMethod::ClientCert => None,
        AuthMethod::Jwt => policy.jwt.as_ref().map(|verifier| f(&verifier.policy.claims)),
        AuthMethod::Introspection => {
            policy.introspector.as_ref().map(|introspector| f(introspector.of(r).claims()))
        }
    }
}

/// The tier that the principal names, or the default one.
pub(crate) fn tier_of(
    r: Request<'_>,
    principal: &Principal,
    policy: &Policy,
) -> Result<Rc<Tier>, Denial> {
    policy.tier_of(principal).map(Rc::clone).ok_or_else(|| {
        let claim = with_claims(r, principal.auth(), policy, |claims| {
            claims.claim_of("tier").map(str::to_owned)
        });
        match (claim.flatten(), principal.tier()) {
            (None, None) => Cause::KeyWithoutTier.into(),
            (None, Some(_)) => Cause::UnknownTierOfKey.into(),
            (Some(claim), None) => Detail::new(Cause::TokenWithoutTier, claim).into(),
            (Some(claim), Some(_)) => Detail::new(Cause::UnknownTierOfToken, claim).into(),
        }
    })
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
        (Rc::clone(&state.policy), (state.credential, state.forwarded))
    };
    let looked = authenticate(r, &policy, saved, Means::Look).and_then(|found| {
        // Its key may be of another tier now.
        let tier = match &found {
            Authentication::Done(Some(principal)) => policy.tier_of(principal),
            Authentication::Done(None) | Authentication::Wait(..) => None,
        };
        match tier.map(|tier| tier.networks.judge(r.client_addr())) {
            Some(Err(outside)) => Err(outside.of_tier().into()),
            Some(Ok(())) | None => Ok(found),
        }
    });
    match looked {
        Err(denial)
            if denial.reason.is_auth_failure() || denial.reason == Reason::AddressDenied =>
        {
            Err(denial)
        }
        // What can't be told at the moment was told before.
        Ok(_) | Err(_) => {
            let mut state = state.borrow_mut();
            state.grounds = Some(grounds);
            if let Ok(Authentication::Done(Some(principal))) = looked {
                let tier = policy.tier_of(&principal).map(Rc::clone);
                state.later = Some(Later { principal, tier });
            }
            Ok(())
        }
    }
}

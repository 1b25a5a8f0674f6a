//! Verification of a JWT (RFC 7519 section 7.2): signature, claims, times.

use std::sync::Arc;

use super::claims::{self, Window};
use super::error::TokenError;
use super::key::Key;
use super::keyset::KeySet;
use super::policy::Policy;
use super::signature::signed;
use crate::clock::{UnixMillis, UnixSeconds, WallClock};
use crate::principal::Principal;

/// A token that was found good: its principal, and when it is valid. Only [`verify`] makes one, and
/// [`introspection`](crate::introspection).
#[derive(Clone, Debug)]
pub struct VerifiedToken {
    principal: Arc<Principal>,
    window: Window,
}

impl VerifiedToken {
    pub(crate) fn new(principal: Principal, window: Window) -> Self {
        let principal = Principal { expires: window.expires, ..principal };
        Self { principal: Arc::new(principal), window }
    }

    /// Who presented the token.
    #[must_use]
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// The first second in which the token is valid, leeway included; `None`: no `nbf` and no `iat`.
    #[must_use]
    pub fn not_before(&self) -> Option<UnixSeconds> {
        self.window.not_before.map(first_second)
    }

    /// The first second in which the token is valid no more, leeway included; `None`: no `exp`.
    #[must_use]
    pub fn expires(&self) -> Option<UnixSeconds> {
        self.window.expires.map(first_second)
    }

    /// Whether the token is valid at `now`.
    ///
    /// # Errors
    ///
    /// [`TokenError::Expired`] or [`TokenError::NotYetValid`].
    pub fn check_time(&self, now: impl Into<WallClock>) -> Result<(), TokenError> {
        let now = now.into();
        if self.window.expires.is_some_and(|end| now.has_reached(end)) {
            return Err(TokenError::Expired);
        }
        if self.window.not_before.is_some_and(|start| !now.has_reached(start)) {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }
}

/// The first whole second at or after a moment.
fn first_second(moment: UnixMillis) -> UnixSeconds {
    UnixMillis(moment.0.saturating_add(999)).seconds()
}

/// Verifies `token` with one of `keys`, as `policy` demands, at `now`.
///
/// # Errors
///
/// What is wrong with the token. That it is out of its time is said only of a token with nothing else
/// wrong.
pub fn verify(
    token: &[u8],
    keys: &KeySet,
    policy: &Policy,
    now: impl Into<WallClock>,
) -> Result<VerifiedToken, TokenError> {
    let is_bound = keys.is_bound();
    // Issuers that don't know of each other may have made one key their own.
    let right =
        |key: &Key, payload: &[u8]| !is_bound || claims::check_key(payload, keys, key).is_ok();
    let signed = signed(token, keys, policy.algorithms.as_ref(), policy.max_len, right)?;
    if is_bound {
        claims::check_key(&signed.payload, keys, signed.key)?;
    }
    let (principal, window) = claims::judge(&signed.payload, signed.key, policy)?;
    let token = VerifiedToken::new(principal, window);
    token.check_time(now)?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::super::{fixtures, issuer, Binding};
    use super::*;
    use crate::decision::Reason;
    use crate::principal::AuthMethod;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn judged(claims: &str, policy: &Policy, now: i64) -> Result<VerifiedToken, TokenError> {
        let keys = KeySet::load(&[("secret", SECRET)]).unwrap();
        verify(&issuer::hs256_token(SECRET, claims), &keys, policy, UnixSeconds(now))
    }

    #[test]
    fn good_token_is_a_principal() {
        let keys = KeySet::load(&[("pem", fixtures::RSA_CERTIFICATE.as_bytes())]).unwrap();
        let token = fixtures::PS256_TOKEN.as_bytes();
        let verified = verify(token, &keys, &Policy::default(), UnixSeconds(1999)).unwrap();
        assert_eq!(verified.principal().client(), "acme");
        assert_eq!(verified.principal().auth(), AuthMethod::Jwt);
        assert_eq!(verified.principal().key_id(), None);
        assert_eq!(verified.expires(), Some(UnixSeconds(2000)));
        assert_eq!(verified.not_before(), None);
    }

    #[test]
    fn token_is_verified_by_the_keys_of_its_issuer_alone() {
        let of = |issuer: &str, prefix: Option<&str>| Binding {
            issuers: vec![issuer.to_owned()],
            client_prefix: prefix.map(str::to_owned),
        };
        let (a, b, both) = ([b'a'; 32], [b'b'; 32], [b'c'; 32]);
        let (of_a, of_b) = (of("a", Some("a:")), of("b", None));
        let keys = KeySet::load_bound(&[
            ("a", &a, &of_a),
            ("both", &both, &of_a),
            ("b", &b, &of_b),
            ("both too", &both, &of_b),
            ("any", SECRET, &Binding::default()),
        ]);
        let keys = keys.unwrap();
        let policy = Policy { client_prefix: "t:".to_owned(), ..Policy::default() };
        let judge = |secret: &[u8], issuer: &str| {
            let claims = format!(r#"{{"sub":"acme","exp":2000{issuer}}}"#);
            verify(&issuer::hs256_token(secret, &claims), &keys, &policy, UnixSeconds(1000))
                .map(|token| token.principal().client().to_owned())
        };
        let (iss_a, iss_b, iss_c) = (r#","iss":"a""#, r#","iss":"b""#, r#","iss":"c""#);
        for (secret, issuer, client) in [
            (&a[..], iss_a, "a:acme"),
            (&b, iss_b, "t:acme"),
            (SECRET, iss_c, "t:acme"),
            (SECRET, "", "t:acme"),
            (&both, iss_a, "a:acme"),
            (&both, iss_b, "t:acme"),
        ] {
            assert_eq!(judge(secret, issuer), Ok(client.to_owned()), "{issuer}");
        }
        for (secret, issuer, error) in [
            (&a[..], iss_b, TokenError::ForeignKey),
            (&b, iss_a, TokenError::ForeignKey),
            (SECRET, iss_a, TokenError::ForeignKey),
            (&both, iss_c, TokenError::ForeignKey),
            (&a, "", TokenError::MissingClaim("iss")),
            (&a, r#","iss":["a"]"#, TokenError::BadClaim("iss")),
        ] {
            assert_eq!(judge(secret, issuer), Err(error), "{issuer}");
        }
    }

    #[test]
    fn prefix_is_part_of_the_name() {
        let policy = Policy { client_prefix: "t:".to_owned(), ..Policy::default() };
        let client = |sub: &str| {
            judged(&format!(r#"{{"sub":"{sub}","exp":2000}}"#), &policy, 1000)
                .map(|token| token.principal().client().to_owned())
        };
        assert_eq!(client("acme"), Ok("t:acme".to_owned()));
        assert_eq!(client(&"a".repeat(254)).unwrap().len(), 256);
        for sub in ["", " acme", "a\\n", &"a".repeat(255)] {
            assert_eq!(client(sub), Err(TokenError::BadClaim("client")), "{sub}");
        }
    }

    #[test]
    fn token_is_valid_until_just_before_exp_and_its_leeway() {
        let judge = |now, leeway_secs| {
            let policy = Policy { leeway_secs, ..Policy::default() };
            judged(r#"{"sub":"acme","exp":2000}"#, &policy, now).map(drop)
        };
        assert_eq!(judge(1999, 0), Ok(()));
        assert_eq!(judge(2000, 0), Err(TokenError::Expired));
        assert_eq!(judge(2009, 10), Ok(()));
        assert_eq!(judge(2010, 10), Err(TokenError::Expired));
        assert_eq!(judge(i64::MAX, u32::MAX), Err(TokenError::Expired));
    }

    #[test]
    fn token_is_valid_from_nbf_and_iat_less_the_leeway() {
        for name in ["nbf", "iat"] {
            let judge = |now, leeway_secs| {
                let policy = Policy { leeway_secs, ..Policy::default() };
                judged(&format!(r#"{{"sub":"acme","exp":2000,"{name}":1000}}"#), &policy, now)
                    .map(drop)
            };
            assert_eq!(judge(1000, 0), Ok(()));
            assert_eq!(judge(999, 0), Err(TokenError::NotYetValid));
            assert_eq!(judge(990, 10), Ok(()));
            assert_eq!(judge(989, 10), Err(TokenError::NotYetValid));
            assert_eq!(judge(i64::MIN, u32::MAX), Err(TokenError::NotYetValid));
        }
    }

    #[test]
    fn a_token_says_from_when_on_and_until_when_it_is_valid() {
        let policy = Policy { leeway_secs: 10, ..Policy::default() };
        for (claims, from, until) in [
            (r#""nbf":1000,"exp":2000"#, Some(990), Some(2010)),
            (r#""iat":1000,"exp":2000"#, Some(990), Some(2010)),
            (r#""nbf":1000.5,"exp":2000"#, Some(991), Some(2010)),
            (r#""exp":2000"#, None, Some(2010)),
        ] {
            let token = judged(&format!(r#"{{"sub":"acme",{claims}}}"#), &policy, 1500).unwrap();
            assert_eq!(token.not_before(), from.map(UnixSeconds), "{claims}");
            assert_eq!(token.expires(), until.map(UnixSeconds), "{claims}");
        }
    }

    #[test]
    fn fractions_count_and_a_clock_that_lags_refuses_nobody() {
        let keys = KeySet::load(&[("secret", SECRET)]).unwrap();
        let judge = |claims: &str, now: WallClock| {
            let token = issuer::hs256_token(SECRET, &format!(r#"{{"sub":"acme",{claims}}}"#));
            verify(&token, &keys, &Policy::default(), now).map(drop)
        };
        let at = |millis| WallClock::from(UnixMillis(millis));
        for name in ["nbf", "iat"] {
            let claims = format!(r#""exp":2000.25,"{name}":1000.75"#);
            assert_eq!(judge(&claims, at(1_000_750)), Ok(()), "{name}");
            assert_eq!(judge(&claims, at(1_000_749)), Err(TokenError::NotYetValid), "{name}");
            assert_eq!(judge(&claims, at(2_000_249)), Ok(()), "{name}");
            assert_eq!(judge(&claims, at(2_000_250)), Err(TokenError::Expired), "{name}");
            // The clock says 999.9 yet, or 2000.
            let early = WallClock::lagging(UnixMillis(999_900), || UnixMillis(1_000_750));
            assert_eq!(judge(&claims, early), Ok(()), "{name}");
            let late = WallClock::lagging(UnixMillis(2_000_000), || UnixMillis(2_000_250));
            assert_eq!(judge(&claims, late), Err(TokenError::Expired), "{name}");
        }
    }

    #[test]
    fn what_else_is_wrong_is_said_before_the_time() {
        let policy = Policy { issuers: vec!["a".to_owned()], ..Policy::default() };
        let error = judged(r#"{"sub":"acme","exp":1,"iss":"b"}"#, &policy, 2000).unwrap_err();
        assert_eq!(error, TokenError::IssuerNotAllowed);
        let error = judged(r#"{"sub":"acme","exp":1,"iss":"a"}"#, &policy, 2000).unwrap_err();
        assert_eq!(error.reason(), Reason::ExpiredCredential);
    }

    #[test]
    fn algorithms_of_the_policy_are_obeyed() {
        use super::super::AlgorithmSet;
        let allowing = |names: &[&str]| Policy {
            algorithms: Some(AlgorithmSet::parse(names.iter().copied()).unwrap()),
            ..Policy::default()
        };
        let claims = r#"{"sub":"acme","exp":2000}"#;
        assert!(judged(claims, &allowing(&["RS256", "HS256"]), 1000).is_ok());
        let error = judged(claims, &allowing(&["HS512"]), 1000).unwrap_err();
        assert_eq!(error, TokenError::AlgorithmNotAllowed);
    }

    #[test]
    fn length_of_the_policy_is_obeyed() {
        let claims = format!(r#"{{"sub":"acme","exp":2000,"x":"{}"}}"#, "a".repeat(16384));
        let error = judged(&claims, &Policy::default(), 1000).unwrap_err();
        assert_eq!(error, TokenError::TooLong);
        let policy = Policy { max_len: 32768, ..Policy::default() };
        assert!(judged(&claims, &policy, 1000).is_ok());
    }
}

//! What must hold for every token, not only for the ones that somebody thought of.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use jsonwebtoken::crypto::aws_lc;
use jsonwebtoken::EncodingKey;
use proptest::prelude::*;
use tollgate_core::clock::UnixSeconds;
use tollgate_core::jwt::{looks_like_jws, verify, KeySet, Policy, TokenCache, TokenError};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const NOW: UnixSeconds = UnixSeconds(1_000);

fn keys() -> KeySet {
    KeySet::load(&[("secret", SECRET)]).unwrap()
}

fn token(header: &str, payload: &[u8]) -> Vec<u8> {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let message = format!("{}.{}", encode(header.as_bytes()), encode(payload));
    let key = EncodingKey::from_secret(SECRET);
    let signer =
        (aws_lc::DEFAULT_PROVIDER.signer_factory)(&jsonwebtoken::Algorithm::HS256, &key).unwrap();
    let signature = encode(&signer.sign(message.as_bytes()));
    format!("{message}.{signature}").into_bytes()
}

fn good_token() -> Vec<u8> {
    token(r#"{"alg":"HS256","typ":"JWT"}"#, br#"{"sub":"acme","exp":2000,"tier":"pro"}"#)
}

fn accepted(token: &[u8]) -> bool {
    verify(token, &keys(), &Policy::default(), NOW).is_ok()
}

#[test]
fn every_change_of_one_byte_is_refused() {
    let good = good_token();
    assert!(accepted(&good));
    for position in 0..good.len() {
        for byte in 0..=u8::MAX {
            let mut changed = good.clone();
            changed[position] = byte;
            assert_eq!(accepted(&changed), changed == good, "byte {byte} at {position}");
        }
    }
}

#[test]
fn every_removal_and_every_insertion_of_one_byte_is_refused() {
    let good = good_token();
    for position in 0..=good.len() {
        for byte in *b"A_-=. \n\0\xff{" {
            let mut longer = good.clone();
            longer.insert(position, byte);
            assert!(!accepted(&longer), "byte {byte} at {position}");
        }
        assert!(!accepted(&good[..position]) || position == good.len());
        assert!(!accepted(&good[position..]) || position == 0);
    }
}

#[test]
fn every_error_of_a_changed_token_is_free_of_the_token() {
    let secret_claim = token(r#"{"alg":"HS256"}"#, br#"{"sub":"sEcReT-client","exp":"sEcReT"}"#);
    let error = verify(&secret_claim, &keys(), &Policy::default(), NOW).unwrap_err();
    assert_eq!(error, TokenError::BadClaim("exp"));
    assert!(!format!("{error} {error:?}").contains("sEcReT"));
}

/// JSON values of small depth, and, more often than not, what claims look like.
fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (900_i64..1100).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "[a-z ]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z.]{0,4}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn random_bytes_never_panic_and_are_never_accepted(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(!accepted(&bytes));
        let _ = looks_like_jws(&bytes);
        let _ = KeySet::load(&[("random", &bytes)]);
    }

    #[test]
    fn random_parts_never_panic_and_are_never_accepted(
        header in ".{0,60}", payload in ".{0,60}", signature in "[A-Za-z0-9_-]{0,90}",
    ) {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let token = format!("{}.{}.{signature}", encode(&header), encode(&payload));
        prop_assert!(!accepted(token.as_bytes()));
        let _ = looks_like_jws(token.as_bytes());
    }

    /// The claims are signed, so whatever they are, a decision comes out, and it is one that the
    /// claims support.
    #[test]
    fn signed_claims_of_any_type_are_judged(
        sub in json(), exp in json(), nbf in json(), aud in json(), scope in json(), rate in json(),
    ) {
        let claims = serde_json::json!({
            "sub": sub, "exp": exp, "nbf": nbf, "aud": aud, "scope": scope, "rate_limit": rate,
        });
        let token = token(r#"{"alg":"HS256"}"#, claims.to_string().as_bytes());
        prop_assert!(looks_like_jws(&token));
        if let Ok(verified) = verify(&token, &keys(), &Policy::default(), NOW) {
            prop_assert_eq!(Some(verified.principal().client()), claims["sub"].as_str());
            prop_assert!(claims["exp"].as_f64().unwrap() > 1000.0);
            prop_assert!(claims["nbf"].as_f64().unwrap() <= 1000.0);
            prop_assert!(claims["rate_limit"].as_u64().unwrap() > 0);
        }
    }

    #[test]
    fn any_header_but_one_that_asks_for_nothing_special_is_refused(
        name in "(crit|b64|zip|enc)", value in json(),
    ) {
        let header = serde_json::json!({ "alg": "HS256", name: value }).to_string();
        let error = verify(
            &token(&header, br#"{"sub":"acme","exp":2000}"#), &keys(), &Policy::default(), NOW,
        );
        prop_assert!(matches!(error, Err(TokenError::HeaderMember(_))));
    }

    /// Against a plain model: what was inserted under a key is what is found, or nothing.
    #[test]
    fn cache_finds_what_was_inserted_or_nothing(
        operations in prop::collection::vec((any::<bool>(), 0_u64..3, 0_u8..30, 0_i64..200), 0..200),
    ) {
        let verified = |client: String, exp: i64| {
            let claims = format!(r#"{{"sub":"{client}","exp":{exp}}}"#);
            let policy = Policy::default();
            verify(&token(r#"{"alg":"HS256"}"#, claims.as_bytes()), &keys(), &policy, UnixSeconds(0))
        };
        let mut cache = TokenCache::new(16, *b"a random 16 byte");
        let mut now = 0;
        let mut stored = std::collections::HashMap::new();
        for (insert, verifier, name, step) in operations {
            now += step;
            let exp = 4_000;
            if insert {
                if let Ok(verified) = verified(format!("{verifier}-{name}"), exp) {
                    cache.insert(verifier, &[name], &verified, UnixSeconds(now));
                    stored.insert((verifier, name), now);
                }
            } else {
                match cache.get(verifier, &[name], UnixSeconds(now)) {
                    None => {}
                    Some(Ok(principal)) => {
                        prop_assert_eq!(principal.client(), format!("{verifier}-{name}"));
                        prop_assert!(now - stored[&(verifier, name)] < 300);
                        prop_assert!(now < exp);
                    }
                    Some(Err(error)) => {
                        prop_assert_eq!(error, TokenError::Expired);
                        prop_assert!(now >= exp);
                    }
                }
            }
            prop_assert!(cache.len() <= 16);
        }
    }
}

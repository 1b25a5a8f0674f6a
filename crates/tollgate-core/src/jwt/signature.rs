//! Verification of a JWS (RFC 7515 section 5.2): the key decides the algorithm, never the token.

use super::algorithm::{Algorithm, AlgorithmSet};
use super::compact;
use super::error::TokenError;
use super::header::{self, Header};
use super::key::Key;
use super::keyset::KeySet;

/// A JWS whose signature was found good. Its payload can be any bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The algorithm of the signature.
    pub algorithm: Algorithm,
    /// The `kid` of the key that made it, as the key set has it.
    pub kid: Option<Box<str>>,
    /// The decoded payload.
    pub payload: Vec<u8>,
}

/// Verifies the signature of a compact JWS of at most `max_len` bytes with one of `keys`, and, where
/// `algorithms` are given, with one of those.
///
/// The token's `kid` selects the keys: only those of that `kid` are tried; where none has it, those
/// without any. For a token without `kid`, all keys for its algorithm are tried, those without `kid`
/// first, but no more than [`MAX_SIGNATURE_CHECKS`](super::MAX_SIGNATURE_CHECKS), and fewer of those
/// that take long.
///
/// # Errors
///
/// Whatever is wrong with the form, the header or the signature; see [`TokenError`].
pub fn verify_signature(
    token: &[u8],
    keys: &KeySet,
    algorithms: Option<&AlgorithmSet>,
    max_len: usize,
) -> Result<Verified, TokenError> {
    let signed = signed(token, keys, algorithms, max_len, |_, _| true)?;
    Ok(Verified {
        algorithm: signed.algorithm,
        kid: signed.key.kid().map(Box::from),
        payload: signed.payload,
    })
}

/// What a key has signed.
pub(super) struct Signed<'k> {
    pub(super) key: &'k Key,
    pub(super) algorithm: Algorithm,
    pub(super) payload: Vec<u8>,
}

/// The same, with the key: one that is `right` for the payload, if several have made the signature. Where
/// none of them is, another one, for the caller to say what is wrong.
pub(super) fn signed<'k>(
    token: &[u8],
    keys: &'k KeySet,
    algorithms: Option<&AlgorithmSet>,
    max_len: usize,
    right: impl Fn(&Key, &[u8]) -> bool,
) -> Result<Signed<'k>, TokenError> {
    let compact = compact::parse(token, max_len)?;
    let header = header::parse(&compact.header)?;
    let algorithm = header.algorithm;
    if algorithms.is_some_and(|allowed| !allowed.contains(algorithm)) {
        return Err(TokenError::AlgorithmNotAllowed);
    }
    let mut refusal = TokenError::NoKey;
    let mut other = None;
    for key in keys.candidates(header.kid.as_deref(), algorithm) {
        if key.verifies(algorithm, compact.signing_input, &compact.signature) {
            if right(key, &compact.payload) {
                return Ok(Signed { key, algorithm, payload: compact.payload });
            }
            other = other.or(Some(key));
        }
        refusal = TokenError::BadSignature;
    }
    match other {
        Some(key) => Ok(Signed { key, algorithm, payload: compact.payload }),
        None => Err(refusal),
    }
}

/// What is wrong with a token whatever keys there are: with its form, its header or its algorithm.
///
/// # Errors
///
/// The same that [`verify_signature`] gives.
pub fn check_form(
    token: &[u8],
    algorithms: Option<&AlgorithmSet>,
    max_len: usize,
) -> Result<(), TokenError> {
    let header = header::parse(&compact::parse(token, max_len)?.header)?;
    match algorithms.is_some_and(|allowed| !allowed.contains(header.algorithm)) {
        true => Err(TokenError::AlgorithmNotAllowed),
        false => Ok(()),
    }
}

/// Whether a token that no published key has signed could be good with a newer one, under a new `kid` or under
/// the same: it is well-formed, and its algorithm is allowed, and one of public keys. Nothing in it is
/// believed yet.
#[must_use]
pub fn could_have_newer_key(
    token: &[u8],
    algorithms: Option<&AlgorithmSet>,
    max_len: usize,
) -> bool {
    let header = compact::parse(token, max_len).and_then(|parts| header::parse(&parts.header));
    header.is_ok_and(|Header { algorithm, .. }| {
        algorithms.is_none_or(|allowed| allowed.contains(algorithm))
            && !AlgorithmSet::HMAC.contains(algorithm)
    })
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use base64::Engine as _;

    use super::super::{fixtures, issuer, Part, MAX_SIGNATURE_CHECKS};
    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn secret() -> KeySet {
        KeySet::load(&[("secret", SECRET)]).unwrap()
    }

    fn refusal(token: &[u8], keys: &KeySet) -> TokenError {
        verify_signature(token, keys, None, 16384).unwrap_err()
    }

    fn with_header(header: &str) -> Vec<u8> {
        issuer::token(header, "any payload", |message| issuer::hs256(SECRET, message))
    }

    #[test]
    fn good_signature_gives_the_payload() {
        let verified =
            verify_signature(&with_header(r#"{"alg":"HS256"}"#), &secret(), None, 16384).unwrap();
        assert_eq!(verified.payload, b"any payload");
        assert_eq!((verified.algorithm, verified.kid), (Algorithm::Hs256, None));
    }

    #[test]
    fn form_is_judged_without_keys_as_with_them() {
        let hs256 = AlgorithmSet::of(&[Algorithm::Hs256]);
        let long = with_header(&format!(r#"{{"alg":"HS256","x":"{}"}}"#, "a".repeat(16384)));
        for token in [
            b"".to_vec(),
            b"a.b".to_vec(),
            b"a.b.c=".to_vec(),
            long,
            with_header("[]"),
            with_header(r#"{"alg":"none"}"#),
            with_header(r#"{"alg":"HS512"}"#),
            with_header(r#"{"alg":"HS256","crit":["b64"]}"#),
        ] {
            let error = verify_signature(&token, &secret(), Some(&hs256), 16384).unwrap_err();
            assert_eq!(check_form(&token, Some(&hs256), 16384), Err(error));
        }
        assert_eq!(check_form(&with_header(r#"{"alg":"HS256"}"#), Some(&hs256), 16384), Ok(()));
    }

    #[test]
    fn only_a_token_that_could_be_good_has_its_key_asked_for() {
        let allowed = AlgorithmSet::of(&[Algorithm::Rs256, Algorithm::Hs256]);
        let could = |token: &[u8]| could_have_newer_key(token, Some(&allowed), 16384);
        for header in [r#"{"alg":"RS256","kid":"b"}"#, r#"{"alg":"RS256"}"#] {
            assert!(could(&with_header(header)), "{header}");
        }
        for header in [
            // No such key is ever published.
            r#"{"alg":"HS256","kid":"b"}"#,
            r#"{"alg":"ES256","kid":"b"}"#,
            r#"{"alg":"none","kid":"b"}"#,
            r#"{"alg":"RS256","kid":7}"#,
            r#"{"alg":"RS256","kid":"b","crit":["x"],"x":1}"#,
        ] {
            assert!(!could(&with_header(header)), "{header}");
        }
        assert!(!could(b"a.b.c") && !could(b""));
        assert!(could_have_newer_key(&with_header(r#"{"alg":"ES256"}"#), None, 16384));
    }

    #[test]
    fn unsigned_tokens_are_refused() {
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"NonE"}"#] {
            let token = issuer::token(header, "{}", |_| Vec::new());
            assert_eq!(refusal(&token, &secret()), TokenError::UnknownAlgorithm);
        }
        let token = issuer::token(r#"{"alg":"HS256"}"#, "{}", |_| Vec::new());
        assert_eq!(refusal(&token, &secret()), TokenError::BadSignature);
    }

    #[test]
    fn wrong_key_and_cut_signature_are_refused() {
        let header = r#"{"alg":"HS256"}"#;
        let other = issuer::token(header, "{}", |message| issuer::hs256(&[7; 32], message));
        assert_eq!(refusal(&other, &secret()), TokenError::BadSignature);
        let cut =
            issuer::token(header, "{}", |message| issuer::hs256(SECRET, message)[..31].to_vec());
        assert_eq!(refusal(&cut, &secret()), TokenError::BadSignature);
    }

    #[test]
    fn public_key_is_never_an_hmac_secret() {
        for pem in [fixtures::RSA_PUBLIC, fixtures::P256_PUBLIC, fixtures::ED25519_PUBLIC] {
            let keys = KeySet::load(&[("pem", pem.as_bytes())]).unwrap();
            let der = ::pem::parse(pem).unwrap().into_contents();
            for secret in [pem.as_bytes(), pem.trim_end().as_bytes(), &der] {
                let token = issuer::hs256_token(secret, r#"{"sub":"acme"}"#);
                assert_eq!(refusal(&token, &keys), TokenError::NoKey);
            }
        }
    }

    #[test]
    fn key_pinned_to_one_algorithm_is_not_used_with_another() {
        let ps256 = KeySet::load(&[("pem", fixtures::RSA_PUBLIC.as_bytes())]).unwrap();
        let pinned = AlgorithmSet::of(&[Algorithm::Ps256]);
        let verify = |token: &str| verify_signature(token.as_bytes(), &ps256, Some(&pinned), 16384);
        assert!(verify(fixtures::PS256_TOKEN).is_ok());
        assert_eq!(verify(fixtures::RS256_TOKEN), Err(TokenError::AlgorithmNotAllowed));
        assert_eq!(verify(fixtures::PS384_TOKEN), Err(TokenError::AlgorithmNotAllowed));
    }

    #[test]
    fn signature_of_one_algorithm_is_none_of_another() {
        // The RS256 signature under a header that says PS256, and the other way round.
        for (header, token) in [("PS256", fixtures::RS256_TOKEN), ("RS256", fixtures::PS256_TOKEN)]
        {
            let keys = KeySet::load(&[("pem", fixtures::RSA_PUBLIC.as_bytes())]).unwrap();
            let forged = issuer::token(&format!(r#"{{"alg":"{header}"}}"#), "{}", |_| Vec::new());
            let forged = String::from_utf8(forged).unwrap() + token.rsplit('.').next().unwrap();
            assert_eq!(refusal(forged.as_bytes(), &keys), TokenError::BadSignature);
        }
    }

    #[test]
    fn ecdsa_signature_in_der_is_refused() {
        let keys = KeySet::load(&[("pem", fixtures::P256_PUBLIC.as_bytes())]).unwrap();
        let good = fixtures::ES256_TOKEN;
        let (message, signature) = good.rsplit_once('.').unwrap();
        let raw = super::super::base64url::decode(signature.as_bytes()).unwrap();
        let integer = |bytes: &[u8]| {
            let mut integer = bytes.to_vec();
            if bytes[0] >= 0x80 {
                integer.insert(0, 0);
            }
            [&[2, u8::try_from(integer.len()).unwrap()], &integer[..]].concat()
        };
        let body = [integer(&raw[..32]), integer(&raw[32..])].concat();
        let der = [&[0x30, u8::try_from(body.len()).unwrap()], &body[..]].concat();
        let header_and_payload: Vec<_> = message.split('.').collect();
        let decode = |part: &str| {
            String::from_utf8(super::super::base64url::decode(part.as_bytes()).unwrap()).unwrap()
        };
        let forge = |signature: Vec<u8>| {
            issuer::token(&decode(header_and_payload[0]), &decode(header_and_payload[1]), |_| {
                signature.clone()
            })
        };
        assert!(verify_signature(&forge(raw.clone()), &keys, None, 16384).is_ok());
        assert_eq!(refusal(&forge(der), &keys), TokenError::BadSignature);
        assert_eq!(refusal(&forge([&raw[..], &[0]].concat()), &keys), TokenError::BadSignature);
        assert_eq!(refusal(&forge(vec![0; 64]), &keys), TokenError::BadSignature);
    }

    #[test]
    fn without_kid_sixteen_keys_are_tried_and_with_it_the_one() {
        let secrets: Vec<[u8; 32]> = (0..17).map(|n| [b'a' + n; 32]).collect();
        let jwk = |(n, secret): (usize, &[u8; 32])| {
            let k = URL_SAFE_NO_PAD.encode(secret);
            format!(r#"{{"kty":"oct","kid":"{n}","k":"{k}"}}"#)
        };
        let jwks: Vec<_> = secrets.iter().enumerate().map(jwk).collect();
        let jwks = format!(r#"{{"keys":[{}]}}"#, jwks.join(","));
        let keys = KeySet::load(&[("jwks", jwks.as_bytes())]).unwrap();
        let by = |n: usize, header: &str| {
            let sign = |message: &[u8]| issuer::hs256(&secrets[n], message);
            verify_signature(&issuer::token(header, "{}", sign), &keys, None, 16384)
        };
        let anonymous = r#"{"alg":"HS256"}"#;
        assert!((0..MAX_SIGNATURE_CHECKS).all(|n| by(n, anonymous).is_ok()));
        assert_eq!(by(MAX_SIGNATURE_CHECKS, anonymous), Err(TokenError::BadSignature));
        assert!(by(16, r#"{"alg":"HS256","kid":"16"}"#).is_ok());
        assert_eq!(by(16, r#"{"alg":"HS256","kid":"15"}"#), Err(TokenError::BadSignature));
    }

    #[test]
    fn kid_of_the_key_set_is_reported_not_that_of_the_token() {
        let token = with_header(r#"{"alg":"HS256","kid":"sent"}"#);
        assert_eq!(verify_signature(&token, &secret(), None, 16384).unwrap().kid, None);
        let k = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";
        let jwk = format!(r#"{{"kty":"oct","kid":"mine","k":"{k}"}}"#);
        let keys = KeySet::load(&[("jwk", jwk.as_bytes())]).unwrap();
        assert_eq!(refusal(&token, &keys), TokenError::NoKey);
        for header in [r#"{"alg":"HS256","kid":"mine"}"#, r#"{"alg":"HS256"}"#] {
            let verified = verify_signature(&with_header(header), &keys, None, 16384).unwrap();
            assert_eq!(verified.kid.as_deref(), Some("mine"));
        }
    }

    #[test]
    fn form_is_judged_before_the_signature() {
        let good = with_header(r#"{"alg":"HS256"}"#);
        assert_eq!(
            verify_signature(&good, &secret(), None, good.len() - 1),
            Err(TokenError::TooLong)
        );
        let padded = [&good[..], b"="].concat();
        assert_eq!(refusal(&padded, &secret()), TokenError::Encoding(Part::Signature));
        let json = br#"{"payload":"e30","signatures":[{"protected":"e30","signature":"AA"}]}"#;
        assert_eq!(refusal(json, &secret()), TokenError::NotCompact);
    }
}

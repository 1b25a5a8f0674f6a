//! The verification keys of one place in the configuration.

use std::sync::Arc;

use super::algorithm::{Algorithm, AlgorithmSet};
use super::binding::Binding;
use super::key::Key;
use super::key_error::{KeyError, KeyProblem};
use super::tries::Tries;
use super::{jwk, pem, secret};

/// The most keys of a set that is fetched.
pub const MAX_FETCHED_KEYS: usize = 256;

/// An immutable set of verification keys. Each key knows the algorithms that it may be used with, and
/// a `kid` and an algorithm together select at most one of the keys that have a `kid`.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Key>,
}

impl KeySet {
    /// The keys of `files`, each a name (for messages) and its contents:
    ///
    /// - text that starts with `{` or `[` is a JWK Set or a single JWK (RFC 7517);
    /// - what holds `-----BEGIN ` is PEM: `PUBLIC KEY`, `RSA PUBLIC KEY` or `CERTIFICATE` blocks;
    /// - all else is a raw HMAC secret, less one line break at its end.
    ///
    /// # Errors
    ///
    /// Names the file, and the key in it, and what is wrong: see [`KeyProblem`].
    pub fn load(files: &[(&str, &[u8])]) -> Result<Self, KeyError> {
        let unbound = Binding::default();
        let files: Vec<_> = files.iter().map(|(name, bytes)| (*name, *bytes, &unbound)).collect();
        Self::load_bound(&files)
    }

    /// The same for files of which each says whose tokens its keys are for.
    ///
    /// # Errors
    ///
    /// As [`KeySet::load`].
    pub fn load_bound(files: &[(&str, &[u8], &Binding)]) -> Result<Self, KeyError> {
        let mut keys: Vec<Key> = Vec::new();
        for (name, contents, binding) in files {
            let parsed = parse(contents).map_err(|error| error.in_file(name))?;
            add(&mut keys, parsed, binding).map_err(|error| error.in_file(name))?;
            if has_unreachable(&keys) {
                return Err(KeyError::from(KeyProblem::TooManyKeys).in_file(name));
            }
        }
        if keys.is_empty() {
            return Err(KeyProblem::NoUsableKey.into());
        }
        Ok(Self { keys })
    }

    /// The keys of a JWK Set (RFC 7517 section 5) that was fetched from somewhere. Only such a set is
    /// accepted: whatever else an answer holds, a page of HTML say, is no secret and no PEM.
    ///
    /// Of more keys without `kid` than are tried for a token, the first are: whoever publishes them
    /// can't be told.
    ///
    /// # Errors
    ///
    /// As [`KeySet::load`]; and where there are more than [`MAX_FETCHED_KEYS`], or a symmetric one,
    /// which everybody could fetch.
    pub fn from_jwks(json: &[u8], binding: &Binding) -> Result<Self, KeyError> {
        let parsed = jwk::parse_set(json, MAX_FETCHED_KEYS)?;
        if parsed.iter().any(Key::is_hmac) {
            return Err(KeyProblem::PublishedSecret.into());
        }
        let mut keys = Vec::new();
        add(&mut keys, parsed, binding)?;
        Ok(Self { keys })
    }

    /// Whether a key has this `kid`.
    #[must_use]
    pub fn has_kid(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid() == Some(kid))
    }

    /// Whether this set can be used safely and to any effect with the pinned `algorithms`.
    ///
    /// # Errors
    ///
    /// HMAC secrets beside public keys need pinned algorithms, because the two do not belong
    /// together by accident; and pinned algorithms need a key that can be used with them.
    pub fn check(&self, algorithms: Option<&AlgorithmSet>) -> Result<(), KeyError> {
        let usable =
            |pinned: &AlgorithmSet| self.keys.iter().any(|k| meet(k.algorithms(), *pinned));
        match algorithms {
            None if self.has_hmac() && self.has_asymmetric() => Err(KeyProblem::MixedKinds.into()),
            Some(pinned) if !usable(pinned) => Err(KeyProblem::InertAlgorithms.into()),
            _ => Ok(()),
        }
    }

    /// The number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key: never, for a set that was loaded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether one of the keys is an HMAC secret.
    #[must_use]
    pub fn has_hmac(&self) -> bool {
        self.keys.iter().any(Key::is_hmac)
    }

    /// Whether one of the keys is a public key.
    #[must_use]
    pub fn has_asymmetric(&self) -> bool {
        !self.keys.iter().all(Key::is_hmac)
    }

    /// The keys to try for a token with this `kid` and `algorithm`: those of that `kid`, or, where
    /// none has it, those without any. For a token without `kid`: those without one, then the others.
    /// As many of them as [`Tries`] allows.
    pub(super) fn candidates<'s, 'k>(
        &'s self,
        kid: Option<&'k str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'s Key> + use<'s, 'k> {
        let fit = || self.keys.iter().filter(move |key| key.algorithms().contains(algorithm));
        let named = fit().filter(move |key| key.kid().is_some() && key.kid() == kid);
        // Somebody else's key of that name is none of these.
        let is_known = move |binding: &Binding| {
            self.keys
                .iter()
                .any(|other| other.kid() == kid && !other.binding().is_apart_from(binding))
        };
        let unnamed = fit()
            .filter(move |key| key.kid().is_none() && (kid.is_none() || !is_known(key.binding())));
        let others = fit().filter(move |key| key.kid().is_some() && kid.is_none());
        let mut tries = Tries::default();
        named.chain(unnamed).chain(others).take_while(move |key| tries.allow(key))
    }

    /// Whether some keys without `kid` are never tried, which only those of a set that was fetched can be.
    #[must_use]
    pub fn has_untried(&self) -> bool {
        has_unreachable(&self.keys)
    }

    /// Whether any of the keys is for the tokens of certain issuers only.
    pub(super) fn is_bound(&self) -> bool {
        self.keys.iter().any(|key| !key.binding().issuers.is_empty())
    }

    /// Whether `key`, one of these, may sign for `issuer`: it is named where the key comes from; or, of a
    /// key that names none, by no other key.
    pub(super) fn may_sign(&self, key: &Key, issuer: Option<&str>) -> bool {
        let names = |key: &Key| issuer.is_some_and(|issuer| key.binding().names(issuer));
        match key.binding().issuers.is_empty() {
            true => !self.keys.iter().any(names),
            false => names(key),
        }
    }
}

/// Adds the keys of one source to those of others.
fn add(keys: &mut Vec<Key>, parsed: Vec<Key>, binding: &Binding) -> Result<(), KeyError> {
    let binding = Arc::new(binding.clone());
    for key in parsed {
        let key = key.bound(&binding);
        if keys.iter().any(|other| collide(other, &key)) {
            let error = KeyError::from(KeyProblem::DuplicateKid);
            return Err(error.at(format_args!("key {:?}", key.kid().unwrap_or_default())));
        }
        keys.push(key);
    }
    Ok(())
}

fn parse(contents: &[u8]) -> Result<Vec<Key>, KeyError> {
    if contents.is_empty() {
        return Err(KeyProblem::Empty.into());
    }
    if contents.windows(pem::BEGIN.len()).any(|window| window == pem::BEGIN) {
        return pem::parse(contents);
    }
    // What starts as JSON is never a secret, however broken: a damaged public key set would be one
    // that everybody knows. Bytes that are not UTF-8 cannot have been meant as JSON.
    let text = contents.strip_prefix(b"\xef\xbb\xbf").unwrap_or(contents);
    let starts_as_json = matches!(text.trim_ascii_start().first(), Some(b'{' | b'['));
    if starts_as_json && std::str::from_utf8(text).is_ok() {
        return jwk::parse(text);
    }
    Ok(vec![secret::parse(contents)?])
}

/// Whether one of the keys without `kid` would never be tried for one of its algorithms.
fn has_unreachable(keys: &[Key]) -> bool {
    Algorithm::ALL.into_iter().any(|algorithm| {
        let unnamed = |key: &&Key| key.kid().is_none() && key.algorithms().contains(algorithm);
        let mut tries = Tries::default();
        !keys.iter().filter(unnamed).all(|key| tries.allow(key))
    })
}

/// Whether a token could be meant for both of these keys. Issuers choose their `kid` without regard to
/// each other.
fn collide(one: &Key, other: &Key) -> bool {
    one.kid().is_some()
        && one.kid() == other.kid()
        && meet(one.algorithms(), other.algorithms())
        && !one.binding().is_apart_from(other.binding())
}

fn meet(one: AlgorithmSet, other: AlgorithmSet) -> bool {
    !one.intersection(other).is_empty()
}

#[cfg(test)]
mod tests {
    use super::super::{fixtures, MAX_SIGNATURE_CHECKS};
    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn oct(kid: &str, first: char, members: &str) -> String {
        let k = format!("{first}{}", "A".repeat(85));
        format!(r#"{{"kty":"oct","kid":"{kid}","k":"{k}"{members}}}"#)
    }

    fn set(keys: &[String]) -> Result<KeySet, KeyError> {
        KeySet::load(&[("jwks", format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes())])
    }

    fn problem(result: Result<KeySet, KeyError>) -> KeyProblem {
        result.unwrap_err().problem()
    }

    #[test]
    fn a_fetched_set_is_a_set_of_public_keys_and_nothing_else() {
        let public = r#"{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let fetched = |text: &str| KeySet::from_jwks(text.as_bytes(), &Binding::default());
        let keys = fetched(&format!(r#"{{"keys":[{public}]}}"#)).unwrap();
        assert!(keys.has_kid("a") && !keys.has_kid("b"));
        let mut seventeen = format!(r#"{{"keys":[{public}"#);
        for _ in 0..MAX_FETCHED_KEYS {
            seventeen.push_str(r#",{"kty":"unknown"}"#);
        }
        seventeen.push_str("]}");
        for (text, expected) in [
            (public.to_owned(), KeyProblem::NotASet),
            (String::new(), KeyProblem::NotASet),
            ("<html>0123456789abcdef0123456789abcdef</html>".to_owned(), KeyProblem::NotASet),
            ("0123456789abcdef0123456789abcdef".to_owned(), KeyProblem::NotASet),
            (fixtures::P256_PUBLIC.to_owned(), KeyProblem::NotASet),
            (r#"{"keys":{}}"#.to_owned(), KeyProblem::BadMember("keys")),
            (r#"{"keys":[]}"#.to_owned(), KeyProblem::NoUsableKey),
            (
                format!(r#"{{"keys":[{public},{}]}}"#, oct("b", 'A', "")),
                KeyProblem::PublishedSecret,
            ),
            (format!(r#"{{"keys":[{public},{public}]}}"#), KeyProblem::DuplicateKid),
            (format!(r#"{{"keys":[{public}],"keys":[]}}"#), KeyProblem::NotASet),
            (format!(r#"{{"keys":[{public}]"#), KeyProblem::NotASet),
            (
                public.replace("\"x\"", "\"d\":\"AA\",\"x\"").replace('{', r#"{"keys":[{"#) + "]}",
                KeyProblem::PrivateKey,
            ),
            (seventeen, KeyProblem::TooManyFetched),
        ] {
            assert_eq!(problem(fetched(&text)), expected, "{}", text.get(..80).unwrap_or(&text));
        }
    }

    #[test]
    fn each_file_is_recognised_by_its_contents() {
        let jwk = oct("a", 'A', "");
        let keys = KeySet::load(&[
            ("secret", SECRET),
            ("pem", fixtures::P256_PUBLIC.as_bytes()),
            ("jwk", format!("\u{feff}\n {jwk}").as_bytes()),
        ]);
        assert_eq!(keys.unwrap().len(), 3);
    }

    #[test]
    fn damaged_json_or_pem_is_never_taken_for_a_secret() {
        let jwks = format!(r#"{{"keys":[{}]}}"#, oct("a", 'A', ""));
        for cut in [1, 10, 50, jwks.len() - 1] {
            let truncated = KeySet::load(&[("jwks", &jwks.as_bytes()[..cut])]);
            assert_eq!(problem(truncated), KeyProblem::NotJwks, "{cut}");
        }
        let pem = fixtures::RSA_PUBLIC.as_bytes();
        for cut in [30, 100, pem.len() - 10] {
            let truncated = KeySet::load(&[("pem", &pem[..cut])]);
            assert_eq!(problem(truncated), KeyProblem::DamagedPem, "{cut}");
        }
        // Random bytes may start with a brace.
        let random = [b"{", &[0xff; 32][..]].concat();
        assert!(KeySet::load(&[("secret", &random)]).is_ok());
    }

    #[test]
    fn no_file_an_empty_file_or_one_bad_file_is_an_error_that_names_it() {
        assert_eq!(problem(KeySet::load(&[])), KeyProblem::NoUsableKey);
        assert_eq!(problem(KeySet::load(&[("a", b"")])), KeyProblem::Empty);
        let error = KeySet::load(&[("good", SECRET), ("conf/bad", b"short")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"conf/bad\": the secret is too short (at least 32 bytes, for HS384 48, for HS512 64)"
        );
    }

    #[test]
    fn two_keys_share_a_kid_only_without_a_common_algorithm() {
        let hs256 = r#","alg":"HS256""#;
        let hs512 = r#","alg":"HS512""#;
        assert!(set(&[oct("a", 'A', hs256), oct("b", 'B', hs256)]).is_ok());
        assert!(set(&[oct("a", 'A', hs256), oct("a", 'B', hs512)]).is_ok());
        for same in [
            [oct("a", 'A', hs256), oct("a", 'B', hs256)],
            [oct("a", 'A', ""), oct("a", 'A', hs512)],
        ] {
            assert_eq!(problem(set(&same)), KeyProblem::DuplicateKid);
        }
        let one = oct("a", 'A', "");
        let files = [("one", one.as_bytes()), ("two", one.as_bytes())];
        let error = KeySet::load(&files).unwrap_err();
        assert!(error.to_string().starts_with("\"two\": key \"a\": "), "{error}");
        // Keys without a kid are told apart by their signatures alone.
        assert!(KeySet::load(&[("one", SECRET), ("two", SECRET)]).is_ok());
    }

    #[test]
    fn mixed_kinds_need_pinned_algorithms() {
        let mixed =
            KeySet::load(&[("s", SECRET), ("p", fixtures::P256_PUBLIC.as_bytes())]).unwrap();
        assert!(mixed.has_hmac() && mixed.has_asymmetric());
        assert_eq!(mixed.check(None).unwrap_err().problem(), KeyProblem::MixedKinds);
        assert_eq!(mixed.check(Some(&AlgorithmSet::of(&[Algorithm::Es256]))), Ok(()));

        let secret = KeySet::load(&[("s", SECRET)]).unwrap();
        assert!(secret.has_hmac() && !secret.has_asymmetric());
        assert_eq!(secret.check(None), Ok(()));
        let public = KeySet::load(&[("p", fixtures::P256_PUBLIC.as_bytes())]).unwrap();
        assert!(!public.has_hmac() && public.has_asymmetric() && !public.is_empty());
        assert_eq!(public.check(None), Ok(()));
    }

    #[test]
    fn pinned_algorithms_that_no_key_serves_are_refused() {
        let secret = KeySet::load(&[("s", SECRET)]).unwrap();
        let check = |algorithm| secret.check(Some(&AlgorithmSet::of(&[algorithm])));
        assert_eq!(check(Algorithm::Hs256), Ok(()));
        assert_eq!(check(Algorithm::Hs512).unwrap_err().problem(), KeyProblem::InertAlgorithms);
        assert_eq!(check(Algorithm::Rs256).unwrap_err().problem(), KeyProblem::InertAlgorithms);
    }

    #[test]
    fn key_that_would_never_be_tried_is_refused() {
        let secrets: Vec<[u8; 32]> = (0..17).map(|n| [b'a' + n; 32]).collect();
        let files: Vec<_> = secrets.iter().map(|secret| ("secret", &secret[..])).collect();
        assert!(KeySet::load(&files[..MAX_SIGNATURE_CHECKS]).is_ok());
        assert_eq!(problem(KeySet::load(&files)), KeyProblem::TooManyKeys);
        // What costs more is tried less often.
        let costly = |count| vec![("pem", fixtures::P521_PUBLIC.as_bytes()); count];
        assert!(KeySet::load(&costly(2)).is_ok());
        assert_eq!(problem(KeySet::load(&costly(3))), KeyProblem::TooManyKeys);
        // Of a set that is fetched, the first are tried.
        let public =
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let fetched = format!(r#"{{"keys":[{}]}}"#, vec![public; 17].join(","));
        let fetched = KeySet::from_jwks(fetched.as_bytes(), &Binding::default()).unwrap();
        assert!(fetched.len() == 17 && fetched.has_untried());
        assert_eq!(fetched.candidates(None, Algorithm::EdDsa).count(), MAX_SIGNATURE_CHECKS);
        let named: Vec<_> = (0..17).map(|n| oct(&n.to_string(), 'A', "")).collect();
        assert_eq!(set(&named).unwrap().len(), 17);
    }

    #[test]
    fn kid_selects_and_keys_without_kid_serve_kids_that_nobody_has() {
        let a = oct("a", 'A', "");
        let b = oct("b", 'B', "");
        let keys =
            KeySet::load(&[("a", a.as_bytes()), ("b", b.as_bytes()), ("s", SECRET)]).unwrap();
        let kids =
            |kid, algorithm| keys.candidates(kid, algorithm).map(Key::kid).collect::<Vec<_>>();
        assert_eq!(kids(Some("a"), Algorithm::Hs256), [Some("a")]);
        assert_eq!(kids(Some("b"), Algorithm::Hs512), [Some("b")]);
        assert_eq!(kids(Some("c"), Algorithm::Hs256), [None]);
        assert_eq!(kids(Some("c"), Algorithm::Hs512), []);
        // A token without kid was most likely signed with a key without one.
        assert_eq!(kids(None, Algorithm::Hs256), [None, Some("a"), Some("b")]);
        assert_eq!(kids(Some("a"), Algorithm::Rs256), []);
    }

    #[test]
    fn issuers_may_use_the_same_kid() {
        let of = |issuers: &[&str]| Binding {
            issuers: issuers.iter().map(|issuer| (*issuer).to_owned()).collect(),
            client_prefix: None,
        };
        let (one, two) = (oct("1", 'A', ""), oct("1", 'B', ""));
        let load = |of_one: &Binding, of_two: &Binding| {
            KeySet::load_bound(&[("one", one.as_bytes(), of_one), ("two", two.as_bytes(), of_two)])
        };
        let keys = load(&of(&["a"]), &of(&["b"])).unwrap();
        assert_eq!(keys.candidates(Some("1"), Algorithm::Hs256).count(), 2);
        // Nor does one hide another one's keys without a kid.
        let keys = KeySet::load_bound(&[
            ("one", one.as_bytes(), &of(&["a"])),
            ("secret", SECRET, &of(&["b"])),
            ("another", &[b'x'; 32], &of(&["a"])),
        ]);
        let keys = keys.unwrap();
        let found: Vec<_> = keys.candidates(Some("1"), Algorithm::Hs256).map(Key::kid).collect();
        assert_eq!(found, [Some("1"), None]);
        for (of_one, of_two) in
            [(of(&["a"]), of(&["b", "a"])), (of(&["a"]), of(&[])), (of(&[]), of(&[]))]
        {
            assert_eq!(problem(load(&of_one, &of_two)), KeyProblem::DuplicateKid);
        }
    }

    #[test]
    fn key_signs_for_its_issuers_and_others_don_t() {
        let of_a = Binding { issuers: vec!["a".to_owned()], client_prefix: None };
        let keys = KeySet::load_bound(&[
            ("a", SECRET, &of_a),
            ("any", b"another-secret-of-thirty-two-byte", &Binding::default()),
        ]);
        let keys = keys.unwrap();
        let [a, any] = keys.keys.as_slice() else { panic!("two keys") };
        assert!(keys.is_bound());
        assert!(keys.may_sign(a, Some("a")) && !keys.may_sign(a, Some("b")));
        assert!(!keys.may_sign(a, None) && keys.may_sign(any, None));
        assert!(keys.may_sign(any, Some("b")) && !keys.may_sign(any, Some("a")));
    }
}

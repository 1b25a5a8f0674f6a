//! The verification keys of one place in the configuration.

use std::sync::Arc;

use super::algorithm::{Algorithm, AlgorithmSet};
use super::binding::Binding;
use super::jwk::Parsed;
use super::key::Key;
use super::key_error::{KeyError, KeyProblem};
use super::tries::Tries;
use super::{jwk, object, pem, secret};

/// The most keys of a set that is fetched.
pub const MAX_FETCHED_KEYS: usize = 256;

/// An immutable set of verification keys. Each key knows the algorithms that it may be used with, and
/// a `kid` and an algorithm together select one of the keys that have a `kid`, or the few that share it.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Key>,
    notes: Vec<KeyError>,
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
        let mut set = Self { keys: Vec::new(), notes: Vec::new() };
        for (name, contents, binding) in files {
            let parsed = parse(contents).map_err(|error| error.in_file(name))?;
            let notes = set.add(parsed, binding);
            set.notes.extend(notes.into_iter().map(|note| note.in_file(name)));
            if has_unreachable(&set.keys) {
                return Err(KeyError::from(KeyProblem::TooManyKeys).in_file(name));
            }
        }
        if set.keys.is_empty() {
            return Err(KeyProblem::NoUsableKey.into());
        }
        Ok(set)
    }

    /// The keys of a JWK Set (RFC 7517 section 5) that was fetched from somewhere. Only such a set is
    /// accepted: whatever else an answer holds, a page of HTML say, is no secret and no PEM.
    ///
    /// Keys that can't be used are left out, and so are symmetric ones, which everybody could fetch:
    /// [`KeySet::notes`] has them. Of more keys without `kid` than are tried for a token, the first are:
    /// whoever publishes them can't be told.
    ///
    /// # Errors
    ///
    /// Where it is no set, or has more than [`MAX_FETCHED_KEYS`], or none that can be used.
    pub fn from_jwks(json: &[u8], binding: &Binding) -> Result<Self, KeyError> {
        let parsed = jwk::parse_set(json, MAX_FETCHED_KEYS)?;
        let mut set = Self { keys: Vec::new(), notes: Vec::new() };
        set.notes = set.add(parsed, binding);
        Ok(set)
    }

    /// Adds the keys of one source to those of others. What there is to say of them.
    fn add(&mut self, parsed: Parsed, binding: &Binding) -> Vec<KeyError> {
        let binding = Arc::new(binding.clone());
        let Parsed { keys, mut notes } = parsed;
        for key in keys {
            let key = key.bound(&binding);
            if self.keys.iter().any(|other| collide(other, &key)) {
                let note = KeyError::from(KeyProblem::SharedKid);
                notes.push(note.at(format_args!("key {:?}", key.kid().unwrap_or_default())));
            }
            self.keys.push(key);
        }
        notes
    }

    /// What is to be said of keys: which ones are not used, and why, and what else is odd. At most one for
    /// each.
    #[must_use]
    pub fn notes(&self) -> &[KeyError] {
        &self.notes
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

fn parse(contents: &[u8]) -> Result<Parsed, KeyError> {
    if contents.is_empty() {
        return Err(KeyProblem::Empty.into());
    }
    let only = |keys| Parsed { keys, notes: Vec::new() };
    // What starts as JSON is never a secret, however broken: a damaged public key set would be one
    // that everybody knows. Bytes that are not UTF-8 cannot have been meant as JSON.
    let text = contents.strip_prefix(b"\xef\xbb\xbf").unwrap_or(contents);
    let starts_as_json = matches!(text.trim_ascii_start().first(), Some(b'{' | b'['));
    let has_pem = contents.windows(pem::BEGIN.len()).any(|window| window == pem::BEGIN);
    // Some put the PEM of a key into its JWK as well.
    if has_pem && !(starts_as_json && object::raw_members(text).is_some()) {
        return pem::parse(contents).map(only);
    }
    if starts_as_json && std::str::from_utf8(text).is_ok() {
        return jwk::parse(text);
    }
    secret::parse(contents).map(|key| only(vec![key]))
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
mod tests;

//! The two keys of a sealed log: the one that seals, on the machine, and the one that verifies, elsewhere.
//!
//! Both begin with the same root. The file that seals is written anew with each start of nginx: the root in it
//! goes forward, so that what was sealed before can't be sealed again. The file that verifies keeps the first
//! root, from which all others follow.

mod clock;

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, UnparsedPublicKey, ED25519};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::id::MAX_NUMBER;
use super::ratchet::{Ratchet, Secret};
use crate::clock::UnixMillis;

pub(super) use clock::{Clock, MAX_CLOCK};
pub use clock::{CLOCK_AT, CLOCK_LEN};

use clock::CLOCK_SECONDS;

/// The length of a file that seals, in bytes, whatever is in it: it is written in its place, so that the root
/// before is not left somewhere on the disk, and so that a crash leaves one or the other.
pub const KEY_FILE_LEN: usize = CLOCK_AT + CLOCK_LEN;

/// What a pair of keys is made of: bytes from the kernel.
pub type Random = Zeroizing<[u8; 104]>;

/// The key that seals.
pub struct SealingKey {
    id: KeyId,
    /// Which generation begins next.
    generation: u32,
    root: Secret,
    seed: Secret,
    clock: Clock,
}

/// The key that verifies. Whoever has it can seal as well: it is no key for the machine that writes the log.
pub struct VerifyingKey {
    id: KeyId,
    root: Secret,
    public: [u8; 32],
    since: i64,
    clock: Secret,
}

/// What a pair of keys is called: 11 letters, digits, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyId(Box<str>);

/// What signs, and says from which machine a log is.
pub struct Signer(Ed25519KeyPair);

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SealingKey").field(&self.id).finish()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VerifyingKey").field(&self.id).finish()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

/// Why a file is no such key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// It is none at all.
    NotAKey,
    /// It is the key that verifies, where the one that seals is wanted.
    Verifying,
    /// It is the key that seals, where the one that verifies is wanted.
    Sealing,
    /// It was made by a later version.
    Version,
    /// A member is missing or has a value that it can't have.
    Member(&'static str),
    /// It is not as it was written.
    Damaged,
    /// It was used for as many generations as there may be.
    UsedUp,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAKey => f.write_str(
                "is no key of a sealed log; \"tollgate audit seal keygen\" makes one",
            ),
            Self::Verifying => f.write_str(
                "is the key that verifies, which must not lie on this machine: whoever has it can seal what he \
                 likes; name the other file of \"tollgate audit seal keygen\"",
            ),
            Self::Sealing => f.write_str(
                "is the key that seals; name the other file of \"tollgate audit seal keygen\"",
            ),
            Self::Version => f.write_str("is of a later version of Tollgate"),
            Self::Member(name) => write!(f, "has no good value of \"{name}\""),
            Self::Damaged => f.write_str(
                "is damaged, or was edited; make a new one with \"tollgate audit seal keygen\"",
            ),
            Self::UsedUp => f.write_str(
                "has been used up; make a new one with \"tollgate audit seal keygen\"",
            ),
        }
    }
}

impl std::error::Error for KeyError {}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl KeyId {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let is_id = URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == 8);
        is_id.then(|| Self(text.into()))
    }
}

/// Borrowed, so that no copy of a secret is left behind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text<'a> {
    tollgate_seal_key: Option<u32>,
    tollgate_verify_key: Option<u32>,
    id: Option<&'a str>,
    generation: Option<u32>,
    root: Option<&'a str>,
    sign: Option<&'a str>,
    public: Option<&'a str>,
    since: Option<i64>,
    clock: Option<&'a str>,
    check: Option<&'a str>,
}

impl<'a> Text<'a> {
    fn parse(file: &'a [u8]) -> Result<Self, KeyError> {
        serde_json::from_slice(file.trim_ascii_end()).map_err(|_| KeyError::NotAKey)
    }

    fn id(&self) -> Result<KeyId, KeyError> {
        self.id.and_then(KeyId::parse).ok_or(KeyError::Member("id"))
    }
}

fn secret(text: Option<&str>, name: &'static str) -> Result<Secret, KeyError> {
    let bytes = bytes32(text.unwrap_or_default()).ok_or(KeyError::Member(name))?;
    Ok(Secret::new(*bytes))
}

fn bytes32(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut bytes = Zeroizing::new([0; 32]);
    // The decoder asks for room by the length of the text, which may be a little more.
    let mut room = Zeroizing::new([0; 36]);
    let len = URL_SAFE_NO_PAD.decode_slice(text, room.as_mut_slice()).ok()?;
    (len == bytes.len())
        .then(|| bytes.iter_mut().zip(room.iter()).for_each(|(to, from)| *to = *from))?;
    Some(bytes)
}

/// Makes a pair, at this time (seconds since 1970).
///
/// # Errors
///
/// When no key that signs can be made of these bytes, which doesn't happen.
pub fn generate(random: &Random, since: i64) -> Result<(SealingKey, VerifyingKey), KeyError> {
    let (id, rest) = random.split_at(8);
    let (root, rest) = rest.split_at(32);
    let (seed, clock) = rest.split_at(32);
    let secret = |bytes: &[u8]| bytes.try_into().map(Secret::new).map_err(|_| KeyError::NotAKey);
    let id = KeyId(URL_SAFE_NO_PAD.encode(id).into());
    let ratchet = Ratchet::new(&secret(clock)?);
    let (root_key, seed) = (secret(root)?, secret(seed)?);
    let clock_key = Clock { since, ratchet };
    let sealing =
        SealingKey { id: id.clone(), generation: 0, root: root_key, seed, clock: clock_key };
    let public = sealing.signer()?.public();
    let (root, clock) = (secret(root)?, secret(clock)?);
    Ok((sealing, VerifyingKey { id, root, public, since, clock }))
}

/// A life of the shared memory.
#[derive(Debug)]
pub struct Generation {
    pub(super) number: u32,
    pub(super) key: Secret,
    pub(super) clock: Clock,
}

impl Generation {
    /// One that seals nothing: for `nginx -t`.
    #[must_use]
    pub fn none() -> Self {
        let nothing = || Secret::new([0; 32]);
        let ratchet = Ratchet::new(&nothing());
        Self { number: 0, key: nothing(), clock: Clock { since: 0, ratchet } }
    }
}

impl SealingKey {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(file: &[u8]) -> Result<Self, KeyError> {
        // The other file has but one part.
        let (first, clock) = file.split_at_checked(CLOCK_AT).unwrap_or((file, &[]));
        let text = Text::parse(first)?;
        match (text.tollgate_seal_key, text.tollgate_verify_key) {
            (Some(1), None) => {}
            (None, Some(_)) => return Err(KeyError::Verifying),
            (Some(_), None) => return Err(KeyError::Version),
            _ => return Err(KeyError::NotAKey),
        }
        let key = Self {
            id: text.id()?,
            generation: text.generation.ok_or(KeyError::Member("generation"))?,
            root: secret(text.root, "root")?,
            seed: secret(text.sign, "sign")?,
            clock: Clock::parse(clock)?,
        };
        if text.check != Some(&*key.check()) {
            return Err(KeyError::Damaged);
        }
        key.signer()?;
        Ok(key)
    }

    /// What the file is to hold: [`KEY_FILE_LEN`] bytes.
    #[must_use]
    pub fn to_file(&self) -> Zeroizing<Vec<u8>> {
        let mut file = Zeroizing::new(Vec::with_capacity(KEY_FILE_LEN));
        let encoded = |secret: &Secret| Zeroizing::new(URL_SAFE_NO_PAD.encode(secret.bytes()));
        let (root, sign) = (encoded(&self.root), encoded(&self.seed));
        for part in [
            "{\"tollgate_seal_key\":1,\"id\":\"",
            self.id.as_str(),
            "\",\"generation\":",
            &self.generation.to_string(),
            ",\"root\":\"",
            &root,
            "\",\"sign\":\"",
            &sign,
            "\",\"check\":\"",
            &self.check(),
            "\"}",
        ] {
            file.extend_from_slice(part.as_bytes());
        }
        file.resize(CLOCK_AT - 1, b' ');
        file.push(b'\n');
        file.extend_from_slice(&self.clock.to_file());
        file
    }

    /// Tells a file that is as it was written. Says nothing of what it is made of.
    fn check(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"tollgate audit seal 1: check");
        hash.update(self.id.as_str().as_bytes());
        hash.update(self.generation.to_le_bytes());
        hash.update(self.root.bytes());
        hash.update(self.seed.bytes());
        let hash: [u8; 32] = hash.finalize().into();
        URL_SAFE_NO_PAD.encode(hash.first_chunk::<9>().unwrap_or(&[0; 9]))
    }

    /// What the pair is called.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The generation that begins now, at this time. What this becomes by that has to be in the file before
    /// anything is sealed.
    ///
    /// # Errors
    ///
    /// When it is used up.
    pub fn begin(&mut self, now: UnixMillis) -> Result<Generation, KeyError> {
        let number = self.generation;
        if number >= MAX_NUMBER {
            return Err(KeyError::UsedUp);
        }
        let key = self.root.generation();
        self.root = self.root.next_root();
        self.generation = number.saturating_add(1);
        let Clock { since, ratchet } = &mut self.clock;
        ratchet.go_to(Clock::epoch(*since, now));
        let (run, clock_key, epoch) = ratchet.parts();
        let ratchet =
            Ratchet::from_parts(Secret::new(*run.bytes()), Secret::new(*clock_key.bytes()), epoch);
        Ok(Generation { number, key, clock: Clock { since: *since, ratchet } })
    }

    /// What signs.
    ///
    /// # Errors
    ///
    /// When the file holds no such key.
    pub fn signer(&self) -> Result<Signer, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(self.seed.bytes());
        pair.map(Signer).map_err(|_| KeyError::Member("sign"))
    }
}

impl Signer {
    pub(super) fn sign(&self, bytes: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(self.0.sign(bytes))
    }

    fn public(&self) -> [u8; 32] {
        let mut public = [0; 32];
        public.iter_mut().zip(self.0.public_key().as_ref()).for_each(|(to, from)| *to = *from);
        public
    }
}

impl VerifyingKey {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(file: &[u8]) -> Result<Self, KeyError> {
        let (first, _) = file.split_at_checked(CLOCK_AT).unwrap_or((file, &[]));
        let text = Text::parse(first)?;
        match (text.tollgate_seal_key, text.tollgate_verify_key) {
            (None, Some(1)) => {}
            (Some(_), None) => return Err(KeyError::Sealing),
            (None, Some(_)) => return Err(KeyError::Version),
            _ => return Err(KeyError::NotAKey),
        }
        let public = bytes32(text.public.unwrap_or_default()).ok_or(KeyError::Member("public"))?;
        Ok(Self {
            id: text.id()?,
            root: secret(text.root, "root")?,
            public: *public,
            since: text.since.ok_or(KeyError::Member("since"))?,
            clock: secret(text.clock, "clock")?,
        })
    }

    /// What the file is to hold.
    #[must_use]
    pub fn to_file(&self) -> Zeroizing<Vec<u8>> {
        let encoded = |secret: &Secret| Zeroizing::new(URL_SAFE_NO_PAD.encode(secret.bytes()));
        let (root, clock) = (encoded(&self.root), encoded(&self.clock));
        let public = URL_SAFE_NO_PAD.encode(self.public);
        let mut file = Zeroizing::new(Vec::with_capacity(KEY_FILE_LEN));
        for part in [
            "{\"tollgate_verify_key\":1,\"id\":\"",
            self.id.as_str(),
            "\",\"root\":\"",
            &root,
            "\",\"public\":\"",
            &public,
            "\",\"since\":",
            &self.since.to_string(),
            ",\"clock\":\"",
            &clock,
            "\"}\n",
        ] {
            file.extend_from_slice(part.as_bytes());
        }
        file
    }

    /// What the pair is called.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    pub(super) fn root(&self) -> &Secret {
        &self.root
    }

    pub(super) fn clock(&self) -> &Secret {
        &self.clock
    }

    /// When the clock had this key first, in seconds since 1970.
    pub(super) fn time_of(&self, epoch: u64) -> i64 {
        let seconds = i64::try_from(epoch).unwrap_or(i64::MAX).saturating_mul(CLOCK_SECONDS);
        self.since.saturating_add(seconds)
    }

    pub(super) fn has_signed(&self, bytes: &[u8], signature: &str) -> bool {
        let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
        UnparsedPublicKey::new(&ED25519, self.public).verify(bytes, &signature).is_ok()
    }
}

#[cfg(test)]
mod tests;

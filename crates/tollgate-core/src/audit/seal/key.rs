//! The two keys of a sealed log: the one that seals, on the machine, and the one that verifies, elsewhere.
//!
//! Both begin with the same root. The file that seals is written anew with each start of nginx: the root in it
//! goes forward, so that what was sealed before can't be sealed again. The file that verifies keeps the first
//! root, from which all others follow.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, UnparsedPublicKey, ED25519};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::id::MAX_NUMBER;
use super::ratchet::Secret;

/// The length of a file that seals, in bytes, whatever is in it: it is written in its place, so that the root
/// before is not left somewhere on the disk, and so that a crash leaves one or the other.
pub const KEY_FILE_LEN: usize = 512;

/// What a pair of keys is made of: bytes from the kernel.
pub type Random = Zeroizing<[u8; 72]>;

/// The key that seals.
pub struct SealingKey {
    id: KeyId,
    /// Which generation begins next.
    generation: u32,
    root: Secret,
    seed: Secret,
}

/// The key that verifies. Whoever has it can seal as well: it is no key for the machine that writes the log.
pub struct VerifyingKey {
    id: KeyId,
    root: Secret,
    public: [u8; 32],
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

/// Makes a pair.
///
/// # Errors
///
/// When no key that signs can be made of these bytes, which doesn't happen.
pub fn generate(random: &Random) -> Result<(SealingKey, VerifyingKey), KeyError> {
    let (id, rest) = random.split_at(8);
    let (root, seed) = rest.split_at(32);
    let secret = |bytes: &[u8]| bytes.try_into().map(Secret::new).map_err(|_| KeyError::NotAKey);
    let id = KeyId(URL_SAFE_NO_PAD.encode(id).into());
    let sealing =
        SealingKey { id: id.clone(), generation: 0, root: secret(root)?, seed: secret(seed)? };
    let public = sealing.signer()?.public();
    Ok((sealing, VerifyingKey { id, root: secret(root)?, public }))
}

impl SealingKey {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(file: &[u8]) -> Result<Self, KeyError> {
        let text = Text::parse(file)?;
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
        file.resize(KEY_FILE_LEN - 1, b' ');
        file.push(b'\n');
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

    /// The generation that begins now, and its key. The one that this becomes has to be in the file before
    /// anything is sealed with it.
    ///
    /// # Errors
    ///
    /// When it is used up.
    pub fn begin(&mut self) -> Result<(u32, Secret), KeyError> {
        let begun = self.generation;
        if begun >= MAX_NUMBER {
            return Err(KeyError::UsedUp);
        }
        let key = self.root.generation();
        self.root = self.root.next_root();
        self.generation = begun.saturating_add(1);
        Ok((begun, key))
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
        let text = Text::parse(file)?;
        match (text.tollgate_seal_key, text.tollgate_verify_key) {
            (None, Some(1)) => {}
            (Some(_), None) => return Err(KeyError::Sealing),
            (None, Some(_)) => return Err(KeyError::Version),
            _ => return Err(KeyError::NotAKey),
        }
        let public = bytes32(text.public.unwrap_or_default()).ok_or(KeyError::Member("public"))?;
        Ok(Self { id: text.id()?, root: secret(text.root, "root")?, public: *public })
    }

    /// What the file is to hold.
    #[must_use]
    pub fn to_file(&self) -> Zeroizing<Vec<u8>> {
        let root = Zeroizing::new(URL_SAFE_NO_PAD.encode(self.root.bytes()));
        let public = URL_SAFE_NO_PAD.encode(self.public);
        let mut file = Zeroizing::new(Vec::with_capacity(KEY_FILE_LEN));
        for part in [
            "{\"tollgate_verify_key\":1,\"id\":\"",
            self.id.as_str(),
            "\",\"root\":\"",
            &root,
            "\",\"public\":\"",
            &public,
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

    pub(super) fn has_signed(&self, bytes: &[u8], signature: &str) -> bool {
        let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
        UnparsedPublicKey::new(&ED25519, self.public).verify(bytes, &signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(byte: u8) -> (SealingKey, VerifyingKey) {
        generate(&Zeroizing::new(std::array::from_fn(|at| {
            byte.wrapping_add(u8::try_from(at).unwrap())
        })))
        .unwrap()
    }

    #[test]
    fn files_come_back() {
        let (mut sealing, verifying) = pair(1);
        for _ in 0..3 {
            let file = sealing.to_file();
            assert_eq!(file.len(), KEY_FILE_LEN);
            let read = SealingKey::parse(&file).unwrap();
            assert_eq!(read.to_file(), file);
            assert_eq!(read.id(), verifying.id());
            sealing.begin().unwrap();
        }
        let read = VerifyingKey::parse(&verifying.to_file()).unwrap();
        assert_eq!(read.to_file(), verifying.to_file());
        let signature = sealing.signer().unwrap().sign(b"a");
        assert!(read.has_signed(b"a", &signature));
        assert!(!read.has_signed(b"b", &signature));
        assert!(!pair(2).1.has_signed(b"a", &signature));
        assert!(!read.has_signed(b"a", "?"));
    }

    #[test]
    fn each_generation_has_a_key_that_the_file_after_it_does_not_tell() {
        let (mut sealing, verifying) = pair(1);
        let mut root = Secret::new(*verifying.root().bytes());
        for expected in 0..4 {
            let (generation, key) = sealing.begin().unwrap();
            assert_eq!(generation, expected);
            assert_eq!(key.bytes(), root.generation().bytes());
            root = root.next_root();
            assert_eq!(sealing.root.bytes(), root.bytes());
        }
        sealing.generation = MAX_NUMBER;
        assert_eq!(sealing.begin().unwrap_err(), KeyError::UsedUp);
    }

    #[test]
    fn one_file_is_not_the_other_and_neither_is_anything_else() {
        let (sealing, verifying) = pair(1);
        let (seal, verify) = (sealing.to_file(), verifying.to_file());
        assert_eq!(SealingKey::parse(&verify).unwrap_err(), KeyError::Verifying);
        assert_eq!(VerifyingKey::parse(&seal).unwrap_err(), KeyError::Sealing);
        let text = String::from_utf8(seal.to_vec()).unwrap();
        let with = |from: &str, to: &str| {
            SealingKey::parse(text.replace(from, to).as_bytes()).unwrap_err()
        };
        assert_eq!(with("seal_key\":1", "seal_key\":2"), KeyError::Version);
        assert_eq!(with("\"generation\":0", "\"generation\":1"), KeyError::Damaged);
        assert_eq!(with("\"generation\":0", "\"generation\":-1"), KeyError::NotAKey);
        assert_eq!(with("\"root\":\"", "\"root\":\"A"), KeyError::Member("root"));
        assert_eq!(with("\"id\":\"", "\"id\":\"A"), KeyError::Member("id"));
        assert_eq!(with("\"sign\":\"", "\"x\":\"\",\"sign\":\""), KeyError::NotAKey);
        for file in [&b""[..], b"{}", b"[]", b"\xff", b"{\"keys\": []}"] {
            assert_eq!(SealingKey::parse(file).unwrap_err(), KeyError::NotAKey);
            assert_eq!(VerifyingKey::parse(file).unwrap_err(), KeyError::NotAKey);
        }
        let text = String::from_utf8(verify.to_vec()).unwrap();
        let with = |from: &str, to: &str| {
            VerifyingKey::parse(text.replace(from, to).as_bytes()).unwrap_err()
        };
        assert_eq!(with("verify_key\":1", "verify_key\":2"), KeyError::Version);
        assert_eq!(with("\"public\":\"", "\"public\":\"A"), KeyError::Member("public"));
        assert_eq!(with("\"root\":\"", "\"root\":\"A"), KeyError::Member("root"));
    }

    #[test]
    fn no_secret_is_shown() {
        let (sealing, verifying) = pair(1);
        let root = URL_SAFE_NO_PAD.encode(sealing.root.bytes());
        let shown = format!("{sealing:?} {verifying:?} {:?}", sealing.signer().unwrap());
        assert!(!shown.contains(&root) && !shown.contains("root"), "{shown}");
    }
}

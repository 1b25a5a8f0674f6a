//! Keys that sign: out of PEM files, private JWKs and secret files, or new.

mod read;

use std::path::Path;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaEncoding,
    RsaKeyPair, RsaPublicKeyComponents,
};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tollgate_core::hex;
use tollgate_core::jwt::{verify_signature, Algorithm, KeySet};

use self::read::{from_jwk, from_pem};
use super::base64url::base64url;
use super::input::{read_key_file, without_line_break};
use crate::exit::Failure;

/// A key that signs tokens.
pub(super) struct PrivateKey {
    pair: Pair,
    /// The `kid` of its JWK.
    pub(super) kid: Option<String>,
    /// The only algorithm that its JWK allows.
    pinned: Option<Algorithm>,
}

enum Pair {
    Secret(Vec<u8>),
    Rsa(Box<RsaKeyPair>),
    Ecdsa(Box<EcdsaKeyPair>, Curve),
    Ed25519(Box<Ed25519KeyPair>),
}

/// A curve of RFC 7518 section 6.2.1.1.
#[derive(Clone, Copy)]
struct Curve {
    name: &'static str,
    algorithm: Algorithm,
    signing: &'static EcdsaSigningAlgorithm,
}

const CURVES: [Curve; 3] = [
    Curve {
        name: "P-256",
        algorithm: Algorithm::Es256,
        signing: &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
    },
    Curve {
        name: "P-384",
        algorithm: Algorithm::Es384,
        signing: &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
    },
    Curve {
        name: "P-521",
        algorithm: Algorithm::Es512,
        signing: &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
    },
];

const RSA: [Algorithm; 6] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];

impl PrivateKey {
    /// The key in a PEM file (PKCS#8, PKCS#1 or SEC 1) or in a JWK.
    pub(super) fn load(path: &Path) -> Result<Self, Failure> {
        let contents = read_key_file(path)?;
        let key = if contents.windows(PEM_BEGIN.len()).any(|window| window == PEM_BEGIN) {
            from_pem(&contents)
        } else if contents.trim_ascii_start().starts_with(b"{") {
            from_jwk(&contents)
        } else {
            Err("neither PEM nor a JWK, give a secret with --secret-file".to_owned())
        };
        key.map_err(|problem| in_file(path, &problem))?.accepted(path)
    }

    /// The secret in a file that `tollgate_jwt_key_file` can name, read in the same way.
    pub(super) fn load_secret(path: &Path) -> Result<Self, Failure> {
        let contents = read_key_file(path)?;
        // The module's own judgement of the file comes first: what it takes for JSON or PEM is no
        // secret, nor is what is public by its nature.
        let name = path.display().to_string();
        let keys = KeySet::load(&[(&name, &contents)]);
        let keys = keys.map_err(|error| Failure::failed(error.to_string()))?;
        if !keys.has_hmac() {
            return Err(in_file(path, "holds no secret, give a private key with --key"));
        }
        let starts_as_json = contents.trim_ascii_start().starts_with(b"{");
        let key = match starts_as_json && std::str::from_utf8(&contents).is_ok() {
            true => from_jwk(&contents).map_err(|problem| in_file(path, &problem))?,
            false => Self::new(Pair::Secret(without_line_break(&contents).to_vec())),
        };
        // That we have read it as the module does is not believed but tried.
        let algorithm = key.algorithm(None)?;
        let mut probe = format!("{}.", base64url(format!(r#"{{"alg":"{algorithm}"}}"#)));
        let signature = key.sign(algorithm, probe.as_bytes())?;
        probe = format!("{probe}.{}", base64url(signature));
        match verify_signature(probe.as_bytes(), &keys, None, usize::MAX) {
            Ok(_) => Ok(key),
            Err(_) => Err(in_file(
                path,
                "is read in another way by the module, take out what is \
                                         before the JSON",
            )),
        }
    }

    /// A new key; for RSA, of so many bits.
    pub(super) fn generate(algorithm: Algorithm, bits: u32) -> Result<Self, Failure> {
        let failed = |_| Failure::failed("the machine cannot make a key");
        let pair = if let Some(curve) = CURVES.into_iter().find(|c| c.algorithm == algorithm) {
            Pair::Ecdsa(Box::new(EcdsaKeyPair::generate(curve.signing).map_err(failed)?), curve)
        } else if algorithm == Algorithm::EdDsa {
            Pair::Ed25519(Box::new(Ed25519KeyPair::generate().map_err(failed)?))
        } else if RSA.contains(&algorithm) {
            let size = match bits {
                2048 => KeySize::Rsa2048,
                3072 => KeySize::Rsa3072,
                4096 => KeySize::Rsa4096,
                _ => return Err(Failure::usage("--bits must be 2048, 3072 or 4096")),
            };
            Pair::Rsa(Box::new(RsaKeyPair::generate(size).map_err(failed)?))
        } else {
            let mut secret = vec![0; hash_len(algorithm)];
            getrandom::fill(&mut secret).map_err(|error| Failure::failed(error.to_string()))?;
            Pair::Secret(secret)
        };
        Ok(Self::new(pair))
    }

    fn new(pair: Pair) -> Self {
        Self { pair, kid: None, pinned: None }
    }

    /// This key, if the module accepts its public half: a token that no server takes is no use.
    fn accepted(self, path: &Path) -> Result<Self, Failure> {
        match KeySet::load(&[(&path.display().to_string(), &self.verifying_jwk())]) {
            Ok(_) => Ok(self),
            Err(error) => Err(Failure::failed(error.to_string())),
        }
    }

    /// The algorithms that it can sign with, its usual one first.
    fn algorithms(&self) -> &[Algorithm] {
        const HMAC: [Algorithm; 3] = [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512];
        match &self.pair {
            Pair::Secret(_) => &HMAC,
            Pair::Rsa(_) => &RSA,
            Pair::Ecdsa(_, curve) => std::slice::from_ref(&curve.algorithm),
            Pair::Ed25519(_) => &[Algorithm::EdDsa],
        }
    }

    /// The algorithm to sign with, where the command line asks for `wanted`.
    pub(super) fn algorithm(&self, wanted: Option<Algorithm>) -> Result<Algorithm, Failure> {
        let possible: &[Algorithm] =
            self.pinned.as_ref().map_or(self.algorithms(), |pinned| std::slice::from_ref(pinned));
        let Some(algorithm) = wanted.or(possible.first().copied()) else {
            return Err(Failure::failed("the key cannot sign"));
        };
        if !possible.contains(&algorithm) {
            let names: Vec<_> = possible.iter().map(|a| a.as_str()).collect();
            return Err(Failure::usage(format!(
                "--alg {algorithm} does not fit the key, it signs with {}",
                names.join(", ")
            )));
        }
        Ok(algorithm)
    }

    /// The signature of `message`, as a JWS has it.
    pub(super) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let failed = |_| Failure::failed("the key cannot sign");
        let random = SystemRandom::new();
        Ok(match &self.pair {
            Pair::Secret(secret) => {
                let key = hmac::Key::new(hmac_algorithm(algorithm), secret);
                hmac::sign(&key, message).as_ref().to_vec()
            }
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(rsa_encoding(algorithm), &random, message, &mut signature)
                    .map_err(failed)?;
                signature
            }
            Pair::Ecdsa(pair, _) => pair.sign(&random, message).map_err(failed)?.as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.try_sign(message).map_err(failed)?.as_ref().to_vec(),
        })
    }

    /// The members of RFC 7638: those that make the key what it is.
    fn required_members(&self) -> Map<String, Value> {
        let members = match &self.pair {
            Pair::Secret(secret) => vec![("kty", "oct".to_owned()), ("k", base64url(secret))],
            Pair::Rsa(pair) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                vec![
                    ("kty", "RSA".to_owned()),
                    ("n", base64url(public.n)),
                    ("e", base64url(public.e)),
                ]
            }
            Pair::Ecdsa(pair, curve) => {
                // An uncompressed point: 4, x, y.
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at(point.len() / 2);
                vec![
                    ("kty", "EC".to_owned()),
                    ("crv", curve.name.to_owned()),
                    ("x", base64url(x)),
                    ("y", base64url(y)),
                ]
            }
            Pair::Ed25519(pair) => vec![
                ("kty", "OKP".to_owned()),
                ("crv", "Ed25519".to_owned()),
                ("x", base64url(pair.public_key())),
            ],
        };
        members.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
    }

    /// What verifies its signatures, for ourselves: with a secret, that is the secret.
    pub(super) fn verifying_jwk(&self) -> Vec<u8> {
        Value::Object(self.required_members()).to_string().into_bytes()
    }

    /// The JWK of the public half; `None` for a secret, which has none.
    pub(super) fn public_jwk(&self, kid: Option<String>, algorithm: Algorithm) -> Option<Value> {
        if matches!(self.pair, Pair::Secret(_)) {
            return None;
        }
        let mut members = self.required_members();
        let kid = kid.unwrap_or_else(|| self.thumbprint());
        members.insert("kid".to_owned(), kid.into());
        members.insert("alg".to_owned(), algorithm.as_str().into());
        members.insert("use".to_owned(), "sig".into());
        Some(Value::Object(members))
    }

    /// RFC 7638: the SHA-256 of the required members, in the order of their names.
    fn thumbprint(&self) -> String {
        base64url(Sha256::digest(Value::Object(self.required_members()).to_string()))
    }

    /// What is kept in a file: PKCS#8 in PEM, or the secret in hexadecimal.
    pub(super) fn to_file(&self) -> Result<Vec<u8>, Failure> {
        let failed = |_| Failure::failed("the key cannot be written as PKCS#8");
        let der = match &self.pair {
            Pair::Secret(secret) => {
                return Ok(format!("{}\n", hex::encode(secret)).into_bytes());
            }
            Pair::Rsa(pair) => {
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
                der.as_ref().to_vec()
            }
            Pair::Ecdsa(pair, _) => pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
        };
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        Ok(pem::encode_config(&pem::Pem::new("PRIVATE KEY", der), config).into_bytes())
    }
}

const PEM_BEGIN: &[u8] = b"-----BEGIN ";

fn in_file(path: &Path, problem: &str) -> Failure {
    Failure::failed(format!("\"{}\": {problem}", path.display()))
}

/// The output of the hash, in bytes: RFC 7518 section 3.2 wants no shorter a secret.
fn hash_len(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Hs384 => 48,
        Algorithm::Hs512 => 64,
        _ => 32,
    }
}

fn hmac_algorithm(algorithm: Algorithm) -> hmac::Algorithm {
    match algorithm {
        Algorithm::Hs384 => hmac::HMAC_SHA384,
        Algorithm::Hs512 => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    }
}

fn rsa_encoding(algorithm: Algorithm) -> &'static dyn RsaEncoding {
    match algorithm {
        Algorithm::Rs384 => &signature::RSA_PKCS1_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_SHA512,
        _ => &signature::RSA_PKCS1_SHA256,
    }
}

#[cfg(test)]
mod tests;

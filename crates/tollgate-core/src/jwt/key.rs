//! One verification key: built once, checked when it is built, used with the algorithms it is for.

use std::sync::Arc;

use aws_lc_rs::signature::{
    ParsedPublicKey, VerificationAlgorithm, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED,
    ECDSA_P521_SHA512_FIXED, ED25519,
};
use jsonwebtoken::crypto::aws_lc;
use jsonwebtoken::DecodingKey;

use super::algorithm::{Algorithm, AlgorithmSet};
use super::binding::Binding;
use super::key_error::{KeyError, KeyProblem};
use super::{ed25519, weak_rsa};
use crate::principal::is_valid_name;

/// The shortest HMAC secret, in bytes: the output of SHA-256 (RFC 7518 section 3.2).
const MIN_SECRET_LEN: usize = 32;

/// The sizes of RSA moduli, in bits: RFC 7518 section 3.3 demands 2048, and the library goes no
/// further than 8192, beyond which one check is a denial of service.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A key that signatures are verified with.
pub(super) struct Key {
    kid: Option<Box<str>>,
    algorithms: AlgorithmSet,
    material: Material,
    /// What a check costs, in checks with RSA 2048.
    cost: usize,
    binding: Arc<Binding>,
}

enum Material {
    /// Everything that jsonwebtoken verifies.
    Common(DecodingKey),
    /// ES512, which jsonwebtoken does not have: the same library, asked directly.
    P521(ParsedPublicKey),
}

/// Never the material: a secret must not reach a log.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

/// A curve of RFC 7518 section 6.2 or RFC 8037.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
    Ed25519,
}

impl Curve {
    fn algorithm(self) -> Algorithm {
        match self {
            Self::P256 => Algorithm::Es256,
            Self::P384 => Algorithm::Es384,
            Self::P521 => Algorithm::Es512,
            Self::Ed25519 => Algorithm::EdDsa,
        }
    }

    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED,
            Self::P384 => &ECDSA_P384_SHA384_FIXED,
            Self::P521 => &ECDSA_P521_SHA512_FIXED,
            Self::Ed25519 => &ED25519,
        }
    }

    /// What a check costs, in checks with RSA 2048, as measured with the library.
    fn cost(self) -> usize {
        match self {
            Self::Ed25519 => 2,
            Self::P256 => 4,
            Self::P384 => 12,
            Self::P521 => 20,
        }
    }

    /// The length of a coordinate, in bytes.
    pub(super) fn field_len(self) -> usize {
        match self {
            Self::P256 | Self::Ed25519 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// The length of a public key, in bytes: both coordinates behind SEC 1's mark of an uncompressed
    /// point, or the one of RFC 8032.
    fn point_len(self) -> usize {
        match self {
            Self::P256 | Self::P384 | Self::P521 => 1 + 2 * self.field_len(),
            Self::Ed25519 => self.field_len(),
        }
    }
}

impl Key {
    /// A shared secret. It serves only the hashes that it is at least as long as.
    pub(super) fn hmac(secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < MIN_SECRET_LEN {
            return Err(KeyProblem::ShortSecret.into());
        }
        let mut algorithms = AlgorithmSet::of(&[Algorithm::Hs256]);
        if secret.len() >= 48 {
            algorithms = algorithms.with(Algorithm::Hs384);
        }
        if secret.len() >= 64 {
            algorithms = algorithms.with(Algorithm::Hs512);
        }
        Ok(Self::new(algorithms, Material::Common(DecodingKey::from_secret(secret)), 1))
    }

    /// An RSA public key: modulus and exponent, big-endian. Zero bytes in front are not counted:
    /// RFC 7518 section 6.3.1.1 forbids them and knows that they happen.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let modulus = without_leading_zeros(modulus);
        let exponent = without_leading_zeros(exponent);
        if !MODULUS_BITS.contains(&bit_len(modulus)) {
            return Err(KeyProblem::ModulusSize.into());
        }
        if !is_odd(modulus) || !is_odd(exponent) || !(2..=33).contains(&bit_len(exponent)) {
            return Err(KeyProblem::BadRsaKey.into());
        }
        if weak_rsa::has_small_factor(modulus) {
            return Err(KeyProblem::BadRsaKey.into());
        }
        if weak_rsa::has_fingerprint(modulus) {
            return Err(KeyProblem::RocaKey.into());
        }
        let key = DecodingKey::from_rsa_raw_components(modulus, exponent);
        // The time goes by the square of the length.
        let cost = bit_len(modulus).pow(2).div_ceil(MODULUS_BITS.start().pow(2));
        Ok(Self::new(AlgorithmSet::RSA, Material::Common(key), cost))
    }

    /// A public key on `curve`: an uncompressed point (SEC 1 section 2.3.3), or RFC 8032's 32 bytes.
    pub(super) fn on_curve(curve: Curve, point: &[u8]) -> Result<Self, KeyError> {
        // Of SEC 1's forms, the uncompressed one alone: no other has this length but the hybrid one.
        let is_hybrid = curve != Curve::Ed25519 && point.first() != Some(&4);
        if point.len() != curve.point_len() || is_hybrid {
            return Err(KeyProblem::BadPoint.into());
        }
        // Not every encoding that a library takes is that of a key which only its owner can use.
        if curve == Curve::Ed25519 && !point.try_into().is_ok_and(ed25519::is_sound) {
            return Err(KeyProblem::BadPoint.into());
        }
        let parsed =
            ParsedPublicKey::new(curve.verification(), point).map_err(|_| KeyProblem::BadPoint)?;
        let material = match curve {
            Curve::P256 | Curve::P384 => Material::Common(DecodingKey::from_ec_der(point)),
            Curve::Ed25519 => Material::Common(DecodingKey::from_ed_der(point)),
            Curve::P521 => Material::P521(parsed),
        };
        Ok(Self::new(AlgorithmSet::of(&[curve.algorithm()]), material, curve.cost()))
    }

    fn new(algorithms: AlgorithmSet, material: Material, cost: usize) -> Self {
        Self { kid: None, algorithms, material, cost, binding: Arc::default() }
    }

    /// This key for the tokens of `binding` alone.
    pub(super) fn bound(mut self, binding: &Arc<Binding>) -> Self {
        self.binding = Arc::clone(binding);
        self
    }

    /// This key under the name `kid`, which ends up in headers and logs, and so must be fit for them.
    pub(super) fn named(mut self, kid: &str) -> Result<Self, KeyError> {
        if !is_valid_name(kid) {
            return Err(KeyProblem::BadMember("kid").into());
        }
        self.kid = Some(kid.into());
        Ok(self)
    }

    /// This key for `algorithm` alone.
    pub(super) fn pinned(mut self, algorithm: Algorithm) -> Result<Self, KeyError> {
        if !self.algorithms.contains(algorithm) {
            let short = AlgorithmSet::HMAC.contains(algorithm) && self.is_hmac();
            let problem =
                if short { KeyProblem::ShortSecret } else { KeyProblem::AlgorithmMismatch };
            return Err(problem.into());
        }
        self.algorithms = AlgorithmSet::of(&[algorithm]);
        Ok(self)
    }

    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    pub(super) fn algorithms(&self) -> AlgorithmSet {
        self.algorithms
    }

    /// What a check costs, in checks with RSA 2048.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    pub(super) fn binding(&self) -> &Binding {
        &self.binding
    }

    pub(super) fn is_hmac(&self) -> bool {
        !self.algorithms.intersection(AlgorithmSet::HMAC).is_empty()
    }

    /// Whether this key made `signature` over `message` with `algorithm`, which must be one of its own.
    pub(super) fn verifies(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &Vec<u8>,
    ) -> bool {
        if !self.algorithms.contains(algorithm) {
            return false;
        }
        match &self.material {
            Material::P521(key) => key.verify_sig(message, signature).is_ok(),
            Material::Common(key) => common(algorithm).is_some_and(|algorithm| {
                (aws_lc::DEFAULT_PROVIDER.verifier_factory)(&algorithm, key)
                    .is_ok_and(|verifier| verifier.verify(message, signature).is_ok())
            }),
        }
    }
}

/// jsonwebtoken's name for `algorithm`.
fn common(algorithm: Algorithm) -> Option<jsonwebtoken::Algorithm> {
    match algorithm {
        Algorithm::Hs256 => Some(jsonwebtoken::Algorithm::HS256),
        Algorithm::Hs384 => Some(jsonwebtoken::Algorithm::HS384),
        Algorithm::Hs512 => Some(jsonwebtoken::Algorithm::HS512),
        Algorithm::Rs256 => Some(jsonwebtoken::Algorithm::RS256),
        Algorithm::Rs384 => Some(jsonwebtoken::Algorithm::RS384),
        Algorithm::Rs512 => Some(jsonwebtoken::Algorithm::RS512),
        Algorithm::Ps256 => Some(jsonwebtoken::Algorithm::PS256),
        Algorithm::Ps384 => Some(jsonwebtoken::Algorithm::PS384),
        Algorithm::Ps512 => Some(jsonwebtoken::Algorithm::PS512),
        Algorithm::Es256 => Some(jsonwebtoken::Algorithm::ES256),
        Algorithm::Es384 => Some(jsonwebtoken::Algorithm::ES384),
        Algorithm::EdDsa => Some(jsonwebtoken::Algorithm::EdDSA),
        Algorithm::Es512 => None,
    }
}

fn without_leading_zeros(mut integer: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = integer {
        integer = rest;
    }
    integer
}

/// The length in bits of an integer without leading zeros.
fn bit_len(integer: &[u8]) -> usize {
    integer.first().map_or(0, |first| integer.len() * 8 - first.leading_zeros() as usize)
}

fn is_odd(integer: &[u8]) -> bool {
    integer.last().is_some_and(|last| last % 2 == 1)
}

#[cfg(test)]
mod tests {
    use super::super::issuer;
    use super::*;

    fn problem(result: Result<Key, KeyError>) -> KeyProblem {
        result.unwrap_err().problem()
    }

    /// Odd, of so many bits, and of no weak kind that is looked for.
    fn modulus(bits: usize) -> Vec<u8> {
        let mut modulus = vec![0xa5; bits.div_ceil(8)];
        modulus[0] = 1 << ((bits - 1) % 8);
        let last = modulus.len() - 2;
        (1..u16::MAX)
            .step_by(2)
            .map(|end| {
                modulus[last..].copy_from_slice(&end.to_be_bytes());
                modulus.clone()
            })
            .find(|modulus| !weak_rsa::has_small_factor(modulus))
            .unwrap()
    }

    #[test]
    fn secret_serves_only_hashes_that_are_no_longer_than_itself() {
        let algorithms = |len| Key::hmac(&vec![7; len]).unwrap().algorithms();
        assert_eq!(problem(Key::hmac(&[7; 31])), KeyProblem::ShortSecret);
        assert_eq!(algorithms(32), AlgorithmSet::of(&[Algorithm::Hs256]));
        assert_eq!(algorithms(47), AlgorithmSet::of(&[Algorithm::Hs256]));
        assert_eq!(algorithms(48), AlgorithmSet::of(&[Algorithm::Hs256, Algorithm::Hs384]));
        assert_eq!(algorithms(63), algorithms(48));
        assert_eq!(algorithms(64), AlgorithmSet::HMAC);
    }

    #[test]
    fn rsa_modulus_is_between_2048_and_8192_bits() {
        for bits in [2048, 2049, 3072, 4096, 8192] {
            assert!(Key::rsa(&modulus(bits), &[1, 0, 1]).is_ok(), "{bits}");
        }
        for bits in [16, 1024, 2047, 8193, 16384] {
            assert_eq!(problem(Key::rsa(&modulus(bits), &[1, 0, 1])), KeyProblem::ModulusSize);
        }
        let padded = [&[0, 0], &modulus(2040)[..]].concat();
        assert_eq!(problem(Key::rsa(&padded, &[1, 0, 1])), KeyProblem::ModulusSize);
        assert_eq!(problem(Key::rsa(&[], &[1, 0, 1])), KeyProblem::ModulusSize);
    }

    #[test]
    fn rsa_exponent_is_odd_and_of_2_to_33_bits() {
        for exponent in [&[3][..], &[1, 0, 1], &[0, 1, 0, 1], &[1, 0, 0, 0, 1]] {
            assert!(Key::rsa(&modulus(2048), exponent).is_ok(), "{exponent:?}");
        }
        for exponent in [&[][..], &[0], &[1], &[2], &[1, 0, 0], &[2, 0, 0, 0, 1]] {
            assert_eq!(problem(Key::rsa(&modulus(2048), exponent)), KeyProblem::BadRsaKey);
        }
    }

    #[test]
    fn even_rsa_modulus_is_refused() {
        let mut even = modulus(2048);
        *even.last_mut().unwrap() &= 0xfe;
        assert_eq!(problem(Key::rsa(&even, &[1, 0, 1])), KeyProblem::BadRsaKey);
    }

    #[test]
    fn rsa_modulus_with_a_small_factor_is_refused() {
        // 2^2048 - 1 is a multiple of 3.
        assert_eq!(problem(Key::rsa(&[0xff; 256], &[1, 0, 1])), KeyProblem::BadRsaKey);
    }

    #[test]
    fn key_of_one_kind_cannot_be_pinned_to_an_algorithm_of_another() {
        let rsa = || Key::rsa(&modulus(2048), &[1, 0, 1]).unwrap();
        let pinned = rsa().pinned(Algorithm::Ps384).unwrap();
        assert_eq!(pinned.algorithms(), AlgorithmSet::of(&[Algorithm::Ps384]));
        assert_eq!(problem(rsa().pinned(Algorithm::Hs256)), KeyProblem::AlgorithmMismatch);
        assert_eq!(problem(rsa().pinned(Algorithm::Es256)), KeyProblem::AlgorithmMismatch);
        let secret = || Key::hmac(&[7; 32]).unwrap();
        assert!(secret().pinned(Algorithm::Hs256).is_ok());
        assert_eq!(problem(secret().pinned(Algorithm::Hs512)), KeyProblem::ShortSecret);
        assert_eq!(problem(secret().pinned(Algorithm::Rs256)), KeyProblem::AlgorithmMismatch);
    }

    #[test]
    fn pinned_key_refuses_its_own_signature_of_another_algorithm() {
        let key = || Key::hmac(&[7; 64]).unwrap();
        let secret = jsonwebtoken::EncodingKey::from_secret(&[7; 64]);
        let signature = issuer::sign(jsonwebtoken::Algorithm::HS512, &secret, b"message");
        assert!(key().verifies(Algorithm::Hs512, b"message", &signature));
        let pinned = key().pinned(Algorithm::Hs256).unwrap();
        assert!(!pinned.verifies(Algorithm::Hs512, b"message", &signature));
    }

    #[test]
    fn point_must_lie_on_its_curve() {
        for curve in [Curve::P256, Curve::P384, Curve::P521] {
            let mut point = vec![1; 1 + 2 * curve.field_len()];
            point[0] = 4;
            assert_eq!(problem(Key::on_curve(curve, &point)), KeyProblem::BadPoint, "{curve:?}");
            // The point at infinity (SEC 1 section 2.3.3), and what would be (0, 0).
            let zero = [&[4][..], &vec![0; 2 * curve.field_len()]].concat();
            for point in [&[][..], &[0], &zero] {
                assert_eq!(problem(Key::on_curve(curve, point)), KeyProblem::BadPoint, "{curve:?}");
            }
        }
        assert_eq!(problem(Key::on_curve(Curve::Ed25519, &[1; 31])), KeyProblem::BadPoint);
    }

    #[test]
    fn point_in_another_form_is_refused() {
        let der = ::pem::parse(super::super::fixtures::P256_PUBLIC).unwrap().into_contents();
        let point = &der[der.len() - 65..];
        assert!(Key::on_curve(Curve::P256, point).is_ok());
        let odd = point[64] & 1;
        let hybrid = [&[6 | odd][..], &point[1..]].concat();
        let compressed = [&[2 | odd][..], &point[1..33]].concat();
        for form in [hybrid, compressed] {
            assert_eq!(problem(Key::on_curve(Curve::P256, &form)), KeyProblem::BadPoint);
        }
    }

    #[test]
    fn kid_must_be_fit_for_a_log() {
        let secret = || Key::hmac(&[7; 32]).unwrap();
        assert_eq!(
            secret().named("bilbo@hobbiton.example").unwrap().kid(),
            Some("bilbo@hobbiton.example")
        );
        for kid in ["", " a", "a\nb", &"a".repeat(257)] {
            assert_eq!(problem(secret().named(kid)), KeyProblem::BadMember("kid"), "{kid:?}");
        }
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let key = Key::hmac(b"thirty-two-bytes-of-secret-here!").unwrap().named("k_1").unwrap();
        let debug = format!("{key:?}");
        assert!(debug.contains("k_1") && debug.contains("algorithms"), "{debug}");
        assert!(!debug.contains("thirty") && !debug.contains("116"), "{debug}");
    }
}

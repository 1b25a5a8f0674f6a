//! Signature algorithms (RFC 7518 section 3.1, RFC 8037) and sets of them.

use std::fmt;
use std::str::FromStr;

/// A signature algorithm of RFC 7518 or RFC 8037. `none` is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// EdDSA on Ed25519, which RFC 9864 calls `Ed25519`.
    EdDsa,
}

impl Algorithm {
    /// Every algorithm, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
    ];

    /// The registered name, as in the `alg` of a header or of a JWK.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `EdDSA` could be on either curve, so RFC 9864 gave it a name for each. No other algorithm that we know
/// needed one.
const FULLY_SPECIFIED_EDDSA: &str = "Ed25519";

/// The name of no [`Algorithm`]. Names are case-sensitive (RFC 7515 section 4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownAlgorithm;

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown algorithm, expected one of")?;
        Algorithm::ALL.iter().try_for_each(|algorithm| write!(f, " {algorithm}"))
    }
}

impl std::error::Error for UnknownAlgorithm {}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        if name == FULLY_SPECIFIED_EDDSA {
            return Ok(Self::EdDsa);
        }
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name).ok_or(UnknownAlgorithm)
    }
}

/// A set of algorithms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlgorithmSet(u16);

impl AlgorithmSet {
    pub(super) const HMAC: Self = Self::of(&[Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512]);
    pub(super) const RSA: Self = Self::of(&[
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
    ]);

    /// The set of these.
    #[must_use]
    pub const fn of(algorithms: &[Algorithm]) -> Self {
        let mut bits = 0;
        let mut rest = algorithms;
        while let [algorithm, tail @ ..] = rest {
            bits |= algorithm.bit();
            rest = tail;
        }
        Self(bits)
    }

    /// The set of these names.
    ///
    /// # Errors
    ///
    /// A name that is no algorithm's.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, UnknownAlgorithm> {
        names.into_iter().try_fold(Self::default(), |set, name| Ok(set.with(name.parse()?)))
    }

    /// This set and `algorithm`.
    #[must_use]
    pub const fn with(self, algorithm: Algorithm) -> Self {
        Self(self.0 | algorithm.bit())
    }

    /// Whether `algorithm` is in this set.
    #[must_use]
    pub const fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & algorithm.bit() != 0
    }

    /// What is in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether nothing is in this set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_registered_name_is_parsed_to_itself() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
        }
        assert_eq!("Ed25519".parse(), Ok(Algorithm::EdDsa));
    }

    #[test]
    fn none_unknown_and_differently_spelt_names_are_refused() {
        for name in ["ED25519", "ed25519", "Ed448", "ESP256", "Ed25519ph"] {
            assert_eq!(name.parse::<Algorithm>(), Err(UnknownAlgorithm), "{name}");
        }
        for name in ["none", "None", "NONE", "", "rs256", "ES521", "ES256K", "HS256 ", "EDDSA"] {
            assert_eq!(name.parse::<Algorithm>(), Err(UnknownAlgorithm), "{name}");
        }
        assert_eq!(AlgorithmSet::parse(["RS256", "none"]), Err(UnknownAlgorithm));
    }

    #[test]
    fn set_contains_what_was_put_in_and_nothing_else() {
        let set = AlgorithmSet::parse(["RS256", "EdDSA"]).unwrap();
        let contained: Vec<_> = Algorithm::ALL.into_iter().filter(|a| set.contains(*a)).collect();
        assert_eq!(contained, [Algorithm::Rs256, Algorithm::EdDsa]);
        assert!(set.intersection(AlgorithmSet::HMAC).is_empty());
        assert!(!set.intersection(AlgorithmSet::RSA).is_empty());
    }

    #[test]
    fn unknown_name_is_answered_with_the_known_ones() {
        let message = UnknownAlgorithm.to_string();
        assert!(message.ends_with(
            "HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA"
        ));
    }
}

//! Why a key file, or a set of keys, is refused.

use std::fmt;

/// Why keys are refused: in which file, at which of its keys, what. Never holds key material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError {
    file: Option<Box<str>>,
    entry: Option<Box<str>>,
    problem: KeyProblem,
}

impl KeyError {
    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> KeyProblem {
        self.problem
    }

    /// Whether it concerns a key that is used nevertheless.
    #[must_use]
    pub fn is_remark(&self) -> bool {
        matches!(self.problem, KeyProblem::NullMember(_) | KeyProblem::SharedKid)
    }

    /// Whether somebody has made a mistake. Otherwise the key is just not one for us.
    #[must_use]
    pub fn is_mistake(&self) -> bool {
        self.problem != KeyProblem::OtherUse
    }

    /// Whether what was fetched is a JWK Set all the same: one without a key that can be used.
    #[must_use]
    pub fn is_of_set(&self) -> bool {
        // Of a member of a key, it would be said which key.
        let is_whole = self.entry.is_none();
        match self.problem {
            KeyProblem::NotASet | KeyProblem::TooManyFetched => false,
            KeyProblem::BadMember(_) => !is_whole,
            _ => true,
        }
    }

    /// Whether nothing is wrong with the key, but that it is none that tokens are verified with here.
    pub(super) fn is_about_another_kind(&self) -> bool {
        matches!(
            self.problem,
            KeyProblem::OtherUse | KeyProblem::UnknownKind | KeyProblem::UnknownAlgorithm
        )
    }

    pub(super) fn in_file(mut self, file: &str) -> Self {
        self.file = Some(file.into());
        self
    }

    pub(super) fn at(mut self, entry: impl fmt::Display) -> Self {
        self.entry = Some(entry.to_string().into());
        self
    }
}

impl From<KeyProblem> for KeyError {
    fn from(problem: KeyProblem) -> Self {
        Self { file: None, entry: None, problem }
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "\"{file}\": ")?;
        }
        if let Some(entry) = &self.entry {
            write!(f, "{entry}: ")?;
        }
        self.problem.fmt(f)
    }
}

impl std::error::Error for KeyError {}

/// What can be wrong with keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyProblem {
    /// An empty file.
    Empty,
    /// JSON that is neither a JWKS nor a JWK.
    NotJwks,
    /// A member of a JWK that is missing, or of the wrong type, or badly encoded.
    BadMember(&'static str),
    /// A private key, where a public one belongs.
    PrivateKey,
    /// What stands among the keys of a set, and is no JWK.
    NotAKey,
    /// A key for something else than verifying signatures.
    OtherUse,
    /// A key of a `kty` or on a `crv` that nobody knows here.
    UnknownKind,
    /// A key for an `alg` that nobody knows here.
    UnknownAlgorithm,
    /// A member that is `null`: taken for one that is not there.
    NullMember(&'static str),
    /// Two keys with one `kid` that share an algorithm: tokens that name it may be signed by either.
    SharedKid,
    /// A key that is in the set already.
    RepeatedKey,
    /// A key set none of whose keys can verify a token.
    NoUsableKey,
    /// An `alg` that cannot be used with its key.
    AlgorithmMismatch,
    /// A PEM block that is damaged.
    DamagedPem,
    /// A PEM block that is neither a public key nor a certificate.
    UnsupportedPem,
    /// A public key of a kind that no algorithm uses.
    UnsupportedKey,
    /// A public key or certificate without PEM armour: taken for a secret, it would be one that
    /// everybody knows.
    PublicAsSecret,
    /// A secret that a well-known page offers as an example.
    KnownSecret,
    /// An HMAC secret that is shorter than 32 bytes, or than the hash of its `alg`.
    ShortSecret,
    /// An RSA modulus below 2048 or above 8192 bits.
    ModulusSize,
    /// An RSA key that is none: an even modulus, or one with a small factor, an exponent that is even, 1, or above 33 bits.
    BadRsaKey,
    /// An RSA key with the ROCA weakness (CVE-2017-15361).
    RocaKey,
    /// A coordinate that is not as long as those of its curve are (RFC 7518 section 6.2.1.2).
    CoordinateLength,
    /// Coordinates of a point that is not on its curve, or of small order.
    BadPoint,
    /// More keys without a `kid` for one algorithm than are tried for a token.
    TooManyKeys,
    /// What was fetched is no JWK Set.
    NotASet,
    /// A symmetric key in a set that is fetched.
    PublishedSecret,
    /// More keys than a set that is fetched may have.
    TooManyFetched,
    /// HMAC and asymmetric keys in one set, and no pinned algorithms.
    MixedKinds,
    /// Pinned algorithms that no key can be used with.
    InertAlgorithms,
}

impl fmt::Display for KeyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::BadMember(name) => {
                return write!(f, "member \"{name}\" is missing or malformed");
            }
            Self::NullMember(name) => {
                return write!(f, "member \"{name}\" is null, and counts as absent");
            }
            Self::NotAKey => "is no JWK (a JSON object with distinct member names)",
            Self::OtherUse => {
                "is not for verifying signatures (\"use\", \"key_ops\" or \"alg\" says so)"
            }
            Self::UnknownKind => "its \"kty\" or \"crv\" is not supported",
            Self::UnknownAlgorithm => "its \"alg\" is not supported",
            Self::SharedKid => {
                "has the \"kid\" of another key and a common algorithm, tokens are tried with both"
            }
            Self::RepeatedKey => "is in the set already",
            Self::NotASet => "is no JWK Set (a JSON object with \"keys\", and distinct member names)",
            Self::PublishedSecret => {
                "holds a symmetric key (\"oct\"), which is no secret where others can fetch it"
            }
            Self::TooManyFetched => "holds more than 256 keys",
            Self::Empty => "the file is empty",
            Self::NotJwks => {
                "starts as JSON, but is neither a JWK Set nor a JWK (objects with distinct member names)"
            }
            Self::PrivateKey => "holds a private key, give the public key only",
            Self::NoUsableKey => {
                "holds no key for verifying signatures (checked \"kty\", \"crv\", \"use\", \"key_ops\", \"alg\")"
            }
            Self::AlgorithmMismatch => "\"alg\" does not fit the key",
            Self::DamagedPem => "holds a damaged PEM block",
            Self::UnsupportedPem => {
                "holds a PEM block other than PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE"
            }
            Self::UnsupportedKey => {
                "holds a public key other than RSA, P-256, P-384, P-521 or Ed25519"
            }
            Self::PublicAsSecret => {
                "is public by its nature and would be taken for a secret, convert it to PEM or JWKS"
            }
            Self::KnownSecret => {
                "the secret is an example that jwt.io shows to everybody, make one with \"tollgate jwt keygen --alg HS256\""
            }
            Self::ShortSecret => {
                "the secret is too short (at least 32 bytes, for HS384 48, for HS512 64)"
            }
            Self::ModulusSize => "the RSA modulus has not between 2048 and 8192 bits",
            Self::BadRsaKey => "the RSA modulus or exponent is not acceptable (even, with a small factor, or an exponent of 1 or above 33 bits)",
            Self::RocaKey => "the RSA key has the ROCA weakness (CVE-2017-15361), replace it",
            Self::CoordinateLength => {
                "a coordinate is not as long as those of the curve are, leading zeros included"
            }
            Self::BadPoint => "the public key is no point of its curve, or one that anybody can sign for",
            Self::TooManyKeys => {
                "more keys without \"kid\" for one algorithm than are tried for a token (16 of RSA 2048, 8 of RSA 4096 or P-256, 2 of RSA 8192, P-384 or P-521), give them a \"kid\" in a JWK Set"
            }
            Self::MixedKinds => {
                "HMAC secrets and public keys in one set, name the algorithms to accept"
            }
            Self::InertAlgorithms => "no key can be used with the named algorithms",
        };
        f.write_str(text)
    }
}

//! The result of authentication.

use std::num::NonZeroU32;

use crate::surrogate::MARK;

/// How a principal authenticated. The names are part of the audit log's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthMethod {
    /// An API key from a keys file.
    ApiKey,
    /// A JSON Web Token (RFC 7519).
    Jwt,
    /// A token that its provider was asked about (RFC 7662).
    Introspection,
}

impl AuthMethod {
    /// The name in the configuration, in the audit log and in `$tollgate_auth`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::Jwt => "jwt",
            Self::Introspection => "introspection",
        }
    }
}

/// Who is asking, and with what permissions. Only authentication makes one: the fields are set
/// inside this crate, after a credential was found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    pub(crate) auth: AuthMethod,
    pub(crate) client: Box<str>,
    pub(crate) key_id: Option<Box<str>>,
    pub(crate) tier: Option<Box<str>>,
    pub(crate) tenant: Option<Box<str>>,
    pub(crate) scopes: Option<Box<[Box<str>]>>,
    pub(crate) models: Option<Box<[Box<str>]>>,
    pub(crate) rate_limit: Option<NonZeroU32>,
}

impl Principal {
    /// How it authenticated.
    #[must_use]
    pub fn auth(&self) -> AuthMethod {
        self.auth
    }

    /// The stable id of the client: the unit of limits and accounting. Neither empty nor longer
    /// than [`MAX_NAME_LEN`] bytes, and free of control characters.
    #[must_use]
    pub fn client(&self) -> &str {
        &self.client
    }

    /// The `id` of the API key, or the `kid` of the key that verified the JWT.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The tier that the credential names.
    #[must_use]
    pub fn tier(&self) -> Option<&str> {
        self.tier.as_deref()
    }

    /// The tenant that the JWT names.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// The scopes that the credential is restricted to; `None`: not restricted.
    #[must_use]
    pub fn scopes(&self) -> Option<&[Box<str>]> {
        self.scopes.as_deref()
    }

    /// The model patterns that the credential is restricted to; `None`: not restricted.
    #[must_use]
    pub fn models(&self) -> Option<&[Box<str>]> {
        self.models.as_deref()
    }

    /// Requests a minute that the JWT grants, in place of the tier's per-minute limit.
    #[must_use]
    pub fn rate_limit(&self) -> Option<NonZeroU32> {
        self.rate_limit
    }
}

/// The longest client, tier or tenant name that is accepted, in bytes.
pub const MAX_NAME_LEN: usize = 256;

/// Whether `name` can stand in a request header and in a log: not empty, at most
/// [`MAX_NAME_LEN`] bytes, no control characters, no half of a surrogate pair, no space at either end.
#[must_use]
pub fn is_valid_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME_LEN
        && name.trim() == name
        && !name.contains(|c: char| c.is_control() || c == MARK)
}

//! The result of authentication.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::sync::OnceLock;

use crate::about::About;
use crate::cache_salt::Salting;
use crate::clients::{Known, Who};
use crate::clock::UnixMillis;
use crate::limits::{Key, Zone};
use crate::permissions::scopes::{granted, Said, Scopes};
use crate::surrogate::MARK;
use crate::whereabouts::{KeyHash, Whereabouts};

/// How a principal authenticated. The names are part of the audit log's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthMethod {
    /// An API key from a keys file.
    ApiKey,
    /// A JSON Web Token (RFC 7519).
    Jwt,
    /// A client certificate (RFC 5280).
    ClientCert,
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
            Self::ClientCert => "client_cert",
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
    pub(crate) about: Option<Box<About>>,
    pub(crate) scopes: Option<Box<[Box<str>]>>,
    pub(crate) said: Said,
    pub(crate) models: Option<Box<[Box<str>]>>,
    pub(crate) rate_limit: Option<NonZeroU32>,
    pub(crate) bound_to: Option<Box<[u8; 32]>>,
    pub(crate) expires: Option<UnixMillis>,
    pub(crate) computed: Computed,
}

/// What is computed of the others once, for all requests of a principal. It says nothing of its own: a copy
/// begins without it, and all are equal.
#[derive(Debug, Default)]
pub(crate) struct Computed {
    /// The key of the client, with the seed of its zone.
    limit_key: OnceLock<((u64, u64), Key)>,
    /// What its networks are counted by, with the seed of their table.
    network_key: OnceLock<((u64, u64), KeyHash)>,
    /// What the audit log says of it, with the tier.
    audit: OnceLock<AuditIdentity>,
    /// Its cache salt, with the fingerprint of what it was made by.
    salt: OnceLock<([u8; 32], Box<str>)>,
    /// Where its client is in the directory of clients.
    known: OnceLock<Known>,
}

#[derive(Debug)]
struct AuditIdentity {
    tier: Option<Box<str>>,
    fields: Box<str>,
    written: Box<[u8]>,
}

impl Clone for Computed {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Computed {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Computed {}

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

    /// The tenant that the credential names: who is behind several clients.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// What its API key says of itself.
    #[must_use]
    pub fn about(&self) -> Option<&About> {
        self.about.as_deref()
    }

    /// The scopes that the credential names, those of other APIs included; `None`: none.
    #[must_use]
    pub fn scopes(&self) -> Option<&[Box<str>]> {
        self.scopes.as_deref()
    }

    /// What the credential may be used for, in a tier that says `tier`.
    #[must_use]
    #[inline]
    pub fn granted(&self, tier: Option<Scopes>) -> Scopes {
        granted(tier, self.said)
    }

    /// The model patterns that the credential is restricted to; `None`: not restricted.
    #[must_use]
    pub fn models(&self) -> Option<&[Box<str>]> {
        self.models.as_deref()
    }

    /// The key of its client in the zone.
    #[must_use]
    pub fn limit_key(&self, zone: &Zone<'_>) -> Key {
        let new = || (zone.seed(), zone.client_key(&self.client));
        match self.computed.limit_key.get_or_init(new) {
            (seed, key) if *seed == zone.seed() => *key,
            // Another zone has come into use.
            _ => zone.client_key(&self.client),
        }
    }

    /// What the networks are counted by that it comes from: its key, or where it has a token, its client. The
    /// `kid` of a token is the key of who issued it.
    #[must_use]
    pub fn network_key(&self, table: &Whereabouts<'_>) -> KeyHash {
        let new = || (table.seed(), table.key(&self.client, self.own_key()));
        match self.computed.network_key.get_or_init(new) {
            (seed, key) if *seed == table.seed() => *key,
            // Another table has come into use.
            _ => table.key(&self.client, self.own_key()),
        }
    }

    /// The id of its key, if that is nobody else's.
    #[must_use]
    pub fn own_key(&self) -> Option<&str> {
        match self.auth {
            AuthMethod::ApiKey | AuthMethod::ClientCert => self.key_id(),
            AuthMethod::Jwt | AuthMethod::Introspection => None,
        }
    }

    /// What `write` makes of it and its tier, with the `fields` that the log has of it (see
    /// [`audit::identity`](crate::audit::identity())), written once; `None` in another tier than the first, or with
    /// other fields.
    pub fn audit_identity(
        &self,
        tier: Option<&str>,
        fields: &str,
        write: impl FnOnce() -> Box<[u8]>,
    ) -> Option<&[u8]> {
        let new =
            || AuditIdentity { tier: tier.map(Box::from), fields: fields.into(), written: write() };
        let identity = self.computed.audit.get_or_init(new);
        let is_same = identity.tier.as_deref() == tier && *identity.fields == *fields;
        is_same.then_some(&*identity.written)
    }

    /// The salt of its prefixes in an engine's cache.
    #[must_use]
    pub fn cache_salt(&self, salting: &Salting) -> Cow<'_, str> {
        let make = || salting.salt(self.tenant(), self.client());
        let new = || (*salting.fingerprint(), make().into_boxed_str());
        match self.computed.salt.get_or_init(new) {
            (fingerprint, salt) if fingerprint == salting.fingerprint() => Cow::Borrowed(salt),
            // Another location makes others.
            _ => Cow::Owned(make()),
        }
    }

    /// Who its client is, for the directory of clients.
    #[must_use]
    pub fn who(&self) -> Who<'_> {
        Who { client: &self.client, tenant: self.tenant(), rate_limit: self.rate_limit }
    }

    /// Its client in the directory with this seed; `None`: another directory has come into use.
    #[inline]
    #[must_use]
    pub fn known(&self, seed: (u64, u64)) -> Option<&Known> {
        let known = self.computed.known.get_or_init(|| Known::new(seed, self.who()));
        known.is_of(seed).then_some(known)
    }

    /// From when on its credential is good no more; `None`: it is good for ever, or that isn't known.
    #[must_use]
    pub fn expires(&self) -> Option<UnixMillis> {
        self.expires
    }

    /// The SHA-256 of the one certificate with which the token is good (RFC 8705 section 3). Whoever lets a
    /// request in has to compare it; `None`: it is good for whoever has it.
    #[must_use]
    pub fn bound_to(&self) -> Option<&[u8; 32]> {
        self.bound_to.as_deref()
    }

    /// Requests a minute that the JWT grants, in place of the tier's per-minute limit.
    #[must_use]
    pub fn rate_limit(&self) -> Option<NonZeroU32> {
        self.rate_limit
    }
}

/// The longest client, tier or tenant name that is accepted, in bytes.
pub const MAX_NAME_LEN: usize = 256;

// What is longer has no room in the directory of clients.
const _: () = assert!(MAX_NAME_LEN == crate::clients::MAX_NAME_LEN);

/// Whether `name` can stand in a request header and in a log: not empty, at most
/// [`MAX_NAME_LEN`] bytes, no control characters, no half of a surrogate pair, no space at either end.
#[must_use]
pub fn is_valid_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME_LEN
        && name.trim() == name
        && !name.contains(|c: char| c.is_control() || c == MARK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache_salt::By;
    use std::sync::atomic::AtomicU64;

    fn memory() -> Vec<AtomicU64> {
        (0..1 << 14).map(|_| AtomicU64::new(0)).collect()
    }

    fn acme() -> Principal {
        Principal {
            auth: AuthMethod::ApiKey,
            client: "acme".into(),
            key_id: Some("k_1".into()),
            tier: None,
            tenant: None,
            about: None,
            scopes: None,
            said: Said::Nothing,
            models: None,
            rate_limit: None,
            bound_to: None,
            expires: None,
            computed: Computed::default(),
        }
    }

    #[test]
    fn limit_key_is_that_of_the_zone_it_is_asked_for() {
        let (words, others) = (memory(), memory());
        let zone = Zone::format(&words, (1, 2)).unwrap();
        let other = Zone::format(&others, (3, 4)).unwrap();
        let principal = acme();
        for zone in [&zone, &other, &zone] {
            assert_eq!(principal.limit_key(zone), zone.client_key("acme"));
        }
        let copy = Principal { client: "other".into(), ..principal.clone() };
        assert_eq!(copy.limit_key(&zone), zone.client_key("other"));
    }

    #[test]
    fn networks_are_counted_by_key_and_by_client_where_it_has_a_token() {
        let (words, others) = (memory(), memory());
        let table = Whereabouts::format(&words, (1, 2)).unwrap();
        let other = Whereabouts::format(&others, (3, 4)).unwrap();
        let principal = acme();
        for table in [&table, &other, &table] {
            assert_eq!(principal.network_key(table), table.key("acme", Some("k_1")));
        }
        for auth in [AuthMethod::Jwt, AuthMethod::Introspection] {
            let of_token = Principal { auth, ..acme() };
            assert_eq!(of_token.network_key(&table), table.key("acme", None));
        }
        let of_cert = Principal { auth: AuthMethod::ClientCert, ..acme() };
        assert_eq!(of_cert.network_key(&table), table.key("acme", Some("k_1")));
    }

    #[test]
    fn audit_identity_is_that_of_the_tier() {
        let principal = acme();
        let write = || Box::from(*b"first");
        let pro = principal.audit_identity(Some("pro"), "name", write);
        assert_eq!(pro, Some(&b"first"[..]));
        assert_eq!(principal.audit_identity(Some("free"), "name", write), None);
        assert_eq!(principal.audit_identity(None, "name", write), None);
        assert_eq!(principal.audit_identity(Some("pro"), "", write), None);
        assert_eq!(principal.audit_identity(Some("pro"), "name", || unreachable!()), pro);
        assert_eq!(principal, acme());
    }

    #[test]
    fn cache_salt_is_that_of_the_key_it_is_asked_for() {
        let (one, other) = ([1; 32], [2; 32]);
        let of = |key: &[u8]| Salting::new(key, By::Tenant);
        let principal = acme();
        let salt = principal.cache_salt(&of(&one)).into_owned();
        assert_eq!(principal.cache_salt(&of(&one)), salt);
        assert_ne!(principal.cache_salt(&of(&other)), salt);
        assert_eq!(acme().cache_salt(&of(&other)), principal.cache_salt(&of(&other)));
    }
}

//! One key, ready to be judged.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::cert::CertName;
use crate::clock::{UnixMillis, WallClock};
use crate::cluster::revocations::KeyHash;
use crate::decision::Reason;
use crate::detail::Cause;
use crate::permissions::networks::{Networks, Outside};
use crate::permissions::scopes::Said;
use crate::principal::{is_valid_name, AuthMethod, Computed, Principal};

/// A key of a set: whose it is, and when and from where it is in force.
#[derive(Debug)]
pub struct ApiKey {
    pub(super) principal: Arc<Principal>,
    pub(super) disabled: bool,
    /// The file says something of it that can't be right.
    pub(super) refused: bool,
    pub(super) not_before: UnixMillis,
    pub(super) expires: UnixMillis,
    pub(super) networks: Networks,
    /// Its SHA-256; `None`: the entry has none, but a certificate.
    pub(super) hash: Option<KeyHash>,
}

impl ApiKey {
    /// What is as good as an entry for whoever has a certificate with this name, and is in no keys file: a
    /// client of the name, with `prefix` before it. `None`: that would be no name of a client.
    #[must_use]
    pub fn unlisted(prefix: &str, name: &CertName) -> Option<Self> {
        let client = format!("{prefix}{}", name.as_str());
        if !is_valid_name(&client) {
            return None;
        }
        let principal = Principal {
            auth: AuthMethod::ClientCert,
            client: client.into(),
            key_id: None,
            tier: None,
            tenant: None,
            scopes: None,
            said: Said::Nothing,
            models: None,
            rate_limit: None,
            bound_to: None,
            expires: None,
            about: None,
            computed: Computed::default(),
        };
        Some(Self {
            principal: Arc::new(principal),
            disabled: false,
            refused: false,
            not_before: UnixMillis(i64::MIN),
            expires: UnixMillis(i64::MAX),
            networks: Networks::default(),
            hash: None,
        })
    }

    /// The client whose key it is, whether it is in force or not. Empty where the entry is wrong, and doesn't
    /// tell.
    #[must_use]
    pub fn client(&self) -> &str {
        self.principal.client()
    }

    /// Its SHA-256, by which the nodes of a cluster tell each other that it is revoked. `None`: its entry has none.
    #[must_use]
    pub fn hash(&self) -> Option<&KeyHash> {
        self.hash.as_ref()
    }

    /// That it is refused, whatever its entry says: it is revoked in all nodes of the cluster.
    #[must_use]
    pub fn revoked(&self) -> Refusal {
        let is_sure = !self.refused && !self.principal.client().is_empty();
        Refusal {
            reason: Reason::RevokedCredential,
            cause: None,
            owner: is_sure.then(|| KeyOwner(Arc::clone(&self.principal))),
        }
    }

    /// Whose key it is, if it is in force at this moment and from this address (`None`: the client has
    /// none, as on a Unix socket; a key that is restricted to networks is then refused).
    ///
    /// # Errors
    ///
    /// The first of these that holds: the key is disabled (`RevokedCredential`), something is wrong with
    /// its entry or another one has it, too (`InvalidCredential`); it is before its
    /// `not_before` (`NotYetValid`), at or after its `expires` (`ExpiredCredential`), or the address
    /// is in none of its `cidrs`, or in its `deny_cidrs` (`AddressDenied`).
    pub fn judge(
        &self,
        now: impl Into<WallClock>,
        address: Option<IpAddr>,
    ) -> Result<&Arc<Principal>, Refusal> {
        let Some((reason, cause)) = self.refusal(now.into(), address) else {
            return Ok(&self.principal);
        };
        // Of an entry that is wrong, it isn't sure whose key it is.
        let is_sure = reason != Reason::InvalidCredential && !self.principal.client().is_empty();
        Err(Refusal {
            reason,
            cause,
            owner: is_sure.then(|| KeyOwner(Arc::clone(&self.principal))),
        })
    }

    fn refusal(&self, now: WallClock, address: Option<IpAddr>) -> Option<(Reason, Option<Cause>)> {
        if self.disabled {
            return Some((Reason::RevokedCredential, None));
        }
        let cause = if self.refused {
            Cause::EntryRefused
        } else if !now.has_reached(self.not_before) {
            Cause::KeyNotYetValid
        } else if now.has_reached(self.expires) {
            Cause::KeyExpired
        } else {
            self.networks.judge(address).map_err(Outside::of_key).err()?
        };
        Some((cause.reason(), Some(cause)))
    }
}

/// Why a key was refused, and whose it is where it was recognised.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// `InvalidCredential`, `RevokedCredential`, `NotYetValid`, `ExpiredCredential` or
    /// `AddressDenied`.
    pub reason: Reason,
    /// Which of the causes of that reason it was, where there are several.
    pub cause: Option<Cause>,
    /// Whose key it is: for the audit log only.
    pub owner: Option<KeyOwner>,
}

/// Whose key was recognised but refused. It names the client and grants nothing: there is no way
/// from here to the [`Principal`].
#[derive(Clone)]
pub struct KeyOwner(Arc<Principal>);

impl KeyOwner {
    /// The client of the refused key.
    #[must_use]
    pub fn client(&self) -> &str {
        self.0.client()
    }

    /// The `id` of the refused key.
    #[must_use]
    pub fn key_id(&self) -> &str {
        self.0.key_id().unwrap_or_default()
    }

    /// The tenant of the refused key.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.0.tenant()
    }
}

impl fmt::Debug for KeyOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyOwner")
            .field("client", &self.client())
            .field("key_id", &self.key_id())
            .finish()
    }
}

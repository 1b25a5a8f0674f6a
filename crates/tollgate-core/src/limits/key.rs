//! Whose limits.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

/// The two parts of the zone. A stranger can mint keys of the second one (IPv6 addresses, say), so
/// that a flood of them can't push out the clients in the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Area {
    /// Authenticated clients.
    Clients,
    /// The keys of `tollgate_limit` rules.
    Keys,
}

/// What a key stands for. Part of the hash, so that equal names in two domains have two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Domain {
    /// An authenticated client.
    Client,
    /// A client, in one `model` block of a tier.
    Model,
    /// A key of a `tollgate_limit`.
    Limit,
    /// A key of a `tollgate_limit`, for its `auth_failures`.
    AuthFailures,
    /// A tier and a model, in the table of learned outputs.
    Learned,
}

impl Domain {
    fn byte(self) -> u8 {
        match self {
            Self::Client => 0,
            Self::Model => 1,
            Self::Limit => 2,
            Self::AuthFailures => 3,
            Self::Learned => 4,
        }
    }

    fn area(self) -> Area {
        match self {
            Self::Client | Self::Model | Self::Learned => Area::Clients,
            Self::Limit | Self::AuthFailures => Area::Keys,
        }
    }
}

/// Whose limits: a 128-bit keyed hash. Names and addresses themselves are never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    area: Area,
    pub(super) low: u64,
    pub(super) high: u64,
}

impl Key {
    pub(super) fn new(seed: (u64, u64), domain: Domain, parts: [&[u8]; 2]) -> Self {
        let mut hasher = SipHasher13::new_with_keys(seed.0, seed.1);
        hasher.write_u8(domain.byte());
        for part in parts {
            // The length keeps ("ab", "c") and ("a", "bc") apart.
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        let hash = hasher.finish128();
        Self::from_hash(domain.area(), hash.h1, hash.h2)
    }

    /// The key with this hash.
    pub(super) fn from_hash(area: Area, low: u64, high: u64) -> Self {
        // Zero marks a free way.
        Self { area, low: low.max(1), high }
    }

    /// The area that the key belongs to.
    #[must_use]
    pub fn area(self) -> Area {
        self.area
    }

    /// 64 bits of the hash: who waits, in the [queue](super::queue).
    #[must_use]
    pub fn short(self) -> u64 {
        self.low
    }
}

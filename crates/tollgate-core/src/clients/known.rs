//! What a worker remembers of a client, to find it again.

use std::hash::Hasher as _;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use siphasher::sip128::{Hasher128 as _, SipHasher13};

/// Bits of the length of a name, up to 256 bytes.
const LEN_BITS: u32 = 9;
const LEN_MASK: u64 = (1 << LEN_BITS) - 1;
/// Bits of the hash of a tenant, which tells that it is another one.
const TENANT_BITS: u32 = 64 - 32 - 2 * LEN_BITS;

/// Who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who<'a> {
    /// The client.
    pub client: &'a str,
    /// Its tenant, if its credential names one.
    pub tenant: Option<&'a str>,
    /// Requests a minute that its token grants, in place of the tier's.
    pub rate_limit: Option<NonZeroU32>,
}

/// A client's name as a keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hash {
    /// Never 0, which marks an entry of nobody.
    pub(super) low: u64,
    pub(super) high: u64,
}

impl Hash {
    pub(super) fn of(seed: (u64, u64), client: &str) -> Self {
        let hash = SipHasher13::new_with_keys(seed.0, seed.1).hash(client.as_bytes());
        Self { low: hash.h1.max(1), high: hash.h2 }
    }
}

/// What stands beside the name, in one word: `rate_limit`, a part of the tenant's hash, and both lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meta(pub(super) u64);

impl Meta {
    fn of(who: Who<'_>) -> Self {
        let len = |name: &str| (name.len() as u64).min(LEN_MASK);
        let tenant = who.tenant.unwrap_or_default();
        let hash = SipHasher13::new().hash(tenant.as_bytes()).h1 >> (64 - TENANT_BITS);
        let rate = who.rate_limit.map_or(0, NonZeroU32::get);
        Self(
            u64::from(rate) << 32
                | hash << (2 * LEN_BITS)
                | len(who.client) << LEN_BITS
                | len(tenant),
        )
    }

    pub(super) fn client_len(self) -> usize {
        usize::try_from(self.0 >> LEN_BITS & LEN_MASK).unwrap_or(0)
    }

    pub(super) fn tenant_len(self) -> usize {
        usize::try_from(self.0 & LEN_MASK).unwrap_or(0)
    }

    pub(super) fn rate_limit(self) -> Option<NonZeroU32> {
        u32::try_from(self.0 >> 32).ok().and_then(NonZeroU32::new)
    }

    /// Whether names and tenant are the same, as far as that shows.
    pub(super) fn has_same_names(self, other: Self) -> bool {
        self.0 & u64::from(u32::MAX) == other.0 & u64::from(u32::MAX)
    }
}

/// What a worker remembers of a client: its hash, and where it was found last.
#[derive(Debug)]
pub struct Known {
    pub(super) seed: (u64, u64),
    pub(super) hash: Hash,
    pub(super) meta: Meta,
    pub(super) place: AtomicU32,
}

impl Known {
    /// Of a directory with this [seed](super::Directory::seed).
    #[must_use]
    pub fn new(seed: (u64, u64), who: Who<'_>) -> Self {
        let (hash, meta) = (Hash::of(seed, who.client), Meta::of(who));
        Self { seed, hash, meta, place: AtomicU32::new(u32::MAX) }
    }

    /// Whether it is of a directory with this seed.
    #[inline]
    #[must_use]
    pub fn is_of(&self, seed: (u64, u64)) -> bool {
        self.seed == seed
    }

    pub(super) fn put(&self, place: u32) {
        self.place.store(place, Ordering::Relaxed);
    }
}

/// What a directory notes a tier as: the configuration that it is looked up in knows its name.
#[must_use]
pub fn tier_mark(tier: &str) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(tier.as_bytes());
    // 0 is no tier.
    hasher.finish128().h1.max(1)
}

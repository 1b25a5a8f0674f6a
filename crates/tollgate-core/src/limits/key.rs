//! Whose buckets.

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

/// Whose buckets: a 128-bit keyed hash. Names and addresses themselves are never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    area: Area,
    pub(super) low: u64,
    pub(super) high: u64,
}

impl Key {
    pub(super) fn new(seed: (u64, u64), area: Area, parts: [&[u8]; 2]) -> Self {
        let mut hasher = SipHasher13::new_with_keys(seed.0, seed.1);
        for part in parts {
            // The length keeps ("ab", "c") and ("a", "bc") apart.
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        let hash = hasher.finish128();
        // Zero marks a free way.
        Self { area, low: hash.h1.max(1), high: hash.h2 }
    }

    /// The area that the key belongs to.
    #[must_use]
    pub fn area(self) -> Area {
        self.area
    }
}

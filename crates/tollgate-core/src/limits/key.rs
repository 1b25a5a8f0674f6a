//! Whose limits.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::sync::MODEL;

/// The parts of the zone. Each has slots of its own, and an idle slot is given to a key of its own part
/// only. So what a stranger mints (addresses, values of headers) never takes a slot from what he can't.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Area {
    /// Authenticated clients, and keys of `tollgate_limit` rules that authentication names.
    Clients,
    /// What the configuration itself names: rules with a constant key, and for each rule all those for
    /// whom there is no room elsewhere. Where there are more of these than it has room for, they are
    /// among the clients.
    Rules,
    /// Keys of rules that a stranger can mint.
    Keys,
    /// The networks of addresses for which [`Area::Keys`] has no room.
    KeyNetworks,
    /// Keys for wrong credentials.
    Failures,
    /// The networks of addresses for which [`Area::Failures`] has no room.
    FailureNetworks,
}

impl Area {
    /// Every area, in the order in which they lie in the zone.
    pub const ALL: [Self; 6] = [
        Self::Clients,
        Self::Rules,
        Self::Keys,
        Self::KeyNetworks,
        Self::Failures,
        Self::FailureNetworks,
    ];

    /// Its name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Rules => "rules",
            Self::Keys => "keys",
            Self::KeyNetworks => "key_networks",
            Self::Failures => "failures",
            Self::FailureNetworks => "failure_networks",
        }
    }

    /// How many sets each area gets of so many; `None`: there are too few for all. One each, and of the
    /// others half for clients.
    pub(super) fn shares(sets: usize) -> Option<[usize; Self::ALL.len()]> {
        if MODEL {
            // Clients are all that it has.
            return (sets > 0).then_some([sets, 0, 0, 0, 0, 0]);
        }
        let spare = sets.checked_sub(Self::ALL.len())?;
        let [clients, rules, networks, failures, failing] =
            [16, 1, 2, 4, 1].map(|parts| spare * parts / 32);
        let keys = spare - clients - rules - networks - failures - failing;
        Some([clients, rules, keys, networks, failures, failing].map(|more| more + 1))
    }
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
    /// A model, in a table of what was learned.
    Learned,
    /// A network whose addresses share a part of an area.
    Territory,
    /// A client in the place of its address, in a `tollgate_limit`.
    ClientOfLimit,
    /// All for whom a `tollgate_limit` has no room.
    RestOfLimit,
    /// All for whom its `auth_failures` have no room.
    RestOfAuthFailures,
    /// The network of an address: that of its own, and the wider one.
    Network,
    WideNetwork,
}

impl Domain {
    fn byte(self) -> u8 {
        match self {
            Self::Client => 0,
            Self::Model => 1,
            Self::Limit => 2,
            Self::AuthFailures => 3,
            Self::Learned => 4,
            Self::Territory => 5,
            Self::ClientOfLimit => 6,
            Self::RestOfLimit => 7,
            Self::RestOfAuthFailures => 8,
            Self::Network => 9,
            Self::WideNetwork => 10,
        }
    }
}

/// Whose limits: a 128-bit keyed hash. Names and addresses themselves are never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    area: Area,
    pub(super) low: u64,
    /// Its halves say in which two sets the key may be: each is a place in its area, as a fraction.
    pub(super) high: u64,
}

/// The part of an area in which the keys of a network may be, so that whoever has a whole network
/// doesn't have the whole area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Territory {
    /// Where it begins, as a fraction of the area in 2^-32.
    start: u32,
    /// How large it is, as such a fraction.
    share: u32,
}

impl Territory {
    /// All of an area.
    pub(super) const ALL: Self = Self { start: 0, share: u32::MAX };

    /// A part of this one, of the size `share`, where the hash of `parts` says.
    pub(super) fn part(self, seed: (u64, u64), parts: [&[u8]; 2], share: u32) -> Self {
        let share = share.min(self.share);
        let hash = half(hash(seed, Domain::Territory, parts).1);
        // The area is a circle, so that all of it is used as much.
        let offset = if self == Self::ALL { hash } else { scale(hash, self.share - share) };
        Self { start: self.start.wrapping_add(offset), share }
    }

    fn place(self, half: u32) -> u32 {
        self.start.wrapping_add(scale(half, self.share))
    }
}

/// `of`, multiplied by a fraction.
fn scale(fraction: u32, of: u32) -> u32 {
    u32::try_from((u64::from(fraction) * u64::from(of)) >> 32).unwrap_or(u32::MAX)
}

fn half(word: u64) -> u32 {
    u32::try_from(word & u64::from(u32::MAX)).unwrap_or(0)
}

/// Bytes of what is hashed in one piece: nearly all names are short, and one piece costs less than five.
const PIECE: usize = 96;
const LEN: usize = size_of::<usize>();

fn hash(seed: (u64, u64), domain: Domain, [first, second]: [&[u8]; 2]) -> (u64, u64) {
    let hasher = SipHasher13::new_with_keys(seed.0, seed.1);
    let mut piece = [0; PIECE];
    let hash = match lay_out(&mut piece, domain, first, second) {
        Some(text) => hasher.hash(text),
        None => {
            let mut hasher = hasher;
            hasher.write_u8(domain.byte());
            for part in [first, second] {
                hasher.write(&part.len().to_le_bytes());
                hasher.write(part);
            }
            hasher.finish128()
        }
    };
    (hash.h1, hash.h2)
}

/// The domain, and each part behind its length, which keeps ("ab", "c") and ("a", "bc") apart. `None`:
/// that is too long.
fn lay_out<'p>(
    piece: &'p mut [u8; PIECE],
    domain: Domain,
    first: &[u8],
    second: &[u8],
) -> Option<&'p [u8]> {
    let len = (1 + 2 * LEN).checked_add(first.len())?.checked_add(second.len())?;
    let (head, rest) = piece.get_mut(..len)?.split_first_chunk_mut::<{ 1 + LEN }>()?;
    let (name, rest) = rest.split_at_mut_checked(first.len())?;
    let (second_len, value) = rest.split_first_chunk_mut::<LEN>()?;
    let (byte, first_len) = head.split_first_mut()?;
    *byte = domain.byte();
    first_len.copy_from_slice(&first.len().to_le_bytes());
    name.copy_from_slice(first);
    *second_len = second.len().to_le_bytes();
    value.copy_from_slice(second);
    piece.get(..len)
}

/// What keys are made with: the same names have other keys in another zone, and others in the store of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub(super) (u64, u64));

impl Seed {
    /// That of these random bits.
    #[must_use]
    pub fn new(bits: (u64, u64)) -> Self {
        Self(bits)
    }

    /// Those bits.
    #[must_use]
    pub fn bits(self) -> (u64, u64) {
        self.0
    }

    /// The key of an authenticated client.
    #[must_use]
    pub fn client_key(self, client: &str) -> Key {
        Key::new(self.0, Area::Clients, Domain::Client, [client.as_bytes(), b""])
    }

    /// The key of an authenticated client in the `model` block of a tier called `block`.
    #[must_use]
    pub fn model_key(self, client: &str, block: &str) -> Key {
        Key::new(self.0, Area::Clients, Domain::Model, [client.as_bytes(), block.as_bytes()])
    }
}

impl Key {
    pub(super) fn new(seed: (u64, u64), area: Area, domain: Domain, parts: [&[u8]; 2]) -> Self {
        let (low, high) = hash(seed, domain, parts);
        Self::from_hash(area, low, high)
    }

    /// A key that lies within `territory`.
    pub(super) fn within(
        seed: (u64, u64),
        area: Area,
        domain: Domain,
        parts: [&[u8]; 2],
        territory: Territory,
    ) -> Self {
        let (low, high) = hash(seed, domain, parts);
        if territory == Territory::ALL {
            return Self::from_hash(area, low, high);
        }
        let [first, second] = [high, high >> 32].map(|half_of| territory.place(half(half_of)));
        Self::from_hash(area, low, u64::from(second) << 32 | u64::from(first))
    }

    /// The key with this hash.
    pub(crate) fn from_hash(area: Area, low: u64, high: u64) -> Self {
        // Zero marks a free way.
        Self { area, low: low.max(1), high }
    }

    /// The area that the key belongs to.
    #[must_use]
    pub fn area(self) -> Area {
        self.area
    }

    /// The hash.
    pub(crate) fn hash(self) -> (u64, u64) {
        (self.low, self.high)
    }

    /// 64 bits of the hash: who waits, in the [queue](super::queue).
    #[must_use]
    pub fn short(self) -> u64 {
        self.low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys stay what they are: other workers, and files of the state, have them.
    #[test]
    fn what_is_hashed_in_one_piece_is_hashed_as_in_several() {
        let name = [b'n'; 2 * PIECE];
        for first in 0..=PIECE + 1 {
            for second in [0, 1, 7, 8, 20, 60, PIECE] {
                let (first, second) = (&name[..first], &name[..second]);
                let mut hasher = SipHasher13::new_with_keys(5, 6);
                hasher.write_u8(Domain::Learned.byte());
                for part in [first, second] {
                    hasher.write_usize(part.len());
                    hasher.write(part);
                }
                let expected = hasher.finish128();
                let found = hash((5, 6), Domain::Learned, [first, second]);
                assert_eq!(found, (expected.h1, expected.h2));
            }
        }
    }

    #[test]
    fn every_set_belongs_to_an_area_and_every_area_has_one() {
        assert_eq!(Area::shares(5), None);
        assert_eq!(Area::shares(6), Some([1; 6]));
        for sets in 6..5_000 {
            let shares = Area::shares(sets).unwrap();
            assert_eq!(shares.iter().sum::<usize>(), sets);
            assert!(shares.iter().all(|share| *share > 0));
            assert!(shares[0] * 2 + 6 >= sets, "{shares:?}");
        }
    }

    #[test]
    fn keys_of_a_territory_lie_in_its_part_of_the_area() {
        let seed = (1, 2);
        for n in 0u32..50 {
            let network = n.to_be_bytes();
            let outer = Territory::ALL.part(seed, [b"rule", &network], u32::MAX / 4);
            let inner = outer.part(seed, [b"rule", b"48"], u32::MAX / 16);
            for host in 0u32..200 {
                let parts: [&[u8]; 2] = [b"rule", &host.to_be_bytes()];
                let key = Key::within(seed, Area::Keys, Domain::Limit, parts, inner);
                for place in [half(key.high), half(key.high >> 32)] {
                    assert!(place.wrapping_sub(outer.start) <= outer.share);
                    assert!(place.wrapping_sub(inner.start) <= inner.share);
                }
            }
        }
    }
}

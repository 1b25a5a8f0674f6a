//! A set of keys as one block of bytes, which workers share: made once, mapped by each, and read in
//! place. A key costs 56 bytes, 16 to 32 in the table by which it is found, and its text.
//!
//! | part    | size       | what                                                                      |
//! |---------|------------|---------------------------------------------------------------------------|
//! | header  | 64         | [`Header`]                                                                |
//! | entries | 56, text   | digest, times, tier, flags; names: each its length in two bytes, and itself |
//! | table   | 8 x places | a part of a digest, and where its entry is; 0: free                       |
//! | tiers   | 8 x tiers  | where its name is, and the first entry with it                            |
//! | certs   | 36 x certs | a digest of the name in a certificate, and where its entry is; in order   |
//!
//! Where something is, is told in units of 8 bytes. All that is to be known of a key is in one place: to
//! find one among a million is to wait for memory that no cache holds. Numbers are little-endian. Whoever
//! reads trusts nothing: what points outside is as if it weren't there.

use std::sync::Arc;

use super::certs;
use super::digest::Digest;
use super::key::ApiKey;
use super::metadata::metadata_of;
use crate::about::About;
use crate::clock::UnixMillis;
use crate::cluster::revocations::KeyHash;
use crate::permissions::networks::Networks;
use crate::permissions::scopes::{Said, Scopes};
use crate::principal::{AuthMethod, Computed, Principal};

/// The format. Processes of two versions never share a block, so that it need not be told apart from
/// others of ours.
pub(super) const MAGIC: [u8; 8] = *b"tgkeys\0\x05";
pub(super) const HEADER_LEN: usize = 64;
pub(super) const PLACE_LEN: usize = 8;
pub(super) const TIER_LEN: usize = 8;
const DIGEST_LEN: usize = 32;
/// Where an entry has its flags, and how long it is without its text.
const FLAGS_AT: usize = DIGEST_LEN + 20;
const FIXED_LEN: usize = FLAGS_AT + 4;

/// Where something is, in units of 8 bytes from the start of the block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spot(pub(super) u32);

impl Spot {
    const UNIT: usize = 8;

    /// The end of `block`, which is filled up to a whole unit. `None`: it is too long.
    pub(super) fn end_of(block: &mut Vec<u8>) -> Option<Self> {
        let len = block.len().checked_next_multiple_of(Self::UNIT)?;
        block.resize(len, 0);
        u32::try_from(len / Self::UNIT).ok().map(Self)
    }

    /// In bytes.
    pub(super) fn at(self) -> Option<usize> {
        to_usize(self.0).checked_mul(Self::UNIT)
    }
}

/// The tier of a key that names none.
pub(super) const NO_TIER: u32 = u32::MAX;

/// Flags of a record.
pub(super) mod flag {
    pub(in super::super) const DISABLED: u32 = 1;
    pub(in super::super) const MODELS: u32 = 1 << 1;
    pub(in super::super) const SCOPES: u32 = 1 << 2;
    pub(in super::super) const CIDRS: u32 = 1 << 3;
    /// Something is wrong with the entry, or with what another one says of the same key: it is not in
    /// force.
    pub(in super::super) const REFUSED: u32 = 1 << 4;
    /// It has no digest that can be read, and is in no table.
    pub(in super::super) const NO_DIGEST: u32 = 1 << 5;
    pub(in super::super) const DENY_CIDRS: u32 = 1 << 6;
    /// Its tier is not declared: the key is known, and good for nothing.
    pub(in super::super) const UNDECLARED: u32 = 1 << 7;
    /// What follows the lists, in this order, where it is there.
    pub(in super::super) const TENANT: u32 = 1 << 8;
    pub(in super::super) const NAME: u32 = 1 << 9;
    pub(in super::super) const CREATED: u32 = 1 << 10;
    pub(in super::super) const METADATA: u32 = 1 << 11;
}

/// How much there is of everything, and where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) keys: u32,
    /// A power of two.
    pub(super) places: u32,
    pub(super) table: Spot,
    pub(super) tiers: u32,
    /// Keys that name no tier.
    pub(super) without_tier: u32,
    /// Keys that name a tenant.
    pub(super) with_tenant: u32,
    /// Entries that say which models may be used.
    pub(super) with_models: u32,
    /// Entries that are not in force, as something is wrong with them.
    pub(super) refused: u32,
    /// Entries with a certificate.
    pub(super) certs: u32,
}

impl Header {
    pub(super) fn bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let numbers = [
            self.keys,
            self.places,
            self.table.0,
            self.tiers,
            self.without_tier,
            self.with_tenant,
            self.with_models,
            self.refused,
            self.certs,
        ];
        let parts = MAGIC.into_iter().chain(numbers.into_iter().flat_map(u32::to_le_bytes));
        bytes.iter_mut().zip(parts).for_each(|(byte, part)| *byte = part);
        bytes
    }

    /// `None` where the block is none of ours, or is cut.
    pub(super) fn read(block: &[u8]) -> Option<Self> {
        let mut rest = Reader(block.strip_prefix(&MAGIC)?);
        let header = Self {
            keys: rest.u32()?,
            places: rest.u32()?,
            table: Spot(rest.u32()?),
            tiers: rest.u32()?,
            without_tier: rest.u32()?,
            with_tenant: rest.u32()?,
            with_models: rest.u32()?,
            refused: rest.u32()?,
            certs: rest.u32()?,
        };
        (header.places.is_power_of_two() && block.len() == header.end()?).then_some(header)
    }

    /// The number of keys, but for those whose entries are wrong.
    pub(super) fn len(self) -> usize {
        to_usize(self.keys.saturating_sub(self.refused))
    }

    fn tiers_at(&self) -> Option<usize> {
        to_usize(self.places).checked_mul(PLACE_LEN)?.checked_add(self.table.at()?)
    }

    pub(super) fn certs_at(&self) -> Option<usize> {
        to_usize(self.tiers).checked_mul(TIER_LEN)?.checked_add(self.tiers_at()?)
    }

    fn end(&self) -> Option<usize> {
        to_usize(self.certs).checked_mul(certs::LEN)?.checked_add(self.certs_at()?)
    }
}

pub(super) fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Which place of the table a digest is looked for first, and what is written there of it. Digests are
/// uniform, and only the operator puts them into the table; all of their bytes count all the same, so
/// that a file of made-up ones is no slower.
pub(super) fn place_of(digest: &Digest, places: u32) -> (u32, u32) {
    let mixed = digest.0.chunks_exact(8).fold(0_u64, |mixed, word| {
        let mixed = mixed ^ word.try_into().map_or(0, u64::from_le_bytes);
        // The higher bits on to the lower ones, and back.
        let mixed = (mixed ^ mixed >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ mixed >> 29
    });
    let [a, b, c, d, e, f, g, h] = mixed.to_be_bytes();
    let first = u32::from_be_bytes([a, b, c, d]) & places.saturating_sub(1);
    (first, u32::from_be_bytes([e, f, g, h]))
}

/// Sets these flags of an entry.
pub(super) fn set_flags(block: &mut [u8], entry: Spot, flags: u32) -> Option<()> {
    let at = entry.at()?.checked_add(FLAGS_AT)?;
    let field = block.get_mut(at..)?.first_chunk_mut()?;
    *field = (u32::from_le_bytes(*field) | flags).to_le_bytes();
    Some(())
}

/// The place after this one.
pub(super) fn next_place(place: u32, places: u32) -> u32 {
    place.wrapping_add(1) & places.saturating_sub(1)
}

/// A block, as it is read.
#[derive(Clone, Copy)]
pub(super) struct Image<'b> {
    pub(super) block: &'b [u8],
    pub(super) header: Header,
}

impl<'b> Image<'b> {
    /// The entry with this digest.
    pub(super) fn find(self, digest: &Digest) -> Option<Spot> {
        let (mut place, tag) = place_of(digest, self.header.places);
        for _ in 0..self.header.places {
            let at =
                to_usize(place).checked_mul(PLACE_LEN)?.checked_add(self.header.table.at()?)?;
            let mut taken = Reader(self.block.get(at..)?);
            let (found, entry) = (taken.u32()?, Spot(taken.u32()?));
            if entry == Spot::default() {
                return None;
            }
            if found == tag && self.read(entry)?.0.starts_with(&digest.0) {
                return Some(entry);
            }
            place = next_place(place, self.header.places);
        }
        None
    }

    fn read(self, spot: Spot) -> Option<Reader<'b>> {
        Some(Reader(self.block.get(spot.at()?..)?))
    }

    /// The entry with the certificate of this digest.
    pub(super) fn find_cert(self, digest: &Digest) -> Option<Spot> {
        certs::find(self.block.get(self.header.certs_at()?..)?, digest)
    }

    /// The key of this entry, which was found by `auth`.
    pub(super) fn key(self, entry: Spot, auth: AuthMethod) -> Option<ApiKey> {
        let mut text = self.read(entry)?;
        let digest = text.bytes(DIGEST_LEN)?;
        let (not_before, expires) = (text.i64()?, text.i64()?);
        let (tier, flags) = (text.u32()?, text.u32()?);
        let has_digest = flags & flag::NO_DIGEST == 0;
        let (id, client) = (text.name()?, text.name()?);
        let mut list = |flag| match flags & flag {
            0 => Some(None),
            _ => text.names().map(Some),
        };
        let (models, scopes) = (list(flag::MODELS)?, list(flag::SCOPES)?);
        let mut networks = |flag| match list(flag)? {
            None => Some(None),
            Some(cidrs) => {
                cidrs.iter().map(|cidr| cidr.parse()).collect::<Result<_, _>>().ok().map(Some)
            }
        };
        let (allowed, denied) = (networks(flag::CIDRS)?, networks(flag::DENY_CIDRS)?);
        let mut more = |flag| match flags & flag {
            0 => Some(None),
            _ => text.name().map(Some),
        };
        let (tenant, name) = (more(flag::TENANT)?, more(flag::NAME)?);
        let (created, metadata) = (more(flag::CREATED)?, more(flag::METADATA)?);
        let about = (name.is_some() || created.is_some() || metadata.is_some()).then(|| About {
            name: name.map(Box::from),
            created: created.map(Box::from),
            metadata: metadata.map(metadata_of).unwrap_or_default(),
        });
        let tier = match tier {
            NO_TIER => None,
            index => Some(self.tier(index)?.0.into()),
        };
        Some(ApiKey {
            principal: Arc::new(Principal {
                auth,
                client: client.into(),
                key_id: Some(id.into()),
                tier,
                tenant: tenant.map(Box::from),
                about: about.map(Box::new),
                said: said(scopes.as_deref()),
                scopes,
                models,
                rate_limit: None,
                bound_to: None,
                expires: (expires < i64::MAX).then_some(UnixMillis(expires)),
                computed: Computed::default(),
            }),
            disabled: flags & flag::DISABLED != 0,
            refused: flags & flag::REFUSED != 0,
            not_before: UnixMillis(not_before),
            expires: UnixMillis(expires),
            networks: Networks::new(allowed, denied.unwrap_or_default()),
            hash: if has_digest { Some(KeyHash(digest.try_into().ok()?)) } else { None },
        })
    }

    /// The digest of this entry.
    pub(super) fn digest(self, entry: Spot) -> Option<&'b [u8]> {
        self.read(entry)?.bytes(DIGEST_LEN)
    }

    /// When this entry expires, its tier, and its flags.
    pub(super) fn state(self, entry: Spot) -> Option<(UnixMillis, u32, u32)> {
        let mut fixed = self.read(entry)?;
        fixed.bytes(DIGEST_LEN)?;
        let (_, expires) = (fixed.i64()?, fixed.i64()?);
        Some((UnixMillis(expires), fixed.u32()?, fixed.u32()?))
    }

    /// When this entry is in force.
    pub(super) fn when(self, entry: Spot) -> Option<State> {
        let mut fixed = self.read(entry)?;
        fixed.bytes(DIGEST_LEN)?;
        let (not_before, expires) = (UnixMillis(fixed.i64()?), UnixMillis(fixed.i64()?));
        let (_, flags) = (fixed.u32()?, fixed.u32()?);
        Some(State { not_before, expires, flags })
    }

    /// The id of this entry.
    pub(super) fn id(self, entry: Spot) -> Option<&'b str> {
        let mut text = self.read(entry)?;
        text.bytes(FIXED_LEN)?;
        text.name()
    }

    /// The tier of this index, and the first entry with it.
    pub(super) fn tier(self, index: u32) -> Option<(&'b str, Spot)> {
        if index >= self.header.tiers {
            return None;
        }
        let at = to_usize(index).checked_mul(TIER_LEN)?.checked_add(self.header.tiers_at()?)?;
        let mut tier = Reader(self.block.get(at..)?);
        let (name, first) = (Spot(tier.u32()?), Spot(tier.u32()?));
        Some((self.read(name)?.name()?, first))
    }
}

/// What an entry says of when it is in force.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub(super) not_before: UnixMillis,
    pub(super) expires: UnixMillis,
    pub(super) flags: u32,
}

/// What the `scopes` of an entry mean, whose names are known.
fn said(scopes: Option<&[Box<str>]>) -> Said {
    let among = |names: &[Box<str>]| Scopes::among(names.iter().map(|name| &**name));
    scopes.map_or(Said::Nothing, |names| Said::ByKey(among(names)))
}

/// Takes one part after the other from the front.
#[derive(Clone, Copy)]
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn bytes(&mut self, len: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    fn name(&mut self) -> Option<&'b str> {
        let len = self.array().map(u16::from_le_bytes)?;
        std::str::from_utf8(self.bytes(len.into())?).ok()
    }

    fn names(&mut self) -> Option<Box<[Box<str>]>> {
        let count = self.u32()?;
        (0..count).map(|_| self.name().map(Box::from)).collect()
    }
}

//! A set of keys as one block of bytes, which workers share: made once, mapped by each, and read in
//! place. A key costs 64 bytes, 16 to 32 in the table by which it is found, and its text.
//!
//! | part    | size                | what                                                          |
//! |---------|---------------------|---------------------------------------------------------------|
//! | header  | 64                  | [`Header`]                                                    |
//! | table   | 8 x places          | part of a digest and the position of its record, from 1; 0: free |
//! | records | 64 x keys           | digest, times, tier, flags, and where the text is             |
//! | tiers   | 16 x tiers          | position of the first key with it, and where its name is      |
//! | text    |                     | names: each its length in two bytes, and itself               |
//!
//! Numbers are little-endian. Whoever reads trusts nothing: what points outside is as if it weren't
//! there.

use std::sync::Arc;

use super::key::ApiKey;
use super::Digest;
use crate::clock::UnixSeconds;
use crate::principal::{AuthMethod, Principal};

/// The format. Processes of two versions never share a block, so that it need not be told apart from
/// others of ours.
pub(super) const MAGIC: [u8; 8] = *b"tgkeys\0\x01";
pub(super) const HEADER_LEN: usize = 64;
pub(super) const PLACE_LEN: usize = 8;
pub(super) const RECORD_LEN: usize = 64;
pub(super) const TIER_LEN: usize = 16;

/// The tier of a key that names none.
pub(super) const NO_TIER: u32 = u32::MAX;

/// Flags of a record.
pub(super) mod flag {
    pub(in super::super) const DISABLED: u32 = 1;
    pub(in super::super) const MODELS: u32 = 1 << 1;
    pub(in super::super) const SCOPES: u32 = 1 << 2;
    pub(in super::super) const CIDRS: u32 = 1 << 3;
}

/// How much there is of everything, from which it follows where it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) keys: u32,
    /// A power of two.
    pub(super) places: u32,
    pub(super) tiers: u32,
    /// Keys that name no tier.
    pub(super) without_tier: u32,
    /// Keys with `models` or `scopes`, and the position of the first.
    pub(super) restricted: u32,
    pub(super) first_restricted: u32,
}

impl Header {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        let numbers = [
            self.keys,
            self.places,
            self.tiers,
            self.without_tier,
            self.restricted,
            self.first_restricted,
        ];
        for number in numbers {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.resize(HEADER_LEN, 0);
    }

    /// `None` where the block is none of ours, or is cut.
    pub(super) fn read(block: &[u8]) -> Option<Self> {
        let mut rest = Reader(block.strip_prefix(&MAGIC)?);
        let header = Self {
            keys: rest.u32()?,
            places: rest.u32()?,
            tiers: rest.u32()?,
            without_tier: rest.u32()?,
            restricted: rest.u32()?,
            first_restricted: rest.u32()?,
        };
        (header.places.is_power_of_two() && block.len() >= header.text_at()?).then_some(header)
    }

    fn records_at(&self) -> Option<usize> {
        to_usize(self.places).checked_mul(PLACE_LEN)?.checked_add(HEADER_LEN)
    }

    fn tiers_at(&self) -> Option<usize> {
        to_usize(self.keys).checked_mul(RECORD_LEN)?.checked_add(self.records_at()?)
    }

    pub(super) fn text_at(&self) -> Option<usize> {
        to_usize(self.tiers).checked_mul(TIER_LEN)?.checked_add(self.tiers_at()?)
    }
}

fn to_usize(number: u32) -> usize {
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
    /// The position of the key with this digest.
    pub(super) fn find(self, digest: &Digest) -> Option<u32> {
        let (mut place, tag) = place_of(digest, self.header.places);
        for _ in 0..self.header.places {
            let at = to_usize(place).checked_mul(PLACE_LEN)?.checked_add(HEADER_LEN)?;
            let mut entry = Reader(self.block.get(at..)?);
            let (found, position) = (entry.u32()?, entry.u32()?);
            let position = position.checked_sub(1)?;
            if found == tag && self.record(position)?.0.starts_with(&digest.0) {
                return Some(position);
            }
            place = next_place(place, self.header.places);
        }
        None
    }

    fn record(self, position: u32) -> Option<Reader<'b>> {
        if position >= self.header.keys {
            return None;
        }
        let at =
            to_usize(position).checked_mul(RECORD_LEN)?.checked_add(self.header.records_at()?)?;
        Some(Reader(self.block.get(at..at.checked_add(RECORD_LEN)?)?))
    }

    fn text(self, at: u64) -> Option<Reader<'b>> {
        let at = usize::try_from(at).ok()?.checked_add(self.header.text_at()?)?;
        Some(Reader(self.block.get(at..)?))
    }

    /// The key at this position.
    pub(super) fn key(self, position: u32) -> Option<ApiKey> {
        let mut record = self.record(position)?;
        record.bytes(32)?;
        let (not_before, expires) = (record.i64()?, record.i64()?);
        let mut text = self.text(record.u64()?)?;
        let (tier, flags) = (record.u32()?, record.u32()?);
        let (id, client) = (text.name()?, text.name()?);
        let mut list = |flag| match flags & flag {
            0 => Some(None),
            _ => text.names().map(Some),
        };
        let (models, scopes) = (list(flag::MODELS)?, list(flag::SCOPES)?);
        let cidrs = list(flag::CIDRS)?
            .map(|cidrs| cidrs.iter().map(|cidr| cidr.parse()).collect::<Result<_, _>>());
        let tier = match tier {
            NO_TIER => None,
            index => Some(self.tier(index)?.0.into()),
        };
        Some(ApiKey {
            principal: Arc::new(Principal {
                auth: AuthMethod::ApiKey,
                client: client.into(),
                key_id: Some(id.into()),
                tier,
                tenant: None,
                scopes,
                models,
                rate_limit: None,
            }),
            disabled: flags & flag::DISABLED != 0,
            not_before: UnixSeconds(not_before),
            expires: UnixSeconds(expires),
            cidrs: cidrs.transpose().ok()?,
        })
    }

    /// The id of the key at this position.
    pub(super) fn id(self, position: u32) -> Option<&'b str> {
        let mut record = self.record(position)?;
        record.bytes(48)?;
        self.text(record.u64()?)?.name()
    }

    /// The tier of this index, and the position of the first key with it.
    pub(super) fn tier(self, index: u32) -> Option<(&'b str, u32)> {
        if index >= self.header.tiers {
            return None;
        }
        let at = to_usize(index).checked_mul(TIER_LEN)?.checked_add(self.header.tiers_at()?)?;
        let mut tier = Reader(self.block.get(at..)?);
        let (text, first) = (tier.u64()?, tier.u32()?);
        Some((self.text(text)?.name()?, first))
    }
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

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
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

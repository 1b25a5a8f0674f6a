//! From the entries of a file to the block of bytes that is shared.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::certs::Certs;
use super::digest::Digest;
use super::entry::{Draft, Wrong};
use super::error::{EntryName, KeysError, Problem};
use super::image::{flag, next_place, place_of, set_flags, Header, Image, Spot};
use super::image::{HEADER_LEN, NO_TIER, PLACE_LEN};
use super::refused::Refused;
use crate::clock::UnixSeconds;

/// A set that is being made.
pub(super) struct Builder {
    /// The header's room, and the entries behind it.
    block: Vec<u8>,
    /// Where each of them is, in the order of the file.
    entries: Vec<Spot>,
    /// A hash of each id, to find those that are there twice, and the entry's place in the file.
    ids: Vec<(u64, u32)>,
    /// Where the name of each tier is, and the first entry with it.
    tiers: Vec<(Spot, Spot)>,
    tier_of: HashMap<Box<str>, u32>,
    certs: Certs,
    header: Header,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            block: vec![0; HEADER_LEN],
            entries: Vec::new(),
            ids: Vec::new(),
            tiers: Vec::new(),
            tier_of: HashMap::new(),
            certs: Certs::default(),
            header: Header::default(),
        }
    }
}

impl Builder {
    /// Adds an entry, whose tier may not be declared. `None`: there can't be so many.
    pub(super) fn push(&mut self, draft: &Draft<'_>, is_undeclared: bool) -> Option<()> {
        let tier = match draft.tier {
            None => {
                self.header.without_tier += 1;
                NO_TIER
            }
            Some(name) => self.tier(name)?,
        };
        let entry = Spot::end_of(&mut self.block)?;
        let lists = [
            (flag::MODELS, &draft.models),
            (flag::SCOPES, &draft.scopes),
            (flag::CIDRS, &draft.cidrs),
            (flag::DENY_CIDRS, &draft.deny_cidrs),
        ];
        let texts = [
            (flag::TENANT, draft.tenant),
            (flag::NAME, draft.name),
            (flag::CREATED, draft.created),
            (flag::METADATA, draft.metadata.as_deref()),
        ];
        self.header.with_tenant += u32::from(draft.tenant.is_some());
        self.header.with_models += u32::from(draft.models.is_some());
        let mut flags = if draft.disabled { flag::DISABLED } else { 0 };
        flags |= if draft.digest.is_none() { flag::NO_DIGEST } else { 0 };
        flags |= if is_undeclared { flag::UNDECLARED } else { 0 };
        for (flag, names) in lists {
            flags |= if names.is_some() { flag } else { 0 };
        }
        for (flag, text) in texts {
            flags |= if text.is_some() { flag } else { 0 };
        }
        let block = &mut self.block;
        block.extend_from_slice(&draft.digest.map_or([0; 32], |digest| digest.0));
        block.extend_from_slice(&draft.not_before.0.to_le_bytes());
        block.extend_from_slice(&draft.expires.0.to_le_bytes());
        block.extend_from_slice(&tier.to_le_bytes());
        block.extend_from_slice(&flags.to_le_bytes());
        push_name(block, draft.id)?;
        push_name(block, draft.client)?;
        for names in lists.into_iter().filter_map(|(_, names)| names.as_ref()) {
            block.extend_from_slice(&u32::try_from(names.len()).ok()?.to_le_bytes());
            for name in names {
                push_name(block, name)?;
            }
        }
        for text in texts.into_iter().filter_map(|(_, text)| text) {
            push_name(block, text)?;
        }

        let mut hasher = DefaultHasher::new();
        draft.id.hash(&mut hasher);
        self.ids.push((hasher.finish(), self.header.keys));
        self.count(entry, draft.cert)
    }

    /// Adds an entry that something is wrong with. It is there to be refused: whatever else says
    /// something of that key, must not bring it into force.
    pub(super) fn push_refused(&mut self, wrong: &Wrong<'_>) -> Option<()> {
        let entry = Spot::end_of(&mut self.block)?;
        let mut flags = flag::REFUSED;
        flags |= if wrong.is_taken_back { flag::DISABLED } else { 0 };
        flags |= if wrong.digest.is_none() { flag::NO_DIGEST } else { 0 };
        let block = &mut self.block;
        block.extend_from_slice(&wrong.digest.map_or([0; 32], |digest| digest.0));
        block.extend_from_slice(&i64::MAX.to_le_bytes());
        block.extend_from_slice(&i64::MAX.to_le_bytes());
        block.extend_from_slice(&NO_TIER.to_le_bytes());
        block.extend_from_slice(&flags.to_le_bytes());
        push_name(block, wrong.id)?;
        push_name(block, wrong.client)?;
        self.header.refused += 1;
        self.count(entry, wrong.cert)
    }

    fn count(&mut self, entry: Spot, cert: Option<Digest>) -> Option<()> {
        if let Some(cert) = cert {
            self.certs.push(cert, entry, self.entries.len());
        }
        self.entries.push(entry);
        self.header.keys = self.header.keys.checked_add(1).filter(|keys| *keys < u32::MAX / 4)?;
        Some(())
    }

    /// The index of the tier of the entry that comes next.
    fn tier(&mut self, name: &str) -> Option<u32> {
        if let Some(index) = self.tier_of.get(name) {
            return Some(*index);
        }
        let index = u32::try_from(self.tiers.len()).ok()?;
        let spot = Spot::end_of(&mut self.block)?;
        push_name(&mut self.block, name)?;
        self.tiers.push((spot, Spot::end_of(&mut self.block)?));
        self.tier_of.insert(name.into(), index);
        Some(index)
    }

    /// The block, and what is wrong with each entry that is there already: of ids the first one counts;
    /// a key that several entries are of is not in force. `None`: there can't be so many keys.
    pub(super) fn finish(mut self, now: Option<UnixSeconds>) -> Option<(Vec<u8>, Vec<Refused>)> {
        let ids = self.duplicate_ids();
        // Never more than half full.
        self.header.places = self.header.keys.saturating_mul(2).max(8).next_power_of_two();
        self.header.tiers = u32::try_from(self.tiers.len()).ok()?;
        self.header.table = Spot::end_of(&mut self.block)?;
        let entries_end = self.block.len();
        let table_len = usize::try_from(self.header.places).ok()?.checked_mul(PLACE_LEN)?;
        self.block.resize(entries_end.checked_add(table_len)?, 0);
        let digests = self.write_table(entries_end)?;
        let mut refused = Vec::new();
        for (earlier, later) in ids {
            let is_off = self.refuse(later, now)?;
            refused.push(self.told(later, "id", Problem::DuplicateId([earlier, later]), is_off));
        }
        for (earlier, later) in digests {
            let is_off = [self.refuse(earlier, now)?, self.refuse(later, now)?].contains(&true);
            let problem = Problem::DuplicateHash(self.name(earlier));
            refused.push(self.told(later, "hash", problem, is_off));
        }
        for (earlier, later) in self.certs.duplicates() {
            let is_off = [self.refuse(earlier, now)?, self.refuse(later, now)?].contains(&true);
            let problem = Problem::DuplicateCert(self.name(earlier));
            refused.push(self.told(later, "cert", problem, is_off));
        }
        for (name, first) in &self.tiers {
            self.block.extend_from_slice(&name.0.to_le_bytes());
            self.block.extend_from_slice(&first.0.to_le_bytes());
        }
        self.header.certs = self.certs.write(&mut self.block)?;
        self.block.get_mut(..HEADER_LEN)?.copy_from_slice(&self.header.bytes());
        Some((self.block, refused))
    }

    /// Finds a place for each digest. The pairs of entries that have the same one; of these, one that
    /// is disabled is found.
    fn write_table(&mut self, entries_end: usize) -> Option<Vec<(usize, usize)>> {
        let places = self.header.places;
        let (block, table) = self.block.split_at_mut_checked(entries_end)?;
        let (table, _) = table.as_chunks_mut::<PLACE_LEN>();
        let image = Image { block, header: self.header };
        let mut duplicates = Vec::new();
        for (position, entry) in self.entries.iter().enumerate() {
            let (_, _, flags) = image.state(*entry)?;
            if flags & flag::NO_DIGEST != 0 {
                continue;
            }
            let digest = Digest(image.digest(*entry)?.try_into().ok()?);
            let (mut at, tag) = place_of(&digest, places);
            loop {
                let place = table.get_mut(usize::try_from(at).ok()?)?;
                let [a, b, c, d, e, f, g, h] = *place;
                let other = Spot(u32::from_le_bytes([e, f, g, h]));
                let is_free = other == Spot::default();
                let is_same = !is_free
                    && [a, b, c, d] == tag.to_le_bytes()
                    && image.digest(other)? == digest.0;
                if is_same {
                    // Entries are in the order of the file.
                    let earlier = self.entries.binary_search_by_key(&other.0, |entry| entry.0);
                    duplicates.push((earlier.ok()?, position));
                }
                if is_free || is_same && flags & flag::DISABLED != 0 {
                    let ([a, b, c, d], [e, f, g, h]) = (tag.to_le_bytes(), entry.0.to_le_bytes());
                    *place = [a, b, c, d, e, f, g, h];
                }
                if is_free || is_same {
                    break;
                }
                at = next_place(at, places);
            }
        }
        Some(duplicates)
    }

    /// The entries that have an id which an earlier one has: the first one with it, and they.
    fn duplicate_ids(&mut self) -> Vec<(usize, usize)> {
        let image = Image { block: &self.block, header: self.header };
        self.ids.sort_unstable();
        let mut duplicates = Vec::new();
        for same in self.ids.chunk_by(|one, other| one.0 == other.0).filter(|same| same.len() > 1) {
            let mut first: HashMap<&str, usize> = HashMap::new();
            for (_, position) in same {
                let Ok(position) = usize::try_from(*position) else { continue };
                let Some(id) = self.entries.get(position).and_then(|entry| image.id(*entry)) else {
                    continue;
                };
                if let Some(earlier) = first.get(id) {
                    duplicates.push((*earlier, position));
                } else {
                    first.insert(id, position);
                }
            }
        }
        duplicates.sort_unstable_by_key(|(_, later)| *later);
        duplicates
    }

    /// The entry at this position of the file is not in force, whatever it says. Whether it would not be
    /// anyway.
    fn refuse(&mut self, position: usize, now: Option<UnixSeconds>) -> Option<bool> {
        let entry = *self.entries.get(position)?;
        let image = Image { block: &self.block, header: self.header };
        let (expires, tier, flags) = image.state(entry)?;
        if flags & flag::REFUSED == 0 {
            set_flags(&mut self.block, entry, flag::REFUSED)?;
            self.header.refused += 1;
            self.header.without_tier -= u32::from(tier == NO_TIER).min(self.header.without_tier);
            let with_tenant = u32::from(flags & flag::TENANT != 0);
            self.header.with_tenant -= with_tenant.min(self.header.with_tenant);
        }
        Some(flags & flag::DISABLED != 0 || now.is_some_and(|now| expires <= now.into()))
    }

    fn told(&self, position: usize, field: &str, problem: Problem, is_off: bool) -> Refused {
        let (entry, field) = (Some(self.name(position)), Some(field.to_owned()));
        Refused { error: KeysError { entry, field, problem }, is_off }
    }

    /// What messages call the entry at this position of the file.
    fn name(&self, position: usize) -> EntryName {
        let image = Image { block: &self.block, header: self.header };
        let id = self.entries.get(position).and_then(|entry| image.id(*entry));
        match id.filter(|id| !id.is_empty()) {
            Some(id) => EntryName::Id(id.to_owned()),
            None => EntryName::Position(position),
        }
    }
}

/// Names are short: 256 bytes at most, and `metadata` a kilobyte.
fn push_name(text: &mut Vec<u8>, name: &str) -> Option<()> {
    text.extend_from_slice(&u16::try_from(name.len()).ok()?.to_le_bytes());
    text.extend_from_slice(name.as_bytes());
    Some(())
}

//! From the entries of a file to the block of bytes that is shared.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::entry::Draft;
use super::image::{flag, next_place, place_of, Header, Image, Spot};
use super::image::{HEADER_LEN, NO_TIER, PLACE_LEN};
use super::{Digest, EntryName, KeysError, Problem};

/// A set that is being made.
pub(super) struct Builder {
    /// The header's room, and the entries behind it.
    block: Vec<u8>,
    /// Where each of them is.
    entries: Vec<Spot>,
    /// A hash of each id, to find those that are there twice.
    ids: Vec<u64>,
    /// Where the name of each tier is, and the first entry with it.
    tiers: Vec<(Spot, Spot)>,
    tier_of: HashMap<Box<str>, u32>,
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
            header: Header::default(),
        }
    }
}

impl Builder {
    /// Adds an entry. `None`: there can't be so many.
    pub(super) fn push(&mut self, draft: &Draft<'_>) -> Option<()> {
        let tier = match draft.tier {
            None => {
                self.header.without_tier += 1;
                NO_TIER
            }
            Some(name) => self.tier(name)?,
        };
        let entry = Spot::end_of(&mut self.block)?;
        if draft.models.is_some() || draft.scopes.is_some() {
            if self.header.restricted == 0 {
                self.header.first_restricted = entry;
            }
            self.header.restricted += 1;
        }

        let lists = [
            (flag::MODELS, &draft.models),
            (flag::SCOPES, &draft.scopes),
            (flag::CIDRS, &draft.cidrs),
        ];
        let mut flags = if draft.disabled { flag::DISABLED } else { 0 };
        for (flag, names) in lists {
            flags |= if names.is_some() { flag } else { 0 };
        }
        let block = &mut self.block;
        block.extend_from_slice(&draft.digest.0);
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

        self.entries.push(entry);
        let mut hasher = DefaultHasher::new();
        draft.id.hash(&mut hasher);
        self.ids.push(hasher.finish());
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

    /// The block; or, for each entry that is there already, what is wrong with it.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, Vec<KeysError>> {
        let duplicates = self.write_rest().ok_or_else(|| {
            vec![KeysError { entry: None, field: None, problem: Problem::TooManyKeys }]
        })?;
        let image = Image { block: &self.block, header: self.header };
        let mut errors = self.duplicate_ids(image);
        errors.extend(duplicates.into_iter().map(|(earlier, later)| KeysError {
            entry: Some(self.name(image, later)),
            field: Some("hash".to_owned()),
            problem: Problem::DuplicateHash(self.name(image, earlier)),
        }));
        match errors.is_empty() {
            true => Ok(self.block),
            false => Err(errors),
        }
    }

    /// Writes what is behind the entries, and the header. The pairs of positions in the file that have
    /// the same digest; `None`: there can't be so many keys.
    fn write_rest(&mut self) -> Option<Vec<(usize, usize)>> {
        // Never more than half full.
        self.header.places = self.header.keys.saturating_mul(2).max(8).next_power_of_two();
        self.header.tiers = u32::try_from(self.tiers.len()).ok()?;
        self.header.table = Spot::end_of(&mut self.block)?;
        let entries_end = self.block.len();
        let table_len = usize::try_from(self.header.places).ok()?.checked_mul(PLACE_LEN)?;
        self.block.resize(entries_end.checked_add(table_len)?, 0);
        let duplicates = self.write_table(entries_end)?;
        for (name, first) in &self.tiers {
            self.block.extend_from_slice(&name.0.to_le_bytes());
            self.block.extend_from_slice(&first.0.to_le_bytes());
        }
        self.block.get_mut(..HEADER_LEN)?.copy_from_slice(&self.header.bytes());
        Some(duplicates)
    }

    fn write_table(&mut self, entries_end: usize) -> Option<Vec<(usize, usize)>> {
        let places = self.header.places;
        let (block, table) = self.block.split_at_mut_checked(entries_end)?;
        let (table, _) = table.as_chunks_mut::<PLACE_LEN>();
        let image = Image { block, header: self.header };
        let mut duplicates = Vec::new();
        for (position, entry) in self.entries.iter().enumerate() {
            let digest = Digest(image.digest(*entry)?.try_into().ok()?);
            let (mut at, tag) = place_of(&digest, places);
            loop {
                let place = table.get_mut(usize::try_from(at).ok()?)?;
                let [a, b, c, d, e, f, g, h] = *place;
                let other = Spot(u32::from_le_bytes([e, f, g, h]));
                if other == Spot::default() {
                    let ([a, b, c, d], [e, f, g, h]) = (tag.to_le_bytes(), entry.0.to_le_bytes());
                    *place = [a, b, c, d, e, f, g, h];
                    break;
                }
                if [a, b, c, d] == tag.to_le_bytes() && image.digest(other)? == digest.0 {
                    // Entries are in the order of the file.
                    let earlier = self.entries.binary_search_by_key(&other.0, |entry| entry.0);
                    duplicates.push((earlier.ok()?, position));
                    break;
                }
                at = next_place(at, places);
            }
        }
        Some(duplicates)
    }

    fn duplicate_ids(&self, image: Image<'_>) -> Vec<KeysError> {
        let mut ids: Vec<(u64, u32)> = self.ids.iter().copied().zip(0u32..).collect();
        ids.sort_unstable();
        let mut duplicates = Vec::new();
        for same in ids.chunk_by(|one, other| one.0 == other.0).filter(|same| same.len() > 1) {
            // Of several, each but the first is told together with that.
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
        let errors = duplicates.into_iter().map(|(earlier, later)| KeysError {
            entry: Some(self.name(image, later)),
            field: Some("id".to_owned()),
            problem: Problem::DuplicateId([earlier, later]),
        });
        errors.collect()
    }

    /// What messages call the entry at this position of the file.
    fn name(&self, image: Image<'_>, position: usize) -> EntryName {
        match self.entries.get(position).and_then(|entry| image.id(*entry)) {
            Some(id) => EntryName::Id(id.to_owned()),
            None => EntryName::Position(position),
        }
    }
}

/// Names are short: 256 bytes at most.
fn push_name(text: &mut Vec<u8>, name: &str) -> Option<()> {
    text.extend_from_slice(&u16::try_from(name.len()).ok()?.to_le_bytes());
    text.extend_from_slice(name.as_bytes());
    Some(())
}

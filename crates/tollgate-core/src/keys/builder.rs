//! From the entries of a file to the block of bytes that is shared.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::entry::Draft;
use super::image::{flag, next_place, place_of, Header, Image, NO_TIER, RECORD_LEN};
use super::{Digest, EntryName, KeysError, Problem};

/// A set that is being made.
#[derive(Default)]
pub(super) struct Builder {
    digests: Vec<Digest>,
    /// The records without their digests.
    records: Vec<[u8; RECORD_LEN - 32]>,
    /// A hash of each id, to find those that are there twice.
    ids: Vec<u64>,
    tiers: Vec<(u64, u32)>,
    tier_of: HashMap<Box<str>, u32>,
    text: Vec<u8>,
    header: Header,
}

impl Builder {
    /// Adds an entry. `None`: there can't be so many.
    pub(super) fn push(&mut self, draft: &Draft<'_>) -> Option<()> {
        let position = self.header.keys;
        let tier = match draft.tier {
            None => {
                self.header.without_tier += 1;
                NO_TIER
            }
            Some(name) => match self.tier_of.get(name) {
                Some(index) => *index,
                None => {
                    let index = u32::try_from(self.tiers.len()).ok()?;
                    self.tiers.push((self.text.len() as u64, position));
                    push_name(&mut self.text, name)?;
                    self.tier_of.insert(name.into(), index);
                    index
                }
            },
        };
        if (draft.models.is_some() || draft.scopes.is_some()) && self.header.restricted == 0 {
            self.header.first_restricted = position;
        }
        self.header.restricted += u32::from(draft.models.is_some() || draft.scopes.is_some());

        let text = self.text.len() as u64;
        push_name(&mut self.text, draft.id)?;
        push_name(&mut self.text, draft.client)?;
        let mut flags = if draft.disabled { flag::DISABLED } else { 0 };
        let lists = [
            (flag::MODELS, &draft.models),
            (flag::SCOPES, &draft.scopes),
            (flag::CIDRS, &draft.cidrs),
        ];
        for (flag, names) in lists {
            let Some(names) = names else { continue };
            flags |= flag;
            self.text.extend_from_slice(&u32::try_from(names.len()).ok()?.to_le_bytes());
            for name in names {
                push_name(&mut self.text, name)?;
            }
        }

        let mut record = Vec::with_capacity(RECORD_LEN - 32);
        record.extend_from_slice(&draft.not_before.0.to_le_bytes());
        record.extend_from_slice(&draft.expires.0.to_le_bytes());
        record.extend_from_slice(&text.to_le_bytes());
        record.extend_from_slice(&tier.to_le_bytes());
        record.extend_from_slice(&flags.to_le_bytes());
        self.records.push(record.try_into().ok()?);
        self.digests.push(draft.digest);
        let mut hasher = DefaultHasher::new();
        draft.id.hash(&mut hasher);
        self.ids.push(hasher.finish());
        // The position behind is that of a free place of the table, so that there is one less.
        self.header.keys = position.checked_add(1).filter(|keys| *keys < u32::MAX / 4)?;
        Some(())
    }

    /// The block; or, for each entry that is there already, what is wrong with it.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, Vec<KeysError>> {
        // Never more than half full.
        self.header.places = self.header.keys.saturating_mul(2).max(8).next_power_of_two();
        self.header.tiers = u32::try_from(self.tiers.len()).unwrap_or(0);
        let (places, duplicates) = self.table();
        let mut block =
            Vec::with_capacity(self.header.text_at().unwrap_or(0).saturating_add(self.text.len()));
        self.header.write(&mut block);
        for (tag, position) in places {
            block.extend_from_slice(&tag.to_le_bytes());
            block.extend_from_slice(&position.to_le_bytes());
        }
        for (digest, record) in self.digests.iter().zip(&self.records) {
            block.extend_from_slice(&digest.0);
            block.extend_from_slice(record);
        }
        for (text, first) in &self.tiers {
            block.extend_from_slice(&text.to_le_bytes());
            block.extend_from_slice(&first.to_le_bytes());
            block.extend_from_slice(&[0; 4]);
        }
        block.extend_from_slice(&self.text);

        let image = Image { block: &block, header: self.header };
        let mut errors = self.duplicate_ids(image);
        errors.extend(duplicates.into_iter().map(|(earlier, later)| KeysError {
            entry: Some(name(image, later)),
            field: Some("hash".to_owned()),
            problem: Problem::DuplicateHash(name(image, earlier)),
        }));
        match errors.is_empty() {
            true => Ok(block),
            false => Err(errors),
        }
    }

    /// The places of the table, and the pairs of positions that have the same digest.
    #[allow(clippy::type_complexity)]
    fn table(&self) -> (Vec<(u32, u32)>, Vec<(u32, u32)>) {
        let places = self.header.places;
        let mut table = vec![(0, 0); usize::try_from(places).unwrap_or(0)];
        let mut duplicates = Vec::new();
        for (position, digest) in (0u32..).zip(&self.digests) {
            let (mut place, tag) = place_of(digest, places);
            while let Some(entry) = usize::try_from(place).ok().and_then(|at| table.get_mut(at)) {
                let (found, other) = *entry;
                let Some(other) = u32::checked_sub(other, 1) else {
                    *entry = (tag, position + 1);
                    break;
                };
                let digest_of = |position| self.digests.get(usize::try_from(position).ok()?);
                if found == tag && digest_of(other) == Some(digest) {
                    duplicates.push((other, position));
                    break;
                }
                place = next_place(place, places);
            }
        }
        (table, duplicates)
    }

    fn duplicate_ids(&self, image: Image<'_>) -> Vec<KeysError> {
        let mut ids: Vec<(u64, u32)> = self.ids.iter().copied().zip(0u32..).collect();
        ids.sort_unstable();
        let mut duplicates = Vec::new();
        for same in ids.chunk_by(|one, other| one.0 == other.0).filter(|same| same.len() > 1) {
            // Of several, each but the first is told together with that.
            let mut first: HashMap<&str, u32> = HashMap::new();
            for (_, position) in same {
                let Some(id) = image.id(*position) else { continue };
                if let Some(earlier) = first.get(id) {
                    duplicates.push((*earlier, *position));
                } else {
                    first.insert(id, *position);
                }
            }
        }
        duplicates.sort_unstable_by_key(|(_, later)| *later);
        let as_index = |position| usize::try_from(position).unwrap_or(usize::MAX);
        let errors = duplicates.into_iter().map(|(earlier, later)| KeysError {
            entry: Some(name(image, later)),
            field: Some("id".to_owned()),
            problem: Problem::DuplicateId([as_index(earlier), as_index(later)]),
        });
        errors.collect()
    }
}

fn name(image: Image<'_>, position: u32) -> EntryName {
    match image.id(position) {
        Some(id) => EntryName::Id(id.to_owned()),
        None => EntryName::Position(usize::try_from(position).unwrap_or(usize::MAX)),
    }
}

/// Names are short: 256 bytes at most.
fn push_name(text: &mut Vec<u8>, name: &str) -> Option<()> {
    text.extend_from_slice(&u16::try_from(name.len()).ok()?.to_le_bytes());
    text.extend_from_slice(name.as_bytes());
    Some(())
}

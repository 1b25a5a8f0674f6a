//! The certificates of a set: a list of digests in order, each with where its entry is. There are far fewer
//! of them than keys, and who has asked for one is remembered.

use super::digest::Digest;
use super::image::Spot;

/// A digest, and a [`Spot`].
pub(super) const LEN: usize = 36;

/// Those of a set that is being made: digest, entry, and its place in the file.
#[derive(Default)]
pub(super) struct Certs(Vec<([u8; 32], Spot, usize)>);

impl Certs {
    /// Adds that of the entry at this position of the file.
    pub(super) fn push(&mut self, cert: Digest, entry: Spot, position: usize) {
        self.0.push((cert.0, entry, position));
    }

    /// The pairs of entries that have the same one, in the order of the later ones.
    pub(super) fn duplicates(&mut self) -> Vec<(usize, usize)> {
        self.0.sort_unstable_by_key(|(cert, _, position)| (*cert, *position));
        let mut pairs = Vec::new();
        for same in self.0.chunk_by(|one, other| one.0 == other.0) {
            let Some(((_, _, first), others)) = same.split_first() else { continue };
            pairs.extend(others.iter().map(|(_, _, later)| (*first, *later)));
        }
        pairs.sort_unstable_by_key(|(_, later)| *later);
        pairs
    }

    /// Writes the list to the end of a block: how many there are. It is in order once
    /// [`Certs::duplicates`] was asked for.
    pub(super) fn write(&self, block: &mut Vec<u8>) -> Option<u32> {
        for (cert, entry, _) in &self.0 {
            block.extend_from_slice(cert);
            block.extend_from_slice(&entry.0.to_le_bytes());
        }
        u32::try_from(self.0.len()).ok()
    }
}

/// All entries of a list.
pub(super) fn entries(list: &[u8]) -> impl Iterator<Item = Spot> + use<'_> {
    let (records, _) = list.as_chunks::<LEN>();
    let entry = |record: &[u8; LEN]| record.last_chunk().copied().unwrap_or_default();
    records.iter().map(move |record| Spot(u32::from_le_bytes(entry(record))))
}

/// The entry with this certificate, in a list.
pub(super) fn find(list: &[u8], cert: &Digest) -> Option<Spot> {
    let (records, _) = list.as_chunks::<LEN>();
    let digest = |record: &[u8; LEN]| record.first_chunk::<32>().copied().unwrap_or_default();
    let at = records.binary_search_by_key(&cert.0, digest).ok()?;
    let entry = records.get(at)?.last_chunk()?;
    Some(Spot(u32::from_le_bytes(*entry)))
}

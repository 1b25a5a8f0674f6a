//! Which file each seal was written to.
//!
//! A seal says which one was open when it was made. What has to wait then, as the disk is full, goes to the next file if
//! the log is rotated meanwhile, and the next seal says so: `waited`. Where a worker was killed before it could, a
//! manifest may tell.

use std::collections::BTreeMap;

use super::segment::Joined;

/// What later seals tell of those before them: from this one on, they are in this file or a later one. What reaches less
/// far back is of a later file.
#[derive(Debug, Default)]
struct Told(BTreeMap<u64, u64>);

impl Told {
    fn add(&mut self, from: u64, file: u64) {
        if self.0.range(..=from).next_back().is_some_and(|(_, known)| *known >= file) {
            return;
        }
        while let Some((known, _)) =
            self.0.range(from..).next().filter(|(_, known)| **known <= file)
        {
            let known = *known;
            self.0.remove(&known);
        }
        self.0.insert(from, file);
    }

    /// The file of this seal; those before it are asked for later.
    fn of(&mut self, number: u64) -> Option<u64> {
        while self.0.last_key_value().is_some_and(|(from, _)| *from > number) {
            self.0.pop_last();
        }
        self.0.last_key_value().map(|(_, file)| *file)
    }
}

/// Gives each seal of a chain the file that it was written to. `named`: seals that manifests name, and where these were
/// written.
pub(super) fn settle(joined: &mut Joined, named: &BTreeMap<u64, u64>) {
    let mut told = Told::default();
    let parts = joined.walk.seals.chunk_by_mut(|one, other| one.place.file == other.place.file);
    for part in parts.rev() {
        let start = part.first().map_or(0, |first| first.number);
        for seal in part.iter_mut().rev() {
            let said = seal.file;
            seal.file = told.of(seal.number).map_or(said, |file| file.max(said));
            if let Some(file) = named.get(&seal.number).filter(|file| **file > said) {
                seal.file = seal.file.max(*file);
                told.add(start, *file);
            }
            // It may have waited itself: it tells of the file that was open when it was made.
            if let Some(from) = seal.waited.filter(|from| seal.is_good && *from < seal.number) {
                told.add(from, said);
            }
        }
    }
    let own = joined.walk.seals.first().map(|seal| (seal.number, seal.file));
    let (Some(first), Some((number, own))) = (&mut joined.first, own) else { return };
    first.has_waited = told.of(number).is_some();
    let said = first.from.unwrap_or(first.file);
    let before = number.checked_sub(1).and_then(|before| told.of(before));
    let before = before.map_or(said, |file| file.max(said));
    first.before = (before < own).then_some(before);
}

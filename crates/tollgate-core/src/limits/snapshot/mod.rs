//! The zone in a file: budgets, long windows and debts outlive a restart.
//!
//! ```text
//! magic | version | boot id, clocks, seed | slots | rates | outputs | inputs | counts | length | SHA-256
//! ```
//!
//! All of it is little-endian words of 64 bits, but for the boot id and the checksum, which is over
//! everything before it. Only what is not idle is written: a bucket that is full, or a budget of a
//! period that is over, says nothing. Requests in flight end with the processes that serve them, so
//! they are not written either.
//!
//! The monotonic clock starts anew with the machine, so a bucket is written as what is in use at the
//! moment of the snapshot, and drains on by the time that has passed since: the difference of the
//! monotonic clocks, or that of the wall clocks where the machine was started in between. A jump of
//! the wall clock therefore frees or locks nobody for longer than a refill.
//!
//! A file holds the zone's seed, as keys are written as their hashes: it is to be readable by nginx
//! alone.

mod saving;

use std::fmt;

pub use saving::Saving;
use sha2::{Digest, Sha256};

use super::ask::{Kind, Now, SLOT_WORDS};
use super::bucket::{self, Level, Scale};
use super::budget;
use super::frozen::FROZEN;
use super::key::{Area, Key};
use super::layout::LayoutError;
use super::learned::Minute;
use super::rates;
use super::slots::{SlotPlace, WAYS};
use super::sync::{AtomicU64, Ordering};
use super::zone::Zone;
use crate::clock::{MonoNanos, UnixSeconds};

const MAGIC: &[u8; 8] = b"tgstate\n";
/// To be raised with every change of the format, or of what the words of a slot mean.
const VERSION: u64 = 2;
/// The version before, of which the slots of clients are taken over. Its keys of rules had one area.
const OLD_VERSION: u64 = 1;
const CHECKSUM_LEN: usize = 32;
/// Magic, version, boot id, the two clocks, the seed.
const HEAD_LEN: usize = 8 + 8 + 16 + 16 + 16;
/// The number of slots, of rates, of words of each of the two tables of what was learned, the size of
/// these tables, and the length of the file.
const TAIL_LEN: usize = 6 * 8 + CHECKSUM_LEN;
/// The number of slots, of rates, of learned outputs, and the length of the file.
const OLD_TAIL_LEN: usize = 4 * 8 + CHECKSUM_LEN;

/// What identifies the run of the machine that the monotonic clock belongs to (on Linux,
/// `/proc/sys/kernel/random/boot_id`). All zeros: not known.
pub type BootId = [u8; 16];

/// What is wrong with a state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotError {
    /// Something else.
    Foreign,
    /// Written by another version of this module.
    Version(u64),
    /// Incomplete or changed.
    Damaged,
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("is not a state file; choose another path"),
            Self::Version(found) => write!(
                f,
                "has version {found}, and this version of the module reads {VERSION}; move it away \
                 to start with unused limits"
            ),
            Self::Damaged => f.write_str(
                "is damaged; restore it from a backup, or move it away to start with unused limits",
            ),
        }
    }
}

impl std::error::Error for SnapshotError {}

/// The first word of a slot: 3 bits of area, 29 of mask (which words follow), 32 of place. (In the
/// version before: 1 bit of area.)
#[derive(Clone, Copy, Debug)]
struct Head {
    /// `None`: the keys of rules in a file of the version before.
    area: Option<Area>,
    mask: u32,
    place: SlotPlace,
}

impl Head {
    fn word(self) -> u64 {
        let is_its = |area: &Area| Some(*area) == self.area;
        let area = Area::ALL.iter().position(is_its).unwrap_or(0) as u64;
        let place = (self.place.set * WAYS + self.place.way) as u64;
        area << 61 | u64::from(self.mask) << 32 | place
    }

    /// `None`: no head of this version.
    fn of(word: u64, version: u64) -> Option<Self> {
        let (area, mask) = match version {
            OLD_VERSION => ((word >> 63 == 0).then_some(Area::Clients), word >> 32 & 0x7fff_ffff),
            _ => {
                let number = usize::try_from(word >> 61).ok()?;
                (Some(*Area::ALL.get(number)?), word >> 32 & 0x1fff_ffff)
            }
        };
        let mask = u32::try_from(mask).ok()?;
        let number = usize::try_from(word & 0xffff_ffff).ok()?;
        let place = SlotPlace { set: number / WAYS, way: number % WAYS };
        (mask >> SLOT_WORDS == 0).then_some(Self { area, mask, place })
    }

    /// The indices of the words that follow.
    fn indices(self) -> impl Iterator<Item = usize> {
        (0..SLOT_WORDS).filter(move |index| self.mask >> index & 1 == 1)
    }
}

/// A snapshot that was read, and is complete and unchanged.
#[derive(Debug)]
pub struct Snapshot<'b> {
    version: u64,
    boot_id: BootId,
    saved: Now,
    seed: (u64, u64),
    slots: &'b [u8],
    rates: &'b [u8],
    /// What was learned, in tables of this size.
    learned: [&'b [u8]; 2],
    table_len: usize,
}

/// What became of the slots of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// They are in the zone.
    pub kept: usize,
    /// The zone is smaller than the one that was saved, and had no room for them.
    pub left_out: usize,
    /// They are those of rules, in a file of the version before, which can't be told apart: these limits
    /// begin unused.
    pub outdated: usize,
}

/// A slot of a snapshot.
#[derive(Clone, Copy, Debug)]
struct SavedSlot<'b> {
    head: Head,
    /// `None` where its area isn't known.
    key: Option<Key>,
    words: Words<'b>,
}

impl<'b> SavedSlot<'b> {
    fn words(&self) -> impl Iterator<Item = (usize, u64)> + use<'b> {
        self.head.indices().zip(self.words)
    }
}

/// Words out of bytes.
#[derive(Clone, Copy, Debug)]
struct Words<'b>(&'b [u8]);

impl Iterator for Words<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*word))
    }
}

/// Places and the words that stand there.
fn pairs(bytes: &[u8]) -> impl Iterator<Item = (usize, u64)> + '_ {
    let mut words = Words(bytes);
    std::iter::from_fn(move || {
        let (place, word) = (words.next()?, words.next()?);
        Some((usize::try_from(place).unwrap_or(usize::MAX), word))
    })
}

impl<'b> Words<'b> {
    /// The next slot; `None` at the end, or where there is none.
    fn slot(&mut self, version: u64) -> Option<SavedSlot<'b>> {
        let head = Head::of(self.next()?, version)?;
        let (low, high) = (self.next()?, self.next()?);
        let key = head.area.map(|area| Key::from_hash(area, low, high));
        let (words, rest) = self.0.split_at_checked(head.indices().count() * 8)?;
        self.0 = rest;
        Some(SavedSlot { head, key, words: Words(words) })
    }
}

impl<'b> Snapshot<'b> {
    /// Reads a state file, and verifies all of it.
    ///
    /// # Errors
    ///
    /// See [`SnapshotError`].
    pub fn read(bytes: &'b [u8]) -> Result<Self, SnapshotError> {
        let (head, _) = bytes.split_at_checked(16).ok_or(SnapshotError::Foreign)?;
        if !head.starts_with(MAGIC) {
            return Err(SnapshotError::Foreign);
        }
        let version = match Words(head).nth(1) {
            Some(version @ (VERSION | OLD_VERSION)) => version,
            other => return Err(SnapshotError::Version(other.unwrap_or(0))),
        };
        let (content, checksum) = bytes
            .len()
            .checked_sub(CHECKSUM_LEN)
            .and_then(|end| bytes.split_at_checked(end))
            .ok_or(SnapshotError::Damaged)?;
        if Sha256::digest(content).as_slice() != checksum {
            return Err(SnapshotError::Damaged);
        }
        // What follows can fail only for a file that was made by hand.
        Self::parse(bytes, version).ok_or(SnapshotError::Damaged)
    }

    fn parse(bytes: &'b [u8], version: u64) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(HEAD_LEN)?;
        let is_old = version == OLD_VERSION;
        let tail_len = if is_old { OLD_TAIL_LEN } else { TAIL_LEN };
        let (body, tail) = rest.split_at_checked(rest.len().checked_sub(tail_len)?)?;
        let boot_id = *head.get(16..)?.first_chunk()?;
        let mut words = Words(head.get(32..)?);
        let mono = MonoNanos(words.next()?);
        let wall = UnixSeconds(i64::from_le_bytes(words.next()?.to_le_bytes()));
        let seed = (words.next()?, words.next()?);
        let mut counts = Words(tail).map(|count| usize::try_from(count).ok());
        let mut count = || counts.next().flatten();
        let (slots_count, rates_count, outputs) = (count()?, count()?, count()?);
        let (inputs, table_len) = if is_old { (0, 0) } else { (count()?, count()?) };
        if count()? != bytes.len() {
            return None;
        }
        let split = |body: &'b [u8], count: usize, size: usize| {
            body.split_at_checked(body.len().checked_sub(count.checked_mul(size)?)?)
        };
        let (body, inputs) = split(body, inputs, 16)?;
        let (body, outputs) = split(body, outputs, 16)?;
        let (slots, rates) = split(body, rates_count, 8)?;
        let saved = Now { mono, wall };
        let learned = [outputs, inputs];
        let snapshot = Self { version, boot_id, saved, seed, slots, rates, learned, table_len };
        snapshot.is_sound(slots_count).then_some(snapshot)
    }

    /// Whether every slot can be read, and every word means something.
    fn is_sound(&self, count: usize) -> bool {
        let rates = self.rates.len() / 8;
        let is_word = |(index, word): (usize, u64)| match Kind::of(index) {
            Kind::Bucket => usize::from(Level::of(word).index) <= rates && word != FROZEN,
            Kind::Budget(_) => word != FROZEN,
            Kind::Concurrency => false,
        };
        let mut words = Words(self.slots);
        let mut found = 0;
        while let Some(slot) = words.slot(self.version) {
            if !slot.words().all(is_word) {
                return false;
            }
            found += 1;
        }
        words.0.is_empty() && found == count && Words(self.rates).all(rates::is_quota)
    }

    /// Makes a zone of `words`, whatever they held, with what was saved. Where it is smaller than
    /// the one that was saved, those keep their place that are furthest from being unused. Nobody
    /// else may use the memory yet.
    ///
    /// # Errors
    ///
    /// As [`Zone::format`].
    pub fn format<'z>(
        &self,
        words: &'z [AtomicU64],
        now: Now,
        boot_id: BootId,
    ) -> Result<(Zone<'z>, Restored), LayoutError> {
        let zone = Zone::format(words, self.seed)?;
        zone.rates.fill(Words(self.rates));
        let tables = [zone.outputs.lines(), zone.inputs.lines()];
        for (table, learned) in tables.into_iter().zip(self.learned) {
            // Where a line is, depends on how many there are.
            if table.len() == self.table_len {
                table.restore(pairs(learned), Minute::of(now.mono), Minute::of(self.saved.mono));
            }
        }
        let restoring = Restoring {
            zone,
            scales: zone.rates.scales(),
            now,
            elapsed: self.elapsed(now, boot_id),
        };
        let mut restored = Restored::default();
        let mut slots = Vec::new();
        let mut words = Words(self.slots);
        while let Some(slot) = words.slot(self.version) {
            let Some(key) = slot.key else {
                restored.outdated += 1;
                continue;
            };
            let lasts = slot.words().map(|(index, word)| restoring.lasts(index, word)).max();
            // What has become idle meanwhile needs no slot.
            if let Some(lasts) = lasts.filter(|lasts| *lasts > 0) {
                slots.push((lasts, key, slot));
            }
        }
        slots.sort_by_key(|(lasts, ..)| std::cmp::Reverse(*lasts));
        for (_, key, slot) in slots {
            match restoring.put(key, &slot) {
                true => restored.kept += 1,
                false => restored.left_out += 1,
            }
        }
        Ok((zone, restored))
    }

    /// Nanoseconds since the snapshot: by the monotonic clock, if it is still the same one.
    fn elapsed(&self, now: Now, boot_id: BootId) -> u64 {
        if boot_id == self.boot_id && boot_id != BootId::default() {
            return now.mono.0.saturating_sub(self.saved.mono.0);
        }
        // Whole seconds were cut off at both ends, so one may be missing.
        let seconds = now.wall.0.saturating_sub(self.saved.wall.0).saturating_sub(1);
        u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000)
    }
}

/// A zone into which slots are put.
struct Restoring<'z> {
    zone: Zone<'z>,
    scales: Vec<Option<Scale>>,
    now: Now,
    /// Nanoseconds since the snapshot.
    elapsed: u64,
}

impl Restoring<'_> {
    fn scale(&self, word: u64) -> Option<&Scale> {
        self.scales.get(usize::from(Level::of(word).index))?.as_ref()
    }

    /// How long a word still lasts until it is idle, in nanoseconds.
    fn lasts(&self, index: usize, word: u64) -> u64 {
        match Kind::of(index) {
            Kind::Bucket => {
                let lasts = bucket::lasts(Level::of(word), self.scale(word));
                lasts.saturating_sub(self.elapsed)
            }
            Kind::Budget(calendar) => budget::lasts(calendar, word, self.now.wall),
            Kind::Concurrency => 0,
        }
    }

    /// Puts a slot into the zone; `false`: there is no room.
    fn put(&self, key: Key, saved: &SavedSlot<'_>) -> bool {
        let slots = self.zone.slots(key);
        let Some(place) = slots.put(key, saved.head.place, self.now) else { return false };
        let words = slots.slot(place);
        for (index, word) in saved.words() {
            let word = match Kind::of(index) {
                Kind::Bucket => {
                    bucket::absolute(word, self.scale(word), self.now.mono, self.elapsed)
                }
                Kind::Budget(_) => word,
                Kind::Concurrency => continue,
            };
            if let Some(place) = words.get(index) {
                place.store(word, Ordering::Release);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests;

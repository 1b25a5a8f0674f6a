//! Writing a snapshot.

use sha2::{Digest, Sha256};

use super::super::ask::{Kind, Now};
use super::super::bucket::{self, Level, Scale};
use super::super::frozen::FROZEN;
use super::super::key::Area;
use super::super::slots::{SlotPlace, WAYS};
use super::super::sync::Ordering;
use super::super::zone::Zone;
use super::{BootId, Head, CHECKSUM_LEN, MAGIC, VERSION};

/// A snapshot that is being written. It may take several steps, between which requests are served:
/// each slot is written as it is when its turn comes.
#[derive(Debug)]
pub struct Saving<'z> {
    zone: Zone<'z>,
    scales: Vec<Option<Scale>>,
    begun: Now,
    /// The next set, counted over all areas.
    set: usize,
    slots: u64,
    length: usize,
    hasher: Sha256,
}

impl<'z> Saving<'z> {
    /// Begins a snapshot of `zone`; what is to be written first is appended to `out`.
    pub fn new(zone: Zone<'z>, now: Now, boot_id: BootId, out: &mut Vec<u8>) -> Self {
        let mut saving = Self {
            zone,
            scales: zone.rates.scales(),
            begun: now,
            set: 0,
            slots: 0,
            length: 0,
            hasher: Sha256::new(),
        };
        saving.append(out, |_, out| {
            out.extend_from_slice(MAGIC);
            put(out, VERSION);
            out.extend_from_slice(&boot_id);
            put(out, now.mono.0);
            out.extend_from_slice(&now.wall.0.to_le_bytes());
            put(out, zone.seed.0);
            put(out, zone.seed.1);
        });
        saving
    }

    /// Appends the next `sets` sets of eight slots to `out`. Gives whether all are written.
    pub fn step(&mut self, now: Now, sets: usize, out: &mut Vec<u8>) -> bool {
        let begin = self.set;
        let end = begin.saturating_add(sets);
        let mut first = 0;
        for area in Area::ALL {
            let next = first + self.zone.area(area).sets();
            let of_area = begin.clamp(first, next)..end.clamp(first, next);
            self.append(out, |saving, out| {
                for set in of_area {
                    for way in 0..WAYS {
                        let place = SlotPlace { set: set - first, way };
                        saving.slots += u64::from(saving.slot(area, place, now, out));
                    }
                }
            });
            first = next;
        }
        self.set = end.min(first);
        self.set == first
    }

    /// Appends the rest to `out`, with whatever steps are missing.
    pub fn finish(mut self, now: Now, out: &mut Vec<u8>) {
        self.step(now, usize::MAX, out);
        self.append(out, |saving, out| {
            // After the slots, as rates are only ever added.
            let rates: Vec<u64> = saving.zone.rates.entries().collect();
            rates.iter().for_each(|quota| put(out, *quota));
            let tables = [saving.zone.outputs.lines(), saving.zone.inputs.lines()];
            let counts = tables.map(|table| {
                let mut count = 0;
                for (place, entry) in table.entries() {
                    put(out, place as u64);
                    put(out, entry);
                    count += 1;
                }
                count
            });
            put(out, saving.slots);
            put(out, rates.len() as u64);
            counts.into_iter().for_each(|count| put(out, count));
            put(out, tables[0].len() as u64);
        });
        let length = self.length + 8 + CHECKSUM_LEN;
        self.append(out, |_, out| put(out, length as u64));
        out.extend_from_slice(&self.hasher.finalize());
    }

    /// Appends what `write` writes, and counts it in.
    fn append(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Self, &mut Vec<u8>)) {
        let start = out.len();
        write(self, out);
        let written = out.get(start..).unwrap_or_default();
        self.hasher.update(written);
        self.length += written.len();
    }

    /// Writes a slot, if it is in use and not idle: which it is, what follows, its key, and its
    /// words.
    fn slot(&self, area: Area, place: SlotPlace, now: Now, out: &mut Vec<u8>) -> bool {
        let slots = self.zone.area(area);
        let Some(key) = slots.key(area, place) else { return false };
        let start = out.len();
        put(out, 0);
        put(out, key.low);
        put(out, key.high);
        let mut mask = 0;
        for (index, word) in slots.slot(place).iter().enumerate() {
            let word = word.load(Ordering::Acquire);
            let word = match Kind::of(index) {
                Kind::Bucket if word != FROZEN => {
                    let index = Level::of(word).index;
                    // One that was entered since the beginning is looked up.
                    let known = self.scales.get(usize::from(index)).copied();
                    let scale = known.unwrap_or_else(|| self.zone.rates.get(index));
                    bucket::relative(word, scale.as_ref(), self.begun.mono)
                }
                Kind::Budget(_) if !slots.is_idle(index, word, now) => Some(word),
                _ => None,
            };
            let Some(word) = word else { continue };
            mask |= 1 << index;
            put(out, word);
        }
        // It may have been given away meanwhile, and then it is idle.
        let is_kept = mask != 0 && slots.holds(place, key);
        if is_kept {
            let head = Head { area: Some(area), mask, place };
            let word = out.get_mut(start..).and_then(|slot| slot.first_chunk_mut());
            if let Some(word) = word {
                *word = head.word().to_le_bytes();
            }
        } else {
            out.truncate(start);
        }
        is_kept
    }
}

pub(super) fn put(out: &mut Vec<u8>, word: u64) {
    out.extend_from_slice(&word.to_le_bytes());
}

impl Zone<'_> {
    /// A snapshot in one step. It reads the whole zone, so a worker that serves requests takes
    /// [`Saving`] instead.
    #[must_use]
    pub fn save(&self, now: Now, boot_id: BootId) -> Vec<u8> {
        let mut out = Vec::new();
        Saving::new(*self, now, boot_id, &mut out).finish(now, &mut out);
        out
    }
}

//! The networks of each key: a table in memory that all workers share.
//!
//! ```text
//! header | ranking | sets of 8 records | ...
//! set:    8 tags | 8 marks | 8 times 16 entries
//! tag:    keyed hash of the key, and of the number of the record among those of the key; 0: none
//! mark:   minute of the last notice (24 bits), plus 1 | records of the key (8) | stamp (32)
//! entry:  keyed hash of the network (40) | minute in which it was last seen (24); 0: none
//! ```
//!
//! No key and no address is stored, and of names only those of keys in the ranking. A key begins with one record, and has further ones where it is used
//! from more networks at a time than one record holds. A record may be in either of two sets, which its tag says.
//!
//! Who looks takes no lock, nor who sees a network again that counts already: that changes one word. One process
//! at a time adds networks. A record that changes hands has no tag meanwhile; so it is empty if a process dies in
//! the middle of that.
//!
//! Where there is no room, the first record of a key takes that of a key that has been silent for longest: nobody
//! is refused for it, and some networks of that key are forgotten. Further records take no other key's first one:
//! a key that is used from everywhere pushes out no others.

mod census;
mod look;
mod ranking;
mod record;

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::super::limits::sync::{planted, AtomicU64, Ordering};
use super::super::limits::{ClaimLock, Layout, LayoutError, ProcessLock};
use super::{Minute, Network, HOUR, MAX_NETWORKS, MINUTE_BITS};
pub(super) use look::Place;
pub use ranking::Ranked;

use look::Look;
use ranking::Ranking;
use record::{is_live, replace, seen, Mark, Record, ENTRIES, MINUTE_MASK, SET_WORDS, WAYS};

const LAYOUT: Layout = Layout::new(*b"tgwheres", 1);

// The header, by word.
const WORD_SEED: usize = 2;
const WORD_SETS: usize = 4;
/// The last stamp.
const WORD_STAMPS: usize = 5;
/// Words of the ranking.
const WORD_RANKING: usize = 6;
const WORD_LOCK: usize = 8;
const HEADER_WORDS: usize = 16;

/// Records of a key.
const MAX_RECORDS: u64 = MAX_NETWORKS as u64 / ENTRIES as u64;

/// Bytes that a key takes, which is used from no more than 16 networks an hour.
pub const KEY_BYTES: usize = (2 + ENTRIES) * 8;

/// An odd number without a pattern: 2^64, divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A key: a keyed hash of its client and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyHash(u64);

impl KeyHash {
    /// The tag of a record of the key.
    fn tag(self, number: u64) -> u64 {
        self.0.wrapping_add(number.wrapping_mul(SPREAD)).max(1)
    }

    pub(super) fn word(self) -> u64 {
        self.0
    }
}

/// What was seen of a key with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// From how many networks the key was used within an hour, [`MAX_NETWORKS`] standing for all that are more.
    pub networks: u16,
    /// Whether that of the request is one of them.
    pub counts: bool,
    /// Whether there was no room for it, or networks of another key were forgotten for it.
    pub crowded: bool,
    /// Whether it came to count just now: [`Whereabouts::rank`] is to be told.
    pub is_new: bool,
}

/// A view of the table.
#[derive(Clone, Copy, Debug)]
pub struct Whereabouts<'m> {
    seed: (u64, u64),
    ranking: Ranking<'m>,
    sets: &'m [AtomicU64],
    stamps: &'m AtomicU64,
    lock: ProcessLock<'m>,
}

impl<'m> Whereabouts<'m> {
    /// Makes an empty table of `words`, whatever they held.
    ///
    /// # Errors
    ///
    /// When there are too few words for one set.
    pub fn format(words: &'m [AtomicU64], seed: (u64, u64)) -> Result<Self, LayoutError> {
        let ranking = ranking::words_of(words.len());
        let sets = words.len().saturating_sub(HEADER_WORDS.saturating_add(ranking)) / SET_WORDS;
        if sets == 0 {
            return Err(LayoutError::TooSmall);
        }
        for word in words {
            word.store(0, Ordering::Relaxed);
        }
        let seed = [(WORD_SEED, seed.0), (WORD_SEED + 1, seed.1)];
        let lengths = [(WORD_SETS, sets as u64), (WORD_RANKING, ranking as u64)];
        LAYOUT.begin(words, seed.into_iter().chain(lengths))?;
        Self::attach(words)
    }

    /// The table that lies in `words`, as it is.
    ///
    /// # Errors
    ///
    /// When it was not made by this version.
    pub fn attach(words: &'m [AtomicU64]) -> Result<Self, LayoutError> {
        let memory = LAYOUT.open(words)?;
        let start = HEADER_WORDS.saturating_add(memory.count(WORD_RANKING)?);
        let end = start.saturating_add(memory.count(WORD_SETS)?.saturating_mul(SET_WORDS));
        Ok(Self {
            seed: memory.seed(WORD_SEED)?,
            ranking: Ranking::new(memory.part(HEADER_WORDS..start)?),
            sets: memory.part(start..end)?,
            stamps: memory.word(WORD_STAMPS)?,
            lock: ProcessLock::new(memory.word(WORD_LOCK)?),
        })
    }

    /// The table's mutex.
    #[must_use]
    pub fn lock(&self) -> ProcessLock<'m> {
        self.lock
    }

    /// By which hashes of keys are computed.
    #[must_use]
    pub fn seed(&self) -> (u64, u64) {
        self.seed
    }

    /// The key of this id, which is one of the client's; without an id, all that the client has.
    #[must_use]
    pub fn key(&self, client: &str, id: Option<&str>) -> KeyHash {
        let mut hasher = SipHasher13::new_with_keys(self.seed.0, self.seed.1);
        hasher.write_u64(client.len() as u64);
        hasher.write(client.as_bytes());
        if let Some(id) = id {
            hasher.write_u8(1);
            hasher.write(id.as_bytes());
        }
        KeyHash(hasher.finish128().h1)
    }

    /// Notes that a key is used from a network, if that counts already, or fewer than `most` do.
    pub fn note(
        &self,
        key: KeyHash,
        network: Network,
        most: u16,
        now: Minute,
        lock: &impl ClaimLock,
    ) -> Sighting {
        self.note_at(key, network, most, now, lock).0
    }

    /// The same, with the place of the key.
    pub(super) fn note_at(
        &self,
        key: KeyHash,
        network: Network,
        most: u16,
        now: Minute,
        lock: &impl ClaimLock,
    ) -> (Sighting, Option<Place>) {
        let hash = self.entry(network);
        let found = self.look(key, hash, now);
        if let Some((word, entry)) = found.own.filter(|(_, entry)| is_live(*entry, now)) {
            if seen(entry) < now {
                let again = hash | u64::from(now.0);
                // Who has changed it meanwhile has seen it as well, or has forgotten the key.
                match planted!(BlindSighting) {
                    true => word.store(again, Ordering::Release),
                    false => {
                        _ = word.compare_exchange(entry, again, Ordering::AcqRel, Ordering::Acquire)
                    }
                }
            }
            return (found.sighting(true), found.place());
        }
        if found.live >= most.min(MAX_NETWORKS) {
            return (found.sighting(false), None);
        }
        lock.with(|| self.add(key, hash, most, now))
    }

    /// Whether the first record of a key is where it was, and no network was added.
    #[inline]
    pub(super) fn is_as_it_was(&self, key: KeyHash, place: Place) -> bool {
        let word = |at: usize| self.sets.get(at).map(|word| word.load(Ordering::Acquire));
        let stamp = word(place.tag_at.wrapping_add(WAYS)).map(record::stamp);
        word(place.tag_at) == Some(key.tag(0)) && stamp == Some(place.stamp)
    }

    /// From how many networks a key was used within an hour.
    #[must_use]
    pub fn count(&self, key: KeyHash, now: Minute) -> u16 {
        self.look(key, 0, now).live
    }

    /// Whether it is to be told that a key is used from too many networks: whoever asks first within an hour is
    /// to do that.
    pub fn is_to_be_told(&self, key: KeyHash, now: Minute, lock: &impl ClaimLock) -> bool {
        let due = || {
            let first = self.find(key.tag(0))?;
            let mark = first.mark();
            let was_told = |told: Minute| now.0.saturating_sub(told.0) < HOUR;
            (!mark.told.is_some_and(was_told)).then_some((first, mark))
        };
        if due().is_none() {
            return false;
        }
        lock.with(|| {
            let Some((first, mark)) = due() else { return false };
            first.mark.store(Mark { told: Some(now), ..mark }.word(), Ordering::Release);
            true
        })
    }

    /// Notes whose key it is that has had a network added, if it has more than others.
    pub fn rank(
        &self,
        (client, id): (&str, Option<&str>),
        networks: u16,
        now: Minute,
        lock: &impl ClaimLock,
    ) {
        let names = [client, id.unwrap_or_default()];
        let tag = self.key(client, id).tag(0);
        let count = |tag| self.count(KeyHash(tag), now);
        lock.with(|| self.ranking.put(tag, networks, names, now, count));
    }

    /// The keys that were used from most networks within an hour, those with most first: 64 of them, or fewer where
    /// there is little memory.
    #[must_use]
    pub fn ranking(&self, now: Minute) -> Vec<Ranked> {
        self.ranking.read(|tag| self.count(KeyHash(tag), now))
    }

    /// Adds a network. Only for who holds the lock.
    fn add(&self, key: KeyHash, hash: u64, most: u16, now: Minute) -> (Sighting, Option<Place>) {
        let found = self.look(key, hash, now);
        let entry = hash | u64::from(now.0);
        // Another one may have been faster.
        if let Some((word, _)) = found.own.filter(|(_, entry)| is_live(*entry, now)) {
            replace(word, entry);
            return (found.sighting(true), found.place());
        }
        if found.live >= most.min(MAX_NETWORKS) {
            return (found.sighting(false), None);
        }
        let (mut crowded, stamp) = (false, self.next_stamp());
        let (first, mark) = match (found.own.map(|(word, _)| word).or(found.free), found.first) {
            (_, None) => {
                let Some((record, displaces)) = self.room(key.tag(0), true, now) else {
                    return (Sighting { crowded: true, ..found.sighting(false) }, None);
                };
                let mark = Mark { told: None, records: 1, stamp };
                record.change_hands(key.tag(0), mark, entry);
                crowded = displaces;
                (record, mark)
            }
            (Some(word), Some((first, mark))) => {
                replace(word, entry);
                (first, Mark { stamp, ..mark })
            }
            (None, Some((first, mark))) => {
                let number = found.lacks;
                let room = Some(()).filter(|()| number < MAX_RECORDS);
                let room = room.and_then(|()| self.room(key.tag(number), false, now));
                let Some((record, displaces)) = room else {
                    return (Sighting { crowded: true, ..found.sighting(false) }, None);
                };
                record.change_hands(key.tag(number), Mark { told: None, records: 0, stamp }, entry);
                crowded = displaces;
                (first, Mark { records: mark.records.max(number.saturating_add(1)), stamp, ..mark })
            }
        };
        first.mark.store(mark.word(), Ordering::Release);
        let networks = found.live.saturating_add(1);
        let place = Place { tag_at: first.tag_at(), stamp };
        (Sighting { networks, counts: true, crowded, is_new: true }, Some(place))
    }

    /// What is known of a key, and of the network with this hash.
    fn look(&self, key: KeyHash, hash: u64, now: Minute) -> Look<'m> {
        let mut found = Look { first: None, live: 0, own: None, free: None, lacks: 0 };
        let Some(first) = self.find(key.tag(0)) else { return found };
        let mark = first.mark();
        found.lacks = mark.records;
        for number in 0..mark.records.min(MAX_RECORDS) {
            let tag = key.tag(number);
            let record = if number == 0 { Some(first) } else { self.find(tag) };
            let Some(record) = record else {
                found.lacks = found.lacks.min(number);
                continue;
            };
            let (mut live, mut own, mut free) = (0_u16, None, None);
            for word in record.entries {
                let entry = word.load(Ordering::Acquire);
                if entry & !MINUTE_MASK == hash {
                    own = Some((word, entry));
                }
                let counts = is_live(entry, now);
                live = live.wrapping_add(u16::from(counts));
                if !counts && free.is_none() {
                    free = Some(word);
                }
            }
            // It may have changed hands, and then is not the key's.
            if record.tag.load(Ordering::Acquire) == tag || planted!(HastyCount) {
                found.live = found.live.saturating_add(live).min(MAX_NETWORKS);
                (found.own, found.free) = (found.own.or(own), found.free.or(free));
                found.first = found.first.or(Some((record, mark)).filter(|_| number == 0));
            }
        }
        found
    }

    /// The record with this tag.
    #[inline]
    fn find(&self, tag: u64) -> Option<Record<'m>> {
        for set in self.sets_of(tag) {
            let start = set.saturating_mul(SET_WORDS);
            let tags = self.sets.get(start..start.saturating_add(WAYS)).unwrap_or_default();
            let way = tags.iter().position(|word| word.load(Ordering::Acquire) == tag);
            if let Some(way) = way {
                return self.record(set.saturating_mul(WAYS).saturating_add(way));
            }
        }
        None
    }

    /// A record for this tag, and whether another key loses its networks for it. `is_first`: of one that has none.
    fn room(&self, tag: u64, is_first: bool, now: Minute) -> Option<(Record<'m>, bool)> {
        // One that was left over when the key lost its first one: its networks don't count any more.
        if let Some(record) = self.find(tag) {
            return Some((record, false));
        }
        let [first, second] = self.sets_of(tag).map(|set| self.records_of(set));
        let is_free =
            |record: &Record<'m>| record.last_seen().is_none_or(|minute| minute < now.hour_ago());
        let free = |records: &[Record<'m>]| records.iter().filter(|one| is_free(one)).count();
        // The emptier one.
        let emptier = if free(&second) > free(&first) { &second } else { &first };
        if let Some(record) = emptier.iter().find(|one| is_free(one)) {
            return Some((*record, false));
        }
        if !is_first {
            return None;
        }
        let all = first.iter().chain(&second);
        let oldest = all.min_by_key(|one| (one.mark().records != 0, one.last_seen()));
        oldest.map(|record| (*record, true))
    }

    fn records_of(&self, set: usize) -> Vec<Record<'m>> {
        let numbers = (0..WAYS).map(|way| set.saturating_mul(WAYS).saturating_add(way));
        numbers.filter_map(|number| self.record(number)).collect()
    }

    #[inline]
    fn record(&self, number: usize) -> Option<Record<'m>> {
        let start = (number / WAYS).saturating_mul(SET_WORDS);
        let set = self.sets.get(start..start.saturating_add(SET_WORDS))?;
        Record::of(set, number)
    }

    /// The halves of a tag, as fractions of the table.
    fn sets_of(&self, tag: u64) -> [usize; 2] {
        let sets = (self.sets.len() / SET_WORDS) as u64;
        [tag >> 32, tag & 0xffff_ffff].map(|half| usize::try_from((half * sets) >> 32).unwrap_or(0))
    }

    /// The entry of a network, without its minute.
    fn entry(&self, network: Network) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.seed.0, self.seed.1);
        hasher.write_u64(network.0);
        let hash = hasher.finish128().h1 & !MINUTE_MASK;
        // 0 is nobody's.
        hash.max(1 << MINUTE_BITS)
    }

    /// A stamp that no record has lately had. Only for who holds the lock.
    fn next_stamp(&self) -> u32 {
        let stamp = self.stamps.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
        u32::try_from(stamp & 0xffff_ffff).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;

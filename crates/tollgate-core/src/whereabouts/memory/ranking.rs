//! The keys that are used from most networks, by name: the table itself has no names.
//!
//! ```text
//! place: tag | networks, and the minute in which the last one was added | lengths | changes | 32 words | 32 words
//! ```
//!
//! While a place changes, its tag is 0. Changes are counted, so that whoever reads it notices those that came and
//! went meanwhile.
//!
//! A key comes in with a network that is added to it, in the place of one that is used from fewer. How many they are
//! now is asked of the table: networks come to an end without a word.

use super::super::super::limits::sync::{AtomicU64, Ordering};
use super::super::Minute;

/// Words of a name, of 256 bytes at most.
const NAME_WORDS: usize = 32;
/// Words of a place.
const PLACE_WORDS: usize = 8 + 2 * NAME_WORDS;
/// The most keys that are ranked.
const MAX_PLACES: usize = 64;
/// How many places are looked at for one that may be given away.
const TRIES: usize = 4;

/// How many words of so many are for the ranking.
pub(super) fn words_of(words: usize) -> usize {
    (words / 16 / PLACE_WORDS).min(MAX_PLACES) * PLACE_WORDS
}

/// A key that is used from many networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranked {
    /// Whose it is.
    pub client: String,
    /// Its id; empty where it is counted by its client.
    pub key_id: String,
    /// From how many networks it was used within an hour.
    pub networks: u16,
}

/// The places of keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ranking<'m> {
    words: &'m [AtomicU64],
}

#[derive(Clone, Copy, Debug)]
struct Place<'m> {
    tag: &'m AtomicU64,
    rank: &'m AtomicU64,
    lens: &'m AtomicU64,
    changes: &'m AtomicU64,
    names: &'m [AtomicU64],
}

/// What a place says of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rank {
    networks: u16,
    added: Minute,
}

impl Rank {
    fn of(word: u64) -> Self {
        let added = Minute(u32::try_from(word >> 16 & 0xffff_ffff).unwrap_or(0));
        Self { networks: u16::try_from(word & 0xffff).unwrap_or(0), added }
    }

    fn word(self) -> u64 {
        u64::from(self.added.0) << 16 | u64::from(self.networks)
    }
}

impl<'m> Place<'m> {
    fn of(words: &'m [AtomicU64]) -> Option<Self> {
        let [tag, rank, lens, changes, ..] = words else { return None };
        Some(Self { tag, rank, lens, changes, names: words.get(8..)? })
    }

    fn rank(self) -> Rank {
        Rank::of(self.rank.load(Ordering::Acquire))
    }

    /// Only for who holds the lock.
    fn give(self, tag: u64, rank: Rank, names: [&str; 2]) {
        self.tag.store(0, Ordering::Release);
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.rank.store(rank.word(), Ordering::Release);
        let lens = names.map(|name| name.len().min(NAME_WORDS * 8) as u64);
        let [client, id] = lens;
        self.lens.store(client << 32 | id, Ordering::Release);
        for (words, name) in self.names.chunks(NAME_WORDS).zip(names) {
            for (word, bytes) in words.iter().zip(name.as_bytes().chunks(8)) {
                let mut le = [0; 8];
                le.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                word.store(u64::from_le_bytes(le), Ordering::Release);
            }
        }
        self.tag.store(tag, Ordering::Release);
    }

    /// Runs `f` with what is read of it at one moment, and its tag; `None`: nobody's, or given away meanwhile.
    fn at_once<T>(self, f: impl FnOnce() -> T) -> Option<(u64, T)> {
        let changes = self.changes.load(Ordering::Acquire);
        // Only then: all changes that are known up to here have come to their end.
        let tag = Some(self.tag.load(Ordering::Acquire)).filter(|tag| *tag != 0)?;
        let found = f();
        (self.changes.load(Ordering::Acquire) == changes).then_some((tag, found))
    }

    fn names(self) -> [String; 2] {
        let lens = self.lens.load(Ordering::Acquire);
        let (client, id) = self.names.split_at(NAME_WORDS.min(self.names.len()));
        [(client, lens >> 32), (id, lens & 0xffff_ffff)].map(|(words, len)| {
            let bytes = words.iter().flat_map(|word| word.load(Ordering::Acquire).to_le_bytes());
            let bytes: Vec<u8> = bytes.take(usize::try_from(len).unwrap_or(0)).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        })
    }
}

impl<'m> Ranking<'m> {
    pub(super) fn new(words: &'m [AtomicU64]) -> Self {
        Self { words }
    }

    fn places(&self) -> impl Iterator<Item = Place<'m>> + use<'m> {
        self.words.chunks_exact(PLACE_WORDS).filter_map(Place::of)
    }

    /// A network was added to the key with this tag, which has so many now. `count` says how many another one has
    /// left. Only for who holds the lock.
    pub(super) fn put(
        &self,
        tag: u64,
        networks: u16,
        names: [&str; 2],
        now: Minute,
        count: impl Fn(u64) -> u16,
    ) {
        let rank = Rank { networks, added: now };
        let known = self.places().find(|place| place.tag.load(Ordering::Acquire) == tag);
        if let Some(place) = known {
            place.rank.store(rank.word(), Ordering::Release);
            return;
        }
        for _ in 0..TRIES {
            let value = |place: &Place<'_>| match place.tag.load(Ordering::Acquire) {
                0 => None,
                // What was added long ago is of no worth until it is counted again.
                _ => Some(place.rank()).map(|rank| match rank.added < now.hour_ago() {
                    true => 0,
                    false => rank.networks,
                }),
            };
            let Some(lowest) = self.places().min_by_key(value) else { return };
            if value(&lowest).is_some_and(|value| value >= networks) {
                return;
            }
            let left = match lowest.tag.load(Ordering::Acquire) {
                0 => 0,
                other => count(other),
            };
            if left < networks {
                lowest.give(tag, rank, names);
                return;
            }
            lowest.rank.store(Rank { networks: left, added: now }.word(), Ordering::Release);
        }
    }

    /// All of them that have any left, those with most first.
    pub(super) fn read(&self, count: impl Fn(u64) -> u16) -> Vec<Ranked> {
        let named = self.places().filter_map(|place| place.at_once(|| place.names()));
        let ranked = named.map(|(tag, [client, key_id])| {
            let networks = count(tag);
            Ranked { client, key_id, networks }
        });
        let mut ranked: Vec<Ranked> = ranked.filter(|ranked| ranked.networks > 0).collect();
        ranked.sort_by(|one, other| {
            let order = other.networks.cmp(&one.networks);
            order.then_with(|| (&one.client, &one.key_id).cmp(&(&other.client, &other.key_id)))
        });
        ranked
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_came_back_meanwhile_is_not_taken_for_the_same() {
        let words: Vec<_> = (0..PLACE_WORDS).map(|_| AtomicU64::new(0)).collect();
        let place = Place::of(&words).unwrap();
        let rank = Rank { networks: 3, added: Minute(7) };
        let names = || ["acme".to_owned(), "k1".to_owned()];
        assert_eq!(place.at_once(|| place.names()), None);
        place.give(1, rank, ["acme", "k1"]);
        assert_eq!(place.at_once(|| place.names()), Some((1, names())));
        let away_and_back = || {
            place.give(2, rank, ["other", ""]);
            place.give(1, rank, ["acme", "k1"]);
            place.names()
        };
        assert_eq!(place.at_once(away_and_back), None);
        assert_eq!(place.at_once(|| place.names()), Some((1, names())));
    }
}

//! Texts in which a guard found nothing a moment ago: in a talk, all but the last message was looked at before.
//!
//! A direct-mapped table, as that of [routes](crate::llm::engines::RouteMemo): a text picks one place, and what was
//! looked at last has it. What a guard makes of a text depends on nothing but the guard and the text, so nothing has to
//! be forgotten. It holds no text, but 128 bits of a keyed hash of it, so that nobody can find a second text with the
//! same. Each client has its own: no other one learns from the time that an answer takes what this one has said.

use std::hash::Hasher;

use siphasher::sip128::{Hash128, Hasher128 as _, SipHasher13};
use tollgate_guard::guard::{Guard, Trust};

/// The texts that one worker remembers. The table is made when the first one is noted.
pub struct CleanTexts {
    places: Box<[Option<Known>]>,
    capacity: usize,
    key: [u8; 16],
}

#[derive(Clone, Copy)]
struct Known {
    digest: Digest,
    score: u8,
}

/// Stands for a text, before a guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(Hash128);

/// Not what it holds.
impl std::fmt::Debug for CleanTexts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CleanTexts").field("places", &self.places.len()).finish_non_exhaustive()
    }
}

impl CleanTexts {
    /// An empty table for so many texts. `key` must be random, and secret.
    #[must_use]
    pub fn new(capacity: usize, key: [u8; 16]) -> Self {
        Self { places: Box::default(), capacity, key }
    }

    /// What stands for a text of a client, who is trusted so far.
    #[must_use]
    pub fn digest(&self, client: &str, guard: &Guard, trust: Trust, text: &str) -> Digest {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write_u64(guard.id());
        hasher.write_u8(match trust {
            Trust::Said => 0,
            Trust::Fetched => 1,
        });
        // Names and texts of other lengths are never the same bytes.
        hasher.write_usize(client.len());
        hasher.write(client.as_bytes());
        hasher.write(text.as_bytes());
        Digest(hasher.finish128())
    }

    /// The score of a text in which nothing is found; `None`, where that isn't known.
    #[must_use]
    pub fn get(&self, digest: Digest) -> Option<u8> {
        let known = self.places.get(self.place(digest)?)?.as_ref()?;
        (known.digest == digest).then_some(known.score)
    }

    /// Nothing is found in the text, and it has this score.
    pub fn put(&mut self, digest: Digest, score: u8) {
        if self.places.is_empty() {
            self.places = vec![None; self.capacity].into();
        }
        let place = self.place(digest).and_then(|place| self.places.get_mut(place));
        if let Some(place) = place {
            *place = Some(Known { digest, score });
        }
    }

    fn place(&self, Digest(hash): Digest) -> Option<usize> {
        let places = u64::try_from(self.places.len()).ok()?;
        usize::try_from(hash.h1.checked_rem(places)?).ok()
    }
}

#[cfg(test)]
#[path = "clean_tests.rs"]
mod tests;

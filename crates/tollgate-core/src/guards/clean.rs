//! Texts in which a guard found nothing a moment ago: in a talk, all but the last message was looked at before.
//!
//! A direct-mapped table, as that of [routes](crate::llm::engines::RouteMemo): a text picks one place, and what was
//! looked at last has it. What a guard makes of a text depends on nothing but the guard and the text, so nothing has to
//! be forgotten. It holds no text, but [digests](super::digest).

use tollgate_guard::guard::{Guard, Trust};

use super::digest::Digest;

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
        let trust = match trust {
            Trust::Said => 0,
            Trust::Fetched => 1,
        };
        Digest::of(&self.key, (guard.id(), trust), client, text)
    }

    /// The score of a text in which nothing is found; `None`, where that isn't known.
    #[must_use]
    pub fn get(&self, digest: Digest) -> Option<u8> {
        let known = self.places.get(digest.place(self.places.len())?)?.as_ref()?;
        (known.digest == digest).then_some(known.score)
    }

    /// Nothing is found in the text, and it has this score.
    pub fn put(&mut self, digest: Digest, score: u8) {
        if self.places.is_empty() {
            self.places = vec![None; self.capacity].into();
        }
        let place = digest.place(self.places.len());
        if let Some(place) = place.and_then(|place| self.places.get_mut(place)) {
            *place = Some(Known { digest, score });
        }
    }
}

#[cfg(test)]
#[path = "clean_tests.rs"]
mod tests;

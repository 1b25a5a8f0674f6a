//! What classifiers have said of texts a moment ago: in a talk, all but the last message was judged before.
//!
//! A set-associative table, as that of [tokens](crate::jwt::TokenCache). It holds no text, but 128 bits of a keyed
//! hash of it, so that nobody can find a second text with the same.

use std::hash::{Hash, Hasher};

use siphasher::sip128::{Hash128, Hasher128 as _, SipHasher13};

use super::Verdict;

/// Entries in one set.
const WAYS: usize = 8;

/// The verdicts that one worker remembers.
pub struct Verdicts {
    sets: Box<[[Option<Entry>; WAYS]]>,
    key: [u8; 16],
}

#[derive(Clone, Copy)]
struct Entry {
    digest: Digest,
    verdict: Verdict,
    until_ms: u64,
}

/// Stands for a text, before a classifier.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest(Hash128);

/// One that is in a set of such.
impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.h1);
    }
}

/// Who asks whom.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// A number for the classifier.
    pub classifier: u64,
    /// And for the server whose location it is.
    pub server: usize,
    /// The client: no other one learns from the time that an answer takes what this one has said.
    pub client: &'a str,
}

/// Not what it holds.
impl std::fmt::Debug for Verdicts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verdicts").field("sets", &self.sets.len()).finish_non_exhaustive()
    }
}

impl Verdicts {
    /// An empty table for at most `capacity` verdicts, rounded down to whole sets of eight, but at least one. `key`
    /// must be random, and secret.
    #[must_use]
    pub fn new(capacity: usize, key: [u8; 16]) -> Self {
        let sets = (capacity / WAYS).max(1);
        Self { sets: (0..sets).map(|_| [None; WAYS]).collect(), key }
    }

    /// What stands for a text.
    #[must_use]
    pub fn digest(&self, asker: Asker<'_>, text: &str) -> Digest {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write_u64(asker.classifier);
        hasher.write_usize(asker.server);
        // Names and texts of other lengths are never the same bytes.
        hasher.write_usize(asker.client.len());
        hasher.write(asker.client.as_bytes());
        hasher.write(text.as_bytes());
        Digest(hasher.finish128())
    }

    /// What was said, if that still counts at `now_ms`.
    #[must_use]
    pub fn get(&self, digest: Digest, now_ms: u64) -> Option<Verdict> {
        let set = self.sets.get(self.place(digest))?;
        let known = set.iter().flatten().find(|entry| entry.digest == digest)?;
        (known.until_ms > now_ms).then_some(known.verdict)
    }

    /// Remembers what was said for `for_ms`, in the place of what is over, or will be soonest.
    pub fn put(&mut self, digest: Digest, verdict: Verdict, now_ms: u64, for_ms: u64) {
        if for_ms == 0 {
            return;
        }
        let place = self.place(digest);
        let Some(set) = self.sets.get_mut(place) else { return };
        let entry = Entry { digest, verdict, until_ms: now_ms.saturating_add(for_ms) };
        let worth = |entry: &Option<Entry>| match entry {
            Some(known) if known.digest == digest => 0,
            known => known.as_ref().map_or(1, |known| known.until_ms.max(1)),
        };
        if let Some(worst) = set.iter_mut().min_by_key(|entry| worth(entry)) {
            *worst = Some(entry);
        }
    }

    fn place(&self, Digest(hash): Digest) -> usize {
        let sets = u64::try_from(self.sets.len()).unwrap_or(1).max(1);
        usize::try_from(hash.h1 % sets).unwrap_or(0)
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;

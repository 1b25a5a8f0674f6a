//! What classifiers have said of texts a moment ago: in a talk, all but the last message was judged before.
//!
//! A set-associative table, as that of [tokens](crate::jwt::TokenCache). It holds no text, but
//! [digests](crate::guards::digest).

use super::Verdict;
use crate::guards::digest::Digest;

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
        let server = u64::try_from(asker.server).unwrap_or(u64::MAX);
        Digest::of(&self.key, (asker.classifier, server), asker.client, text)
    }

    /// What was said, if that still counts at `now_ms`.
    #[must_use]
    pub fn get(&self, digest: Digest, now_ms: u64) -> Option<Verdict> {
        let set = self.sets.get(digest.place(self.sets.len())?)?;
        let known = set.iter().flatten().find(|entry| entry.digest == digest)?;
        (known.until_ms > now_ms).then_some(known.verdict)
    }

    /// Remembers what was said for `for_ms`, in the place of what is over, or will be soonest.
    pub fn put(&mut self, digest: Digest, verdict: Verdict, now_ms: u64, for_ms: u64) {
        if for_ms == 0 {
            return;
        }
        let place = digest.place(self.sets.len());
        let Some(set) = place.and_then(|place| self.sets.get_mut(place)) else { return };
        let entry = Entry { digest, verdict, until_ms: now_ms.saturating_add(for_ms) };
        let worth = |entry: &Option<Entry>| match entry {
            Some(known) if known.digest == digest => 0,
            known => known.as_ref().map_or(1, |known| known.until_ms.max(1)),
        };
        if let Some(worst) = set.iter_mut().min_by_key(|entry| worth(entry)) {
            *worst = Some(entry);
        }
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;

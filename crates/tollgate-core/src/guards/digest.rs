//! What stands for a text where it is remembered that it was judged: no text, but 128 bits of a keyed hash of it, so
//! that nobody can find a second text with the same. Each client has its own: no other one learns from the time that an
//! answer takes what this one has said.

use std::hash::{Hash, Hasher};

use siphasher::sip128::{Hash128, Hasher128 as _, SipHasher13};

/// Stands for a text of a client, before whoever judges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(Hash128);

/// One that is in a set of such.
impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.h1);
    }
}

impl Digest {
    /// Of a text of this client, before the judge that two numbers tell from all others. `key` must be random, and secret.
    pub(super) fn of(key: &[u8; 16], judge: (u64, u64), client: &str, text: &str) -> Self {
        let mut hasher = SipHasher13::new_with_key(key);
        hasher.write_u64(judge.0);
        hasher.write_u64(judge.1);
        // Names and texts of other lengths are never the same bytes.
        hasher.write_usize(client.len());
        hasher.write(client.as_bytes());
        hasher.write(text.as_bytes());
        Self(hasher.finish128())
    }

    /// Which of so many places is its own; `None`, if there are none.
    pub(super) fn place(self, places: usize) -> Option<usize> {
        usize::try_from(self.0.h1.checked_rem(u64::try_from(places).ok()?)?).ok()
    }
}

//! Keys that were presented a moment ago, so that the next request with one costs no SHA-256.
//!
//! A direct-mapped table: the hash of a key picks one place, and the key that was found last has it.
//! Only known keys get in, so a stranger's guesses push nobody out. What is remembered is what the set
//! says of a key, and nothing about whether it is in force: that is judged every time. Another set, of
//! the changed file say, has another number, under which nothing is remembered yet.

use std::sync::Arc;

use siphasher::sip128::{Hash128, SipHasher13};

use super::key::ApiKey;

/// An odd number without a pattern: 2^64, divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The keys that one worker remembers.
pub struct KeyMemo {
    places: Box<[Option<Known>]>,
    key: [u8; 16],
}

struct Known {
    set: u64,
    /// Of the key.
    hash: Hash128,
    /// What the set says of it.
    entry: Arc<ApiKey>,
}

impl KeyMemo {
    /// An empty table for `capacity` keys. `key` must be random, and secret: nobody else can then
    /// make a second key with the hash of a known one.
    #[must_use]
    pub fn new(capacity: usize, key: [u8; 16]) -> Self {
        Self { places: (0..capacity).map(|_| None).collect(), key }
    }

    /// The entry of `key` in the set with the number `set`: remembered, or found by `find`.
    pub fn get(
        &mut self,
        set: u64,
        key: &[u8],
        find: impl FnOnce(&[u8]) -> Option<ApiKey>,
    ) -> Option<Arc<ApiKey>> {
        let hash = SipHasher13::new_with_key(&self.key).hash(key);
        // The same key of another set has another place. It is scaled to the number of places.
        let mixed = u128::from(hash.h1 ^ set.wrapping_mul(SPREAD));
        let index = (mixed * self.places.len() as u128) >> 64;
        let place = usize::try_from(index).ok().and_then(|index| self.places.get_mut(index));
        let Some(place) = place else { return find(key).map(Arc::new) };
        match place {
            Some(known) if known.set == set && known.hash == hash => Some(Arc::clone(&known.entry)),
            _ => {
                let entry = Arc::new(find(key)?);
                *place = Some(Known { set, hash, entry: Arc::clone(&entry) });
                Some(entry)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixSeconds;
    use crate::keys::KeySet;

    fn never(_: &[u8]) -> Option<ApiKey> {
        panic!("should have been remembered")
    }

    fn some(_: &[u8]) -> Option<ApiKey> {
        // The SHA-256 of "abc", as FIPS 180-4 has it.
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let json = format!(
            r#"{{"version":1,"keys":[{{"id":"k_3","client":"acme","hash":"sha256:{hash}"}}]}}"#
        );
        KeySet::parse(json.as_bytes()).unwrap().find(b"abc")
    }

    fn id(entry: Option<Arc<ApiKey>>) -> String {
        let entry = entry.unwrap();
        entry.judge(UnixSeconds(0), None).unwrap().key_id().unwrap().to_owned()
    }

    #[test]
    fn a_found_key_is_remembered_by_set_and_by_all_of_its_bytes() {
        let mut memo = KeyMemo::new(64, [7; 16]);
        assert_eq!(id(memo.get(1, b"tg_a", some)), "k_3");
        assert_eq!(id(memo.get(1, b"tg_a", never)), "k_3");
        for (set, key) in [(2, &b"tg_a"[..]), (1, b"tg_b"), (1, b"tg_"), (1, b"tg_a "), (1, b"")] {
            assert!(memo.get(set, key, |_| None).is_none());
        }
        assert_eq!(id(memo.get(1, b"tg_a", never)), "k_3");
    }

    #[test]
    fn unknown_keys_push_nobody_out() {
        let mut memo = KeyMemo::new(1, [7; 16]);
        memo.get(1, b"tg_a", some);
        for guess in 0u32..1000 {
            assert!(memo.get(1, &guess.to_le_bytes(), |_| None).is_none());
        }
        assert_eq!(id(memo.get(1, b"tg_a", never)), "k_3");
    }

    #[test]
    fn keys_have_places_all_over_the_table() {
        let mut memo = KeyMemo::new(64, [7; 16]);
        let keys: Vec<[u8; 4]> = (0u32..16).map(u32::to_le_bytes).collect();
        for key in &keys {
            memo.get(1, key, some);
        }
        let remembered = keys.iter().filter(|key| memo.get(1, *key, |_| None).is_some()).count();
        assert!(remembered > 8, "{remembered} of 16");
    }

    #[test]
    fn a_table_without_places_remembers_nothing() {
        let mut memo = KeyMemo::new(0, [7; 16]);
        for _ in 0..2 {
            assert_eq!(id(memo.get(1, b"tg_a", some)), "k_3");
            assert!(memo.get(1, b"tg_a", |_| None).is_none());
        }
    }
}

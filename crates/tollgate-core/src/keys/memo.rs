//! Keys that were presented a moment ago, so that the next request with one costs no SHA-256.
//!
//! A direct-mapped table: the hash of a key picks one place, and the key that was found last has it.
//! Only known keys get in, so a stranger's guesses push nobody out. What is remembered is where a key
//! stands in its set, and nothing about whether it is in force: that is judged every time.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::Position;

/// The keys that one worker remembers.
pub struct KeyMemo {
    places: Box<[Option<(u128, Position)>]>,
    key: [u8; 16],
}

impl KeyMemo {
    /// An empty table for `capacity` keys. `key` must be random, and secret: nobody else can then
    /// make a second key with the hash of a known one.
    #[must_use]
    pub fn new(capacity: usize, key: [u8; 16]) -> Self {
        Self { places: vec![None; capacity].into_boxed_slice(), key }
    }

    /// Where `key` stands in the set with the number `set`: remembered, or found by `find`.
    pub fn position(
        &mut self,
        set: u64,
        key: &[u8],
        find: impl FnOnce(&[u8]) -> Option<Position>,
    ) -> Option<Position> {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write_u64(set);
        hasher.write(key);
        let hash = hasher.finish128();
        let low = u128::from(hash.h1);
        let hash = u128::from(hash.h2) << 64 | low;
        // The hash's low half, scaled to the number of places.
        let index = (low * self.places.len() as u128) >> 64;
        let place = usize::try_from(index).ok().and_then(|index| self.places.get_mut(index));
        let Some(place) = place else { return find(key) };
        match place {
            Some((known, position)) if *known == hash => Some(*position),
            _ => {
                let position = find(key)?;
                *place = Some((hash, position));
                Some(position)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn never(_: &[u8]) -> Option<Position> {
        panic!("should have been remembered")
    }

    #[test]
    fn a_found_key_is_remembered_by_set_and_by_all_of_its_bytes() {
        let mut memo = KeyMemo::new(64, [7; 16]);
        assert_eq!(memo.position(1, b"tg_a", |_| Some(Position(3))), Some(Position(3)));
        assert_eq!(memo.position(1, b"tg_a", never), Some(Position(3)));
        for (set, key) in [(2, &b"tg_a"[..]), (1, b"tg_b"), (1, b"tg_"), (1, b"tg_a "), (1, b"")] {
            assert_eq!(memo.position(set, key, |_| None), None);
        }
        assert_eq!(memo.position(1, b"tg_a", never), Some(Position(3)));
    }

    #[test]
    fn unknown_keys_push_nobody_out() {
        let mut memo = KeyMemo::new(1, [7; 16]);
        memo.position(1, b"tg_a", |_| Some(Position(3)));
        for guess in 0u32..1000 {
            assert_eq!(memo.position(1, &guess.to_le_bytes(), |_| None), None);
        }
        assert_eq!(memo.position(1, b"tg_a", never), Some(Position(3)));
    }

    #[test]
    fn a_table_without_places_remembers_nothing() {
        let mut memo = KeyMemo::new(0, [7; 16]);
        for _ in 0..2 {
            assert_eq!(memo.position(1, b"tg_a", |_| Some(Position(3))), Some(Position(3)));
        }
    }
}

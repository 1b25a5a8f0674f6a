//! Certificates that were read a moment ago: to read one takes longer than all else that is done with a
//! request, and most connections bring many requests.
//!
//! A direct-mapped table, as that of API keys ([`KeyMemo`](crate::keys::KeyMemo)). What is remembered is
//! what was presented and what it says, and nothing about whether that is still good.

use std::hash::Hasher as _;
use std::sync::Arc;

use siphasher::sip128::{Hash128, Hasher128 as _, SipHasher13};

use super::certificate::ClientCertificate;
use crate::detail::Cause;

/// What was presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// No certificate.
    None,
    /// This one, or why it is none that can be used. `is_verified`: it was signed by somebody whom the server
    /// trusts, when the connection began.
    Certificate {
        /// The certificate.
        read: Result<Arc<ClientCertificate>, Cause>,
        /// Whether its signature was found good.
        is_verified: bool,
    },
}

/// The certificates that one worker remembers.
pub struct CertMemo {
    places: Box<[Option<(Hash128, Seen)>]>,
    key: [u8; 16],
}

impl CertMemo {
    /// An empty table for `capacity` certificates. `key` must be random, and secret: nobody else can then
    /// make a second header with the hash of a known one.
    #[must_use]
    pub fn new(capacity: usize, key: [u8; 16]) -> Self {
        Self { places: (0..capacity).map(|_| None).collect(), key }
    }

    /// What was presented by the connection of this number, if it is remembered. No other connection of the
    /// process may ever have had the number.
    #[must_use]
    pub fn of_connection(&self, number: u64) -> Option<Seen> {
        self.get(self.hash(0, &number.to_le_bytes()))
    }

    /// Remembers that.
    pub fn remember_connection(&mut self, number: u64, seen: &Seen) {
        self.insert(self.hash(0, &number.to_le_bytes()), seen);
    }

    /// What this header says, if it is remembered.
    #[must_use]
    pub fn of_header(&self, header: &[u8]) -> Option<Seen> {
        self.get(self.hash(1, header))
    }

    /// Remembers that.
    pub fn remember_header(&mut self, header: &[u8], seen: &Seen) {
        self.insert(self.hash(1, header), seen);
    }

    fn get(&self, hash: Hash128) -> Option<Seen> {
        let (found, seen) = self.places.get(self.place(hash)?)?.as_ref()?;
        (*found == hash).then(|| seen.clone())
    }

    fn insert(&mut self, hash: Hash128, seen: &Seen) {
        let place = self.place(hash).and_then(|place| self.places.get_mut(place));
        if let Some(place) = place {
            *place = Some((hash, seen.clone()));
        }
    }

    fn hash(&self, kind: u8, bytes: &[u8]) -> Hash128 {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write(&[kind]);
        hasher.write(bytes);
        hasher.finish128()
    }

    fn place(&self, hash: Hash128) -> Option<usize> {
        let index = (u128::from(hash.h1) * self.places.len() as u128) >> 64;
        usize::try_from(index).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(cause: Cause) -> Seen {
        Seen::Certificate { read: Err(cause), is_verified: true }
    }

    #[test]
    fn connections_and_headers_are_told_apart() {
        let mut memo = CertMemo::new(64, [7; 16]);
        assert_eq!(memo.of_connection(1), None);
        memo.remember_connection(1, &seen(Cause::CertUnreadable));
        assert_eq!(memo.of_connection(1), Some(seen(Cause::CertUnreadable)));
        assert_eq!(memo.of_connection(2), None);
        assert_eq!(memo.of_header(&1_u64.to_le_bytes()), None);
        memo.remember_header(b"Hash=1", &Seen::None);
        assert_eq!(memo.of_header(b"Hash=1"), Some(Seen::None));
        assert_eq!(memo.of_header(b"Hash=2"), None);
    }

    #[test]
    fn a_table_has_no_more_than_its_places() {
        let mut memo = CertMemo::new(16, [7; 16]);
        for number in 0..1000 {
            memo.remember_connection(number, &Seen::None);
            assert_eq!(memo.of_connection(number), Some(Seen::None));
        }
        let known = (0..1000).filter(|number| memo.of_connection(*number).is_some()).count();
        assert!((8..=16).contains(&known), "{known}");
        let mut none = CertMemo::new(0, [7; 16]);
        none.remember_connection(1, &Seen::None);
        assert_eq!(none.of_connection(1), None);
    }
}

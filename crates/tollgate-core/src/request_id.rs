//! `X-Request-ID`: which ids of clients are passed on, and the making of our own.

use std::fmt;

use siphasher::sip128::SipHasher24;

use crate::hex;

/// The longest id of a client that is passed on, in bytes.
pub const MAX_LEN: usize = 128;

/// Whether a client's id may be passed to the backend and written to logs: 1 to [`MAX_LEN`] bytes
/// of `A-Z a-z 0-9 . _ + = -`, of which the first is a letter or a digit.
///
/// UUIDs, ULIDs, W3C trace ids, base64url and AWS's `Root=1-...` pass. What is left out has a
/// meaning to somebody who reads the id later: spaces, quotes, `%`, `<` and `\` to logs and their
/// viewers, `/` to file names and URLs, a leading `-`, `=` or `+` to commands and spreadsheets.
/// `:` is left out because vLLM's disaggregated prefill reads `host:port` of its peer out of this
/// header, so that a client could name one.
#[must_use]
pub fn is_well_formed(id: &[u8]) -> bool {
    id.len() <= MAX_LEN
        && id.first().is_some_and(u8::is_ascii_alphanumeric)
        && id.iter().all(|b| b.is_ascii_alphanumeric() || b"._+=-".contains(b))
}

/// Makes ids: the SipHash-2-4-128 of a counter, under a key that is random for each worker.
///
/// Two ids are equal with the probability of two random 128-bit numbers. Without the seed, the ids
/// seen so far do not tell the next one; they are names, though, not secrets, and must never grant
/// anything.
pub struct Generator {
    hasher: SipHasher24,
    counter: u64,
}

impl Generator {
    /// A generator. The seed must be fresh from the system's random source in every process: two
    /// generators with one seed make the same ids.
    #[must_use]
    pub fn new(seed: [u8; 16]) -> Self {
        Self { hasher: SipHasher24::new_with_key(&seed), counter: 0 }
    }

    /// The next id: 32 lower-case hexadecimal characters.
    pub fn next_id(&mut self) -> [u8; 32] {
        let hash = self.hasher.hash(&self.counter.to_le_bytes()).as_u128();
        self.counter = self.counter.wrapping_add(1);
        hex::of_u128(hash)
    }
}

impl fmt::Debug for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the seed: with it, all past and future ids are known.
        f.debug_struct("Generator").field("counter", &self.counter).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn ids_in_common_use_pass() {
        for id in [
            "a",
            "7",
            "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "req_011CQ.abc-DEF",
            "Root=1-67891233-abcdef012345678912345678",
            "dGVzdA==",
        ] {
            assert!(is_well_formed(id.as_bytes()), "{id}");
        }
        assert!(is_well_formed(&[b'a'; MAX_LEN]));
    }

    #[test]
    fn ids_that_mean_something_to_a_reader_do_not_pass() {
        for id in [
            "",
            "a b",
            " a",
            "a ",
            "a\r\nX-Client-ID: root",
            "a\0",
            "a\"",
            "a\\",
            "../etc/passwd",
            ".hidden",
            "-rf",
            "=1+1",
            "a/b",
            "a:b",
            "a;b",
            "a,b",
            "a%00",
            "<script>",
            "a\u{7f}",
            "é",
            "x___prefill_addr_10.0.0.1:21001___decode_addr_10.0.0.2:22001_y",
        ] {
            assert!(!is_well_formed(id.as_bytes()), "{id:?}");
        }
        assert!(!is_well_formed(&[b'a'; MAX_LEN + 1]));
    }

    #[test]
    fn generated_ids_are_distinct_well_formed_lower_hex() {
        let mut generator = Generator::new(*b"0123456789abcdef");
        let mut seen = HashSet::new();
        for _ in 0..10_000 {
            let id = generator.next_id();
            assert!(id.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
            assert!(is_well_formed(&id));
            assert!(seen.insert(id));
        }
    }

    #[test]
    fn the_hexadecimal_text_is_the_hash() {
        let seed = *b"0123456789abcdef";
        let hash = SipHasher24::new_with_key(&seed).hash(&0_u64.to_le_bytes()).as_u128();
        assert_eq!(&Generator::new(seed).next_id(), format!("{hash:032x}").as_bytes());
    }

    #[test]
    fn seeds_make_different_ids_and_debug_hides_them() {
        let seed = [0xAB; 16];
        assert_ne!(Generator::new(seed).next_id(), Generator::new([0xAC; 16]).next_id());
        let shown = format!("{:?}", Generator::new(seed));
        assert!(shown.starts_with("Generator { counter: 0"), "{shown}");
        assert!(!shown.contains("171") && !shown.to_lowercase().contains("ab, ab"), "{shown}");
    }

    proptest! {
        #[test]
        fn a_well_formed_id_is_printable_ascii_without_separators(id: Vec<u8>) {
            if is_well_formed(&id) {
                prop_assert!(id.iter().all(|b| b.is_ascii_graphic()));
                prop_assert!(!id.iter().any(|b| b"\"\\/:;,%<>$`'&".contains(b)));
            }
        }
    }
}

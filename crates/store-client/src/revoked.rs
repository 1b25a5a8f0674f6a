//! The list of keys that are revoked in all nodes, by the SHA-256 of each.
//!
//! The store keeps words in the order in which they came: that a key is revoked, or (later) that it isn't. A node asks
//! for those behind the number that it knows.

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use tollgate_core::cluster::revocations::{KeyHash, Word};

use crate::call::Call;
use crate::client::Client;
use crate::failure::Failure;
use crate::greeting::MAX_NUMBER;
use crate::resp::{Bounds, Value};
use crate::script::Script;

static REVOKE: LazyLock<Arc<Script>> =
    LazyLock::new(|| Arc::new(Script::new(include_str!("revoke.lua"))));

/// How many words are asked for at once.
const PAGE: usize = 1000;
const WORDS: Bounds = Bounds { bytes: 256 * 1024, values: 4 * PAGE };

const NO_LIST: Failure = Failure::Garbled("with what isn't a list of revoked keys");

impl Client {
    /// Puts it on the list that a key is revoked in all nodes, or that it isn't any more. Returns the number of the
    /// list from then on.
    ///
    /// # Errors
    /// As [`Client::run`].
    pub fn revoke(
        &mut self,
        key: KeyHash,
        is_revoked: bool,
        deadline: Instant,
    ) -> Result<u64, Failure> {
        let keys = vec![self.key("revoked"), self.key("revocations")];
        let words = vec![word(key, is_revoked), word(key, !is_revoked)];
        let Bounds { bytes, values } = Bounds::SHORT;
        let answer = self.one(Call::script(&REVOKE, keys, words, bytes, values), deadline)?;
        number(answer.int()).ok_or(NO_LIST)
    }

    /// The words behind the number `after`, the oldest first, and not all of them where there are many: ask again, from
    /// the number of the last one on, until none come.
    ///
    /// # Errors
    /// As [`Client::run`].
    pub fn revocations(&mut self, after: u64, deadline: Instant) -> Result<Vec<Word>, Failure> {
        let (key, from) = (self.key("revoked"), format!("({}", after.min(MAX_NUMBER)));
        let page = PAGE.to_string();
        let words: [&[u8]; 8] = [
            b"ZRANGEBYSCORE",
            &key,
            from.as_bytes(),
            b"+inf",
            b"WITHSCORES",
            b"LIMIT",
            b"0",
            page.as_bytes(),
        ];
        let answer = self.one(Call::command(&words, WORDS), deadline)?;
        read(answer.list().ok_or(NO_LIST)?, after).ok_or(NO_LIST)
    }

    /// Tells a store that has lost its list what is known here.
    ///
    /// # Errors
    /// As [`Client::run`].
    pub fn restore_revocations(
        &mut self,
        known: &[Word],
        deadline: Instant,
    ) -> Result<(), Failure> {
        let key = self.key("revoked");
        let mut calls = Vec::new();
        for page in known.chunks(PAGE) {
            let pairs = page.iter().map(|known| {
                (known.number.to_string().into_bytes(), word(known.key, known.is_revoked))
            });
            let pairs: Vec<_> = pairs.collect();
            let mut words: Vec<&[u8]> = vec![b"ZADD", &key, b"NX"];
            words.extend(
                pairs.iter().flat_map(|(number, word)| [number.as_slice(), word.as_slice()]),
            );
            calls.push(Call::command(&words, Bounds::SHORT));
        }
        self.run(&calls, deadline).into_iter().try_for_each(|answer| answer.map(|_| ()))
    }
}

/// As the list has it: "R" or "L", and the hash.
fn word(KeyHash(hash): KeyHash, is_revoked: bool) -> Vec<u8> {
    let kind = if is_revoked { b"R" } else { b"L" };
    [kind.as_slice(), &hash].concat()
}

fn number(number: Option<i64>) -> Option<u64> {
    u64::try_from(number?).ok().filter(|number| *number < MAX_NUMBER)
}

/// With RESP 2 numbers and words follow each other, with RESP 3 they are in pairs.
fn read(list: &[Value], after: u64) -> Option<Vec<Word>> {
    let flat: Vec<&Value> = list
        .iter()
        .flat_map(|value| match value {
            Value::List(pair) => pair.iter().collect(),
            value => vec![value],
        })
        .collect();
    let mut words = Vec::with_capacity(flat.len() / 2);
    let mut last = after;
    for pair in flat.chunks(2) {
        let [word, score] = pair else { return None };
        let (kind, hash) = word.bytes()?.split_first()?;
        let is_revoked = match kind {
            b'R' => true,
            b'L' => false,
            _ => return None,
        };
        let number: u64 = score.text()?.parse().ok().filter(|number| *number < MAX_NUMBER)?;
        // Out of order, it would be missed, or asked for for ever.
        if number <= last {
            return None;
        }
        last = number;
        words.push(Word { key: KeyHash(hash.try_into().ok()?), is_revoked, number });
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(bytes: &[u8]) -> Value {
        Value::Bytes(bytes.to_vec())
    }

    #[test]
    fn words_are_read_in_both_versions() {
        let revoked = bytes(&word(KeyHash([7; 32]), true));
        let lifted = bytes(&word(KeyHash([8; 32]), false));
        let expected = vec![
            Word { key: KeyHash([7; 32]), is_revoked: true, number: 3 },
            Word { key: KeyHash([8; 32]), is_revoked: false, number: 5 },
        ];
        let flat = [revoked.clone(), bytes(b"3"), lifted.clone(), bytes(b"5")];
        assert_eq!(read(&flat, 2), Some(expected.clone()));
        let pairs =
            [Value::List(vec![revoked, bytes(b"3")]), Value::List(vec![lifted, bytes(b"5")])];
        assert_eq!(read(&pairs, 2), Some(expected));
        assert_eq!(read(&pairs, 3), None, "older than what was asked for");
        assert_eq!(read(&[], 3), Some(vec![]));
    }

    #[test]
    fn what_is_no_word_makes_none_of_the_list() {
        let good = bytes(&word(KeyHash([7; 32]), true));
        for list in [
            vec![good.clone()],
            vec![good.clone(), Value::Nil],
            vec![good.clone(), bytes(b"-1")],
            vec![good.clone(), bytes(b"1e300")],
            vec![good.clone(), bytes(b"5"), good.clone(), bytes(b"5")],
            vec![bytes(b"R short"), bytes(b"5")],
            vec![bytes(&[b'X'; 33]), bytes(b"5")],
            vec![bytes(b""), bytes(b"5")],
        ] {
            assert_eq!(read(&list, 0), None, "{list:?}");
        }
    }
}

//! What a node says of itself, and hears of all, with an exchange of leases.

use tollgate_core::cluster::message::{Incarnation, Shards};

use crate::client::Client;
use crate::failure::Failure;
use crate::node::NodeRow;
use crate::resp::Value;

/// Numbers of the list of revoked keys are below this one, which every `double` can hold.
pub(crate) const MAX_NUMBER: u64 = 1 << 53;

const NO_GREETING: Failure = Failure::Garbled("with what isn't the answer to a greeting");

/// What a node hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeted {
    /// The store's time, in microseconds since 1970.
    pub now_us: u64,
    /// By which the names of limits are hashed, in all nodes.
    pub seed: (u64, u64),
    /// The number of the list of revoked keys.
    pub revocations: u64,
    /// The store had a smaller number than this node: it has lost its list, so tell it what is known here
    /// ([`Client::restore_revocations`]).
    pub has_lost: bool,
}

/// What a node says of itself.
#[derive(Clone, Debug)]
pub struct Greeting {
    /// Its row in the table of nodes; the number of the list of revoked keys that it knows is in it.
    pub row: NodeRow,
    /// By which the names of limits are hashed: the seed that it knows, or a random one.
    pub seed: (u64, u64),
}

impl Greeting {
    /// The arguments of `greeting.lua`.
    pub(crate) fn arguments(&self, incarnation: Incarnation) -> Vec<Vec<u8>> {
        let (first, second) = self.seed;
        vec![
            incarnation.number().to_string().into_bytes(),
            self.row.to_string().into_bytes(),
            [first.to_be_bytes(), second.to_be_bytes()].concat(),
            self.row.revocations.min(MAX_NUMBER - 1).to_string().into_bytes(),
        ]
    }
}

impl Client {
    /// The keys of `greeting.lua`.
    pub(crate) fn greeting_keys(&self) -> Vec<Vec<u8>> {
        ["nodes", "seed", "revoked", "revocations"].map(|name| self.key(name)).to_vec()
    }

    /// A key that the whole cluster shares. All of them lie with the first shard.
    pub(crate) fn key(&self, name: &str) -> Vec<u8> {
        format!("{}:{name}", Shards::prefix(self.cluster(), 0)).into_bytes()
    }
}

/// What was answered to a greeting. What comes after it is the answer to what else was said.
pub(crate) fn read(answer: &Value) -> Result<Greeted, Failure> {
    parts(answer).ok_or(NO_GREETING)
}

fn parts(answer: &Value) -> Option<Greeted> {
    let [now, seed, number, lost, ..] = answer.list()? else { return None };
    let now_us = now.text()?.parse().ok().filter(|now| *now < MAX_NUMBER)?;
    let (first, second) = seed.bytes()?.split_first_chunk::<8>()?;
    let second: [u8; 8] = second.try_into().ok()?;
    let revocations = u64::try_from(number.int()?).ok().filter(|number| *number < MAX_NUMBER)?;
    Some(Greeted {
        now_us,
        seed: (u64::from_be_bytes(*first), u64::from_be_bytes(second)),
        revocations,
        has_lost: lost.int()? == 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_has_all_of_its_parts_or_none() {
        let bytes = |bytes: &[u8]| Value::Bytes(bytes.to_vec());
        let whole = vec![bytes(b"1700000000000000"), bytes(&[1; 16]), Value::Int(7), Value::Int(0)];
        let greeted = read(&Value::List(whole.clone())).unwrap();
        assert_eq!((greeted.revocations, greeted.has_lost), (7, false));
        assert_eq!(greeted.seed, (0x0101_0101_0101_0101, 0x0101_0101_0101_0101));
        for (at, wrong) in [
            (0, bytes(b"x")),
            (0, bytes(b"99999999999999999999")),
            (1, bytes(&[1; 15])),
            (1, bytes(&[1; 17])),
            (1, Value::Nil),
            (2, Value::Int(-1)),
            (2, Value::Int(i64::MAX)),
            (3, Value::Nil),
        ] {
            let mut parts = whole.clone();
            parts[at] = wrong;
            assert_eq!(read(&Value::List(parts.clone())), Err(NO_GREETING), "{parts:?}");
        }
        assert_eq!(read(&Value::Nil), Err(NO_GREETING));
    }
}

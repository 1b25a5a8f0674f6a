//! The nodes of a cluster, as the store's table has them.

use std::fmt;
use std::str::FromStr;
use std::time::Instant;

use crate::call::Call;
use crate::client::Client;
use crate::config::is_name;
use crate::failure::Failure;
use crate::greeting::MAX_NUMBER;
use crate::resp::{Bounds, Value};

/// The table of a thousand nodes.
const TABLE: Bounds = Bounds { bytes: 2 << 20, values: 10_000 };

/// What a node says of itself: no client, no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRow {
    /// Its name, for people.
    pub name: String,
    /// The version of Tollgate.
    pub version: String,
    /// How many limits it holds a lease of.
    pub leases: u64,
    /// How long its last exchange took, in microseconds.
    pub lag_us: u64,
    /// Between two of its exchanges, in milliseconds.
    pub exchange_ms: u64,
    /// The number of the list of revoked keys, as far as it has heard.
    pub revocations: u64,
}

/// A node in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its run, which a name may have several of.
    pub incarnation: u64,
    /// How long ago it spoke, by the store's clock, in microseconds.
    pub silent_us: u64,
    /// What it said.
    pub row: NodeRow,
}

impl fmt::Display for NodeRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version, leases, lag_us, exchange_ms, revocations } = self;
        write!(f, "{name} {version} {leases} {lag_us} {exchange_ms} {revocations}")
    }
}

impl FromStr for NodeRow {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split(' ');
        let mut word = || words.next().ok_or(());
        let named = |word: &str| Some(word.to_owned()).filter(|word| is_name(word)).ok_or(());
        let (name, version) = (named(word()?)?, named(word()?)?);
        let mut number =
            || word()?.parse::<u64>().ok().filter(|number| *number < MAX_NUMBER).ok_or(());
        let row = Self {
            name,
            version,
            leases: number()?,
            lag_us: number()?,
            exchange_ms: number()?,
            revocations: number()?,
        };
        // What a later version says in addition is no fault.
        Ok(row)
    }
}

impl Client {
    /// The nodes that spoke within the last minute, by their names. Rows that can't be read are left out.
    ///
    /// # Errors
    /// As [`Client::run`].
    pub fn nodes(&mut self, deadline: Instant) -> Result<Vec<Node>, Failure> {
        let key = self.key("nodes");
        let time = Call::keyless(&[b"TIME"], &key);
        let rows = Call::command(&[b"HGETALL", &key], TABLE);
        let mut answers = self.run(&[time, rows], deadline).into_iter();
        let mut next = || answers.next().unwrap_or(Err(Failure::NoPlace));
        let now_us = now(&next()?).ok_or(Failure::Garbled("with what isn't the time"))?;
        let rows = next()?;
        let rows = rows.list().ok_or(Failure::Garbled("with what isn't the table of nodes"))?;
        let pairs = rows.chunks_exact(2);
        let mut nodes: Vec<Node> = pairs.filter_map(|pair| node(pair, now_us)).collect();
        nodes.sort_by(|a, b| (&a.row.name, a.incarnation).cmp(&(&b.row.name, b.incarnation)));
        Ok(nodes)
    }
}

/// The answer to `TIME`, in microseconds since 1970.
pub(crate) fn now(answer: &Value) -> Option<u64> {
    let [seconds, micros] = answer.list()? else { return None };
    let number = |value: &Value| value.text()?.parse::<u64>().ok();
    number(seconds)?.checked_mul(1_000_000)?.checked_add(number(micros)?)
}

fn node(pair: &[Value], now_us: u64) -> Option<Node> {
    let [incarnation, row] = pair else { return None };
    let (seen, row) = row.text()?.split_once(' ')?;
    let seen: u64 = seen.parse().ok()?;
    Some(Node {
        incarnation: incarnation.text()?.parse().ok()?,
        silent_us: now_us.saturating_sub(seen),
        row: row.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let row = NodeRow {
            name: "east-1".to_owned(),
            version: "0.1.0".to_owned(),
            leases: 1200,
            lag_us: 730,
            exchange_ms: 50,
            revocations: 9,
        };
        assert_eq!(row.to_string().parse(), Ok(row.clone()));
        assert_eq!(format!("{row} and more").parse(), Ok(row));
        for text in [
            "",
            "a",
            "a b 1 2",
            "a b 1 2 x",
            "a b 1 2 3",
            "<b> 0.1.0 1 2 3 4",
            "a\u{202e} 0.1.0 1 2 3 4",
            "a b -1 2 3 4",
        ] {
            assert_eq!(text.parse::<NodeRow>(), Err(()), "{text:?}");
        }
    }
}

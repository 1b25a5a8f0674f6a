//! Which server of a Redis Cluster has which key.
//! [The specification](https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/) is public.

use crate::config::{is_host, Place};
use crate::failure::Failure;
use crate::resp::Value;

/// Places of keys.
pub(crate) const SLOTS: u16 = 16384;
/// Ranges of places that an answer may have.
const MAX_RANGES: usize = 4096;

const NO_MAP: Failure = Failure::Garbled("with what isn't the map of a cluster");

/// The place of a key: that of what stands between the first "{" and the next "}", if anything does.
pub(crate) fn slot(key: &[u8]) -> u16 {
    let tagged = key.iter().position(|b| *b == b'{').and_then(|open| {
        let rest = key.get(open + 1..)?;
        rest.get(..rest.iter().position(|b| *b == b'}')?).filter(|tag| !tag.is_empty())
    });
    crc16(tagged.unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc: u16, _| {
            if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            }
        })
    })
}

/// What is known of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Map {
    /// First and last place, and who has them.
    ranges: Vec<(u16, u16, Place)>,
    /// Single places that have moved since.
    moved: Vec<(u16, Place)>,
}

impl Map {
    /// Reads the answer to `CLUSTER SLOTS`, which `asked` gave.
    pub(crate) fn read(answer: &Value, asked: &Place) -> Result<Self, Failure> {
        let list = answer.list().filter(|list| list.len() <= MAX_RANGES).ok_or(NO_MAP)?;
        let ranges = list.iter().map(|range| Self::range(range, asked)).collect::<Option<Vec<_>>>();
        Ok(Self { ranges: ranges.ok_or(NO_MAP)?, moved: Vec::new() })
    }

    fn range(range: &Value, asked: &Place) -> Option<(u16, u16, Place)> {
        let [first, last, master, ..] = range.list()? else { return None };
        let number = |value: &Value| u16::try_from(value.int()?).ok().filter(|slot| *slot < SLOTS);
        let [host, port, ..] = master.list()? else { return None };
        let port = u16::try_from(port.int()?).ok().filter(|port| *port != 0)?;
        let host = match (host, asked) {
            // It doesn't know its own name: that is the one by which it was asked.
            (Value::Nil, Place::Host(host, _)) => host.clone(),
            (host, Place::Host(asked, _)) => match host.text()? {
                "" | "?" => asked.clone(),
                host => Some(host).filter(|host| is_host(host))?.to_owned(),
            },
            (_, Place::Socket(_)) => return None,
        };
        Some((number(first)?, number(last)?, Place::Host(host, port)))
    }

    /// Who has the place.
    pub(crate) fn place(&self, slot: u16) -> Option<&Place> {
        let moved = self.moved.iter().find(|(moved, _)| *moved == slot).map(|(_, place)| place);
        moved.or_else(|| {
            let range =
                self.ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&slot));
            range.map(|(_, _, place)| place)
        })
    }

    /// All masters.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        self.ranges.iter().map(|(_, _, place)| place)
    }

    /// A server says that another one has it.
    pub(crate) fn move_to(&mut self, slot: u16, place: Place) {
        self.moved.retain(|(moved, _)| *moved != slot);
        self.moved.push((slot, place));
    }
}

/// Where an error sends: `MOVED 3999 10.0.0.1:6381`, `ASK ...`; without a host, it is the one that said so.
pub(crate) fn redirection(text: &str, asked: &Place) -> Option<(u16, Place)> {
    let (slot, place) = text.split_once(' ')?;
    let slot = slot.parse().ok().filter(|slot| *slot < SLOTS)?;
    let (host, port) = place.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let host = match (host, asked) {
        ("", Place::Host(asked, _)) => asked.as_str(),
        (host, _) => Some(host).filter(|host| is_host(host))?,
    };
    Some((slot, Place::Host(host.to_owned(), port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(host: &str, port: u16) -> Place {
        Place::Host(host.to_owned(), port)
    }

    fn bytes(text: &str) -> Value {
        Value::Bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn places_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot(b"foo"), 12182);
        assert_eq!(slot(b"{user1000}.following"), slot(b"user1000"));
        assert_eq!(slot(b"foo{}{bar}"), crc16(b"foo{}{bar}") % SLOTS);
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
        assert_eq!(slot(b"foo{bar}{zap}"), slot(b"bar"));
        assert_eq!(slot(b"{open"), crc16(b"{open") % SLOTS);
    }

    #[test]
    fn a_map_says_who_has_a_key() {
        let master = |name: Value, port| Value::List(vec![name, Value::Int(port), bytes("id")]);
        let range =
            |first, last, master| Value::List(vec![Value::Int(first), Value::Int(last), master]);
        let answer = Value::List(vec![
            range(0, 99, master(bytes("10.0.0.1"), 7000)),
            range(100, 16383, master(Value::Nil, 7001)),
        ]);
        let mut map = Map::read(&answer, &host("asked", 1)).unwrap();
        assert_eq!(map.place(99), Some(&host("10.0.0.1", 7000)));
        assert_eq!(map.place(100), Some(&host("asked", 7001)));
        map.move_to(99, host("10.0.0.3", 7002));
        assert_eq!(map.place(99), Some(&host("10.0.0.3", 7002)));
        assert_eq!(map.place(98), Some(&host("10.0.0.1", 7000)));
    }

    #[test]
    fn a_map_of_nonsense_is_none() {
        let asked = host("asked", 1);
        let evil = |name: &str| {
            let master = Value::List(vec![bytes(name), Value::Int(7000)]);
            Value::List(vec![Value::List(vec![Value::Int(0), Value::Int(1), master])])
        };
        assert!(Map::read(&evil("10.0.0.1"), &asked).is_ok());
        for name in ["a b", "a\r\nb", "a/b", &"a".repeat(300)] {
            assert!(Map::read(&evil(name), &asked).is_err(), "{name:?}");
        }
        for answer in [Value::Nil, Value::Int(1), Value::List(vec![Value::Nil]), bytes("x")] {
            assert!(Map::read(&answer, &asked).is_err(), "{answer:?}");
        }
    }

    #[test]
    fn redirections_are_read() {
        let asked = host("asked", 1);
        assert_eq!(redirection("3999 10.0.0.1:6381", &asked), Some((3999, host("10.0.0.1", 6381))));
        assert_eq!(redirection("3999 :6381", &asked), Some((3999, host("asked", 6381))));
        assert_eq!(redirection("3999 ::1:6381", &asked), Some((3999, host("::1", 6381))));
        for text in ["", "3999", "16384 a:1", "1 a:0", "1 a:70000", "1 a b:1", "x a:1"] {
            assert_eq!(redirection(text, &asked), None, "{text:?}");
        }
    }
}

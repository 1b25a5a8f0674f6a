//! The newest seal of each chain, to be kept elsewhere: what was taken off the end of a log is found by them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::chain::encoded;
use super::id::{ChainId, Mac};
use super::line::{parse, Line};

/// A line that names the newest seals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadsLine {
    /// When the newest of them was made, in RFC 3339.
    pub(super) time: String,
    /// The number of the seal, and its MAC.
    pub(super) chains: Vec<(ChainId, u64, Mac)>,
}

#[derive(Deserialize, Serialize)]
struct Text<'a> {
    #[serde(borrow)]
    heads: HeadsText<'a>,
}

#[derive(Deserialize, Serialize)]
struct HeadsText<'a> {
    time: &'a str,
    /// By the chain: the number of the seal, and its MAC.
    #[serde(borrow)]
    chains: BTreeMap<&'a str, (u64, std::borrow::Cow<'a, str>)>,
}

impl HeadsLine {
    /// Reads a line. What a logger has put before the object is left out.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        let start = memchr::memmem::find(line, b"{\"heads\":")?;
        let text: Text<'_> = serde_json::from_slice(line.get(start..)?.trim_ascii_end()).ok()?;
        let chain = |(chain, (number, mac)): (&str, (u64, std::borrow::Cow<'_, str>))| {
            Some((ChainId::parse(chain)?, number, Mac::parse(&mac)?))
        };
        let chains = text.heads.chains.into_iter().map(chain).collect::<Option<_>>()?;
        Some(Self { time: text.heads.time.to_owned(), chains })
    }
}

/// The newest seals of the lines that were read.
#[derive(Debug, Default)]
pub struct LatestHeads {
    chains: BTreeMap<ChainId, Latest>,
    time: String,
    is_new: bool,
}

#[derive(Debug)]
struct Latest {
    number: u64,
    mac: Mac,
    is_end: bool,
}

impl LatestHeads {
    /// Takes note of a line of the log.
    pub fn read(&mut self, line: &[u8]) {
        let Some(Line::Seal(seal)) = parse(line) else { return };
        let known = self.chains.get(&seal.chain).map(|latest| latest.number);
        if known.is_some_and(|known| known >= seal.number) {
            return;
        }
        if seal.time > self.time {
            self.time = seal.time;
        }
        let latest = Latest { number: seal.number, mac: seal.mac, is_end: seal.is_end };
        self.chains.insert(seal.chain, latest);
        self.is_new = true;
    }

    /// The line that names them, without a line feed; `None`: there is nothing new since the last one. The end
    /// of a chain is named once.
    pub fn take_line(&mut self) -> Option<String> {
        if !std::mem::take(&mut self.is_new) {
            return None;
        }
        let names: Vec<_> =
            self.chains.iter().map(|(chain, latest)| (chain.to_string(), latest)).collect();
        let chains = names
            .iter()
            .map(|(name, latest)| (name.as_str(), (latest.number, encoded(&latest.mac.0).into())))
            .collect();
        let text = Text { heads: HeadsText { time: &self.time, chains } };
        let line = serde_json::to_string(&text).ok();
        self.chains.retain(|_, latest| !latest.is_end);
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_back_whatever_a_logger_puts_before_it() {
        let mut latest = LatestHeads::default();
        assert_eq!(latest.take_line(), None);
        latest.chains.insert(
            ChainId { generation: 1, number: 2 },
            Latest { number: 7, mac: Mac([9; 32]), is_end: true },
        );
        (latest.time, latest.is_new) = ("2026-01-01T00:00:00.000Z".to_owned(), true);
        let line = latest.take_line().unwrap();
        let read = HeadsLine::parse(format!("Dec  1 12:00:00 host tollgate: {line}\n").as_bytes());
        let read = read.unwrap();
        assert_eq!(read.chains, [(ChainId { generation: 1, number: 2 }, 7, Mac([9; 32]))]);
        assert_eq!(read.time, "2026-01-01T00:00:00.000Z");
        assert_eq!(latest.take_line(), None);
        assert!(latest.chains.is_empty());
        for line in
            ["", "x", "{\"heads\":", "{\"heads\":{\"time\":\"\",\"chains\":{\"1\":[1,\"\"]}}}"]
        {
            assert_eq!(HeadsLine::parse(line.as_bytes()), None);
        }
    }
}

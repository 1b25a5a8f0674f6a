//! The newest seal of each chain, to be kept elsewhere: what was taken off the end of a log is found by them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::chain::encoded;
use super::id::{ChainId, Mac};
use super::line::{parse, Line, Seal};

/// A line that names the newest seals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadsLine {
    /// When the newest of them was made, in RFC 3339.
    pub(super) time: String,
    pub(super) chains: Vec<Told>,
}

/// The newest seal of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) chain: ChainId,
    pub(super) number: u64,
    pub(super) mac: Mac,
    /// When it was made, in RFC 3339.
    pub(super) time: String,
}

#[derive(Deserialize, Serialize)]
struct Text<'a> {
    #[serde(borrow)]
    heads: HeadsText<'a>,
}

#[derive(Deserialize, Serialize)]
struct HeadsText<'a> {
    time: &'a str,
    #[serde(borrow)]
    chains: BTreeMap<&'a str, ToldText<'a>>,
}

/// The number of a seal, its MAC, and when it was made.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum ToldText<'a> {
    Timed(u64, #[serde(borrow)] Cow<'a, str>, #[serde(borrow)] Cow<'a, str>),
    /// Lines of old don't say when.
    Plain(u64, #[serde(borrow)] Cow<'a, str>),
}

impl HeadsLine {
    /// Reads a line. What a logger has put before the object is left out.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        let start = memchr::memmem::find(line, b"{\"heads\":")?;
        let text: Text<'_> = serde_json::from_slice(line.get(start..)?.trim_ascii_end()).ok()?;
        let newest = text.heads.time;
        let chain = |(chain, told): (&str, ToldText<'_>)| {
            let (number, mac, time) = match told {
                ToldText::Timed(number, mac, time) => (number, mac, time),
                ToldText::Plain(number, mac) => (number, mac, newest.into()),
            };
            let (chain, mac) = (ChainId::parse(chain)?, Mac::parse(&mac)?);
            Some(Told { chain, number, mac, time: time.into_owned() })
        };
        let chains = text.heads.chains.into_iter().map(chain).collect::<Option<_>>()?;
        Some(Self { time: newest.to_owned(), chains })
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
    time: String,
    is_end: bool,
    /// No line has named it.
    is_new: bool,
}

impl LatestHeads {
    /// Takes note of a line of the log.
    pub fn read(&mut self, line: &[u8]) {
        let Some(Line::Seal(seal)) = parse(line) else { return };
        let chain = seal.chain;
        let known = self.chains.get(&chain).map(|latest| latest.number);
        if known.is_some_and(|known| known >= seal.number) {
            return;
        }
        if seal.time > self.time {
            self.time.clone_from(&seal.time);
        }
        let Seal { number, mac, time, is_end, .. } = *seal;
        let latest = Latest { number, mac, time, is_end, is_new: true };
        self.chains.insert(chain, latest);
        self.is_new = true;
    }

    /// The line that names them, without a line feed; `None`: there is nothing new since the last one. The end
    /// of a chain is named once, and so is one whose worker is gone or hangs, if the lines are a while apart.
    pub fn take_line(&mut self) -> Option<String> {
        if !std::mem::take(&mut self.is_new) {
            return None;
        }
        let names: Vec<_> =
            self.chains.iter().map(|(chain, latest)| (chain.to_string(), latest)).collect();
        let chains = names
            .iter()
            .map(|(name, Latest { number, mac, time, .. })| {
                let mac = encoded(&mac.0).into();
                (name.as_str(), ToldText::Timed(*number, mac, time.as_str().into()))
            })
            .collect();
        let text = Text { heads: HeadsText { time: &self.time, chains } };
        let line = serde_json::to_string(&text).ok();
        self.chains.retain(|_, latest| !latest.is_end && std::mem::take(&mut latest.is_new));
        line
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulation::Machine;
    use super::*;

    /// Who follows a log.
    #[derive(Default)]
    struct Followed {
        latest: LatestHeads,
        /// How much of each file was read.
        read: Vec<usize>,
        lines: Vec<String>,
    }

    impl Followed {
        fn look(&mut self, machine: &Machine) {
            self.read.resize(machine.files.len(), 0);
            for (file, read) in machine.files.iter().zip(&mut self.read) {
                file[*read..].split(|byte| *byte == b'\n').for_each(|line| self.latest.read(line));
                *read = file.len();
            }
            self.lines.extend(self.latest.take_line());
        }
    }

    /// A worker is gone in a file that rotation has removed since: nobody has cut it off.
    #[test]
    fn heads_of_what_rotation_has_removed_are_passed_over() {
        for is_killed in [true, false] {
            let mut machine = Machine::new(5);
            machine.is_orderly = true;
            let mut followed = Followed::default();
            let mut go_on = |machine: &mut Machine, times| {
                for _ in 0..times {
                    // A line for each minute.
                    (0..6).for_each(|_| machine.pass(10_000));
                    followed.look(machine);
                }
                (followed.lines.clone(), followed.latest.chains.len())
            };
            go_on(&mut machine, 2);
            match is_killed {
                true => machine.kill(0),
                false => machine.end(0),
            }
            machine.spawn();
            machine.files.push(Vec::new());
            let (lines, chains) = go_on(&mut machine, 5);
            assert_eq!(chains, 2, "{is_killed}: those of the living");
            let report = machine.verify(&machine.files, &lines);
            assert_eq!(report.findings, [], "{is_killed}");
            let report = machine.verify(&machine.files[1..], &lines);
            assert_eq!(report.findings, [], "{is_killed}");
            // What is cut off is found all the same.
            let mut cut = machine.files[1..].to_vec();
            let len = cut[0].len();
            cut[0].truncate(len - len / 3);
            let kept = cut[0].iter().rposition(|byte| *byte == b'\n').unwrap();
            cut[0].truncate(kept + 1);
            assert!(!machine.verify(&cut, &lines).findings.is_empty(), "{is_killed}");
        }
    }

    /// Without the time of each of them.
    #[test]
    fn lines_of_old_are_read() {
        let mac = encoded(&[9; 32]);
        let line = format!(
            "{{\"heads\":{{\"time\":\"2026-01-01T00:00:00.000Z\",\"chains\":{{\"1.2\":[7,\"{mac}\"]}}}}}}"
        );
        let read = HeadsLine::parse(line.as_bytes()).unwrap();
        assert_eq!((read.chains[0].number, read.chains[0].time.as_str()), (7, read.time.as_str()));
    }

    #[test]
    fn a_line_comes_back_whatever_a_logger_puts_before_it() {
        let mut latest = LatestHeads::default();
        assert_eq!(latest.take_line(), None);
        latest.chains.insert(
            ChainId { generation: 1, number: 2 },
            Latest {
                number: 7,
                mac: Mac([9; 32]),
                time: "2026-01-01T00:00:00.000Z".to_owned(),
                is_end: true,
                is_new: true,
            },
        );
        (latest.time, latest.is_new) = ("2026-01-01T00:00:09.000Z".to_owned(), true);
        let line = latest.take_line().unwrap();
        let read = HeadsLine::parse(format!("Dec  1 12:00:00 host tollgate: {line}\n").as_bytes());
        let read = read.unwrap();
        let (chain, time) =
            (ChainId { generation: 1, number: 2 }, "2026-01-01T00:00:00.000Z".to_owned());
        assert_eq!(read.chains, [Told { chain, number: 7, mac: Mac([9; 32]), time }]);
        assert_eq!(read.time, "2026-01-01T00:00:09.000Z");
        assert_eq!(latest.take_line(), None);
        assert!(latest.chains.is_empty());
        for line in
            ["", "x", "{\"heads\":", "{\"heads\":{\"time\":\"\",\"chains\":{\"1\":[1,\"\"]}}}"]
        {
            assert_eq!(HeadsLine::parse(line.as_bytes()), None);
        }
    }
}

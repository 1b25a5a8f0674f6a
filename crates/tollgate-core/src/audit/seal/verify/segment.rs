//! What one file has of one chain.

use super::super::id::Mac;
use super::super::line::Seal;
use super::super::ratchet::Ratchet;
use super::batch::{check, gone, is_end_of, Entry, Outcome, Placed};
use super::bounds::Findings;
use super::keys::Keys;
use super::report::{finding, Kind, Place};

/// No chain has so many seals: a hundred a second for two years.
const MAX_SEALS: u64 = 1 << 33;

/// By how much a clock may be set back, in milliseconds.
const SLACK_MS: i64 = 60_000;

/// What is kept of a seal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) number: u64,
    pub(super) last: u64,
    pub(super) mac: Mac,
    pub(super) torn: Option<u64>,
    pub(super) waited: Option<u64>,
    pub(super) in_pieces: bool,
    pub(super) is_end: bool,
    pub(super) up_ms: u64,
    pub(super) time_ms: i64,
    pub(super) lost: u64,
    pub(super) place: Place,
    /// The number of the file: what the seal says until all are known, and then that of the one it was written to.
    pub(super) file: u64,
    /// The seal's turn among all workers', and that when the one before was written.
    pub(super) turn: Option<u64>,
    pub(super) done: Option<u64>,
    pub(super) is_good: bool,
}

/// What is there a second time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Copied {
    Line(u64),
    Seal(u64),
}

/// Something stands among the lines of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stranger {
    pub(super) batch: u64,
    pub(super) place: Place,
}

/// What one file has of one chain: its first seal waits, as some of its lines may be in the file before.
#[derive(Debug, Default)]
pub(super) struct Segment {
    head: Vec<Entry>,
    first: Option<Placed>,
    /// Since the last seal.
    pending: Vec<Entry>,
    walk: Walk,
}

/// The seals of a chain, one after the other.
#[derive(Debug, Default)]
pub(super) struct Walk {
    ratchet: Option<Ratchet>,
    pub(super) seals: Vec<Known>,
    pub(super) strangers: Vec<Stranger>,
    pub(super) findings: Findings,
}

impl Segment {
    /// `Some`: it was there already, right before, which is how a line is written that could not be written in one go.
    pub(super) fn add(&mut self, entry: Entry) -> Option<Place> {
        let lines = match self.first {
            None => &mut self.head,
            Some(_) => &mut self.pending,
        };
        let first = lines.last().filter(|before| before.is_same(&entry)).map(|before| before.place);
        if first.is_none() {
            lines.push(entry);
        }
        first
    }

    /// `Some`: this is the seal that was read last, and there.
    pub(super) fn copied(&self, seal: &Seal) -> Option<Place> {
        let first =
            self.first.as_ref().map(|Placed { seal, place }| (seal.number, seal.mac, *place));
        let last = self.walk.last().or(first).filter(|_| self.pending.is_empty());
        last.filter(|(number, mac, _)| (*number, *mac) == (seal.number, seal.mac))
            .map(|(.., at)| at)
    }

    /// Gives how many lines it seals that had no seal.
    pub(super) fn seal(&mut self, placed: Placed, keys: &mut Keys) -> usize {
        let Some(first) = &self.first else {
            self.first = Some(placed);
            return self.head.len();
        };
        // Those of the first one are judged when the files before are known; what is behind it goes on from there.
        let before =
            self.walk.seals.last().map_or(Some((first.seal.number, first.seal.last)), |known| {
                Some((known.number, known.last))
            });
        self.walk.step(before, &self.pending, &placed, keys);
        self.pending.drain(..).count()
    }
}

impl Walk {
    /// The last seal: its number, its MAC and its place.
    fn last(&self) -> Option<(u64, Mac, Place)> {
        self.seals.last().map(|known| (known.number, known.mac, known.place))
    }

    /// Looks at a seal and the lines before it. `before`: the number of the seal before it, and its last line.
    fn step(
        &mut self,
        before: Option<(u64, u64)>,
        entries: &[Entry],
        placed: &Placed,
        keys: &mut Keys,
    ) {
        let Seal { chain, epoch, number, .. } = *placed.seal;
        if number >= MAX_SEALS {
            let text = format!("there is no seal {number} of chain {chain}");
            self.findings.push(finding(Kind::BadSeal, Some(placed.place), text));
            return;
        }
        if let Some((before, last)) = before {
            if number <= before {
                let text = format!(
                    "seal {number} of chain {chain} is behind seal {before}: it is there a second time, or in another \
                     place than it was"
                );
                self.findings.push(finding(Kind::Added, Some(placed.place), text));
                // Its lines stand here a second time as well.
                let copies = entries.iter().filter(|entry| entry.seq <= last);
                self.findings.extend(copies.map(|entry| {
                    let text = format!("line {chain}.{} is there a second time", entry.seq);
                    finding(Kind::Added, Some(entry.place), text)
                }));
                return;
            }
            if number > before.saturating_add(1) {
                let next = placed.seal.first_but_one();
                let lines = match next > last {
                    true => format!("; {}", gone(chain, last.saturating_add(1), next)),
                    false => String::new(),
                };
                let missing = match number.saturating_sub(before) {
                    2 => format!(
                        "seal {} of chain {chain} is missing before this one",
                        before.saturating_add(1)
                    ),
                    _ => format!(
                        "seals {} to {} of chain {chain} are missing before this one",
                        before.saturating_add(1),
                        number.saturating_sub(1)
                    ),
                };
                self.findings.push(finding(Kind::Removed, Some(placed.place), missing + &lines));
            }
        }
        let ratchet = match self.ratchet.take() {
            Some(mut ratchet) if number.wrapping_sub(ratchet.number()) < 64 => {
                while ratchet.number() < number {
                    ratchet.step();
                }
                ratchet
            }
            _ => match keys.ratchet(chain, epoch, number) {
                Some(ratchet) => ratchet,
                None => {
                    let text = format!(
                        "the seal {number} of chain {chain} is not looked at, as too many are made up"
                    );
                    self.findings.push(finding(Kind::BadSeal, Some(placed.place), text));
                    return;
                }
            },
        };
        let mut outcome = check(chain, entries, placed, &ratchet);
        keys.judged(outcome.is_good);
        self.ratchet = Some(ratchet);
        self.link(placed, &mut outcome);
        self.date(entries, placed, keys, &mut outcome);
        let Outcome { findings, stranger, is_good } = outcome;
        let is_next = before.is_none_or(|(before, _)| number == before.saturating_add(1));
        self.findings.extend(findings);
        self.strangers.extend(stranger.map(|place| Stranger { batch: number, place }));
        // One that is not good says what it likes: the next ones go on from where it should have been.
        if is_good || is_next {
            let seal = &placed.seal;
            self.seals.push(Known {
                number,
                last: seal.last,
                mac: seal.mac,
                torn: seal.torn,
                waited: seal.waited,
                in_pieces: seal.in_pieces,
                is_end: seal.is_end,
                up_ms: seal.up_ms,
                time_ms: seal.time_ms,
                lost: seal.lost,
                place: placed.place,
                file: seal.file,
                turn: seal.turn,
                done: seal.done,
                is_good,
            });
        }
    }

    /// What was written after a seal, or with a key, can't be older than that. A clock that is set back a little is
    /// no finding.
    fn date(&self, entries: &[Entry], placed: &Placed, keys: &Keys, outcome: &mut Outcome) {
        let seal = &placed.seal;
        let before = self.seals.last().map(|known| known.time_ms);
        let oldest =
            keys.millis_of(seal.epoch).max(before.unwrap_or(i64::MIN)).saturating_sub(SLACK_MS);
        let times = entries.iter().filter_map(|entry| Some((entry.time_ms?, entry.place)));
        let mut times = times.chain([(seal.time_ms, placed.place)]);
        if let Some((_, place)) = times.find(|(time, _)| *time < oldest) {
            let text = format!(
                "this says that it is older than it can be, in chain {}: the clock was set back, or somebody wrote it \
                 later than it says",
                seal.chain
            );
            outcome.findings.push(finding(Kind::Backdated, Some(place), text));
        }
    }

    /// Each seal names the one before.
    fn link(&self, placed: &Placed, outcome: &mut Outcome) {
        let Some(before) = self.seals.last() else { return };
        let is_next = placed.seal.number == before.number.saturating_add(1);
        let fits = placed.seal.before == Some(before.mac);
        if is_next && before.is_good && outcome.is_good && !fits {
            let text =
                format!("seal {} names another one before it than there is", placed.seal.number);
            outcome.findings.push(finding(Kind::BadSeal, Some(placed.place), text));
        }
    }
}

/// The first seal of a chain that is there.
#[derive(Debug)]
pub(super) struct First {
    pub(super) number: u64,
    pub(super) place: Place,
    /// The file that it says it is in, and the one that it says the seal before it is in, if that is another one.
    pub(super) file: u64,
    pub(super) from: Option<u64>,
    /// The file before its own that the seal before it was written to, or where its own lines begin.
    pub(super) before: Option<u64>,
    /// Later seals, or manifests, say that it is in another file than the one it was made for.
    pub(super) has_waited: bool,
    /// The first ones of its lines, where they alone are missing; `None`: they are all there, or none of that explains what is not.
    pub(super) lacks: Option<(u64, u64)>,
    /// What it has shown of its lines.
    pub(super) findings: Findings,
}

/// The segments of a chain, put together.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) walk: Walk,
    pub(super) first: Option<First>,
    /// Lines behind the last seal.
    pub(super) tail: Vec<Entry>,
    /// Lines, and a seal, that are there a second time: at the end of a file, and at the beginning of the next one.
    pub(super) twice: Vec<(Copied, Place, Place)>,
}

/// The oldest first.
pub(super) fn join(segments: Vec<Segment>, keys: &mut Keys) -> Joined {
    let mut joined =
        Joined { walk: Walk::default(), first: None, tail: Vec::new(), twice: Vec::new() };
    for segment in segments {
        let Segment { head, first, pending, mut walk } = segment;
        // A line of which a part is in the file before may be there once more.
        for entry in head {
            match joined.tail.last().filter(|before| before.is_same(&entry)) {
                Some(before) => {
                    joined.twice.push((Copied::Line(entry.seq), before.place, entry.place));
                }
                None => joined.tail.push(entry),
            }
        }
        let Some(placed) = first else { continue };
        let seal = &placed.seal;
        let is_first = joined.first.is_none();
        let lacks = is_first.then(|| is_end_of(&joined.tail, seal)).flatten();
        let before = joined.walk.seals.last().map(|known| (known.number, known.last));
        let last = joined.walk.last().filter(|_| joined.tail.is_empty());
        match last.filter(|(number, mac, _)| (*number, *mac) == (seal.number, seal.mac)) {
            Some((number, _, first)) => {
                joined.twice.push((Copied::Seal(number), first, placed.place));
            }
            None => joined.walk.step(before, &joined.tail, &placed, keys),
        }
        if is_first {
            joined.first = Some(First {
                number: seal.number,
                place: placed.place,
                file: seal.file,
                from: seal.from,
                before: None,
                has_waited: false,
                lacks,
                findings: std::mem::take(&mut joined.walk.findings),
            });
        }
        joined.walk.seals.extend(walk.seals);
        joined.walk.strangers.extend(walk.strangers);
        joined.walk.findings.append(&mut walk.findings);
        joined.walk.ratchet = None;
        joined.tail = pending;
    }
    joined
}

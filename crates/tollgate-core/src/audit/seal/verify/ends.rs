//! How chains end, and whether any is missing as a whole.

use std::collections::BTreeMap;

use super::super::id::ChainId;
use super::super::manifest::{Known as Told, State};
use super::attested::{Log, CRASH_MS, SILENCE_MS};
use super::batch::{gone, Entry};
use super::bounds::MAX_FINDINGS;
use super::report::Kind;
use super::segment::Known;
use super::Named;

/// Whether each line has the number that follows that of the one before.
fn is_run(lines: &[Entry]) -> bool {
    let pairs = lines.iter().zip(lines.iter().skip(1));
    pairs.into_iter().all(|(before, after)| after.seq == before.seq.saturating_add(1))
}

impl Log {
    /// Whether so much of a generation is there that all of its chains must be in it.
    pub(super) fn is_long(&self, generation: u32) -> bool {
        self.spans
            .get(&generation)
            .is_some_and(|(first, last)| last.saturating_sub(*first) > SILENCE_MS)
    }

    /// Whether the machine crashed after a generation, and may have lost the end of it.
    pub(super) fn has_crashed_after(&self, generation: u32) -> bool {
        // What told of the end in the next one may be lost as well.
        let [from, to] =
            [1, 3].map(|later| ChainId { generation: generation.saturating_add(later), number: 0 });
        self.openings.range(from..to).any(|(_, opened)| opened.is_after_crash)
    }

    /// Whether a generation is there that began just now: it tells of the chains before within seconds.
    pub(super) fn is_to_be_told(&self, last_generation: u32) -> bool {
        let is_told =
            self.manifests.iter().any(|named| named.manifest.generation == last_generation);
        !is_told && !self.is_long(last_generation)
    }

    /// A chain ends with a seal that says so, or a manifest says why not, or it goes on.
    pub(super) fn ends(&mut self, has_left: bool) {
        let newest: BTreeMap<u32, u64> =
            self.spans.iter().map(|(generation, (_, last))| (*generation, *last)).collect();
        let heads = self.manifests.iter().flat_map(|named| &named.manifest.chains);
        let heads = heads.filter_map(|told| Some((told.chain.generation, told.head?.up_ms)));
        let last_told = heads.fold(newest.clone(), |mut last_told, (generation, up_ms)| {
            let known = last_told.entry(generation).or_insert(0);
            *known = up_ms.max(*known);
            last_told
        });
        let last_generation = self.chains.keys().next_back().map_or(0, |last| last.generation);
        let is_to_be_told = self.is_to_be_told(last_generation);
        let chains: Vec<_> = self
            .chains
            .iter()
            .map(|(chain, joined)| {
                (
                    *chain,
                    joined.walk.seals.last().copied(),
                    joined.tail.first().copied(),
                    (joined.tail.len(), joined.tail.last().map_or(0, |last| last.seq)),
                    is_run(&joined.tail),
                )
            })
            .collect();
        for (chain, last, tail, (behind, tail_end), is_run) in chains {
            let latest = self.latest.get(&chain);
            // Of one before, it is known how many lines were made when the last seal was written.
            let is_made_known =
                latest.is_none_or(|(generation, _)| *generation == chain.generation);
            let told = latest.map(|(_, told)| *told);
            let last_place = last.map(|last| last.place);
            let is_over = told.is_some_and(|told| told.state != State::Open);
            if let Some(last) = last.filter(|last| last.lost > 0) {
                let text = format!(
                    "{} lines of chain {chain} were lost before they had a number, as the log could not be written",
                    last.lost
                );
                self.note(last_place, true, text);
            }
            if last.is_some_and(|last| last.is_end) {
                if let Some(tail) = tail {
                    let text = format!("line {chain}.{} is behind the end of its chain", tail.seq);
                    self.find(Kind::Added, Some(tail.place), text);
                }
                continue;
            }
            if let Some(tail) = tail {
                let text = format!(
                    "{behind} lines of chain {chain}, from {chain}.{} on, have no seal yet, or never will: anybody \
                     could have written them",
                    tail.seq
                );
                // A worker is killed in the middle of a write, or was just read in the middle of one.
                let is_begun = self.openings.contains_key(&chain);
                let older = told
                    .and_then(|told| told.head)
                    .filter(|head| !is_begun && !self.is_expected(chain.generation, head.file));
                let next = last.map_or_else(|| older.map_or(0, |head| head.last), |last| last.last);
                let next = next.saturating_add(1);
                match tail.seq == next
                    && is_run
                    && (!is_over || !is_made_known || told.is_none_or(|told| tail_end <= told.made))
                {
                    true => self.note(Some(tail.place), true, text),
                    false => self.find(Kind::Added, Some(tail.place), text),
                }
            }
            // Of one that has no seal yet, the opening says when it began.
            let opened = self.openings.get(&chain).map(|opened| opened.up_ms);
            let up_ms = last.map(|last| last.up_ms).or(opened).unwrap_or(0);
            let silence =
                newest.get(&chain.generation).map_or(0, |newest| newest.saturating_sub(up_ms));
            let before_crash =
                last_told.get(&chain.generation).map_or(0, |newest| newest.saturating_sub(up_ms));
            match told.filter(|_| is_over) {
                Some(told) => self.over(chain, &told, last.as_ref()),
                None if self.has_crashed_after(chain.generation) && before_crash <= CRASH_MS => {
                    let text = format!(
                        "chain {chain} has no end: the machine, which crashed, may have lost it"
                    );
                    self.note(last_place, true, text);
                }
                None if chain.generation < last_generation && is_to_be_told => {
                    let text =
                        format!("chain {chain} has no end, and nothing tells yet how it ended");
                    self.note(last_place, false, text);
                }
                None if chain.generation < last_generation => {
                    let text = format!(
                        "chain {chain} has no end, and nothing tells how it ended: what was behind this is missing"
                    );
                    self.find(Kind::CutOff, last_place, text);
                }
                // A disk is full, or was.
                None if silence > SILENCE_MS && has_left => {
                    let text = format!(
                        "chain {chain} falls silent, as a line could not be written to its end"
                    );
                    self.note(last_place, true, text);
                }
                None if silence > SILENCE_MS => {
                    let text = format!(
                        "chain {chain} falls silent, {} seconds before others do: what was behind this is missing, or \
                         its worker hangs",
                        silence / 1000
                    );
                    self.find(Kind::CutOff, last_place, text);
                }
                None => {}
            }
        }
    }

    /// A chain ended without saying so.
    pub(super) fn over(&mut self, chain: ChainId, told: &Told, last: Option<&Known>) {
        let place = last.map(|last| last.place);
        match told.state {
            State::Ended => {
                let text = format!("the end of chain {chain}, which a manifest names, is missing");
                self.find(Kind::CutOff, place, text);
            }
            State::Killed | State::Crashed | State::Open => {
                let written = last.map_or(0, |last| last.last);
                let how = if told.state == State::Crashed {
                    "the machine crashed"
                } else {
                    "its worker was killed"
                };
                let text = match told.made > written {
                    true => {
                        let first = written.saturating_add(1);
                        format!(
                            "chain {chain} ends here, as {how}; {}",
                            gone(chain, first, told.made)
                        )
                    }
                    false => format!("chain {chain} ends here, as {how}; no line is missing"),
                };
                self.note(place, told.made > written, text);
            }
        }
    }

    /// A chain of which nothing is there must be told of.
    pub(super) fn unseen(&mut self) {
        let Some(first) = self.manifests.first().map(|named| &named.manifest) else { return };
        let mut begun: BTreeMap<u32, u32> = BTreeMap::new();
        for chain in self.chains.keys() {
            let known = begun.entry(chain.generation).or_insert(0);
            *known = chain.number.saturating_add(1).max(*known);
        }
        for Named { manifest, .. } in &self.manifests {
            let known = begun.entry(manifest.generation).or_insert(0);
            *known = manifest.chains_begun.max(*known);
        }
        let last_generation = begun.keys().next_back().copied().unwrap_or(0);
        let is_to_be_told = self.is_to_be_told(last_generation);
        let mut missing = Vec::new();
        for (generation, begun) in begun {
            let from = match generation == first.generation {
                true if first.before.is_some() => first.chains_begun,
                _ if generation < first.generation => continue,
                _ => 0,
            };
            // A line for each of a million would be of no use.
            let room = MAX_FINDINGS.saturating_sub(missing.len());
            for number in (from..begun).take(room.min(1000)) {
                let chain = ChainId { generation, number };
                if !self.chains.contains_key(&chain) {
                    missing.push((chain, generation == last_generation));
                }
            }
        }
        for (chain, may_come) in missing {
            match self.latest.get(&chain).map(|(_, told)| *told) {
                // Its worker was killed before it could write anything; what else is told of it, is judged there.
                Some(Told { head: None, state, made, .. }) if state != State::Open => {
                    let text = format!(
                        "chain {chain} was begun, and its worker killed before its first seal"
                    );
                    self.note(None, made > 1, text);
                }
                Some(Told { head: Some(_), .. }) => {}
                _ if may_come && self.is_young(chain) => {}
                _ if self.has_crashed_after(chain.generation) => {
                    let text = format!(
                        "chain {chain} was begun, and nothing of it is there: the machine, which crashed, may have lost it"
                    );
                    self.note(None, true, text);
                }
                _ if !may_come && is_to_be_told => {}
                _ => {
                    let text = format!("chain {chain} was begun, and nothing of it is there");
                    self.find(Kind::CutOff, None, text);
                }
            }
        }
    }

    /// Whether a chain may have begun while the log was read: all that is known of later ones is as young.
    pub(super) fn is_young(&self, chain: ChainId) -> bool {
        let ups = |from: ChainId| {
            let chains = self
                .chains
                .range(from..)
                .filter(move |(known, _)| known.generation == chain.generation);
            let seals =
                chains.flat_map(|(_, joined)| joined.walk.seals.iter().map(|seal| seal.up_ms));
            let openings = self.openings.range(from..);
            let openings = openings.filter(move |(known, _)| known.generation == chain.generation);
            seals.chain(openings.map(|(_, opened)| opened.up_ms))
        };
        let newest = ups(ChainId { number: 0, ..chain }).max();
        match (newest, ups(chain).min()) {
            (Some(newest), Some(begun)) => newest.saturating_sub(begun) <= SILENCE_MS,
            _ => true,
        }
    }
}

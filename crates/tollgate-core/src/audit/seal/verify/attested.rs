//! What is there of each chain, held against what is said of it: by manifests, by seals that come later, and by
//! heads that were kept elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use super::super::manifest::{Known as Told, State};
use super::super::ChainId;
use super::batch::gone;
use super::pieces::{is_short, Piece, Whole};
use super::report::{finding, Finding, Kind, Note, Place, Report};
use super::segment::{Joined, Known};
use super::{Named, Opened, Twice, Verifier};

/// For so long a chain may be silent while others are not, in milliseconds: it is sealed every ten seconds.
const SILENCE_MS: u64 = 60_000;

/// What was put together.
struct Log {
    chains: BTreeMap<ChainId, Joined>,
    openings: BTreeMap<ChainId, Opened>,
    manifests: Vec<Named>,
    /// Files that are there, by generation and number.
    numbers: BTreeSet<(u32, u64)>,
    findings: Vec<Finding>,
    notes: Vec<Note>,
}

pub(super) fn judge(verifier: Verifier, chains: BTreeMap<ChainId, Joined>) -> Report {
    let Verifier { twice, pieces, heads, findings, lines, seals, span, openings, mut manifests, numbers, .. } =
        verifier;
    manifests.sort_by_key(|named| named.manifest.number);
    let mut log = Log { chains, openings, manifests, numbers, findings, notes: Vec::new() };
    let has_left = pieces.found.iter().any(Piece::is_left);
    log.walks(has_left);
    log.beginnings();
    log.links();
    log.told();
    log.ends(has_left);
    log.unseen();
    log.heads(&heads, span.as_ref());
    log.pieces(&pieces.found);
    log.twice(twice);
    let is_whole = log.first_manifest().is_some();
    let mut findings = log.findings;
    findings.sort_by_key(|finding| (finding.place, finding.kind));
    findings.dedup();
    let (count, manifests) = (log.chains.len(), log.manifests.len());
    let notes = log.notes;
    Report { findings, notes, lines, seals, chains: count, manifests, span, is_whole }
}

impl Log {
    fn find(&mut self, kind: Kind, place: Option<Place>, text: String) {
        self.findings.push(finding(kind, place, text));
    }

    fn note(&mut self, place: Option<Place>, is_loss: bool, text: String) {
        self.notes.push(Note { place, text, is_loss });
    }

    fn first_manifest(&self) -> Option<&Named> {
        self.manifests.first().filter(|named| named.manifest.before.is_none())
    }

    /// What showed when the seals were gone through. `has_left`: a line was begun, and not written again.
    fn walks(&mut self, has_left: bool) {
        for (chain, joined) in &mut self.chains {
            self.findings.append(&mut joined.walk.findings);
            for stranger in &joined.walk.strangers {
                let may_be_torn = has_left && is_last_of_killed(joined, stranger.batch);
                if !may_be_torn && !is_torn(joined, stranger.batch) {
                    let text = format!(
                        "this stands among the lines of seal {} of chain {chain}, which were written in one go",
                        stranger.batch
                    );
                    self.findings.push(finding(Kind::Reordered, Some(stranger.place), text));
                }
            }
        }
    }

    /// A chain begins with its opening; or with the file, if that is the oldest one which is still there.
    fn beginnings(&mut self) {
        let is_whole = self.first_manifest().is_some();
        let mut found = Vec::new();
        for (chain, joined) in &self.chains {
            let Some((number, from, place)) = joined.first else { continue };
            let has_opening = self.openings.contains_key(chain);
            let is_cut = match from {
                _ if number == 0 => !has_opening,
                Some(from) => is_whole || self.numbers.contains(&(chain.generation, from)),
                None => true,
            };
            if is_cut {
                let text = match number {
                    0 => format!("chain {chain} has no opening"),
                    _ => format!("chain {chain} has no beginning: what is before seal {number} is missing"),
                };
                found.push(finding(Kind::Removed, Some(place), text));
            }
        }
        self.findings.extend(found);
    }

    /// Each manifest, and each opening, names the manifest before.
    fn links(&mut self) {
        let hashes: BTreeSet<_> = self.manifests.iter().map(|named| named.hash.0).collect();
        let is_whole = self.first_manifest().is_some();
        let oldest = self.manifests.first().map(|named| named.manifest.number);
        let mut found = Vec::new();
        for Named { manifest, place, .. } in &self.manifests {
            let Some(before) = manifest.before else { continue };
            if manifest.is_after_crash {
                continue;
            }
            if !hashes.contains(&before.0) && (is_whole || oldest != Some(manifest.number)) {
                let text = format!("manifest {} names one before it that is missing", manifest.number);
                found.push(finding(Kind::Removed, Some(*place), text));
            }
        }
        for (chain, opened) in &self.openings {
            let Some(before) = opened.before.filter(|_| is_whole) else { continue };
            if !hashes.contains(&before.0) && !opened.is_after_crash {
                let text = format!("the opening of chain {chain} names a manifest that is missing");
                found.push(finding(Kind::Removed, Some(opened.place), text));
            }
        }
        self.findings.extend(found);
    }

    /// What a manifest tells of a chain must be there.
    fn told(&mut self) {
        let mut found = Vec::new();
        let mut reported = BTreeSet::new();
        for Named { manifest, place, .. } in self.manifests.iter().rev() {
            for told in &manifest.chains {
                let Some(head) = told.head else { continue };
                let chain = told.chain;
                let joined = self.chains.get(&chain);
                let last = joined.and_then(|joined| joined.walk.seals.last());
                let first = joined.and_then(|joined| joined.first).map(|(number, ..)| number);
                let is_missing = match (first, last) {
                    // Before what is there, or in it.
                    (Some(first), Some(last)) if last.number >= head.number => {
                        let sealed = joined.and_then(|joined| at(joined, head.number));
                        first <= head.number && sealed.is_none_or(|known| known.mac != head.mac)
                    }
                    (Some(_), _) => true,
                    // Of a chain that is not there, no file must be.
                    (None, _) => {
                        self.first_manifest().is_some()
                            || told.state == State::Open && self.is_long(chain.generation)
                            || self.numbers.contains(&(chain.generation, head.file))
                    }
                };
                // A machine that crashed may have lost what it had not written to its disks.
                let is_crash = told.state == State::Crashed;
                if is_missing && reported.insert(chain) {
                    let after = last.map_or(0, |last| last.last);
                    let lines = match head.last > after {
                        true => format!("; {}", gone(chain, after.saturating_add(1), head.last)),
                        false => String::new(),
                    };
                    let text = format!(
                        "manifest {} names seal {} of chain {chain}, which is missing{lines}",
                        manifest.number, head.number
                    );
                    found.push((is_crash, last.map_or(*place, |last| last.place), text));
                }
            }
        }
        for (is_crash, place, text) in found {
            match is_crash {
                false => self.find(Kind::CutOff, Some(place), text),
                true => {
                    let text = format!("{text}; the machine, which crashed, may have lost it");
                    self.note(Some(place), true, text);
                }
            }
        }
    }

    /// Whether so much of a generation is there that all of its chains must be in it.
    fn is_long(&self, generation: u32) -> bool {
        let chains = self.chains.iter().filter(|(chain, _)| chain.generation == generation);
        let ups = || chains.clone().flat_map(|(_, joined)| joined.walk.seals.iter()).map(|seal| seal.up_ms);
        let (first, last) = (ups().min().unwrap_or(0), ups().max().unwrap_or(0));
        last.saturating_sub(first) > SILENCE_MS
    }

    /// Whether the machine crashed after a generation, and may have lost the end of it.
    fn has_crashed_after(&self, generation: u32) -> bool {
        let later = ChainId { generation: generation.saturating_add(1), number: 0 };
        let next = self.openings.range(later..).next();
        next.is_some_and(|(_, opened)| opened.is_after_crash)
    }

    /// Whether a generation is there that began just now: it tells of the chains before within seconds.
    fn is_to_be_told(&self, last_generation: u32) -> bool {
        let is_told = self.manifests.iter().any(|named| named.manifest.generation == last_generation);
        !is_told && !self.is_long(last_generation)
    }

    /// What the latest manifest that names a chain tells of it.
    fn latest(&self, chain: ChainId) -> Option<&Told> {
        self.latest_with_generation(chain).map(|(_, told)| told)
    }

    /// And the generation of the manifest.
    fn latest_with_generation(&self, chain: ChainId) -> Option<(u32, &Told)> {
        self.manifests.iter().rev().find_map(|named| {
            let manifest = &named.manifest;
            let told = manifest.chains.iter().find(|told| told.chain == chain)?;
            Some((manifest.generation, told))
        })
    }

    /// A chain ends with a seal that says so, or a manifest says why not, or it goes on.
    fn ends(&mut self, has_left: bool) {
        let newest: BTreeMap<u32, u64> = self.chains.iter().fold(BTreeMap::new(), |mut newest, found| {
            let (chain, joined) = found;
            let up_ms = joined.walk.seals.iter().map(|seal| seal.up_ms).max().unwrap_or(0);
            let known = newest.entry(chain.generation).or_insert(0);
            *known = up_ms.max(*known);
            newest
        });
        let last_generation = newest.keys().next_back().copied().unwrap_or(0);
        let chains: Vec<_> = self.chains.iter().map(|(chain, joined)| {
            (*chain, joined.walk.seals.last().copied(), joined.tail.first().copied(), joined.tail.len())
        }).collect();
        for (chain, last, tail, behind) in chains {
            let latest = self.latest_with_generation(chain);
            // Of one before, it is known how many lines were made when the last seal was written.
            let is_made_known = latest.is_none_or(|(generation, _)| generation == chain.generation);
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
                let next = last.map_or(1, |last| last.last.saturating_add(1));
                match tail.seq == next && (!is_over || !is_made_known || told.is_none_or(|told| tail.seq <= told.made)) {
                    true => self.note(Some(tail.place), true, text),
                    false => self.find(Kind::Added, Some(tail.place), text),
                }
            }
            // Of one that has no seal yet, the opening says when it began.
            let opened = self.openings.get(&chain).map(|opened| opened.up_ms);
            let up_ms = last.map(|last| last.up_ms).or(opened).unwrap_or(0);
            let silence = newest.get(&chain.generation).map_or(0, |newest| newest.saturating_sub(up_ms));
            match told.filter(|_| is_over) {
                Some(told) => self.over(chain, &told, last.as_ref()),
                None if self.has_crashed_after(chain.generation) => {
                    let text = format!("chain {chain} has no end: the machine, which crashed, may have lost it");
                    self.note(last_place, true, text);
                }
                None if chain.generation < last_generation && self.is_to_be_told(last_generation) => {
                    let text = format!("chain {chain} has no end, and nothing tells yet how it ended");
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
                    let text = format!("chain {chain} falls silent, as a line could not be written to its end");
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
    fn over(&mut self, chain: ChainId, told: &Told, last: Option<&Known>) {
        let place = last.map(|last| last.place);
        match told.state {
            State::Ended => {
                let text = format!("the end of chain {chain}, which a manifest names, is missing");
                self.find(Kind::CutOff, place, text);
            }
            State::Killed | State::Crashed | State::Open => {
                let written = last.map_or(0, |last| last.last);
                let how = if told.state == State::Crashed { "the machine crashed" } else { "its worker was killed" };
                let text = match told.made > written {
                    true => {
                        let first = written.saturating_add(1);
                        format!("chain {chain} ends here, as {how}; {}", gone(chain, first, told.made))
                    }
                    false => format!("chain {chain} ends here, as {how}; no line is missing"),
                };
                self.note(place, told.made > written, text);
            }
        }
    }

    /// A chain of which nothing is there must be told of.
    fn unseen(&mut self) {
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
        let mut missing = Vec::new();
        for (generation, begun) in begun {
            let from = match generation == first.generation {
                true if first.before.is_some() => first.chains_begun,
                _ if generation < first.generation => continue,
                _ => 0,
            };
            // A line for each of a million would be of no use.
            for number in (from..begun).take(10_000) {
                let chain = ChainId { generation, number };
                if !self.chains.contains_key(&chain) {
                    missing.push((chain, generation == last_generation));
                }
            }
        }
        for (chain, may_come) in missing {
            match self.latest(chain).copied() {
                // Its worker was killed before it could write anything; what else is told of it, is judged there.
                Some(Told { head: None, state, made, .. }) if state != State::Open => {
                    let text = format!("chain {chain} was begun, and its worker killed before its first seal");
                    self.note(None, made > 1, text);
                }
                Some(Told { head: Some(_), .. }) => {}
                _ if may_come && self.is_young(chain) => {}
                _ if self.has_crashed_after(chain.generation) => {}
                _ if !may_come && self.is_to_be_told(last_generation) => {}
                _ => {
                    let text = format!("chain {chain} was begun, and nothing of it is there");
                    self.find(Kind::CutOff, None, text);
                }
            }
        }
    }

    /// Whether a chain may have begun while the log was read: all that is known of later ones is as young.
    fn is_young(&self, chain: ChainId) -> bool {
        let ups = |from: ChainId| {
            let chains = self.chains.range(from..).filter(move |(known, _)| known.generation == chain.generation);
            let seals = chains.flat_map(|(_, joined)| joined.walk.seals.iter().map(|seal| seal.up_ms));
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

    /// What was kept elsewhere must be there, unless it is older than all that is.
    fn heads(&mut self, heads: &[super::HeadsLine], span: Option<&(String, String)>) {
        let mut found = BTreeMap::new();
        for line in heads {
            for (chain, number, mac) in &line.chains {
                let joined = self.chains.get(chain);
                let first = joined.and_then(|joined| joined.first).map(|(first, ..)| first);
                let is_there = joined.and_then(|joined| at(joined, *number)).is_some_and(|known| known.mac == *mac);
                let is_older = match first {
                    Some(first) => first > *number,
                    None => span.is_some_and(|(first, _)| line.time < *first),
                };
                if !is_there && !is_older {
                    let place = joined.and_then(|joined| joined.walk.seals.last()).map(|last| last.place);
                    found.insert((*chain, *number), (place, line.time.clone()));
                }
            }
        }
        for ((chain, number), (place, time)) in found {
            let text = format!(
                "seal {number} of chain {chain}, which the heads of {time} name, is missing: what was behind this was \
                 cut off, or written anew"
            );
            self.find(Kind::CutOff, place, text);
        }
    }

    fn is_line_torn(&self, chain: ChainId, seq: u64) -> bool {
        self.chains.get(&chain).is_some_and(|joined| {
            let behind = joined.walk.seals.iter().find(|seal| seal.last >= seq);
            // What has no seal, and never will, was written in part.
            behind.is_none_or(|seal| is_torn(joined, seal.number) || is_last_of_killed(joined, seal.number))
        })
    }

    fn is_seal_torn(&self, chain: ChainId, number: u64) -> bool {
        let joined = self.chains.get(&chain);
        joined.is_some_and(|joined| is_torn(joined, number) || is_last_of_killed(joined, number))
    }

    /// So may all of it but its line feed.
    fn twice(&mut self, mut twice: Vec<Twice>) {
        for (chain, joined) in &self.chains {
            let of_chain = joined.twice.iter().map(|(seq, place)| Twice {
                chain: *chain,
                seal: None,
                seq: *seq,
                place: *place,
            });
            twice.extend(of_chain);
        }
        for Twice { chain, seal, seq, place } in twice {
            let (is_well, text) = match seal {
                Some(number) => (
                    self.is_seal_torn(chain, number),
                    format!("seal {number} of chain {chain} is there a second time"),
                ),
                None => (
                    self.is_line_torn(chain, seq),
                    format!("line {chain}.{seq} is there a second time"),
                ),
            };
            if !is_well {
                self.find(Kind::Added, Some(place), text);
            }
        }
    }

    /// The beginning of a line may be there twice, where it was not written in one go.
    fn pieces(&mut self, pieces: &[Piece]) {
        let killed = self
            .chains
            .values()
            .filter(|joined| !joined.walk.seals.last().is_some_and(|last| last.is_end))
            .count();
        let is_any_torn =
            self.chains.values().any(|joined| joined.walk.seals.iter().any(|seal| seal.torn.is_some()));
        let has_trouble = is_any_torn || killed > 0;
        let mut left: Vec<Vec<u8>> = Vec::new();
        for piece in pieces {
            let is_of_torn = |whole: &Whole| match *whole {
                Whole::Line(chain, seq) => self.is_line_torn(chain, seq),
                Whole::Seal(chain, number) => self.is_seal_torn(chain, number),
            };
            let is_well = piece.is_well(|part, bytes| {
                if is_short(bytes) && has_trouble || part.of.iter().any(is_of_torn) {
                    return true;
                }
                if !part.of.is_empty() {
                    return false;
                }
                // The rest was never written. It may have been begun several times.
                let is_same = left.iter().any(|known| known.starts_with(bytes) || bytes.starts_with(known));
                let is_left = is_same || left.len() < killed;
                if is_left && !is_same {
                    left.push(bytes.to_vec());
                }
                is_left
            });
            match is_well {
                true => self.note(
                    Some(piece.place),
                    false,
                    "the beginning of a line that could not be written in one go".to_owned(),
                ),
                false => {
                    let text = "this is a part of a line, which nothing explains";
                    self.find(Kind::Added, Some(piece.place), text.to_owned());
                }
            }
        }
    }
}

/// The seal of this number.
fn at(joined: &Joined, number: u64) -> Option<&Known> {
    let found = joined.walk.seals.binary_search_by_key(&number, |seal| seal.number).ok()?;
    joined.walk.seals.get(found)
}

/// Whether the worker may have been killed before it could say so.
fn is_last_of_killed(joined: &Joined, number: u64) -> bool {
    const LATEST: u64 = 8;
    let last = joined.walk.seals.last();
    last.is_some_and(|last| number.saturating_add(LATEST) > last.number && !last.is_end)
}

/// Whether a batch was not written in one go: it says so itself, or a later one does.
fn is_torn(joined: &Joined, number: u64) -> bool {
    let seals = &joined.walk.seals;
    seals.iter().any(|seal| {
        seal.number == number && seal.in_pieces
            || seal.number > number && seal.torn.is_some_and(|torn| torn <= number)
    })
}

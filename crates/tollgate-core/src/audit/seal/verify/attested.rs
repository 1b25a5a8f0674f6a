//! What is there of each chain, held against what is said of it: by manifests, by seals that come later, and by
//! heads that were kept elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use super::super::heads::{HeadsLine, Told};
use super::super::id::ChainId;
use super::super::line::millis;
use super::super::manifest::{Known as KnownChain, State};
use super::batch::gone;
use super::bounds::{Findings, MAX_FINDINGS};
use super::files;
use super::pieces::Piece;
use super::report::{finding, Kind, Note, Place, Report};
use super::segment::{First, Joined, Known};
use super::{Named, Opened, Verifier};

/// For so long a chain may be silent while others are not, in milliseconds: it is sealed every ten seconds.
pub(super) const SILENCE_MS: u64 = 60_000;

/// So much of the end of a log a machine that crashes may lose, in milliseconds: kernels write what is older to
/// the disk.
pub(super) const CRASH_MS: u64 = 300_000;

/// So much later than the first worker the last one may begin to write to a new file, in milliseconds.
const TURN_MS: i64 = 10_000;

/// Seconds without any seal of which it is told.
const GAP_SECONDS: i64 = 60;

/// What was put together.
pub(super) struct Log {
    pub(super) chains: BTreeMap<ChainId, Joined>,
    pub(super) openings: BTreeMap<ChainId, Opened>,
    pub(super) manifests: Vec<Named>,
    /// What the latest manifest that names a chain tells of it, and the generation of the manifest.
    pub(super) latest: BTreeMap<ChainId, (u32, KnownChain)>,
    /// When the first and the last seal of each generation were made, on the monotonic clock.
    pub(super) spans: BTreeMap<u32, (u64, u64)>,
    /// Files that are there, by generation and number.
    pub(super) numbers: BTreeSet<(u32, u64)>,
    pub(super) findings: Findings,
    pub(super) notes: Vec<Note>,
}

pub(super) fn judge(verifier: Verifier, mut chains: BTreeMap<ChainId, Joined>) -> Report {
    let Verifier {
        twice,
        unended,
        pieces,
        heads,
        findings,
        lines,
        seals,
        span,
        openings,
        mut manifests,
        ..
    } = verifier;
    manifests.sort_by_key(|named| named.manifest.number);
    let latest = manifests.iter().flat_map(|Named { manifest, .. }| {
        manifest.chains.iter().map(|told| (told.chain, (manifest.generation, *told)))
    });
    let latest = latest.collect();
    let numbers = settle_files(&mut chains, &manifests);
    let mut spans: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for (chain, joined) in &chains {
        for Known { up_ms, .. } in &joined.walk.seals {
            let (first, last) = spans.entry(chain.generation).or_insert((*up_ms, *up_ms));
            (*first, *last) = ((*first).min(*up_ms), (*last).max(*up_ms));
        }
    }
    let notes = Vec::new();
    let mut log = Log { chains, openings, manifests, latest, spans, numbers, findings, notes };
    let has_left = pieces.found.iter().any(Piece::is_left);
    log.walks(!pieces.found.is_empty());
    log.beginnings();
    log.links();
    log.order();
    log.runs();
    log.told();
    log.gaps();
    log.ends(has_left);
    log.unseen();
    log.heads(&heads, span.as_ref());
    log.pieces(&pieces.found);
    log.twice(twice, &unended);
    let is_whole = log.is_whole();
    let (chains, manifests) = (log.chains.len(), log.manifests.len());
    let mut report =
        Report { lines, seals, chains, manifests, span, is_whole, ..Report::default() };
    report.notes = log.notes;
    log.findings.report(&mut report);
    report
}

/// Which files are there, by generation, once it is known of each seal which one it was written to.
fn settle_files(
    chains: &mut BTreeMap<ChainId, Joined>,
    manifests: &[Named],
) -> BTreeSet<(u32, u64)> {
    let mut named: BTreeMap<ChainId, BTreeMap<u64, u64>> = BTreeMap::new();
    for told in manifests.iter().flat_map(|named| &named.manifest.chains) {
        if let Some(head) = told.head {
            named.entry(told.chain).or_default().insert(head.number, head.file);
        }
    }
    let mut numbers = BTreeSet::new();
    for (chain, joined) in chains {
        files::settle(joined, named.get(chain).unwrap_or(&BTreeMap::new()));
        let seals = joined.walk.seals.iter();
        numbers.extend(seals.map(|seal| (chain.generation, seal.file)));
    }
    numbers
}

impl Log {
    pub(super) fn find(&mut self, kind: Kind, place: Option<Place>, text: String) {
        self.findings.push(finding(kind, place, text));
    }

    pub(super) fn note(&mut self, place: Option<Place>, is_loss: bool, text: String) {
        if self.notes.len() < MAX_FINDINGS {
            self.notes.push(Note { place, text, is_loss });
        }
    }

    /// Whether a file must be there: files go the oldest first, and an older one is there.
    pub(super) fn is_expected(&self, generation: u32, file: u64) -> bool {
        // Where no seal is left, none of what names one explains that.
        self.numbers.first().is_none_or(|oldest| *oldest <= (generation, file))
    }

    /// Whether nothing was before what is there.
    fn is_whole(&self) -> bool {
        self.first_manifest().is_some_and(|first| {
            first.manifest.chains.iter().all(|told| self.openings.contains_key(&told.chain))
        })
    }

    fn first_manifest(&self) -> Option<&Named> {
        self.manifests.first().filter(|named| named.manifest.before.is_none())
    }

    /// What showed when the seals were gone through. `has_pieces`: lines were begun, and not ended.
    fn walks(&mut self, has_pieces: bool) {
        for (chain, joined) in &mut self.chains {
            self.findings.append(&mut joined.walk.findings);
            for stranger in &joined.walk.strangers {
                let may_be_torn = has_pieces && is_last_of_killed(joined, stranger.batch);
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
        // Chains of which older files had more, that need not be there any more.
        let goes_on = |(chain, joined): (&ChainId, &Joined)| {
            let before = joined.first.as_ref()?.before?;
            (!self.is_expected(chain.generation, before)).then_some(*chain)
        };
        let old: BTreeSet<ChainId> = self.chains.iter().filter_map(goes_on).collect();
        let mut found = Findings::default();
        let mut halves = Vec::new();
        for (chain, joined) in &mut self.chains {
            // What the seal says of itself, which then can't be verified, is no reason.
            let is_half = joined
                .first
                .as_ref()
                .is_some_and(|first| first.has_waited && is_written_again(joined, first.number));
            let Some(First { number, place, lacks, findings, .. }) = &mut joined.first else {
                continue;
            };
            let is_old = old.contains(chain);
            // It was being written when the disk was full, and what was written by then is in the old file.
            let half = lacks.filter(|_| is_old && is_half);
            match half {
                Some((from, to)) => halves.push((*place, *number, gone(*chain, from, to), *chain)),
                None => found.append(findings),
            }
            let text = match number {
                0 if half.is_none() && !self.openings.contains_key(chain) => {
                    format!("chain {chain} has no opening")
                }
                1.. if !is_old => format!(
                    "chain {chain} has no beginning: what is before seal {number} is missing"
                ),
                _ => continue,
            };
            found.push(finding(Kind::Removed, Some(*place), text));
        }
        self.findings.append(&mut found);
        for (place, number, gone, chain) in halves {
            let text = format!(
                "seal {number} of chain {chain} was written while the disk was full, and began in an older file, which is \
                 not there; {gone}, and the other lines of that seal can't be verified"
            );
            self.note(Some(place), true, text);
        }
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
                let text =
                    format!("manifest {} names one before it that is missing", manifest.number);
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
                let first =
                    joined.and_then(|joined| joined.first.as_ref()).map(|first| first.number);
                let is_missing = match (first, last) {
                    // Before what is there, or in it.
                    (Some(first), Some(last)) if last.number >= head.number => {
                        let sealed = joined.and_then(|joined| at(joined, head.number));
                        first <= head.number && sealed.is_none_or(|known| known.mac != head.mac)
                    }
                    (Some(_), _) => true,
                    // A chain that is not there may have been in files that are older than all that are.
                    (None, _) => {
                        let is_open = |(_, told): &(u32, KnownChain)| told.state == State::Open;
                        self.latest.get(&chain).is_none_or(is_open)
                            && self.is_long(chain.generation)
                            || self.is_expected(chain.generation, head.file)
                    }
                };
                // A machine that crashed may have lost what it had not written to its disks.
                let from_ms = last.map_or(told.since_ms, |last| last.up_ms);
                let is_crash =
                    told.state == State::Crashed && head.up_ms.saturating_sub(from_ms) <= CRASH_MS;
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

    /// While nginx runs, something is sealed every ten seconds.
    fn gaps(&mut self) {
        let seals = self.chains.values().flat_map(|joined| joined.walk.seals.iter());
        let mut seals: Vec<_> = seals.map(|seal| (seal.time_ms, seal.is_end, seal.place)).collect();
        seals.sort_unstable_by_key(|(time, ..)| *time);
        let mut found = Vec::new();
        for ((before, is_end, place), (after, ..)) in seals.iter().zip(seals.iter().skip(1)) {
            let gap = after.saturating_sub(*before) / 1000;
            if gap > GAP_SECONDS {
                let why = match is_end {
                    true => "nginx had ended",
                    false => "nginx did not run, or what was there was cut out",
                };
                found.push((
                    *place,
                    !is_end,
                    format!("nothing was sealed for {gap} seconds after this: {why}"),
                ));
            }
        }
        for (place, is_loss, text) in found {
            self.note(Some(place), is_loss, text);
        }
    }

    /// What was kept elsewhere must be there, unless it is older than all that is.
    fn heads(&mut self, heads: &[HeadsLine], span: Option<&(String, String)>) {
        // Workers begin to write to a new file one after the other.
        let oldest = span.and_then(|(first, _)| millis(first.as_bytes()));
        let oldest = oldest.map(|oldest| oldest.saturating_add(TURN_MS));
        let mut found = BTreeMap::new();
        for line in heads {
            for Told { chain, number, mac, time } in &line.chains {
                let joined = self.chains.get(chain);
                let first =
                    joined.and_then(|joined| joined.first.as_ref()).map(|first| first.number);
                let is_there = joined
                    .and_then(|joined| at(joined, *number))
                    .is_some_and(|known| known.mac == *mac);
                let is_older = match first {
                    Some(first) => first > *number,
                    None => oldest
                        .zip(millis(time.as_bytes()))
                        .is_some_and(|(oldest, time)| time < oldest),
                };
                if !is_there && !is_older {
                    let place =
                        joined.and_then(|joined| joined.walk.seals.last()).map(|last| last.place);
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
}

/// The seal of this number.
fn at(joined: &Joined, number: u64) -> Option<&Known> {
    let found = joined.walk.seals.binary_search_by_key(&number, |seal| seal.number).ok()?;
    joined.walk.seals.get(found)
}

/// Whether the worker may have been killed before it could say so.
pub(super) fn is_last_of_killed(joined: &Joined, number: u64) -> bool {
    const LATEST: u64 = 8;
    let last = joined.walk.seals.last();
    last.is_some_and(|last| number.saturating_add(LATEST) > last.number && !last.is_end)
}

/// Whether a batch was not written in one go: it says so itself, or a later one does.
pub(super) fn is_torn(joined: &Joined, number: u64) -> bool {
    let own = at(joined, number).is_some_and(|seal| seal.in_pieces);
    own || is_written_again(joined, number)
}

/// Whether a later seal says that a part of a batch was written more than once.
pub(super) fn is_written_again(joined: &Joined, number: u64) -> bool {
    let seals = &joined.walk.seals;
    let behind = seals.partition_point(|seal| seal.number <= number);
    let mut later = seals.get(behind..).unwrap_or_default().iter();
    later.any(|seal| seal.torn.is_some_and(|torn| torn <= number))
}

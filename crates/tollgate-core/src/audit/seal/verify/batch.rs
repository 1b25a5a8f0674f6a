//! A seal, and the lines that it seals.

use std::collections::BTreeMap;

use super::super::chain::{DIGEST, TAG};
use super::super::id::ChainId;
use super::super::line::Seal;
use super::super::ratchet::Ratchet;
use super::report::{finding, Finding, Kind, Place};

/// A numbered line, as it was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) digest: [u8; DIGEST],
    /// When the request ended, in milliseconds since 1970.
    pub(super) time_ms: Option<i64>,
    pub(super) place: Place,
}

impl Entry {
    /// Whether this is the same line, wherever it stands.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.seq, self.digest) == (other.seq, other.digest)
    }
}

/// A seal, where it was found.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) seal: Box<Seal>,
    pub(super) place: Place,
}

/// What comes of a look at a batch.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) findings: Vec<Finding>,
    /// Where lines of others stand among those of the batch, which is well only if it was not written in one go.
    pub(super) stranger: Option<Place>,
    pub(super) is_good: bool,
}

/// Looks at the lines before a seal, in the order in which they stand there. The ratchet is that of the seal.
pub(super) fn check(
    chain: ChainId,
    entries: &[Entry],
    placed: &Placed,
    ratchet: &Ratchet,
) -> Outcome {
    let seal = &placed.seal;
    let first = seal.first_but_one().saturating_add(1);
    let is_complete = entries.len() as u64 == seal.count
        && (first..).zip(entries).all(|(seq, entry)| entry.seq == seq);
    if is_complete {
        let digests: Vec<u8> = entries.iter().flat_map(|entry| entry.digest).collect();
        if ratchet.mac(&seal.words, &digests) == seal.mac.0 {
            let places = entries.iter().map(|entry| entry.place).chain([placed.place]);
            return Outcome { findings: Vec::new(), stranger: stranger(places), is_good: true };
        }
    }
    let mut findings = compare(chain, entries, placed);
    if findings.is_empty() {
        let text = match entries.first() {
            None => format!("the seal {} of chain {chain} was changed", seal.number),
            Some(first) => format!(
                "the seal {} of chain {chain} does not fit its lines, from line {} on: it was changed, or one of \
                 them was",
                seal.number, first.place.line
            ),
        };
        findings.push(finding(Kind::BadSeal, Some(placed.place), text));
    }
    Outcome { findings, stranger: None, is_good: false }
}

/// The first place after which something else stands.
fn stranger(places: impl Iterator<Item = Place>) -> Option<Place> {
    let mut before: Option<Place> = None;
    for place in places {
        if let Some(before) = before {
            let is_next = place.file == before.file
                && (place.line == before.line.saturating_add(1) || place.line == before.line);
            if !is_next {
                return Some(Place { file: before.file, line: before.line.saturating_add(1) });
            }
        }
        before = Some(place);
    }
    None
}

/// What of the lines is not as the seal says.
fn compare(chain: ChainId, entries: &[Entry], placed: &Placed) -> Vec<Finding> {
    let seal = &placed.seal;
    let before = seal.first_but_one();
    let mut findings = Vec::new();
    let mut known: BTreeMap<u64, Entry> = BTreeMap::new();
    let mut highest = before;
    for entry in entries {
        let Entry { seq, place, .. } = *entry;
        if seq <= before || known.contains_key(&seq) {
            let text = format!(
                "line {chain}.{seq} is there a second time, or in another place than it was"
            );
            findings.push(finding(Kind::Added, Some(place), text));
            continue;
        }
        if seq > seal.last {
            let text =
                format!("line {chain}.{seq} is before seal {}, and was after it", seal.number);
            findings.push(finding(Kind::Reordered, Some(place), text));
            continue;
        }
        if seq < highest {
            let text = format!("line {chain}.{seq} is behind {chain}.{highest}, and was before it");
            findings.push(finding(Kind::Reordered, Some(place), text));
        }
        highest = highest.max(seq);
        known.insert(seq, *entry);
    }
    let mut missing: Option<(u64, u64)> = None;
    let mut last_place = None;
    let removed = |missing: &mut Option<(u64, u64)>, place: Option<Place>| {
        missing.take().map(|(from, to)| finding(Kind::Removed, place, gone(chain, from, to)))
    };
    for (seq, tag) in (before.saturating_add(1)..).zip(&seal.tags) {
        match known.get(&seq) {
            None => {
                missing = Some((missing.map_or(seq, |(from, _)| from), seq));
            }
            Some(entry) => {
                let at = Some(entry.place);
                findings.extend(removed(&mut missing, last_place.or(at)));
                last_place = at;
                if entry.digest.first_chunk::<TAG>() != Some(tag) {
                    let text = format!(
                        "line {chain}.{seq} was changed, or its seal in line {}",
                        placed.place.line
                    );
                    findings.push(finding(Kind::Changed, at, text));
                }
            }
        }
    }
    findings.extend(removed(&mut missing, last_place.or(Some(placed.place))));
    findings
}

/// Whether the lines are all that a seal seals but for the first ones: which of these are missing. That they are as
/// they were written can't be known without those.
pub(super) fn is_end_of(entries: &[Entry], seal: &Seal) -> Option<(u64, u64)> {
    let there = entries.len() as u64;
    let missing = seal.count.checked_sub(there).filter(|missing| *missing > 0)?;
    let before = seal.first_but_one();
    let last_missing = before.saturating_add(missing);
    let tags = seal.tags.get(seal.tags.len().saturating_sub(entries.len())..)?;
    let fits = |(number, (entry, tag)): (u64, (&Entry, &[u8; TAG]))| {
        entry.seq == number && entry.digest.first_chunk::<TAG>() == Some(tag)
    };
    let numbered = (last_missing.saturating_add(1)..).zip(entries.iter().zip(tags));
    numbered.into_iter().all(fits).then_some((before.saturating_add(1), last_missing))
}

/// Lines that are missing, in words.
pub(super) fn gone(chain: ChainId, from: u64, to: u64) -> String {
    match from == to {
        true => format!("line {chain}.{from} is missing near here"),
        false => format!("lines {chain}.{from} to {chain}.{to} are missing near here"),
    }
}

//! In what order the batches of different workers stand.
//!
//! Each seal has a turn among those of all workers, taken before it is written, and says how many turns there were
//! when the one before it was in the file. Who had a later turn than that, wrote behind it. Only batches that were
//! written at the same moment may stand in either order.
//!
//! Turns are counted from each start of nginx. Beyond that, a manifest names seals that are in the file: they stand in front
//! of it. And who starts later writes behind, but for what is still written by those before: workers that have lost their
//! master. What these had written when nginx was started, the manifests of that start tell.

use std::collections::BTreeMap;

use super::super::id::ChainId;
use super::super::manifest::Manifest;
use super::attested::Log;
use super::report::{Kind, Place};
use super::segment::Known;
use super::Named;

/// A seal whose place is known.
struct Turn<'a> {
    chain: ChainId,
    seal: &'a Known,
    /// What has this turn, or a later one, stands behind it.
    done: Option<u64>,
}

/// What was written.
enum Written<'a> {
    /// The first opening that is there of a generation.
    Start(u32),
    Manifest(&'a Manifest),
    Seal(ChainId, u64),
}

impl Log {
    /// What stands behind a manifest that names it, or behind what was written by a later start of nginx.
    pub(super) fn runs(&mut self) {
        let carried = self.carried();
        let mut starts: BTreeMap<u32, Place> = BTreeMap::new();
        for (chain, opened) in &self.openings {
            starts.entry(chain.generation).or_insert(opened.place);
        }
        let mut written: Vec<(Place, Written<'_>)> = Vec::new();
        written.extend(starts.iter().map(|(start, place)| (*place, Written::Start(*start))));
        let manifests = self.manifests.iter();
        written.extend(manifests.map(|named| (named.place, Written::Manifest(&named.manifest))));
        for (chain, joined) in &self.chains {
            let seals = joined.walk.seals.iter().filter(|seal| seal.is_good);
            written.extend(seals.map(|seal| (seal.place, Written::Seal(*chain, seal.number))));
        }
        written.sort_unstable_by_key(|(place, _)| *place);
        let mut found = Vec::new();
        for of_file in written.chunk_by(|(one, _), (other, _)| one.file == other.file) {
            let mut latest = None;
            let mut newest = 0;
            let mut named: BTreeMap<ChainId, u64> = BTreeMap::new();
            for (place, what) in of_file {
                match what {
                    Written::Start(generation) => match latest {
                        Some(later) if later > *generation => found.push((
                            *place,
                            format!(
                                "nginx's start of generation {generation} stands behind that of generation {later}"
                            ),
                        )),
                        _ => latest = Some(*generation),
                    },
                    Written::Manifest(manifest) => {
                        let heads = manifest.chains.iter().filter_map(|told| Some((told.chain, told.head?.number)));
                        for (chain, number) in heads {
                            let most = named.entry(chain).or_insert(number);
                            *most = number.max(*most);
                        }
                    }
                    Written::Seal(chain, number) => {
                        if named.get(chain).is_some_and(|named| named >= number) {
                            let text = format!("seal {number} of chain {chain} stands behind a manifest that names it");
                            found.push((*place, text));
                        } else if carried.get(chain).is_some_and(|(later, head)| newest >= *later && number <= head) {
                            let text = format!(
                                "seal {number} of chain {chain} stands behind one of generation {newest}, and was there before \
                                 nginx was started for that"
                            );
                            found.push((*place, text));
                        }
                        newest = chain.generation.max(newest);
                    }
                }
            }
        }
        for (place, text) in found {
            self.find(Kind::Reordered, Some(place), text);
        }
    }

    /// For each chain, the first later start of nginx whose manifests name it, and the seal that was its last one then:
    /// whoever starts learns that once, before writing anything.
    fn carried(&self) -> BTreeMap<ChainId, (u32, u64)> {
        let mut carried = BTreeMap::new();
        for Named { manifest, .. } in &self.manifests {
            let later = manifest.generation;
            for told in manifest.chains.iter().filter(|told| told.chain.generation < later) {
                if let Some(head) = told.head {
                    carried.entry(told.chain).or_insert((later, head.number));
                }
            }
        }
        carried
    }

    pub(super) fn order(&mut self) {
        let mut turns: Vec<Turn<'_>> = Vec::new();
        for (chain, joined) in &self.chains {
            let seals = &joined.walk.seals;
            let nexts = seals.iter().skip(1).map(Some).chain([None]);
            for (seal, next) in seals.iter().zip(nexts).filter(|(seal, _)| seal.is_good) {
                let next = next
                    .filter(|next| next.is_good && next.number == seal.number.saturating_add(1));
                let done = next.and_then(|next| next.done);
                turns.push(Turn { chain: *chain, seal, done });
            }
        }
        let file = |turn: &Turn<'_>| (turn.chain.generation, turn.seal.file, turn.seal.place.file);
        turns.sort_unstable_by_key(|turn| (file(turn), turn.seal.place.line));
        let mut found = Vec::new();
        for of_file in turns.chunk_by(|one, other| file(one) == file(other)) {
            let mut latest: Option<(u64, &Turn<'_>)> = None;
            for turn in of_file {
                let before = turn.done.zip(latest).filter(|(done, (latest, _))| latest >= done);
                if let Some((_, (_, other))) = before {
                    let text = format!(
                        "seal {} of chain {} stands behind seal {} of chain {}, and was there before that was begun",
                        turn.seal.number, turn.chain, other.seal.number, other.chain
                    );
                    found.push((turn.seal.place, text));
                }
                if let Some(number) = turn.seal.turn {
                    if latest.is_none_or(|(latest, _)| number > latest) {
                        latest = Some((number, turn));
                    }
                }
            }
        }
        for (place, text) in found {
            self.find(Kind::Reordered, Some(place), text);
        }
    }
}

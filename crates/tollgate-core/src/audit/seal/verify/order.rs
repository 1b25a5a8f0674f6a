//! In what order the batches of different workers stand.
//!
//! Each seal has a turn among those of all workers, taken before it is written, and says how many turns there were
//! when the one before it was in the file. Who had a later turn than that, wrote behind it. Only batches that were
//! written at the same moment may stand in either order.

use super::super::id::ChainId;
use super::attested::Log;
use super::report::Kind;
use super::segment::Known;

/// A seal whose place is known.
struct Turn<'a> {
    chain: ChainId,
    seal: &'a Known,
    /// What has this turn, or a later one, stands behind it.
    done: Option<u64>,
}

impl Log {
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

//! What a disk that was full, or a worker that was killed, has left behind: beginnings of lines, and lines that are
//! there twice.

use std::collections::HashSet;

use super::super::id::ChainId;
use super::attested::{is_last_of_killed, is_torn, is_written_again, Log};
use super::pieces::{is_short, Piece, Whole};
use super::report::{Kind, Place};
use super::segment::{Copied, Joined};
use super::Twice;

/// So many workers may have been killed in the middle of a line.
const MAX_LEFT: usize = 4096;

/// The first line of a chain begins so. Nothing else of that chain may ever have been written.
const OPENING: &[u8] = b"{\"seal\":{\"open\":";

impl Log {
    pub(super) fn is_line_torn(&self, chain: ChainId, seq: u64) -> bool {
        if self.has_crashed_after(chain.generation) {
            return true;
        }
        self.chains.get(&chain).is_some_and(|joined| {
            // What has no seal, and never will, was written in part.
            sealed_by(joined, seq)
                .is_none_or(|number| is_torn(joined, number) || is_last_of_killed(joined, number))
        })
    }

    pub(super) fn is_seal_torn(&self, chain: ChainId, number: u64) -> bool {
        // A machine that crashed may have lost what would have said so.
        self.has_crashed_after(chain.generation)
            || self
                .chains
                .get(&chain)
                .is_some_and(|joined| is_torn(joined, number) || is_last_of_killed(joined, number))
    }

    /// Whether it was written again, as a later seal says, or the worker could not say any more. Of a pipe nothing
    /// is: what was begun there, goes on.
    fn is_told(&self, twice: &Twice) -> bool {
        self.chains.get(&twice.chain).is_some_and(|joined| {
            let number = match twice.copied {
                Copied::Seal(number) => Some(number),
                Copied::Line(seq) => sealed_by(joined, seq),
            };
            // What has no seal, and never will, was written in part.
            number.is_none_or(|number| {
                is_written_again(joined, number)
                    || is_last_of_killed(joined, number)
                    || self.has_crashed_after(twice.chain.generation)
            })
        })
    }

    /// All of a line but its line feed may have been written when the disk was full. Then the line is there once
    /// more. `unended`: lines behind which there may be no line feed of theirs.
    pub(super) fn twice(&mut self, mut twice: Vec<Twice>, unended: &HashSet<Place>) {
        for (chain, joined) in &self.chains {
            let of_chain = joined.twice.iter().map(|(copied, first, place)| Twice {
                chain: *chain,
                copied: *copied,
                first: *first,
                place: *place,
            });
            twice.extend(of_chain);
        }
        for second in twice {
            let Twice { chain, copied, first, place } = second;
            let text = match copied {
                Copied::Seal(number) => {
                    format!("seal {number} of chain {chain} is there a second time")
                }
                Copied::Line(seq) => format!("line {chain}.{seq} is there a second time"),
            };
            match unended.contains(&first) && self.is_told(&second) {
                true => {
                    let text = format!("{text}: it could not be written in one go");
                    self.note(Some(place), false, text);
                }
                false => self.find(Kind::Added, Some(place), text),
            }
        }
    }

    /// The beginning of a line may be there twice, where it was not written in one go.
    pub(super) fn pieces(&mut self, pieces: &[Piece]) {
        let killed = self
            .chains
            .values()
            .filter(|joined| !joined.walk.seals.last().is_some_and(|last| last.is_end))
            .count()
            .min(MAX_LEFT);
        let is_any_torn = self
            .chains
            .values()
            .any(|joined| joined.walk.seals.iter().any(|seal| seal.torn.is_some()));
        let has_trouble = is_any_torn || killed > 0;
        let mut left: Vec<Vec<u8>> = Vec::new();
        for piece in pieces {
            let is_of_torn = |whole: &Whole| match *whole {
                Whole::Line(chain, seq) => self.is_line_torn(chain, seq),
                Whole::Seal(chain, number) => self.is_seal_torn(chain, number),
            };
            let is_opening = |bytes: &[u8]| bytes.starts_with(OPENING);
            // A seal says that it was begun, and written again: nothing is missing.
            let is_again = piece.is_well(|part, bytes| {
                part.of.iter().any(is_of_torn)
                    || is_any_torn && (is_short(bytes) || part.of.is_empty() && is_opening(bytes))
            });
            let is_well = is_again
                || piece.is_well(|part, bytes| {
                    if is_short(bytes) && has_trouble || part.of.iter().any(is_of_torn) {
                        return true;
                    }
                    if !part.of.is_empty() {
                        return false;
                    }
                    // The rest was never written. It may have been begun several times.
                    let is_same = left
                        .iter()
                        .any(|known| known.starts_with(bytes) || bytes.starts_with(known));
                    let is_left =
                        is_same || has_trouble && is_opening(bytes) || left.len() < killed;
                    if is_left && !is_same {
                        left.push(bytes.to_vec());
                    }
                    is_left
                });
            match is_well {
                true => {
                    let text = match is_again {
                        true => "the beginning of a line that could not be written in one go",
                        false => "the beginning of a line that was not written to its end",
                    };
                    self.note(Some(piece.place), !is_again, text.to_owned());
                }
                false => {
                    let text = "this is a part of a line, which nothing explains";
                    self.find(Kind::Added, Some(piece.place), text.to_owned());
                }
            }
        }
    }
}

/// The number of the seal that seals a line.
fn sealed_by(joined: &Joined, seq: u64) -> Option<u64> {
    let at = joined.walk.seals.partition_point(|seal| seal.last < seq);
    joined.walk.seals.get(at).map(|seal| seal.number)
}

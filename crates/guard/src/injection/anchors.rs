//! Where in a text the anchors of rules are: one automaton reads each byte once.

use std::fmt;
use std::ops::Range;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::dfa::DFA;
use aho_corasick::{Anchored, MatchKind};

/// Bytes of a row.
const WIDTH: usize = 256;
/// The most states.
const MOST: usize = 4096;
/// The size of the table. A power of two, so that an index is cut to it, and not compared with it. Of its 4 MB, only
/// those pages are in memory that have states.
const SIZE: usize = MOST * WIDTH;
/// In the state, anchors end.
const TELLING: u32 = 1 << 31;

/// The automaton, as a table of where each byte leads. A state is named by where its row begins.
pub(super) struct Anchors {
    table: Vec<u32>,
    /// Those that end in the state of each row: their numbers, and lengths.
    ends: Vec<Box<[(usize, usize)]>>,
}

impl fmt::Debug for Anchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Anchors").field("states", &self.ends.len()).finish_non_exhaustive()
    }
}

impl Anchors {
    /// One for these anchors, in any case. `None`: they are too large together.
    pub(super) fn new(anchors: &[String]) -> Option<Self> {
        let automaton = DFA::builder()
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(true)
            .prefilter(false)
            .build(anchors)
            .ok()?;
        let first = automaton.start_state(Anchored::No).ok()?;
        let mut table = vec![0; SIZE];
        let mut ends = Vec::new();
        let mut states = vec![first];
        // The number of each state that has one, and one more.
        let mut numbers = vec![0; first.as_usize() + 1];
        *numbers.last_mut()? = 1;
        while let Some(state) = states.get(ends.len()).copied() {
            let row = ends.len() * WIDTH;
            ends.push(ending(&automaton, state));
            for byte in 0..=u8::MAX {
                let next = automaton.next_state(Anchored::No, state, byte);
                let place = next.as_usize();
                if numbers.len() <= place {
                    numbers.resize(place + 1, 0);
                }
                let number = numbers.get_mut(place)?;
                if *number == 0 {
                    states.push(next);
                    *number = states.len();
                }
                let number = *number - 1;
                if number >= MOST {
                    return None;
                }
                let told = if automaton.is_match(next) { TELLING } else { 0 };
                *table.get_mut(row | usize::from(byte))? =
                    u32::try_from(number * WIDTH).ok()? | told;
            }
        }
        Some(Self { table, ends })
    }

    /// Calls with the number of each anchor that is in the text, and its place.
    pub(super) fn find(&self, text: &[u8], mut found: impl FnMut(usize, Range<usize>)) {
        let Ok(table) = <&[u32; SIZE]>::try_from(self.table.as_slice()) else { return };
        let step = |state: u32, byte: u8| {
            table.get((state as usize | usize::from(byte)) & (SIZE - 1)).copied().unwrap_or(0)
        };
        let mut state = 0;
        let mut left = text;
        while let Some((&byte, others)) = left.split_first() {
            // Four steps, and then a look whether one of them said something.
            if let Some((&[a, b, c, d], others)) = left.split_first_chunk::<4>() {
                let one = step(state, a);
                let two = step(one, b);
                let three = step(two, c);
                let four = step(three, d);
                if (one | two | three | four) < TELLING {
                    (state, left) = (four, others);
                    continue;
                }
            }
            let next = step(state, byte);
            (state, left) = (next & !TELLING, others);
            if next >= TELLING {
                let end = text.len() - left.len();
                let ends = self.ends.get(state as usize / WIDTH);
                for (anchor, length) in ends.into_iter().flatten() {
                    found(*anchor, end - length..end);
                }
            }
        }
    }
}

/// The anchors that end in a state.
fn ending(automaton: &DFA, state: StateID) -> Box<[(usize, usize)]> {
    if !automaton.is_match(state) {
        return Box::default();
    }
    (0..automaton.match_len(state))
        .map(|index| {
            let anchor = automaton.match_pattern(state, index);
            (anchor.as_usize(), automaton.pattern_len(anchor))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_anchor_is_found_wherever_it_is() {
        let words = ["he", "she", "hers", "ignor", "ab", "b", "[x", "été"].map(str::to_owned);
        let anchors = Anchors::new(&words).unwrap();
        for text in ["", "x", "ushers SHE hers", "ignorabIGNORAB", "[X[x éTété été", "aabbabab"]
        {
            for from in 0..4 {
                let text = "z".repeat(from) + text;
                let mut found = Vec::new();
                anchors.find(text.as_bytes(), |anchor, range| {
                    found.push((range.end, anchor, range.start))
                });
                let mut wanted = Vec::new();
                for (anchor, word) in words.iter().enumerate() {
                    let len = word.len();
                    wanted.extend(text.as_bytes().windows(len).enumerate().filter_map(
                        |(at, part)| {
                            part.eq_ignore_ascii_case(word.as_bytes()).then_some((
                                at + len,
                                anchor,
                                at,
                            ))
                        },
                    ));
                }
                found.sort_unstable();
                wanted.sort_unstable();
                assert_eq!(found, wanted, "{text}");
            }
        }
    }
}

//! Where in a text the anchors of rules are: one automaton reads each byte once.

use std::fmt;
use std::ops::Range;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::dfa::DFA;
use aho_corasick::{Anchored, BuildError, MatchKind};

/// Bytes of a row.
const WIDTH: usize = 256;
/// The most states of the table.
const MOST: usize = 4096;
/// The size of the table. A power of two, so that an index is cut to it, and not compared with it. Of its 4 MB, only
/// those pages are in memory that have states.
const SIZE: usize = MOST * WIDTH;
/// In the state, anchors end.
const TELLING: u32 = 1 << 31;

/// All anchors.
pub(super) enum Anchors {
    /// The automaton as a table.
    Table(Table),
    /// It has too many states for that: an operator's own rules are many.
    Automaton(Box<DFA>),
}

/// Where each byte leads. A state is named by where its row begins.
pub(super) struct Table {
    steps: Vec<u32>,
    /// The anchors that end in the state of each row: their numbers, and lengths.
    ends: Vec<Box<[(usize, usize)]>>,
}

impl fmt::Debug for Anchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Anchors").finish_non_exhaustive()
    }
}

impl Anchors {
    /// These anchors, in any case.
    ///
    /// # Errors
    ///
    /// They are too large together.
    pub(super) fn new(anchors: &[String]) -> Result<Self, BuildError> {
        let automaton = DFA::builder()
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(true)
            .prefilter(false)
            .build(anchors)?;
        Ok(match Table::of(&automaton) {
            Some(table) => Self::Table(table),
            None => Self::Automaton(Box::new(automaton)),
        })
    }

    /// Calls with the number of each anchor that is in the text, and its place.
    pub(super) fn find(&self, text: &[u8], mut found: impl FnMut(usize, Range<usize>)) {
        let automaton = match self {
            Self::Table(table) => return table.find(text, found),
            Self::Automaton(automaton) => automaton,
        };
        let Ok(mut state) = automaton.start_state(Anchored::No) else { return };
        for (at, byte) in text.iter().enumerate() {
            state = automaton.next_state(Anchored::No, state, *byte);
            if automaton.is_match(state) {
                for (anchor, length) in ending(automaton, state) {
                    found(anchor, at + 1 - length..at + 1);
                }
            }
        }
    }
}

impl Table {
    /// That of an automaton. `None`: it has too many states.
    fn of(automaton: &DFA) -> Option<Self> {
        let first = automaton.start_state(Anchored::No).ok()?;
        let mut steps = vec![0; SIZE];
        let mut ends = Vec::new();
        let mut states = vec![first];
        // The number of each state that has one, and one more.
        let mut numbers = vec![0; first.as_usize() + 1];
        *numbers.last_mut()? = 1;
        while let Some(state) = states.get(ends.len()).copied() {
            let row = ends.len() * WIDTH;
            ends.push(ending(automaton, state));
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
                *steps.get_mut(row | usize::from(byte))? =
                    u32::try_from(number * WIDTH).ok()? | told;
            }
        }
        Some(Self { steps, ends })
    }

    fn find(&self, text: &[u8], mut found: impl FnMut(usize, Range<usize>)) {
        let Ok(steps) = <&[u32; SIZE]>::try_from(self.steps.as_slice()) else { return };
        let step = |state: u32, byte: u8| {
            steps.get((state as usize | usize::from(byte)) & (SIZE - 1)).copied().unwrap_or(0)
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
        // So many that they are no table.
        let others = (0..2000).map(|number| format!("{number:05}other{number}"));
        let more: Vec<_> = words.iter().cloned().chain(others).collect();
        let more = Anchors::new(&more).unwrap();
        assert!(matches!((&anchors, &more), (Anchors::Table(_), Anchors::Automaton(_))));
        for text in ["", "x", "ushers SHE hers", "ignorabIGNORAB", "[X[x éTété été", "aabbabab"]
        {
            for from in 0..4 {
                let text = "z".repeat(from) + text;
                let mut found = Vec::new();
                anchors.find(text.as_bytes(), |anchor, range| {
                    found.push((range.end, anchor, range.start))
                });
                let mut others = Vec::new();
                more.find(text.as_bytes(), |anchor, range| {
                    others.push((range.end, anchor, range.start));
                });
                assert_eq!(found, others, "{text}");
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

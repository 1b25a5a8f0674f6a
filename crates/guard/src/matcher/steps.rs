//! Steps between the states of an automaton that have been made, in a table that takes the fewest instructions to
//! follow: a lazy automaton asks with each step whether there is one.

use std::collections::HashMap;

use regex_automata::hybrid::LazyStateID;

/// Bytes of a row.
const WIDTH: usize = 256;
/// The most states. If there are more, the table begins anew. It takes 1 MB then.
const MOST: usize = 1024;

/// The size of the table. A power of two, so that an index is cut to it, and not compared with it.
const SIZE: usize = MOST * WIDTH;

/// It isn't known yet.
const UNKNOWN: u32 = u32::MAX;
/// The state says something.
const TELLING: u32 = 1 << 31;

/// What is known of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It leads to the state of this row.
    Known(usize),
    /// It must be asked for.
    Unknown,
}

/// The table. A state is named by where its row begins.
#[derive(Default)]
pub(super) struct Steps {
    table: Vec<u32>,
    /// The state of each row, and the patterns that it says something of.
    states: Vec<(LazyStateID, u64)>,
    rows: HashMap<LazyStateID, usize>,
    /// How often the automaton had forgotten its states when these were made.
    clears: usize,
    /// How often all rows were forgotten.
    forgotten: u64,
}

impl Steps {
    /// The row of a state, made if there is none. `patterns` are those that it says something of.
    pub(super) fn row(
        &mut self,
        state: LazyStateID,
        clears: usize,
        patterns: impl FnOnce() -> u64,
    ) -> usize {
        if self.table.is_empty() {
            self.table = vec![UNKNOWN; SIZE];
        }
        if self.clears != clears || self.states.len() >= MOST {
            let used = self.states.len() * WIDTH;
            self.table.iter_mut().take(used).for_each(|step| *step = UNKNOWN);
            self.states.clear();
            self.rows.clear();
            self.clears = clears;
            self.forgotten += 1;
        }
        if let Some(row) = self.rows.get(&state) {
            return *row;
        }
        let row = self.states.len() * WIDTH;
        self.states.push((state, patterns()));
        self.rows.insert(state, row);
        row
    }

    /// The state of a row.
    pub(super) fn state(&self, row: usize) -> LazyStateID {
        self.states.get(row / WIDTH).map(|(state, _)| *state).unwrap_or_default()
    }

    /// The patterns that the state of a row says something of.
    pub(super) fn patterns(&self, row: usize) -> u64 {
        self.states.get(row / WIDTH).map_or(0, |(_, patterns)| *patterns)
    }

    /// Reads bytes from the last one on, for as long as each leads to a state that is known, and says nothing. The
    /// bytes that are left.
    pub(super) fn follow<'b>(&self, row: &mut usize, bytes: &'b [u8]) -> &'b [u8] {
        let Ok(table) = <&[u32; SIZE]>::try_from(self.table.as_slice()) else { return bytes };
        let step = |at: u32, byte: u8| {
            table.get((at as usize | usize::from(byte)) & (SIZE - 1)).copied().unwrap_or(UNKNOWN)
        };
        let Ok(mut at) = u32::try_from(*row) else { return bytes };
        let mut left = bytes;
        // Four steps, and then a look whether one of them said something.
        while let Some((others, &[a, b, c, d])) = left.split_last_chunk::<4>() {
            let one = step(at, d);
            let two = step(one, c);
            let three = step(two, b);
            let four = step(three, a);
            if (one | two | three | four) >= TELLING {
                break;
            }
            (at, left) = (four, others);
        }
        while let Some((&byte, others)) = left.split_last() {
            let next = step(at, byte);
            if next >= TELLING {
                break;
            }
            (at, left) = (next, others);
        }
        *row = at as usize;
        left
    }

    /// One step.
    pub(super) fn step(&self, row: usize, byte: u8) -> Step {
        match self.table.get(row | usize::from(byte)) {
            None | Some(&UNKNOWN) => Step::Unknown,
            Some(&next) => Step::Known((next & !TELLING) as usize),
        }
    }

    /// Notes where a step leads, and returns that state's row.
    pub(super) fn learn(
        &mut self,
        row: usize,
        byte: u8,
        next: LazyStateID,
        clears: usize,
        patterns: impl FnOnce() -> u64,
    ) -> usize {
        let rows = self.forgotten;
        let to = self.row(next, clears, patterns);
        // The row may have been forgotten meanwhile.
        let is_there = self.forgotten == rows;
        let told = if next.is_tagged() { TELLING } else { 0 };
        if let (true, Some(step), Ok(number)) =
            (is_there, self.table.get_mut(row | usize::from(byte)), u32::try_from(to))
        {
            *step = number | told;
        }
        to
    }
}

#[cfg(test)]
mod tests {
    use regex_automata::hybrid::dfa::DFA;
    use regex_automata::{Anchored, Input, MatchKind};

    use super::*;

    #[test]
    fn steps_are_those_of_the_automaton_also_when_states_are_forgotten() {
        let config = DFA::config()
            .match_kind(MatchKind::All)
            .cache_capacity(30_000)
            .skip_cache_capacity_check(true);
        let pattern = "(?-u)[ab]{0,7}b[abc]{9}c|[a-z]c";
        let automaton = DFA::builder().configure(config).build(pattern).unwrap();
        let (mut cache, mut other) = (automaton.create_cache(), automaton.create_cache());
        let mut seed = 1_u32;
        let text: Vec<u8> = (0..50_000)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                b"abcabcab d"[(seed >> 16) as usize % 10]
            })
            .collect();
        let input = Input::new(&text).anchored(Anchored::No);
        let mut state = automaton.start_state_forward(&mut other, &input).unwrap();
        let start = automaton.start_state_forward(&mut cache, &input).unwrap();
        let mut steps = Steps::default();
        let mut row = steps.row(start, cache.clear_count(), || 0);
        let mut known = 0;
        for &byte in &text {
            state = automaton.next_state(&mut other, state, byte).unwrap();
            let before = row;
            let is_followed = steps.follow(&mut row, &[byte]).is_empty();
            if is_followed {
                assert!(!state.is_tagged());
                known += 1;
            } else if let Step::Known(next) = steps.step(before, byte) {
                assert!(state.is_tagged());
                row = next;
            } else {
                let next = automaton.next_state(&mut cache, steps.state(before), byte).unwrap();
                row = steps.learn(before, byte, next, cache.clear_count(), || 0);
            }
            assert_eq!(steps.state(row).is_match(), state.is_match());
        }
        assert!(cache.clear_count() > 3 && known > 1000, "{} {known}", cache.clear_count());
    }
}

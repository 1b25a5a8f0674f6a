//! One way to read a text that comes in pieces, and what was found by it.
//!
//! A text is read as it is; and from the first character on that no reader sees, a second time without such characters.
//! Places of the second reading are turned into those of the first, in which all else counts.

use crate::finding::RuleIndex;
use crate::matcher::terms::Begun;
use crate::matcher::{self, Longest, Reach};
use crate::stream::guard::StreamGuard;
use crate::stream::overlong::Overlong;
use crate::stream::seen::Seen;

/// A text as it is read.
pub(super) struct Reading {
    pub(super) seen: Seen,
    /// Whatever begins before this place has been found.
    pub(super) judged: usize,
    /// How far the matches of each detector go. It counts from the first byte that is still here.
    reach: Reach,
    /// Matches that are longer than others may be.
    overlong: Vec<Overlong>,
    /// Terms of each list that have begun.
    begun: Vec<Begun>,
    /// How far terms were read.
    pub(super) read: usize,
}

/// Something that was found, in places of the first reading.
pub(super) struct Found {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) rule: RuleIndex,
    pub(super) score: u8,
    pub(super) is_longest: bool,
}

impl Reading {
    pub(super) fn new(guard: &StreamGuard, seen: Seen) -> Self {
        let begun = guard.lists.iter().map(|_| Begun::default()).collect();
        let (reach, overlong) = (Reach::default(), Vec::new());
        Self { seen, judged: 0, reach, overlong, begun, read: 0 }
    }

    /// The second reading: until now, it was the same.
    pub(super) fn without_unseen(&self) -> Self {
        Self {
            seen: self.seen.without_unseen(self.read),
            judged: self.judged,
            reach: self.reach.clone(),
            overlong: self.overlong.clone(),
            begun: self.begun.clone(),
            read: self.read,
        }
    }

    /// From where on nothing may be shown yet, as this reading goes.
    pub(super) fn held_from(&self, guard: &StreamGuard) -> usize {
        let (text, base) = self.seen.text();
        let hold = match guard.patterns() {
            Some(patterns) => base + patterns.beginnings.held_from(text, self.judged - base),
            None => self.seen.end(),
        };
        let terms = self.begun.iter().filter_map(Begun::first);
        let overlong = self.overlong.iter().map(|overlong| overlong.end);
        terms.chain(overlong).fold(hold, usize::min)
    }

    /// What has become of matches that are longer than others: calls with where each began, its rule, and how far it goes.
    pub(super) fn follow_overlong(
        &mut self,
        guard: &StreamGuard,
        ends: bool,
        mut far: impl FnMut(usize, RuleIndex, usize),
    ) {
        let Some(patterns) = guard.patterns() else {
            return;
        };
        let (seen, reach) = (&self.seen, &mut self.reach);
        let (text, base) = seen.text();
        self.overlong.retain_mut(|overlong| {
            let Some((continuation, rule)) = patterns.continuation(overlong.pattern) else {
                return false;
            };
            let goes_on = continuation.advance(overlong, text, base);
            if goes_on && ends {
                continuation.end(overlong);
            }
            far(overlong.shown_from, rule, seen.end_of(overlong.end));
            reach.extend(overlong.pattern, overlong.end - base);
            goes_on && !ends
        });
    }

    /// Reads what has come for the terms of lists.
    pub(super) fn read_terms(&mut self, guard: &StreamGuard, before: Option<char>) {
        let (text, base) = self.seen.text();
        let new = text.get(self.read - base..).unwrap_or_default();
        for ((terms, _), begun) in guard.lists.iter().zip(&mut self.begun) {
            terms.read(begun, new, self.read, before);
        }
        self.read += new.len();
    }

    /// Finds all that begins before this place and wasn't found yet. From where on nothing may be shown then.
    pub(super) fn find(
        &mut self,
        guard: &StreamGuard,
        hold: usize,
        ends: bool,
        mut add: impl FnMut(Found),
    ) -> usize {
        if hold <= self.judged {
            return hold;
        }
        let (text, base) = self.seen.text();
        let part = self.judged - base..hold - base;
        let mut matches = Vec::new();
        let mut ranges = Vec::new();
        let mut longest = Vec::new();
        for ((terms, rule), begun) in guard.lists.iter().zip(&mut self.begun) {
            if begun.take_before(hold) {
                terms.find_in(text, part.clone(), &mut ranges);
                let rule = *rule;
                let found = |range| matcher::Match { rule, range, score: 100 };
                matches.extend(ranges.drain(..).map(found));
            }
        }
        if let Some(patterns) = guard.patterns() {
            patterns.matcher.find_in(text, part, &mut self.reach, &mut matches);
            while let Some(Longest { pattern, start, index }) = self.reach.pop_longest() {
                let Some((continuation, _)) = patterns.continuation(pattern) else {
                    continue;
                };
                let Some((mut overlong, goes_on)) = continuation.follow(pattern, text, base, start)
                else {
                    continue;
                };
                if goes_on && ends {
                    continuation.end(&mut overlong);
                }
                if let Some(one) = matches.get_mut(index) {
                    one.range.end = overlong.end - base;
                    overlong.shown_from = self.seen.start_of(base + one.range.start);
                    longest.push(index);
                }
                if goes_on && !ends {
                    self.overlong.push(overlong);
                }
            }
        }
        for (index, one) in matches.into_iter().enumerate() {
            add(Found {
                start: self.seen.start_of(base + one.range.start),
                end: self.seen.end_of(base + one.range.end),
                rule: one.rule,
                score: one.score,
                is_longest: longest.contains(&index),
            });
        }
        self.judged = hold;
        self.overlong.iter().fold(hold, |hold, overlong| hold.min(overlong.end))
    }

    /// The place in the first reading from where on nothing may be shown.
    pub(super) fn place_of_hold(&self, hold: usize) -> usize {
        // What nobody sees behind a match that goes on, may belong to it.
        match self.overlong.iter().any(|overlong| overlong.end == hold) {
            true => self.seen.end_of(hold),
            false => self.seen.start_of(hold),
        }
    }

    /// Drops what is no longer needed, of what was shown up to this place.
    pub(super) fn drop_before(&mut self, shown: usize) {
        let dropped = self.seen.drop_before(self.judged, shown);
        if dropped > 0 {
            self.reach.shift(dropped);
        }
    }

    /// How far back places are still asked for.
    pub(super) fn needed(&self) -> usize {
        let ends = self.overlong.iter().map(|overlong| overlong.end);
        // An end that isn't certain may be taken back to the beginning of its character.
        ends.fold(self.judged, usize::min).saturating_sub(4)
    }
}

//! What becomes of findings that overlap.

use std::cmp::Reverse;
use std::ops::Range;

use crate::finding::{Action, Finding, Rule};
use crate::matcher::Match;

/// Makes one finding of those that overlap: the strictest action holds for all that they cover together, so
/// that nothing of either is left. What would only be logged there, is left out; it doesn't widen what is changed.
pub(super) fn settle(rules: &[Rule], mut matches: Vec<Match>, found: &mut Vec<Finding>) {
    let action =
        |one: &Match| rules.get(usize::from(one.rule)).map_or(Action::Block, |rule| rule.action);
    let first = found.len();
    matches.sort_unstable_by_key(|one| {
        (one.range.start, Reverse(one.range.end), Reverse(one.score), one.rule)
    });
    let (logged, acted): (Vec<_>, Vec<_>) =
        matches.into_iter().partition(|one| action(one) == Action::Log);
    let mut last_action = Action::Log;
    for one in acted {
        match found.get_mut(first..).and_then(<[_]>::last_mut) {
            Some(last) if one.range.start < last.range.end => {
                last.range.end = last.range.end.max(one.range.end);
                if action(&one) > last_action {
                    last_action = action(&one);
                    (last.rule, last.score) = (one.rule, one.score);
                }
            }
            _ => {
                last_action = action(&one);
                found.push(finding(one));
            }
        }
    }
    let mut end = first;
    let mut to_add = Vec::new();
    let mut logged_end = 0;
    for one in logged {
        // Both are in order, so that each is passed once.
        while found.get(end).is_some_and(|other| other.range.end <= one.range.start) {
            end += 1;
        }
        let is_covered = found.get(end).is_some_and(|other| overlap(&other.range, &one.range));
        if !is_covered && one.range.start >= logged_end {
            logged_end = one.range.end;
            to_add.push(finding(one));
        }
    }
    if !to_add.is_empty() {
        found.append(&mut to_add);
        if let Some(new) = found.get_mut(first..) {
            new.sort_by_key(|one| one.range.start);
        }
    }
}

fn overlap(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start < other.end && other.start < one.end
}

fn finding(Match { rule, range, score }: Match) -> Finding {
    Finding { rule, range, score }
}

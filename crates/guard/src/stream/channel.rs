//! One text that comes in pieces.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::finding::RuleIndex;
use crate::matcher::terms::Begun;
use crate::matcher::{self, Longest, Reach};
use crate::stream::escapes;
use crate::stream::guard::{Level, StreamGuard};
use crate::stream::leak::{Leak, LeakRule, Tracker};
use crate::stream::overlong::Overlong;
use crate::stream::seen::Seen;
use crate::stream::shown::Shown;
use crate::stream::{Quoting, Verdict};
use crate::vault::{Form, Reading, Vault};

/// How much of a piece is looked at at once, in bytes. It bounds the memory that a long piece takes.
const STEP: usize = 4096;

/// One text that comes in pieces: what the model writes into one member of one choice.
///
/// Places in it are counted in bytes from its beginning.
pub struct Channel {
    guard: Arc<StreamGuard>,
    seen: Seen,
    shown: Shown,
    /// Whatever begins before this place has been found.
    judged: usize,
    /// How far it was shown, or left out.
    done: usize,
    /// How far matches go that were counted: those that are left out, and those that are logged.
    covered: usize,
    logged: usize,
    /// How far the matches of each detector go. It counts from the first byte that is still here.
    reach: Reach,
    /// What was found, and stands behind what may be shown.
    pending: Vec<Match>,
    /// Matches that are longer than others may be.
    overlong: Vec<Overlong>,
    /// Terms of each list that have begun.
    begun: Vec<Begun>,
    /// How far terms were read.
    read: usize,
    leaks: Option<Box<Tracker>>,
    /// How far placeholders were looked for.
    placeholders: usize,
    blocked: Option<RuleIndex>,
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("judged", &self.judged)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

/// Something in the text, and what is done about it.
struct Match {
    start: usize,
    end: usize,
    /// Whether it has as many characters as one may have, so that it may go on.
    is_longest: bool,
    level: Level,
    what: What,
}

enum What {
    /// A placeholder, and what takes its place.
    Given(Zeroizing<String>),
    /// Found by this rule, this sure.
    Found(RuleIndex, u8),
    /// A part of the system prompt.
    Leak,
}

impl Channel {
    /// A text of which nothing has come.
    #[must_use]
    pub fn new(guard: Arc<StreamGuard>, quoting: Quoting) -> Self {
        let begun = guard.lists.iter().map(|_| Begun::default()).collect();
        Self {
            guard,
            seen: Seen::new(quoting),
            shown: Shown::new(quoting),
            judged: 0,
            done: 0,
            covered: 0,
            logged: 0,
            reach: Reach::default(),
            pending: Vec::new(),
            overlong: Vec::new(),
            begun,
            read: 0,
            leaks: None,
            placeholders: 0,
            blocked: None,
        }
    }

    /// The same, in which parts of a system prompt are looked for, too.
    #[must_use]
    pub fn with_leak(mut self, leak: Arc<Leak>, mut rule: LeakRule) -> Self {
        rule.label = format!("[{}]", rule.label).into();
        self.leaks = (!leak.is_empty()).then(|| Box::new(Tracker::new(leak, rule)));
        self
    }

    /// More of the text has come. What may be shown now is added to `out`; the rest, which may still become a
    /// match, stays here. Placeholders of the vault become its values. What is found is added to `found`: its rule, and
    /// how sure it is.
    pub fn push(
        &mut self,
        piece: &str,
        vault: Option<&Vault>,
        out: &mut String,
        found: &mut Vec<(RuleIndex, u8)>,
    ) -> Verdict {
        let mut rest = piece;
        while !rest.is_empty() && self.blocked.is_none() {
            let mut step = rest.len().min(STEP);
            while !rest.is_char_boundary(step) {
                step -= 1;
            }
            let (now, later) = rest.split_at(step);
            rest = later;
            let before = self.seen.last();
            self.seen.push(now);
            self.judge(before, false, vault, out, found);
        }
        self.verdict()
    }

    /// The text has ended: what is still here, is shown or not.
    pub fn finish(
        &mut self,
        vault: Option<&Vault>,
        out: &mut String,
        found: &mut Vec<(RuleIndex, u8)>,
    ) -> Verdict {
        if self.blocked.is_none() {
            let before = self.seen.last();
            self.seen.finish();
            self.judge(before, true, vault, out, found);
        }
        self.verdict()
    }

    /// Whether something is held back.
    #[must_use]
    pub fn is_holding(&self) -> bool {
        self.blocked.is_none() && (self.done < self.seen.end() || self.seen.is_in_escape())
    }

    fn verdict(&self) -> Verdict {
        self.blocked.map_or(Verdict::Pass, Verdict::Block)
    }

    /// Judges what can be judged of what is here, and shows it.
    fn judge(
        &mut self,
        before: Option<char>,
        ends: bool,
        vault: Option<&Vault>,
        out: &mut String,
        found: &mut Vec<(RuleIndex, u8)>,
    ) {
        self.follow_overlong(ends);
        self.read_terms(before);
        self.find_leaks(ends, found);
        let mut hold = self.held_from(ends).min(self.find_placeholders(ends, vault));
        if hold > self.judged {
            self.find(hold, ends);
            self.judged = hold;
            hold = self.overlong.iter().fold(hold, |hold, overlong| hold.min(overlong.end));
        }
        if self.pending.first().is_some_and(|one| one.start < hold) {
            let ready = self.pending.partition_point(|one| one.start < hold);
            let later = self.pending.split_off(ready);
            for one in std::mem::replace(&mut self.pending, later) {
                self.act(&one, out, found);
                if self.blocked.is_some() {
                    return;
                }
            }
        }
        self.show(hold, ends, out);
        let dropped = self.seen.drop_before(self.judged, self.done);
        if dropped > 0 {
            self.reach.shift(dropped);
        }
    }

    /// From where on nothing may be shown yet.
    fn held_from(&self, ends: bool) -> usize {
        let mut hold = self.seen.end();
        if ends {
            return hold;
        }
        let (text, base) = self.seen.text();
        if let Some(patterns) = self.guard.patterns() {
            hold = base + patterns.beginnings.held_from(text, self.judged - base);
        }
        let terms = self.begun.iter().filter_map(Begun::first);
        let overlong = self.overlong.iter().map(|overlong| overlong.end);
        let leak = self.leaks.as_ref().and_then(|leaks| leaks.held_from());
        terms.chain(overlong).chain(leak).fold(hold, usize::min)
    }

    /// What has become of matches that are longer than others.
    fn follow_overlong(&mut self, ends: bool) {
        let (text, base) = self.seen.text();
        let Some(patterns) = self.guard.patterns() else {
            return;
        };
        let guard = &self.guard;
        let (covered, logged, reach) = (&mut self.covered, &mut self.logged, &mut self.reach);
        let pending = &mut self.pending;
        self.overlong.retain_mut(|overlong| {
            let Some((continuation, rule)) = patterns.continuation(overlong.pattern) else {
                return false;
            };
            let goes_on = continuation.advance(overlong, text, base);
            if goes_on && ends {
                continuation.end(overlong);
            }
            let is_logged = guard.rule(rule).is_some_and(|rule| rule.level == Level::Log);
            let far = if is_logged { &mut *logged } else { &mut *covered };
            let is_same = |one: &&mut Match| {
                one.start == overlong.shown_from
                    && matches!(one.what, What::Found(found, _) if found == rule)
            };
            let far = pending.iter_mut().find(is_same).map_or(far, |one| &mut one.end);
            *far = overlong.end.max(*far);
            reach.extend(overlong.pattern, overlong.end - base);
            goes_on && !ends
        });
    }

    /// Reads what has come for the terms of lists.
    fn read_terms(&mut self, before: Option<char>) {
        let (text, base) = self.seen.text();
        let new = text.get(self.read - base..).unwrap_or_default();
        for ((terms, _), begun) in self.guard.lists.iter().zip(&mut self.begun) {
            terms.read(begun, new, self.read, before);
        }
        self.read += new.len();
    }

    /// Looks for parts of the system prompt.
    fn find_leaks(&mut self, ends: bool, found: &mut Vec<(RuleIndex, u8)>) {
        let Some(leaks) = &mut self.leaks else {
            return;
        };
        let (text, base) = self.seen.text();
        let mut begun = Vec::new();
        let earlier = leaks.read(text, base, ends, &mut begun);
        let level = Level::of(leaks.rule.action);
        if level == Level::Log {
            // Nothing is held back for them, so they are in no order with others.
            found.extend(begun.iter().map(|_| (leaks.rule.rule, 100)));
            return;
        }
        if let Some((start, end)) = earlier {
            let is_same = |one: &&mut Match| one.start == start && matches!(one.what, What::Leak);
            let far =
                self.pending.iter_mut().find(is_same).map_or(&mut self.covered, |one| &mut one.end);
            *far = end.max(*far);
        }
        for (start, end) in begun {
            add(
                &mut self.pending,
                Match { start, end, is_longest: false, level, what: What::Leak },
            );
        }
    }

    /// Looks for placeholders. From where on there may be one, of which the rest is missing.
    fn find_placeholders(&mut self, ends: bool, vault: Option<&Vault>) -> usize {
        let (text, base) = self.seen.text();
        let end = self.seen.end();
        let mut from = std::mem::replace(&mut self.placeholders, end).max(base) - base;
        let Some(vault) = vault.filter(|vault| !vault.is_empty()) else {
            return end;
        };
        while let Some(at) = Vault::next_bracket(text, from) {
            match vault.read(text.get(at..).unwrap_or_default()) {
                Reading::Beginning if !ends => {
                    self.placeholders = base + at;
                    return base + at;
                }
                Reading::Placeholder { length, form, value } => {
                    let mut given = Zeroizing::new(String::new());
                    match form {
                        Form::Plain => given.push_str(value),
                        Form::Html => escapes::html(value, &mut given),
                        Form::Json => escapes::json(value, &mut given),
                    }
                    let (start, end) = (base + at, base + at + length);
                    add(
                        &mut self.pending,
                        Match {
                            start,
                            end,
                            is_longest: false,
                            level: Level::Cover,
                            what: What::Given(given),
                        },
                    );
                    from = at + length;
                }
                _ => from = at + 1,
            }
        }
        end
    }

    /// Finds all that begins before this place and wasn't found yet.
    fn find(&mut self, hold: usize, ends: bool) {
        let (text, base) = self.seen.text();
        let part = self.judged - base..hold - base;
        let mut matches = Vec::new();
        let mut ranges = Vec::new();
        let mut longest = Vec::new();
        for ((terms, rule), begun) in self.guard.lists.iter().zip(&mut self.begun) {
            if begun.take_before(hold) {
                terms.find_in(text, part.clone(), &mut ranges);
                let rule = *rule;
                matches.extend(ranges.drain(..).map(|range| matcher::Match {
                    rule,
                    range,
                    score: 100,
                }));
            }
        }
        if let Some(patterns) = self.guard.patterns() {
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
                    overlong.shown_from = base + one.range.start;
                    longest.push(index);
                }
                if goes_on && !ends {
                    self.overlong.push(overlong);
                }
            }
        }
        for (index, one) in matches.into_iter().enumerate() {
            let is_longest = longest.contains(&index);
            let level = self.guard.rule(one.rule).map_or(Level::Block, |rule| rule.level);
            let (start, end) = (base + one.range.start, base + one.range.end);
            add(
                &mut self.pending,
                Match { start, end, is_longest, level, what: What::Found(one.rule, one.score) },
            );
        }
    }

    /// Does what is to be done about a match.
    fn act(&mut self, one: &Match, out: &mut String, found: &mut Vec<(RuleIndex, u8)>) {
        let leak = self.leaks.as_ref().map(|leaks| &leaks.rule);
        let (rule, score, label) = match &one.what {
            What::Given(value) => (None, 0, value.as_str()),
            What::Found(rule, score) => {
                (Some(*rule), *score, self.guard.rule(*rule).map_or("", |rule| &rule.label))
            }
            What::Leak => (leak.map(|rule| rule.rule), 100, leak.map_or("", |rule| &rule.label)),
        };
        let is_leak = matches!(one.what, What::Leak);
        match one.level {
            Level::Log => {
                if one.start >= self.logged.max(self.covered) {
                    found.extend(rule.map(|rule| (rule, score)));
                }
                self.logged = self.logged.max(one.end);
            }
            Level::Cover => {
                let is_new = one.start >= self.covered;
                if is_new || is_leak {
                    found.extend(rule.map(|rule| (rule, score)));
                }
                if is_new {
                    let label = label.to_owned();
                    self.show(one.start, false, out);
                    self.shown.replace(&label, out);
                }
                self.covered = self.covered.max(one.end);
            }
            Level::Block => {
                found.extend(rule.map(|rule| (rule, score)));
                self.show(one.start, false, out);
                self.blocked = rule;
            }
        }
    }

    /// Shows what is here up to this place, except what is covered.
    fn show(&mut self, to: usize, ends: bool, out: &mut String) {
        if self.covered > self.done && to > self.done {
            let end = self.covered.min(to);
            self.shown.leave_out(self.seen.came(self.done, end), out);
            self.done = end;
        }
        if to > self.done {
            let came = self.seen.came(self.done, to);
            let later = if ends { 0 } else { self.shown.unfinished(came) };
            let now = came.get(..came.len() - later).unwrap_or(came);
            self.shown.show(now, out);
            self.done = to - later;
        }
    }
}

/// Adds a match in the order in which they count: of those that begin at one place, the strictest has its label
/// shown, and of these the longest.
fn add(pending: &mut Vec<Match>, one: Match) {
    let key = |one: &Match| {
        let what = match &one.what {
            What::Given(_) => (0, 0),
            What::Found(rule, _) => (1, *rule),
            What::Leak => (2, 0),
        };
        let end = if one.is_longest { usize::MAX } else { one.end };
        (one.start, Reverse(one.level), what.0, Reverse(end), what.1)
    };
    let at = pending.partition_point(|other| key(other) <= key(&one));
    pending.insert(at, one);
}

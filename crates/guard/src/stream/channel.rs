//! One text that comes in pieces.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::finding::RuleIndex;
use crate::folding::has_unseen;
use crate::stream::escapes;
use crate::stream::guard::{Level, StreamGuard};
use crate::stream::leak::{Leak, LeakRule, Tracker};
use crate::stream::reading::{Found, Reading};
use crate::stream::seen::Seen;
use crate::stream::shown::Shown;
use crate::stream::{Quoting, Verdict};
use crate::vault::{self, Form, Vault};

/// How much of a piece is looked at at once, in bytes. It bounds the memory that a long piece takes.
const STEP: usize = 4096;

/// One text that comes in pieces: what the model writes into one member of one choice.
///
/// Places in it are counted in bytes from its beginning.
pub struct Channel {
    guard: Arc<StreamGuard>,
    /// The text as it is; and without what no reader sees, once there was something such.
    first: Reading,
    second: Option<Box<Reading>>,
    shown: Shown,
    /// How far it was shown, or left out.
    done: usize,
    /// How far matches go that were counted: those that are left out, and those that are logged.
    covered: usize,
    logged: usize,
    /// What was found, and stands behind what may be shown.
    pending: Vec<Match>,
    leaks: Option<Box<Tracker>>,
    /// How far placeholders were looked for.
    placeholders: usize,
    blocked: Option<RuleIndex>,
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("judged", &self.first.judged)
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
        Self {
            first: Reading::new(&guard, Seen::new(quoting)),
            second: None,
            guard,
            shown: Shown::new(quoting),
            done: 0,
            covered: 0,
            logged: 0,
            pending: Vec::new(),
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
            let before = self.first.seen.last();
            self.first.seen.push(now);
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
            let before = self.first.seen.last();
            self.first.seen.finish();
            self.judge(before, true, vault, out, found);
        }
        self.verdict()
    }

    /// Whether something is held back.
    #[must_use]
    pub fn is_holding(&self) -> bool {
        self.blocked.is_none()
            && (self.done < self.first.seen.end() || self.first.seen.is_in_escape())
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
        let before_second = self.read_again(before);
        self.follow_overlong(ends);
        self.first.read_terms(&self.guard, before);
        if let Some(second) = &mut self.second {
            second.read_terms(&self.guard, before_second);
        }
        self.find_leaks(ends, found);
        let of_first = self.held_from(ends).min(self.find_placeholders(ends, vault));
        let hold = self.find(of_first, ends);
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
        self.first.drop_before(self.done);
        if let Some(second) = &mut self.second {
            second.drop_before(second.needed());
        }
    }

    /// What has come goes to the second reading, if there is something in it that no reader sees, or was. The last
    /// character that was read there before.
    fn read_again(&mut self, before: Option<char>) -> Option<char> {
        let (text, base) = self.first.seen.text();
        let new = text.get(self.first.read - base..).unwrap_or_default();
        let (second, before) = match &mut self.second {
            Some(second) => {
                let before = second.seen.last();
                (second, before)
            }
            none if has_unseen(new) => (none.insert(Box::new(self.first.without_unseen())), before),
            _ => return None,
        };
        second.seen.push_seen(new);
        before
    }

    /// From where on nothing may be shown yet, as the first reading goes.
    fn held_from(&self, ends: bool) -> usize {
        if ends {
            return self.first.seen.end();
        }
        let leak = self.leaks.as_ref().and_then(|leaks| leaks.held_from());
        leak.into_iter().fold(self.first.held_from(&self.guard), usize::min)
    }

    /// What has become of matches that are longer than others.
    fn follow_overlong(&mut self, ends: bool) {
        let guard = &self.guard;
        let (covered, logged, pending) = (&mut self.covered, &mut self.logged, &mut self.pending);
        for reading in [Some(&mut self.first), self.second.as_deref_mut()].into_iter().flatten() {
            reading.follow_overlong(guard, ends, |start, rule, end| {
                let is_logged = guard.rule(rule).is_some_and(|rule| rule.level == Level::Log);
                let far = if is_logged { &mut *logged } else { &mut *covered };
                let is_same = |one: &&mut Match| {
                    one.start == start && matches!(one.what, What::Found(found, _) if found == rule)
                };
                let far = pending.iter_mut().find(is_same).map_or(far, |one| &mut one.end);
                *far = end.max(*far);
            });
        }
    }

    /// Looks for parts of the system prompt.
    fn find_leaks(&mut self, ends: bool, found: &mut Vec<(RuleIndex, u8)>) {
        let Some(leaks) = &mut self.leaks else {
            return;
        };
        let (text, base) = self.first.seen.text();
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
        let (text, base) = self.first.seen.text();
        let end = self.first.seen.end();
        let mut from = std::mem::replace(&mut self.placeholders, end).max(base) - base;
        let Some(vault) = vault.filter(|vault| !vault.is_empty()) else {
            return end;
        };
        while let Some(at) = Vault::next_bracket(text, from) {
            let rest = text.get(at..).unwrap_or_default();
            // An escaped backslash escapes nothing: that of a path, as in `\\server`.
            if rest.starts_with("\\\\") {
                from = at + 2;
                continue;
            }
            match vault.read(rest) {
                vault::Reading::Beginning if !ends => {
                    self.placeholders = base + at;
                    return base + at;
                }
                vault::Reading::Placeholder { length, form, value } => {
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

    /// Finds all that was not found yet, in the first reading up to this place. From where on nothing may be shown then.
    fn find(&mut self, of_first: usize, ends: bool) -> usize {
        let (guard, pending) = (&self.guard, &mut self.pending);
        let mut keep = |one: Found| {
            let Found { start, end, rule, score, is_longest } = one;
            let level = guard.rule(rule).map_or(Level::Block, |rule| rule.level);
            let what = What::Found(rule, score);
            add(pending, Match { start, end, is_longest, level, what });
        };
        let hold = self.first.find(guard, of_first, ends, &mut keep);
        let Some(second) = &mut self.second else {
            return hold;
        };
        let of_second = if ends { second.seen.end() } else { second.held_from(guard) };
        let of_second = second.find(guard, of_second, ends, &mut keep);
        hold.min(second.place_of_hold(of_second))
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
            self.shown.leave_out(self.first.seen.came(self.done, end), out);
            self.done = end;
        }
        if to > self.done {
            let came = self.first.seen.came(self.done, to);
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

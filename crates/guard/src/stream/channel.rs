//! One text that comes in pieces.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use crate::finding::{Action, RuleIndex};
use crate::stream::automata::StreamGuard;
use crate::stream::seen::Seen;
use crate::stream::shown::Shown;
use crate::stream::watch::Overlong;
use crate::stream::{Quoting, Verdict};
use crate::vault::Vault;

/// How much of a piece is looked at at once, in bytes. It bounds the memory that a long piece takes.
const STEP: usize = 4096;

/// One text that comes in pieces: what the model writes into one member of one choice.
///
/// Places in it are counted in bytes from its beginning.
pub struct Channel {
    guard: Arc<StreamGuard>,
    seen: Seen,
    shown: Shown,
    /// Whatever begins before this place has been judged.
    judged: usize,
    /// How far it was shown, or left out.
    done: usize,
    /// How far matches go that were counted: those that are left out, and those that are logged.
    covered: usize,
    logged: usize,
    /// From where on a detector looks again that found a match which goes on behind `judged`.
    resume: Vec<(usize, usize)>,
    /// Matches that are longer than others may be.
    overlong: Vec<Overlong>,
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

/// A match, and what is done about it.
struct Match {
    start: usize,
    end: usize,
    watch: usize,
    action: Action,
    score: u8,
}

impl Channel {
    /// A text of which nothing has come.
    #[must_use]
    pub fn new(guard: Arc<StreamGuard>, quoting: Quoting) -> Self {
        Self {
            guard,
            seen: Seen::new(quoting),
            shown: Shown::default(),
            judged: 0,
            done: 0,
            covered: 0,
            logged: 0,
            resume: Vec::new(),
            overlong: Vec::new(),
            blocked: None,
        }
    }

    /// More of the text has come. What may be shown now is added to `out`; the rest, which may still become a
    /// match, stays here.
    pub fn push(
        &mut self,
        piece: &str,
        vault: Option<&Vault>,
        out: &mut String,
        found: &mut Vec<(RuleIndex, u8)>,
    ) -> Verdict {
        let mut rest = piece;
        while !rest.is_empty() {
            if let Some(rule) = self.blocked {
                return Verdict::Block(rule);
            }
            let mut step = rest.len().min(STEP);
            while !rest.is_char_boundary(step) {
                step -= 1;
            }
            let (now, later) = rest.split_at(step);
            rest = later;
            self.seen.push(now);
            self.judge(false, vault, out, found);
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
            self.seen.finish();
            self.judge(true, vault, out, found);
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
        ends: bool,
        _vault: Option<&Vault>,
        out: &mut String,
        found: &mut Vec<(RuleIndex, u8)>,
    ) {
        self.follow_overlong(ends);
        let end = self.seen.end();
        let (text, base) = self.seen.text();
        let mut hold =
            if ends { end } else { base + self.guard.held_from(text, self.judged - base) };
        for overlong in &self.overlong {
            hold = hold.min(overlong.end);
        }
        if hold > self.judged {
            let matches = self.matches(hold, ends);
            self.judged = hold;
            for one in matches {
                self.act(&one, out, found);
                if self.blocked.is_some() {
                    return;
                }
            }
        }
        for overlong in &self.overlong {
            hold = hold.min(overlong.end);
        }
        self.show(hold, out);
        self.resume.retain(|(_, from)| *from > hold);
        self.seen.drop_before(self.judged, self.done);
    }

    /// What has become of matches that are longer than others.
    fn follow_overlong(&mut self, ends: bool) {
        let (text, base) = self.seen.text();
        let mut index = 0;
        while let Some(overlong) = self.overlong.get_mut(index) {
            let watch = overlong.watch;
            let Some(watcher) = self.guard.watches().get(watch) else {
                return;
            };
            let goes_on = watcher.advance(overlong, text, base);
            if ends && goes_on {
                watcher.end(overlong);
            }
            let reach = if level(watcher.sought.action) == Level::Log {
                &mut self.logged
            } else {
                &mut self.covered
            };
            *reach = overlong.end.max(*reach);
            if goes_on && !ends {
                index += 1;
            } else {
                self.resume.push((watch, overlong.end));
                self.overlong.swap_remove(index);
            }
        }
    }

    /// All matches that begin before this place and weren't judged yet, in the order in which they count.
    fn matches(&mut self, hold: usize, ends: bool) -> Vec<Match> {
        let (text, base) = self.seen.text();
        let mut matches = Vec::new();
        let (overlong, resume) = (&mut self.overlong, &mut self.resume);
        let judged = self.judged;
        self.guard.for_each_match(text, judged - base, |watch, watcher| {
            if overlong.iter().any(|overlong| overlong.watch == watch) {
                return;
            }
            let later = resume.iter().filter(|(who, _)| *who == watch).map(|(_, from)| *from).max();
            let mut from = later.unwrap_or_default().max(judged);
            while from < hold {
                let Some(sighting) = watcher.first(text, from - base..hold - base) else {
                    return;
                };
                let start = base + sighting.range.start;
                let mut end = base + sighting.range.end;
                if let Some((mut longer, goes_on)) =
                    watcher.follow(watch, text, base, &sighting.range)
                {
                    if goes_on && ends {
                        watcher.end(&mut longer);
                    }
                    end = longer.end;
                    if goes_on && !ends {
                        overlong.push(longer);
                    }
                }
                let action = watcher.sought.action;
                matches.push(Match { start, end, watch, action, score: sighting.score });
                if overlong.iter().any(|overlong| overlong.watch == watch) {
                    return;
                }
                from = end;
            }
            resume.push((watch, from));
        });
        // The strictest of those that begin at one place, and of these the longest, has its label shown.
        matches.sort_by_key(|one| {
            (one.start, Reverse(level(one.action)), Reverse(one.end), one.watch)
        });
        matches
    }

    /// Does what is to be done about a match.
    fn act(&mut self, one: &Match, out: &mut String, found: &mut Vec<(RuleIndex, u8)>) {
        let guard = Arc::clone(&self.guard);
        let Some(watcher) = guard.watches().get(one.watch) else {
            return;
        };
        let finding = (watcher.sought.rule, one.score);
        match level(one.action) {
            Level::Log => {
                if one.start >= self.logged.max(self.covered) {
                    found.push(finding);
                }
                self.logged = self.logged.max(one.end);
            }
            Level::Cover => {
                if one.start >= self.covered {
                    found.push(finding);
                    self.show(one.start, out);
                    self.shown.replace(&watcher.label, out);
                }
                self.covered = self.covered.max(one.end);
            }
            Level::Block => {
                found.push(finding);
                self.show(one.start, out);
                self.blocked = Some(finding.0);
            }
        }
    }

    /// Shows what is here up to this place, except what is covered.
    fn show(&mut self, to: usize, out: &mut String) {
        if self.covered > self.done {
            let end = self.covered.min(to);
            self.shown.leave_out(self.seen.came(self.done, end), out);
            self.done = end;
        }
        if to > self.done {
            self.shown.show(self.seen.came(self.done, to), out);
            self.done = to;
        }
    }
}

/// What an action does to what is shown. A later one outranks those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Log,
    Cover,
    Block,
}

fn level(action: Action) -> Level {
    match action {
        Action::Log => Level::Log,
        Action::Mask | Action::Tokenize => Level::Cover,
        Action::Block => Level::Block,
    }
}

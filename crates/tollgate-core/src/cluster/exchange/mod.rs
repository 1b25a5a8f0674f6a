//! One exchange with the store, from the node's side: what is asked, and what is done with the answer.
//!
//! One thread of one process of the node does this, and at most one message is under way. Between
//! [`collect`] and [`apply`] the message is sent, and either may never come to it: the process may be killed at any
//! point. The next one then says what it holds and has drawn in absolute numbers, and everything is right again.

mod apply;
mod memory;

use std::num::NonZeroU16;

use super::lease::Count;
use super::marks::Marks;
use super::message::{Incarnation, Line, Message, StoreId, Terms};
use super::mirror::Mirror;
use super::sizing::{self, Offer, Wish};
use super::table::LeaseTable;
use super::times::{call_timeout, HEARTBEAT, IDLE, OUTDATED, RENEWAL};
use super::{entry, Entry};
use crate::clock::{MonoNanos, UnixSeconds};
use crate::limits::ask::{period_of, Kind};
use crate::limits::sync::Ordering;
use crate::limits::Key;
pub use apply::{apply, Applied};
pub use memory::Memory;
use memory::Tracked;

/// The most lines of a message. What is left waits for the next one.
const MOST_LINES: usize = 8_000;
/// How often a lease of places is looked at, of which it isn't told when they become free, in nanoseconds.
const PLACES_LOOK: u64 = 250_000_000;
const MICROS: u64 = 1_000_000;

/// How a node speaks with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Nanoseconds from one exchange to the next.
    pub exchange: u64,
    /// How often what was given away without the store counted on the mirror: the nodes there are, or 1.
    pub weight: NonZeroU16,
}

/// A message, and what of the table it speaks of.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The message.
    pub message: Message,
    /// When it was made.
    sent: MonoNanos,
    /// What each of its lines is about.
    subjects: Vec<Subject>,
}

/// What a line is about.
#[derive(Clone, Copy, Debug)]
struct Subject {
    place: usize,
    /// What the node gave away by itself, as it is counted here; in the line there is as much of it as still counts.
    alone: u64,
    /// The same, in the store's units.
    alone_told: u64,
    /// When the period of a budget ends.
    until_us: Option<u64>,
    is_reset: bool,
}

impl Asked {
    /// When the message was made.
    #[must_use]
    pub fn sent(&self) -> MonoNanos {
        self.sent
    }
}

/// The next message to the store, to be sent at `now`; `None`: there is nothing to say. To be called once each
/// exchange, when the message before was answered, or has failed.
pub fn collect(
    table: &LeaseTable<'_>,
    memory: &mut Memory,
    mirror: &mut impl Mirror,
    pace: Pace,
    now: MonoNanos,
) -> Option<Asked> {
    let words = table.words();
    // Before anything is counted: who draws looks at it after he has drawn.
    let seq = words.next_round();
    if !memory.is_complete {
        adopt(table, memory, (seq, now));
    }
    if std::mem::take(&mut memory.is_to_tell) {
        for entry in table.entries() {
            memory.call(entry.place).is_to_tell = true;
        }
    }
    for place in table.called() {
        memory.call(place).is_called = true;
    }
    let store_us = words.store_us(now);
    let mut collecting = Collecting { table, mirror, pace, now, seq, store_us };
    let (mut lines, mut subjects) = (Vec::new(), Vec::new());
    // Each at most once. What a message has no room for is the first in the next one.
    for _ in 0..memory.due(now) {
        if lines.len() >= MOST_LINES {
            break;
        }
        let Some(place) = memory.pop() else { break };
        let Some(tracked) = memory.tracked.get_mut(&place) else { continue };
        let looked = table.at(place).map(|entry| collecting.look(&entry, tracked));
        let (line, is_kept) = looked.unwrap_or((None, false));
        if let Some((line, subject)) = line {
            lines.push(line);
            subjects.push(subject);
        }
        if is_kept {
            memory.look_again(place);
        } else {
            memory.tracked.remove(&place);
        }
    }
    let is_silent = memory.spoke.is_some_and(|spoke| now.0.saturating_sub(spoke.0) < HEARTBEAT);
    if lines.is_empty() && is_silent {
        return None;
    }
    memory.spoke = Some(now);
    let at_most = store_us.map_or(0, |(_, at_most)| at_most);
    let message = Message {
        incarnation: Incarnation::from_random(words.incarnation()),
        seq,
        // The first message is too late by any clock: the answer says what time it is.
        latest_us: match at_most {
            0 => 0,
            at_most => at_most.saturating_add(call_timeout(pace.exchange) / 1_000),
        },
        lines,
    };
    Some(Asked { message, sent: now, subjects })
}

/// Finds the entries that an earlier process kept account of, or that have something to report.
fn adopt(table: &LeaseTable<'_>, memory: &mut Memory, (seq, now): (u64, MonoNanos)) {
    memory.is_complete = true;
    for entry in table.entries() {
        let count = entry.count();
        let (acked_drawn, acked_adjust) = entry.acked();
        let is_news = count.drawn != acked_drawn || count.adjust != acked_adjust || count.alone > 0;
        if entry.marks().is_tracked || is_news {
            let born = entry.words[entry::BORN].load(Ordering::Acquire);
            let found = Tracked {
                born,
                drawn: acked_drawn,
                seq: seq.saturating_sub(1),
                drawn_at: now,
                // What that process has sent last isn't known.
                reported: count.drawn,
                in_doubt: true,
                ..Tracked::default()
            };
            memory.tracked.insert(entry.place, found);
            memory.call(entry.place);
        }
    }
}

struct Collecting<'a, 'm, M> {
    table: &'a LeaseTable<'m>,
    mirror: &'a mut M,
    pace: Pace,
    now: MonoNanos,
    seq: u64,
    /// At least, and at most.
    store_us: Option<(u64, u64)>,
}

impl<M: Mirror> Collecting<'_, '_, M> {
    /// What is to be said of an entry, and whether the thread goes on keeping account of it.
    fn look(
        &mut self,
        entry: &Entry<'_>,
        tracked: &mut Tracked,
    ) -> (Option<(Line, Subject)>, bool) {
        let marks = entry.set_marks(|marks| Marks { is_tracked: !marks.is_leaving, ..marks });
        let Some((key, word)) = self.table.limit_of(entry) else { return (None, false) };
        if marks.is_leaving {
            return (None, false);
        }
        let is_called = std::mem::take(&mut tracked.is_called);
        let born = entry.words[entry::BORN].load(Ordering::Acquire);
        if tracked.born != born {
            let (seq, is_to_tell) = (self.seq.saturating_sub(1), tracked.is_to_tell);
            // What was drawn long ago says nothing of what is liked now.
            let (drawn, _) = entry.acked();
            *tracked = Tracked { born, drawn, seq, is_to_tell, ..Tracked::default() };
        }
        let Some((terms, until_us)) = self.terms(entry, tracked, (marks, word)) else {
            return (None, true);
        };
        let wish = self.settle_lease(entry, tracked, (key, word, marks), terms);
        let mut count = self.count(entry, tracked);
        if matches!(terms, Terms::Slots { .. }) {
            // Those in flight have their places, even where no more may come.
            count.held = count.held.max(self.mirror.in_use(key, word, (marks.count, 0)));
        }
        let (alone, alone_told) = self.alone(entry, (key, word, marks), count);
        let (acked_drawn, acked_adjust) = entry.acked();
        let adjust = count.adjust.saturating_add(i64::try_from(alone_told).unwrap_or(i64::MAX));
        let want = match wish {
            Wish::More(more) => more,
            Wish::Less(_) => 0,
        };
        let heard_us = entry.words[entry::HEARD].load(Ordering::Acquire);
        let known = self.known(entry.used(), heard_us, terms);
        tracked.is_to_tell &= known > 0;
        let is_news = tracked.is_to_tell
            || count.drawn != acked_drawn
            || adjust != acked_adjust
            || count.held != tracked.acked_held
            || want > 0
            || tracked.in_doubt
            || marks.is_reset;
        let is_due = self.now.0.saturating_sub(tracked.acked_at.0) >= RENEWAL;
        let (_, at_most_us) = self.store_us.unwrap_or_default();
        let is_outdated = is_called && at_most_us.saturating_sub(heard_us) >= OUTDATED / 1_000;
        let is_said = is_news || is_outdated || count.held > 0 && is_due;
        if !is_said && count.held == 0 && alone == 0 && tracked.appetite.is_idle() {
            entry.set_marks(|marks| Marks { is_tracked: false, ..marks });
            return (None, false);
        }
        tracked.due = self.due(tracked, count.held, word);
        if !is_said {
            return (None, true);
        }
        if marks.is_reset {
            entry.set_marks(|marks| Marks { is_reset: false, ..marks });
        }
        let line = Line {
            id: StoreId(entry.name()),
            terms,
            born: tracked.born,
            drawn: count.drawn,
            adjust,
            acked_drawn,
            acked_adjust,
            in_doubt: tracked.in_doubt,
            held: count.held,
            want,
            known,
            heard_us,
            reset: marks.is_reset,
        };
        tracked.reported = tracked.reported.max(count.drawn);
        let is_reset = marks.is_reset;
        (Some((line, Subject { place: entry.place, alone, alone_told, until_us, is_reset })), true)
    }

    /// What the limit grants, and when the period of a budget ends. `None`: the store's time isn't known yet.
    fn terms(
        &self,
        entry: &Entry<'_>,
        tracked: &mut Tracked,
        (marks, word): (Marks, usize),
    ) -> Option<(Terms, Option<u64>)> {
        let capacity = entry.words[entry::CAPACITY].load(Ordering::Acquire);
        let (_, at_most_us) = self.store_us?;
        Some(match Kind::of(word) {
            Kind::Bucket => {
                let period_us = u64::from(period_of(word).seconds()) * MICROS;
                (Terms::Bucket { capacity, count: marks.count.into(), period_us }, None)
            }
            Kind::Concurrency => (Terms::Slots { limit: capacity }, None),
            Kind::Budget(calendar) => {
                let wall = UnixSeconds(i64::try_from(at_most_us / MICROS).ok()?);
                let number = calendar.number(wall);
                let moment = |number| micros(calendar.end(number));
                // The first one is that of all time before it, too.
                let from_us = if number > 1 { moment(number - 1) } else { 0 };
                let until_us = moment(number);
                let heard = entry.words[entry::HEARD].load(Ordering::Acquire);
                if heard > 0 && heard < from_us {
                    self.turn(entry, tracked);
                }
                let amount = capacity / entry.unit();
                let terms = Terms::Budget { amount, number: number.into(), from_us, until_us };
                (terms, Some(until_us))
            }
        })
    }

    /// The period of a budget is over: what is left of its lease is worth nothing, and what wasn't reported doesn't
    /// count any more.
    fn turn(&self, entry: &Entry<'_>, tracked: &mut Tracked) {
        entry.take_back(u64::MAX);
        let count = entry.count();
        let alone = amount_of(&entry.words[entry::ALONE]);
        entry.forget_alone(alone);
        entry.acknowledge(count.drawn, count.adjust);
        entry.words[entry::HEARD].store(0, Ordering::Release);
        entry.words[entry::USED].store(0, Ordering::Release);
        entry.words[entry::BORN].store(self.seq, Ordering::Release);
        tracked.born = self.seq;
        (tracked.in_doubt, tracked.unsold, tracked.acked_held) = (false, None, 0);
    }

    /// Takes out of the lease what has run out, or is to go back. Gives what is wished for.
    fn settle_lease(
        &mut self,
        entry: &Entry<'_>,
        tracked: &mut Tracked,
        (key, word, marks): (Key, usize, Marks),
        terms: Terms,
    ) -> Wish {
        let is_over = self.now >= entry.expires();
        let is_places = Kind::of(word) == Kind::Concurrency;
        let needed = entry.needed(self.seq);
        let is_old = self.now.0.saturating_sub(tracked.drawn_at.0) >= IDLE;
        let offer = self.offer(tracked, terms);
        let exchanges = self.seq.saturating_sub(tracked.seq).max(1);
        tracked.seq = self.seq;
        if is_places {
            let rate = (marks.count, 0);
            let mut in_flight = || self.mirror.in_use(key, word, rate);
            let seen = in_flight();
            tracked.appetite.note(seen, exchanges);
            if seen > 0 {
                tracked.drawn_at = self.now;
            }
            let held = entry.balance().max(seen);
            let places = (held, seen);
            let wish = sizing::of_places(&tracked.appetite, needed, places, offer, is_old);
            let lowered = match wish {
                _ if is_over => Some(0),
                Wish::Less(less) => Some(held.saturating_sub(less)),
                Wish::More(_) => None,
            };
            if let Some(to) = lowered.filter(|to| *to < entry.balance()) {
                entry.lower(to, in_flight);
            }
            return wish;
        }
        if is_over {
            entry.take_back(u64::MAX);
        }
        let count = entry.count();
        let drawn = count.drawn.saturating_sub(tracked.drawn);
        tracked.drawn = count.drawn;
        tracked.appetite.note(drawn, exchanges);
        if drawn > 0 || needed > 0 {
            tracked.drawn_at = self.now;
        }
        let wish = sizing::of_amount(&tracked.appetite, needed, count.held, offer, is_old);
        if let Wish::Less(less) = wish {
            entry.take_back(less);
        }
        wish
    }

    /// What the store can sell by now.
    fn offer(&self, tracked: &Tracked, terms: Terms) -> Offer {
        let refilled = match terms {
            Terms::Bucket { count, period_us, .. } => {
                let us = self.now.0.saturating_sub(tracked.acked_at.0) / 1_000;
                drained(us, count, period_us)
            }
            Terms::Budget { .. } | Terms::Slots { .. } => 0,
        };
        let by_now = |unsold: u64| unsold.saturating_add(refilled).min(terms.capacity());
        Offer { unsold: tracked.unsold.map(by_now), is_short: tracked.is_short }
    }

    /// How the entry stands. What was put back after it was reported is spent.
    fn count(&self, entry: &Entry<'_>, tracked: &mut Tracked) -> Count {
        let count = entry.count();
        let Some(excess) = tracked.reported.checked_sub(count.drawn).filter(|n| *n > 0) else {
            return count;
        };
        entry.burn(excess);
        entry.count()
    }

    /// What the node gave away by itself, and how much of that still counts, in the store's units: of a bucket, what
    /// hasn't drained on the mirror.
    fn alone(
        &mut self,
        entry: &Entry<'_>,
        (key, word, marks): (Key, usize, Marks),
        count: Count,
    ) -> (u64, u64) {
        let alone = amount_of(&entry.words[entry::ALONE]);
        if alone == 0 {
            return (0, 0);
        }
        if Kind::of(word) != Kind::Bucket {
            return (alone, count.alone);
        }
        let capacity = entry.words[entry::CAPACITY].load(Ordering::Acquire);
        let rate = (marks.count, u32::try_from(capacity).unwrap_or(u32::MAX));
        let in_use = self.mirror.in_use(key, word, rate).div_ceil(self.pace.weight.get().into());
        (alone, count.alone.min(in_use))
    }

    /// What all nodes have used by now, as far as the store has said it.
    fn known(&self, used: u64, heard_us: u64, terms: Terms) -> u64 {
        let (at_least_us, _) = self.store_us.unwrap_or_default();
        match terms {
            Terms::Bucket { count, period_us, .. } => {
                let us = at_least_us.saturating_sub(heard_us);
                used.saturating_sub(drained(us, count, period_us))
            }
            Terms::Budget { .. } | Terms::Slots { .. } => used,
        }
    }

    /// When to look at an entry again if nobody calls.
    fn due(&self, tracked: &Tracked, held: u64, word: usize) -> MonoNanos {
        if !tracked.appetite.is_idle() || tracked.in_doubt || held == 0 {
            return MonoNanos(0);
        }
        let renewal = tracked.acked_at.0.max(self.now.0).saturating_add(RENEWAL / 2);
        let due = match Kind::of(word) {
            Kind::Concurrency => renewal.min(self.now.0.saturating_add(PLACES_LOOK)),
            Kind::Bucket | Kind::Budget(_) => renewal,
        };
        MonoNanos(due)
    }
}

fn amount_of(word: &crate::limits::sync::AtomicU64) -> u64 {
    entry::amount(word.load(Ordering::Acquire))
}

/// Tokens that come back in so many microseconds.
fn drained(us: u64, count: u64, period_us: u64) -> u64 {
    let tokens = u128::from(us) * u128::from(count) / u128::from(period_us.max(1));
    u64::try_from(tokens).unwrap_or(u64::MAX)
}

fn micros(moment: UnixSeconds) -> u64 {
    u64::try_from(moment.0).unwrap_or(0).saturating_mul(MICROS)
}

#[cfg(test)]
mod tests;

//! What is done with the store's answer.

use super::super::message::{Answer, Call, Outcome, Sold, Status};
use super::super::mirror::Mirror;
use super::super::table::LeaseTable;
use super::super::times::LIFE;
use super::super::{entry, Entry};
use super::{Asked, Memory, Subject, Tracked, MICROS};
use crate::clock::MonoNanos;
use crate::limits::sync::Ordering;

/// What came of an exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Lines that counted.
    pub counted: usize,
    /// Lines that didn't: the call failed, or the store refused them.
    pub uncounted: usize,
    /// What was granted, in the units of the limits.
    pub granted: u64,
    /// Whether all calls were answered in time.
    pub is_whole: bool,
}

/// Takes what was answered by `now` to the calls of a message; `None`: a call has failed. Calls that are missing have
/// failed as well.
pub fn apply<'a>(
    table: &LeaseTable<'_>,
    memory: &mut Memory,
    mirror: &mut impl Mirror,
    asked: &Asked,
    answers: impl IntoIterator<Item = (&'a Call<'a>, Option<&'a Answer>)>,
    now: MonoNanos,
) -> Applied {
    let mut applied = Applied { is_whole: true, ..Applied::default() };
    let mut sold: Vec<Option<Sold>> = vec![None; asked.subjects.len()];
    let (mut heard_us, mut is_any) = (None, false);
    for (call, answer) in answers {
        is_any = true;
        let Some(answer) = answer else {
            applied.is_whole = false;
            continue;
        };
        // Where the servers of a store have several clocks, the fastest one decides.
        heard_us = heard_us.max(Some(answer.now_us));
        memory.hear_life(call.shard(), answer.life);
        match &answer.outcome {
            Outcome::Stale => applied.is_whole = false,
            Outcome::Done(lines) => {
                for (index, line) in call.places().iter().zip(lines) {
                    if let Some(place) = sold.get_mut(*index) {
                        *place = Some(*line);
                    }
                }
            }
        }
    }
    applied.is_whole &= is_any;
    if let Some(store_us) = heard_us {
        table.words().set_store_time(store_us, asked.sent, now);
    }
    if applied.is_whole {
        table.words().set_contact(asked.sent);
    }
    let answer_us = heard_us.unwrap_or(0);
    for (index, (subject, sold)) in asked.subjects.iter().zip(sold).enumerate() {
        let Some(line) = asked.message.lines.get(index) else { continue };
        let Some(tracked) = memory.tracked.get_mut(&subject.place) else { continue };
        let Some(entry) = table.at(subject.place) else { continue };
        if entry.words[entry::BORN].load(Ordering::Acquire) != line.born {
            continue;
        }
        let exchange = Exchange { asked, line: index, subject, answer_us, now };
        let is_counted = match sold {
            Some(sold) if sold.status == Status::Done => {
                applied.counted += 1;
                applied.granted = applied.granted.saturating_add(sold.grant);
                exchange.count(table, &entry, tracked, &sold);
                exchange.show(table, &entry, mirror, &sold);
                true
            }
            Some(Sold { status: Status::Period | Status::Crowded, .. }) => {
                applied.uncounted += 1;
                exchange.answer(&entry, 0);
                false
            }
            Some(Sold { status: Status::Done | Status::Old, .. }) | None => {
                applied.uncounted += 1;
                tracked.in_doubt = true;
                false
            }
        };
        if !is_counted {
            memory.call(subject.place);
            if subject.is_reset {
                entry.ask_for_reset();
            }
        }
    }
    applied
}

/// One line of a message that is over.
struct Exchange<'a> {
    asked: &'a Asked,
    line: usize,
    subject: &'a Subject,
    /// What the store's clock said.
    answer_us: u64,
    now: MonoNanos,
}

impl Exchange<'_> {
    /// The store has counted the line.
    fn count(&self, table: &LeaseTable<'_>, entry: &Entry<'_>, tracked: &mut Tracked, sold: &Sold) {
        let Some(line) = self.asked.message.lines.get(self.line) else { return };
        let told = i64::try_from(self.subject.alone_told).unwrap_or(i64::MAX);
        if told > 0 {
            let unit = i64::try_from(entry.unit()).unwrap_or(i64::MAX);
            // First that, then the other: who is killed in between has reported it twice, and not never.
            entry.adjust(told.saturating_mul(unit));
        }
        entry.acknowledge(line.drawn, line.adjust);
        entry.forget_alone(self.subject.alone);
        entry.words[entry::USED].store(sold.used, Ordering::Release);
        entry.words[entry::HEARD].store(self.answer_us, Ordering::Release);
        // Before it is granted: else it would be put back for having run out.
        entry.renew(self.until(table));
        match line.terms {
            super::Terms::Slots { limit } => {
                // Where the lease had run out, others may have bought the places of those who are in flight
                // here: these end, and nobody takes their places.
                let left_by_others = limit.saturating_sub(sold.others);
                entry.allow(line.held.saturating_add(sold.grant).min(left_by_others));
            }
            super::Terms::Bucket { .. } | super::Terms::Budget { .. } => entry.grant(sold.grant),
        }
        tracked.acked_at = self.asked.sent;
        tracked.acked_held = line.held.saturating_add(sold.grant);
        tracked.unsold = Some(sold.unsold);
        tracked.is_short = sold.is_short;
        (tracked.in_doubt, tracked.is_to_tell) = (false, false);
        self.answer(entry, sold.wait_us);
    }

    /// Until when the lease may be spent. That of a budget ends with its period, by the clock of the store at the
    /// latest that it can be.
    fn until(&self, table: &LeaseTable<'_>) -> MonoNanos {
        let until = self.asked.sent.0.saturating_add(LIFE);
        let end = self.subject.until_us.and_then(|until_us| {
            let (_, at_most_us) = table.words().store_us(self.now)?;
            Some(
                self.now
                    .0
                    .saturating_add(until_us.saturating_sub(at_most_us).saturating_mul(1_000)),
            )
        });
        MonoNanos(until.min(end.unwrap_or(u64::MAX)))
    }

    /// Those who wait may look.
    fn answer(&self, entry: &Entry<'_>, wait_us: u64) {
        let answered = entry::answered(self.asked.message.seq, wait_us.min(3_600 * MICROS));
        entry.words[entry::ANSWERED].store(answered, Ordering::Release);
    }

    /// Shows on the node how the limit stands: what the store says, and what this node did since.
    fn show(
        &self,
        table: &LeaseTable<'_>,
        entry: &Entry<'_>,
        mirror: &mut impl Mirror,
        sold: &Sold,
    ) {
        let Some(line) = self.asked.message.lines.get(self.line) else { return };
        let Some((key, word)) = table.limit_of(entry) else { return };
        if matches!(line.terms, super::Terms::Slots { .. }) {
            return;
        }
        let count = entry.count();
        let since = i128::from(count.drawn) - i128::from(line.drawn)
            + i128::from(count.adjust)
            - i128::from(line.adjust)
            + i128::from(count.alone)
            // Those who wait have it from the mirror already.
            + i128::from(entry.needed(table.words().round()));
        let used = u64::try_from((i128::from(sold.used) + since).max(0)).unwrap_or(u64::MAX);
        let capacity = entry.words[entry::CAPACITY].load(Ordering::Acquire);
        let rate = (entry.marks().count, u32::try_from(capacity).unwrap_or(u32::MAX));
        mirror.show(key, word, rate, used.saturating_mul(entry.unit()));
    }
}

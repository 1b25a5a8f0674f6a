//! What a request holds that waits for the store: what it has reserved on this node, and its wish.

use std::rc::Rc;

use tollgate_core::clock::MonoNanos;
use tollgate_core::cluster::{times, unheard_until, Backing};
use tollgate_core::limits::{Ask, Now, Seat};

use crate::clock::{mono_now, now};
use crate::observed;
use crate::per_worker::PerWorker;
use crate::request::asks::{Scratch, Way};
use crate::request::complaint::may_say;
use crate::request::queue;
use crate::request::store_wait::{wait, Until, Waiting};
use crate::zone::leases::MappedLeases;
use crate::zone::lock::ZoneLock;
use crate::zone::{member, Mapped};
use nginx::log::cycle_error;
use nginx::request::handles::Parked;

/// When it was last said that the store isn't told something, in nanoseconds of the monotonic clock.
static SAID: PerWorker<Option<u64>> = PerWorker::new(|| None);

/// What a lease lacks for a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lack {
    /// Which of its asks.
    pub(super) index: usize,
    /// How much, in the units of the store.
    pub(super) missing: u64,
    /// In which round it was said that it is needed, once that was said.
    pub(super) round: u64,
}

/// How a request may wait for the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience {
    /// For so many exchanges still.
    pub(super) rounds: u32,
    /// Since when it waits, and until when, in nanoseconds of the monotonic clock; `None`: from now on for as long as it
    /// may take.
    pub(super) span: Option<(u64, u64)>,
}

impl Patience {
    /// Of a request that hasn't waited for the store yet.
    pub(super) const ALL: Self = Self { rounds: times::ROUNDS, span: None };
    /// Of one that may not wait.
    pub(super) const NONE: Self = Self { rounds: 0, span: None };
}

/// What a request holds that waits for the store: what it has reserved on this node, so that no more requests wait than
/// could get something. All of it is given back when this is dropped.
pub(crate) struct Awaiting {
    zone: Rc<Mapped>,
    leases: Rc<MappedLeases>,
    asks: Vec<Ask>,
    seats: Vec<Seat>,
    /// What is lacking, and what is there and is to be kept.
    lacks: Vec<Lack>,
    patience: Patience,
    exchange_nanos: u64,
    /// When it began to wait, in nanoseconds of the monotonic clock.
    since: u64,
    /// There while it waits.
    waiting: Option<Waiting>,
}

impl Awaiting {
    pub(super) fn new(
        (scratch, seats): (&Scratch, Vec<Seat>),
        mut lacks: Vec<Lack>,
        (zone, leases, exchange_nanos): (&Rc<Mapped>, &Rc<MappedLeases>, u64),
        patience: Patience,
    ) -> Self {
        // What it need not wait for isn't to go back meanwhile.
        let is_lacking = |index: &usize| lacks.iter().any(|lack| lack.index == *index);
        let others = (0..scratch.asks.len()).filter(|index| {
            !is_lacking(index) && scratch.is_shared(*index) && !scratch.way(*index).is_alone()
        });
        let others: Vec<_> = others.map(|index| Lack { index, missing: 1, round: 0 }).collect();
        lacks.extend(others);
        for lack in &mut lacks {
            let entry = scratch.asks.get(lack.index).and_then(|ask| leases.get().find(ask));
            lack.round = match entry {
                Some(entry) => entry.need(lack.missing),
                // The store is asked first by what limits are called there.
                None => leases.get().words().round(),
            };
        }
        let (zone, leases, asks) = (Rc::clone(zone), Rc::clone(leases), scratch.asks.clone());
        let (since, waiting) = (mono_now().0, None);
        Self { zone, leases, asks, seats, lacks, patience, exchange_nanos, since, waiting }
    }

    /// Waits until the store has answered, or for as long as that may take.
    pub(super) fn wait(&mut self, parked: Parked) {
        let ask = |lack: &Lack| (self.asks.get(lack.index).copied(), lack.round);
        let asks = self.lacks.iter().map(ask).collect();
        let until = Until { asks, deadline: self.patience.span.map_or(0, |(_, end)| end) };
        self.waiting = Some(wait(&self.leases, until, self.exchange_nanos, parked));
    }

    /// How long it may wait still.
    pub(super) fn patience(&self) -> Patience {
        let Patience { rounds, span } = self.patience;
        let Some((since, _)) = span.filter(|(_, end)| *end <= mono_now().0) else {
            return Patience { rounds: rounds.saturating_sub(1), span };
        };
        let words = self.leases.get().words();
        match unheard_until(words.contact(), words.began(), MonoNanos(since)) {
            Some(until) => Patience { rounds, span: Some((since, until.0)) },
            None => Patience { rounds: 0, span },
        }
    }

    /// Gives back what is still reserved of an ask on this node. When the store has answered, its limit shows there what
    /// all nodes have used, without what was only reserved.
    fn give_back(&self, index: usize, ask: &Ask) {
        let asked = self.lacks.iter().find(|lack| lack.index == index);
        let entry = asked.and_then(|_| self.leases.get().find(ask));
        if let (Some(lack), Some(entry)) = (asked, entry) {
            entry.satisfied(lack.missing, lack.round);
            if entry.is_answered(lack.round) {
                return;
            }
        }
        self.zone.get().give_back(std::slice::from_ref(ask), now());
    }
}

impl Drop for Awaiting {
    fn drop(&mut self) {
        observed::waited_for_store(mono_now().0.saturating_sub(self.since));
        for (index, ask) in self.asks.iter().enumerate() {
            self.give_back(index, ask);
        }
        let seats = std::mem::take(&mut self.seats);
        if seats.is_empty() {
            return;
        }
        member::with(|member| {
            let Some(holder) = member.holder.as_mut() else { return };
            seats.into_iter().for_each(|seat| self.zone.get().release(seat, holder));
        });
        queue::wake();
    }
}

/// Tells what was leased that `used` was used of an ask, in place of what it had reserved.
pub(crate) fn settle(leases: &MappedLeases, (ask, way): (&Ask, Way), used: u64, now: Now) {
    let backing = match way {
        Way::Node | Way::Seat => return,
        Way::Lease(_, name) => (Backing::Lease, name),
        Way::Alone(name) => (Backing::Alone, name),
    };
    let (table, lock) = (leases.get(), ZoneLock::new(leases.get().lock()));
    if let Err(error) = table.settle(ask, backing, used, now, &lock) {
        if may_say(&SAID) {
            cycle_error(format_args!(
                "tollgate: the store of the cluster does not hear what a request used in place of what it had reserved, as {error}"
            ));
        }
    }
}

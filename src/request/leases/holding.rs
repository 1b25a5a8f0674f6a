//! What a request holds that waits for the store: what it has reserved on this node, and its wish.

use std::rc::Rc;

use tollgate_core::cluster::Backing;
use tollgate_core::limits::{Ask, Now, Seat};

use super::waiting::{wait, Until, Waiting};
use super::{Lack, Patience};
use crate::clock::{mono_now, now};
use crate::observed;
use crate::request::asks::{Scratch, Way, Widths};
use crate::zone::leases::MappedLeases;
use crate::zone::{member, Mapped};
use nginx::request::handles::Parked;

/// What a request holds that waits for the store. Where it ends before it goes on, all of that is given back.
pub(crate) struct Awaiting {
    zone: Rc<Mapped>,
    leases: Rc<MappedLeases>,
    scratch: Scratch,
    seats: Vec<Seat>,
    widths: Widths,
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
        (scratch, seats, widths): (Scratch, Vec<Seat>, Widths),
        mut lacks: Vec<Lack>,
        (zone, leases, exchange_nanos): (&Rc<Mapped>, &Rc<MappedLeases>, u64),
        patience: Patience,
    ) -> Self {
        // What it need not wait for isn't to go back meanwhile.
        let is_lacking = |index: &usize| lacks.iter().any(|lack| lack.index == *index);
        let others = (0..scratch.asks.len()).filter(|index| {
            !is_lacking(index) && scratch.is_shared(*index) && scratch.way(*index) != Way::Alone
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
        let (zone, leases) = (Rc::clone(zone), Rc::clone(leases));
        let (since, waiting) = (mono_now().0, None);
        Self {
            zone,
            leases,
            scratch,
            seats,
            widths,
            lacks,
            patience,
            exchange_nanos,
            since,
            waiting,
        }
    }

    /// Waits until the store has answered, or for as long as that may take.
    pub(super) fn wait(&mut self, parked: Parked) {
        let asks = self.lacks.iter().map(|lack| {
            let ask = self.scratch.asks.get(lack.index).copied();
            (ask, lack.round)
        });
        let until = Until { asks: asks.collect(), deadline: self.patience.deadline.unwrap_or(0) };
        self.waiting = Some(wait(&self.leases, until, self.exchange_nanos, parked));
    }

    /// How long it may wait still.
    pub(super) fn patience(&self) -> Patience {
        let is_over = self.patience.deadline.is_some_and(|deadline| deadline <= mono_now().0);
        let rounds = if is_over { 0 } else { self.patience.rounds.saturating_sub(1) };
        Patience { rounds, ..self.patience }
    }

    /// What it has reserved on this node, which is not given back from now on.
    pub(super) fn take(&mut self) -> (Scratch, Vec<Seat>, Widths) {
        self.take_back_wishes();
        let scratch = std::mem::take(&mut self.scratch);
        (scratch, std::mem::take(&mut self.seats), std::mem::take(&mut self.widths))
    }

    fn take_back_wishes(&mut self) {
        for Lack { index, missing, round } in std::mem::take(&mut self.lacks) {
            let entry = self.scratch.asks.get(index).and_then(|ask| self.leases.get().find(ask));
            if let Some(entry) = entry {
                entry.satisfied(missing, round);
            }
        }
    }
}

impl Drop for Awaiting {
    fn drop(&mut self) {
        observed::waited_for_store(mono_now().0.saturating_sub(self.since));
        self.take_back_wishes();
        let seats = std::mem::take(&mut self.seats);
        if self.scratch.asks.is_empty() {
            return;
        }
        let zone = self.zone.get();
        zone.give_back(&self.scratch.asks, now());
        member::with(|member| {
            let Some(holder) = member.holder.as_mut() else { return };
            seats.into_iter().for_each(|seat| zone.release(seat, holder));
        });
        crate::request::queue::wake();
    }
}

/// Tells what was leased that `used` was used of an ask, in place of what it had reserved.
pub(crate) fn settle(leases: &MappedLeases, (ask, way): (&Ask, Way), used: u64, now: Now) {
    let backing = match way {
        Way::Node | Way::Seat => return,
        Way::Lease(_) => Backing::Lease,
        Way::Alone => Backing::Alone,
    };
    if let Some(entry) = leases.get().find(ask) {
        let _ = entry.settle(backing, (ask.reserved(), used), ask.is_over(now));
    }
}

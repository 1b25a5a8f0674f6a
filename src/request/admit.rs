//! ACCESS: reserve on every limit, all or nothing.

use std::cell::RefCell;
use std::rc::Rc;

use tollgate_core::decision::Reason;
use tollgate_core::detail::{Cause, Detail};
use tollgate_core::limits::{Exceeded, Refused, Seat, Zone};

use crate::clock::now;
use crate::conf::policy::Policy;
use crate::request::asks::{Amounts, Scratch, Widths, SCRATCH};
use crate::request::awaiting::Patience;
use crate::request::charges::Charged;
use crate::request::estimate::Estimate;
use crate::request::queue::{self, NoPlace, Queued, Turn};
use crate::request::report::LimitReport;
use crate::request::reservation::Reservation;
use crate::request::shortage::count_full;
use crate::request::state::State;
use crate::types::Request;
use crate::zone::leases::{Leases, MappedLeases};
use crate::zone::lock::ZoneLock;
use crate::zone::{member, Mapped};

/// After which time a client may try again that found a queue full: nobody knows.
pub(super) const NOMINAL_WAIT_NANOS: u64 = 1_000_000_000;

/// A limit has too little left, or can't be kept.
pub(crate) struct Shortage {
    pub(crate) reason: Reason,
    pub(crate) wait_nanos: u64,
    pub(crate) report: Option<LimitReport>,
    pub(crate) detail: Option<Detail>,
}

impl From<Detail> for Shortage {
    fn from(detail: Detail) -> Self {
        let reason = detail.cause().reason();
        Self { reason, wait_nanos: 0, report: None, detail: Some(detail) }
    }
}

/// What became of a reservation.
pub(crate) enum Admitted {
    Yes,
    /// The request has a place in the queue.
    Queued,
    /// It waits for the store, which may sell what the node's lease lacks.
    Awaits,
}

/// The limits of one request.
#[derive(Clone, Copy)]
pub(crate) struct Admission<'a, 'r> {
    pub(crate) r: Request<'r>,
    pub(crate) state: &'a RefCell<State>,
    pub(crate) policy: &'a Rc<Policy>,
    pub(crate) mapped: &'a Rc<Mapped>,
    /// What is in there.
    pub(crate) zone: &'a Zone<'a>,
    pub(crate) lock: &'a ZoneLock<'a>,
    /// What this node has leased of limits that hold over a cluster, where it is in one.
    pub(crate) cluster: Option<(&'a Rc<MappedLeases>, &'a Leases)>,
}

impl Admission<'_, '_> {
    /// Refuses a client whose limits are spent already, before its body is read: looks at what
    /// doesn't depend on the body, and takes nothing.
    pub(crate) fn check_before_body(&self) -> Result<(), Shortage> {
        let mut scratch = SCRATCH.with(std::mem::take);
        scratch.clear();
        self.tier_asks(&mut scratch, Amounts::default());
        scratch.of_tier = scratch.asks.len();
        let now = now();
        let outcome = match self.zone.is_clear(&scratch.asks, now) {
            true => Ok(()),
            false => self.zone.check(&scratch.asks, now, &mut scratch.standings),
        };
        let outcome = match outcome {
            Ok(()) => Ok(()),
            // There may be a place in the queue; that is seen later.
            Err(Refused::Exceeded(found))
                if found.only_concurrency && scratch.place(found.ask).is_some() =>
            {
                Ok(())
            }
            Err(refused) => {
                let shortage = self.refuse(refused, &scratch);
                self.show_unread(&mut scratch);
                Err(shortage)
            }
        };
        SCRATCH.with(|kept| *kept = scratch);
        outcome
    }

    /// Notes how the client's limits stand that depend on the body, which isn't read.
    fn show_unread(&self, scratch: &mut Scratch) {
        scratch.clear();
        let tokens = Some((Estimate::default(), false));
        self.tier_asks(scratch, Amounts { tokens, ..Amounts::default() });
        scratch.of_tier = scratch.asks.len();
        let now = now();
        let standings = scratch.asks.iter().map(|ask| self.zone.look(ask, now).0);
        scratch.standings = standings.collect();
        self.show(scratch);
    }

    /// Takes what the request needs from each limit that applies, or nothing from any. A request
    /// that lacks a concurrency slot alone may get a place in the queue.
    pub(crate) fn reserve(&self) -> Result<Admitted, Shortage> {
        let awaiting = self.state.borrow_mut().awaiting.take();
        // What it held for that goes back.
        let patience = awaiting.map_or(Patience::ALL, |awaiting| awaiting.patience());
        let ticket = self.state.borrow().ticket.as_ref().map(|queued| queued.ticket());
        let is_late = match ticket.map(|ticket| queue::turn(self.zone, ticket)) {
            Some(Turn::Later) => return Ok(Admitted::Queued),
            Some(Turn::TooLate) => true,
            Some(Turn::Now) | None => false,
        };
        let may_wait = !is_late && !self.policy.dry_run;
        // Evaluating keys calls into nginx, so the worker's memory is borrowed only for a moment.
        let mut scratch = SCRATCH.with(std::mem::take);
        scratch.clear();
        let mut outcome = self.reserve_with(&mut scratch, may_wait, patience);
        if let (true, Err(shortage)) = (is_late, &mut outcome) {
            if shortage.reason == Reason::ConcurrencyExceeded {
                shortage.detail = Some(Cause::QueueTimeout.into());
            }
        }
        SCRATCH.with(|kept| *kept = scratch);
        if !matches!(outcome, Ok(Admitted::Queued)) {
            self.state.borrow_mut().leave_queue();
        }
        outcome
    }

    fn reserve_with(
        &self,
        scratch: &mut Scratch,
        may_wait: bool,
        patience: Patience,
    ) -> Result<Admitted, Shortage> {
        let amounts = self.amounts();
        let mut widths = Widths::default();
        self.all_asks(scratch, amounts, &widths);
        if amounts.tokens.is_some_and(|(_, has_price)| !has_price) && scratch.has_budget() {
            return Err(Detail::from(Cause::NoPrice).into());
        }
        if self.is_stranger() && scratch.has_concurrency() && !self.zone.ledger().has_spare() {
            return Err(self.refuse(Refused::NoSeat, scratch));
        }
        // Whoever waits already comes first.
        if may_wait && self.state.borrow().ticket.is_none() {
            let behind =
                scratch.places().find(|(_, place)| queue::has_waiters(self.zone, place.key));
            if let Some((index, place)) = behind {
                // What another limit refuses need not wait for this one.
                match self.zone.check(&scratch.asks, now(), &mut scratch.standings) {
                    Ok(()) => {}
                    Err(Refused::Exceeded(found)) if found.only_concurrency => {}
                    Err(refused) => {
                        self.look_again(&refused, scratch, &widths);
                        return Err(self.refuse(refused, scratch));
                    }
                }
                if !self.join(place, index, scratch)? {
                    return Ok(Admitted::Queued);
                }
            }
        }
        loop {
            let mut seats = Vec::new();
            let refused = match self.reserve_here(scratch, &mut seats) {
                Ok(()) => {
                    let patience = if may_wait { patience } else { Patience::NONE };
                    return self.lease(scratch, seats, &widths, patience);
                }
                Err(refused) => refused,
            };
            let place = match refused {
                Refused::ZoneFull(ask) if self.widen(scratch, ask, &mut widths) => {
                    self.all_asks(scratch, amounts, &widths);
                    continue;
                }
                Refused::Exceeded(exceeded) if exceeded.only_concurrency && may_wait => {
                    scratch.place(exceeded.ask).map(|place| (exceeded.ask, place))
                }
                _ => None,
            };
            let Some((index, place)) = place else {
                self.look_again(&refused, scratch, &widths);
                return Err(self.refuse(refused, scratch));
            };
            // With a place already, somebody was faster, and it keeps that.
            if self.state.borrow().ticket.is_some() || !self.join(place, index, scratch)? {
                return Ok(Admitted::Queued);
            }
        }
    }

    /// Reserves on the limits of this node.
    pub(super) fn reserve_here(
        &self,
        scratch: &mut Scratch,
        seats: &mut Vec<Seat>,
    ) -> Result<(), Refused> {
        member::with(|member| {
            let (asks, standings) = (&mut scratch.asks, &mut scratch.standings);
            let holder = member.holder.as_mut();
            member::note_changed();
            self.zone.reserve(asks, now(), self.lock, holder, standings, seats)
        })
    }

    /// Waits in the queue of the limit `index` until the node has leased a place in flight for it.
    pub(super) fn queue_up(
        &self,
        index: usize,
        scratch: &mut Scratch,
    ) -> Result<Admitted, Shortage> {
        if let Some(place) = scratch.place(index).filter(|_| self.state.borrow().ticket.is_none()) {
            // Its turn is seen when the queue is looked at next.
            self.join(place, index, scratch)?;
        }
        Ok(Admitted::Queued)
    }

    /// Takes a place in the queue of the limit `index`; `true` if it is this request's turn at once.
    fn join(
        &self,
        place: queue::Spot,
        index: usize,
        scratch: &mut Scratch,
    ) -> Result<bool, Shortage> {
        let joined = match !self.is_stranger() || self.zone.queue().has_spare() {
            true => queue::join(self.zone, self.lock, place),
            false => Err(NoPlace::NoRoom),
        };
        match joined {
            Ok(ticket) => {
                let mut state = self.state.borrow_mut();
                let place = (self.mapped, self.r.main_conf());
                state.ticket = Some(Queued::new(ticket, place, state.tier.as_ref()));
                Ok(queue::turn(self.zone, ticket) == Turn::Now)
            }
            Err(NoPlace::QueueFull) => {
                let now = now();
                let standings = scratch.asks.iter().map(|ask| self.zone.look(ask, now).0);
                scratch.standings = standings.collect();
                let (only_concurrency, wait_nanos) = (true, NOMINAL_WAIT_NANOS);
                let found = Exceeded { ask: index, wait_nanos, only_concurrency };
                let shortage = self.refuse(Refused::Exceeded(found), scratch);
                Err(Shortage { detail: Some(Cause::QueueFull.into()), ..shortage })
            }
            Err(NoPlace::NoRoom) => {
                self.complain("has no room for a further request in the queue");
                Err(self.full(Cause::NoRoomInQueue))
            }
        }
    }

    /// Whether nobody was authenticated: strangers leave some room in the zone to those who were.
    fn is_stranger(&self) -> bool {
        self.state.borrow().principal.is_none()
    }

    /// There is no room for the key of an ask: whether its rule has something wider to count by.
    fn widen(&self, scratch: &Scratch, ask: usize, widths: &mut Widths) -> bool {
        count_full(scratch, ask);
        let Some(index) = scratch.rule(ask) else { return false };
        let Some(rule) = self.policy.limits.get(index) else { return false };
        widths.widen(index);
        let width = widths.of(index);
        let principal = self.state.borrow().principal.clone();
        let client = principal.as_ref().map(|principal| principal.client());
        let key = self.with_subject(rule, client, |subject| {
            let key = self.zone.limit_key(subject, width)?;
            Some((key, self.zone.is_rest(subject, key)))
        });
        match key.flatten() {
            Some((_, is_rest)) => {
                if is_rest {
                    self.say_crowded(&rule.name);
                }
                true
            }
            None => false,
        }
    }

    /// Writes down what was taken.
    pub(super) fn keep(&self, scratch: &Scratch, seats: Vec<Seat>) {
        self.show(scratch);
        let mut state = self.state.borrow_mut();
        let principal = state.principal.clone();
        let with_tokens = state.metering.is_some();
        state.charged.push(Charged { policy: Rc::clone(self.policy), principal, with_tokens });
        state.limit = None;
        if Reservation::is_needed(&scratch.asks, &seats) {
            let leases = self.cluster.map(|(leases, _)| Rc::clone(leases));
            let places = (Rc::clone(self.mapped), leases);
            state.reservations.push(Reservation::new(places, scratch, seats));
        }
    }

    /// Notes what the client is told about. What it cares for is its own limit with least left; only
    /// where it has none, that of a rule. (It may have been charged to its own in a location before.)
    pub(super) fn show(&self, scratch: &Scratch) {
        let [requests, tokens] = scratch.least_left();
        let shown = &mut self.state.borrow_mut().shown;
        for (found, place) in [(requests, &mut shown.requests), (tokens, &mut shown.tokens)] {
            let is_told = place.as_ref().is_some_and(|shown| shown.is_own);
            let found = found.filter(|index| *index < scratch.of_tier || !is_told);
            if let Some(found) = found.and_then(|index| scratch.report(index)) {
                *place = Some(found);
            }
        }
    }
}

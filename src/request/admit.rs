//! ACCESS: reserve on every limit, all or nothing.

use std::cell::RefCell;
use std::rc::Rc;

use tollgate_core::address::AddressKey;
use tollgate_core::decision::Reason;
use tollgate_core::detail::{Cause, Detail};
use tollgate_core::limits::{
    AddressMemo, Ask, CountedBy, Dimension, Exceeded, Key, Oversize, Period, Refused, Seat,
    Subject, Take, Zone,
};

use crate::clients::rates;
use crate::clock::now;
use crate::conf::policy::Policy;
use crate::conf::rules::{Bucket, Concurrency, KeySource, LimitRule, LimitSet};
use crate::per_worker::PerWorker;
use crate::request::asks::{Amounts, Scratch, Source, Widths, SCRATCH};
use crate::request::estimate::{Estimate, Whose};
use crate::request::queue::{self, NoPlace, Queued, Turn};
use crate::request::report::LimitReport;
use crate::request::reservation::Reservation;
use crate::request::shortage::count_full;
use crate::request::state::{Charged, State};
use crate::types::Request;
use crate::zone::lock::ZoneLock;
use crate::zone::{member, Mapped};

/// After which time a client may try again that found a queue full: nobody knows.
const NOMINAL_WAIT_NANOS: u64 = 1_000_000_000;

/// The keys of addresses that this worker remembers.
static ADDRESSES: PerWorker<AddressMemo> = PerWorker::new(AddressMemo::default);

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
}

/// The limits of one request.
pub(crate) struct Admission<'a, 'r> {
    pub(crate) r: Request<'r>,
    pub(crate) state: &'a RefCell<State>,
    pub(crate) policy: &'a Rc<Policy>,
    pub(crate) mapped: &'a Rc<Mapped>,
    /// What is in there.
    pub(crate) zone: &'a Zone<'a>,
    pub(crate) lock: &'a ZoneLock<'a>,
}

impl Admission<'_, '_> {
    /// Asks for one request, or one failure.
    pub(crate) fn request(&self, key: Key, limit: &Bucket) -> Ask {
        let (dimension, scale) = (limit.dimension, limit.scale(self.zone));
        Ask::new(key, Take::Bucket { dimension, scale, n: 1, oversize: Oversize::Refuse })
    }

    /// Calls `f` with whose limits they are under `rule`; not where its key is empty, and the rule doesn't
    /// apply.
    pub(crate) fn with_subject<T>(
        &self,
        rule: &LimitRule,
        client: Option<&str>,
        f: impl FnOnce(&Subject<'_>) -> T,
    ) -> Option<T> {
        let by = match &rule.key {
            KeySource::Address => match self.r.client_addr() {
                Some(address) => CountedBy::Address(AddressKey::new(address)),
                // All of a UNIX-domain socket's clients are one.
                None => CountedBy::Constant(b"unix:"),
            },
            KeySource::Constant(text) => CountedBy::Constant(text.evaluate(self.r)?),
            KeySource::Authenticated(name) => CountedBy::Authenticated(name.evaluate(self.r)?),
            KeySource::Expression(value) => CountedBy::Value(value.evaluate(self.r)?),
        };
        let is_empty = match by {
            CountedBy::Constant(value)
            | CountedBy::Authenticated(value)
            | CountedBy::Value(value) => value.is_empty(),
            CountedBy::Address(_) => false,
        };
        (!is_empty).then(|| f(&Subject { rule: &rule.name, by, client }))
    }

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
        let mut outcome = self.reserve_with(&mut scratch, may_wait);
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

    fn reserve_with(&self, scratch: &mut Scratch, may_wait: bool) -> Result<Admitted, Shortage> {
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
                    Err(refused) => return Err(self.refuse(refused, scratch)),
                }
                if !self.join(place, index, scratch)? {
                    return Ok(Admitted::Queued);
                }
            }
        }
        loop {
            let mut seats = Vec::new();
            let outcome = member::with(|member| {
                let (asks, standings) = (&mut scratch.asks, &mut scratch.standings);
                let holder = member.holder.as_mut();
                member::note_changed();
                self.zone.reserve(asks, now(), self.lock, holder, standings, &mut seats)
            });
            let refused = match outcome {
                Ok(()) => {
                    self.keep(scratch, seats);
                    return Ok(Admitted::Yes);
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
            let Some((index, place)) = place else { return Err(self.refuse(refused, scratch)) };
            // With a place already, somebody was faster, and it keeps that.
            if self.state.borrow().ticket.is_some() || !self.join(place, index, scratch)? {
                return Ok(Admitted::Queued);
            }
        }
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

    fn amounts(&self) -> Amounts {
        let state = self.state.borrow();
        let tokens = state.metering.as_ref();
        let tokens = tokens.map(|metering| (metering.estimate, metering.price.is_some()));
        Amounts { tokens, ..Amounts::default() }
    }

    /// What is still to be charged of `amounts`, to limits of which `is_same` tells whether something
    /// was charged to them before: in a location that didn't know the tokens, maybe.
    fn due(&self, amounts: Amounts, is_same: impl Fn(&Charged) -> bool) -> Option<Amounts> {
        let state = self.state.borrow();
        if state.charged.is_empty() {
            return Some(amounts);
        }
        let mut before = state.charged.iter().filter(|charged| is_same(charged)).peekable();
        if before.peek().is_none() {
            return Some(amounts);
        }
        let is_due = amounts.tokens.is_some() && !before.any(|charged| charged.with_tokens);
        is_due.then_some(Amounts { only_tokens: true, ..amounts })
    }

    /// All that a request takes.
    fn all_asks(&self, scratch: &mut Scratch, amounts: Amounts, widths: &Widths) {
        scratch.clear();
        self.tier_asks(scratch, amounts);
        scratch.of_tier = scratch.asks.len();
        self.rule_asks(scratch, amounts, widths);
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

    /// The limits of the client's tier. They hold once a request, however many locations it goes
    /// through.
    fn tier_asks(&self, scratch: &mut Scratch, amounts: Amounts) {
        let state = self.state.borrow();
        let (Some(principal), Some(tier)) = (&state.principal, &state.tier) else { return };
        let is_charged = |charged: &Charged| {
            charged.principal.as_ref().is_some_and(|other| other.client() == principal.client())
        };
        let Some(due) = self.due(amounts, is_charged) else { return };
        let key = principal.limit_key(self.zone);
        let own_rate = principal.rate_limit();
        let is_replaced = |limit: &Bucket| {
            own_rate.is_some()
                && limit.dimension == Dimension::Requests
                && limit.quota().period() == Period::Minute
        };
        self.add(scratch, (key, Whose::Own, None), &tier.limits, due, is_replaced);
        if let Some(per_minute) = own_rate.filter(|_| !due.only_tokens) {
            let (scale, label) = rates::of(self.zone, per_minute);
            let (dimension, oversize) = (Dimension::Requests, Oversize::Refuse);
            let take = Take::Bucket { dimension, scale, n: 1, oversize };
            scratch.push(Ask::new(key, take), &label, Source::default());
        }
        // Whose body isn't read, or not yet, is for no model.
        let model = state.metering.as_ref().map(|metering| metering.model.as_deref());
        if let Some(block) = model.and_then(|model| tier.block(model.unwrap_or_default())) {
            let key = self.zone.model_key(principal.client(), block.pattern.as_str());
            self.add(scratch, (key, Whose::Own, None), &block.limits, amounts, |_| false);
        }
    }

    /// The limits of the rules that apply in this location, and weren't charged in one before.
    fn rule_asks(&self, scratch: &mut Scratch, amounts: Amounts, widths: &Widths) {
        let principal = self.state.borrow().principal.clone();
        let client = principal.as_ref().map(|principal| principal.client());
        for (index, rule) in self.policy.limits.iter().enumerate() {
            if rule.limits.is_empty() {
                continue;
            }
            let is_charged = |charged: &Charged| {
                charged.policy.limits.iter().any(|other| Rc::ptr_eq(other, rule))
            };
            let Some(due) = self.due(amounts, is_charged) else { continue };
            let width = widths.of(index);
            let key = match (&rule.key, self.r.client_addr()) {
                (KeySource::Address, Some(address)) if width == 0 => {
                    let address = AddressKey::new(address);
                    ADDRESSES.with(|memo| memo.get(self.zone, &rule.name, address))
                }
                _ => self
                    .with_subject(rule, client, |subject| self.zone.limit_key(subject, width))
                    .flatten(),
            };
            let Some(key) = key else { continue };
            self.add(scratch, (key, Whose::Shared, Some(index)), &rule.limits, due, |_| false);
        }
    }

    /// Asks for what each limit of a set counts.
    fn add(
        &self,
        scratch: &mut Scratch,
        (key, whose, rule): (Key, Whose, Option<usize>),
        set: &LimitSet,
        amounts: Amounts,
        is_replaced: impl Fn(&Bucket) -> bool,
    ) {
        let source = Source { rule, place: None };
        let oversized = self.policy.oversized;
        for limit in set.buckets.iter().filter(|limit| !is_replaced(limit)) {
            let ask = match limit.dimension {
                Dimension::Requests | Dimension::AuthFailures if amounts.only_tokens => continue,
                Dimension::Requests | Dimension::AuthFailures => self.request(key, limit),
                dimension => match amounts.of(dimension, whose) {
                    Some(need) => {
                        let what = (dimension, limit.scale(self.zone));
                        let mut ask = Ask::tokens(key, what, need, oversized);
                        ask.cached_free = limit.cached_free;
                        ask
                    }
                    None => continue,
                },
            };
            scratch.push(ask, &limit.label, source);
        }
        for limit in set.budgets.iter().filter(|_| amounts.tokens.is_some()) {
            let state = self.state.borrow();
            let cost = state.metering.as_ref().map(|metering| metering.cost_at_most(whose));
            let ask = Ask::money(key, limit.budget, cost.unwrap_or_default(), oversized);
            scratch.push(ask, &limit.label, source);
        }
        if let Some(concurrency) = set.concurrency.as_ref().filter(|_| !amounts.only_tokens) {
            let Concurrency { limit, queue, timeout_ms, .. } = *concurrency;
            let take = Take::Concurrency { limit };
            let place = queue::Spot { key, limit, queue, timeout_ms };
            let place = (queue > 0).then_some(place);
            scratch.push(Ask::new(key, take), &concurrency.label, Source { rule, place });
        }
    }

    /// Writes down what was taken.
    fn keep(&self, scratch: &Scratch, seats: Vec<Seat>) {
        self.show(scratch);
        let mut state = self.state.borrow_mut();
        let principal = state.principal.clone();
        let with_tokens = state.metering.is_some();
        state.charged.push(Charged { policy: Rc::clone(self.policy), principal, with_tokens });
        state.limit = None;
        if Reservation::is_needed(&scratch.asks, &seats) {
            let zone = Rc::clone(self.mapped);
            state.reservations.push(Reservation::new(zone, &scratch.asks, seats));
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

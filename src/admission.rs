//! ACCESS: reserve on every limit, all or nothing.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::rc::Rc;
use std::sync::Arc;

use tollgate_core::address::AddressKey;
use tollgate_core::decision::Reason;
use tollgate_core::limits::{
    Ask, Dimension, Exceeded, Key, Lease, Oversize, Period, Refused, Standing, Take, Zone,
};

use crate::conf::policy::Policy;
use crate::conf::rules::{Bucket, Concurrency, KeySource, LimitRule, LimitSet};
use crate::ffi::clock::now;
use crate::ffi::request::Request;
use crate::ffi::shm::ZoneLock;
use crate::queue::{self, NoPlace, Turn};
use crate::reservation::Reservation;
use crate::state::{Charged, LimitReport, State};
use crate::worker;

/// After which time a client may try again that found a queue full: nobody knows.
const NOMINAL_WAIT_NANOS: u64 = 1_000_000_000;

/// A limit has too little left, or can't be kept.
pub(crate) struct Shortage {
    pub(crate) reason: Reason,
    pub(crate) wait_nanos: u64,
    pub(crate) report: Option<LimitReport>,
}

impl From<Reason> for Shortage {
    fn from(reason: Reason) -> Self {
        Self { reason, wait_nanos: 0, report: None }
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
    pub(crate) zone: &'a Rc<Zone<'static>>,
    pub(crate) lock: &'a ZoneLock,
}

/// How many of each dimension a request takes.
#[derive(Clone, Copy, Debug, Default)]
struct Amounts {
    /// It has been charged as a request; what it takes was not known then.
    only_tokens: bool,
    /// `None`: its body isn't read, and it counts as a request only.
    tokens: Option<Tokens>,
}

#[derive(Clone, Copy, Debug)]
struct Tokens {
    input: u64,
    output: u64,
    /// In nano-units; `None`: the model has no price.
    cost: Option<u64>,
}

impl Amounts {
    fn of(self, dimension: Dimension) -> Option<u32> {
        let tokens = match dimension {
            Dimension::Requests | Dimension::AuthFailures => {
                return (!self.only_tokens).then_some(1)
            }
            Dimension::Tokens => self.tokens.map(|t| t.input.saturating_add(t.output)),
            Dimension::InputTokens => self.tokens.map(|t| t.input),
            Dimension::OutputTokens => self.tokens.map(|t| t.output),
        };
        Some(u32::try_from(tokens?).unwrap_or(u32::MAX))
    }
}

impl Admission<'_, '_> {
    /// Whether the address (or whatever the rules' keys are) has presented too many wrong
    /// credentials. Comes before any cryptography.
    pub(crate) fn check_auth_failures(&self) -> Result<(), Shortage> {
        let now = now();
        let mut worst: Option<Shortage> = None;
        self.auth_failure_asks(|limit, ask| {
            let mut standings = Vec::new();
            let Err(Refused::Exceeded(exceeded)) = self.zone.check(&[ask], now, &mut standings)
            else {
                return;
            };
            let wait_nanos = exceeded.wait_nanos;
            if worst.as_ref().is_none_or(|worst| wait_nanos > worst.wait_nanos) {
                let report = standings.first().map(|standing| LimitReport {
                    label: Arc::clone(&limit.label),
                    standing: *standing,
                    is_own: false,
                    is_money: false,
                });
                worst = Some(Shortage { reason: Reason::AuthFailuresExceeded, wait_nanos, report });
            }
        });
        worst.map_or(Ok(()), Err)
    }

    /// Counts a wrong credential. A failure to count (the zone is full) doesn't let anybody in: the
    /// request is refused already.
    pub(crate) fn count_auth_failure(&self) {
        let now = now();
        self.auth_failure_asks(|_, ask| {
            let mut standings = Vec::new();
            worker::with(|worker| {
                let holder = worker.holder.as_mut();
                let _ = self.zone.reserve(
                    &mut [ask],
                    now,
                    self.lock,
                    holder,
                    &mut standings,
                    &mut Vec::new(),
                );
            });
        });
    }

    fn auth_failure_asks(&self, mut each: impl FnMut(&Bucket, Ask)) {
        for rule in self.policy.limits.iter().filter(|rule| !rule.auth_failures.is_empty()) {
            let key = self.key(rule, |value| self.zone.auth_failures_key(&rule.name, value));
            let Some(key) = key else { continue };
            for limit in &rule.auth_failures {
                each(limit, self.bucket(key, limit, 1));
            }
        }
    }

    fn bucket(&self, key: Key, limit: &Bucket, n: u32) -> Ask {
        let (dimension, scale) = (limit.dimension, limit.scale(self.zone));
        let oversize = match dimension {
            Dimension::Requests | Dimension::AuthFailures => Oversize::Refuse,
            _ => self.policy.oversized,
        };
        Ask::new(key, Take::Bucket { dimension, scale, n, oversize })
    }

    /// Whose limits they are under `rule`; `None`: the key is empty, and the rule doesn't apply.
    fn key(&self, rule: &LimitRule, key_of: impl Fn(&[u8]) -> Key) -> Option<Key> {
        match &rule.key {
            KeySource::Address => match self.r.client_addr() {
                Some(address) => Some(key_of(AddressKey::new(address).as_bytes())),
                // All of a UNIX-domain socket's clients are one.
                None => Some(key_of(b"unix:")),
            },
            KeySource::Expression(expression) => {
                let value = expression.evaluate(self.r)?;
                (!value.is_empty()).then(|| key_of(value))
            }
        }
    }

    /// Refuses a client whose limits are spent already, before its body is read: looks at what
    /// doesn't depend on the body, and takes nothing.
    pub(crate) fn check_before_body(&self) -> Result<(), Shortage> {
        let mut scratch = worker::with(|worker| std::mem::take(&mut worker.scratch));
        scratch.clear();
        self.tier_asks(&mut scratch, Amounts::default());
        scratch.of_tier = scratch.asks.len();
        let outcome = match self.zone.check(&scratch.asks, now(), &mut scratch.standings) {
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
        worker::with(|worker| worker.scratch = scratch);
        outcome
    }

    /// Notes how the client's limits stand that depend on the body, which isn't read.
    fn show_unread(&self, scratch: &mut Scratch) {
        scratch.clear();
        let tokens = Some(Tokens { input: 0, output: 0, cost: None });
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
        let ticket = self.state.borrow().ticket.as_ref().map(|(ticket, _)| *ticket);
        let is_late = match ticket.map(|ticket| queue::turn(self.zone, ticket)) {
            Some(Turn::Later) => return Ok(Admitted::Queued),
            Some(Turn::TooLate) => true,
            Some(Turn::Now) | None => false,
        };
        let may_wait = !is_late && !self.policy.dry_run;
        // Evaluating keys calls into nginx, so the worker's memory is borrowed only for a moment.
        let mut scratch = worker::with(|worker| std::mem::take(&mut worker.scratch));
        scratch.clear();
        let outcome = self.reserve_with(&mut scratch, may_wait);
        worker::with(|worker| worker.scratch = scratch);
        if !matches!(outcome, Ok(Admitted::Queued)) {
            self.state.borrow_mut().leave_queue();
        }
        outcome
    }

    fn reserve_with(&self, scratch: &mut Scratch, may_wait: bool) -> Result<Admitted, Shortage> {
        let amounts = self.amounts();
        self.tier_asks(scratch, amounts);
        scratch.of_tier = scratch.asks.len();
        self.rule_asks(scratch, amounts);
        if amounts.tokens.is_some_and(|tokens| tokens.cost.is_none()) && scratch.has_budget() {
            return Err(Reason::ModelDenied.into());
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
            let mut leases = Vec::new();
            let outcome = worker::with(|worker| {
                let (asks, standings) = (&mut scratch.asks, &mut scratch.standings);
                let holder = worker.holder.as_mut();
                self.zone.reserve(asks, now(), self.lock, holder, standings, &mut leases)
            });
            let refused = match outcome {
                Ok(()) => {
                    self.keep(scratch, leases);
                    return Ok(Admitted::Yes);
                }
                Err(refused) => refused,
            };
            let place = match refused {
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
        place: queue::Place,
        index: usize,
        scratch: &mut Scratch,
    ) -> Result<bool, Shortage> {
        match queue::join(self.zone, self.lock, place) {
            Ok(ticket) => {
                self.state.borrow_mut().ticket = Some((ticket, Rc::clone(self.zone)));
                Ok(queue::turn(self.zone, ticket) == Turn::Now)
            }
            Err(NoPlace::QueueFull) => {
                let now = now();
                let standings = scratch.asks.iter().map(|ask| self.zone.look(ask, now).0);
                scratch.standings = standings.collect();
                let (only_concurrency, wait_nanos) = (true, NOMINAL_WAIT_NANOS);
                let found = Exceeded { ask: index, wait_nanos, only_concurrency };
                Err(self.refuse(Refused::Exceeded(found), scratch))
            }
            Err(NoPlace::NoRoom) => {
                self.complain("has no room for a further request in the queue");
                Err(Reason::ZoneFull.into())
            }
        }
    }

    fn amounts(&self) -> Amounts {
        let state = self.state.borrow();
        let tokens = state.metering.as_ref().map(|metering| Tokens {
            input: metering.estimate.input,
            output: metering.estimate.output,
            cost: metering.estimated_cost(),
        });
        Amounts { tokens, ..Amounts::default() }
    }

    /// What is still to be charged of `amounts`, to limits of which `is_same` tells whether something
    /// was charged to them before: in a location that didn't know the tokens, maybe.
    fn due(&self, amounts: Amounts, is_same: impl Fn(&Charged) -> bool) -> Option<Amounts> {
        let state = self.state.borrow();
        let mut before = state.charged.iter().filter(|charged| is_same(charged)).peekable();
        if before.peek().is_none() {
            return Some(amounts);
        }
        let is_due = amounts.tokens.is_some() && !before.any(|charged| charged.with_tokens);
        is_due.then_some(Amounts { only_tokens: true, ..amounts })
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
        let key = self.zone.client_key(principal.client());
        let own_rate = principal.rate_limit();
        let is_replaced = |limit: &Bucket| {
            own_rate.is_some()
                && limit.dimension == Dimension::Requests
                && limit.quota().period() == Period::Minute
        };
        self.add(scratch, key, &tier.limits, due, is_replaced);
        if let Some(per_minute) = own_rate.filter(|_| !due.only_tokens) {
            let (scale, label) = worker::with(|worker| worker.token_rate(self.zone, per_minute));
            let (dimension, oversize) = (Dimension::Requests, Oversize::Refuse);
            let take = Take::Bucket { dimension, scale, n: 1, oversize };
            scratch.push(Ask::new(key, take), &label, None);
        }
        // Whose body isn't read, or not yet, is for no model.
        let model = state.metering.as_ref().map(|metering| metering.model.as_deref());
        if let Some(block) = model.and_then(|model| tier.block(model.unwrap_or_default())) {
            let key = self.zone.model_key(principal.client(), block.pattern.as_str());
            self.add(scratch, key, &block.limits, amounts, |_| false);
        }
    }

    /// The limits of the rules that apply in this location, and weren't charged in one before.
    fn rule_asks(&self, scratch: &mut Scratch, amounts: Amounts) {
        for rule in self.policy.limits.iter().filter(|rule| !rule.limits.is_empty()) {
            let is_charged = |charged: &Charged| {
                charged.policy.limits.iter().any(|other| Rc::ptr_eq(other, rule))
            };
            let Some(due) = self.due(amounts, is_charged) else { continue };
            let key = self.key(rule, |value| self.zone.limit_key(&rule.name, value));
            let Some(key) = key else { continue };
            self.add(scratch, key, &rule.limits, due, |_| false);
        }
    }

    /// Asks for what each limit of a set counts.
    fn add(
        &self,
        scratch: &mut Scratch,
        key: Key,
        set: &LimitSet,
        amounts: Amounts,
        is_replaced: impl Fn(&Bucket) -> bool,
    ) {
        for limit in set.buckets.iter().filter(|limit| !is_replaced(limit)) {
            if let Some(n) = amounts.of(limit.dimension) {
                scratch.push(self.bucket(key, limit, n), &limit.label, None);
            }
        }
        for limit in &set.budgets {
            if let Some(tokens) = amounts.tokens {
                let take = Take::Budget { budget: limit.budget, n: tokens.cost.unwrap_or(0) };
                scratch.push(Ask::new(key, take), &limit.label, None);
            }
        }
        if let Some(concurrency) = set.concurrency.as_ref().filter(|_| !amounts.only_tokens) {
            let Concurrency { limit, queue, timeout_ms, .. } = *concurrency;
            let take = Take::Concurrency { limit };
            let place = queue::Place { key, limit, queue, timeout_ms };
            let place = (queue > 0).then_some(place);
            scratch.push(Ask::new(key, take), &concurrency.label, place);
        }
    }

    /// Writes down what was taken.
    fn keep(&self, scratch: &Scratch, leases: Vec<Lease>) {
        self.show(scratch);
        let mut state = self.state.borrow_mut();
        let principal = state.principal.clone();
        let with_tokens = state.metering.is_some();
        state.charged.push(Charged { policy: Rc::clone(self.policy), principal, with_tokens });
        state.limit = None;
        if Reservation::is_needed(&scratch.asks, &leases) {
            let (zone, lock) = (Rc::clone(self.zone), self.lock.clone());
            state.reservations.push(Reservation::new(zone, lock, &scratch.asks, leases));
        }
    }

    /// Notes what the client is told about. What it cares for is its own limit with least left; only
    /// where it has none, that of a rule. (It may have been charged to its own in a location before.)
    fn show(&self, scratch: &Scratch) {
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

    /// The shortage that a refusal is.
    fn refuse(&self, refused: Refused, scratch: &Scratch) -> Shortage {
        self.show(scratch);
        let (index, wait_nanos) = match refused {
            Refused::Exceeded(Exceeded { ask, wait_nanos, .. }) => (ask, wait_nanos),
            Refused::Oversized(ask) => (ask, 0),
            Refused::ZoneFull(_) => {
                self.complain("is full, a request is refused");
                return Reason::ZoneFull.into();
            }
            Refused::NoLease => {
                self.complain("has no room for a further request in flight");
                return Reason::ZoneFull.into();
            }
        };
        let is_oversized = matches!(refused, Refused::Oversized(_));
        let reason = match scratch.asks.get(index).map(|ask| ask.take) {
            Some(Take::Bucket { dimension, .. }) => match dimension {
                Dimension::Requests | Dimension::AuthFailures => Reason::RequestsExceeded,
                _ if is_oversized => Reason::RequestOverLimit,
                Dimension::Tokens | Dimension::InputTokens | Dimension::OutputTokens => {
                    Reason::TokensExceeded
                }
            },
            Some(Take::Budget { .. }) => Reason::BudgetExceeded,
            Some(Take::Concurrency { .. }) => Reason::ConcurrencyExceeded,
            None => Reason::InternalError,
        };
        Shortage { reason, wait_nanos, report: scratch.report(index) }
    }

    fn complain(&self, what: &str) {
        self.r.log().error(format_args!(
            "tollgate_zone \"{}\" {what}; make the zone larger",
            self.r.main_conf().zone_name()
        ));
    }
}

/// The asks of the request that is being judged, their names and how they stand. A worker keeps one,
/// so that a request costs few allocations.
#[derive(Default)]
pub(crate) struct Scratch {
    asks: Vec<Ask>,
    /// The name of each, and where to wait for those that have a queue.
    labels: Vec<(Arc<str>, Option<queue::Place>)>,
    standings: Vec<Standing>,
    /// How many of the asks are those of the client's own limits; the others are those of rules.
    of_tier: usize,
}

impl Scratch {
    fn clear(&mut self) {
        self.asks.clear();
        self.labels.clear();
        self.standings.clear();
        self.of_tier = 0;
    }

    fn push(&mut self, ask: Ask, label: &Arc<str>, place: Option<queue::Place>) {
        self.asks.push(ask);
        self.labels.push((Arc::clone(label), place));
    }

    fn has_budget(&self) -> bool {
        self.asks.iter().any(|ask| matches!(ask.take, Take::Budget { .. }))
    }

    /// Where to wait, with the number of the limit.
    fn places(&self) -> impl Iterator<Item = (usize, queue::Place)> + '_ {
        self.labels.iter().enumerate().filter_map(|(index, (_, place))| Some((index, (*place)?)))
    }

    fn place(&self, index: usize) -> Option<queue::Place> {
        self.labels.get(index)?.1
    }

    /// The limits on requests and on tokens that have least left: the client's own, if it has any.
    fn least_left(&self) -> [Option<usize>; 2] {
        let (mut of_requests, mut of_tokens) = (None, None);
        for (index, (ask, standing)) in self.asks.iter().zip(&self.standings).enumerate() {
            let Take::Bucket { dimension, .. } = ask.take else { continue };
            let family = match dimension {
                Dimension::Requests | Dimension::AuthFailures => &mut of_requests,
                Dimension::Tokens | Dimension::InputTokens | Dimension::OutputTokens => {
                    &mut of_tokens
                }
            };
            let is_of_rule = index >= self.of_tier;
            let Standing { remaining, until_full_nanos, .. } = *standing;
            let found = (is_of_rule, remaining, Reverse(until_full_nanos), index);
            *family = Some(family.map_or(found, |known| found.min(known)));
        }
        [of_requests, of_tokens].map(|found| found.map(|(.., index)| index))
    }

    fn report(&self, index: usize) -> Option<LimitReport> {
        Some(LimitReport {
            label: Arc::clone(&self.labels.get(index)?.0),
            standing: *self.standings.get(index)?,
            is_own: index < self.of_tier,
            is_money: matches!(self.asks.get(index)?.take, Take::Budget { .. }),
        })
    }
}

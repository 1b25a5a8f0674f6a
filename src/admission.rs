//! ACCESS: reserve on every limit, all or nothing.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::rc::Rc;
use std::sync::Arc;

use tollgate_core::address::AddressKey;
use tollgate_core::decision::Reason;
use tollgate_core::limits::{Ask, ClaimLock, Dimension, Key, Period, Refused, Standing, Zone};

use crate::conf::policy::Policy;
use crate::conf::rules::{KeySource, Limit, LimitRule};
use crate::ffi::clock::mono_now;
use crate::ffi::request::Request;
use crate::state::{Charged, LimitReport, State};
use crate::worker;

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

/// The limits of one request.
pub(crate) struct Admission<'a, 'r, L> {
    pub(crate) r: Request<'r>,
    pub(crate) state: &'a RefCell<State>,
    pub(crate) policy: &'a Rc<Policy>,
    pub(crate) zone: &'a Zone<'static>,
    pub(crate) lock: &'a L,
}

impl<L: ClaimLock> Admission<'_, '_, L> {
    /// Whether the address (or whatever the rules' keys are) has presented too many wrong
    /// credentials. Comes before any cryptography.
    pub(crate) fn check_auth_failures(&self) -> Result<(), Shortage> {
        let now = mono_now();
        let mut worst: Option<Shortage> = None;
        self.auth_failure_asks(|limit, ask| {
            let Some((standing, Some(wait_nanos))) = self.zone.look(&ask, now) else { return };
            if worst.as_ref().is_none_or(|worst| wait_nanos > worst.wait_nanos) {
                let label = Arc::clone(limit.label());
                let report = LimitReport { label, standing, is_own: false };
                let reason = Reason::AuthFailuresExceeded;
                worst = Some(Shortage { reason, wait_nanos, report: Some(report) });
            }
        });
        worst.map_or(Ok(()), Err)
    }

    /// Counts a wrong credential. A failure to count (the zone is full) doesn't let anybody in: the
    /// request is refused already.
    pub(crate) fn count_auth_failure(&self) {
        let now = mono_now();
        self.auth_failure_asks(|_, ask| {
            let mut standings = Vec::new();
            let _ = self.zone.reserve(&[ask], now, self.lock, &mut standings);
        });
    }

    fn auth_failure_asks(&self, mut each: impl FnMut(&Limit, Ask)) {
        for rule in self.policy.limits.iter().filter(|rule| !rule.auth_failures.is_empty()) {
            let Some(key) = self.key(rule) else { continue };
            for limit in &rule.auth_failures {
                each(limit, self.ask(key, Dimension::AuthFailures, limit));
            }
        }
    }

    fn ask(&self, key: Key, dimension: Dimension, limit: &Limit) -> Ask {
        Ask { key, dimension, scale: limit.scale(self.zone), n: 1 }
    }

    /// Whose bucket it is under `rule`; `None`: the key is empty, and the rule doesn't apply.
    fn key(&self, rule: &LimitRule) -> Option<Key> {
        let limit_key = |value: &[u8]| self.zone.limit_key(&rule.name, value);
        match &rule.key {
            KeySource::Address => match self.r.client_addr() {
                Some(address) => Some(limit_key(AddressKey::new(address).as_bytes())),
                // All of a UNIX-domain socket's clients are one.
                None => Some(limit_key(b"unix:")),
            },
            KeySource::Expression(expression) => {
                let value = expression.evaluate(self.r)?;
                (!value.is_empty()).then(|| limit_key(value))
            }
        }
    }

    /// Takes a request from each limit that applies, or from none.
    pub(crate) fn reserve(&self) -> Result<(), Shortage> {
        // Evaluating keys calls into nginx, so the worker's memory is borrowed only for a moment.
        let mut scratch = worker::with(|worker| std::mem::take(&mut worker.scratch));
        scratch.clear();
        self.tier_asks(&mut scratch);
        let of_tier = scratch.asks.len();
        self.rule_asks(&mut scratch);
        let outcome =
            self.zone.reserve(&scratch.asks, mono_now(), self.lock, &mut scratch.standings);
        let outcome = self.conclude(outcome, of_tier, &scratch);
        worker::with(|worker| worker.scratch = scratch);
        outcome
    }

    /// The limits of the client's tier. They hold once a request, however many locations it goes
    /// through.
    fn tier_asks(&self, scratch: &mut Scratch) {
        let state = self.state.borrow();
        let (Some(principal), Some(tier)) = (&state.principal, &state.tier) else { return };
        let is_charged = |charged: &Charged| {
            charged.principal.as_ref().is_some_and(|other| other.client() == principal.client())
        };
        if state.charged.iter().any(is_charged) {
            return;
        }
        let key = self.zone.client_key(principal.client());
        let own_rate = principal.rate_limit();
        for limit in &tier.requests {
            if own_rate.is_none() || limit.quota().period() != Period::Minute {
                scratch.push(self.ask(key, Dimension::Requests, limit), limit.label());
            }
        }
        if let Some(per_minute) = own_rate {
            let (scale, label) = worker::with(|worker| worker.token_rate(self.zone, per_minute));
            scratch.push(Ask { key, dimension: Dimension::Requests, scale, n: 1 }, &label);
        }
    }

    /// The limits of the rules that apply in this location, and weren't charged in one before.
    fn rule_asks(&self, scratch: &mut Scratch) {
        for rule in self.policy.limits.iter().filter(|rule| !rule.requests.is_empty()) {
            let is_charged = |charged: &Charged| {
                charged.policy.limits.iter().any(|other| Rc::ptr_eq(other, rule))
            };
            if self.state.borrow().charged.iter().any(is_charged) {
                continue;
            }
            let Some(key) = self.key(rule) else { continue };
            for limit in &rule.requests {
                scratch.push(self.ask(key, Dimension::Requests, limit), limit.label());
            }
        }
    }

    fn conclude(
        &self,
        outcome: Result<(), Refused>,
        of_tier: usize,
        scratch: &Scratch,
    ) -> Result<(), Shortage> {
        // What a client cares for is its own limit with least left; only where it has none, that of
        // a rule. (It may have been charged to its own in a location before.)
        let report = |index: usize| {
            let (label, standing) = scratch.report(index)?;
            Some(LimitReport { label, standing, is_own: index < of_tier })
        };
        let shown = scratch.least_left(0..of_tier);
        let shown = shown.or_else(|| scratch.least_left(of_tier..scratch.asks.len()));
        let mut state = self.state.borrow_mut();
        let is_told = state.shown_limit.as_ref().is_some_and(|shown| shown.is_own);
        if let Some(shown) = shown.and_then(report).filter(|shown| shown.is_own || !is_told) {
            state.shown_limit = Some(shown);
        }
        match outcome {
            Ok(()) => {
                let principal = state.principal.clone();
                state.charged.push(Charged { policy: Rc::clone(self.policy), principal });
                state.limit = state.shown_limit.clone();
                Ok(())
            }
            Err(Refused::Exceeded(exceeded)) => Err(Shortage {
                reason: Reason::RequestsExceeded,
                wait_nanos: exceeded.wait_nanos,
                report: report(exceeded.ask),
            }),
            Err(Refused::ZoneFull(_)) => {
                self.r.log().error(format_args!(
                    "tollgate_zone \"{}\" is full, a request is refused; make the zone larger",
                    self.r.main_conf().zone_name()
                ));
                Err(Reason::ZoneFull.into())
            }
        }
    }
}

/// The asks of the request that is being judged, their names and how they stand. A worker keeps one,
/// so that a request costs no allocation.
#[derive(Default)]
pub(crate) struct Scratch {
    asks: Vec<Ask>,
    labels: Vec<Arc<str>>,
    standings: Vec<Standing>,
}

impl Scratch {
    fn clear(&mut self) {
        self.asks.clear();
        self.labels.clear();
        self.standings.clear();
    }

    fn push(&mut self, ask: Ask, label: &Arc<str>) {
        self.asks.push(ask);
        self.labels.push(Arc::clone(label));
    }

    fn least_left(&self, range: std::ops::Range<usize>) -> Option<usize> {
        range.filter(|index| self.standings.get(*index).is_some()).min_by_key(|index| {
            self.standings.get(*index).map(|s| (s.remaining, Reverse(s.until_full_nanos)))
        })
    }

    fn report(&self, index: usize) -> Option<(Arc<str>, Standing)> {
        let (label, standing) = (self.labels.get(index)?, self.standings.get(index)?);
        Some((Arc::clone(label), *standing))
    }
}

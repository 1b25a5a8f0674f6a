//! ACCESS: reserve on every limit, all or nothing.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use tollgate_core::address::AddressKey;
use tollgate_core::decision::Reason;
use tollgate_core::limits::{Ask, ClaimLock, Dimension, Key, Period, Refused, Standing, Zone};

use crate::conf::policy::Policy;
use crate::conf::rules::{KeySource, Limit, LimitRule};
use crate::ffi::clock::mono_now;
use crate::ffi::request::Request;
use crate::state::{LimitReport, State};
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
        self.auth_failure_asks(|rule, ask| {
            let Some((standing, Some(wait_nanos))) = self.zone.look(&ask, now) else {
                return;
            };
            if worst.as_ref().is_none_or(|worst| wait_nanos > worst.wait_nanos) {
                let report = report(Some(&rule.name), Dimension::AuthFailures, standing);
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

    fn auth_failure_asks(&self, mut each: impl FnMut(&LimitRule, Ask)) {
        for rule in self.policy.limits.iter().filter(|rule| !rule.auth_failures.is_empty()) {
            let Some(key) = self.key(rule) else { continue };
            for limit in &rule.auth_failures {
                each(rule, self.ask(key, Dimension::AuthFailures, limit));
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
        // Evaluating keys calls into nginx, so the worker's vectors are borrowed only for a moment.
        let (mut asks, mut standings) = worker::with(|worker| {
            (std::mem::take(&mut worker.asks), std::mem::take(&mut worker.standings))
        });
        asks.clear();
        standings.clear();
        let of_tier = self.tier_asks(&mut asks);
        let mut rules: Vec<&Rc<LimitRule>> = Vec::new();
        self.rule_asks(&mut asks, &mut rules);
        let outcome = self.zone.reserve(&asks, mono_now(), self.lock, &mut standings);
        let outcome = self.conclude(outcome, of_tier, &asks, &rules, &standings);
        worker::with(|worker| (worker.asks, worker.standings) = (asks, standings));
        outcome
    }

    /// The limits of the client's tier; the number of asks.
    fn tier_asks(&self, asks: &mut Vec<Ask>) -> usize {
        let state = self.state.borrow();
        let (Some(principal), Some(tier)) = (&state.principal, &state.tier) else {
            return 0;
        };
        // The client's own limits hold once a request, however many locations it goes through.
        if state.charged.is_some() {
            return 0;
        }
        let key = self.zone.client_key(principal.client());
        let own_rate = principal.rate_limit();
        for limit in &tier.requests {
            if own_rate.is_none() || limit.quota().period() != Period::Minute {
                asks.push(self.ask(key, Dimension::Requests, limit));
            }
        }
        if let Some(per_minute) = own_rate {
            let scale = worker::with(|worker| worker.token_rate(self.zone, per_minute));
            asks.push(Ask { key, dimension: Dimension::Requests, scale, n: 1 });
        }
        asks.len()
    }

    /// The limits of the rules that apply in this location, and weren't charged in one before.
    fn rule_asks<'p>(&'p self, asks: &mut Vec<Ask>, rules: &mut Vec<&'p Rc<LimitRule>>) {
        let charged = self.state.borrow().charged.clone();
        for rule in self.policy.limits.iter().filter(|rule| !rule.requests.is_empty()) {
            let is_charged =
                |policy: &Rc<Policy>| policy.limits.iter().any(|other| Rc::ptr_eq(other, rule));
            if charged.as_ref().is_some_and(is_charged) {
                continue;
            }
            let Some(key) = self.key(rule) else { continue };
            for limit in &rule.requests {
                asks.push(self.ask(key, Dimension::Requests, limit));
                rules.push(rule);
            }
        }
    }

    fn conclude(
        &self,
        outcome: Result<(), Refused>,
        of_tier: usize,
        asks: &[Ask],
        rules: &[&Rc<LimitRule>],
        standings: &[Standing],
    ) -> Result<(), Shortage> {
        let report_of = |index: usize| {
            let standing = standings.get(index)?;
            let rule = index.checked_sub(of_tier).and_then(|index| rules.get(index));
            let dimension = asks.get(index)?.dimension;
            Some(report(rule.map(|rule| &rule.name), dimension, *standing))
        };
        // What a client cares for is its own limit with least left; only where it has none, that of
        // a rule.
        let least = |range: std::ops::Range<usize>| {
            range.filter(|index| standings.get(*index).is_some()).min_by_key(|index| {
                standings.get(*index).map(|s| (s.remaining, std::cmp::Reverse(s.until_full_nanos)))
            })
        };
        let shown = least(0..of_tier).or_else(|| least(of_tier..asks.len())).and_then(report_of);
        let mut state = self.state.borrow_mut();
        match outcome {
            Ok(()) => {
                state.charged = Some(Rc::clone(self.policy));
                state.limit.clone_from(&shown);
                state.shown_limit = shown;
                Ok(())
            }
            Err(Refused::Exceeded(exceeded)) => {
                state.shown_limit = shown;
                Err(Shortage {
                    reason: Reason::RequestsExceeded,
                    wait_nanos: exceeded.wait_nanos,
                    report: report_of(exceeded.ask),
                })
            }
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

fn report(rule: Option<&Arc<str>>, dimension: Dimension, standing: Standing) -> LimitReport {
    LimitReport { rule: rule.map(Arc::clone), dimension: dimension.as_str(), standing }
}

//! What a request asks of each limit that applies: of its client's tier, and of the rules of the location.

use std::rc::Rc;

use tollgate_core::address::AddressKey;
use tollgate_core::limits::{
    AddressMemo, Ask, CountedBy, Dimension, Key, Oversize, Period, Subject, Take,
};

use crate::clients::rates;
use crate::conf::rules::{Bucket, Concurrency, KeySource, LimitRule, LimitSet, Reach};
use crate::per_worker::PerWorker;
use crate::request::admit::Admission;
use crate::request::asks::{Amounts, Scratch, Source, Widths};
use crate::request::charges::Charged;
use crate::request::estimate::Whose;
use crate::request::queue;

/// The keys of addresses that this worker remembers.
static ADDRESSES: PerWorker<AddressMemo> = PerWorker::new(AddressMemo::default);

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

    /// Whether limits of this reach hold over all nodes of a cluster.
    fn is_shared(&self, reach: Option<Reach>) -> bool {
        self.cluster.is_some() && reach != Some(Reach::Node)
    }

    pub(super) fn amounts(&self) -> Amounts {
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
    pub(super) fn all_asks(&self, scratch: &mut Scratch, amounts: Amounts, widths: &Widths) {
        scratch.clear();
        self.tier_asks(scratch, amounts);
        scratch.of_tier = scratch.asks.len();
        self.rule_asks(scratch, amounts, widths);
    }

    /// The limits of the client's tier. They hold once a request, however many locations it goes
    /// through.
    pub(super) fn tier_asks(&self, scratch: &mut Scratch, amounts: Amounts) {
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
        let source = Source { is_shared: self.is_shared(tier.reach), ..Source::default() };
        self.add(scratch, (key, Whose::Own, source), &tier.limits, due, is_replaced);
        if let Some(per_minute) = own_rate.filter(|_| !due.only_tokens) {
            let (scale, label) = rates::of(self.zone, per_minute);
            let (dimension, oversize) = (Dimension::Requests, Oversize::Refuse);
            let take = Take::Bucket { dimension, scale, n: 1, oversize };
            scratch.push(Ask::new(key, take), &label, source);
        }
        // Whose body isn't read, or not yet, is for no model.
        let model = state.metering.as_ref().map(|metering| metering.model.as_deref());
        if let Some(block) = model.and_then(|model| tier.block(model.unwrap_or_default())) {
            let key = self.zone.model_key(principal.client(), block.pattern.as_str());
            self.add(scratch, (key, Whose::Own, source), &block.limits, amounts, |_| false);
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
            let (rule_number, is_shared) = (Some(index), self.is_shared(rule.reach));
            let source = Source { rule: rule_number, place: None, is_shared };
            self.add(scratch, (key, Whose::Shared, source), &rule.limits, due, |_| false);
        }
    }

    /// Asks for what each limit of a set counts.
    fn add(
        &self,
        scratch: &mut Scratch,
        (key, whose, source): (Key, Whose, Source),
        set: &LimitSet,
        amounts: Amounts,
        is_replaced: impl Fn(&Bucket) -> bool,
    ) {
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
            let is_shared = source.is_shared;
            let place = queue::Spot { key, limit, queue, timeout_ms, is_shared };
            let place = (queue > 0).then_some(place);
            scratch.push(Ask::new(key, take), &concurrency.label, Source { place, ..source });
        }
    }
}

//! What a reset by an operator asks of the store, so that a limit of a cluster begins anew in all nodes.
//!
//! Which of its limits a client has used, and in which tier, isn't known here: so all of them are named that it may have.

use std::num::NonZeroU32;

use tollgate_core::cluster::{LeaseTable, NoEntry};
use tollgate_core::limits::{
    Ask, Dimension, Key, Oversize, Reset, Scale, Seed, Subject, Take, Zone,
};

use crate::clients::rates;
use crate::conf::rules::{LimitRule, LimitSet, Reach};
use crate::conf::MainConf;
use crate::zone::lock::ZoneLock;
use nginx::log::cycle_error;

struct Resets<'z> {
    zone: &'z Zone<'z>,
    table: &'z LeaseTable<'z>,
    what: Reset,
    problem: Option<NoEntry>,
}

/// The limits of a client: its own, and those that it has in `model` blocks.
pub(super) fn of_client(conf: &MainConf, client: &str, what: Reset) {
    with(conf, what, |resets| {
        let own = resets.zone.client_key(client);
        let name = |seed: Seed| Some(seed.client_key(client));
        for tier in conf.tiers.iter().filter(|tier| tier.reach != Some(Reach::Node)) {
            resets.ask(own, &tier.limits, name);
            for block in &tier.models {
                let pattern = block.pattern.as_str();
                let key = resets.zone.model_key(client, pattern);
                resets.ask(key, &block.limits, |seed| Some(seed.model_key(client, pattern)));
            }
        }
        // That of its token, whatever it is.
        let (scale, _) = rates::of(resets.zone, NonZeroU32::MIN);
        resets.ask_one(own, bucket(Dimension::Requests, scale), name);
    });
}

/// The limits of a rule, for one value of its key.
pub(super) fn of_rule(conf: &MainConf, rule: &LimitRule, subject: &Subject<'_>, what: Reset) {
    if rule.reach == Some(Reach::Node) {
        return;
    }
    with(conf, what, |resets| {
        for (index, key) in resets.zone.own_limit_keys(subject).into_iter().enumerate() {
            let name = |seed: Seed| seed.own_limit_keys(subject).get(index).copied();
            resets.ask(key, &rule.limits, name);
        }
    });
}

fn with(conf: &MainConf, what: Reset, f: impl FnOnce(&mut Resets<'_>)) {
    let (Some(zone), Some((leases, _))) = (conf.zone(), conf.cluster()) else { return };
    let mut resets = Resets { zone: zone.get(), table: leases.get(), what, problem: None };
    f(&mut resets);
    if let Some(problem) = resets.problem {
        cycle_error(format_args!(
            "tollgate: the store of the cluster is not told that limits begin anew: {problem}"
        ));
    }
}

fn bucket(dimension: Dimension, scale: Scale) -> Take {
    Take::Bucket { dimension, scale, n: 1, oversize: Oversize::Refuse }
}

impl Resets<'_> {
    fn ask(&mut self, key: Key, limits: &LimitSet, name: impl Fn(Seed) -> Option<Key>) {
        let zone = self.zone;
        let buckets = limits.buckets.iter().map(|limit| bucket(limit.dimension, limit.scale(zone)));
        let budgets = limits.budgets.iter().map(|limit| limit.budget);
        let budgets = budgets.map(|budget| Take::Budget { budget, n: 1, guess: 0 });
        for take in buckets.chain(budgets) {
            self.ask_one(key, take, &name);
        }
    }

    fn ask_one(&mut self, key: Key, take: Take, name: impl Fn(Seed) -> Option<Key>) {
        if !self.what.is_of(&take) {
            return;
        }
        let lock = ZoneLock::new(self.table.lock());
        if let Err(problem) = self.table.reset(&Ask::new(key, take), name, &lock) {
            self.problem = Some(problem);
        }
    }
}

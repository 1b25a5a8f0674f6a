//! The limits of a client, as they stand. Looking changes nothing.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use tollgate_core::clients::view::{ratios, LimitView};
use tollgate_core::clients::{Directory, Ratios};
use tollgate_core::limits::{Dimension, Key, Oversize, Period, Scale, Subject, Take, View, Zone};

use super::rates;
use crate::clock::now;
use crate::conf::rules::{Bucket, LimitRule, LimitSet, Tier};

/// A client that has no other limits than those of its tier, and of its token.
#[derive(Clone, Copy)]
pub(super) struct Limited<'n, 't> {
    pub(super) client: &'n str,
    pub(super) tier: &'t Tier,
    /// Requests a minute that its token grants, in place of the tier's.
    pub(super) rate_limit: Option<NonZeroU32>,
}

/// A limit: its name, the `model` block that it is in, what takes from it, and how it stands.
struct Found<'t> {
    name: Cow<'t, str>,
    model: Option<&'t str>,
    take: Take,
    view: View,
}

impl<'t> Limited<'_, 't> {
    /// For whoever asks.
    pub(super) fn views(self, zone: &Zone<'_>) -> Vec<LimitView<'t>> {
        let found = self.look(zone).into_iter();
        found
            .map(|found| LimitView::new(found.name, found.model, &found.take, &found.view))
            .collect()
    }

    fn ratios(self, zone: &Zone<'_>) -> Ratios {
        let found = self.look(zone);
        ratios(found.iter().map(|found| (&found.take, &found.view)))
    }

    fn look(self, zone: &Zone<'_>) -> Vec<Found<'t>> {
        let now = now();
        let mut found = Vec::new();
        let Self { client, tier, rate_limit } = self;
        let own = zone.client_key(client);
        let mut add = |name: Cow<'t, str>, (key, model), take: Take| {
            let view = zone.view(key, &take, now);
            found.push(Found { name, model, take, view });
        };
        if let Some(per_minute) = rate_limit {
            let (scale, label) = rates::of(zone, per_minute);
            let take = bucket(Dimension::Requests, scale);
            add(Cow::Owned(label.to_string()), (own, None), take);
        }
        let is_replaced = |limit: &Bucket| {
            rate_limit.is_some()
                && limit.dimension == Dimension::Requests
                && limit.quota().period() == Period::Minute
        };
        let blocks = tier.models.iter().map(|block| {
            let pattern = block.pattern.as_str();
            ((zone.model_key(client, pattern), Some(pattern)), &block.limits)
        });
        for (whose, set) in std::iter::once(((own, None), &tier.limits)).chain(blocks) {
            let LimitSet { buckets, budgets, concurrency } = set;
            for limit in buckets.iter().filter(|limit| whose.1.is_some() || !is_replaced(limit)) {
                let take = bucket(limit.dimension, limit.scale(zone));
                add(Cow::Borrowed(&limit.label), whose, take);
            }
            for limit in budgets {
                let take = Take::Budget { budget: limit.budget, n: 0, guess: 0 };
                add(Cow::Borrowed(&limit.label), whose, take);
            }
            if let Some(limit) = concurrency {
                let take = Take::Concurrency { limit: limit.limit };
                add(Cow::Borrowed(&limit.label), whose, take);
            }
        }
        found
    }
}

fn bucket(dimension: Dimension, scale: Scale) -> Take {
    Take::Bucket { dimension, scale, n: 0, oversize: Oversize::Debt }
}

/// Those of a rule for one subject.
pub(super) fn of_rule<'t>(
    zone: &Zone<'_>,
    rule: &'t LimitRule,
    subject: &Subject<'_>,
) -> Vec<LimitView<'t>> {
    let now = now();
    let LimitSet { buckets, budgets, concurrency } = &rule.limits;
    let take = |limit: &'t Bucket| (&limit.label, bucket(limit.dimension, limit.scale(zone)));
    let limits = buckets.iter().map(take);
    let limits = limits
        .chain(
            budgets
                .iter()
                .map(|limit| (&limit.label, Take::Budget { budget: limit.budget, n: 0, guess: 0 })),
        )
        .chain(
            concurrency
                .iter()
                .map(|limit| (&limit.label, Take::Concurrency { limit: limit.limit })),
        );
    let limits = limits.map(|(label, take)| (label, take, false));
    let failures = rule.auth_failures.iter().map(take).map(|(label, take)| (label, take, true));
    let view = |(label, take, is_of_failures): (&'t Arc<str>, Take, bool)| {
        let key = match is_of_failures {
            true => in_use(zone, &zone.own_failures_keys(subject)),
            false => in_use(zone, &zone.own_limit_keys(subject)),
        }?;
        let view = zone.view(key, &take, now);
        Some(LimitView::new(Cow::Borrowed(&**label), None, &take, &view))
    };
    limits.chain(failures).filter_map(view).collect()
}

/// The key that has a slot, or else the first one.
fn in_use(zone: &Zone<'_>, keys: &[Key]) -> Option<Key> {
    keys.iter().find(|key| zone.has_slot(**key)).or(keys.first()).copied()
}

/// Notes how near the clients with these entries are to their limits.
pub(super) fn survey(
    zone: &Zone<'_>,
    tiers: &[Rc<Tier>],
    directory: &Directory<'_>,
    numbers: Range<u32>,
) {
    for number in numbers {
        directory.update_ratios(number, |client, mark, rate_limit| {
            let tier = tiers.iter().find(|tier| tier.mark == mark);
            let limited = tier.map(|tier| Limited { client, tier, rate_limit });
            limited.map_or_else(Ratios::default, |limited| limited.ratios(zone))
        });
    }
}

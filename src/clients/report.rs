//! What is told of clients: to operators, and to a client of itself.

use std::rc::Rc;

use tollgate_core::clients::view::{
    ClientView, CredentialView, LimitView, ListView, ModelsView, RuleView, SpendView, UsageView,
};
use tollgate_core::clients::{Client, Directory, Living, Query, Sort, Survey};
use tollgate_core::limits::Subject;
use tollgate_core::principal::Principal;

use super::limits::{self, Limited};
use crate::clock::wall_now;
use crate::conf::rules::{LimitRule, Tier};
use crate::conf::MainConf;
use crate::zone::lock::is_alive;
use crate::zone::Mapped;

/// How many clients are looked at while somebody waits for the answer. Where there are more, what was found
/// lately has to do.
const AT_ONCE: u32 = 1000;

/// What is asked.
struct Asked<'c> {
    conf: &'c MainConf,
    zone: &'c Mapped,
    directory: &'c Directory<'c>,
    /// Who has requests in flight.
    living: Living,
}

impl<'c> Asked<'c> {
    /// `None`: nobody counts.
    fn new(conf: &'c MainConf) -> Option<Self> {
        let (zone, directory) = (conf.zone()?, conf.clients()?.get());
        let living = directory.flights().living(is_alive);
        Some(Self { conf, zone, directory, living })
    }

    fn tier(&self, client: &Client) -> Option<&'c Tier> {
        self.conf.tiers.iter().find(|tier| tier.mark == client.tier).map(Rc::as_ref)
    }

    /// A client and its limits in this tier.
    fn view(&self, client: Client, tier: Option<&'c Tier>) -> ClientView<'c> {
        let limits = tier.map(|tier| {
            let (client, rate_limit) = (client.client.as_str(), client.rate_limit);
            Limited { client, tier, rate_limit }.views(self.zone.get())
        });
        let limits = limits.unwrap_or_default();
        let in_flight = self.directory.in_flight(&client.client, &self.living);
        ClientView::new(client, tier.map(|tier| tier.name.as_str()), in_flight, limits)
    }

    /// Sees to it that it is known who is nearest to a limit.
    fn survey(&self) {
        if let Some(survey) = Survey::of(self.directory) {
            survey.want(wall_now());
        }
        let given = self.directory.given();
        if given <= AT_ONCE {
            limits::survey(self.zone.get(), &self.conf.tiers, self.directory, 0..given);
        }
    }

    fn find(&self, query: &Query) -> (Vec<Client>, usize) {
        if matches!(query.sort, Sort::Used | Sort::Budget) {
            self.survey();
        }
        let found = self.directory.list(query);
        let clients = found.numbers.iter().filter_map(|number| self.directory.read(*number));
        (clients.collect(), found.total)
    }
}

/// Some of the clients, with their limits. `None`: nobody counts.
pub(crate) fn list<'c>(conf: &'c MainConf, query: &'c Query) -> Option<ListView<'c>> {
    let asked = Asked::new(conf)?;
    let (clients, total) = asked.find(query);
    let views = clients.into_iter().map(|client| {
        let tier = asked.tier(&client);
        asked.view(client, tier)
    });
    let mut views: Vec<_> = views.collect();
    if query.sort == Sort::Used {
        // What was found lately is no more quite so.
        views.sort_by(|one, other| other.worst.total_cmp(&one.worst));
    }
    Some(ListView::new(query, views, total))
}

/// One client, with its limits. `None`: it wasn't seen lately, or nobody counts.
pub(crate) fn show<'c>(conf: &'c MainConf, client: &str) -> Option<ClientView<'c>> {
    let asked = Asked::new(conf)?;
    let (_, client) = asked.directory.get(client)?;
    let tier = asked.tier(&client);
    Some(asked.view(client, tier))
}

/// A `tollgate_limit`, as it stands for one subject. `None`: there is no zone.
pub(crate) fn show_limit<'c>(
    conf: &MainConf,
    rule: &'c LimitRule,
    (key, subject): (&'c str, &Subject<'_>),
) -> Option<RuleView<'c>> {
    let limits = limits::of_rule(conf.zone()?.get(), rule, subject);
    Some(RuleView { name: &rule.name, key, limits })
}

/// The clients that use most: `count` of them.
pub(crate) fn top_by_use(conf: &MainConf, count: usize) -> Vec<Client> {
    let query = Query { sort: Sort::Tokens, limit: count, ..Query::default() };
    Asked::new(conf).map(|asked| asked.find(&query).0).unwrap_or_default()
}

/// The clients that are nearest to the end of a budget, with the budgets of each: `count` of them.
pub(crate) fn nearest(conf: &MainConf, count: usize) -> Vec<ClientView<'_>> {
    let query = Query { sort: Sort::Budget, limit: count, ..Query::default() };
    let Some(asked) = Asked::new(conf) else { return Vec::new() };
    let views = asked.find(&query).0.into_iter().map(|client| {
        let tier = asked.tier(&client);
        let mut view = asked.view(client, tier);
        view.limits.retain(LimitView::is_budget);
        view
    });
    views.filter(|view| !view.limits.is_empty()).collect()
}

/// What a client sees of itself. `None`: nobody counts.
pub(crate) fn usage<'c>(
    conf: &'c MainConf,
    principal: &'c Principal,
    tier: Option<&'c Tier>,
) -> Option<UsageView<'c>> {
    let asked = Asked::new(conf)?;
    let name = principal.client();
    let known = asked.directory.get(name).map(|(_, client)| client);
    let client = Client {
        client: name.to_owned(),
        tenant: principal.tenant().map(str::to_owned),
        rate_limit: principal.rate_limit(),
        ..known.unwrap_or_default()
    };
    let client = asked.view(client, tier);
    let now = wall_now();
    let spend = client.limits.iter().filter_map(|limit| SpendView::of(limit, now)).collect();
    let of_tier = tier.and_then(|tier| tier.open_models.as_ref());
    let models = ModelsView {
        credential: principal.models().map(|models| models.iter().map(|model| &**model).collect()),
        tier: of_tier.map(|models| models.iter().map(|model| model.as_str()).collect()),
    };
    let scopes = principal.granted(tier.and_then(|tier| tier.scopes));
    Some(UsageView {
        client,
        credential: CredentialView::of(principal),
        models: models.if_any(),
        scopes: scopes.iter().map(|scope| scope.as_str()).collect(),
        spend,
        now: tollgate_core::clients::view::time(now),
        since: tollgate_core::clients::view::time(asked.directory.since()),
    })
}

//! A client and its limits, as those see them who ask: JSON.
//!
//! Numbers are exact integers but for ratios, and for seconds, which are rounded to milliseconds; money is a
//! decimal number in a string; times are those of RFC 3339, in UTC.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use super::entry::{Client, Ratios};
use super::list::Query;
use crate::audit::TimeFormat;
use crate::clock::UnixMillis;
use crate::limits::{Calendar, Take, View};
use crate::money::Amount;
use crate::principal::Principal;

/// How much of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Requests, or tokens.
    Count(u64),
    /// Nano-units of money.
    Money(u64),
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Count(count) => serializer.serialize_u64(count),
            Self::Money(nanos) => serializer.serialize_str(&money(nanos)),
        }
    }
}

/// So many nano-units as a decimal number.
#[must_use]
pub fn money(nanos: u64) -> String {
    String::from_utf8_lossy(Amount::from_nanos(nanos).as_bytes()).into_owned()
}

/// A moment as RFC 3339 has it.
#[must_use]
pub fn time(at: UnixMillis) -> String {
    let mut text = Vec::new();
    TimeFormat::default().write(at, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// A limit, as it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LimitView<'a> {
    /// As the log names it: `requests 100r/m`.
    pub name: Cow<'a, str>,
    /// What it counts.
    pub dimension: &'static str,
    /// The models that it is for, if it is in a `model` block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<&'a str>,
    /// So much a period, or at once.
    pub quota: Quantity,
    /// The most that a token bucket holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
    /// `second`, `minute`, `hour`, `day` or `month`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<&'static str>,
    /// What is in use: more than there is, where the limit is in debt.
    pub used: Quantity,
    /// What is left.
    pub left: Quantity,
    /// The share that is used.
    pub used_ratio: f64,
    /// When all of it is left again if nothing more is used; nobody knows that of requests in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_seconds: Option<f64>,
}

fn rounded(ratio: f64) -> f64 {
    (ratio * 10_000.0).round() / 10_000.0
}

/// Rounded up to milliseconds.
fn seconds(nanos: u64) -> f64 {
    nanos.div_ceil(1_000_000) as f64 / 1000.0
}

impl<'a> LimitView<'a> {
    /// A limit that `take` takes from, in the `model` block of this name if it is in one.
    #[must_use]
    pub fn new(name: Cow<'a, str>, model: Option<&'a str>, take: &Take, view: &View) -> Self {
        let quantity = match take {
            Take::Bucket { .. } | Take::Concurrency { .. } => Quantity::Count,
            Take::Budget { .. } => Quantity::Money,
        };
        let standing = &view.standing;
        let (dimension, burst, period) = match *take {
            Take::Bucket { dimension, scale, .. } => {
                let period = scale.quota().period().as_str();
                (dimension.as_str(), Some(standing.capacity), Some(period))
            }
            Take::Budget { budget, .. } => ("budget", None, Some(budget.calendar().as_str())),
            Take::Concurrency { .. } => ("concurrency", None, None),
        };
        Self {
            name,
            dimension,
            model,
            quota: quantity(standing.quota),
            burst,
            period,
            used: quantity(view.used),
            left: quantity(standing.remaining),
            used_ratio: rounded(view.used_ratio()),
            reset_seconds: period.map(|_| seconds(standing.until_full_nanos)),
        }
    }

    /// Whether it is one of money.
    #[must_use]
    pub fn is_budget(&self) -> bool {
        matches!(self.quota, Quantity::Money(_))
    }
}

/// The ratios of a client with these limits.
#[must_use]
pub fn ratios<'v>(limits: impl IntoIterator<Item = (&'v Take, &'v View)>) -> Ratios {
    let mut ratios = Ratios::default();
    for (take, view) in limits {
        let ratio = view.used_ratio();
        ratios.worst = ratios.worst.max(ratio);
        if matches!(take, Take::Budget { .. }) {
            ratios.budget = ratios.budget.max(ratio);
        }
    }
    ratios
}

/// A `tollgate_limit` for one key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleView<'a> {
    /// The name of the rule.
    pub name: &'a str,
    /// The value of its key.
    pub key: &'a str,
    /// Its limits, `auth_failures` last.
    pub limits: Vec<LimitView<'a>>,
}

/// A client with its limits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClientView<'a> {
    /// Its name.
    pub client: String,
    /// Its tier, if the configuration still has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<&'a str>,
    /// Its tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// When its last request ended; absent: there was none yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
    /// Since the directory was made, refused ones included.
    pub requests: u64,
    /// Those of them that were refused.
    pub refused: u64,
    /// Tokens of what was asked.
    pub input_tokens: u64,
    /// Tokens of what was answered.
    pub output_tokens: u64,
    /// Money.
    pub cost: String,
    /// Requests in flight.
    pub in_flight: u64,
    /// Its limits.
    pub limits: Vec<LimitView<'a>>,
    /// The largest share that is used of one of them.
    pub worst: f64,
}

impl<'a> ClientView<'a> {
    /// Of what the directory knows of it.
    #[must_use]
    pub fn new(
        client: Client,
        tier: Option<&'a str>,
        in_flight: u64,
        limits: Vec<LimitView<'a>>,
    ) -> Self {
        let was_seen = client.last_seen.0 > 0;
        Self {
            client: client.client,
            tier,
            tenant: client.tenant,
            last_seen: was_seen.then(|| time(client.last_seen)),
            requests: client.requests,
            refused: client.refused,
            input_tokens: client.input_tokens,
            output_tokens: client.output_tokens,
            cost: money(client.cost_nanos),
            in_flight,
            worst: limits.iter().map(|limit| limit.used_ratio).fold(0.0, f64::max),
            limits,
        }
    }
}

/// A part of all clients.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ListView<'a> {
    /// Those that were asked for.
    pub clients: Vec<ClientView<'a>>,
    /// How many there are in all that have what is searched for in their names.
    pub total: usize,
    /// How many are left out at the beginning.
    pub offset: usize,
    /// How many were asked for.
    pub limit: usize,
    /// Their order.
    pub sort: &'static str,
    /// What was searched for.
    pub search: &'a str,
}

impl<'a> ListView<'a> {
    /// The answer to a query.
    #[must_use]
    pub fn new(query: &'a Query, clients: Vec<ClientView<'a>>, total: usize) -> Self {
        let Query { sort, search, offset, limit } = query;
        let (offset, limit, sort) = (*offset, *limit, sort.as_str());
        Self { clients, total, offset, limit, sort, search }
    }
}

/// The credential that is asked with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CredentialView<'a> {
    /// How it authenticates.
    pub auth: &'static str,
    /// The id of the API key, or of the key that verified the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<&'a str>,
    /// From when on it is good no more; absent: that isn't known, or it is good for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

impl<'a> CredentialView<'a> {
    /// What a principal was authenticated with.
    #[must_use]
    pub fn of(principal: &'a Principal) -> Self {
        Self {
            auth: principal.auth().as_str(),
            key_id: principal.key_id(),
            expires: principal.expires().map(time),
        }
    }
}

/// The models that a client may use: one has to be in each of these lists that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ModelsView<'a> {
    /// Those of the credential.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<Vec<&'a str>>,
    /// Those of the tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<Vec<&'a str>>,
}

impl ModelsView<'_> {
    /// `None`: it may use all.
    #[must_use]
    pub fn if_any(self) -> Option<Self> {
        (self.credential.is_some() || self.tier.is_some()).then_some(self)
    }
}

/// What was spent in a period that is running, where there is a budget for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SpendView {
    /// `hour`, `day` or `month`.
    pub period: &'static str,
    /// Money.
    pub cost: String,
    /// When the next period begins.
    pub until: String,
}

impl SpendView {
    /// Of a budget, as it stands now; `None`: it is another limit, or one for some models.
    #[must_use]
    pub fn of(limit: &LimitView<'_>, now: UnixMillis) -> Option<Self> {
        let Quantity::Money(nanos) = limit.used else { return None };
        let period = limit.period.filter(|_| limit.model.is_none())?;
        let calendar = Calendar::ALL.into_iter().find(|calendar| calendar.as_str() == period)?;
        let until = UnixMillis::from(calendar.end_of_running(now.seconds()));
        Some(Self { period, cost: money(nanos), until: time(until) })
    }
}

/// What a client sees of itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UsageView<'a> {
    /// What operators see of it.
    #[serde(flatten)]
    pub client: ClientView<'a>,
    /// Its credential.
    pub credential: CredentialView<'a>,
    /// The models that it may use; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<ModelsView<'a>>,
    /// What it may use the engine for.
    pub scopes: Vec<&'static str>,
    /// What was spent in the running periods of its budgets.
    pub spend: Vec<SpendView>,
    /// Now.
    pub now: String,
    /// Since when requests, tokens and money are counted.
    pub since: String,
}

/// As compact JSON.
#[must_use]
pub fn to_json(view: &impl Serialize) -> Vec<u8> {
    // Nothing of it can fail: all keys are strings.
    serde_json::to_vec(view).unwrap_or_default()
}

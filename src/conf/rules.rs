//! Tiers and limits.

use std::sync::{Arc, OnceLock};

use crate::observed::OfTier;
use nginx::conf::ComplexValue;
use nginx::conf::{parse_time_ms, ConfError, Position};
use tollgate_core::address::Cidr;
use tollgate_core::limits::{Budget, Dimension, Quota, Scale, Zone};
use tollgate_core::pattern::Pattern;
use tollgate_core::permissions::networks::Networks;
use tollgate_core::permissions::scopes::Scopes;
use tollgate_core::permissions::FeatureRules;
use tollgate_core::price::Price;
use tollgate_core::whereabouts::AddressLimit;

/// One limit that is a token bucket: `requests`, `tokens` and so on.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) dimension: Dimension,
    quota: Quota,
    /// What of the input the engine had in its cache isn't counted in the end.
    pub(crate) cached_free: bool,
    /// For the log: `requests 100r/m`, `per_address requests 5r/s burst=10`.
    pub(crate) label: Arc<str>,
    /// Known when the zone is mapped.
    scale: OnceLock<Scale>,
}

impl Bucket {
    pub(crate) fn quota(&self) -> Quota {
        self.quota
    }

    pub(crate) fn scale(&self, zone: &Zone<'_>) -> Scale {
        *self.scale.get_or_init(|| zone.scale(self.quota))
    }
}

/// `budget`
#[derive(Debug)]
pub(crate) struct BudgetLimit {
    pub(crate) budget: Budget,
    pub(crate) label: Arc<str>,
}

/// `concurrency`
#[derive(Debug)]
pub(crate) struct Concurrency {
    /// Requests in flight at once.
    pub(crate) limit: u16,
    /// Requests that may wait for their turn.
    pub(crate) queue: usize,
    /// Milliseconds that a request may wait.
    pub(crate) timeout_ms: u64,
    pub(crate) label: Arc<str>,
}

/// Over what a limit holds, where nodes share a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// All nodes together.
    Cluster,
    /// Each node for itself.
    Node,
}

impl Reach {
    /// As the configuration says it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "cluster" => Some(Self::Cluster),
            "node" => Some(Self::Node),
            _ => None,
        }
    }
}

/// The limits of a tier, of a block of it, or of a rule.
#[derive(Debug, Default)]
pub(crate) struct LimitSet {
    pub(crate) buckets: Vec<Bucket>,
    pub(crate) budgets: Vec<BudgetLimit>,
    pub(crate) concurrency: Option<Concurrency>,
}

/// How long a request waits for its turn, unless `timeout=` says otherwise.
const DEFAULT_TIMEOUT_MS: u64 = 10_000;

impl LimitSet {
    pub(crate) fn is_empty(&self) -> bool {
        self.buckets.is_empty() && self.budgets.is_empty() && self.concurrency.is_none()
    }

    /// Whether any of it counts tokens or money, for which bodies have to be read.
    pub(crate) fn is_metered(&self) -> bool {
        !self.budgets.is_empty()
            || self.buckets.iter().any(|limit| !is_of_requests(limit.dimension))
    }

    /// Adds the limit `name`, given what stands behind it; `rule` is the name of the
    /// `tollgate_limit`, if it is one.
    pub(crate) fn add(
        &mut self,
        name: &str,
        values: &[&str],
        rule: Option<&str>,
    ) -> Result<(), ConfError> {
        let (value, parameters) = values.split_first().map_or(("", &[][..]), |(v, p)| (*v, p));
        let label = |text: String| match rule {
            Some(rule) => format!("{rule} {name} {text}").into(),
            None => format!("{name} {text}").into(),
        };
        let dimension = match name {
            "budget" => {
                let budget = Budget::parse(value).map_err(|problem| {
                    error(format!("invalid amount \"{value}\" of \"budget\": {problem}"))
                })?;
                if let Some(parameter) = parameters.first() {
                    return Err(unknown_parameter(name, parameter, "no parameters"));
                }
                if self.budgets.iter().any(|other| other.budget.calendar() == budget.calendar()) {
                    return Err(error(
                        "\"budget\" is given twice for the same period; keep one of them",
                    ));
                }
                self.budgets.push(BudgetLimit { budget, label: label(value.to_owned()) });
                return Ok(());
            }
            "concurrency" => {
                if self.concurrency.is_some() {
                    return Err(error("\"concurrency\" is given twice; keep one of them"));
                }
                self.concurrency = Some(concurrency(value, parameters, label(value.to_owned()))?);
                return Ok(());
            }
            "tokens" => Dimension::Tokens,
            "input_tokens" => Dimension::InputTokens,
            "output_tokens" => Dimension::OutputTokens,
            _ => Dimension::Requests,
        };
        add_bucket(&mut self.buckets, dimension, name, values, rule)
    }
}

/// Adds a bucket to the others of its dimension; there can be one for each period, as each has its
/// place in the zone.
pub(crate) fn add_bucket(
    buckets: &mut Vec<Bucket>,
    dimension: Dimension,
    name: &str,
    values: &[&str],
    rule: Option<&str>,
) -> Result<(), ConfError> {
    let form = || {
        let unit = if is_of_requests(dimension) { "r" } else { "k" };
        error(format!(
            "\"{name}\" takes a rate and optionally a burst: \"{name} 100{unit}/m burst=20\""
        ))
    };
    let (rate, parameters) = values.split_first().ok_or_else(form)?;
    let (mut burst, mut cached_free) = (None, false);
    for parameter in parameters {
        match parameter.split_once('=') {
            Some(("burst", value)) if burst.is_none() => burst = Some(value),
            Some(("burst", _)) => return Err(form()),
            Some(("cached", value)) if !cached_free => {
                check_cached(dimension, name, value)?;
                cached_free = true;
            }
            _ if has_input(dimension) => {
                let known = "\"burst=N\" and \"cached=free\", each once";
                return Err(unknown_parameter(name, parameter, known));
            }
            _ => return Err(unknown_parameter(name, parameter, "\"burst=N\"")),
        }
    }
    let quota = match is_of_requests(dimension) {
        true => Quota::parse(rate, burst),
        false => Quota::parse_tokens(rate, burst),
    };
    let quota = quota
        .map_err(|problem| error(format!("invalid rate \"{rate}\" of \"{name}\": {problem}")))?;
    let is_same =
        |other: &Bucket| other.dimension == dimension && other.quota.period() == quota.period();
    if buckets.iter().any(is_same) {
        let unit = if is_of_requests(dimension) { "r/" } else { "/" };
        return Err(error(format!(
            "\"{name}\" is given twice with the period \"{unit}{}\"; keep one of them",
            quota.period().letter()
        )));
    }
    let mut text = match burst {
        Some(burst) if quota.burst() != quota.count() => format!("{name} {rate} burst={burst}"),
        _ => format!("{name} {rate}"),
    };
    if cached_free {
        text.push_str(" cached=free");
    }
    let label = rule.map_or_else(|| text.clone(), |rule| format!("{rule} {text}")).into();
    buckets.push(Bucket { dimension, quota, cached_free, label, scale: OnceLock::new() });
    Ok(())
}

/// Whether tokens of the input are counted.
fn has_input(dimension: Dimension) -> bool {
    matches!(dimension, Dimension::Tokens | Dimension::InputTokens)
}

/// `cached=free`
fn check_cached(dimension: Dimension, name: &str, value: &str) -> Result<(), ConfError> {
    if !has_input(dimension) {
        return Err(error(format!(
            "\"cached={value}\" of \"{name}\" has no effect, as it doesn't count the input; it belongs \
             to \"tokens\" or \"input_tokens\""
        )));
    }
    match value {
        "free" => Ok(()),
        _ => Err(error(format!(
            "invalid value \"{value}\" of \"cached=\" of \"{name}\"; it takes \"free\", and cached \
             input is counted without it"
        ))),
    }
}

fn is_of_requests(dimension: Dimension) -> bool {
    match dimension {
        Dimension::Requests | Dimension::AuthFailures => true,
        Dimension::Tokens | Dimension::InputTokens | Dimension::OutputTokens => false,
    }
}

fn concurrency(
    value: &str,
    parameters: &[&str],
    label: Arc<str>,
) -> Result<Concurrency, ConfError> {
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|number| is_number && (1..=32_767).contains(number))
    };
    let limit = number(value).ok_or_else(|| {
        error(format!(
            "invalid number \"{value}\" of \"concurrency\"; it takes 1 to 32767 requests at once"
        ))
    })?;
    let (mut queue, mut timeout_ms) = (None, None);
    for parameter in parameters {
        match parameter.split_once('=') {
            Some(("queue", value)) if queue.is_none() => {
                queue = Some(number(value).ok_or_else(|| {
                    error(format!(
                        "invalid \"queue={value}\" of \"concurrency\"; it takes 1 to 32767 requests"
                    ))
                })?);
            }
            Some(("timeout", value)) if timeout_ms.is_none() => {
                let time = parse_time_ms(value).filter(|ms| (1..=3_600_000).contains(ms));
                timeout_ms = Some(time.ok_or_else(|| {
                    error(format!(
                        "invalid \"timeout={value}\" of \"concurrency\"; it takes 1ms to 1h"
                    ))
                })?);
            }
            _ => {
                return Err(unknown_parameter(
                    "concurrency",
                    parameter,
                    "\"queue=N\" and \"timeout=TIME\", each once",
                ))
            }
        }
    }
    if timeout_ms.is_some() && queue.is_none() {
        return Err(error(
            "\"timeout=\" of \"concurrency\" has no effect without \"queue=N\": nobody waits",
        ));
    }
    Ok(Concurrency {
        limit,
        queue: queue.map_or(0, usize::from),
        timeout_ms: timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS),
        label,
    })
}

fn error(message: impl Into<String>) -> ConfError {
    ConfError::new(message)
}

fn unknown_parameter(name: &str, parameter: &str, known: &str) -> ConfError {
    error(format!(
        "invalid parameter \"{}\" of \"{name}\"; it takes {known}",
        parameter.escape_debug()
    ))
}

/// `model` in a tier: limits for some models, which each client has apart from its others.
#[derive(Debug)]
pub(crate) struct ModelBlock {
    pub(crate) pattern: Pattern,
    pub(crate) limits: LimitSet,
}

/// `tollgate_tier`
#[derive(Debug)]
pub(crate) struct Tier {
    pub(crate) name: String,
    /// What the directory of clients notes it as.
    pub(crate) mark: u64,
    /// Where its requests are counted.
    pub(crate) counted: OfTier,
    pub(crate) limits: LimitSet,
    /// Over what they hold; `None`: it doesn't say.
    pub(crate) reach: Option<Reach>,
    /// The first one whose pattern fits holds.
    pub(crate) models: Vec<ModelBlock>,
    /// What requests may ask for.
    pub(crate) features: FeatureRules,
    /// The models that it may use; `None`: all.
    pub(crate) open_models: Option<Vec<Pattern>>,
    /// What a request is for that names no model.
    pub(crate) default_model: Option<Box<str>>,
    pub(crate) default_price: Option<Price>,
    /// What its clients may use; `None`: it doesn't say.
    pub(crate) scopes: Option<Scopes>,
    /// What llm-d calls how soon its requests are served.
    pub(crate) objective: Option<String>,
    /// The same for vLLM.
    pub(crate) priority: Option<i32>,
    /// Where its clients may come from.
    pub(crate) networks: Networks,
    /// From how many a key may be used within an hour.
    pub(crate) addresses: Option<AddressLimit>,
    /// What looks at its requests and answers, beside those of the location.
    pub(crate) guards: Vec<String>,
    pub(crate) place: Position,
}

impl Tier {
    /// The block that holds for a model.
    pub(crate) fn block(&self, model: &str) -> Option<&ModelBlock> {
        self.models.iter().find(|block| block.pattern.matches(model))
    }

    /// Its name, and where its requests are counted.
    pub(crate) fn of_metrics(&self) -> (&str, &OfTier) {
        (&self.name, &self.counted)
    }

    /// Whether any of its limits counts tokens or money.
    pub(crate) fn is_metered(&self) -> bool {
        self.limit_sets().any(LimitSet::is_metered)
    }

    /// All of its limits.
    pub(crate) fn limit_sets(&self) -> impl Iterator<Item = &LimitSet> {
        std::iter::once(&self.limits).chain(self.models.iter().map(|block| &block.limits))
    }
}

/// `tollgate_limit`
#[derive(Debug)]
pub(crate) struct LimitRule {
    pub(crate) name: Arc<str>,
    pub(crate) key: KeySource,
    /// The same, as it was written.
    pub(crate) key_text: String,
    pub(crate) limits: LimitSet,
    /// Over what they hold; `None`: it doesn't say. Failures count in each node for itself.
    pub(crate) reach: Option<Reach>,
    pub(crate) auth_failures: Vec<Bucket>,
    pub(crate) place: Position,
}

/// What a `tollgate_limit` is counted by.
#[derive(Debug)]
pub(crate) enum KeySource {
    /// The client's address, IPv6 by /64: `$binary_remote_addr` or `$remote_addr` alone.
    Address,
    /// What this configuration says, and nothing of the request.
    Constant(ComplexValue),
    /// Nothing but what was authenticated.
    Authenticated(ComplexValue),
    /// Any other expression.
    Expression(ComplexValue),
}

/// A tier whose block is being read.
pub(super) struct Draft {
    pub(super) tier: Tier,
    /// Inside a `model` block.
    pub(super) model: Option<ModelBlock>,
    pub(super) cidrs: Option<Box<[Cidr]>>,
    pub(super) deny_cidrs: Option<Box<[Cidr]>>,
}

//! What was found, and why it is unusual, in words and as JSON.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use super::finding::{Anomaly, Finding, Measure, Subject};
use super::history::{Hour, Seen};
use super::network::Network;
use crate::audit::span::shown;
use crate::audit::table::{cut, grouped};
use crate::audit::totals::reason_at;

/// How many networks, or reasons, are named in a sentence.
const NAMED: usize = 5;

/// When, who and what in a line, and the evidence below.
pub(super) fn text(anomaly: &Anomaly) -> String {
    let when = shown(anomaly.time_ms);
    format!(
        "{when}  {}: {}\n    {}\n",
        who(&anomaly.subject),
        what(&anomaly.finding),
        evidence(anomaly)
    )
}

fn who(subject: &Subject) -> String {
    match subject {
        Subject::Key { client: Some(client), key_id: Some(key) } => {
            format!("key {} of {}", cut(key), cut(client))
        }
        Subject::Key { client: Some(client), key_id: None } => format!("client {}", cut(client)),
        Subject::Key { client: None, key_id } => {
            format!("key {}", cut(key_id.as_deref().unwrap_or("-")))
        }
        Subject::Strangers(network) => format!("unknown clients from {network}"),
        Subject::AllStrangers => "unknown clients from all networks".to_owned(),
    }
}

fn what(finding: &Finding) -> String {
    match finding {
        Finding::FirstNetworks { new, .. } => {
            let names = new.iter().take(NAMED).map(|(network, _)| network.to_string());
            let names = names.collect::<Vec<_>>().join(", ");
            match new.len().saturating_sub(NAMED) {
                0 => format!("first use from {names}"),
                more => format!("first use from {names} and {} more networks", number(more)),
            }
        }
        Finding::Surge { measure, value, .. } => {
            format!("{} {} in this hour", grouped((*value).into()), measure.plural())
        }
    }
}

fn evidence(anomaly: &Anomaly) -> String {
    match &anomaly.finding {
        Finding::FirstNetworks { new, before, most, since_ms } => {
            first_networks(new, *before, most.as_ref(), *since_ms)
        }
        Finding::Surge { measure, usual, hour, is_known, .. } => {
            let usual_of = |value: u64| grouped(value.into());
            let measured = match is_known {
                true => format!(
                    "in {} hours of use before there were {} in the middle one and {} to {} in half of them; more \
                     than {} is unusual",
                    number(usual.hours),
                    usual_of(usual.median),
                    usual_of(usual.low),
                    usual_of(usual.high),
                    usual_of(usual.bound)
                ),
                false => format!(
                    "more than {} is unusual where no credential is known",
                    usual_of(usual.bound)
                ),
            };
            match measure {
                Measure::Refusals => format!("{}; {measured}", reasons(hour)),
                Measure::Requests | Measure::Tokens => measured,
            }
        }
    }
}

fn first_networks(
    new: &[(Network, Seen)],
    before: usize,
    most: Option<&(Network, Seen)>,
    since_ms: i64,
) -> String {
    let sum =
        |of: fn(&Seen) -> u64| grouped(new.iter().map(|(_, seen)| u128::from(of(seen))).sum());
    let (requests, refused) = (sum(|seen| seen.requests), sum(|seen| seen.refused));
    let before = match (before, most) {
        (1, Some((network, seen))) => {
            format!("only from {network} ({} requests)", grouped(seen.requests.into()))
        }
        (before, Some((network, seen))) => format!(
            "from {} networks, most from {network} ({} requests)",
            number(before),
            grouped(seen.requests.into())
        ),
        (_, None) => "from none".to_owned(),
    };
    format!(
        "{requests} requests from there since, {refused} of them refused; since {} it came {before}",
        shown(since_ms)
    )
}

/// `12 of 40 requests were refused: invalid_credential 10, address_denied 2`
fn reasons(hour: &Hour) -> String {
    let mut reasons = hour.reasons.clone();
    reasons.sort_by_key(|(reason, count)| (Reverse(*count), *reason));
    let named = reasons.iter().take(NAMED);
    let named =
        named.map(|(reason, count)| format!("{} {}", reason_at(*reason), grouped((*count).into())));
    format!(
        "{} of {} requests were refused: {}",
        grouped(hour.refused.into()),
        grouped(hour.requests.into()),
        named.collect::<Vec<_>>().join(", ")
    )
}

fn number(number: usize) -> String {
    grouped(number.try_into().unwrap_or(u128::MAX))
}

impl Measure {
    fn plural(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Refusals => "refusals",
        }
    }
}

#[derive(Serialize)]
pub(super) struct JsonAnomaly {
    kind: &'static str,
    /// When, or the beginning of the hour.
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<Box<str>>,
    /// Of strangers.
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<String>,
    #[serde(flatten)]
    finding: JsonFinding,
    evidence: String,
}

#[derive(Serialize)]
#[serde(untagged)]
enum JsonFinding {
    FirstNetworks {
        networks: Vec<JsonNetwork>,
        networks_before: usize,
    },
    Surge {
        value: u64,
        /// More is unusual.
        bound: u64,
        hours_before: usize,
        median: u64,
        quartiles: [u64; 2],
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        refused_by_reason: BTreeMap<&'static str, u32>,
    },
}

#[derive(Serialize)]
struct JsonNetwork {
    network: String,
    first: String,
    requests: u64,
    refused: u64,
}

pub(super) fn json(anomaly: &Anomaly) -> JsonAnomaly {
    let (client, key_id, network) = match anomaly.subject.clone() {
        Subject::Key { client, key_id } => (client, key_id, None),
        Subject::Strangers(network) => (None, None, Some(network.to_string())),
        Subject::AllStrangers => (None, None, None),
    };
    let (kind, finding) = match &anomaly.finding {
        Finding::FirstNetworks { new, before, .. } => {
            let networks = new.iter().map(|(network, seen)| JsonNetwork {
                network: network.to_string(),
                first: shown(seen.first_ms),
                requests: seen.requests,
                refused: seen.refused,
            });
            let (networks, networks_before) = (networks.collect(), *before);
            ("first_network", JsonFinding::FirstNetworks { networks, networks_before })
        }
        Finding::Surge { measure, value, usual, hour, .. } => {
            let reasons = hour.reasons.iter().filter(|_| *measure == Measure::Refusals);
            let refused_by_reason =
                reasons.map(|(reason, count)| (reason_at(*reason), *count)).collect();
            let surge = JsonFinding::Surge {
                value: *value,
                bound: usual.bound,
                hours_before: usual.hours,
                median: usual.median,
                quartiles: [usual.low, usual.high],
                refused_by_reason,
            };
            (measure.plural(), surge)
        }
    };
    let (time, evidence) = (shown(anomaly.time_ms), evidence(anomaly));
    JsonAnomaly { kind, time, client, key_id, network, finding, evidence }
}

//! The whole server at a glance: what goes through it just now, who is refused and why, which keys are in force.
//!
//! It is made of what was counted ([`metrics`](crate::metrics)), of what is told of the files with keys
//! ([`status`](crate::status)) and of how full the zone is, and is the same for the status page, the control socket
//! and the command. No credential is in it, nor the hash of one.
//!
//! * [`recent`]: what was counted in the last minutes;
//! * [`models`]: what of that is told of a model;
//! * [`traffic`]: the last hour;
//! * [`keys`]: what is in force of the files with keys, and of those of guards;
//! * [`guards`]: what guards look for, and what they found;
//! * [`cluster`]: how the node stands to the store of its cluster;
//! * [`query`]: what a page may ask for, and as what it wants to have it; [`shell`]: the page for browsers.

pub mod cluster;
pub mod guards;
pub mod keys;
pub mod models;
pub mod query;
pub mod recent;
pub mod shell;
pub mod traffic;

use serde::Serialize;

use crate::clients::view::{time, ListView};
use crate::clock::UnixMillis;
use crate::decision::Reason;
use crate::limits::census::Census;
use crate::metrics::minutes::Minute;
use crate::metrics::{self, tier_cells, Counter, Family, Readings};
use crate::status::Status;
use cluster::Cluster;
use guards::{Finding, Guard};
use keys::Keys;
use models::Model;
use recent::Recent;

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The version of nginx.
    pub nginx: &'a str,
    /// What was counted.
    pub readings: &'a Readings,
    /// What of that is of the last minutes.
    pub recent: &'a Recent,
    /// The last hour, the running minute last.
    pub hour: &'a [Minute],
    /// How many processes count.
    pub workers: usize,
    /// What is told of the files with keys; `None`: nobody tells.
    pub status: Option<&'a Status>,
    /// How full the zone is.
    pub zone: &'a [(metrics::Part, Census)],
    /// The guards that somebody uses.
    pub guards: &'a [Guard],
    /// How the node stands to the store of its cluster, if it is in one.
    pub cluster: Option<&'a Cluster>,
}

/// What there is to see.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overview {
    /// Of the module.
    version: &'static str,
    nginx: String,
    now: String,
    /// When the configuration came into use.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    workers: usize,
    /// How many seconds the last minutes are, of which `recent` and the times of models are.
    window_seconds: u64,
    requests_per_second: f64,
    /// Input and output.
    tokens_per_second: f64,
    in_flight: u64,
    queued: u64,
    tiers: Vec<Tier>,
    refusals: Vec<Refusal>,
    models: Vec<Model>,
    /// How many models there are beside these.
    #[serde(skip_serializing_if = "is_zero")]
    more_models: usize,
    minutes: Vec<traffic::Row>,
    keys: Vec<Keys>,
    guards: Vec<Guard>,
    findings: Vec<Finding>,
    /// How many more rules found something.
    #[serde(skip_serializing_if = "is_zero")]
    more_findings: usize,
    /// The files of guards.
    guard_files: Vec<Keys>,
    providers: Vec<Provider>,
    zone: Vec<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<Cluster>,
    audit: Lines,
    state: Writes,
    panics: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Tier {
    tier: String,
    in_flight: u64,
    queued: u64,
}

/// Why requests were refused, or cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Refusal {
    reason: &'static str,
    count: u64,
    /// In the last minutes.
    recent: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Provider {
    provider: String,
    ok: u64,
    error: u64,
    timeout: u64,
}

/// A part of the zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Part {
    part: &'static str,
    used: usize,
    slots: usize,
    /// How often there was no room.
    full: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Lines {
    written: u64,
    lost: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Writes {
    ok: u64,
    error: u64,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Overview {
    /// How things are.
    #[must_use]
    pub fn of(sources: &Sources<'_>, now: UnixMillis) -> Self {
        let Sources { readings, recent, hour, .. } = *sources;
        let tiers = tiers(readings);
        let sum = |of: fn(&Tier) -> u64| tiers.iter().map(of).sum();
        let (models, more_models) = models::of(readings, recent);
        let (findings, more_findings) = guards::findings(readings, recent);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            nginx: sources.nginx.to_owned(),
            now: time(now),
            since: sources.status.map(|told| time(UnixMillis(told.description.since_ms))),
            workers: sources.workers,
            window_seconds: recent.window_ms(now) / 1000,
            requests_per_second: traffic::per_second(hour, now, |minute| minute.requests),
            tokens_per_second: traffic::per_second(hour, now, |minute| {
                minute.input.saturating_add(minute.output)
            }),
            in_flight: sum(|tier| tier.in_flight),
            queued: sum(|tier| tier.queued),
            refusals: refusals(readings, recent),
            models,
            more_models,
            minutes: hour.iter().map(traffic::Row::of).collect(),
            keys: sources.status.map(|told| keys::of(told, true, now)).unwrap_or_default(),
            guards: sources.guards.to_vec(),
            findings,
            more_findings,
            guard_files: sources.status.map(|told| keys::of(told, false, now)).unwrap_or_default(),
            providers: providers(readings),
            zone: zone(readings, sources.zone),
            cluster: sources.cluster.cloned(),
            audit: Lines {
                written: readings.counter(Counter::AuditWritten),
                lost: readings.counter(Counter::AuditLost),
            },
            state: Writes {
                ok: readings.counter(Counter::StateWritten),
                error: readings.counter(Counter::StateFailed),
            },
            panics: readings.counter(Counter::Panic),
            tiers,
        }
    }

    /// As JSON, in one line.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        self.to_json_with(None)
    }

    /// The same, with some of the clients.
    #[must_use]
    pub fn to_json_with(&self, clients: Option<&ListView<'_>>) -> Vec<u8> {
        #[derive(Serialize)]
        struct WithClients<'a> {
            #[serde(flatten)]
            overview: &'a Overview,
            #[serde(skip_serializing_if = "Option::is_none")]
            clients: Option<&'a ListView<'a>>,
        }
        // Strings, numbers and lists of them: nothing that has no JSON.
        serde_json::to_vec(&WithClients { overview: self, clients }).unwrap_or_default()
    }
}

fn tiers(readings: &Readings) -> Vec<Tier> {
    let cell = |cells: &[u64], index: usize| cells.get(index).copied().unwrap_or(0);
    let tier = |(tier, cells): (&String, &Vec<u64>)| Tier {
        tier: tier.clone(),
        in_flight: cell(cells, tier_cells::IN_FLIGHT),
        queued: cell(cells, tier_cells::QUEUED),
    };
    readings.tiers.iter().map(tier).collect()
}

/// Those that happened: what happened most in the last minutes first.
fn refusals(readings: &Readings, recent: &Recent) -> Vec<Refusal> {
    let mut refusals: Vec<Refusal> = Reason::ALL
        .into_iter()
        .zip(recent::refused(readings))
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| Refusal {
            reason: reason.as_str(),
            count,
            recent: count.saturating_sub(recent.refused_before(reason)),
        })
        .collect();
    refusals.sort_by_key(|refusal| std::cmp::Reverse((refusal.recent, refusal.count)));
    refusals
}

fn providers(readings: &Readings) -> Vec<Provider> {
    let mut providers: Vec<Provider> = Vec::new();
    for ((family, provider, result), count) in &readings.events {
        if *family != Family::ProviderRequests {
            continue;
        }
        if providers.last().is_none_or(|last| last.provider != *provider) {
            providers.push(Provider { provider: provider.clone(), ..Provider::default() });
        }
        let Some(last) = providers.last_mut() else { continue };
        match result.as_str() {
            "ok" => last.ok += count,
            "timeout" => last.timeout += count,
            _ => last.error += count,
        }
    }
    providers
}

fn zone(readings: &Readings, parts: &[(metrics::Part, Census)]) -> Vec<Part> {
    let part = |&(part, census): &(metrics::Part, Census)| Part {
        part: part.as_str(),
        used: census.used,
        slots: census.places,
        full: readings.counter(Counter::ZoneFull(part)),
    };
    parts.iter().map(part).collect()
}

#[cfg(test)]
mod tests;

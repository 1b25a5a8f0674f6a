//! `tollgate_metrics`: what was counted, for Prometheus.

use tollgate_core::metrics::exposition::{
    self, Format, Gauges, GuardFile, KeyNetworks, Keys, Nearest, Told,
};
use tollgate_core::metrics::{readings, Readings};
use tollgate_core::status::Status;
use tollgate_core::whereabouts::{Minute, Ranked};

use super::headers::headers;
use crate::clients::report;
use crate::clock::{wall_ms, wall_now};
use crate::conf::MainConf;
use crate::observed;
use crate::overview::status_file;
use crate::types::Request;
use crate::zone::leases;
use crate::zone::lock::is_alive;
use nginx::clock::cached_mono_ms;
use nginx::Page;

/// The page; `None`: nothing is counted.
pub(super) fn page(r: Request<'_>, clients: usize) -> Option<Page> {
    // What the others have to take over comes with their next turn.
    observed::take_over();
    let conf = r.main_conf();
    let mapped = conf.observations()?;
    let accept = r.headers_in().filter(|header| header.name == b"accept");
    let format = Format::of(accept.map(|header| header.value));
    let readings = Readings::of(mapped.get(), is_alive);
    let workers = readings::living(mapped.get(), is_alive) as u64;
    let body = exposition::write(&readings, &gauges(conf, clients, workers), format);
    Some(Page { status: 200, content_type: format.content_type(), headers: headers(), body })
}

/// How it is just now, with so many clients.
fn gauges(conf: &MainConf, clients: usize, workers: u64) -> Gauges {
    let status = status_file::read();
    let now = wall_ms();
    let mut keys: Vec<Keys> = Vec::new();
    let mut guard_files = Vec::new();
    for (set, live) in conf.live().iter().enumerate() {
        let description = live.description();
        let file = description.paths.join(", ");
        if !description.kind.is_of_keys() {
            let status = status.as_ref();
            let told = status.and_then(|status| told(status, set, now));
            let state = status.and_then(|status| status.sets.get(set)?.as_ref());
            guard_files.push(GuardFile {
                file,
                what: description.kind.unit(),
                version: state.map(|state| state.version.clone()).unwrap_or_default(),
                sha256: state.and_then(|state| state.digests.first()).cloned().unwrap_or_default(),
                count: state.map(|state| state.keys),
                since_ms: state.map(|state| state.since_ms),
                told,
            });
            continue;
        }
        // Several sets may be of the same files, in different servers.
        if keys.iter().all(|known| known.file != file) {
            let status = status.as_ref();
            let told = status.and_then(|status| told(status, set, now));
            let state = status.and_then(|status| status.sets.get(set)?.as_ref());
            let mut states = live.states(wall_now());
            states.refused = state.map_or(states.refused, |state| state.refused_count);
            let states = states.named().to_vec();
            keys.push(Keys { file, generation: live.in_use(), states, told });
        }
    }
    Gauges {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        nginx: nginx::VERSION.to_owned(),
        workers,
        keys,
        guard_files,
        zone: conf.memory().census(),
        clients: match clients {
            0 => Vec::new(),
            count => report::top_by_use(conf, count),
        },
        nearest: match clients {
            0 => Vec::new(),
            count => nearest(conf, count),
        },
        networks: networks(conf, clients),
        cluster: conf.cluster().map(|(mapped, content)| leases::gauges(mapped, content)),
    }
}

/// What is told of this set; `None`: that is being written just now.
fn told(status: &Status, set: usize, now_ms: i64) -> Option<Told> {
    let state = status.sets.get(set)?.as_ref()?;
    let serving = status.workers.iter().filter(|worker| worker.is_serving(now_ms)).count();
    let current = status.following(set, now_ms);
    Some(Told {
        is_taken: state.failure.is_none(),
        current: current as u64,
        behind: serving.saturating_sub(current) as u64,
    })
}

/// The budgets of the clients that are nearest to the end of one.
fn nearest(conf: &MainConf, clients: usize) -> Vec<Nearest> {
    let mut all = Vec::new();
    for view in report::nearest(conf, clients) {
        for limit in view.limits {
            let name = match limit.model {
                Some(model) => format!("{} model {model}", limit.name),
                None => limit.name.into_owned(),
            };
            let tier = view.tier.unwrap_or_default().to_owned();
            let client = view.client.clone();
            all.push(Nearest { client, tier, limit: name, used_ratio: limit.used_ratio });
        }
    }
    all
}

/// The keys that are used from most networks, where a tier wants to know.
fn networks(conf: &MainConf, most: usize) -> Vec<KeyNetworks> {
    let Some(whereabouts) = conf.whereabouts().filter(|_| most > 0) else { return Vec::new() };
    let ranking = whereabouts.get().ranking(Minute::of_ms(cached_mono_ms()));
    let ranked = ranking.into_iter().take(most);
    let ranked = ranked.map(|Ranked { client, key_id, networks }| KeyNetworks {
        client,
        key_id,
        networks: networks.into(),
    });
    ranked.collect()
}

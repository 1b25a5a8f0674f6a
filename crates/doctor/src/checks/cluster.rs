//! The way to the store of a cluster.

use super::check::{Check, Found, View};
use super::exposure::is_public;
use crate::conf::Directive;
use crate::facts::{Store, StoreServer};
use crate::finding::Severity;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "cluster-password",
        severity: Severity::Warning,
        why: "Whoever reaches the store can give limits away, and have keys refused.",
        look: password,
    },
    Check {
        name: "cluster-tls",
        severity: Severity::Warning,
        why: "Whoever is on the way reads the password of the store, and can answer in its place.",
        look: tls,
    },
    Check {
        name: "cluster-store",
        severity: Severity::Error,
        why: "Without the store each node decides by on_loss, and no revocation reaches the others.",
        look: store,
    },
    Check {
        name: "cluster-version",
        severity: Severity::Warning,
        why: "Older servers than Redis 7.0 lack what is asked of them, or were not tried.",
        look: version,
    },
    Check {
        name: "cluster-eviction",
        severity: Severity::Warning,
        why: "When its memory is full, the store forgets limits, which begin anew without anybody noticing.",
        look: eviction,
    },
    Check {
        name: "cluster-persistence",
        severity: Severity::Note,
        why: "When the store starts anew, budgets and limits are those that nodes can still tell.",
        look: persistence,
    },
    Check {
        name: "cluster-clock",
        severity: Severity::Warning,
        why: "Budgets turn by the clock of the store, and certificates, tokens and logs go by that of the node.",
        look: clock,
    },
    Check {
        name: "cluster-nodes",
        severity: Severity::Warning,
        why: "Without the store each node gives away one part of expected_nodes: with more nodes than that, more than \
              the limit; with fewer, less.",
        look: nodes,
    },
];

/// From how far apart clocks are found wanting, in seconds.
const APART: u64 = 5;
/// The oldest version that will do.
const OLDEST: u64 = 7;

/// The servers that a `tollgate_cluster` names by host.
fn hosts(line: &Directive) -> impl Iterator<Item = &str> {
    line.args.iter().map(String::as_str).filter(|word| word.contains("://"))
}

fn password(view: &View<'_>) -> Vec<Found> {
    let lines = view.conf.in_http("tollgate_cluster");
    let is_open = |line: &&Directive| {
        hosts(line).next().is_some()
            && !line.args.iter().any(|word| word.starts_with("password_file="))
    };
    lines
        .filter(is_open)
        .map(|line| {
            Found::new("the store of the cluster is spoken with without a password", &line.place)
                .mend("password_file=/etc/nginx/tollgate/store.password")
        })
        .collect()
}

fn tls(view: &View<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for line in view.conf.in_http("tollgate_cluster") {
        for url in hosts(line) {
            let Some(rest) = url.strip_prefix("redis://") else { continue };
            let server = rest.rsplit_once('@').map_or(rest, |(_, server)| server);
            let server = server.split_once('/').map_or(server, |(server, _)| server);
            // Without a port, it must not be taken for one.
            if is_public(&with_port(server)) {
                let what = format!(
                    "the store \"{server}\" is another machine, and is spoken with without TLS"
                );
                found.push(Found::new(what, &line.place).mend(format!("rediss://{server}")));
            }
        }
    }
    found
}

fn with_port(server: &str) -> String {
    match server.rsplit_once(':') {
        Some((_, port)) if !port.ends_with(']') => server.to_owned(),
        _ => format!("{server}:6379"),
    }
}

/// Where the store is named, and what it says.
fn of_store<'v, T>(
    view: &View<'v>,
    f: impl FnOnce(&Store) -> Option<T>,
) -> Option<(T, &'v Directive)> {
    let line = view.conf.in_http("tollgate_cluster").last()?;
    let store = view.facts.store.as_ref()?.as_ref().ok()?;
    Some((f(store)?, line))
}

fn of_server<'v, T>(
    view: &View<'v>,
    f: impl FnOnce(&StoreServer) -> Option<T>,
) -> Option<(T, &'v Directive)> {
    of_store(view, |store| f(store.server.as_ref()?))
}

fn store(view: &View<'_>) -> Vec<Found> {
    let line = view.conf.in_http("tollgate_cluster").last();
    let (Some(line), Some(Err(why))) = (line, &view.facts.store) else { return Vec::new() };
    let what = format!("the store of the cluster can't be used from here: {why}");
    vec![Found::new(what, &line.place)
        .mend("tollgate status --cluster     # until it shows the nodes")]
}

fn version(view: &View<'_>) -> Vec<Found> {
    let old = of_server(view, |server| {
        let (name, version) = server.version.as_ref()?;
        let major: u64 = version.split('.').next()?.parse().ok()?;
        (major < OLDEST).then(|| format!("the store is {name} {version}"))
    });
    let found = old.map(|(what, line)| {
        Found::new(what, &line.place).mend("redis-server --version     # 7.0 or later, or Valkey")
    });
    found.into_iter().collect()
}

fn eviction(view: &View<'_>) -> Vec<Found> {
    let evicts = of_server(view, |server| {
        let policy = server.policy.as_ref().filter(|policy| *policy != "noeviction")?;
        Some(format!("the store has \"maxmemory-policy {policy}\""))
    });
    let found = evicts.map(|(what, line)| {
        Found::new(what, &line.place)
            .mend("maxmemory-policy noeviction     # in the store's configuration")
    });
    found.into_iter().collect()
}

fn persistence(view: &View<'_>) -> Vec<Found> {
    let forgets = of_server(view, |server| (server.is_append_only == Some(false)).then_some(()));
    let found = forgets.map(|((), line)| {
        let what = "the store doesn't write down what it knows";
        Found::new(what, &line.place).mend("appendonly yes     # in the store's configuration")
    });
    found.into_iter().collect()
}

fn clock(view: &View<'_>) -> Vec<Found> {
    let apart =
        of_store(view, |store| Some(store.seconds_apart).filter(|seconds| *seconds >= APART));
    let found = apart.map(|(seconds, line)| {
        let what = format!("the clock of the store and that of this machine are {seconds} s apart");
        Found::new(what, &line.place).mend("timedatectl set-ntp true     # on both machines")
    });
    found.into_iter().collect()
}

fn nodes(view: &View<'_>) -> Vec<Found> {
    let differ = of_store(view, |store| {
        let expected = store.expected?;
        // Before the first one has started, nothing is wrong.
        (store.alive != 0 && store.alive != usize::from(expected)).then(|| {
            let alive = store.alive;
            (format!("the store hears of {alive} nodes, and expected_nodes is {expected}"), alive)
        })
    });
    let found = differ.map(|((what, alive), line)| {
        Found::new(what, &line.place).mend(format!("expected_nodes={alive}"))
    });
    found.into_iter().collect()
}

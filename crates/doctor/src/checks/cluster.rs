//! The way to the store of a cluster.

use super::check::{Check, Found, View};
use super::exposure::is_public;
use crate::conf::Directive;
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
];

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

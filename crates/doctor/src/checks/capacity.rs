//! How much there is of what.

use super::check::{blamed, Check, Found, View};
use crate::conf::value::{size, time_ms};
use crate::conf::Scope;
use crate::finding::Severity;

const MIB: u64 = 1 << 20;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "body-size",
        severity: Severity::Warning,
        why: "A long context, or a picture, is larger. nginx then answers 413 with a page of its own, which no client of \
              the API understands.",
        look: body_size,
    },
    Check {
        name: "body-buffer",
        severity: Severity::Note,
        why: "A prompt of more than that is written to a file and read again: it costs time, and prompts lie on the disk.",
        look: body_buffer,
    },
    Check {
        name: "header-buffers",
        severity: Severity::Warning,
        why: "A longer token, as identity providers make them for users of many groups, gets 400 from nginx, before \
              anybody has looked at it.",
        look: header_buffers,
    },
    Check {
        name: "workers",
        severity: Severity::Warning,
        why: "One worker uses one processor: TLS, bodies and streams of all clients share it.",
        look: workers,
    },
    Check {
        name: "connections",
        severity: Severity::Warning,
        why: "A request in flight takes two connections, to the client and to the engine. When they are used up, nginx \
              answers nobody.",
        look: connections,
    },
    Check {
        name: "zone-size",
        severity: Severity::Warning,
        why: "When all have limits in use at once, a client for whom there is no room gets 503.",
        look: zone_size,
    },
    Check {
        name: "shutdown-timeout",
        severity: Severity::Warning,
        why: "At a reload, requests go on in the old workers; those that take longer are cut off.",
        look: shutdown_timeout,
    },
    Check {
        name: "endless-workers",
        severity: Severity::Note,
        why: "A WebSocket has no end of its own. After each reload an old worker stays for as long as one is open, with \
              its memory.",
        look: endless_workers,
    },
    Check {
        name: "leeway",
        severity: Severity::Warning,
        why: "Tokens are good for so long after their end.",
        look: leeway,
    },
];

fn body_size(view: &View<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for scope in &view.engines {
        let most = scope.size("client_max_body_size", MIB);
        let wanted = scope.size("tollgate_max_body", 8 * MIB);
        // Who has said a size, may know; unless two sizes were said.
        let is_said = scope.last("client_max_body_size").is_some();
        let is_less = most < wanted && scope.last("tollgate_max_body").is_some();
        if most != 0 && (is_less || !is_said) {
            let what = match is_said {
                true => format!(
                    "\"{}\" takes bodies of {} bytes, though Tollgate would read {wanted}",
                    scope.title(),
                    most
                ),
                false => format!("\"{}\" takes bodies of 1 MB, nginx's default", scope.title()),
            };
            found.push(
                Found::new(what, &blamed(scope, "client_max_body_size"))
                    .mend(format!("client_max_body_size {};", shown(wanted.max(8 * MIB)))),
            );
        }
    }
    found
}

/// A size, as a configuration has it.
fn shown(bytes: u64) -> String {
    match bytes {
        bytes if bytes % MIB == 0 => format!("{}m", bytes / MIB),
        bytes if bytes % 1024 == 0 => format!("{}k", bytes / 1024),
        bytes => bytes.to_string(),
    }
}

fn body_buffer(view: &View<'_>) -> Vec<Found> {
    let small = view
        .engines
        .iter()
        .filter(|scope| scope.size("client_body_buffer_size", 16 << 10) < 64 << 10);
    let found = small.map(|scope| {
        let what = format!(
            "\"{}\" keeps bodies of up to {} in memory",
            scope.title(),
            shown(scope.size("client_body_buffer_size", 16 << 10))
        );
        Found::new(what, &blamed(scope, "client_body_buffer_size"))
            .mend("client_body_buffer_size 256k;")
    });
    found.collect()
}

/// Whether clients come with a method of `tollgate_auth`.
fn takes(scope: &Scope<'_>, method: &str) -> bool {
    scope.last("tollgate_auth").is_some_and(|line| line.args.iter().any(|word| word == method))
}

fn header_buffers(view: &View<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for scope in view.engines.iter().filter(|scope| takes(scope, "jwt")) {
        let line = scope.last("large_client_header_buffers");
        let one = line.and_then(|line| line.arg(1)).and_then(size).unwrap_or(8 << 10);
        let longest = scope.size("tollgate_jwt_max_size", 16 << 10);
        // The name of the header, and the scheme, stand in the same line.
        if one < longest.saturating_add(32) {
            let what = format!(
                "a header line may have {} bytes, and a token of {longest} is accepted",
                one
            );
            found.push(Found::new(what, &blamed(scope, "large_client_header_buffers")).mend(
                format!(
                    "large_client_header_buffers 4 {};",
                    shown(longest.next_power_of_two().saturating_mul(2))
                ),
            ));
        }
    }
    found
}

fn workers(view: &View<'_>) -> Vec<Found> {
    let cpus = view.facts.cpus.unwrap_or(1);
    if view.engines.is_empty() || view.workers() != Some(1) || cpus < 2 {
        return Vec::new();
    }
    let what = format!("one worker serves all, on a machine with {cpus} processors");
    let place = view.conf.top("worker_processes").or_else(|| view.conf.top("http"));
    let place = place.map(|line| line.place.clone());
    vec![Found { what, place, mend: vec!["worker_processes auto;".to_owned()], severity: None }]
}

fn connections(view: &View<'_>) -> Vec<Found> {
    let line = view.conf.events().iter().rfind(|line| line.name == "worker_connections");
    let each = line
        .and_then(|line| line.arg(0))
        .and_then(|number| number.parse().ok())
        .unwrap_or(512usize);
    let Some(all) = view.workers().map(|workers| workers.saturating_mul(each)) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    // One limit for all: so many requests are meant to be in flight at once.
    for limit in view.conf.in_http("tollgate_limit") {
        let parameter = |name: &str| {
            let value = limit.args.iter().find_map(|word| word.strip_prefix(name));
            value.and_then(|value| value.parse::<usize>().ok())
        };
        let is_of_all =
            limit.args.iter().any(|word| word.starts_with("key=") && !word.contains('$'));
        let Some(in_flight) = parameter("concurrency=").filter(|_| is_of_all) else { continue };
        // Those in the queue have no connection to the engine yet.
        let needed = in_flight.saturating_mul(2).saturating_add(parameter("queue=").unwrap_or(0));
        if needed > all {
            let what = format!(
                "{all} connections of all workers are fewer than the {needed} that \"{}\" lets in",
                limit.arg(0).unwrap_or_default()
            );
            let place = line.map_or_else(|| limit.place.clone(), |line| line.place.clone());
            found.push(
                Found::new(what, &place)
                    .mend(format!("worker_connections {};", needed.next_power_of_two().max(4096))),
            );
        }
    }
    found
}

fn zone_size(view: &View<'_>) -> Vec<Found> {
    let (Some(clients), Some(room)) = (view.facts.clients, view.facts.room) else {
        return Vec::new();
    };
    let Some(zone) = view.conf.in_http("tollgate_zone").last() else { return Vec::new() };
    // Each client has a slot for itself, one for each model block that it uses, and one for each rule by client.
    let tiers = view.conf.in_http("tollgate_tier");
    let models =
        tiers.map(|tier| tier.body().iter().filter(|line| line.name == "model").count()).max();
    let by_client = view
        .conf
        .in_http("tollgate_limit")
        .filter(|limit| limit.args.iter().any(|word| word.starts_with("key=$tollgate_client")));
    let slots = 1 + models.unwrap_or(0) + by_client.count();
    let needed = clients.saturating_mul(slots);
    if needed <= room {
        return Vec::new();
    }
    let bytes = zone
        .args
        .iter()
        .find_map(|word| size(word.strip_prefix("zone=")?.rsplit_once(':')?.1))
        .unwrap_or(MIB);
    let times = u64::try_from(needed.div_ceil(room.max(1))).unwrap_or(u64::MAX);
    let better = bytes.saturating_mul(times).div_ceil(MIB).max(1);
    let words: Vec<String> = zone
        .args
        .iter()
        .map(|word| match word.strip_prefix("zone=").and_then(|zone| zone.rsplit_once(':')) {
            Some((name, _)) => format!("zone={name}:{better}m"),
            None => word.clone(),
        })
        .collect();
    let what = format!("the zone has room for about {room} slots, and the {clients} clients of the keys files may need {needed}");
    vec![Found::new(what, &zone.place).mend(format!("tollgate_zone {};", words.join(" ")))]
}

fn shutdown_timeout(view: &View<'_>) -> Vec<Found> {
    let line = view.conf.top("worker_shutdown_timeout").filter(|_| !view.engines.is_empty());
    let is_short = |text: &str| time_ms(text).is_some_and(|time| time < 60_000);
    let found = line.and_then(|line| Some((line, line.arg(0).filter(|text| is_short(text))?)));
    let found = found.map(|(line, text)| {
        let what = format!("a reload cuts off what is not done in {text}");
        Found::new(what, &line.place).mend("worker_shutdown_timeout 15m;")
    });
    found.into_iter().collect()
}

fn endless_workers(view: &View<'_>) -> Vec<Found> {
    if view.conf.top("worker_shutdown_timeout").is_some() {
        return Vec::new();
    }
    let open = view.engines.iter().find(|scope| scope.value("tollgate_upgrade") == Some("allow"));
    let found = open.map(|scope| {
        let what = format!(
            "\"{}\" lets WebSockets through, and nothing ends them at a reload",
            scope.title()
        );
        Found::new(what, &blamed(scope, "tollgate_upgrade"))
            .mend("worker_shutdown_timeout 1h;  # outside of all blocks")
    });
    found.into_iter().collect()
}

fn leeway(view: &View<'_>) -> Vec<Found> {
    let wide =
        view.engines.iter().filter(|scope| scope.time_ms("tollgate_jwt_leeway", 0) > 5 * 60_000);
    let found = wide.map(|scope| {
        let what =
            format!("the leeway is {}", scope.value("tollgate_jwt_leeway").unwrap_or_default());
        Found::new(what, &blamed(scope, "tollgate_jwt_leeway")).mend("tollgate_jwt_leeway 30s;")
    });
    found.collect()
}

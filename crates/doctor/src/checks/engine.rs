//! The way to the engine.

use super::check::{blamed, Check, Found, View};
use crate::conf::backend::addresses;
use crate::conf::value::{quoted, time_ms};
use crate::conf::{Backend, Directive, Scope};
use crate::finding::Severity;

/// From this version on, HTTP/1.1 and connections that are used again are nginx's default.
const KEEPALIVE_BY_DEFAULT: (u32, u32, u32) = (1, 29, 7);
/// A server that failed is asked again after so many milliseconds at the latest.
const LONGEST_FAIL_MS: u64 = 5 * 60_000;
/// A queue and a long prompt take longer than nginx's default of a minute.
const SHORTEST_READ_MS: u64 = 2 * 60_000;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "buffering",
        severity: Severity::Warning,
        why: "nginx collects what the engine streams until a buffer is full, so clients wait, and then get many tokens \
              at once.",
        look: buffering,
    },
    Check {
        name: "read-timeout",
        severity: Severity::Warning,
        why: "An engine says nothing while a request waits in its queue, or a long prompt is read. Then nginx answers \
              504, and the work was for nothing.",
        look: read_timeout,
    },
    Check {
        name: "http-version",
        severity: Severity::Warning,
        why: "With HTTP/1.0 each request needs a new connection to the engine, and answers have no chunks.",
        look: http_version,
    },
    Check {
        name: "connection-close",
        severity: Severity::Warning,
        why: "Each request opens a connection to the engine and closes it: more than half of the throughput can go there.",
        look: connection_close,
    },
    Check {
        name: "keepalive",
        severity: Severity::Warning,
        why: "Without kept connections each request opens a new one to the engine.",
        look: keepalive,
    },
    Check {
        name: "upstream-zone",
        severity: Severity::Warning,
        why: "Without shared memory each worker finds out for itself that a server has failed, and least_conn sees only \
              the worker's own requests.",
        look: upstream_zone,
    },
    Check {
        name: "fail-timeout",
        severity: Severity::Warning,
        why: "A server that failed gets no request for so long, even if it is well again after a second.",
        look: fail_timeout,
    },
    Check {
        name: "retries",
        severity: Severity::Warning,
        why: "A prompt on which one engine breaks is sent to all others as well, and a generation may run, and be paid \
              for, several times.",
        look: retries,
    },
    Check {
        name: "client-abort",
        severity: Severity::Warning,
        why: "A client that has left does not end the request: the GPU goes on generating for nobody.",
        look: client_abort,
    },
    Check {
        name: "gzip",
        severity: Severity::Warning,
        why: "Compression costs the CPU more than a stream of tokens is worth, delays it where it is buffered, and its \
              length tells about secrets beside a text that somebody else chose.",
        look: gzip,
    },
    Check {
        name: "cache",
        severity: Severity::Warning,
        why: "What one client was answered, another one may get: also models, files and answers that it may not see.",
        look: cache,
    },
    Check {
        name: "nodelay",
        severity: Severity::Warning,
        why: "The kernel holds small packets back until the ones before are acknowledged: a token then waits for a round \
              trip.",
        look: nodelay,
    },
];

fn buffering(view: &View<'_>) -> Vec<Found> {
    let held = view.engines.iter().filter(|scope| scope.is_on("proxy_buffering", true));
    let found = held.map(|scope| {
        let what = format!("answers are buffered in \"{}\"", scope.title());
        Found::new(what, &blamed(scope, "proxy_buffering")).mend("proxy_buffering off;")
    });
    found.collect()
}

fn read_timeout(view: &View<'_>) -> Vec<Found> {
    let of = |scope: &Scope<'_>| scope.time_ms("proxy_read_timeout", 60_000);
    let short = view.engines.iter().filter(|scope| of(scope) < SHORTEST_READ_MS);
    let found = short.map(|scope| {
        let what = format!(
            "\"{}\" waits {} s for the engine's next word",
            scope.title(),
            of(scope) as f64 / 1000.0
        );
        Found::new(what, &blamed(scope, "proxy_read_timeout")).mend("proxy_read_timeout 10m;")
    });
    found.collect()
}

fn is_http_1_0(view: &View<'_>, scope: &Scope<'_>) -> bool {
    match scope.value("proxy_http_version") {
        Some(version) => version == "1.0",
        None => !view.is_nginx(KEEPALIVE_BY_DEFAULT),
    }
}

fn http_version(view: &View<'_>) -> Vec<Found> {
    let old = view.engines.iter().filter(|scope| is_http_1_0(view, scope));
    let found = old.map(|scope| {
        let what = format!("\"{}\" speaks HTTP/1.0 to the engine", scope.title());
        Found::new(what, &blamed(scope, "proxy_http_version"))
            .mend("proxy_http_version 1.1;")
            .mend("proxy_set_header Connection \"\";")
    });
    found.collect()
}

/// The value of a header that goes to the engine, where one is set.
fn header_to_engine<'c>(scope: &Scope<'c>, name: &str) -> Option<&'c Directive> {
    let set = scope.all("proxy_set_header").into_iter();
    set.rev().find(|line| line.arg(0).is_some_and(|header| header.eq_ignore_ascii_case(name)))
}

fn connection_close(view: &View<'_>) -> Vec<Found> {
    const MEND: &str = "proxy_set_header Connection \"\";";
    let mut found = Vec::new();
    for scope in view.engines.iter().filter(|scope| !is_http_1_0(view, scope)) {
        let title = scope.title();
        match header_to_engine(scope, "connection") {
            None if view.is_nginx(KEEPALIVE_BY_DEFAULT) => {}
            None => {
                let around = scope.all("proxy_set_header");
                let (what, place) = match around.first() {
                    Some(first) => (
                        format!(
                            "\"{title}\" closes each connection to the engine: the \"proxy_set_header\" that hold \
                             there say nothing of Connection, and those further out don't hold beside them"
                        ),
                        &first.place,
                    ),
                    None => (format!("\"{title}\" closes each connection to the engine"), &scope.server.place),
                };
                found.push(Found::new(what, place).mend(MEND));
            }
            Some(line) => match line.arg(1).unwrap_or_default() {
                value if value.eq_ignore_ascii_case("close") => {
                    let what = format!("\"{title}\" tells the engine to close each connection");
                    found.push(Found::new(what, &line.place).mend(MEND));
                }
                variable if variable.starts_with('$') => {
                    found.extend(closing_map(view, variable));
                }
                _ => {}
            },
        }
    }
    found
}

/// The map for WebSockets in which all other requests close the connection.
fn closing_map(view: &View<'_>, variable: &str) -> Option<Found> {
    let map = view.conf.in_http("map").find(|map| map.arg(1) == Some(variable))?;
    let of = |key: &str| map.body().iter().find(|entry| entry.name == key);
    let entry = of("").or_else(|| of("default"))?;
    let closes = entry.arg(0).is_some_and(|value| value.eq_ignore_ascii_case("close"));
    closes.then(|| {
        Found::new(
            format!(
                "\"{variable}\" has the connections to the engine closed by all but WebSockets"
            ),
            &entry.place,
        )
        .mend("'' \"\";")
    })
}

/// The upstreams that clients' requests go to, each once, with a location that leads there.
fn upstreams<'v>(view: &'v View<'_>) -> Vec<(&'v Directive, &'v Scope<'v>)> {
    let mut found: Vec<(&Directive, &Scope<'_>)> = Vec::new();
    for scope in &view.engines {
        for backend in scope.backends(view.conf) {
            if let Backend::Upstream(upstream) = backend {
                if !found.iter().any(|(known, _)| known.place == upstream.place) {
                    found.push((upstream, scope));
                }
            }
        }
    }
    found
}

fn name_of(upstream: &Directive) -> &str {
    upstream.arg(0).unwrap_or_default()
}

fn keepalive(view: &View<'_>) -> Vec<Found> {
    let is_default = view.is_nginx(KEEPALIVE_BY_DEFAULT);
    let mut found = Vec::new();
    for (upstream, _) in upstreams(view) {
        let name = name_of(upstream);
        match upstream.own("keepalive").map(|line| (line, line.arg(0))) {
            Some((line, Some("0"))) => {
                let what = format!("the upstream \"{name}\" keeps no connection");
                found.push(Found::new(what, &line.place).mend("keepalive 32;"));
            }
            None if !is_default => {
                let what = format!("the upstream \"{name}\" keeps no connection");
                found.push(Found::new(what, &upstream.place).mend("keepalive 32;"));
            }
            _ => {}
        }
    }
    for scope in view.engines.iter().filter(|_| !is_default) {
        let backends = scope.backends(view.conf);
        let direct = backends.iter().find_map(|backend| match backend {
            Backend::Address(address) => Some(address),
            Backend::Upstream(_) => None,
        });
        let (Some(address), Some(pass)) = (direct, scope.block.own("proxy_pass")) else {
            continue;
        };
        let server = match address.host.contains(':') {
            true => format!("[{}]:{}", address.host, address.port),
            false => format!("{}:{}", address.host, address.port),
        };
        let what =
            format!("\"{}\" names a server, to which nginx keeps no connection", scope.title());
        found.push(
            Found::new(what, &pass.place)
                .mend(format!(
                    "upstream engine {{ zone engine 64k; server {server}; keepalive 32; }}"
                ))
                .mend(format!(
                    "proxy_pass {}://engine;",
                    if address.is_tls { "https" } else { "http" }
                ))
                .severity(Severity::Note),
        );
    }
    found
}

/// Whether there is another server to go to.
fn has_several(upstream: &Directive) -> bool {
    let lines = || upstream.body().iter().filter(|line| line.name == "server");
    // A name may have several addresses.
    let is_name = |line: &Directive| line.args.iter().any(|word| word == "resolve");
    addresses(upstream, false).len() > 1 || lines().any(is_name)
}

fn upstream_zone(view: &View<'_>) -> Vec<Found> {
    if view.workers() == Some(1) {
        return Vec::new();
    }
    let without = upstreams(view)
        .into_iter()
        .filter(|(upstream, _)| has_several(upstream) && upstream.own("zone").is_none());
    let found = without.map(|(upstream, _)| {
        let name = name_of(upstream);
        let what = format!("the upstream \"{name}\" has no \"zone\"");
        Found::new(what, &upstream.place).mend(format!("zone {} 64k;", quoted(name)))
    });
    found.collect()
}

fn fail_timeout(view: &View<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for (upstream, _) in upstreams(view).into_iter().filter(|(upstream, _)| has_several(upstream)) {
        for server in upstream.body().iter().filter(|line| line.name == "server") {
            let parameter =
                |name: &str| server.args.iter().find_map(|word| word.strip_prefix(name));
            let Some(text) = parameter("fail_timeout=") else { continue };
            let is_long = time_ms(text).is_some_and(|time| time >= LONGEST_FAIL_MS);
            if is_long && parameter("max_fails=") != Some("0") {
                let address = server.arg(0).unwrap_or_default();
                let what =
                    format!("the server \"{address}\" is left out for {text} after a failure");
                found.push(
                    Found::new(what, &server.place)
                        .mend(format!("server {} max_fails=1 fail_timeout=10s;", quoted(address))),
                );
            }
        }
    }
    found
}

fn retries(view: &View<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for scope in &view.engines {
        let Some(line) = scope.last("proxy_next_upstream") else { continue };
        let tries = scope.value("proxy_next_upstream_tries").and_then(|tries| tries.parse().ok());
        let is_bounded = matches!(tries, Some(1..=2u32));
        if line.args.iter().any(|word| word == "non_idempotent") && !is_bounded {
            let what = format!(
                "\"{}\" repeats a POST at every other server when one fails",
                scope.title()
            );
            found.push(Found::new(what, &line.place).mend("proxy_next_upstream_tries 2;"));
        }
    }
    found
}

fn client_abort(view: &View<'_>) -> Vec<Found> {
    let deaf = view.engines.iter().filter(|scope| scope.is_on("proxy_ignore_client_abort", false));
    let found = deaf.map(|scope| {
        let what = format!("\"{}\" goes on when the client has left", scope.title());
        Found::new(what, &blamed(scope, "proxy_ignore_client_abort"))
            .mend("proxy_ignore_client_abort off;")
    });
    found.collect()
}

fn gzip(view: &View<'_>) -> Vec<Found> {
    const STREAMS: [&str; 3] = ["*", "text/event-stream", "application/x-ndjson"];
    let mut found = Vec::new();
    for scope in view.engines.iter().filter(|scope| scope.is_on("gzip", false)) {
        let lines = scope.all("gzip_types");
        let line =
            lines.iter().find(|line| line.args.iter().any(|kind| STREAMS.contains(&kind.as_str())));
        if let Some(line) = line {
            let what = format!("streams are compressed in \"{}\"", scope.title());
            found.push(Found::new(what, &line.place).mend("gzip off;"));
        }
    }
    found
}

fn cache(view: &View<'_>) -> Vec<Found> {
    // What tells one client, or one that may do as much, from another one.
    const OF_CLIENT: [&str; 4] =
        ["$tollgate_client", "$tollgate_key_id", "$http_authorization", "$tollgate_tenant"];
    let mut found = Vec::new();
    for scope in &view.engines {
        let Some(line) = scope.last("proxy_cache").filter(|line| line.arg(0) != Some("off")) else {
            continue;
        };
        let key = scope.last("proxy_cache_key").map(|line| line.args.join(" ")).unwrap_or_default();
        if OF_CLIENT.iter().any(|variable| key.contains(variable)) {
            continue;
        }
        let methods = scope.all("proxy_cache_methods");
        let keeps_posts = methods
            .iter()
            .any(|line| line.args.iter().any(|method| method.eq_ignore_ascii_case("POST")));
        let what = match keeps_posts {
            true => format!("\"{}\" keeps answers to prompts for whoever asks next", scope.title()),
            false => format!("\"{}\" keeps answers for whoever asks next", scope.title()),
        };
        let one = Found::new(what, &line.place).mend("proxy_cache off;").mend(
            "proxy_cache_key \"$tollgate_client $scheme$proxy_host$request_uri\";  # or this",
        );
        found.push(if keeps_posts { one.severity(Severity::Error) } else { one });
    }
    found
}

fn nodelay(view: &View<'_>) -> Vec<Found> {
    let slow = view.engines.iter().filter(|scope| !scope.is_on("tcp_nodelay", true));
    let found = slow.map(|scope| {
        let what = format!("small packets wait in \"{}\"", scope.title());
        Found::new(what, &blamed(scope, "tcp_nodelay")).mend("tcp_nodelay on;")
    });
    found.collect()
}

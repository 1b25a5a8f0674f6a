//! Who gets past Tollgate.

use std::net::{IpAddr, SocketAddr};

use super::check::{Check, Found, View};
use super::exposure::{is_global, is_public, listens};
use crate::conf::backend::{addresses, Address};
use crate::conf::{Backend, Directive, Scope};
use crate::finding::Severity;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "open-engine",
        severity: Severity::Error,
        why: "Whoever reaches this machine can go past Tollgate: without a key, without limits, without a line in the \
              audit log.",
        look: open_engine,
    },
    Check {
        name: "public-engine",
        severity: Severity::Error,
        why: "Prompts and answers cross the internet in the clear, and whoever finds that address needs no key.",
        look: public_engine,
    },
    Check {
        name: "unguarded",
        severity: Severity::Error,
        why: "Whoever comes this way needs no key, and nothing counts or writes down what is used.",
        look: unguarded,
    },
    Check {
        name: "switched-off",
        severity: Severity::Warning,
        why: "\"tollgate off\" is meant for one page, such as that of health. Under a prefix all paths are open.",
        look: switched_off,
    },
];

/// The servers behind Tollgate, each once, with where it is named and the engine that it is said to be.
fn servers_of_engines<'v>(view: &'v View<'_>) -> Vec<(Address, &'v Directive, &'v Scope<'v>)> {
    let mut found: Vec<(Address, &Directive, &Scope<'_>)> = Vec::new();
    for scope in &view.engines {
        let Some(pass) = scope.block.own("proxy_pass") else { continue };
        let is_tls = pass.arg(0).is_some_and(|url| url.starts_with("https:"));
        for backend in scope.backends(view.conf) {
            let (all, place) = match backend {
                Backend::Upstream(upstream) => (addresses(upstream, is_tls), upstream),
                Backend::Address(address) => (vec![address], pass),
            };
            for address in all.into_iter().filter(|address| !address.host.is_empty()) {
                if !found.iter().any(|(known, ..)| *known == address) {
                    found.push((address, place, scope));
                }
            }
        }
    }
    found
}

fn open_engine(view: &View<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for (address, line, scope) in servers_of_engines(view) {
        let ip = address.host.parse::<IpAddr>().ok();
        let is_here = address.host == "localhost"
            || ip.is_some_and(|ip| ip.is_loopback() || view.facts.own.contains(&ip));
        let is_open = |listener: &&SocketAddr| {
            listener.port() == address.port && !listener.ip().to_canonical().is_loopback()
        };
        let Some(open) = view.facts.listening.iter().find(is_open).filter(|_| is_here) else {
            continue;
        };
        let how = match scope.value("tollgate_engine").unwrap_or_default() {
            "vllm" => format!("vllm serve MODEL --host 127.0.0.1 --port {}", address.port),
            "sglang" => {
                format!("python3 -m sglang.launch_server --host 127.0.0.1 --port {}", address.port)
            }
            "tgi" => {
                format!("text-generation-launcher --hostname 127.0.0.1 --port {}", address.port)
            }
            "llamacpp" => format!("llama-server --host 127.0.0.1 --port {}", address.port),
            "ollama" => format!("OLLAMA_HOST=127.0.0.1:{} ollama serve", address.port),
            _ => format!("--host 127.0.0.1 --port {}", address.port),
        };
        let what =
            format!("the engine at {}:{} listens at {open} as well", address.host, address.port);
        found.push(Found::new(what, &line.place).mend(how).mend(format!(
            "docker run -p 127.0.0.1:{0}:{0} ...  # if it is in a container",
            address.port
        )));
    }
    found
}

fn public_engine(view: &View<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for (address, line, _) in servers_of_engines(view) {
        let ip = address.host.parse::<IpAddr>().ok();
        if !address.is_tls && ip.is_some_and(|ip| is_global(ip) && !view.facts.own.contains(&ip)) {
            let what = format!(
                "the way to the engine at {} leads over the internet, without TLS",
                address.host
            );
            found.push(Found::new(what, &line.place).mend("proxy_pass https://...;").mend(
                "proxy_ssl_verify on; proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;",
            ));
        }
    }
    found
}

/// Whether something of nginx's own keeps strangers out.
fn is_guarded_otherwise(scope: &Scope<'_>) -> bool {
    let denies = scope.all("deny").iter().any(|line| line.arg(0) == Some("all"));
    let asks = ["auth_basic", "auth_request", "auth_jwt"]
        .iter()
        .any(|name| scope.value(name).is_some_and(|value| value != "off"));
    denies || asks || scope.value("ssl_verify_client") == Some("on")
}

/// Whether it is one page that tells whether the engine is alive.
fn is_of_health(scope: &Scope<'_>) -> bool {
    const NAMES: [&str; 8] =
        ["health", "healthz", "ready", "readyz", "live", "livez", "ping", "version"];
    let [sign, path] = scope.block.args.as_slice() else { return false };
    sign == "=" && path.rsplit('/').next().is_some_and(|name| NAMES.contains(&name))
}

fn unguarded(view: &View<'_>) -> Vec<Found> {
    let behind = servers_of_engines(view);
    let mut found = Vec::new();
    for scope in &view.locations {
        let Some(pass) = scope.block.own("proxy_pass") else { continue };
        // Who has said "off", knows.
        if scope.is_guarded() || scope.last("tollgate").is_some() || scope.is_internal() {
            continue;
        }
        if is_guarded_otherwise(scope) || is_of_health(scope) {
            continue;
        }
        let leads_there = scope.backends(view.conf).iter().any(|backend| match backend {
            Backend::Upstream(upstream) => {
                behind.iter().any(|(_, place, _)| place.place == upstream.place)
            }
            Backend::Address(address) => behind.iter().any(|(known, ..)| known == address),
        });
        if leads_there {
            let what = format!("\"{}\" leads to the engine past Tollgate", scope.title());
            let one = Found::new(what, &pass.place).mend("tollgate on;");
            // Who is on this machine may reach the engine itself.
            let lines = listens(scope.server);
            let is_local = !lines.is_empty()
                && lines.iter().all(|line| line.arg(0).is_some_and(|address| !is_public(address)));
            found.push(if is_local { one.severity(Severity::Warning) } else { one });
        }
    }
    found
}

fn switched_off(view: &View<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for scope in &view.locations {
        let Some(line) = scope.block.own("tollgate").filter(|line| line.arg(0) == Some("off"))
        else {
            continue;
        };
        let is_exact = scope.block.arg(0) == Some("=") || scope.block.name != "location";
        let is_named = scope.block.arg(0).is_some_and(|name| name.starts_with('@'));
        if !is_exact && !is_named && !scope.is_internal() && scope.block.own("proxy_pass").is_some()
        {
            let what =
                format!("\"{}\" is open to everybody, with all paths under it", scope.title());
            let path = scope.block.args.last().map_or("/", String::as_str);
            let path = path.trim_start_matches(['^', '~', '*']).trim_end_matches('/');
            let path = if path.is_empty() { "/health" } else { path };
            found.push(
                Found::new(what, &line.place)
                    .mend(format!("location = {path} {{ tollgate off; ... }}")),
            );
        }
    }
    found
}

//! Who gets in, and from where.

use std::net::IpAddr;

use super::check::{blamed, Check, Found, View};
use crate::conf::{Directive, Scope};
use crate::finding::Severity;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "tls",
        severity: Severity::Error,
        why: "Whoever is on the way reads keys, prompts and answers.",
        look: tls,
    },
    Check {
        name: "early-data",
        severity: Severity::Warning,
        why: "Whoever has recorded such a request can send it again: the engine works, and the client pays, twice.",
        look: early_data,
    },
    Check {
        name: "real-ip",
        severity: Severity::Warning,
        why: "Limits by address count all clients as one, networks of keys can't be told apart, and the audit log has \
              the address of the proxy alone.",
        look: real_ip,
    },
    Check {
        name: "real-ip-anybody",
        severity: Severity::Error,
        why: "A client writes its own address: it escapes limits, passes for the networks of a key, and blames others.",
        look: real_ip_anybody,
    },
    Check {
        name: "probe",
        severity: Severity::Error,
        why: "A request without a key must be refused.",
        look: probe,
    },
    Check {
        name: "dry-run",
        severity: Severity::Note,
        why: "Nothing is refused: neither limits nor missing keys.",
        look: dry_run,
    },
];

/// Whether others than this machine may come by what a `listen` names.
pub(super) fn is_public(listen: &str) -> bool {
    let host = match (listen.starts_with("unix:"), listen.rsplit_once(':')) {
        (true, _) => return false,
        (false, Some((host, port))) if !port.ends_with(']') => host,
        (false, _) if listen.bytes().all(|byte| byte.is_ascii_digit()) => return true,
        (false, _) => listen,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host != "localhost" && !address.is_ok_and(|address| address.is_loopback())
}

/// The `listen` of a server; it has one that nobody has written, if there is none.
pub(super) fn listens(server: &Directive) -> Vec<&Directive> {
    server.body().iter().filter(|line| line.name == "listen").collect()
}

fn has(line: &Directive, parameter: &str) -> bool {
    line.args.iter().skip(1).any(|word| word == parameter)
}

/// Servers in which Tollgate judges somewhere.
fn guarded_servers<'v>(view: &'v View<'_>) -> Vec<Scope<'v>> {
    let servers = view.conf.servers().into_iter();
    let is_guarded = |server: &Scope<'_>| {
        let here =
            |scope: &&Scope<'_>| std::ptr::eq(scope.server, server.server) && scope.is_guarded();
        server.is_guarded() || view.locations.iter().any(|scope| here(&scope))
    };
    servers.filter(is_guarded).collect()
}

fn tls(view: &View<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for server in guarded_servers(view) {
        // Where the address of the client comes from a proxy, TLS ends there.
        let is_behind_proxy = !server.all("set_real_ip_from").is_empty();
        // The directive of nginx before 1.25.
        let is_tls = server.is_on("ssl", false);
        let lines = listens(server.server);
        if lines.is_empty() && !is_tls && !is_behind_proxy {
            let what = "the server listens on port 80 of all addresses, without TLS";
            found.push(tls_mended(Found::new(what, &server.server.place), &server));
        }
        for line in lines {
            let Some(address) = line.arg(0).filter(|address| is_public(address)) else { continue };
            let is_open = !["ssl", "quic", "proxy_protocol"].iter().any(|word| has(line, word));
            if is_open && !is_tls && !is_behind_proxy {
                let what = format!("clients send their keys to \"{address}\" without TLS");
                found.push(tls_mended(Found::new(what, &line.place), &server));
            }
        }
    }
    found
}

fn tls_mended(found: Found, server: &Scope<'_>) -> Found {
    let name = server.value("server_name").unwrap_or("NAME");
    found
        .mend("listen 443 ssl;")
        .mend(format!("ssl_certificate     /etc/letsencrypt/live/{name}/fullchain.pem;"))
        .mend(format!("ssl_certificate_key /etc/letsencrypt/live/{name}/privkey.pem;"))
}

fn early_data(view: &View<'_>) -> Vec<Found> {
    let early =
        guarded_servers(view).into_iter().filter(|server| server.is_on("ssl_early_data", false));
    let found = early.map(|server| {
        Found::new("requests are taken in TLS early data", &blamed(&server, "ssl_early_data"))
            .mend("ssl_early_data off;")
    });
    found.collect()
}

/// Whether an address is one of the internet's.
pub(super) fn is_global(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let is_shared = first == 100 && second & 0xc0 == 64;
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_documentation()
                || v4.is_broadcast()
                || is_shared
                || first == 0)
        }
        // 2000::/3, without the prefix for documentation.
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.segments();
            first & 0xe000 == 0x2000 && !(first == 0x2001 && second == 0xdb8)
        }
    }
}

fn real_ip(view: &View<'_>) -> Vec<Found> {
    /// So many requests of so many clients don't come from one address.
    const REQUESTS: usize = 100;
    const CLIENTS: usize = 5;
    let mut found = Vec::new();
    for server in guarded_servers(view) {
        if !server.all("set_real_ip_from").is_empty() {
            continue;
        }
        let proxied = listens(server.server).into_iter().find(|line| has(line, "proxy_protocol"));
        if let Some(line) = proxied {
            let what = "the proxy tells the clients' addresses, and nobody listens";
            found.push(
                Found::new(what, &line.place)
                    .mend("set_real_ip_from 10.0.0.0/8;  # the addresses of the proxy")
                    .mend("real_ip_header proxy_protocol;"),
            );
            continue;
        }
        if let Some(callers) = &view.facts.callers {
            let is_one = callers.addresses == 1
                && callers.requests >= REQUESTS
                && callers.clients >= CLIENTS
                && !is_global(callers.address);
            if is_one {
                let what = format!(
                    "the latest {} requests, of {} clients, all come from {}: that is a proxy",
                    callers.requests, callers.clients, callers.address
                );
                found.push(
                    Found::new(what, &server.server.place)
                        .mend(format!("set_real_ip_from {};", callers.address))
                        .mend("real_ip_header X-Forwarded-For;")
                        .mend("real_ip_recursive on;"),
                );
            }
        }
    }
    found
}

fn real_ip_anybody(view: &View<'_>) -> Vec<Found> {
    let lines = view.conf.everywhere("set_real_ip_from").into_iter();
    let everybody = lines.filter(|line| line.arg(0).is_some_and(|network| network.ends_with("/0")));
    let found = everybody.map(|line| {
        let network = line.arg(0).unwrap_or_default();
        let what = format!("everybody is believed about the client's address (\"{network}\")");
        Found::new(what, &line.place)
            .mend("set_real_ip_from 10.0.0.0/8;  # the addresses of your proxy, and no others")
    });
    found.collect()
}

fn probe(view: &View<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for probe in &view.facts.probes {
        let url = &probe.url;
        let (what, mend, severity) = match &probe.outcome {
            Ok(401) => continue,
            Ok(status @ 200..=299) => (
                format!("{url} answers {status} to a request without a key"),
                "tollgate on;  # in the server that answers there",
                Severity::Error,
            ),
            Ok(status) => (
                format!("{url} answers {status} to a request without a key, and not 401"),
                "# is that the server which is meant? its audit log tells",
                Severity::Warning,
            ),
            Err(error) => (
                format!("{url} does not answer: {error}"),
                "systemctl status nginx; ss -ltnp",
                Severity::Error,
            ),
        };
        let mend = vec![mend.to_owned()];
        found.push(Found { what, place: None, mend, severity: Some(severity) });
    }
    found
}

fn dry_run(view: &View<'_>) -> Vec<Found> {
    let dry = view.engines.iter().filter(|scope| scope.is_on("tollgate_dry_run", false));
    let found = dry.map(|scope| {
        let what = format!(
            "\"{}\" refuses nobody, and only writes down whom it would have",
            scope.title()
        );
        Found::new(what, &blamed(scope, "tollgate_dry_run")).mend("tollgate_dry_run off;")
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_reach_is_public() {
        for listen in
            ["80", "*:80", "0.0.0.0:80", "[::]:443", "10.0.0.1", "api.example.com:443", "[::]"]
        {
            assert!(is_public(listen), "{listen}");
        }
        for listen in [
            "127.0.0.1:80",
            "127.0.0.1",
            "[::1]:80",
            "[::1]",
            "localhost:80",
            "localhost",
            "unix:/x",
        ] {
            assert!(!is_public(listen), "{listen}");
        }
    }

    #[test]
    fn the_internet_is_what_no_network_has_for_itself() {
        for ip in ["8.8.8.8", "2a00::1", "::ffff:8.8.8.8"] {
            assert!(is_global(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "10.1.2.3",
            "127.0.0.1",
            "100.64.0.1",
            "169.254.1.1",
            "192.168.0.1",
            "fd00::1",
            "::1",
            "fe80::1",
        ] {
            assert!(!is_global(ip.parse().unwrap()), "{ip}");
        }
    }
}

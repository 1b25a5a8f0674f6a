//! A good configuration on a good machine has no finding; with one mistake planted in it, the check for that mistake
//! finds it, and no other check finds anything.

use std::collections::BTreeSet;

use super::fixtures::good_facts;
use super::*;
use crate::conf::tree::parse;
use crate::facts::{Refused, Said, Store, StoreServer};
use crate::finding::Severity;

const GOOD: &str = r#"
user www-data;
worker_processes auto;
error_log /var/log/nginx/error.log warn;
events { worker_connections 4096; }
http {
    large_client_header_buffers 4 32k;
    log_format short escape=json '$remote_addr $status $tollgate_client';
    access_log /var/log/nginx/access.log short;
    tollgate_zone zone=tollgate:10m state=/var/lib/tollgate/state;
    tollgate_cluster rediss://gate@cache-1:6379/1 password_file=/etc/nginx/tollgate/store.password expected_nodes=4;
    tollgate_tier pro { requests 100r/m; model large { tokens 5k/m; } }
    tollgate_limit everybody key=everybody requests=200r/s concurrency=256 queue=512;
    tollgate_limit by_client key=$tollgate_client requests=20r/s;
    map $http_upgrade $connection { default upgrade; '' ""; }
    map $http_authorization $is_bearer { "~*^bearer " 1; default 0; }
    upstream engine {
        zone engine 64k;
        least_conn;
        server 127.0.0.1:8000 max_fails=1 fail_timeout=10s;
        server 10.0.0.2:8000;
        keepalive 32;
    }
    server {
        listen 80;
        listen [::]:80;
        return 403;
    }
    server {
        listen 443 ssl;
        listen 127.0.0.1:8080;
        server_name api.example.com;
        ssl_certificate     /etc/tls/cert.pem;
        ssl_certificate_key /etc/tls/key.pem;
        tollgate on;
        tollgate_auth api_key jwt;
        tollgate_api_keys /etc/nginx/tollgate/keys.json;
        tollgate_jwt_key_file /etc/nginx/tollgate/jwks.json;
        tollgate_jwt_leeway 30s;
        tollgate_engine vllm;
        tollgate_audit_log /var/log/nginx/tollgate.log;
        client_max_body_size 16m;
        client_body_buffer_size 256k;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $host;
        proxy_buffering off;
        proxy_read_timeout 10m;
        location / { proxy_pass http://engine; }
        location /v1/realtime {
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection;
            proxy_pass http://engine;
        }
        location = /health { tollgate off; proxy_pass http://engine; }
        location = /_jwks { internal; proxy_pass http://10.9.9.9; proxy_read_timeout 3s; }
    }
}
"#;

fn found(text: &str, facts: &Facts) -> Vec<Finding> {
    let conf = Conf::new(parse(text, "nginx.conf").unwrap());
    examine(&conf, facts, &Folders::default(), &[])
}

/// A check, what is replaced by what, and what else is different.
type Planted = (&'static str, &'static [(&'static str, &'static str)], fn(&mut Facts));

const PLANTED: &[Planted] = &[
    ("cluster-tls", &[("rediss://gate@cache-1:6379/1", "redis://gate@cache-1:6379/1")], |_| ()),
    ("cluster-tls", &[("rediss://gate@cache-1:6379/1", "redis://10.0.0.7")], |_| ()),
    ("cluster-tls", &[("rediss://gate@cache-1:6379/1", "redis://[2001:db8::1]")], |_| ()),
    ("cluster-password", &[("password_file=/etc/nginx/tollgate/store.password", "")], |_| ()),
    ("cluster-store", &[], |facts| facts.store = Some(Err("connection refused".to_owned()))),
    ("cluster-version", &[], |facts| {
        server(facts).version = Some(("Redis".to_owned(), "6.2.14".to_owned()))
    }),
    ("cluster-eviction", &[], |facts| server(facts).policy = Some("allkeys-lru".to_owned())),
    ("cluster-persistence", &[], |facts| server(facts).is_append_only = Some(false)),
    ("cluster-clock", &[], |facts| store(facts).seconds_apart = 600),
    ("cluster-nodes", &[], |facts| store(facts).alive = 3),
    ("cluster-nodes", &[], |facts| store(facts).alive = 5),
    ("buffering", &[("proxy_buffering off;", "")], |_| ()),
    ("buffering", &[("proxy_buffering off;", "proxy_buffering on;")], |_| ()),
    ("read-timeout", &[("proxy_read_timeout 10m;", "")], |_| ()),
    ("read-timeout", &[("proxy_read_timeout 10m;", "proxy_read_timeout 60s;")], |_| ()),
    ("http-version", &[("proxy_http_version 1.1;", "")], |_| ()),
    ("http-version", &[("proxy_http_version 1.1;", "proxy_http_version 1.0;")], |facts| {
        facts.nginx = Some((1, 30, 0));
    }),
    ("connection-close", &[("proxy_set_header Connection \"\";", "")], |_| ()),
    (
        "connection-close",
        &[("proxy_set_header Connection \"\";", "proxy_set_header connection Close;")],
        |_| (),
    ),
    // One header in the location, and those around it are gone.
    ("connection-close", &[("location / {", "location / { proxy_set_header X-A b;")], |_| ()),
    ("connection-close", &[("'' \"\";", "'' close;")], |_| ()),
    ("keepalive", &[("keepalive 32;", "")], |_| ()),
    ("keepalive", &[("keepalive 32;", "keepalive 0;")], |facts| facts.nginx = Some((1, 30, 0))),
    (
        "keepalive",
        &[(
            "location / { proxy_pass http://engine;",
            "location / { proxy_pass http://127.0.0.1:8000;",
        )],
        |_| (),
    ),
    ("upstream-zone", &[("zone engine 64k;", "")], |_| ()),
    ("fail-timeout", &[("fail_timeout=10s", "fail_timeout=12h")], |_| ()),
    (
        "retries",
        &[("proxy_buffering", "proxy_next_upstream error timeout non_idempotent; proxy_buffering")],
        |_| (),
    ),
    (
        "client-abort",
        &[("proxy_buffering", "proxy_ignore_client_abort on; proxy_buffering")],
        |_| (),
    ),
    (
        "gzip",
        &[("large_client", "gzip on; gzip_types text/css text/event-stream; large_client")],
        |_| (),
    ),
    (
        "cache",
        &[("proxy_buffering", "proxy_cache c; proxy_cache_key $uri; proxy_buffering")],
        |_| (),
    ),
    (
        "cache",
        &[("proxy_buffering", "proxy_cache c; proxy_cache_methods GET POST; proxy_buffering")],
        |_| (),
    ),
    ("nodelay", &[("large_client", "tcp_nodelay off; large_client")], |_| ()),
    ("tls", &[("listen 443 ssl;", "listen 443;")], |_| ()),
    ("tls", &[("listen 443 ssl;", ""), ("listen 127.0.0.1:8080;", "")], |_| ()),
    ("early-data", &[("tollgate on;", "tollgate on; ssl_early_data on;")], |_| ()),
    ("open-engine", &[], |facts| facts.listening.push("0.0.0.0:8000".parse().unwrap())),
    ("open-engine", &[], |facts| facts.listening.push("[::]:8000".parse().unwrap())),
    ("open-engine", &[], |facts| {
        facts.own.push("10.0.0.2".parse().unwrap());
        facts.listening.push("10.0.0.2:8000".parse().unwrap());
    }),
    ("public-engine", &[("server 10.0.0.2:8000;", "server 8.8.8.8:8000;")], |_| ()),
    ("unguarded", &[("return 403;", "location / { proxy_pass http://engine; }")], |_| ()),
    ("switched-off", &[("location = /health", "location /health")], |_| ()),
    ("real-ip", &[("listen 443 ssl;", "listen 443 ssl proxy_protocol;")], |_| ()),
    ("real-ip", &[], |facts| {
        facts.callers.as_mut().unwrap().addresses = 1;
    }),
    ("real-ip-anybody", &[("tollgate on;", "tollgate on; set_real_ip_from 0.0.0.0/0;")], |_| ()),
    ("probe", &[], |facts| facts.probes[0].outcome = Ok(200)),
    ("probe", &[], |facts| facts.probes[0].outcome = Err("connection refused".to_owned())),
    ("dry-run", &[("tollgate on;", "tollgate on; tollgate_dry_run on;")], |_| ()),
    ("logged-keys", &[("$status", "$http_authorization")], |_| ()),
    ("logged-keys", &[("$status", "${HTTP_X_API_KEY}")], |_| ()),
    (
        "logged-keys",
        &[
            ("$status", "$http_x_mine"),
            ("tollgate on;", "tollgate on; tollgate_api_key_header X-Mine;"),
        ],
        |_| (),
    ),
    ("logged-prompts", &[("$status", "$request_body")], |_| ()),
    ("debug-log", &[("error.log warn", "error.log debug")], |_| ()),
    ("left-over-keys", &[("\"~*^bearer \" 1;", "\"Bearer sk-1\" acme;")], |_| ()),
    (
        "left-over-keys",
        &[("tollgate on;", "tollgate on; if ($http_x_api_key = \"sk-1\") { return 200; }")],
        |_| (),
    ),
    (
        "passed-keys",
        &[("proxy_set_header Host $host;", "proxy_set_header Authorization $http_authorization;")],
        |_| (),
    ),
    (
        "forged-identity",
        &[("proxy_set_header Host $host;", "proxy_set_header X-Client-ID $http_x_client_id;")],
        |_| (),
    ),
    ("dropped-header", &[("tollgate on;", "tollgate on; tollgate_api_key_header my_key;")], |_| ()),
    ("no-audit-log", &[("tollgate_audit_log /var/log/nginx/tollgate.log;", "")], |_| ()),
    ("body-size", &[("client_max_body_size 16m;", "")], |_| ()),
    (
        "body-size",
        &[("client_max_body_size 16m;", "client_max_body_size 4m; tollgate_max_body 16m;")],
        |_| (),
    ),
    ("body-buffer", &[("client_body_buffer_size 256k;", "")], |_| ()),
    ("header-buffers", &[("large_client_header_buffers 4 32k;", "")], |_| ()),
    ("workers", &[("worker_processes auto;", "")], |_| ()),
    ("workers", &[("worker_processes auto;", "worker_processes 1;")], |_| ()),
    ("connections", &[("worker_connections 4096;", "")], |facts| facts.cpus = Some(1)),
    ("zone-size", &[], |facts| facts.clients = Some(7_000)),
    (
        "shutdown-timeout",
        &[("user www-data;", "user www-data; worker_shutdown_timeout 10s;")],
        |_| (),
    ),
    (
        "endless-workers",
        &[("location /v1/realtime {", "location /v1/realtime { tollgate_upgrade allow;")],
        |_| (),
    ),
    ("leeway", &[("leeway 30s", "leeway 1h")], |_| ()),
    ("unreadable", &[], |facts| {
        facts.files.get_mut("/etc/nginx/tollgate/keys.json").unwrap().file.as_mut().unwrap().gid =
            0;
    }),
    ("unreadable", &[], |facts| {
        facts.files.get_mut("/etc/nginx/tollgate/jwks.json").unwrap().folders[1].mode = 0o700
    }),
    ("unreadable", &[], |facts| {
        facts.files.get_mut("/etc/nginx/tollgate/keys.json").unwrap().file = None
    }),
    ("world-readable", &[], |facts| {
        let log = facts.files.get_mut("/var/log/nginx/tollgate.log").unwrap();
        log.file.as_mut().unwrap().mode = 0o644;
    }),
    ("world-readable", &[], |facts| {
        facts.files.get_mut("/etc/tls/key.pem").unwrap().file.as_mut().unwrap().mode = 0o644;
    }),
    ("world-writable", &[], |facts| {
        let state = facts.files.get_mut("/var/lib/tollgate/state").unwrap();
        state.folders[1].mode = 0o777;
    }),
    ("unwritable-state", &[], |facts| {
        facts.files.get_mut("/var/lib/tollgate/state").unwrap().folders[1].uid = 0;
    }),
    ("module", &[], |facts| {
        facts.said.push(said(
            Severity::Error,
            "module \"/usr/lib/nginx/modules/libtollgate.so\" version 1022001 instead of 1024000",
        ));
    }),
    ("module", &[], |facts| {
        facts.said.push(said(Severity::Error, "unknown directive \"tollgate_zone\""))
    }),
    ("nginx", &[], |facts| {
        facts.said.push(said(Severity::Warning, "tollgate_limit \"x\" has no effect"))
    }),
    ("refused-keys", &[], |facts| {
        facts.refused.push(Refused {
            paths: vec!["/k.json".to_owned()],
            why: "no JSON".to_owned(),
            keys: None,
        });
    }),
    ("replaced-module", &[], |facts| facts.replaced_module = Some("/x.so".to_owned())),
    ("not-protected", &[("tollgate on;", "")], |_| ()),
    (
        "not-protected",
        &[
            ("tollgate on;", ""),
            ("tollgate_zone zone=tollgate:10m state=/var/lib/tollgate/state;", ""),
        ],
        |_| (),
    ),
    ("clock", &[], |facts| facts.is_clock_kept = Some(false)),
];

fn store(facts: &mut Facts) -> &mut Store {
    facts.store.as_mut().unwrap().as_mut().unwrap()
}

fn server(facts: &mut Facts) -> &mut StoreServer {
    store(facts).server.as_mut().unwrap()
}

fn said(severity: Severity, text: &str) -> Said {
    Said { severity, text: text.to_owned(), place: None }
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(found(GOOD, &good_facts()), []);
    assert_eq!(found(GOOD, &Facts::default()), []);
}

#[test]
fn each_mistake_is_found_by_its_check_and_by_no_other() {
    for (check, replaced, plant) in PLANTED {
        let mut text = GOOD.to_owned();
        for (from, to) in *replaced {
            assert!(text.contains(from), "{from}");
            text = text.replacen(from, to, 1);
        }
        let mut facts = good_facts();
        plant(&mut facts);
        let found = found(&text, &facts);
        let names: BTreeSet<&str> = found.iter().map(|finding| finding.check).collect();
        assert_eq!(names, BTreeSet::from([*check]), "{replaced:?}: {found:#?}");
        for finding in &found {
            assert!(!finding.what.ends_with('.'), "{}", finding.what);
            assert!(finding.why.ends_with('.'), "{}", finding.why);
            assert!(
                *check == "nginx" || *check == "unreadable" || !finding.mend.is_empty(),
                "{check}"
            );
            assert!(!finding.mend.iter().any(String::is_empty), "{check}");
        }
    }
}

#[test]
fn every_check_has_a_mistake_planted_for_it() {
    let all: BTreeSet<&str> = CHECKS.iter().copied().flatten().map(|check| check.name).collect();
    let planted: BTreeSet<&str> = PLANTED.iter().map(|(check, ..)| *check).collect();
    assert_eq!(all, planted);
    assert_eq!(all.len(), CHECKS.iter().copied().flatten().count(), "two checks of one name");
}

#[test]
fn who_is_kept_out_by_nginx_itself_does_not_get_past_tollgate() {
    let with = |location: &str| {
        let text = GOOD
            .replace("return 403;", &format!("location {location} proxy_pass http://engine; }}"));
        found(&text, &good_facts()).iter().map(|finding| finding.check).collect::<Vec<_>>()
    };
    for location in [
        "/ { allow 10.0.0.0/8; deny all;",
        "/ { auth_basic operators; auth_basic_user_file f;",
        "/ { auth_request /ask;",
        "= /health {",
        "/ { internal;",
    ] {
        assert_eq!(with(location), [""; 0], "{location}");
    }
    for location in ["/ { deny 10.0.0.1;", "/ { auth_basic off;", "/health {", "= /v1/models {"] {
        assert_eq!(with(location), ["unguarded"], "{location}");
    }
}

#[test]
fn the_rights_of_a_file_are_told_once() {
    let mut facts = good_facts();
    let keys = facts.files.get_mut("/etc/nginx/tollgate/keys.json").unwrap();
    keys.file.as_mut().unwrap().gid = 0;
    let place = found(GOOD, &facts)[0].place.clone();
    let text = "the user of the workers may not be able to read \"/etc/nginx/tollgate/keys.json\"";
    facts.said.push(Said { place, ..said(Severity::Warning, text) });
    let names: Vec<&str> = found(GOOD, &facts).iter().map(|finding| finding.check).collect();
    assert_eq!(names, ["unreadable"]);
    // Where nobody else tells of it, nginx does.
    facts.workers = None;
    let names: Vec<&str> = found(GOOD, &facts).iter().map(|finding| finding.check).collect();
    assert_eq!(names, ["nginx"]);
}

#[test]
fn what_is_ignored_is_not_looked_for() {
    let conf = Conf::new(parse(&GOOD.replace("proxy_buffering off;", ""), "nginx.conf").unwrap());
    let ignored = ["buffering".to_owned()];
    assert_eq!(examine(&conf, &good_facts(), &Folders::default(), &ignored), []);
}

#[test]
fn a_finding_names_the_line_that_is_to_be_changed() {
    let text = GOOD.replace("proxy_read_timeout 10m;", "proxy_read_timeout 30s;");
    let line = 1 + text.lines().position(|line| line.contains("proxy_read_timeout 30s;")).unwrap();
    let found = found(&text, &good_facts());
    // Of the two locations in which it holds, it is told once.
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].place.as_ref().unwrap().to_string(), format!("nginx.conf:{line}"));
    assert_eq!(found[0].mend, ["proxy_read_timeout 10m;"]);
}

#[test]
fn what_newer_versions_of_nginx_do_by_themselves_is_not_asked_for() {
    let mut text = GOOD.replacen("proxy_set_header Connection \"\";", "", 1);
    for line in ["proxy_http_version 1.1;", "keepalive 32;"] {
        text = text.replacen(line, "", 1);
    }
    let facts = Facts { nginx: Some((1, 29, 7)), ..good_facts() };
    assert_eq!(found(&text, &facts), []);
    let facts = Facts { nginx: Some((1, 29, 6)), ..good_facts() };
    let names: BTreeSet<&str> = found(&text, &facts).iter().map(|finding| finding.check).collect();
    assert_eq!(names, BTreeSet::from(["http-version", "keepalive"]));
}

#[test]
fn the_worst_comes_first() {
    let text =
        GOOD.replace("listen 443 ssl;", "listen 443;").replace("client_body_buffer_size 256k;", "");
    let severities: Vec<Severity> =
        found(&text, &good_facts()).iter().map(|f| f.severity).collect();
    assert_eq!(severities, [Severity::Error, Severity::Note]);
}

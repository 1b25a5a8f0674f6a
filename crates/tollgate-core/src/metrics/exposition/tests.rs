//! What is written is what a strict reader of the formats understands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;

use proptest::prelude::*;

use super::*;
use crate::clock::UnixMillis;
use crate::decision::Reason;
use crate::limits::{Area, Process};
use crate::llm::{Source, Usage};
use crate::metrics::bounds;
use crate::metrics::counter::AuthResult;
use crate::metrics::flow::{Flow, Observation, Outcome};
use crate::metrics::recorder::Origin;
use crate::metrics::{
    tier_cells, Counter, Event, Name, Observations, Readings, Recorder, MEMORY_WORDS,
};
use crate::principal::AuthMethod;

const NOW: UnixMillis = UnixMillis(1_796_000_000_000);

/// A sample: its name and its labels.
type Series = (String, BTreeMap<String, String>);

/// A family, as its lines have it.
#[derive(Debug, Default)]
struct Read {
    kind: String,
    unit: Option<String>,
    samples: Vec<(Series, f64)>,
}

/// Reads a text, and panics at whatever the formats don't allow.
fn read(text: &[u8], format: Format) -> Vec<(String, Read)> {
    let text = std::str::from_utf8(text).unwrap();
    assert!(text.ends_with('\n'));
    let mut lines: Vec<&str> = text.strip_suffix('\n').unwrap().split('\n').collect();
    if format == Format::OpenMetrics {
        assert_eq!(lines.pop(), Some("# EOF"));
    }
    let mut families: Vec<(String, Read)> = Vec::new();
    for line in lines {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.is_empty() && !help.contains(['\\', '"']), "{help}");
            assert!(families.iter().all(|(other, _)| other != name), "{name} twice");
            families.push((name.to_owned(), Read::default()));
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            let (last, read) = families.last_mut().unwrap();
            assert_eq!(name, last);
            read.kind = kind.to_owned();
        } else if let Some(rest) = line.strip_prefix("# UNIT ") {
            let (name, unit) = rest.split_once(' ').unwrap();
            let (last, read) = families.last_mut().unwrap();
            assert_eq!(name, last);
            assert!(format == Format::OpenMetrics && name.ends_with(&format!("_{unit}")), "{line}");
            read.unit = Some(unit.to_owned());
        } else {
            let (series, value) = sample(line);
            let (family, read) = families.last_mut().unwrap();
            let rest = series.0.strip_prefix(family.as_str()).unwrap();
            let is_open = format == Format::OpenMetrics;
            let ends: &[&str] = match read.kind.as_str() {
                "counter" if is_open => &["_total"],
                "info" if is_open => &["_info"],
                "histogram" => &["_bucket", "_sum", "_count"],
                "counter" | "gauge" => &[""],
                other => panic!("a {other}"),
            };
            assert!(ends.contains(&rest), "{line}");
            read.samples.push((series, value));
        }
    }
    let all = families.iter().flat_map(|(_, read)| &read.samples);
    let distinct: BTreeSet<_> = all.clone().map(|(series, _)| series).collect();
    assert_eq!(distinct.len(), all.count());
    families
}

fn sample(line: &str) -> (Series, f64) {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let end = line.bytes().position(|byte| !is_name(byte)).unwrap();
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap();
            assert!(label.bytes().all(is_name), "{line}");
            let mut value = String::new();
            let mut chars = after.chars();
            loop {
                match chars.next().unwrap() {
                    '"' => break,
                    '\\' => value.push(match chars.next().unwrap() {
                        'n' => '\n',
                        escaped @ ('\\' | '"') => escaped,
                        other => panic!("\\{other} in {line}"),
                    }),
                    other => value.push(other),
                }
            }
            assert!(labels.insert(label.to_owned(), value).is_none(), "{label} twice in {line}");
            rest = chars.as_str();
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').unwrap();
    }
    let value: f64 = rest.strip_prefix(' ').unwrap().parse().unwrap();
    assert!(value.is_finite() && value >= 0.0, "{line}");
    ((name.to_owned(), labels), value)
}

fn value(families: &[(String, Read)], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let wanted: BTreeMap<String, String> =
        labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut all = families.iter().flat_map(|(_, read)| &read.samples);
    all.find(|((found, labels), _)| found == name && *labels == wanted).map(|(_, value)| *value)
}

fn observed(model: &str) -> Readings {
    let words: Vec<AtomicU64> = (0..MEMORY_WORDS).map(|_| AtomicU64::new(0)).collect();
    let memory = Observations::format(&words).unwrap();
    let mut worker = Recorder::new(&memory, Process { pid: 1, started: 1 }, |_| true).unwrap();
    for endpoint in ["/v1/chat/completions", "/v1/completions"] {
        let mut name = |text| worker.name(&memory, text, Origin::Configured);
        let flow = Flow { tier: name("pro"), model: name(model), endpoint: name(endpoint) };
        let usage = Usage { input: 100, output: 11, cached_input: 64, ..Usage::default() };
        let observation = Observation {
            flow,
            outcome: Outcome::Allowed,
            status: 200,
            duration_ms: 1250,
            usage: Some((Source::Measured, usage)),
            cost_nanos: 1_500_000_000,
            ttft_ms: Some(250),
        };
        worker.observe(&memory, &observation, NOW);
        let refused = Outcome::Denied(Reason::RequestsExceeded);
        let refused = Observation { outcome: refused, usage: None, ttft_ms: None, ..observation };
        worker.observe(&memory, &refused, NOW);
        worker.tier_of(&memory, flow.tier).unwrap().add(&memory, tier_cells::IN_FLIGHT);
        worker.tier_of(&memory, flow.tier).unwrap().waited(&memory, 20_500);
        let (first, second) = (flow.model, worker.name(&memory, "502", Origin::Configured));
        let family = crate::metrics::Family::UpstreamErrors;
        memory.count_event(Event { family, first, second, third: Name::NONE }, 2);
    }
    worker.count(&memory, Counter::Auth(Some(AuthMethod::Jwt), AuthResult::Accepted), 3);
    worker.count(&memory, Counter::Auth(None, AuthResult::Refused(Reason::MissingCredential)), 1);
    Readings::of(&memory, |_| true)
}

fn gauges() -> Gauges {
    let client = |name: &str| Client {
        client: name.to_owned(),
        requests: 7,
        refused: 1,
        input_tokens: 60,
        output_tokens: 30,
        cost_nanos: 12_340_000_000,
        ..Client::default()
    };
    Gauges {
        version: "0.1.0".to_owned(),
        nginx: "1.28.3".to_owned(),
        workers: 4,
        keys: vec![Keys {
            file: "/etc/keys.json".to_owned(),
            generation: 3,
            states: vec![("active", 5), ("expired", 0)],
            told: Some(Told { is_taken: false, current: 3, behind: 1 }),
        }],
        guard_files: vec![
            GuardFile {
                file: "/etc/rules".to_owned(),
                what: "rules",
                version: "2026-12-01+acme-1".to_owned(),
                sha256: "0123456789abcdef".to_owned(),
                count: Some(46),
                since_ms: Some(1_780_000_000_500),
                told: Some(Told { is_taken: true, current: 4, behind: 0 }),
            },
            GuardFile { file: "/etc/terms".to_owned(), what: "terms", ..GuardFile::default() },
        ],
        zone: vec![
            (Part::Area(Area::Clients), Census { used: 10, places: 100 }),
            (Part::Workers, Census { used: 4, places: 64 }),
        ],
        clients: vec![client("acme"), client("\u{202e}evil \"quoted\\\"\nnext")],
        nearest: vec![Nearest {
            client: "acme".to_owned(),
            tier: "pro".to_owned(),
            limit: "budget 20/day".to_owned(),
            used_ratio: 0.98765,
        }],
        networks: vec![KeyNetworks {
            client: "acme".to_owned(),
            key_id: "k1".to_owned(),
            networks: 9,
        }],
        cluster: Some(ClusterGauges {
            is_up: true,
            nodes: 2,
            expected_nodes: 4,
            leases: 3,
            places: 10,
        }),
    }
}

#[test]
fn both_formats_tell_the_same() {
    let (readings, gauges) = (observed("llama"), gauges());
    let prometheus = read(&write(&readings, &gauges, Format::Prometheus), Format::Prometheus);
    let open = read(&write(&readings, &gauges, Format::OpenMetrics), Format::OpenMetrics);
    let samples = |families: &[(String, Read)]| -> Vec<(Series, f64)> {
        families.iter().flat_map(|(_, read)| read.samples.clone()).collect()
    };
    assert_eq!(samples(&prometheus), samples(&open));
    let kinds: Vec<_> =
        open.iter().map(|(name, read)| (name.as_str(), read.kind.as_str())).collect();
    assert!(kinds.contains(&("tollgate_build", "info")));
    assert!(kinds.contains(&("tollgate_requests", "counter")));
    let kinds: Vec<_> =
        prometheus.iter().map(|(name, read)| (name.as_str(), read.kind.as_str())).collect();
    assert!(kinds.contains(&("tollgate_build_info", "gauge")));
    assert!(kinds.contains(&("tollgate_requests_total", "counter")));
    let units: Vec<_> = open.iter().filter_map(|(_, read)| read.unit.as_deref()).collect();
    assert_eq!(units, [vec!["seconds"; 8], vec!["ratio"]].concat());
    assert!(prometheus.iter().all(|(_, read)| read.unit.is_none()));
}

#[test]
fn every_family_is_there_in_the_order_of_the_table_also_when_nothing_was_counted() {
    for format in [Format::Prometheus, Format::OpenMetrics] {
        for (readings, gauges) in
            [(Readings::default(), Gauges::default()), (observed("llama"), gauges())]
        {
            let families = read(&write(&readings, &gauges, format), format);
            let suffix = |family: &Family| match format {
                Format::Prometheus => family.kind.suffix(),
                Format::OpenMetrics => "",
            };
            let names: Vec<_> = families.iter().map(|(name, _)| name.clone()).collect();
            // Those of a cluster are for nodes of a cluster.
            let table: Vec<_> = family::ALL
                .iter()
                .filter(|family| {
                    gauges.cluster.is_some() || !family.name.starts_with("tollgate_cluster_")
                })
                .collect();
            let expected: Vec<_> =
                table.iter().map(|family| format!("{}{}", family.name, suffix(family))).collect();
            assert_eq!(names, expected);
            // And each sample has the labels of the table.
            for ((_, read), family) in families.iter().zip(table) {
                for ((name, labels), _) in &read.samples {
                    let mut names: BTreeSet<&str> = labels.keys().map(String::as_str).collect();
                    assert_eq!(names.remove("le"), name.ends_with("_bucket"), "{name}");
                    assert_eq!(names, family.labels.iter().copied().collect(), "{name}");
                }
            }
        }
    }
}

#[test]
fn what_is_in_a_closed_list_is_shown_as_0_from_the_start() {
    let text = write(&Readings::default(), &Gauges::default(), Format::Prometheus);
    let families = read(&text, Format::Prometheus);
    let mut zeros = vec![
        ("tollgate_audit_lines_total", vec![("result", "written")]),
        ("tollgate_audit_lines_total", vec![("result", "lost")]),
        ("tollgate_state_writes_total", vec![("result", "ok")]),
        ("tollgate_state_writes_total", vec![("result", "error")]),
        ("tollgate_panics_total", vec![]),
        ("tollgate_uncounted_requests_total", vec![]),
    ];
    zeros.extend(Part::ALL.map(|part| ("tollgate_zone_full_total", vec![("part", part.as_str())])));
    for (name, labels) in zeros {
        assert_eq!(value(&families, name, &labels), Some(0.0), "{name} {labels:?}");
    }
}

#[test]
fn wrong_credentials_and_refused_files_are_shown_as_0_from_the_start() {
    let text = write(&Readings::default(), &gauges(), Format::Prometheus);
    let families = read(&text, Format::Prometheus);
    let of = |method: &str, result: &str| {
        value(&families, "tollgate_auth_total", &[("method", method), ("result", result)])
    };
    for method in ["api_key", "jwt", "client_cert", "introspection"] {
        for reason in Reason::ALL {
            let expected = reason.is_auth_failure().then_some(0.0);
            assert_eq!(of(method, reason.as_str()), expected, "{method} {reason:?}");
        }
    }
    assert_eq!(of("api_key", "accepted"), None);
    assert_eq!(of("none", "invalid_credential"), None);
    let failures = |families: &[(String, Read)], file| {
        value(families, "tollgate_load_failures_total", &[("file", file)])
    };
    assert_eq!(failures(&families, "/etc/keys.json"), Some(0.0));
    // And those of a file that were counted are there once.
    let words: Vec<AtomicU64> = (0..MEMORY_WORDS).map(|_| AtomicU64::new(0)).collect();
    let memory = Observations::format(&words).unwrap();
    let mut worker = Recorder::new(&memory, Process { pid: 1, started: 1 }, |_| true).unwrap();
    let first = worker.name(&memory, "/etc/keys.json", Origin::Configured);
    let family = crate::metrics::Family::LoadFailures;
    memory.count_event(Event { family, first, second: Name::NONE, third: Name::NONE }, 2);
    let text = write(&Readings::of(&memory, |_| true), &gauges(), Format::Prometheus);
    assert_eq!(failures(&read(&text, Format::Prometheus), "/etc/keys.json"), Some(2.0));
}

#[test]
fn numbers_are_what_was_counted() {
    let families =
        read(&write(&observed("llama"), &gauges(), Format::OpenMetrics), Format::OpenMetrics);
    let is = |name: &str, labels: &[(&str, &str)], expected: f64| {
        assert_eq!(value(&families, name, labels), Some(expected), "{name} {labels:?}");
    };
    let flow = [("tier", "pro"), ("model", "llama"), ("endpoint", "/v1/completions")];
    let model = [("tier", "pro"), ("model", "llama")];
    let with = |labels: &[(&'static str, &'static str)], more: &[(&'static str, &'static str)]| {
        [labels, more].concat()
    };
    is("tollgate_requests_total", &with(&flow, &[("decision", "allow"), ("reason", "")]), 1.0);
    let refused = [("decision", "deny"), ("reason", "requests_exceeded")];
    is("tollgate_requests_total", &with(&flow, &refused), 1.0);
    // Those of both endpoints together.
    let tokens = |kind| with(&model, &[("type", kind), ("usage", "measured")]);
    is("tollgate_tokens_total", &tokens("input"), 200.0);
    is("tollgate_tokens_total", &tokens("output"), 22.0);
    is("tollgate_tokens_total", &tokens("cached"), 128.0);
    is("tollgate_cost_total", &model, 3.0);
    is("tollgate_request_duration_seconds_sum", &flow, 2.5);
    is("tollgate_request_duration_seconds_count", &flow, 2.0);
    for (bound, count) in [("0.64", 0.0), ("1.28", 2.0), ("81.92", 2.0), ("+Inf", 2.0)] {
        is("tollgate_request_duration_seconds_bucket", &with(&flow, &[("le", bound)]), count);
    }
    is("tollgate_time_to_first_token_seconds_sum", &model, 0.5);
    is("tollgate_time_to_first_token_seconds_bucket", &with(&model, &[("le", "0.25")]), 2.0);
    // A second for ten tokens.
    is("tollgate_time_per_output_token_seconds_sum", &model, 0.2);
    is("tollgate_time_per_output_token_seconds_count", &model, 2.0);
    let output = with(&model, &[("type", "output")]);
    is("tollgate_tokens_per_request_sum", &output, 22.0);
    is("tollgate_tokens_per_request_bucket", &with(&output, &[("le", "16.0")]), 2.0);
    is("tollgate_queue_wait_seconds_sum", &[("tier", "pro")], 41.0);
    is("tollgate_in_flight", &[("tier", "pro")], 2.0);
    is("tollgate_auth_total", &[("method", "jwt"), ("result", "accepted")], 3.0);
    is("tollgate_auth_total", &[("method", "none"), ("result", "missing_credential")], 1.0);
    is("tollgate_upstream_errors_total", &[("model", "llama"), ("status", "502")], 4.0);
    is("tollgate_keys", &[("file", "/etc/keys.json"), ("state", "active")], 5.0);
    is("tollgate_keys_generation", &[("file", "/etc/keys.json")], 3.0);
    is("tollgate_keys_in_force", &[("file", "/etc/keys.json")], 0.0);
    is("tollgate_keys_workers", &[("file", "/etc/keys.json"), ("state", "current")], 3.0);
    is("tollgate_keys_workers", &[("file", "/etc/keys.json"), ("state", "behind")], 1.0);
    let rules = [
        ("file", "/etc/rules"),
        ("kind", "rules"),
        ("version", "2026-12-01+acme-1"),
        ("sha256", "0123456789ab"),
    ];
    is("tollgate_guard_file", &rules, 46.0);
    is("tollgate_guard_file_in_force", &rules[..1], 1.0);
    let since = "tollgate_guard_file_since_timestamp_seconds";
    is(since, &rules[..1], 1_780_000_000.0);
    is("tollgate_guard_file_workers", &[("file", "/etc/rules"), ("state", "current")], 4.0);
    is("tollgate_load_failures_total", &[("file", "/etc/terms")], 0.0);
    is("tollgate_zone_slots", &[("part", "clients"), ("state", "free")], 90.0);
    is("tollgate_workers", &[], 4.0);
    is("tollgate_build_info", &[("version", "0.1.0"), ("nginx", "1.28.3")], 1.0);
    is("tollgate_client_cost_total", &[("client", "acme")], 12.34);
    is("tollgate_client_tokens_total", &[("client", "\u{202e}evil \"quoted\\\"\nnext")], 90.0);
    let budget = [("client", "acme"), ("tier", "pro"), ("limit", "budget 20/day")];
    is("tollgate_budget_used_ratio", &budget, 0.98765);
    is("tollgate_key_networks", &[("client", "acme"), ("key_id", "k1")], 9.0);
}

#[test]
fn a_histogram_of_nothing_is_left_out() {
    let text = write(&observed("llama"), &Gauges::default(), Format::Prometheus);
    let refused_only = "tollgate_tokens_per_request_bucket{tier=\"pro\",model=\"\"";
    assert!(!String::from_utf8(text).unwrap().contains(refused_only));
    let text = write(&Readings::default(), &Gauges::default(), Format::Prometheus);
    assert!(!String::from_utf8(text).unwrap().contains("_bucket"));
}

#[test]
fn bounds_are_spelled_as_prometheus_does() {
    for bounds in [bounds::DURATION, bounds::FIRST_TOKEN, bounds::PER_OUTPUT_TOKEN, bounds::TOKENS]
    {
        assert_eq!(bounds.texts.len(), bounds.upper.len());
        for (text, upper) in bounds.texts.iter().zip(bounds.upper) {
            let number: f64 = text.parse().unwrap();
            assert!((number * bounds.scale as f64 - *upper as f64).abs() < 1e-6, "{text}");
            assert!(text.contains('.'), "{text}");
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_in_a_name_is_read_again(model in "\\PC{1,40}|[\\x01-\\x7f]{1,40}|[\"\\\\\n]{1,10}") {
        let mut readings = Readings::default();
        let event = (crate::metrics::Family::UpstreamErrors, model.clone(), "502".to_owned());
        readings.events.insert(event, 4);
        let text = write(&readings, &Gauges::default(), Format::OpenMetrics);
        let families = read(&text, Format::OpenMetrics);
        let labels = [("model", model.as_str()), ("status", "502")];
        prop_assert_eq!(value(&families, "tollgate_upstream_errors_total", &labels), Some(4.0));
    }
}

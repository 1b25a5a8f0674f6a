//! What is shown is what was counted.

use std::sync::atomic::AtomicU64;

use serde_json::{json, Value};

use super::recent::{Recent, STEP_MS, WINDOW_MS};
use super::*;
use crate::decision::{Decision, Reason};
use crate::guards::{Action, Rule};
use crate::limits::census::Census;
use crate::limits::{Area, Process};
use crate::llm::{Source, Usage};
use crate::metrics::readings::last_hour;
use crate::metrics::recorder::Origin;
use crate::metrics::{Event, Flow, Observation, Observations, Outcome, Recorder, MEMORY_WORDS};
use crate::status::{Description, Failure, Phase, SetDescription, SetKind, SetState, Sign, Worker};

use tollgate_guard::detector::Family as Of;

const MINUTE: i64 = 60_000;
/// At the half of a minute.
const NOW: UnixMillis = UnixMillis(29_930_000 * MINUTE + 30_000);

fn later(ms: i64) -> UnixMillis {
    UnixMillis(NOW.0 + ms)
}

struct Server {
    words: Vec<AtomicU64>,
}

impl Server {
    fn new() -> Self {
        Self { words: (0..MEMORY_WORDS).map(|_| AtomicU64::new(0)).collect() }
    }

    fn memory(&self) -> Observations<'_> {
        Observations::attach(&self.words).or_else(|_| Observations::format(&self.words)).unwrap()
    }

    fn worker(&self) -> Recorder {
        Recorder::new(&self.memory(), Process { pid: 7, started: 1 }, |_| true).unwrap()
    }

    fn readings(&self) -> Readings {
        Readings::of(&self.memory(), |_| true)
    }

    fn seen(&self, recent: &Recent, status: Option<&Status>, now: UnixMillis) -> Value {
        let (readings, hour) = (self.readings(), last_hour(&self.memory(), now));
        let part = |area, used, places| (metrics::Part::Area(area), Census { used, places });
        let zone = [part(Area::Clients, 3, 100), part(Area::Failures, 0, 10)];
        let sources = Sources {
            nginx: "1.22.1",
            readings: &readings,
            recent,
            hour: &hour,
            workers: 2,
            status,
            zone: &zone,
            guards: &[],
            cluster: None,
        };
        serde_json::from_slice(&Overview::of(&sources, now).to_json()).unwrap()
    }
}

/// A request for this model ends: with so many milliseconds to its first token, or refused.
fn ends(
    server: &Server,
    worker: &mut Recorder,
    model: &str,
    ttft: Result<u64, Reason>,
    now: UnixMillis,
) {
    let memory = server.memory();
    let flow = Flow {
        tier: worker.name(&memory, "pro", Origin::Configured),
        model: worker.name(&memory, model, Origin::Clients),
        endpoint: worker.name(&memory, "/v1/chat/completions", Origin::Configured),
    };
    let usage = Usage { input: 1000, output: 101, ..Usage::default() };
    let observation = Observation {
        flow,
        outcome: Outcome::of(Some(ttft.err().map_or(Decision::Allow, Decision::Deny)), None),
        status: if ttft.is_ok() { 200 } else { 429 },
        duration_ms: ttft.unwrap_or(0) + 5000,
        usage: ttft.ok().map(|_| (Source::Measured, usage)),
        cost_nanos: if ttft.is_ok() { 2_500_000 } else { 0 },
        ttft_ms: ttft.ok(),
    };
    worker.observe(&memory, &observation, now);
}

#[test]
fn what_goes_through_the_server_is_seen_at_once() {
    let server = Server::new();
    let mut worker = server.worker();
    let mut recent = Recent::default();
    recent.note(&server.readings(), later(-2 * MINUTE));
    (0..6).for_each(|_| ends(&server, &mut worker, "llama", Ok(40), later(-MINUTE)));
    (0..3).for_each(|_| ends(&server, &mut worker, "llama", Ok(40), NOW));
    ends(&server, &mut worker, "", Err(Reason::InvalidCredential), NOW);
    let memory = server.memory();
    let tier = worker.name(&memory, "pro", Origin::Configured);
    worker.tier_of(&memory, tier).unwrap().add(&memory, tier_cells::IN_FLIGHT);
    worker.tier_of(&memory, tier).unwrap().add(&memory, tier_cells::IN_FLIGHT);
    worker.tier_of(&memory, tier).unwrap().add(&memory, tier_cells::QUEUED);

    let seen = server.seen(&recent, None, NOW);
    // Four of this minute, and half of the six of the one before.
    assert_eq!(seen["requests_per_second"], json!(0.117));
    assert_eq!(seen["tokens_per_second"], json!(110.1));
    assert_eq!((&seen["in_flight"], &seen["queued"]), (&json!(2), &json!(1)));
    assert_eq!(seen["tiers"], json!([{"tier": "pro", "in_flight": 2, "queued": 1}]));
    assert_eq!(seen["window_seconds"], json!(120));
    assert_eq!(
        seen["models"],
        json!([
            {"model": "llama", "requests": 9, "recent": 9, "ttft_p50_ms": 30.0, "ttft_p95_ms": 39.0,
             "tokens_per_second_per_request": 20.0, "input_tokens": 9000, "output_tokens": 909, "cost": "0.0225"},
            {"model": "", "requests": 1, "recent": 1, "input_tokens": 0, "output_tokens": 0, "cost": "0"},
        ])
    );
    assert_eq!(
        seen["refusals"],
        json!([{"reason": "invalid_credential", "count": 1, "recent": 1}])
    );
    let minutes = seen["minutes"].as_array().unwrap();
    assert_eq!(minutes.len(), 61);
    assert_eq!(
        minutes[60],
        json!({"at": "2026-11-27T17:20:00.000Z", "requests": 4, "refused": 1, "errors": 0,
               "input": 3000, "output": 303, "cost": "0.0075", "ttft_ms": 40})
    );
    assert_eq!((&minutes[59]["requests"], &minutes[58].get("ttft_ms")), (&json!(6), &None));
    assert_eq!(seen["now"], "2026-11-27T17:20:30.000Z");
    assert_eq!(seen.get("since"), None);
    assert_eq!((&seen["workers"], &seen["nginx"]), (&json!(2), &json!("1.22.1")));
}

#[test]
fn models_are_judged_by_the_last_minutes() {
    let server = Server::new();
    let mut worker = server.worker();
    let mut recent = Recent::default();
    let model = |recent: &Recent, now, index: usize| {
        server.seen(recent, None, now)["models"][index].clone()
    };
    let mut now = NOW;
    (0..100).for_each(|_| ends(&server, &mut worker, "slow", Ok(9000), now));
    recent.note(&server.readings(), now);
    assert!(
        !recent.is_due(UnixMillis(now.0 + STEP_MS - 1))
            && recent.is_due(UnixMillis(now.0 + STEP_MS))
    );
    assert_eq!(model(&recent, now, 0)["requests"], 100);
    assert_eq!(model(&recent, now, 0)["recent"], 0);
    assert_eq!(model(&recent, now, 0).get("ttft_p50_ms"), None, "nothing came since");

    ends(&server, &mut worker, "fast", Ok(1), now);
    assert_eq!(model(&recent, now, 0)["model"], "fast", "what is used now is first");
    assert_eq!(model(&recent, now, 0)["ttft_p50_ms"], 0.5);

    // What is too long ago counts no more.
    for _ in 0..=WINDOW_MS / STEP_MS {
        now.0 += STEP_MS;
        recent.note(&server.readings(), now);
        let window = i64::try_from(recent.window_ms(now)).unwrap();
        assert!(window <= WINDOW_MS, "{window}");
    }
    assert!(recent.window_ms(now) >= (WINDOW_MS - STEP_MS) as u64);
    assert_eq!(
        model(&recent, now, 0)["model"],
        "slow",
        "of two that aren't used, the one that was"
    );
    assert_eq!(model(&recent, now, 1).get("ttft_p50_ms"), None);
}

#[test]
fn clock_that_was_set_back_makes_a_new_beginning() {
    let server = Server::new();
    let mut recent = Recent::default();
    recent.note(&server.readings(), NOW);
    let before = later(-3_600_000);
    assert!(recent.is_due(before));
    recent.note(&server.readings(), before);
    assert_eq!(recent.window_ms(before), 0);
    assert_eq!(recent.window_ms(later(-3_599_000)), 1000);
}

#[test]
fn only_so_many_models_are_shown() {
    let server = Server::new();
    let mut worker = server.worker();
    for model in 0..130 {
        ends(&server, &mut worker, &format!("model-{model}"), Ok(1), NOW);
    }
    let seen = server.seen(&Recent::default(), None, NOW);
    assert_eq!(seen["models"].as_array().unwrap().len(), 100);
    assert_eq!(seen["more_models"], 30);
}

#[test]
fn what_is_counted_beside_requests_is_shown_as_well() {
    let server = Server::new();
    let (mut worker, memory) = (server.worker(), server.memory());
    worker.count(&memory, Counter::AuditWritten, 5);
    worker.count(&memory, Counter::AuditLost, 1);
    worker.count(&memory, Counter::StateFailed, 2);
    worker.count(&memory, Counter::Panic, 3);
    worker.count(&memory, Counter::ZoneFull(metrics::Part::Area(Area::Failures)), 4);
    for (provider, result, times) in [
        ("/_jwks", "ok", 9),
        ("/_jwks", "timeout", 2),
        ("/_oidc", "error", 1),
        ("/_jwks", "error", 3),
    ] {
        let mut name = |text| worker.name(&memory, text, Origin::Configured);
        let event = Event {
            family: Family::ProviderRequests,
            first: name(provider),
            second: name(result),
            third: crate::metrics::Name::NONE,
        };
        memory.count_event(event, times);
    }
    let seen = server.seen(&Recent::default(), None, NOW);
    assert_eq!(seen["audit"], json!({"written": 5, "lost": 1}));
    assert_eq!(seen["state"], json!({"ok": 0, "error": 2}));
    assert_eq!(seen["panics"], 3);
    assert_eq!(
        seen["zone"],
        json!([{"part": "clients", "used": 3, "slots": 100, "full": 0},
               {"part": "failures", "used": 0, "slots": 10, "full": 4}])
    );
    assert_eq!(
        seen["providers"],
        json!([{"provider": "/_jwks", "ok": 9, "error": 3, "timeout": 2},
               {"provider": "/_oidc", "ok": 0, "error": 1, "timeout": 0}])
    );
}

#[test]
fn keys_are_shown_as_they_are_in_force() {
    let set = |path: &str, kind| SetDescription { kind, paths: vec![path.to_owned()] };
    let worker = |generation| Worker {
        pid: 1,
        phase: Phase::Running,
        sign: Sign::Beat(NOW.0),
        generations: vec![generation, 0],
    };
    let state = SetState {
        generation: 4,
        since_ms: NOW.0 - 1000,
        digests: vec!["00ff".to_owned()],
        keys: 12,
        version: String::new(),
        refused: vec!["key \"k_1\": <b>\u{202e}".to_owned()],
        refused_count: 3,
        warnings: vec!["nobody reads it".to_owned()],
        failure: Some(Failure { at_ms: NOW.0, digests: Vec::new(), error: "not JSON".to_owned() }),
    };
    let status = Status {
        description: Description {
            version: "0.1.0".to_owned(),
            since_ms: NOW.0 - 60_000,
            tiers: vec!["pro".to_owned()],
            sets: vec![set("/keys.json", SetKind::ApiKeys), set("/jwks.json", SetKind::JwtKeys)],
        },
        sets: vec![Some(state), None],
        workers: vec![worker(4), worker(3)],
    };
    let seen = Server::new().seen(&Recent::default(), Some(&status), NOW);
    assert_eq!(seen["since"], "2026-11-27T17:19:30.000Z");
    assert_eq!(
        seen["keys"],
        json!([
            {"paths": ["/keys.json"], "kind": "api_keys", "keys": 12, "generation": 4,
             "since": "2026-11-27T17:20:29.000Z", "workers_on_it": 1, "workers": 2,
             "refused": ["key \"k_1\": <b>\u{202e}"], "refused_count": 3,
             "failure": {"at": "2026-11-27T17:20:30.000Z", "error": "not JSON"},
             "warnings": ["nobody reads it"]},
            {"paths": ["/jwks.json"], "kind": "jwt_keys", "workers_on_it": 0, "workers": 2, "refused": [],
             "refused_count": 0, "warnings": []},
        ])
    );
    assert!(!seen.to_string().contains("00ff"), "no digest");
}

#[test]
fn files_of_guards_are_shown_with_what_tells_them_apart() {
    let set = |kind| SetDescription { kind, paths: vec!["/rules".to_owned()] };
    let state = SetState {
        generation: 2,
        since_ms: NOW.0,
        digests: vec!["0123456789abcdef".to_owned()],
        keys: 46,
        version: "2026-12-01+acme-1".to_owned(),
        ..SetState::default()
    };
    let terms = SetState { version: String::new(), keys: 7, ..state.clone() };
    let status = Status {
        description: Description {
            sets: vec![set(SetKind::GuardRules), set(SetKind::ApiKeys), set(SetKind::GuardTerms)],
            ..Description::default()
        },
        sets: vec![Some(state.clone()), Some(state), Some(terms)],
        workers: Vec::new(),
    };
    let seen = Server::new().seen(&Recent::default(), Some(&status), NOW);
    assert_eq!(seen["keys"].as_array().unwrap().len(), 1);
    assert_eq!(seen["keys"][0].get("sha256").or(seen["keys"][0].get("version")), None);
    assert_eq!(
        seen["guard_files"],
        json!([
            {"paths": ["/rules"], "kind": "guard_rules", "entries": 46, "version": "2026-12-01+acme-1",
             "sha256": "0123456789ab", "generation": 2, "since": "2026-11-27T17:20:30.000Z", "workers_on_it": 0,
             "workers": 0, "refused": [], "refused_count": 0, "warnings": []},
            {"paths": ["/rules"], "kind": "guard_terms", "entries": 7, "sha256": "0123456789ab", "generation": 2,
             "since": "2026-11-27T17:20:30.000Z", "workers_on_it": 0, "workers": 0, "refused": [],
             "refused_count": 0, "warnings": []},
        ])
    );
}

#[test]
fn findings_of_guards_are_shown_by_rule_and_by_minute() {
    let server = Server::new();
    let mut worker = server.worker();
    let mut found = |rule: &str, action, times, now| {
        worker.found(&server.memory(), ("strict", rule, action), times, now);
    };
    found("pii.email", Action::Mask, 5, later(-10 * MINUTE));
    found("injection", Action::Log, 1, later(-10 * MINUTE));
    let mut recent = Recent::default();
    recent.note(&server.readings(), later(-2 * MINUTE));
    found("injection", Action::Log, 2, NOW);
    found("pii.card", Action::Tokenize, 3, NOW);
    found("secrets.jwt", Action::Block, 1, NOW);
    let seen = server.seen(&recent, None, NOW);
    let row = |rule, action, count, recent| json!({"guard": "strict", "rule": rule, "action": action, "count": count, "recent": recent});
    assert_eq!(
        seen["findings"],
        json!([
            row("pii.card", "tokenize", 3, 3),
            row("injection", "log", 3, 2),
            row("secrets.jwt", "block", 1, 1),
            row("pii.email", "mask", 5, 0),
        ])
    );
    let minutes = seen["minutes"].as_array().unwrap();
    assert_eq!(minutes[60]["found"], json!({"log": 2, "mask": 3, "block": 1}));
    assert_eq!(minutes[50]["found"], json!({"log": 1, "mask": 5, "block": 0}));
    assert_eq!(minutes[55].get("found"), None);
    assert_eq!(minutes[60]["requests"], 0);
    let many = Server::new();
    let mut worker = many.worker();
    for number in 0..60 {
        let rule = format!("pattern.p{number}");
        worker.found(&many.memory(), ("g", &rule, Action::Log), 1, NOW);
    }
    let seen = many.seen(&Recent::default(), None, NOW);
    let shown = (seen["findings"].as_array().unwrap().len(), &seen["more_findings"]);
    assert_eq!(shown, (50, &json!(10)));
}

#[test]
fn what_guards_look_for_is_put_together() {
    let rule =
        |family, name: &str, action| Rule { family, name: name.into(), label: "X".into(), action };
    let rules = [
        rule(Of::Pii, "email", Action::Mask),
        rule(Of::Pii, "card", Action::Mask),
        rule(Of::Pii, "ip", Action::Log),
        rule(Of::Injection, "injection", Action::Block),
        rule(Of::List, "terms", Action::Block),
    ];
    let looks = guards::looks(&rules, Some("acme-1"));
    let shown: Vec<_> = looks
        .iter()
        .map(|look| (look.what.as_str(), look.rules, look.action, look.version.as_deref()))
        .collect();
    assert_eq!(
        shown,
        [
            ("pii", 2, "mask", None),
            ("pii", 1, "log", None),
            ("injection", 1, "block", Some("acme-1")),
            ("list.terms", 1, "block", None),
        ]
    );
}

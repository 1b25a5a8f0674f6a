//! What several workers count is what is read.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use proptest::prelude::*;

use super::counter::AuthResult;
use super::flow::cells;
use super::readings::{last_hour, FlowTexts};
use super::recorder::Origin;
use super::*;
use crate::clock::UnixMillis;
use crate::decision::{Decision, Reason};
use crate::limits::{Area, Process};
use crate::llm::{Source, Usage};
use crate::principal::AuthMethod;

fn memory() -> Vec<AtomicU64> {
    (0..MEMORY_WORDS).map(|_| AtomicU64::new(0)).collect()
}

fn process(pid: u32) -> Process {
    Process { pid, started: 7 }
}

const NOW: UnixMillis = UnixMillis(1_796_000_000_000);

fn request(flow: Flow, outcome: Outcome) -> Observation {
    let (duration_ms, usage) = (100, None);
    Observation { flow, outcome, status: 200, duration_ms, usage, cost_nanos: 0, ttft_ms: None }
}

fn flow(recorder: &mut Recorder, memory: &Observations<'_>, model: &str) -> Flow {
    Flow {
        tier: recorder.name(memory, "pro", Origin::Configured),
        model: recorder.name(memory, model, Origin::Clients),
        endpoint: recorder.name(memory, "/v1/chat/completions", Origin::Configured),
    }
}

#[test]
fn reasons_are_in_the_order_of_their_cells() {
    for (index, reason) in Reason::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, index);
    }
    for (index, part) in Part::ALL.into_iter().enumerate() {
        assert_eq!(part.index(), index);
    }
    for area in Area::ALL {
        assert_eq!(Part::ALL.get(area as usize), Some(&Part::Area(area)));
    }
    assert_eq!(Outcome::all().count(), Outcome::COUNT);
    let counters: Vec<_> = Counter::all().collect();
    assert_eq!(counters.len(), Counter::COUNT);
    for (index, counter) in counters.into_iter().enumerate() {
        assert_eq!(counter.index(), index, "{counter:?}");
    }
}

#[test]
fn an_outcome_is_what_the_log_says() {
    let of = |decision, cut_off| Outcome::of(decision, cut_off).labels();
    assert_eq!(of(Some(Decision::Allow), None), ("allow", ""));
    assert_eq!(of(None, None), ("none", ""));
    let denied = Decision::Deny(Reason::ModelDenied);
    assert_eq!(of(Some(denied), None), ("deny", "model_denied"));
    let cut_off = Some(Reason::RevokedCredential);
    assert_eq!(of(Some(Decision::Allow), cut_off), ("allow", "revoked_credential"));
}

#[test]
fn what_two_workers_count_is_one_sum() {
    let words = memory();
    let memory = Observations::format(&words).unwrap();
    let alive = |_: Process| true;
    for pid in [1, 2] {
        let mut worker = Recorder::new(&memory, process(pid), alive).unwrap();
        let flow = flow(&mut worker, &memory, "llama");
        let usage = Usage { input: 10, output: 5, cached_input: 4, ..Usage::default() };
        let observation = Observation {
            usage: Some((Source::Measured, usage)),
            cost_nanos: 30,
            ttft_ms: Some(20),
            ..request(flow, Outcome::Allowed)
        };
        worker.observe(&memory, &observation, NOW);
        worker.observe(&memory, &request(flow, Outcome::Denied(Reason::ModelDenied)), NOW);
        worker.count(&memory, Counter::Auth(Some(AuthMethod::Jwt), AuthResult::Accepted), 3);
        worker.tier_of(&memory, flow.tier).unwrap().add(&memory, tier_cells::IN_FLIGHT);
        worker.tier_of(&memory, flow.tier).unwrap().waited(&memory, 15);
    }
    let readings = Readings::of(&memory, alive);
    assert_eq!(readings.flows.len(), 1);
    let (texts, sums) = readings.flows.first_key_value().unwrap();
    let (tier, endpoint) = ("pro".to_owned(), "/v1/chat/completions".to_owned());
    assert_eq!(*texts, FlowTexts { tier, model: "llama".to_owned(), endpoint });
    let by_outcome: Vec<_> = Outcome::all().map(Outcome::labels).zip(sums).collect();
    let some: BTreeMap<_, _> = by_outcome.into_iter().filter(|(_, count)| **count > 0).collect();
    assert_eq!(some, BTreeMap::from([(("allow", ""), &2), (("deny", "model_denied"), &2)]));
    // 100 ms are in the bucket up to 160 ms.
    assert_eq!(sums[cells::DURATIONS + 4], 4);
    assert_eq!(sums[cells::DURATIONS + bounds::DURATION.sum()], 400);
    assert_eq!(sums[cells::FIRST_TOKENS + 3], 2);
    // 80 ms for four tokens: 20 ms each.
    assert_eq!(sums[cells::PER_OUTPUT_TOKENS + 1], 2);
    assert_eq!(sums[cells::PER_OUTPUT_TOKENS + bounds::PER_OUTPUT_TOKEN.sum()], 40_000);
    assert_eq!(sums[cells::TOKEN_COUNTS..cells::TOKEN_COUNTS + 4], [20, 10, 8, 0]);
    assert_eq!(sums[cells::COST], 60);
    assert_eq!(readings.tiers["pro"][tier_cells::IN_FLIGHT], 2);
    assert_eq!(readings.tiers["pro"][tier_cells::QUEUE_WAITS + 1], 2);
    let auth = Counter::Auth(Some(AuthMethod::Jwt), AuthResult::Accepted);
    assert_eq!(readings.counter(auth), 6);

    let hour = last_hour(&memory, NOW);
    assert_eq!(hour.len(), 61);
    let minute = hour.last().unwrap();
    assert_eq!((minute.requests, minute.refused, minute.input, minute.output), (4, 2, 20, 10));
    assert!(hour.iter().rev().skip(1).all(|minute| minute.requests == 0));
    let later = last_hour(&memory, UnixMillis(NOW.0 + 60_000 * 60));
    assert_eq!(later.first().unwrap().requests, 4);
    let later = last_hour(&memory, UnixMillis(NOW.0 + 60_000 * 64));
    assert!(later.iter().all(|minute| minute.requests == 0));
}

#[test]
fn where_nobody_looks_at_minutes_the_sums_are_the_same() {
    let words = memory();
    let memory = Observations::format(&words).unwrap();
    let recorder = Recorder::new(&memory, process(1), |_| true).unwrap();
    let mut recorder = recorder.without_minutes();
    let flow = flow(&mut recorder, &memory, "llama");
    recorder.observe(&memory, &request(flow, Outcome::Allowed), NOW);
    let readings = Readings::of(&memory, |_| true);
    let requests = readings.flows.values().map(|cells| cells[cells::OUTCOMES]).sum::<u64>();
    assert_eq!(requests, 1);
    assert!(last_hour(&memory, NOW).iter().all(|minute| minute.requests == 0));
    // A later worker in its row looks again.
    let mut later = Recorder::new(&memory, process(2), |_| false).unwrap();
    later.observe(&memory, &request(flow, Outcome::Allowed), NOW);
    assert_eq!(last_hour(&memory, NOW).iter().map(|minute| minute.requests).sum::<u64>(), 1);
}

#[test]
fn who_comes_after_a_dead_worker_goes_on_where_it_was() {
    let words = memory();
    let memory = Observations::format(&words).unwrap();
    let mut first = Recorder::new(&memory, process(1), |_| true).unwrap();
    let of_first = flow(&mut first, &memory, "llama");
    first.observe(&memory, &request(of_first, Outcome::Allowed), NOW);
    first.tier_of(&memory, of_first.tier).unwrap().add(&memory, tier_cells::IN_FLIGHT);

    let dead = |process: Process| process.pid != 1;
    let in_flight = |readings: &Readings| readings.tiers["pro"][tier_cells::IN_FLIGHT];
    assert_eq!(in_flight(&Readings::of(&memory, |_| true)), 1);
    // Nobody has taken its place yet.
    assert_eq!(in_flight(&Readings::of(&memory, dead)), 0);

    let mut second = Recorder::new(&memory, process(2), dead).unwrap();
    let of_second = flow(&mut second, &memory, "llama");
    assert_eq!(of_first, of_second);
    second.observe(&memory, &request(of_second, Outcome::Allowed), NOW);
    let readings = Readings::of(&memory, dead);
    assert_eq!(readings::living(&memory, dead), 1);
    assert_eq!(in_flight(&readings), 0);
    let (_, sums) = readings.flows.first_key_value().unwrap();
    assert_eq!(sums[cells::OUTCOMES], 2);
    // A third one beside it has a row of its own.
    Recorder::new(&memory, process(3), dead).unwrap();
    assert_eq!(readings::living(&memory, dead), 2);
}

#[test]
fn names_that_clients_bring_are_only_so_many() {
    let words = memory();
    let memory = Observations::format(&words).unwrap();
    let mut worker = Recorder::new(&memory, process(1), |_| true).unwrap();
    let minted: Vec<_> = (0..2000)
        .map(|index| worker.name(&memory, &format!("model-{index}"), Origin::Clients))
        .collect();
    assert_ne!(minted[0], Name::OTHER);
    assert_eq!(minted[1999], Name::OTHER);
    // And those that are there are found again.
    assert_eq!(worker.name(&memory, "model-0", Origin::Clients), minted[0]);
    assert_eq!(worker.known_name(&memory, "model-0"), Some(minted[0]));
    assert_eq!(worker.known_name(&memory, "model-1999"), None);
    // There is room for what the configuration names.
    let tier = worker.name(&memory, "a new tier", Origin::Configured);
    assert_ne!(tier, Name::OTHER);
    assert_eq!(memory.names().text(tier), "a new tier");
    assert_eq!(worker.name(&memory, &"x".repeat(500), Origin::Configured), Name::OTHER);
}

#[test]
fn without_room_what_isnt_counted_is_counted() {
    let words = memory();
    let memory = Observations::format(&words).unwrap();
    let mut worker = Recorder::new(&memory, process(1), |_| true).unwrap();
    let mut flows = 0;
    for tier in 0..120 {
        for model in 0..120 {
            let name = |kind, number| format!("{kind}{number}");
            let tier = worker.name(&memory, &name("tier", tier), Origin::Configured);
            let model = worker.name(&memory, &name("model", model), Origin::Configured);
            let flow = Flow { tier, model, endpoint: Name::OTHER };
            worker.observe(&memory, &request(flow, Outcome::Allowed), NOW);
            flows += 1;
        }
    }
    let readings = Readings::of(&memory, |_| true);
    let counted: u64 = readings.flows.values().map(|sums| sums[cells::OUTCOMES]).sum();
    let uncounted = readings.counter(Counter::Uncounted);
    assert!(uncounted > 0);
    assert_eq!(counted + uncounted, flows);
}

#[test]
fn events_of_all_processes_are_one_sum() {
    let words = memory();
    let memory = Observations::format(&words).unwrap();
    let mut worker = Recorder::new(&memory, process(1), |_| true).unwrap();
    let mut event = |status: &str| Event {
        family: Family::UpstreamErrors,
        first: worker.name(&memory, "llama", Origin::Configured),
        second: worker.name(&memory, status, Origin::Configured),
        third: Name::NONE,
    };
    let (bad, late) = (event("502"), event("504"));
    for what in [bad, late, bad] {
        assert!(memory.count_event(what, 1));
    }
    let readings = Readings::of(&memory, |_| true);
    let of = |status: &str| {
        readings.events[&(Family::UpstreamErrors, "llama".to_owned(), status.to_owned())]
    };
    assert_eq!((of("502"), of("504")), (2, 1));
}

#[test]
fn memory_of_another_make_is_refused() {
    let words = memory();
    assert!(Observations::attach(&words).is_err());
    assert!(Observations::format(&words[..1000]).is_err());
    Observations::format(&words).unwrap();
    Observations::attach(&words).unwrap();
    words[1].store(3, std::sync::atomic::Ordering::Relaxed);
    assert!(Observations::attach(&words).is_err());
}

#[test]
fn a_model_is_counted_under_a_name_that_the_configuration_bounds() {
    let mut known = KnownModels::default();
    known.add("gpt-4o");
    known.add("llama-*");
    assert_eq!(known.label("gpt-4o"), ModelLabel::Name);
    assert_eq!(known.label("llama-3"), ModelLabel::Pattern("llama-*"));
    assert_eq!(known.label("gpt-4"), ModelLabel::Other);
    assert_eq!(KnownModels::default().label("gpt-4o"), ModelLabel::Other);
}

proptest! {
    #[test]
    fn a_value_is_in_the_bucket_of_the_first_bound_that_it_doesnt_exceed(value in 0u64..200_000_000) {
        for bounds in [bounds::DURATION, bounds::FIRST_TOKEN, bounds::TOKENS] {
            let bucket = bounds.bucket(value);
            prop_assert!(bounds.upper.get(bucket).is_none_or(|upper| value <= *upper));
            prop_assert!(bucket == 0 || bounds.upper[bucket - 1] < value);
        }
    }
}

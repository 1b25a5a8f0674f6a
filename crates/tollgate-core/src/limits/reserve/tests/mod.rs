mod settlement;
mod threads;

use super::*;
use crate::limits::fixtures::*;
use crate::limits::sync::{AtomicU64, Ordering};
use crate::limits::{Dimension, Period, Process};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;

/// The refusal, which has to be one by a limit.
fn exceeded(outcome: Result<Vec<Standing>, Refused>) -> Exceeded {
    match outcome {
        Err(Refused::Exceeded(exceeded)) => exceeded,
        other => panic!("{other:?}"),
    }
}

#[test]
fn buckets_survive_being_attached_again() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let key = zone.client_key("acme");
    for _ in 0..10 {
        reserve(&zone, &mut [requests(&zone, key, "10r/m")], START).unwrap();
    }
    let zone = Zone::attach(&words).unwrap();
    assert!(reserve(&zone, &mut [requests(&zone, key, "10r/m")], START).is_err());
    // A changed rate takes effect at once, and the ten stay used.
    let standing = reserve(&zone, &mut [requests(&zone, key, "100r/m")], START).unwrap();
    assert_eq!(standing[0].remaining, 89);
    let other = requests(&zone, zone.client_key("other"), "10r/m");
    assert!(reserve(&zone, &mut [other], START).is_ok());
}

#[test]
fn all_or_nothing() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let key = zone.client_key("acme");
    let mut both = [requests(&zone, key, "10r/m"), requests(&zone, key, "3r/h")];
    for _ in 0..3 {
        reserve(&zone, &mut both, START).unwrap();
    }
    for _ in 0..5 {
        let exceeded = exceeded(reserve(&zone, &mut both, START));
        assert_eq!(exceeded.ask, 1);
        assert!(exceeded.wait_nanos.abs_diff(1200 * SECOND) < 128);
        assert!(!exceeded.only_concurrency);
    }
    assert_eq!(left(&zone, &both[0], START), 7);
}

#[test]
fn every_kind_of_limit_can_refuse_and_then_none_is_spent() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let mut holder = holder(&zone);
    let key = zone.client_key("acme");
    let (place, cents) = (places(key, 2), money(key, "1/day", 400_000_000));
    let mut asks = [place, requests(&zone, key, "9r/m"), tokens(&zone, key, "900/m", 100), cents];
    let stand = |asks: &[Ask]| asks.iter().map(|ask| left(&zone, ask, START)).collect::<Vec<_>>();
    let mut seats = enter(&zone, &mut holder, &mut asks, START).unwrap();
    let after_one = stand(&asks);
    assert_eq!(after_one, [1, 8, 800, 600_000_000]);
    for (index, hindrance) in [
        (1, requests(&zone, rule_key(&zone, "a", b"b"), "1r/m")),
        (2, tokens(&zone, rule_key(&zone, "a", b"b"), "9/m", 9)),
        (3, money(rule_key(&zone, "a", b"b"), "1/hour", 1_000_000_000)),
        (4, places(rule_key(&zone, "a", b"b"), 1)),
    ] {
        let mut spent = [hindrance];
        let seat = enter(&zone, &mut holder, &mut spent, START).unwrap().pop();
        let mut with = asks.to_vec();
        with.insert(index, hindrance);
        let refused = enter(&zone, &mut holder, &mut with, START).unwrap_err();
        let Refused::Exceeded(exceeded) = refused else { panic!("{refused:?}") };
        assert_eq!((exceeded.ask, exceeded.only_concurrency), (index, index == 4));
        assert_eq!(stand(&asks), after_one);
        // And without it, the same request passes.
        zone.give_back(&spent, START);
        if let Some(seat) = seat {
            zone.release(seat, &mut holder);
        }
        let mut once = enter(&zone, &mut holder, &mut with, START).unwrap();
        assert_ne!(stand(&asks), after_one);
        zone.give_back(&with, START);
        once.drain(..).for_each(|seat| zone.release(seat, &mut holder));
        assert_eq!(stand(&asks), after_one);
    }
    seats.drain(..).for_each(|seat| zone.release(seat, &mut holder));
    assert_eq!(left(&zone, &place, START), 2);
}

#[test]
fn the_wait_is_that_of_the_slowest_limit() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let key = zone.client_key("acme");
    let mut both = [requests(&zone, key, "1r/h"), requests(&zone, key, "1r/s")];
    reserve(&zone, &mut both, START).unwrap();
    let exceeded = exceeded(reserve(&zone, &mut both, START));
    assert_eq!(exceeded.ask, 0);
    assert!(reserve(&zone, &mut both, after(exceeded.wait_nanos - 1)).is_err());
    assert!(reserve(&zone, &mut both, after(exceeded.wait_nanos)).is_ok());
}

#[test]
fn dimensions_models_and_limits_are_apart() {
    let words = memory(8);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let of = |key, dimension| {
        let mut ask = requests(&zone, key, "1r/m");
        if let Take::Bucket { dimension: d, .. } = &mut ask.take {
            *d = dimension;
        }
        ask
    };
    let (client, limit) = (zone.client_key("ip"), rule_key(&zone, "ip", b"1"));
    for ask in [
        of(client, Dimension::Requests),
        of(client, Dimension::Tokens),
        of(client, Dimension::InputTokens),
        of(client, Dimension::OutputTokens),
        of(zone.model_key("ip", "llama-*"), Dimension::Requests),
        of(zone.model_key("ip", ""), Dimension::Requests),
        of(zone.model_key("i", "pllama-*"), Dimension::Requests),
        of(limit, Dimension::Requests),
        of(failures_key(&zone, "ip", b"1"), Dimension::AuthFailures),
        of(rule_key(&zone, "ip2", b"1"), Dimension::Requests),
        of(rule_key(&zone, "i", b"p1"), Dimension::Requests),
    ] {
        assert!(reserve(&zone, &mut [ask], START).is_ok(), "{ask:?}");
        assert!(reserve(&zone, &mut [ask], START).is_err(), "{ask:?}");
    }
}

#[test]
fn a_check_says_what_a_reservation_would_and_leaves_no_trace() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let mut standings = Vec::new();
    // More clients than there are slots for.
    for n in 0..100 {
        let key = zone.client_key(&format!("c{n}"));
        let asks = [requests(&zone, key, "2r/m"), money(key, "1/day", 1), places(key, 3)];
        assert_eq!(zone.check(&asks, START, &mut standings), Ok(()));
        let remaining: Vec<_> = standings.iter().map(|standing| standing.remaining).collect();
        assert_eq!(remaining, [2, 1_000_000_000, 3]);
    }
    let mut asks = [requests(&zone, zone.client_key("acme"), "1r/m")];
    assert!(!zone.is_clear(&asks, START), "it has no slot yet");
    reserve(&zone, &mut asks, START).unwrap();
    assert!(!zone.is_clear(&asks, START));
    assert!(zone.is_clear(&asks, after(61 * SECOND)));
    let refused = zone.check(&asks, START, &mut standings);
    assert_eq!(refused, reserve(&zone, &mut asks, START).map(|_| ()));
    assert_eq!(standings[0].remaining, 0);
    assert_eq!(zone.check(&asks, after(61 * SECOND), &mut standings), Ok(()));
}

#[test]
fn a_request_larger_than_its_bucket_passes_when_that_is_full_or_never() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let key = zone.client_key("acme");
    let large = tokens(&zone, key, "60/m", 600);
    let small = tokens(&zone, key, "60/m", 1);
    reserve(&zone, &mut [small], START).unwrap();
    let wait = exceeded(reserve(&zone, &mut [large], START)).wait_nanos;
    assert!(wait.abs_diff(SECOND) < 128, "{wait}");
    let standing = reserve(&zone, &mut [large], after(wait)).unwrap()[0];
    assert_eq!(standing.remaining, 0);
    assert!(standing.until_full_nanos.abs_diff(600 * SECOND) < 256);
    // 540 of debt, and one more token: 541 s.
    let wait = exceeded(reserve(&zone, &mut [small], after(wait))).wait_nanos;
    assert!(wait.abs_diff(541 * SECOND) < 256, "{wait}");

    let mut refused = large;
    if let Take::Bucket { oversize, .. } = &mut refused.take {
        *oversize = crate::limits::Oversize::Refuse;
    }
    let full = after(10_000 * SECOND);
    assert_eq!(reserve(&zone, &mut [small, refused], full), Err(Refused::Oversized(1)));
    assert_eq!(zone.check(&[small, refused], full, &mut Vec::new()), Err(Refused::Oversized(1)));
    assert_eq!(left(&zone, &small, full), 60);
}

#[test]
fn oversized_comes_before_a_wait_however_long() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let key = zone.client_key("acme");
    let spent = requests(&zone, key, "1r/d");
    reserve(&zone, &mut [spent], START).unwrap();
    let never = money(key, "1/month", 1_000_000_001);
    assert_eq!(reserve(&zone, &mut [spent, never], START), Err(Refused::Oversized(1)));
}

#[test]
fn places_are_limited_and_free_again_when_released() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let mut holder = holder(&zone);
    let ask = places(zone.client_key("acme"), 2);
    let mut seats = Vec::new();
    for _ in 0..2 {
        seats.extend(enter(&zone, &mut holder, &mut [ask], START).unwrap());
    }
    let full = enter(&zone, &mut holder, &mut [ask], START).unwrap_err();
    let expected = Exceeded { ask: 0, wait_nanos: SECOND, only_concurrency: true };
    assert_eq!(full, Refused::Exceeded(expected));
    assert_eq!(reserve(&zone, &mut [ask], START), Err(full));
    zone.release(seats.pop().unwrap(), &mut holder);
    assert_eq!(left(&zone, &ask, START), 1);
    // Without a holder nothing can be in flight.
    assert_eq!(reserve(&zone, &mut [ask], START), Err(Refused::NoSeat));
    seats.extend(enter(&zone, &mut holder, &mut [ask], START).unwrap());
    seats.drain(..).for_each(|seat| zone.release(seat, &mut holder));
    assert_eq!(left(&zone, &ask, START), 2);
}

#[test]
fn the_places_of_a_dead_worker_are_free_again_and_those_of_a_living_one_are_not() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let worker = |pid| zone.register(Process { pid, started: 1 }, &lock()).unwrap();
    let (mut dead, mut alive) = (worker(7), worker(8));
    let ask = places(zone.client_key("acme"), 10);
    for _ in 0..3 {
        // Killed: nobody will release them.
        drop(enter(&zone, &mut dead, &mut [ask], START).unwrap());
    }
    let seats = enter(&zone, &mut alive, &mut [ask], START).unwrap();
    assert_eq!(zone.reclaim(LATE, |_| true, &lock()), 0);
    assert_eq!(left(&zone, &ask, START), 6);
    assert_eq!(zone.reclaim(LATE, |process| process.pid != 7, &lock()), 3);
    assert_eq!(left(&zone, &ask, START), 9);
    seats.into_iter().for_each(|seat| zone.release(seat, &mut alive));
    assert_eq!(left(&zone, &ask, START), 10);
    drop(enter(&zone, &mut alive, &mut [ask], START).unwrap());
    assert_eq!(zone.leave(alive, &lock()), 1);
    assert_eq!(left(&zone, &ask, START), 10);
}

#[test]
fn a_full_zone_says_which_area_is_full() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let seen: Vec<_> = (0u32..20)
        .filter_map(|n| {
            let key = rule_key(&zone, "ip", &n.to_be_bytes());
            reserve(&zone, &mut [requests(&zone, key, "1r/h")], START).err()
        })
        .collect();
    assert_eq!(seen, vec![Refused::ZoneFull(0); 12]);
}

proptest! {
    /// Any mix of clients, limits and times against one plain model a bucket.
    #[test]
    fn agrees_with_a_plain_model(
        steps in proptest::collection::vec((0usize..5, 0usize..4, 0u64..40_000_000_000), 1..120),
    ) {
        let words = memory(8);
        let zone = Zone::format(&words, (7, 8)).unwrap();
        let quotas = [vec!["3r/m"], vec!["2r/s", "5r/m"], vec!["4r/m", "6r/h", "7r/d"], vec!["1r/s"]];
        let mut model: HashMap<(usize, Period), (f64, u64)> = HashMap::new();
        let mut now = 0;
        // A client keeps its tier here; changes of quota have tests of their own.
        let mut tier_of: HashMap<usize, usize> = HashMap::new();
        let quota_of = |ask: &Ask| match ask.take {
            Take::Bucket { scale, .. } => scale.quota(),
            _ => unreachable!(),
        };
        for (client, tier, step) in steps {
            now += step;
            let tier = *tier_of.entry(client).or_insert(tier);
            let key = zone.client_key(&format!("c{client}"));
            let mut asks: Vec<_> = quotas[tier].iter().map(|q| requests(&zone, key, q)).collect();
            let fill = |ask: &Ask, model: &HashMap<(usize, Period), (f64, u64)>| {
                let quota = quota_of(ask);
                let (tokens, at) = model.get(&(client, quota.period())).copied().unwrap_or((f64::from(quota.burst()), now));
                let refill = (now - at) as f64 * f64::from(quota.count()) / quota.period().nanos() as f64;
                (tokens + refill).min(f64::from(quota.burst()))
            };
            let tokens: Vec<_> = asks.iter().map(|a| fill(a, &model)).collect();
            // On the very edge, the model's floats and the clock's ticks may differ (but not where
            // the bucket is full).
            let is_full = |ask, t| t >= f64::from(quota_of(ask).burst());
            let mut all = asks.iter().zip(&tokens);
            prop_assume!(all.all(|(ask, t)| is_full(ask, *t) || (t - 1.0).abs() > 1e-6));
            let expected = tokens.iter().all(|t| *t >= 1.0);
            let outcome = reserve(&zone, &mut asks, after(now));
            prop_assert_eq!(outcome.is_ok(), expected, "{:?}", tokens);
            for (ask, tokens) in asks.iter().zip(&tokens) {
                let left = if expected { tokens - 1.0 } else { *tokens };
                model.insert((client, quota_of(ask).period()), (left, now));
            }
        }
    }
}

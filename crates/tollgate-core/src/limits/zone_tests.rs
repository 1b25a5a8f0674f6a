use super::*;
use crate::limits::{Dimension, Period};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::Mutex;

const SECOND: u64 = 1_000_000_000;
const START: MonoNanos = MonoNanos(86_400 * SECOND);

struct TestLock(Mutex<()>);

impl ClaimLock for TestLock {
    fn with<T>(&self, f: impl FnOnce() -> T) -> T {
        let _held = self.0.lock().unwrap();
        f()
    }
}

fn lock() -> TestLock {
    TestLock(Mutex::new(()))
}

fn memory(sets: usize) -> Vec<AtomicU64> {
    (0..SLOTS_START + sets * SET_WORDS).map(|_| AtomicU64::new(0xa5a5)).collect()
}

fn ask(zone: &Zone<'_>, client: &str, quota: &str) -> Ask {
    Ask {
        key: zone.client_key(client),
        dimension: Dimension::Requests,
        scale: zone.scale(Quota::parse(quota, None).unwrap()),
        n: 1,
    }
}

fn reserve(zone: &Zone<'_>, asks: &[Ask], now: MonoNanos) -> Result<Vec<Standing>, Refused> {
    let mut standings = Vec::new();
    zone.reserve(asks, now, &lock(), &mut standings).map(|()| standings)
}

#[test]
fn a_zone_needs_room_and_its_own_layout() {
    let words = memory(1);
    assert_eq!(Zone::format(&words, (1, 2)).unwrap_err(), LayoutError::TooSmall);
    let words = memory(2);
    assert_eq!(words.len(), Zone::MIN_WORDS);
    assert_eq!(Zone::attach(&words).unwrap_err(), LayoutError::Foreign);
    assert_eq!(Zone::format(&words, (1, 2)).unwrap().capacity(), (8, 8));
    assert!(Zone::attach(&words).is_ok());
    words[WORD_VERSION].store(99, Ordering::Relaxed);
    assert_eq!(Zone::attach(&words).unwrap_err(), LayoutError::Version(99));
    words[WORD_VERSION].store(LAYOUT_VERSION, Ordering::Relaxed);
    words[WORD_KEY_SETS].store(u64::MAX, Ordering::Relaxed);
    assert!(Zone::attach(&words).is_err());
}

#[test]
fn buckets_survive_being_attached_again() {
    let words = memory(4);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    for _ in 0..10 {
        reserve(&zone, &[ask(&zone, "acme", "10r/m")], START).unwrap();
    }
    let zone = Zone::attach(&words).unwrap();
    assert!(reserve(&zone, &[ask(&zone, "acme", "10r/m")], START).is_err());
    // A changed rate takes effect at once, and the ten stay used.
    let standing = reserve(&zone, &[ask(&zone, "acme", "100r/m")], START).unwrap();
    assert_eq!(standing[0].remaining, 89);
    assert!(reserve(&zone, &[ask(&zone, "other", "10r/m")], START).is_ok());
}

#[test]
fn all_or_nothing() {
    let words = memory(4);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let both = [ask(&zone, "acme", "10r/m"), ask(&zone, "acme", "3r/h")];
    for _ in 0..3 {
        reserve(&zone, &both, START).unwrap();
    }
    for _ in 0..5 {
        let Err(Refused::Exceeded(exceeded)) = reserve(&zone, &both, START) else { panic!() };
        assert_eq!(exceeded.ask, 1);
        assert!(exceeded.wait_nanos.abs_diff(1200 * SECOND) < 128);
    }
    let standing = zone.look(&both[0], START).unwrap().0;
    assert_eq!(standing.remaining, 7);
}

#[test]
fn the_wait_is_that_of_the_slowest_limit() {
    let words = memory(4);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let both = [ask(&zone, "acme", "1r/h"), ask(&zone, "acme", "1r/s")];
    reserve(&zone, &both, START).unwrap();
    let Err(Refused::Exceeded(exceeded)) = reserve(&zone, &both, START) else { panic!() };
    assert_eq!(exceeded.ask, 0);
    let later = MonoNanos(START.0 + exceeded.wait_nanos);
    assert!(reserve(&zone, &both, MonoNanos(later.0 - 1)).is_err());
    assert!(reserve(&zone, &both, later).is_ok());
}

#[test]
fn dimensions_and_limits_are_apart() {
    let words = memory(4);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let requests = Ask { key: zone.limit_key("ip", b"1"), ..ask(&zone, "", "1r/m") };
    let failures = Ask { dimension: Dimension::AuthFailures, ..requests };
    let other = Ask { key: zone.limit_key("ip2", b"1"), ..requests };
    let client = ask(&zone, "ip", "1r/m");
    for one in [requests, failures, other, client] {
        assert!(reserve(&zone, &[one], START).is_ok());
        assert!(reserve(&zone, &[one], START).is_err());
    }
    assert_ne!(zone.limit_key("ab", b"c"), zone.limit_key("a", b"bc"));
}

#[test]
fn a_live_slot_is_never_evicted_and_an_idle_one_is() {
    let words = memory(2);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let mut admitted = Vec::new();
    let mut full = 0;
    for n in 0..40 {
        match reserve(&zone, &[ask(&zone, &format!("c{n}"), "1r/h")], START) {
            Ok(_) => admitted.push(n),
            Err(Refused::ZoneFull(Area::Clients)) => full += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((admitted.len(), full), (8, 32));
    for n in &admitted {
        assert!(matches!(
            reserve(&zone, &[ask(&zone, &format!("c{n}"), "1r/h")], START),
            Err(Refused::Exceeded(_))
        ));
    }
    // The other area is not affected, and after an hour all of them are idle.
    assert!(reserve(
        &zone,
        &[Ask { key: zone.limit_key("x", b"y"), ..ask(&zone, "", "1r/h") }],
        START
    )
    .is_ok());
    let later = MonoNanos(START.0 + 3601 * SECOND);
    for n in 100..108 {
        assert!(reserve(&zone, &[ask(&zone, &format!("c{n}"), "1r/h")], later).is_ok());
    }
}

#[test]
fn a_flood_of_keys_leaves_clients_alone() {
    let words = memory(64);
    let zone = Zone::format(&words, (3, 4)).unwrap();
    for n in 0..50 {
        reserve(&zone, &[ask(&zone, &format!("c{n}"), "1r/d")], START).unwrap();
    }
    let mut refused = 0;
    for n in 0u32..10_000 {
        let one = Ask { key: zone.limit_key("ip", &n.to_be_bytes()), ..ask(&zone, "", "1r/h") };
        refused += u32::from(reserve(&zone, &[one], START) == Err(Refused::ZoneFull(Area::Keys)));
    }
    assert!(refused > 9_000);
    for n in 0..50 {
        assert!(
            reserve(&zone, &[ask(&zone, &format!("c{n}"), "1r/d")], START).is_err(),
            "c{n} was forgotten"
        );
    }
}

#[test]
fn sets_fill_evenly() {
    let words = memory(2 * 1024);
    let zone = Zone::format(&words, (5, 6)).unwrap();
    let (clients, _) = zone.capacity();
    let fits = (0..clients)
        .take_while(|n| {
            reserve(&zone, &[ask(&zone, &format!("client-{n}"), "1r/d")], START).is_ok()
        })
        .count();
    assert!(fits * 100 / clients >= 75, "{fits} of {clients}");
}

#[test]
fn what_a_dead_worker_left_frozen_is_mended() {
    let words = memory(2);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let one = ask(&zone, "acme", "10r/m");
    reserve(&zone, &[one], START).unwrap();
    let frozen = super::super::bucket::FROZEN;
    let bucket = words[SLOTS_START..]
        .iter()
        .position(|w| {
            let word = w.load(Ordering::Relaxed);
            word & 0x3ff == 1 && word >> 10 > 1 << 30
        })
        .unwrap();
    words[SLOTS_START + bucket].store(frozen, Ordering::Relaxed);
    assert_eq!(reserve(&zone, &[one], START).unwrap()[0].remaining, 9);
}

/// Many threads, one bucket: never more than the burst and the refill, and at most one fewer.
#[test]
fn threads_together_admit_exactly_the_quota() {
    let words = memory(4);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let (lock, clock, admitted) = (lock(), AtomicU64::new(START.0), AtomicUsize::new(0));
    let one = ask(&zone, "acme", "30011r/s");
    let end = START.0 + SECOND;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut standings = Vec::new();
                loop {
                    // A clock that all threads share and push on, at 100 times the quota.
                    let now = clock.fetch_add(333, Ordering::SeqCst);
                    if now >= end {
                        break;
                    }
                    if zone.reserve(&[one], MonoNanos(now), &lock, &mut standings).is_ok() {
                        admitted.fetch_add(1, Ordering::SeqCst);
                    }
                    // Also where another thread was faster at the last moment.
                    assert_eq!(standings.len(), 1);
                }
            });
        }
    });
    let admitted = admitted.into_inner();
    assert!((30_011 + 30_010..=30_011 + 30_011).contains(&admitted), "{admitted}");
}

/// Threads that fight over too few slots: a client never gets more than its own quota, and never
/// pays for another one.
#[test]
fn eviction_under_fire_never_mixes_clients_up() {
    let words = memory(2);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let (lock, clock) = (lock(), AtomicU64::new(START.0));
    let clients = 24usize;
    let admitted: Vec<AtomicUsize> = (0..clients).map(|_| AtomicUsize::new(0)).collect();
    std::thread::scope(|scope| {
        for thread in 0u64..4 {
            let (zone, lock, clock, admitted) = (&zone, &lock, &clock, &admitted);
            scope.spawn(move || {
                let asks: Vec<_> =
                    (0..clients).map(|n| ask(zone, &format!("c{n}"), "100000r/s")).collect();
                let mut standings = Vec::new();
                let mut random = thread + 1;
                for _ in 0..60_000 {
                    random =
                        random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    let n = (random >> 33) as usize % clients;
                    // 1,000 requests to the refill of one token of each client.
                    let now = MonoNanos(clock.fetch_add(10, Ordering::SeqCst));
                    if zone.reserve(&asks[n..=n], now, lock, &mut standings).is_ok() {
                        admitted[n].fetch_add(1, Ordering::SeqCst);
                        assert!(standings[0].remaining < 100_000);
                    }
                }
            });
        }
    });
    let total: usize = admitted.iter().map(|n| n.load(Ordering::SeqCst)).sum();
    // Nobody is near his quota of 100,000 at once, so whoever found a slot was admitted.
    assert!(total > 200_000 / 24, "{total}");
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
        let mut now = START.0;
        // A client keeps its tier here; changes of quota have tests of their own.
        let mut tier_of: HashMap<usize, usize> = HashMap::new();
        for (client, tier, step) in steps {
            now += step;
            let tier = *tier_of.entry(client).or_insert(tier);
            let asks: Vec<_> = quotas[tier].iter().map(|q| ask(&zone, &format!("c{client}"), q)).collect();
            let fill = |ask: &Ask, model: &HashMap<(usize, Period), (f64, u64)>| {
                let quota = ask.scale.quota();
                let (tokens, at) = model.get(&(client, quota.period())).copied().unwrap_or((f64::from(quota.burst()), now));
                let refill = (now - at) as f64 * f64::from(quota.count()) / quota.period().nanos() as f64;
                (tokens + refill).min(f64::from(quota.burst()))
            };
            let tokens: Vec<_> = asks.iter().map(|a| fill(a, &model)).collect();
            // On the very edge, the model's floats and the clock's ticks may differ.
            prop_assume!(tokens.iter().all(|t| (t - 1.0).abs() > 1e-6));
            let expected = tokens.iter().all(|t| *t >= 1.0);
            let outcome = reserve(&zone, &asks, MonoNanos(now));
            prop_assert_eq!(outcome.is_ok(), expected, "{:?}", tokens);
            for (ask, tokens) in asks.iter().zip(&tokens) {
                let left = if expected { tokens - 1.0 } else { *tokens };
                model.insert((client, ask.scale.quota().period()), (left, now));
            }
        }
    }
}

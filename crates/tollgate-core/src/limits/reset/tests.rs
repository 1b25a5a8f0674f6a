use super::*;
use crate::clock::MonoNanos;
use crate::limits::ask::Dimension;
use crate::limits::bucket::TICK_NANOS;
use crate::limits::fixtures::*;
use crate::limits::resets::REMEMBERED;
use crate::limits::take::Look;
use crate::limits::{Ask, Period, Quota, Take};
use proptest::prelude::*;
use std::sync::atomic::AtomicU64 as Count;

const TOKENS: u64 = 100_000;

fn asks(zone: &Zone<'_>, key: Key, n: u32) -> [Ask; 2] {
    // No refill to speak of, and nano-units instead of tokens.
    [tokens(zone, key, "100000/d", n), money(key, "0.0001/day", n.into())]
}

fn remaining(zone: &Zone<'_>, key: Key, now: Now) -> [u64; 2] {
    asks(zone, key, 0).map(|ask| left(zone, &ask, now))
}

#[test]
fn what_was_used_is_forgiven_and_debt_is_gone() {
    let words = memory(8);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let key = zone.client_key("acme");
    let mut taken = asks(&zone, key, 60_000);
    reserve(&zone, &mut taken, START).unwrap();
    taken.iter().for_each(|ask| assert!(zone.settle(ask, 250_000, START, &lock())));
    assert_eq!(remaining(&zone, key, START), [0, 0]);
    let (debt, _) = zone.look(&taken[0], START);
    assert!(debt.until_full_nanos > 2 * 86_400 * SECOND, "{debt:?}");

    assert!(zone.reset(key, Reset::All, START, &lock()));
    assert_eq!(remaining(&zone, key, START), [TOKENS; 2]);
    assert_eq!(zone.look(&taken[0], START).0.until_full_nanos, 0);
    // And counts from here on.
    reserve(&zone, &mut asks(&zone, key, 7), START).unwrap();
    assert_eq!(remaining(&zone, key, START), [TOKENS - 7; 2]);
}

#[test]
fn who_took_nothing_has_nothing_to_reset() {
    let words = memory(8);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    assert!(!zone.reset(zone.client_key("nobody"), Reset::All, START, &lock()));
    assert_eq!(zone.resets.epoch(), 0);
}

#[test]
fn one_kind_of_limit_is_reset_alone() {
    let words = memory(8);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let key = zone.client_key("acme");
    for named in Reset::NAMED {
        let mut all: Vec<Ask> = Vec::new();
        for period in Period::ALL {
            for dimension in [
                Dimension::Requests,
                Dimension::Tokens,
                Dimension::InputTokens,
                Dimension::OutputTokens,
            ] {
                let scale = zone.scale(Quota::new(100, period, 100).unwrap());
                let oversize = crate::limits::Oversize::Debt;
                all.push(Ask::new(key, Take::Bucket { dimension, scale, n: 10, oversize }));
            }
        }
        all.extend(["100/hour", "100/day", "100/month"].map(|budget| money(key, budget, 10)));
        zone.reset(key, Reset::All, START, &lock());
        reserve(&zone, &mut all, START).unwrap();
        zone.reset(key, named, START, &lock());
        for ask in &all {
            let is_it = match (ask.take, named) {
                (Take::Bucket { dimension, .. }, Reset::Buckets(named)) => dimension == named,
                (Take::Budget { .. }, Reset::Budgets) => true,
                _ => false,
            };
            let standing = zone.look(ask, START).0;
            assert_eq!(standing.remaining == standing.capacity, is_it, "{named:?} {ask:?}");
        }
    }
}

#[test]
fn what_is_in_flight_stays_in_flight() {
    let words = memory(8);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let key = zone.client_key("acme");
    let mut holder = holder(&zone);
    let mut place = [places(key, 2)];
    let seats = enter(&zone, &mut holder, &mut place, START).unwrap();
    assert!(zone.reset(key, Reset::All, START, &lock()));
    assert_eq!(left(&zone, &place[0], START), 1);
    seats.into_iter().for_each(|seat| zone.release(seat, &mut holder));
    assert_eq!(left(&zone, &place[0], START), 2);
}

/// What a dead worker left frozen is a limit of which nothing was taken.
#[test]
fn a_worker_that_died_in_the_middle_leaves_nothing_behind() {
    let words = memory(8);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let key = zone.client_key("acme");
    reserve(&zone, &mut asks(&zone, key, 9), START).unwrap();
    let slots = zone.slots(key);
    let place = slots.find(key).unwrap();
    for index in [asks(&zone, key, 0)[0].take.word(), asks(&zone, key, 0)[1].take.word()] {
        slots.slot(place)[index].store(FROZEN, Ordering::SeqCst);
    }
    assert!(zone.reset(key, Reset::All, START, &lock()));
    assert_eq!(remaining(&zone, key, START), [TOKENS; 2]);
    reserve(&zone, &mut asks(&zone, key, 9), START).unwrap();
    assert_eq!(remaining(&zone, key, START), [TOKENS - 9; 2]);
}

#[test]
fn only_so_many_resets_are_remembered() {
    let words = memory(40);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let key = zone.client_key("acme");
    for others in 0..20 {
        zone.reset(key, Reset::All, START, &lock());
        let mut taken = asks(&zone, key, 10);
        reserve(&zone, &mut taken, START).unwrap();
        let epoch = taken[0].epoch;
        assert_eq!(epoch, zone.resets.epoch());
        assert!(!zone.resets.is_since(epoch, (key, 0)));
        assert!(zone.reset(key, Reset::All, START, &lock()));
        for other in 0..others {
            let name = format!("other {other}");
            reserve(&zone, &mut asks(&zone, zone.client_key(&name), 1), START).unwrap();
            assert!(zone.reset(zone.client_key(&name), Reset::All, START, &lock()));
        }
        let is_remembered = others + 1 < REMEMBERED;
        assert_eq!(zone.resets.is_since(epoch, (key, 0)), is_remembered, "{others}");
        assert!(!zone.resets.is_since(epoch, (zone.client_key("not one of them"), 0)));
    }
}

#[test]
fn the_number_of_resets_goes_round() {
    let words = memory(8);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let key = zone.client_key("acme");
    reserve(&zone, &mut asks(&zone, key, 1), START).unwrap();
    let count = &zone.resets.0[0];
    for before in [u64::from(u16::MAX), u64::MAX] {
        count.store(before, Ordering::SeqCst);
        let epoch = zone.resets.epoch();
        assert!(!zone.resets.is_since(epoch, (key, 0)));
        assert!(zone.reset(key, Reset::All, START, &lock()));
        assert!(zone.resets.is_since(epoch, (key, 0)));
        assert!(!zone.resets.is_since(epoch, (zone.client_key("x"), 0)));
    }
}

/// A request that has reserved, and how many resets there were by then: of its client's two limits, and of all.
struct Flight {
    client: usize,
    n: u32,
    taken: [Ask; 2],
    resets: [usize; 2],
    all_resets: usize,
}

#[derive(Clone, Debug)]
enum Step {
    Take { client: usize, n: u32 },
    Settle { which: usize, used: u64 },
    Reset { client: usize, all: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..2usize, 1..2_000u32).prop_map(|(client, n)| Step::Take { client, n }),
        (any::<usize>(), 0..4_000u64).prop_map(|(which, used)| Step::Settle { which, used }),
        (0..2usize, any::<bool>()).prop_map(|(client, all)| Step::Reset { client, all }),
    ]
}

proptest! {
    /// Each of two clients is charged what it took since its last reset, and what those used beyond their
    /// reservation that had reserved before.
    #[test]
    fn nothing_is_given_back_twice_nor_forgotten(steps in proptest::collection::vec(step(), 1..60)) {
        let words = memory(8);
        let zone = Zone::format(&words, (1, 2)).unwrap();
        let keys = ["acme", "beta"].map(|client| zone.client_key(client));
        // Of tokens, and of money; how often each was reset.
        let (mut used_up, mut resets) = ([[0u64; 2]; 2], [[0usize; 2]; 2]);
        let mut flights: Vec<Flight> = Vec::new();
        let mut all_resets = 0;
        for step in steps {
            match step {
                Step::Take { client, n } => {
                    let mut taken = asks(&zone, keys[client], n);
                    let fits = used_up[client].iter().all(|used| used + u64::from(n) <= TOKENS);
                    prop_assert_eq!(reserve(&zone, &mut taken, START).is_ok(), fits);
                    if fits {
                        used_up[client].iter_mut().for_each(|used| *used += u64::from(n));
                        let resets = resets[client];
                        flights.push(Flight { client, n, taken, resets, all_resets });
                    }
                }
                Step::Settle { which, used } if !flights.is_empty() => {
                    let Flight { client, n, taken, resets: before, all_resets: all_before } =
                        flights.swap_remove(which % flights.len());
                    // More of them while a request is in flight are not remembered.
                    if all_resets - all_before >= REMEMBERED {
                        return Ok(());
                    }
                    let reserved = u64::from(n);
                    for (at, ask) in taken.iter().enumerate() {
                        prop_assert!(zone.settle(ask, used, START, &lock()));
                        let total = &mut used_up[client][at];
                        *total = match used.checked_sub(reserved) {
                            Some(more) => *total + more,
                            None if resets[client][at] > before[at] => *total,
                            None => *total - (reserved - used),
                        };
                    }
                }
                Step::Settle { .. } => {}
                Step::Reset { client, all } => {
                    let what = if all { Reset::All } else { Reset::Budgets };
                    if zone.reset(keys[client], what, START, &lock()) {
                        all_resets += 1;
                        for at in (0..2).filter(|at| all || *at == 1) {
                            used_up[client][at] = 0;
                            resets[client][at] += 1;
                        }
                    }
                }
            }
            for (key, used) in keys.iter().zip(&used_up) {
                prop_assert_eq!(
                    remaining(&zone, *key, START),
                    used.map(|used| TOKENS.saturating_sub(used))
                );
            }
        }
    }
}

/// Four threads take and settle, and a fifth resets: when it has done so a last time while nobody is in flight,
/// what is charged is what was used since, to the unit.
#[test]
fn threads_that_settle_while_one_resets_stay_exact() {
    let words = memory(8);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let key = zone.client_key("acme");
    let lock = lock();
    // Two resets are never at the same moment.
    let moments = Count::new(1);
    let later = || {
        let ticks = moments.fetch_add(1, Ordering::SeqCst);
        Now { mono: MonoNanos(START.mono.0 + ticks * TICK_NANOS), ..START }
    };
    for _ in 0..20 {
        // What was used of reservations that were made since the last reset: found by the epochs.
        let used_in = [const { Count::new(0) }; 4096];
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let (zone, lock, used_in) = (&zone, &lock, &used_in);
                scope.spawn(move || {
                    for turn in 0..300u64 {
                        let mut taken = asks(zone, key, 10);
                        let (mut standings, mut seats) = (Vec::new(), Vec::new());
                        if zone
                            .reserve(&mut taken, START, lock, None, &mut standings, &mut seats)
                            .is_err()
                        {
                            continue;
                        }
                        let used = (thread + turn) % 10;
                        taken.iter().for_each(|ask| assert!(zone.settle(ask, used, START, lock)));
                        for ask in &taken {
                            // Since a reset, nothing is given back.
                            let is_old = zone.resets.epoch() != ask.epoch;
                            let slot = usize::from(ask.epoch) % used_in.len();
                            used_in[slot]
                                .fetch_add(if is_old { 0 } else { used }, Ordering::SeqCst);
                        }
                    }
                });
            }
            scope.spawn(|| {
                for _ in 0..5 {
                    std::thread::yield_now();
                    zone.reset(key, Reset::All, later(), &lock);
                }
            });
        });
        let last = usize::from(zone.resets.epoch()) % used_in.len();
        let used = used_in[last].load(Ordering::SeqCst);
        // Both limits were reserved in one step, and may have been so on two sides of a reset.
        let charged: u64 = remaining(&zone, key, later()).map(|left| TOKENS - left).iter().sum();
        assert_eq!(charged, used);
        zone.reset(key, Reset::All, later(), &lock);
    }
}

#[test]
fn what_was_seen_before_a_reset_is_not_taken_behind_it_also_where_nothing_was_used() {
    let words = memory(8);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let key = zone.client_key("acme");
    let later = Now { mono: MonoNanos(START.mono.0 + SECOND), ..START };
    reserve(&zone, &mut asks(&zone, key, 0), START).unwrap();
    for now in [START, later] {
        for mut ask in asks(&zone, key, 10) {
            // Full since the last reset, and never used.
            zone.reset(key, Reset::All, now, &lock());
            let slots = zone.slots(key);
            let place = slots.find(key).unwrap();
            let prepared = |ask: &Ask| match slots.prepare(place, ask, now).unwrap() {
                Look::Ready(ready, _) => ready,
                Look::Passes | Look::Obstacle(_) => panic!("nothing is ready"),
            };
            let (ready, epoch) = (prepared(&ask), zone.resets.epoch());
            zone.reset(key, Reset::All, now, &lock());
            assert!(!slots.take_ready(&ready, &mut ask, epoch).unwrap());
            // The same without a reset.
            let (ready, epoch) = (prepared(&ask), zone.resets.epoch());
            assert!(slots.take_ready(&ready, &mut ask, epoch).unwrap());
            assert!(zone.settle(&ask, 4, now, &lock()));
            assert_eq!(left(&zone, &ask, now), TOKENS - 4);
        }
    }
}

#[test]
fn a_reset_is_of_the_limits_that_it_names() {
    let words = memory(8);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let [tokens, money] = asks(&zone, zone.client_key("acme"), 1).map(|ask| ask.take);
    for (reset, of_tokens, of_money) in [
        (Reset::All, true, true),
        (Reset::Budgets, false, true),
        (Reset::Buckets(Dimension::Tokens), true, false),
        (Reset::Buckets(Dimension::Requests), false, false),
    ] {
        assert_eq!((reset.is_of(&tokens), reset.is_of(&money)), (of_tokens, of_money), "{reset:?}");
    }
    // Who is in flight is so still.
    assert!(!Reset::All.is_of(&Take::Concurrency { limit: 1 }));
}

use super::*;
use crate::limits::ask::SLOT_WORDS;
use crate::limits::fixtures::*;
use crate::limits::{Now, Refused};
use std::sync::atomic::AtomicUsize;

#[test]
fn a_zone_needs_room_and_its_own_layout() {
    let words = memory(5);
    assert_eq!(Zone::format(&words, (1, 2)).unwrap_err(), LayoutError::TooSmall);
    let words = memory(6);
    assert_eq!(Zone::attach(&words).unwrap_err(), LayoutError::Foreign);
    assert_eq!(Zone::format(&words, (1, 2)).unwrap().capacity(Area::Keys), 8);
    assert!(Zone::attach(&words).is_ok());
    let version = words[1].swap(99, Ordering::Relaxed);
    assert!(matches!(Zone::attach(&words), Err(LayoutError::Version { found: 99, .. })));
    words[1].store(version, Ordering::Relaxed);
    words[WORD_SETS].store(u64::MAX, Ordering::Relaxed);
    assert!(Zone::attach(&words).is_err());
}

#[test]
fn a_client_takes_at_most_256_bytes_where_sets_are_three_quarters_full() {
    let bytes = SET_WORDS * size_of::<u64>() / 8;
    assert!(bytes * 4 / 3 <= 256, "{bytes}");
    // And what is no slot is small.
    let words: Vec<_> = (0..1 << 17).map(|_| AtomicU64::new(0)).collect();
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let slots: usize = Area::ALL.into_iter().map(|area| zone.capacity(area)).sum();
    assert!(slots * SLOT_WORDS * 100 / words.len() >= 80, "{slots}");
}

#[test]
fn the_smallest_zone_takes_clients() {
    // 64 KiB.
    let words: Vec<_> = (0..8 * 1024).map(|_| AtomicU64::new(0)).collect();
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let (clients, keys) = (zone.capacity(Area::Clients), zone.capacity(Area::Keys));
    assert!(clients >= 64 && keys >= 48, "{clients} + {keys}");
}

#[test]
fn a_slot_has_one_number_over_all_areas() {
    let words = memory(16);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let slots: usize = Area::ALL.into_iter().map(|area| zone.capacity(area)).sum();
    let count = u32::try_from(slots).unwrap();
    let words: std::collections::HashSet<_> =
        (0..count).map(|slot| std::ptr::from_ref(zone.in_flight_word(slot).unwrap())).collect();
    assert_eq!(words.len(), slots);
    assert!(zone.in_flight_word(count).is_none());
    assert!(zone.in_flight_word(u32::MAX).is_none());
}

#[test]
fn what_was_learned_is_kept_for_each_tier_and_model() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let of = |tier, model| {
        zone.learned_keys((tier, model), Group::Clients, Author::of_client(zone.client_key("acme")))
    };
    let learn = |tier, model, tokens| {
        let output = Output { tokens, is_whole: true };
        (0..500).for_each(|_| zone.learn_output(&of(tier, model), output, 1_024, START.mono));
    };
    learn("free", "llama", 100);
    learn("pro", "llama", 900);
    let guess = |tier, model| zone.guess_output(&of(tier, model), 1_024, START.mono).own;
    assert_eq!(guess("free", "llama"), 100);
    assert_eq!(guess("pro", "llama"), 900);
    assert_eq!(guess("pro", "qwen"), 1_024);
    assert_eq!(guess("pr", "ollama"), 1_024);
}

#[test]
fn an_author_is_its_client() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    assert_eq!(zone.author(b"acme"), Author::of_client(zone.client_key("acme")));
    assert_ne!(zone.author(b"acme"), Author::of_client(zone.client_key("acme2")));
}

#[test]
fn a_live_slot_is_never_evicted_and_an_idle_one_is() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let ask = |n: usize| requests(&zone, zone.client_key(&format!("c{n}")), "1r/h");
    let mut admitted = Vec::new();
    let mut full = 0;
    for n in 0..40 {
        match reserve(&zone, &mut [ask(n)], START) {
            Ok(_) => admitted.push(n),
            Err(Refused::ZoneFull(0)) => full += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((admitted.len(), full), (8, 32));
    for n in &admitted {
        assert!(matches!(reserve(&zone, &mut [ask(*n)], START), Err(Refused::Exceeded(_))));
    }
    // The other area is not affected, and after an hour all of them are idle.
    let key = rule_key(&zone, "x", b"y");
    assert!(reserve(&zone, &mut [requests(&zone, key, "1r/h")], START).is_ok());
    let later = after(3601 * SECOND);
    for n in 100..108 {
        assert!(reserve(&zone, &mut [ask(n)], later).is_ok());
    }
}

/// Fills all slots with clients whose buckets are idle at once, but for what `hold` takes from each,
/// and says how many others then find room at `now`.
fn room_beside(hold: impl Fn(&Zone<'_>, Key), now: Now) -> usize {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    for n in 0..8 {
        hold(&zone, zone.client_key(&format!("c{n}")));
    }
    let newcomer = |n: usize| {
        let key = zone.client_key(&format!("d{n}"));
        reserve(&zone, &mut [requests(&zone, key, "1r/h")], now)
    };
    (0..8).filter(|n| newcomer(*n).is_ok()).count()
}

#[test]
fn a_slot_with_money_spent_in_the_running_period_is_live() {
    let spend = |zone: &Zone<'_>, key: Key| {
        reserve(zone, &mut [money(key, "20/day", 1)], START).unwrap();
    };
    // Noon: the day ends in 43,200 s, and a worker may be late by a minute.
    for seconds in [43_199, 43_201, 43_259] {
        assert_eq!(room_beside(spend, after(seconds * SECOND)), 0, "{seconds} s");
    }
    assert_eq!(room_beside(spend, after(43_261 * SECOND)), 8);
    let give_back = |zone: &Zone<'_>, key: Key| {
        let mut asks = [money(key, "20/day", 1)];
        reserve(zone, &mut asks, START).unwrap();
        zone.give_back(&asks, START);
    };
    assert_eq!(room_beside(give_back, after(SECOND)), 8);
}

#[test]
fn a_slot_in_debt_is_live_until_the_debt_is_paid() {
    let borrow = |zone: &Zone<'_>, key: Key| {
        reserve(zone, &mut [tokens(zone, key, "60/m", 600)], START).unwrap();
    };
    assert_eq!(room_beside(borrow, after(599 * SECOND)), 0);
    assert_eq!(room_beside(borrow, after(601 * SECOND)), 8);
}

#[test]
fn a_slot_with_a_request_in_flight_is_live() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let mut holder = holder(&zone);
    let mut seats = Vec::new();
    for n in 0..8 {
        let key = zone.client_key(&format!("c{n}"));
        seats.extend(enter(&zone, &mut holder, &mut [places(key, 1)], START).unwrap());
    }
    let newcomer = requests(&zone, zone.client_key("d"), "1r/h");
    let later = after(1_000_000 * SECOND);
    let full = Err(Refused::ZoneFull(0));
    assert_eq!(reserve(&zone, &mut [newcomer], later).map(|_| ()), full);
    zone.release(seats.pop().unwrap(), &mut holder);
    assert!(reserve(&zone, &mut [newcomer], later).is_ok());
    for seat in seats {
        zone.release(seat, &mut holder);
    }
}

#[test]
fn no_word_of_a_slot_that_changed_hands_is_equal_to_one_before() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let key = zone.client_key("acme");
    let mut seen = std::collections::HashSet::new();
    for round in 0u64..20 {
        let now = after(round * SECOND);
        let mut asks = [requests(&zone, key, "100r/s"), money(key, "1/day", 1)];
        reserve(&zone, &mut asks, now).unwrap();
        zone.give_back(&asks, now);
        let place = zone.area(Area::Clients).find(key).unwrap();
        for (index, word) in zone.area(Area::Clients).slot(place).iter().enumerate() {
            let word = word.load(Ordering::Relaxed);
            assert!(seen.insert((place.way, index, word)), "round {round}, word {index}");
        }
        // Others take all of the slots.
        let later = after(round * SECOND + SECOND / 2);
        for n in 0..8 {
            let other = zone.client_key(&format!("{round} {n}"));
            reserve(&zone, &mut [requests(&zone, other, "100r/s")], later).unwrap();
        }
        assert!(zone.area(Area::Clients).find(key).is_none());
    }
}

#[test]
fn a_flood_of_keys_leaves_clients_alone() {
    let words = memory(64);
    let zone = Zone::format(&words, (3, 4)).unwrap();
    let client = |n: usize| requests(&zone, zone.client_key(&format!("c{n}")), "1r/d");
    for n in 0..50 {
        reserve(&zone, &mut [client(n)], START).unwrap();
    }
    let mut refused = 0;
    for n in 0u32..10_000 {
        let one = requests(&zone, rule_key(&zone, "ip", &n.to_be_bytes()), "1r/h");
        let outcome = reserve(&zone, &mut [one], START);
        refused += u32::from(outcome == Err(Refused::ZoneFull(0)));
    }
    assert!(refused > 9_000);
    for n in 0..50 {
        assert!(reserve(&zone, &mut [client(n)], START).is_err(), "c{n} was forgotten");
    }
}

#[test]
fn sets_fill_evenly() {
    let words = memory(2 * 1024);
    let zone = Zone::format(&words, (5, 6)).unwrap();
    let clients = zone.capacity(Area::Clients);
    let client = |n: usize| requests(&zone, zone.client_key(&format!("client-{n}")), "1r/d");
    let fits =
        (0..clients).take_while(|n| reserve(&zone, &mut [client(*n)], START).is_ok()).count();
    assert!(fits * 100 / clients >= 75, "{fits} of {clients}");
}

#[test]
fn what_a_dead_worker_left_frozen_is_mended() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let key = zone.client_key("acme");
    let mut asks = [requests(&zone, key, "10r/m"), money(key, "5/day", 2), places(key, 3)];
    let mut holder = holder(&zone);
    let seats = enter(&zone, &mut holder, &mut asks, START).unwrap();
    assert_eq!(left(&zone, &asks[0], START), 9);
    for seat in seats {
        zone.release(seat, &mut holder);
    }
    // It died in the middle of evicting: some words are frozen.
    let place = zone.area(Area::Clients).find(key).unwrap();
    for ask in &asks {
        let word = &zone.area(Area::Clients).slot(place)[ask.take.word()];
        word.store(crate::limits::frozen::FROZEN, Ordering::Relaxed);
    }
    let seats = enter(&zone, &mut holder, &mut asks, START).unwrap();
    assert_eq!(asks.map(|ask| left(&zone, &ask, START)), [9, 4_999_999_998, 2]);
    for seat in seats {
        zone.release(seat, &mut holder);
    }
}

/// Threads that fight over too few slots: a client never gets more than its own quota, and never
/// pays for another one.
#[test]
fn eviction_under_fire_never_mixes_clients_up() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let (lock, clock) = (lock(), AtomicU64::new(0));
    let clients = 24usize;
    let admitted: Vec<AtomicUsize> = (0..clients).map(|_| AtomicUsize::new(0)).collect();
    std::thread::scope(|scope| {
        for thread in 0u64..4 {
            let (zone, lock, clock, admitted) = (&zone, &lock, &clock, &admitted);
            scope.spawn(move || {
                let asks: Vec<_> = (0..clients)
                    .map(|n| {
                        let key = zone.client_key(&format!("c{n}"));
                        [requests(zone, key, "100000r/s"), money(key, "0.000001/day", 1_000)]
                    })
                    .collect();
                let (mut standings, mut seats) = (Vec::new(), Vec::new());
                let mut random = thread + 1;
                for _ in 0..60_000 {
                    random =
                        random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    let n = (random >> 33) as usize % clients;
                    // 1,000 requests to the refill of one token of each client.
                    let now = after(clock.fetch_add(10, Ordering::SeqCst));
                    let mut both = asks[n];
                    let outcome =
                        zone.reserve(&mut both, now, lock, None, &mut standings, &mut seats);
                    if outcome.is_ok() {
                        admitted[n].fetch_add(1, Ordering::SeqCst);
                        assert!(standings[0].remaining < 100_000);
                        // The whole budget was free: nobody else was charged to it.
                        assert_eq!(standings[1].remaining, 0);
                        zone.give_back(&both[1..], now);
                    }
                }
            });
        }
    });
    let total: usize = admitted.iter().map(|n| n.load(Ordering::SeqCst)).sum();
    // Nobody is near his quota of 100,000 at once, so whoever found a slot was admitted.
    assert!(total > 200_000 / 24, "{total}");
}

#[test]
fn strangers_teach_no_client_how_many_tokens_a_model_makes() {
    use crate::limits::learned::FEATURES;
    let words: Vec<_> = (0..1 << 14).map(|_| AtomicU64::new(0)).collect();
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let (text, rates, now) = ([50; FEATURES], TextRates([1 << 14; FEATURES]), START.mono);
    let of = |group, author| zone.learned_keys(("pro", "llama"), group, zone.author(author));
    let learned = |group| zone.text_rates(&of(group, b"somebody"), &rates, now);
    let teach = |group| {
        for author in [&b"a"[..], b"b", b"c", b"d"] {
            for _ in 0..10 {
                zone.learn_input(&of(group, author), (&text, 600), &rates, now);
            }
        }
    };
    teach(Group::Strangers);
    assert_eq!(learned(Group::Clients), None);
    assert!(learned(Group::Strangers).is_some());
    teach(Group::Clients);
    assert!(learned(Group::Clients).is_some());
}

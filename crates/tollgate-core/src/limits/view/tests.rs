use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::*;
use crate::limits::ask::Ask;
use crate::limits::fixtures::{
    after, enter, holder, left, lock, memory, money, places, requests, reserve, tokens, SECOND,
    START,
};
use crate::limits::{client_slots, Area};

#[test]
fn limits_of_who_was_never_seen_are_full_and_stay_without_a_slot() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let key = zone.client_key("acme");
    for (ask, capacity) in [
        (requests(&zone, key, "10r/m"), 10),
        (tokens(&zone, key, "2k/h", 7), 2_000),
        (money(key, "20/day", 1), 20_000_000_000),
        (places(key, 3), 3),
    ] {
        let view = zone.view(key, &ask.take, START);
        assert_eq!((view.used, view.standing.remaining), (0, capacity));
        assert_eq!((view.standing.until_full_nanos, view.used_ratio()), (0, 0.0));
    }
    assert!(zone.slots(key).find(key).is_none());
}

#[test]
fn as_many_clients_are_told_as_a_zone_has_slots_for() {
    for len in [0, 2_000, 8_192, 131_072, 1_310_720, 1_310_733] {
        let words: Vec<_> = (0..len).map(|_| super::super::sync::AtomicU64::new(0)).collect();
        let slots = Zone::format(&words, (1, 2)).map_or(0, |zone| zone.capacity(Area::Clients));
        println!("{len} words: {slots} clients");
        assert_eq!(client_slots(len), slots);
    }
}

#[test]
fn what_is_in_use_is_seen_with_its_debt() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let key = zone.client_key("acme");
    let mut asks = [tokens(&zone, key, "60/m", 30), money(key, "1/day", 250_000_000)];
    reserve(&zone, &mut asks, START).unwrap();
    let [of_tokens, of_money] = &asks;
    let view = zone.view(key, &of_tokens.take, START);
    assert_eq!((view.used, view.standing.remaining), (30, 30));
    assert_eq!(view.standing.until_full_nanos.div_ceil(1_000), 30_000_000);
    assert!((zone.view(key, &of_money.take, START).used_ratio() - 0.25).abs() < 1e-9);

    // More than there is.
    zone.settle(of_tokens, 90, START, &lock());
    zone.settle(of_money, 1_500_000_000, START, &lock());
    let view = zone.view(key, &of_tokens.take, START);
    assert_eq!((view.used, view.standing.remaining), (90, 0));
    assert!((view.used_ratio() - 1.5).abs() < 1e-9);
    let view = zone.view(key, &of_money.take, START);
    assert_eq!((view.used, view.standing.remaining), (1_500_000_000, 0));

    // And it comes back.
    assert_eq!(zone.view(key, &of_tokens.take, after(45 * SECOND)).used, 45);

    let mut holder = holder(&zone);
    let place = places(key, 4);
    let seats = enter(&zone, &mut holder, &mut [place], START).unwrap();
    assert_eq!(zone.view(key, &place.take, START).used, 1);
    seats.into_iter().for_each(|seat| zone.release(seat, &mut holder));
    assert_eq!(zone.view(key, &place.take, START).used, 0);
}

#[derive(Clone, Debug)]
enum Step {
    Requests,
    Tokens { reserved: u32, used: u64 },
    Money { reserved: u64, used: u64 },
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Requests),
        (1u32..300, 0u64..900).prop_map(|(reserved, used)| Step::Tokens { reserved, used }),
        (0u64..2_000_000_000, 0u64..3_000_000_000)
            .prop_map(|(reserved, used)| Step::Money { reserved, used }),
        (0u64..40 * SECOND).prop_map(Step::Pass),
    ]
}

proptest! {
    /// A view says what the limit itself says, adds up, and leaves all words of the zone as they are.
    #[test]
    fn a_view_is_what_the_arithmetic_of_the_zone_says(
        steps in prop::collection::vec(step(), 1..40),
        // The tier changes: the words were written by another rate.
        rate in prop::sample::select(vec!["300/m", "1000/h", "7/s"]),
    ) {
        let words = memory(6);
        let zone = Zone::format(&words, (1, 2)).unwrap();
        let key = zone.client_key("acme");
        let mut nanos = 0;
        for step in steps {
            let now = after(nanos);
            let settled = |ask: Ask, used: u64| {
                let mut asks = [ask];
                if reserve(&zone, &mut asks, now).is_ok() {
                    asks.iter().for_each(|ask| { zone.settle(ask, used, now, &lock()); });
                }
            };
            match step {
                Step::Requests => { let _ = reserve(&zone, &mut [requests(&zone, key, "30r/m")], now); }
                Step::Tokens { reserved, used } => {
                    settled(tokens(&zone, key, "300/m", reserved), used);
                }
                Step::Money { reserved, used } => settled(money(key, "2/hour", reserved), used),
                Step::Pass(more) => nanos += more,
            }
            let now = after(nanos);
            for ask in [
                requests(&zone, key, "30r/m"),
                tokens(&zone, key, rate, 1),
                money(key, "2/hour", 1),
                places(key, 2),
            ] {
                let before: Vec<u64> = words.iter().map(|w| w.load(Ordering::Relaxed)).collect();
                let view = zone.view(key, &ask.take, now);
                let same = words.iter().map(|w| w.load(Ordering::Relaxed)).eq(before);
                prop_assert!(same, "looking changed something");
                prop_assert_eq!(view.standing, zone.look(&ask, now).0);
                prop_assert_eq!(view.standing.remaining, left(&zone, &ask, now));
                let capacity = view.standing.capacity;
                prop_assert_eq!(view.standing.remaining, capacity.saturating_sub(view.used));
                prop_assert_eq!(view.used == 0, view.standing.until_full_nanos == 0);
            }
        }
    }
}

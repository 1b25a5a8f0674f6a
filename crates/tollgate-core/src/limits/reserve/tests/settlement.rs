//! What is given back, and what is charged beyond the reservation.

use super::*;

#[test]
fn a_settlement_gives_back_what_was_not_used() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let key = zone.client_key("acme");
    let mut asks = [tokens(&zone, key, "1k/m", 400), money(key, "1/day", 500_000_000)];
    reserve(&zone, &mut asks, START).unwrap();
    assert!(zone.settle(&asks[0], 150, START, &lock()));
    assert!(zone.settle(&asks[1], 100_000_000, START, &lock()));
    assert_eq!(asks.map(|ask| left(&zone, &ask, START)), [850, 900_000_000]);
}

#[test]
fn a_settlement_charges_the_excess_into_debt() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let key = zone.client_key("acme");
    let mut asks = [tokens(&zone, key, "60/m", 10), money(key, "1/day", 500_000_000)];
    reserve(&zone, &mut asks, START).unwrap();
    assert!(zone.settle(&asks[0], 120, START, &lock()));
    assert!(zone.settle(&asks[1], 1_200_000_000, START, &lock()));
    assert_eq!(asks.map(|ask| left(&zone, &ask, START)), [0, 0]);
    let one = tokens(&zone, key, "60/m", 1);
    let wait = exceeded(reserve(&zone, &mut [one], START)).wait_nanos;
    assert!(wait.abs_diff(61 * SECOND) < 128, "{wait}");
    let cent = money(key, "1/day", 1);
    // Noon: until midnight.
    assert_eq!(exceeded(reserve(&zone, &mut [cent], START)).wait_nanos, 43_200 * SECOND);
    assert!(reserve(&zone, &mut [cent], after(43_200 * SECOND)).is_ok());
}

#[test]
fn a_settlement_finds_no_slot_makes_one_for_an_excess_and_none_otherwise() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let ask = |n: u32| tokens(&zone, zone.client_key(&format!("c{n}")), "60/m", 10);
    // Reserved, and idle again before it is settled: others take the slots.
    let mut first = [ask(0)];
    reserve(&zone, &mut first, START).unwrap();
    let later = after(60 * SECOND);
    for n in 1..=8 {
        reserve(&zone, &mut [ask(n)], later).unwrap();
    }
    assert!(zone.settle(&first[0], 10, later, &lock()));
    assert!(zone.settle(&first[0], 3, later, &lock()));
    // No room for an excess, as all are live; and in a minute there is.
    assert!(!zone.settle(&first[0], 30, later, &lock()));
    let later = after(120 * SECOND);
    assert!(zone.settle(&first[0], 30, later, &lock()));
    assert_eq!(left(&zone, &first[0], later), 40);
}

#[test]
fn what_was_reserved_in_one_period_is_not_given_back_to_the_next() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let key = zone.client_key("acme");
    let half = money(key, "1/day", 500_000_000);
    let (mut first, mut second) = ([half], [half]);
    reserve(&zone, &mut first, START).unwrap();
    let next_day = after(50_000 * SECOND);
    reserve(&zone, &mut second, next_day).unwrap();
    assert!(zone.settle(&first[0], 0, next_day, &lock()));
    assert_eq!(left(&zone, &half, next_day), 500_000_000);
    // What was used beyond it is charged to the running one.
    assert!(zone.settle(&first[0], 600_000_000, next_day, &lock()));
    assert_eq!(left(&zone, &half, next_day), 400_000_000);
    assert!(zone.settle(&second[0], 100_000_000, next_day, &lock()));
    assert_eq!(left(&zone, &half, next_day), 800_000_000);
}

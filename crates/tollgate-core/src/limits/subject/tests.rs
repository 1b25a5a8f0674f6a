use super::*;
use crate::limits::fixtures::*;
use crate::limits::{Ask, Now, Refused};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const RULE: &str = "per_address";

fn v6(network: u32, subnet: u32) -> AddressKey {
    let bits = u128::from(network) << 96 | u128::from(subnet) << 64;
    AddressKey::new(IpAddr::V6(Ipv6Addr::from_bits(bits)))
}

fn v4(bits: u32) -> AddressKey {
    AddressKey::new(IpAddr::V4(Ipv4Addr::from_bits(bits)))
}

fn by_address(address: AddressKey, client: Option<&str>) -> Subject<'_> {
    Subject { rule: RULE, by: CountedBy::Address(address), client }
}

type KeyOf = fn(&Zone<'_>, &Subject<'_>, u8) -> Option<Key>;
const LIMITS: KeyOf = |zone, subject, width| zone.limit_key(subject, width);
const FAILURES: KeyOf = |zone, subject, width| zone.failures_key(subject, width);

/// Counts one for `subject`, where there is room: how wide that is, and whether it passed.
fn count(zone: &Zone<'_>, key: KeyOf, subject: &Subject<'_>, quota: &str, now: Now) -> (u8, bool) {
    for width in 0.. {
        let key = key(zone, subject, width).expect("somewhere there is room");
        match reserve(zone, &mut [requests(zone, key, quota)], now) {
            Ok(_) => return (width, true),
            Err(Refused::Exceeded(_)) => return (width, false),
            Err(Refused::ZoneFull(0)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    unreachable!()
}

fn zone(words: &[crate::limits::sync::AtomicU64]) -> Zone<'_> {
    Zone::format(words, (11, 12)).unwrap()
}

#[test]
fn every_chain_ends_where_there_is_always_room() {
    let words = memory(6);
    let zone = zone(&words);
    for (by, client) in [
        (CountedBy::Address(v6(1, 2)), None),
        (CountedBy::Address(v4(3)), None),
        (CountedBy::Address(v4(3)), Some("acme")),
        (CountedBy::Value(b"x"), None),
        (CountedBy::Value(b"x"), Some("acme")),
        (CountedBy::Constant(b"all"), None),
    ] {
        let subject = Subject { rule: RULE, by, client };
        for key in [LIMITS, FAILURES] {
            let chain: Vec<_> = (0..10).map_while(|width| key(&zone, &subject, width)).collect();
            let last = *chain.last().unwrap();
            let before_last = chain[chain.len() - 2];
            assert_eq!(before_last.area(), Area::Rules, "{subject:?}");
            assert_eq!(last.area(), Area::Clients, "{subject:?}");
            for key in [before_last, last] {
                assert_eq!(zone.is_rest(&subject, key), chain.len() > 2, "{subject:?}");
            }
            assert!(chain.iter().rev().skip(2).all(|key| !zone.is_rest(&subject, *key)));
            let distinct: std::collections::HashSet<_> = chain.iter().collect();
            assert_eq!(distinct.len(), chain.len());
        }
    }
}

#[test]
fn more_rules_than_there_is_room_for_are_counted_among_the_clients() {
    for key in [LIMITS, FAILURES] {
        let words = memory(60);
        let zone = zone(&words);
        let names: Vec<_> = (0..60).map(|n| format!("rule-{n}")).collect();
        assert!(zone.capacity(Area::Rules) < names.len());
        for (expected, now) in [(true, START), (false, after(1))] {
            for rule in &names {
                let subject = Subject { rule, by: CountedBy::Constant(b"all"), client: None };
                assert_eq!(count(&zone, key, &subject, "1r/d", now).1, expected, "{rule}");
            }
        }
    }
}

#[test]
fn what_strangers_can_mint_never_lies_with_what_they_cannot() {
    let words = memory(6);
    let zone = zone(&words);
    let area = |by, client, width| {
        zone.limit_key(&Subject { rule: RULE, by, client }, width).map(Key::area)
    };
    assert_eq!(area(CountedBy::Constant(b"all"), None, 0), Some(Area::Rules));
    assert_eq!(area(CountedBy::Authenticated(b"tenant"), Some("a"), 0), Some(Area::Clients));
    for by in [CountedBy::Value(b"x"), CountedBy::Address(v6(1, 1)), CountedBy::Address(v4(1))] {
        assert_eq!(area(by, None, 0), Some(Area::Keys));
        assert_eq!(area(by, Some("a"), 0), Some(Area::Keys));
        // A client is counted by its name then, and never with strangers.
        assert_eq!(area(by, Some("a"), 1), Some(Area::Clients));
    }
}

/// A flood of wrong credentials from one /48, from one /32, or from everywhere.
#[test]
fn a_flood_of_failures_takes_nothing_from_clients_and_rules() {
    for flood in [
        |n: u32| v6(0x2001_0db8, 7 << 16 | n),
        |n: u32| v6(0x2001_0db8, n.wrapping_mul(0x9e37_79b9)),
        |n: u32| v6(n.wrapping_mul(0x9e37_79b9), n),
        |n: u32| v4(n.wrapping_mul(0x9e37_79b9)),
    ] {
        let words = memory(64);
        let zone = zone(&words);
        // Idle in a moment: nothing but their area protects them.
        let clients: Vec<_> = (0..40).map(|n| zone.client_key(&format!("c{n}"))).collect();
        let all = Subject { rule: "all", by: CountedBy::Constant(b"all"), client: None };
        let all = zone.limit_key(&all, 0).unwrap();
        for key in clients.iter().chain([&all]) {
            let mut ask = [requests(&zone, *key, "100r/s")];
            reserve(&zone, &mut ask, START).unwrap();
        }
        let later = after(60 * SECOND);
        let guesses = 20_000;
        let passed = (0..guesses)
            .filter(|n| {
                let address = flood(*n);
                count(&zone, FAILURES, &by_address(address, None), "5r/h", later).1
            })
            .count();
        // Each of the slots there are for failures, and those who share what is left.
        let slots = [Area::Failures, Area::FailureNetworks, Area::Rules];
        let slots: usize = slots.into_iter().map(|area| zone.capacity(area)).sum();
        assert!(passed <= slots * 5, "{passed} guesses, {slots} slots");
        for key in clients.iter().chain([&all]) {
            assert!(zone.area(key.area()).find(*key).is_some(), "a slot was given away");
        }
        // And whoever is limited by address has room as before.
        let (width, passed) = count(&zone, LIMITS, &by_address(v4(99), None), "1r/h", later);
        assert!(passed && width == 0);
    }
}

#[test]
fn a_network_is_counted_together_where_its_addresses_are_too_many_and_no_other_one_is() {
    let words = memory(512);
    let zone = zone(&words);
    let mut widths = [0usize; 4];
    let mut passed = 0;
    for n in 0..20_000 {
        let subject = by_address(v6(0x2001_0db8, 7 << 16 | n), None);
        let (width, ok) = count(&zone, FAILURES, &subject, "3r/h", START);
        widths[usize::from(width)] += 1;
        passed += usize::from(ok);
    }
    // A /48 has an own slot for a few of its addresses, and then one for all of them.
    let own = zone.capacity(Area::Failures) / 64 + 16;
    assert!(widths[0] <= own && widths[2] == 0 && widths[3] == 0, "{widths:?}");
    assert!(passed <= own + 3, "{passed}");
    let others = (0..200).filter(|n| {
        let subject = by_address(v6(0x2001_0db9 + n, 1), None);
        count(&zone, FAILURES, &subject, "3r/h", START) == (0, true)
    });
    assert!(others.count() >= 190);
}

#[test]
fn a_client_without_room_for_its_address_is_counted_alone() {
    let words = memory(64);
    let zone = zone(&words);
    let stranger = |n: u32| by_address(v4(n.wrapping_mul(0x9e37_79b9)), None);
    for n in 0..20_000 {
        count(&zone, LIMITS, &stranger(n), "1r/d", START);
    }
    // Strangers are all refused together by now.
    assert_eq!(count(&zone, LIMITS, &stranger(1_000_000), "1r/d", START), (3, false));
    for client in ["a", "b"] {
        let subject = by_address(v4(7), Some(client));
        assert_eq!(count(&zone, LIMITS, &subject, "2r/d", START), (1, true));
        assert_eq!(count(&zone, LIMITS, &subject, "2r/d", START), (1, true));
        assert_eq!(count(&zone, LIMITS, &subject, "2r/d", START), (1, false));
    }
}

#[test]
fn an_address_has_its_own_slot_again_when_there_is_room() {
    let words = memory(12);
    let zone = zone(&words);
    let subject = by_address(v4(7), None);
    for n in 0..2_000 {
        count(&zone, LIMITS, &by_address(v4(n << 8), None), "100r/h", START);
    }
    let key = zone.limit_key(&subject, 0).unwrap();
    assert!(!zone.has_room(key, START));
    assert_ne!(count(&zone, LIMITS, &subject, "100r/h", START).0, 0);
    let later = after(3_600 * SECOND);
    assert!(zone.has_room(key, later));
    assert_eq!(count(&zone, LIMITS, &subject, "100r/h", later), (0, true));
    assert!(zone.has_room(key, later));
}

#[test]
fn a_slot_of_a_future_period_is_given_away_after_all_others() {
    let words = memory(6);
    let zone = zone(&words);
    let key = |n: usize| zone.client_key(&format!("c{n}"));
    let year = 365 * 86_400;
    let wrong = Now { wall: crate::clock::UnixSeconds(START.wall.0 + year), ..START };
    let slots = zone.capacity(Area::Clients);
    let spend = |n: usize, now: Now| reserve(&zone, &mut [money(key(n), "1/day", 500)], now);
    for n in 0..slots {
        spend(n, wrong).unwrap();
    }
    // Whoever comes back in time is charged in the period that it is.
    let remaining = left(&zone, &money(key(0), "1/day", 1), START);
    assert_eq!(remaining, 1_000_000_000 - 500);
    spend(0, START).unwrap();
    // The others give way, and that one doesn't.
    let now = after(SECOND);
    let passed = (100..100 + 2 * slots).filter(|n| spend(*n, now).is_ok()).count();
    assert_eq!(passed, slots - 1);
    assert_eq!(left(&zone, &money(key(0), "1/day", 1), now), 1_000_000_000 - 1_000);
    let ask: Ask = money(key(100), "1/day", 1);
    assert_eq!(left(&zone, &ask, now), 1_000_000_000 - 500);
}

#[test]
fn a_flood_from_everywhere_fills_every_set_whatever_the_seed() {
    for seed in 0..30 {
        let words = memory(148);
        let zone = Zone::format(&words, (seed, 99 - seed)).unwrap();
        for n in 0u32..1_500 {
            let address = v6(n.wrapping_mul(0x9e37_79b9), n.wrapping_mul(0x85eb_ca6b));
            count(&zone, LIMITS, &by_address(address, None), "2r/h", START);
        }
        let subject = by_address(v4(0xc612_0808), Some("a"));
        assert_eq!(count(&zone, LIMITS, &subject, "2r/h", START), (1, true), "seed {seed}");
    }
}

#[test]
fn what_an_operator_names_has_the_key_of_who_was_counted() {
    let words = memory(8);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let of = |by| Subject { rule: "r", by, client: None };
    let address = of(CountedBy::address("2001:db8::1").unwrap());
    let counted = |client| zone.limit_key(&Subject { client, ..address }, 0);
    // Whether it had a client doesn't matter, nor which address of the network it was.
    assert_eq!(Some(zone.own_limit_keys(&address)[0]), counted(Some("acme")));
    let same = of(CountedBy::address("2001:db8::ffff:1").unwrap());
    assert_eq!(zone.own_limit_keys(&same), zone.own_limit_keys(&address));
    let other = of(CountedBy::address("2001:db8:0:1::1").unwrap());
    assert_ne!(zone.own_limit_keys(&other), zone.own_limit_keys(&address));
    assert_eq!(CountedBy::address("::ffff:192.0.2.1"), CountedBy::address("192.0.2.1"));
    // What others share isn't among them.
    for by in [address.by, CountedBy::Value(b"x"), CountedBy::Authenticated(b"x")] {
        let keys = [zone.own_limit_keys(&of(by)), zone.own_failures_keys(&of(by))];
        assert_eq!(keys.map(|keys| keys.len()), [1, 1], "{by:?}");
    }
    let constant = of(CountedBy::address("unix:").unwrap());
    let keys = zone.own_limit_keys(&constant);
    assert_eq!(keys.len(), 2);
    assert!(!keys.iter().any(|key| zone.is_rest(&constant, *key)));
    for text in ["", "192.0.2", "192.0.2.1/32", "localhost", "[::1]", "unix"] {
        assert_eq!(CountedBy::address(text), None, "{text}");
    }
}

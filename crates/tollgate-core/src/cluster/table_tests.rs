use std::cell::Cell;
use std::collections::HashSet;

use super::super::entry::{self, Backing, Drawn};
use super::super::fixtures::{at, key, Node, SECOND};
use super::super::marks::Marks;
use super::*;

/// A table with room for so many limits of clients, in one set or a few.
fn small(sets: usize) -> Node {
    Node::new(HEADER_WORDS + 8 + sets * SET_WORDS)
}

fn taken(drawn: Drawn) -> bool {
    matches!(drawn, Drawn::Taken(_))
}

#[test]
fn every_limit_has_an_entry_of_its_own() {
    let node = small(400);
    let mut places = HashSet::new();
    for n in 0..300 {
        let client = format!("c{n}");
        for ask in [
            node.requests(&client, "100r/m", 1),
            node.requests(&client, "100r/s", 1),
            node.money(&client, "20/day", 1),
            node.places(&client, 4),
        ] {
            assert_eq!(node.table().find(&ask).map(|entry| entry.place), None);
            let entry = node.entry(&client, &ask);
            assert!(places.insert(entry.place));
            assert_eq!(node.table().find(&ask).map(|entry| entry.place), Some(entry.place));
            assert_eq!(node.table().limit_of(&entry), Some((key(&client), ask.word())));
        }
    }
    assert_eq!(node.table().entries().count(), 1_200);
}

#[test]
fn nothing_is_drawn_but_what_was_bought() {
    let node = small(4);
    let ask = node.requests("acme", "100r/m", 1);
    let entry = node.entry("acme", &ask);
    let clock = || at(0);
    assert_eq!(entry.draw(1, clock), Drawn::Short { missing: 1 });
    entry.renew(at(3 * SECOND));
    entry.grant(5);
    assert!(taken(entry.draw(3, clock)));
    assert_eq!(entry.draw(3, clock), Drawn::Short { missing: 1 });
    assert!(taken(entry.draw(2, clock)));
    assert!(taken(entry.draw(0, clock)));
    let count = entry.count();
    assert_eq!((count.held, count.drawn), (0, 5));
}

#[test]
fn what_is_drawn_of_a_lease_that_runs_out_meanwhile_is_put_back() {
    let node = small(4);
    let entry = node.entry("acme", &node.requests("acme", "100r/m", 1));
    entry.renew(at(3 * SECOND));
    entry.grant(5);
    assert!(taken(entry.draw(1, || at(3 * SECOND - 1))));
    assert_eq!(entry.draw(1, || at(3 * SECOND)), Drawn::Short { missing: 1 });
    assert_eq!((entry.count().held, entry.count().drawn), (4, 1));
}

#[test]
fn what_was_reported_meanwhile_is_drawn_once_more() {
    let node = small(4);
    let (table, entry) = (node.table(), node.entry("acme", &node.requests("acme", "100r/m", 1)));
    entry.renew(at(3 * SECOND));
    entry.grant(5);
    let turns = Cell::new(0);
    let clock = || {
        // A message is begun between the swap and the clock, once.
        if turns.replace(1) == 0 {
            table.words().next_round();
        }
        at(0)
    };
    assert!(taken(entry.draw(2, clock)));
    // What was reported too early is spent.
    assert_eq!((entry.count().held, entry.count().drawn), (1, 4));
}

#[test]
fn what_is_put_back_can_be_drawn_until_it_is_reported() {
    let node = small(4);
    let (table, entry) = (node.table(), node.entry("acme", &node.requests("acme", "100r/m", 1)));
    entry.renew(at(3 * SECOND));
    entry.grant(5);
    let Drawn::Taken(round) = entry.draw(2, || at(0)) else { panic!() };
    entry.undo(2, round);
    assert_eq!(entry.count().held, 5);
    let Drawn::Taken(round) = entry.draw(2, || at(0)) else { panic!() };
    table.words().next_round();
    entry.undo(2, round);
    assert_eq!((entry.count().held, entry.count().drawn), (3, 2));
}

#[test]
fn money_is_reported_in_whole_units_that_do_not_add_up() {
    let node = small(4);
    let entry = node.entry("acme", &node.money("acme", "20/day", 1));
    entry.renew(at(3 * SECOND));
    entry.grant(10);
    for n in 1..=7 {
        assert!(taken(entry.draw(300, || at(0))));
        let count = entry.count();
        assert_eq!(count.drawn, (300u64 * n).div_ceil(1_000));
        assert_eq!(count.held + count.drawn, 10);
        entry.adjust(-100);
        assert_eq!(entry.count().adjust, -(i64::try_from(n).unwrap() * 100 / 1_000));
    }
    assert_eq!(entry.take_back(u64::MAX), 7);
    assert_eq!((entry.count().held, entry.count().drawn), (0, 3));
}

#[test]
fn needs_are_those_of_their_round() {
    let node = small(4);
    let (table, entry) = (node.table(), node.entry("acme", &node.requests("acme", "100r/m", 1)));
    let round = entry.need(3);
    assert_eq!(entry.need(4), round);
    assert_eq!(entry.needed(round), 7);
    entry.satisfied(3, round);
    assert_eq!(entry.needed(round), 4);
    table.words().next_round();
    let next = entry.need(1);
    assert_eq!((next, entry.needed(next), entry.needed(round)), (round + 1, 1, 0));
    // One that was of the round before takes nothing away.
    entry.satisfied(4, round);
    assert_eq!(entry.needed(next), 1);
    assert!(!entry.is_answered(round));
    entry.words[entry::ANSWERED].store(entry::answered(round, 1_500), Ordering::Relaxed);
    assert!(entry.is_answered(round) && !entry.is_answered(next));
    assert_eq!(entry.wait_nanos(), 2_000_000);
}

#[test]
fn an_entry_is_given_away_when_nothing_of_it_counts() {
    let node = small(2);
    // Nothing is for strangers in so small a table but one set.
    let asks: Vec<_> = (0..)
        .map(|n| format!("c{n}"))
        .map(|c| (c.clone(), node.requests(&c, "100r/m", 1)))
        .take(9)
        .collect();
    let make = |n: usize| {
        let (client, ask) = &asks[n];
        node.table().find_or_make(ask, |seed| Some(seed.client_key(client)), &node.lock)
    };
    let clear = || node.table().called().for_each(drop);
    for n in 0..8 {
        let entry = make(n).unwrap();
        match n {
            0 => entry.grant(1),
            1 => assert!(entry.adjust(1)),
            2 => assert!(entry.spend_alone(1)),
            3 => _ = entry.need(1),
            _ => _ = entry.set_marks(|marks| Marks { is_tracked: true, ..marks }),
        }
    }
    assert_eq!(make(8).map(|entry| entry.place), Err(NoEntry::Full));
    clear();
    let entry = make(8).unwrap();
    let (_, third) = &asks[3];
    assert_eq!(node.table().find(third).map(|entry| entry.place), None);
    // Who found it before can't take its word for another one's.
    assert_eq!(entry.draw(1, || at(0)), Drawn::Short { missing: 1 });
    for (_, ask) in &asks[..3] {
        assert!(node.table().find(ask).is_some());
    }
}

#[test]
fn who_found_an_entry_before_it_changed_hands_changes_nothing_of_it() {
    let node = small(2);
    let old = node.requests("old", "100r/m", 1);
    let before = node.entry("old", &old);
    assert!(node.table().evict(before.place / WAYS, before.place % WAYS));
    let entry = node.entry("new", &node.requests("new", "100r/m", 1));
    assert_eq!(entry.place, before.place);
    entry.renew(at(SECOND));
    entry.grant(5);
    assert_eq!(before.draw(1, || at(0)), Drawn::Moved);
    assert!(!before.adjust(1) && !before.spend_alone(1));
    assert!(!before.settle(Backing::Lease, (3, 5), false));
    assert_eq!(entry.count().held, 5);
    assert_eq!((entry.count().adjust, entry.count().alone), (0, 0));
}

#[test]
fn without_a_seed_limits_have_no_names_and_with_another_one_others() {
    let node = small(4);
    let words: Vec<_> = (0..600).map(|_| AtomicU64::new(0)).collect();
    let table = LeaseTable::format(&words, 1, at(0)).unwrap();
    let ask = node.requests("acme", "100r/m", 1);
    let make = || table.find_or_make(&ask, |seed| Some(seed.client_key("acme")), &node.lock);
    assert_eq!(make().map(|entry| entry.place), Err(NoEntry::Unnamed));
    let name = |entry: &Entry<'_>| entry.words[entry::NAME].load(Ordering::Relaxed);
    let mut names = HashSet::new();
    for seed in 1..4 {
        table.words().set_seed((seed, 2));
        table.words().set_seed((seed, 2));
        assert!(table.find(&ask).is_none());
        assert!(names.insert(name(&make().unwrap())));
        assert_eq!(table.words().era(), seed);
    }
}

#[test]
fn a_lease_of_slots_is_lowered_to_what_is_in_flight() {
    let node = small(4);
    let entry = node.entry("acme", &node.places("acme", 8));
    entry.renew(at(SECOND));
    entry.allow(6);
    assert!(entry.allows(6, || at(0)) && !entry.allows(7, || at(0)));
    assert!(!entry.allows(1, || at(SECOND)), "it has run out");
    assert_eq!(entry.lower(2, || 4), 4);
    assert!(entry.allows(4, || at(0)) && !entry.allows(5, || at(0)));
    assert_eq!(entry.lower(2, || 0), 2);
}

/// Who still has the word of the hands before finds another one, even where the amount is the same.
#[test]
fn next_hands_are_others_and_have_nothing() {
    let word = (7 << 56) | 1_234;
    let next = entry::of_next_hands(word);
    assert_eq!(next, 8 << 56);
    assert_eq!(entry::of_next_hands(next), 9 << 56);
    // They are counted in eight bits.
    assert_eq!(entry::of_next_hands(u64::MAX), 0);
}

//! The table: one process, several, and one that dies in the middle.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::objects::snapshot::{Saving, Snapshot, SnapshotError};

/// Without contention.
struct Alone;

impl ClaimLock for Alone {
    fn with<T>(&self, f: impl FnOnce() -> T) -> T {
        f()
    }
}

const SEED: (u64, u64) = (1, 2);

fn words(sets: usize) -> Vec<AtomicU64> {
    (0..HEADER_WORDS + sets * SET_WORDS).map(|_| AtomicU64::new(7)).collect()
}

fn at(now: i64) -> Life {
    Life { ttl: 100, now: UnixSeconds(now) }
}

fn id(number: usize) -> Vec<u8> {
    format!("resp_{number}").into_bytes()
}

struct Table<'m>(OwnedObjects<'m>);

impl Table<'_> {
    fn add(&self, client: &str, number: usize, now: i64) -> Remembered {
        let object = self.0.object(Kind::Response, &id(number));
        self.0.remember(object, self.0.owner(client), at(now), &Alone)
    }

    fn look(&self, client: &str, number: usize, now: i64) -> Standing {
        let object = self.0.object(Kind::Response, &id(number));
        self.0.look(object, self.0.owner(client), at(now), &Alone)
    }

    fn kept(&self, client: &str, numbers: std::ops::Range<usize>, now: i64) -> usize {
        numbers.filter(|number| self.look(client, *number, now) == Standing::Own).count()
    }
}

#[test]
fn an_object_is_its_clients_alone() {
    let words = words(4);
    let table = Table(OwnedObjects::format(&words, SEED).unwrap());
    assert_eq!(table.look("a", 1, 10), Standing::Unknown);
    assert_eq!(table.add("a", 1, 10), Remembered::Own);
    assert_eq!(table.look("a", 1, 10), Standing::Own);
    assert_eq!(table.look("b", 1, 10), Standing::Foreign);
    assert_eq!(table.add("b", 1, 10), Remembered::Foreign, "who was first stays its owner");
    assert_eq!(table.look("a", 1, 10), Standing::Own);
    let (objects, a) = (table.0, table.0.owner("a"));
    let other_kind = objects.object(Kind::File, &id(1));
    assert_eq!(objects.look(other_kind, a, at(10), &Alone), Standing::Unknown);

    let object = objects.object(Kind::Response, &id(1));
    objects.forget(object, objects.owner("b"), &Alone);
    assert_eq!(table.look("a", 1, 10), Standing::Own, "another one can't have it forgotten");
    objects.forget(object, a, &Alone);
    assert_eq!(table.look("a", 1, 10), Standing::Unknown);
}

#[test]
fn its_time_begins_anew_when_it_is_used() {
    let words = words(4);
    let table = Table(OwnedObjects::format(&words, SEED).unwrap());
    table.add("a", 1, 1000);
    table.add("a", 2, 1000);
    assert_eq!(table.look("b", 1, 1090), Standing::Foreign, "by its owner only");
    assert_eq!(table.look("a", 1, 1100), Standing::Own);
    assert_eq!(table.look("a", 2, 1101), Standing::Unknown);
    assert_eq!(table.look("a", 1, 1200), Standing::Own);
    assert_eq!(table.look("a", 1, 900), Standing::Own, "a clock that was put back");
    assert_eq!(table.look("a", 1, 1301), Standing::Unknown);
    assert_eq!(table.add("b", 1, 1301), Remembered::Own, "nobody's any more");
    assert_eq!(table.look("a", 1, 1301), Standing::Foreign);
}

#[test]
fn an_object_whose_time_is_over_is_not_there_twice_when_it_is_made_anew() {
    let words = words(4);
    let table = Table(OwnedObjects::format(&words, SEED).unwrap());
    (0..40).for_each(|number| _ = table.add("a", number, 1000));
    (0..40).for_each(|number| assert_eq!(table.add("b", number, 2000), Remembered::Own));
    let mut objects: Vec<_> =
        table.0.entries(0..table.0.capacity()).map(|entry| entry.object.low).collect();
    let all = objects.len();
    objects.sort_unstable();
    objects.dedup();
    assert_eq!((objects.len(), all), (40, 40));
    // Also where the clock is put back to when it was another one's.
    (0..40).for_each(|number| assert_eq!(table.look("a", number, 1000), Standing::Foreign));
}

#[test]
fn a_client_alone_has_all_the_room_and_loses_its_oldest() {
    let words = words(4);
    let table = Table(OwnedObjects::format(&words, SEED).unwrap());
    let capacity = table.0.capacity();
    assert_eq!(capacity, 64);
    for number in 0..1000 {
        assert_eq!(table.add("a", number, 10), Remembered::Own);
        assert_eq!(table.look("a", number, 10), Standing::Own);
    }
    assert_eq!(table.kept("a", 0..1000, 10), capacity);
    assert!(table.kept("a", 800..1000, 10) > capacity - 8, "the latest");
}

#[test]
fn nobody_is_pushed_out_by_one_who_has_as_much() {
    let words = words(8);
    let table = Table(OwnedObjects::format(&words, SEED).unwrap());
    // A greedy one was there first, and goes on.
    (0..2000).for_each(|number| _ = table.add("greedy", number, 10));
    for number in 5000..5020 {
        assert_eq!(table.add("modest", number, 11), Remembered::Own);
    }
    (2000..4000).for_each(|number| _ = table.add("greedy", number, 12));
    assert_eq!(table.kept("modest", 5000..5020, 12), 20);
    // Many of them have as many each.
    for client in 0..4 {
        for number in 0..500 {
            table.add(&client.to_string(), 10_000 * (client + 1) + number, 13);
        }
    }
    for client in 0..4_usize {
        let numbers = 10_000 * (client + 1)..10_000 * (client + 1) + 500;
        assert!(table.kept(&client.to_string(), numbers, 13) >= 14, "{client}");
    }
    assert!(table.kept("modest", 5000..5020, 13) >= 14);
}

#[test]
fn where_all_are_as_modest_there_is_no_room() {
    let words = words(1);
    let table = Table(OwnedObjects::format(&words, SEED).unwrap());
    for client in 0..16 {
        assert_eq!(table.add(&client.to_string(), client, 10), Remembered::Own);
    }
    assert_eq!(table.add("late", 99, 10), Remembered::NoRoom);
    assert_eq!(table.look("late", 99, 10), Standing::Unknown);
    assert_eq!(table.add("late", 99, 111), Remembered::Own, "when others' time is over");
}

#[test]
fn a_slot_that_is_half_written_is_nobodys() {
    let words = words(1);
    let objects = OwnedObjects::format(&words, SEED).unwrap();
    let table = Table(objects);
    for dies_at in 0..4 {
        table.add("a", 1, 10);
        let (slot, entry) = objects.find(objects.object(Kind::Response, &id(1)), at(10)).unwrap();
        let other = Entry {
            object: objects.object(Kind::Response, &id(2)),
            owner: objects.owner("b"),
            stamp: entry.stamp + 1,
        };
        slot.clear();
        let (low, high) = other.object.words();
        let stores = [(slot.low, low), (slot.high, high), (slot.owner, other.owner.word())];
        stores.iter().take(dies_at).for_each(|(word, value)| word.store(*value, Ordering::SeqCst));
        for (client, number) in [("a", 1), ("a", 2), ("b", 1), ("b", 2)] {
            assert_eq!(table.look(client, number, 10), Standing::Unknown, "{dies_at}");
        }
        assert_eq!(table.add("a", 1, 10), Remembered::Own, "and free");
        objects.forget(objects.object(Kind::Response, &id(1)), objects.owner("a"), &Alone);
    }
}

#[test]
fn memory_of_something_else_is_refused() {
    let small = words(0);
    assert_eq!(OwnedObjects::format(&small, SEED).unwrap_err(), LayoutError::TooSmall);
    let words = words(1);
    assert_eq!(OwnedObjects::attach(&words).unwrap_err(), LayoutError::Foreign);
    OwnedObjects::format(&words, SEED).unwrap();
    assert!(OwnedObjects::attach(&words).is_ok());
    let version = words[1].swap(99, Ordering::SeqCst);
    assert!(matches!(OwnedObjects::attach(&words), Err(LayoutError::Version { found: 99, .. })));
    words[1].store(version, Ordering::SeqCst);
    words[WORD_SETS].store(u64::MAX, Ordering::SeqCst);
    assert_eq!(OwnedObjects::attach(&words).unwrap_err(), LayoutError::TooSmall);
}

/// Readers never see one client's object as another's, while the slots change hands all the time.
#[test]
fn who_looks_meanwhile_sees_no_mixture() {
    let words = words(1);
    let objects = OwnedObjects::format(&words, SEED).unwrap();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let table = Table(objects);
                let mut rounds = 0_usize;
                while !is_over.load(Ordering::Relaxed) {
                    for number in 0..40 {
                        // Even ones are a's, odd ones are b's.
                        let other = if number % 2 == 0 { "b" } else { "a" };
                        assert_ne!(table.look(other, number, 10), Standing::Own);
                        for entry in objects.entries(0..16) {
                            let number = (0..40).find(|number| {
                                objects.object(Kind::Response, &id(*number)) == entry.object
                            });
                            let owner = if number.unwrap() % 2 == 0 { "a" } else { "b" };
                            assert_eq!(entry.owner, objects.owner(owner));
                        }
                    }
                    rounds += 1;
                }
                assert!(rounds > 0);
            });
        }
        let table = Table(objects);
        for round in 0..20_000_usize {
            let number = round * 7 % 40;
            table.add(if number % 2 == 0 { "a" } else { "b" }, number, 10);
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

fn saved(objects: OwnedObjects<'_>, step: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut saving = Saving::new(objects, &mut bytes);
    while !saving.step(step, &mut bytes) {}
    saving.finish(&mut bytes);
    bytes
}

#[test]
fn a_file_has_all_of_it_and_nothing_damaged_is_taken() {
    let old = words(4);
    let table = Table(OwnedObjects::format(&old, SEED).unwrap());
    (0..40).for_each(|number| _ = table.add(if number % 2 == 0 { "a" } else { "b" }, number, 10));
    let bytes = saved(table.0, 5);
    assert_eq!(bytes, saved(table.0, 1000));

    let new = words(4);
    let (objects, lost) = Snapshot::read(&bytes).unwrap().format(&new).unwrap();
    assert_eq!(lost, 0);
    let restored = Table(objects);
    for number in 0..40 {
        let (own, other) = if number % 2 == 0 { ("a", "b") } else { ("b", "a") };
        assert_eq!(restored.look(own, number, 110), Standing::Own);
        assert_eq!(restored.look(other, number, 110), Standing::Foreign);
    }
    assert_eq!(restored.add("a", 50, 10), Remembered::Own);

    let smaller = words(1);
    let (objects, lost) = Snapshot::read(&bytes).unwrap().format(&smaller).unwrap();
    assert_eq!((objects.entries(0..16).count(), lost), (16, 24));

    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(Snapshot::read(&damaged).is_err(), "{at}");
        assert!(Snapshot::read(&bytes[..at]).is_err(), "{at}");
    }
    assert_eq!(Snapshot::read(b"user nobody;").unwrap_err(), SnapshotError::Foreign);
    let mut newer = bytes;
    newer[8] = 9;
    assert_eq!(Snapshot::read(&newer).unwrap_err(), SnapshotError::Version(9));
}

#[derive(Clone, Debug)]
enum Step {
    Add(usize, usize),
    Look(usize, usize),
    Forget(usize, usize),
    Wait(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..4_usize, 0..60_usize).prop_map(|(client, number)| Step::Add(client, number)),
        2 => (0..4_usize, 0..60_usize).prop_map(|(client, number)| Step::Look(client, number)),
        1 => (0..4_usize, 0..60_usize).prop_map(|(client, number)| Step::Forget(client, number)),
        1 => (0..40_i64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..300)
}

proptest! {
    /// Whatever happens: what is said to be a client's, it made or claimed while nobody had it, and used not too
    /// long ago.
    #[test]
    fn it_never_says_more_than_is_true(steps in steps(), sets in 1_usize..4) {
        let words = words(sets);
        let table = Table(OwnedObjects::format(&words, SEED).unwrap());
        // Each object's owner, and when it was used last.
        let mut truth: HashMap<usize, (usize, i64)> = HashMap::new();
        let mut now = 1000;
        for step in steps {
            match step {
                Step::Wait(seconds) => now += seconds,
                Step::Add(client, number) => {
                    let known = truth.get(&number).filter(|(_, used)| now - used <= 100).copied();
                    match table.add(&client.to_string(), number, now) {
                        Remembered::Own => { truth.insert(number, (client, now)); }
                        Remembered::Foreign => {
                            prop_assert!(known.is_some_and(|(owner, _)| owner != client));
                        }
                        Remembered::NoRoom => {}
                    }
                }
                Step::Look(client, number) => {
                    let known = truth.get(&number).filter(|(_, used)| now - used <= 100).copied();
                    match table.look(&client.to_string(), number, now) {
                        Standing::Own => {
                            prop_assert!(known.is_some_and(|(owner, _)| owner == client));
                            truth.insert(number, (client, now));
                        }
                        Standing::Foreign => {
                            prop_assert!(known.is_some_and(|(owner, _)| owner != client));
                        }
                        // It may have been pushed out.
                        Standing::Unknown => {}
                    }
                }
                Step::Forget(client, number) => {
                    let object = table.0.object(Kind::Response, &id(number));
                    table.0.forget(object, table.0.owner(&client.to_string()), &Alone);
                    if truth.get(&number).is_some_and(|(owner, _)| *owner == client) {
                        truth.remove(&number);
                        prop_assert_eq!(table.look(&client.to_string(), number, now), Standing::Unknown);
                    }
                }
            }
        }
    }
}

//! Who made what, under loom: a slot changes hands while others look, or who changes it is killed. The table has
//! one slot.
#![allow(clippy::unwrap_used, clippy::panic, reason = "in tests")]

use std::sync::Arc;

use limits_model::clock::UnixSeconds;
use limits_model::exhaustive::atomics::{mortal, AtomicU64, Mutex};
use limits_model::exhaustive::objects::kind::Kind;
use limits_model::exhaustive::objects::memory::{
    Life, Object, OwnedObjects, Owner, Remembered, Standing,
};
use limits_model::races::{is_caught, Race};
use loom::thread;

struct Shared {
    words: Vec<AtomicU64>,
    lock: Mutex,
}

fn at(now: i64) -> Life {
    Life { ttl: 100, now: UnixSeconds(now) }
}

impl Shared {
    /// The object 1 is a's.
    fn new() -> Arc<Self> {
        let words: Vec<_> = (0..20).map(|_| AtomicU64::new(0)).collect();
        assert_eq!(OwnedObjects::format(&words, (1, 2)).unwrap().capacity(), 1);
        let shared = Arc::new(Self { words, lock: Mutex::default() });
        assert_eq!(shared.remember("a", 1, 10), Remembered::Own);
        shared
    }

    fn objects(&self) -> OwnedObjects<'_> {
        OwnedObjects::attach(&self.words).unwrap()
    }

    fn key(&self, client: &str, id: u8) -> (Object, Owner) {
        (self.objects().object(Kind::File, &[id]), self.objects().owner(client))
    }

    fn remember(&self, client: &str, id: u8, now: i64) -> Remembered {
        let (object, owner) = self.key(client, id);
        self.objects().remember(object, owner, at(now), &self.lock)
    }

    fn look(&self, client: &str, id: u8, now: i64) -> Standing {
        let (object, owner) = self.key(client, id);
        self.objects().look(object, owner, at(now), &self.lock)
    }
}

fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    builder.check(model);
}

/// The time of the object 1 is over for one process, which gives its slot to the object 2 of b's. Another one looks,
/// whose clock lags behind.
fn slot_changes_hands() {
    explore(3, || {
        let shared = Shared::new();
        let writer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || assert_eq!(shared.remember("b", 2, 1000), Remembered::Own))
        };
        let reader = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                assert_ne!(shared.look("b", 1, 10), Standing::Own);
                assert_ne!(shared.look("a", 2, 10), Standing::Own);
            })
        };
        writer.join().unwrap();
        reader.join().unwrap();
        assert_eq!(shared.look("b", 2, 1000), Standing::Own);
        assert_eq!(shared.look("a", 1, 1000), Standing::Unknown);
    });
}

#[test]
fn no_object_is_seen_with_the_owner_of_another_one() {
    slot_changes_hands();
}

#[test]
fn hasty_looks_are_caught() {
    assert!(is_caught(Race::HastyLook, slot_changes_hands));
}

#[test]
fn slots_that_change_while_they_are_valid_are_caught() {
    assert!(is_caught(Race::OpenSlot, slot_changes_hands));
}

/// More steps than a slot takes to change.
const STEPS: u32 = 120;

/// The one that gives the slot away is killed at its `step`.
fn killed_at(step: u32) {
    explore(2, move || {
        let shared = Shared::new();
        let writer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || mortal(step, || shared.remember("b", 2, 1000)))
        };
        let survived = writer.join().unwrap().is_some();
        assert!(survived || step < STEPS, "it has more steps");
        for (client, id) in [("b", 1), ("a", 2)] {
            assert_ne!(shared.look(client, id, 10), Standing::Own, "{client} {id}");
        }
        assert_eq!(shared.remember("c", 3, 2000), Remembered::Own, "the slot is not lost");
        assert_eq!(shared.look("c", 3, 2000), Standing::Own);
    });
}

#[test]
fn who_is_killed_leaves_nothing_that_is_wrong() {
    (0..=STEPS).for_each(killed_at);
}

/// Two remember the same object: one of them has it.
#[test]
fn an_object_has_one_owner() {
    explore(3, || {
        let shared = Shared::new();
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.remember("b", 2, 1000))
        };
        let one = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.remember("c", 2, 1000))
        };
        let (mine, theirs) = (one.join().unwrap(), other.join().unwrap());
        assert!((mine == Remembered::Own) != (theirs == Remembered::Own), "{mine:?} {theirs:?}");
        let owner = if mine == Remembered::Own { "c" } else { "b" };
        assert_eq!(shared.look(owner, 2, 1000), Standing::Own);
    });
}

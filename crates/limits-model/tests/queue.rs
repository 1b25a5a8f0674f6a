//! The line of those who wait, under loom: as long as its limit and no longer, in order of arrival,
//! whoever leaves or is killed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "in tests")]

use std::sync::Arc;

use limits_model::clock::MonoNanos;
use limits_model::exhaustive::atomics::{mortal, AtomicU64, Mutex};
use limits_model::exhaustive::limits::{Holder, Ledger, NoPlace, Process, Queue, Waiting};
use limits_model::races::{is_caught, Race};
use loom::thread;

const KEY: u64 = 7;

/// A ledger with room for three waiters.
struct Zone {
    words: Vec<AtomicU64>,
    lock: Mutex,
}

impl Zone {
    fn new() -> Arc<Self> {
        let words = (0..64).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { words, lock: Mutex::default() })
    }

    fn ledger(&self) -> Ledger<'_> {
        Ledger::new(&self.words).unwrap()
    }

    fn queue(&self) -> Queue<'_> {
        Queue::new(&self.words).unwrap()
    }

    fn register(&self, pid: u32) -> Holder {
        self.ledger().register(Process { pid, started: 0 }, &self.lock).unwrap()
    }

    fn enqueue(&self, holder: &Holder, limit: usize) -> Result<Waiting, NoPlace> {
        self.queue().enqueue(holder, KEY, limit, &self.lock)
    }

    fn rank(&self, waiting: &Waiting) -> usize {
        self.queue().rank(waiting)
    }
}

fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    builder.check(model);
}

/// Two come for one place: one of them gets it.
fn two_for_one_place() {
    explore(3, || {
        let zone = Zone::new();
        let (one, other) = (zone.register(1), zone.register(2));
        let first = {
            let zone = zone.clone();
            thread::spawn(move || zone.enqueue(&one, 1).is_ok())
        };
        let second = zone.enqueue(&other, 1).is_ok();
        assert_ne!(first.join().unwrap(), second);
    });
}

#[test]
fn of_two_who_come_for_one_place_one_gets_it() {
    two_for_one_place();
}

#[test]
fn getting_in_line_without_the_mutex_is_caught() {
    assert!(is_caught(Race::UnlockedQueue, two_for_one_place));
}

/// One leaves, and one comes, both at the end of the table; a third stays.
fn one_leaves_as_one_comes() {
    explore(3, || {
        let zone = Zone::new();
        let (one, other) = (zone.register(1), zone.register(2));
        let stays = zone.enqueue(&other, 3).unwrap();
        let leaves = zone.enqueue(&one, 3).unwrap();
        let leaver = {
            let zone = zone.clone();
            thread::spawn(move || zone.queue().leave(leaves))
        };
        let comes = zone.enqueue(&other, 3).unwrap();
        // The one who stays is never overlooked, and the one who leaves may be seen or not.
        assert_eq!(zone.rank(&stays), 0);
        assert!((1..=2).contains(&zone.rank(&comes)));
        leaver.join().unwrap();
        assert_eq!((zone.rank(&stays), zone.rank(&comes)), (0, 1));
        let mut ranks = Vec::new();
        zone.queue().ranks(&other, &mut ranks);
        assert_eq!(ranks.iter().map(|r| (r.ticket, r.rank)).collect::<Vec<_>>(), [(1, 0), (3, 1)]);
        zone.queue().leave(stays);
        assert!(zone.queue().has_waiters(KEY));
        zone.queue().leave(comes);
        assert!(!zone.queue().has_waiters(KEY));
    });
}

#[test]
fn nobody_is_overlooked_when_others_come_and_leave() {
    one_leaves_as_one_comes();
}

#[test]
fn drawing_the_end_in_blindly_is_caught() {
    assert!(is_caught(Race::TrimmedBlindly, one_leaves_as_one_comes));
}

/// Somebody who waits for something else leaves before one is in line, and the entry is taken by one
/// who comes after him.
fn an_entry_changes_hands() {
    explore(3, || {
        let zone = Zone::new();
        let (one, other) = (zone.register(1), zone.register(2));
        let queue = || zone.queue();
        let before = queue().enqueue(&one, KEY + 1, 3, &zone.lock).unwrap();
        let mine = zone.enqueue(&other, 3).unwrap();
        let changer = {
            let zone = zone.clone();
            thread::spawn(move || {
                zone.queue().leave(before);
                let _ = zone.enqueue(&one, 3).unwrap();
            })
        };
        // Neither of the two stands before this one: nor do the ticket of the one and the key of the
        // other, taken together.
        assert_eq!(zone.rank(&mine), 0);
        changer.join().unwrap();
        assert_eq!(zone.rank(&mine), 0);
        assert!(!queue().has_waiters(KEY + 1));
    });
}

#[test]
fn an_entry_is_read_as_a_whole() {
    an_entry_changes_hands();
}

#[test]
fn reading_an_entry_without_a_second_look_is_caught() {
    assert!(is_caught(Race::ReadInParts, an_entry_changes_hands));
}

/// One gets in line, leaves, and is killed at a step of that; another one is in line meanwhile.
fn killed_at(step: u32) {
    explore(2, move || {
        let zone = Zone::new();
        let (one, other) = (zone.register(1), zone.register(2));
        let victim = {
            let zone = zone.clone();
            thread::spawn(move || {
                mortal(step, || {
                    let waiting = zone.enqueue(&one, 2).unwrap();
                    zone.queue().leave(waiting);
                })
            })
        };
        let mine = zone.enqueue(&other, 2).unwrap();
        let survived = victim.join().unwrap().is_some();
        assert!(survived || step < STEPS, "to get in line and leave takes more steps");
        assert!(zone.rank(&mine) <= 1);
        zone.ledger().reclaim(
            MonoNanos(u64::MAX),
            |process| process.pid != 1,
            |owner| zone.queue().forget(owner),
            |_| None,
            &zone.lock,
        );
        assert_eq!(zone.rank(&mine), 0);
        // There is room for one more, and not for two.
        let _ = zone.enqueue(&other, 2).unwrap();
        assert_eq!(zone.enqueue(&other, 2), Err(NoPlace::QueueFull));
    });
}

/// More than it takes to get in line and to leave.
const STEPS: u32 = 30;

#[test]
fn a_waiter_killed_at_any_step_makes_way() {
    (0..=STEPS).for_each(killed_at);
}

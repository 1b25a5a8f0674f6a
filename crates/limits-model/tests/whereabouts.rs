//! From where keys are used, under loom: a record changes hands while others look, or who changes it is killed. The
//! table has one record, for two networks.
#![allow(clippy::unwrap_used, clippy::panic, reason = "in tests")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use limits_model::exhaustive::atomics::{mortal, AtomicU64, Mutex};
use limits_model::exhaustive::whereabouts::{Minute, Network, Sighting, Whereabouts};
use limits_model::races::{is_caught, Race};
use loom::thread;

struct Shared {
    words: Vec<AtomicU64>,
    lock: Mutex,
}

/// As many as there are.
const ALL: u16 = 256;

fn network(number: u8) -> Network {
    IpAddr::from(Ipv4Addr::new(10, 0, number, 1)).into()
}

fn minute(number: u64) -> Minute {
    Minute::of_ms(number * 60_000)
}

impl Shared {
    /// The key "a" was used from two networks.
    fn new() -> Arc<Self> {
        let words: Vec<_> = (0..20).map(|_| AtomicU64::new(0)).collect();
        Whereabouts::format(&words, (1, 2)).unwrap();
        let shared = Arc::new(Self { words, lock: Mutex::default() });
        assert_eq!(shared.note("a", 1, 10).networks, 1);
        assert_eq!(shared.note("a", 2, 10).networks, 2);
        shared
    }

    fn table(&self) -> Whereabouts<'_> {
        Whereabouts::attach(&self.words).unwrap()
    }

    fn note(&self, client: &str, number: u8, at: u64) -> Sighting {
        self.note_of(client, number, at, ALL)
    }

    fn note_of(&self, client: &str, number: u8, at: u64, most: u16) -> Sighting {
        let key = self.table().key(client, None);
        self.table().note(key, network(number), most, minute(at), &self.lock)
    }

    fn count(&self, client: &str, at: u64) -> u16 {
        self.table().count(self.table().key(client, None), minute(at))
    }
}

fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    builder.check(model);
}

/// The record is given to the key "b" while another process counts the networks of "a".
fn record_changes_hands() {
    explore(3, || {
        let shared = Shared::new();
        let writer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || assert_eq!(shared.note("b", 3, 11).networks, 1))
        };
        let reader = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let count = shared.count("a", 11);
                assert!(count == 2 || count == 0, "{count}");
            })
        };
        writer.join().unwrap();
        reader.join().unwrap();
        assert_eq!((shared.count("a", 11), shared.count("b", 11)), (0, 1));
    });
}

#[test]
fn no_network_counts_for_another_key() {
    record_changes_hands();
}

#[test]
fn hasty_counts_are_caught() {
    assert!(is_caught(Race::HastyCount, record_changes_hands));
}

#[test]
fn records_that_change_while_they_are_valid_are_caught() {
    assert!(is_caught(Race::OpenRecord, record_changes_hands));
}

/// The record is given to the key "b" while "a" is used again, a minute later.
fn sighting_meets_a_change() {
    explore(3, || {
        let shared = Shared::new();
        let writer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.note("b", 3, 11))
        };
        // Nobody else may come in, so that it never takes the record back.
        let seen = shared.note_of("a", 1, 11, 0);
        assert!(seen.networks == 2 || seen.networks == 0, "{seen:?}");
        assert_eq!(writer.join().unwrap().networks, 1);
        assert!(shared.note_of("b", 3, 11, 0).counts, "what was added is there");
        assert_eq!((shared.count("a", 11), shared.count("b", 11)), (0, 1));
    });
}

#[test]
fn a_network_that_is_seen_again_comes_to_no_other_key() {
    sighting_meets_a_change();
}

#[test]
fn blind_sightings_are_caught() {
    assert!(is_caught(Race::BlindSighting, sighting_meets_a_change));
}

/// More steps than a record takes to change hands.
const STEPS: u32 = 60;

/// The one that gives the record away is killed at its `step`.
fn killed_at(step: u32) {
    explore(2, move || {
        let shared = Shared::new();
        let writer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || mortal(step, || shared.note("b", 3, 11)))
        };
        let survived = writer.join().unwrap().is_some();
        assert!(survived || step < STEPS, "it has more steps");
        let (a, b) = (shared.count("a", 11), shared.count("b", 11));
        assert!(matches!((a, b), (2 | 0, 0) | (0, 1)), "{a} {b}");
        let seen = shared.note("c", 4, 12);
        assert!(seen.counts && seen.networks == 1, "the record is not lost");
        assert_eq!(shared.count("c", 12), 1);
    });
}

#[test]
fn who_is_killed_leaves_nothing_that_is_wrong() {
    (0..=STEPS).for_each(killed_at);
}

/// Two networks come at once, and there may be one more: one of them counts.
#[test]
fn the_limit_is_kept() {
    explore(3, || {
        let words: Vec<_> = (0..20).map(|_| AtomicU64::new(0)).collect();
        Whereabouts::format(&words, (1, 2)).unwrap();
        let shared = Arc::new(Shared { words, lock: Mutex::default() });
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.note_of("a", 1, 10, 1))
        };
        let (mine, theirs) = (shared.note_of("a", 2, 10, 1), other.join().unwrap());
        assert!(mine.counts != theirs.counts, "{mine:?} {theirs:?}");
        assert_eq!(shared.count("a", 10), 1);
    });
}

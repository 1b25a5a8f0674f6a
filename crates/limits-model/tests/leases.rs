//! The leases of a node, under loom: requests draw from them while the thread buys, gives back, and reports; a lease
//! runs out; an entry changes hands.
#![allow(clippy::unwrap_used, clippy::panic, reason = "in tests")]

use std::sync::Arc;

use limits_model::clock::MonoNanos;
use limits_model::exhaustive::atomics::{AtomicU64, Mutex, Ordering};
use limits_model::exhaustive::cluster::times::SILENT;
use limits_model::exhaustive::cluster::{Alone, Drawn, Entered, Entry, LeaseTable, Thread};
use limits_model::exhaustive::limits::{Ask, Budget, Calendar, Process, Seed, Take};
use limits_model::races::{is_caught, Race};
use loom::thread;

/// When the lease runs out.
const END: MonoNanos = MonoNanos(1_000);
/// Of the node's units in one of the store's.
const UNIT: u64 = 1_000;

struct Shared {
    words: Vec<AtomicU64>,
    lock: Mutex,
}

fn ask(client: &str, take: Take) -> Ask {
    Ask::new(Seed::new((1, 2)).client_key(client), take)
}

fn money(client: &str) -> Ask {
    let budget = Budget::new(20_000_000, Calendar::Day).unwrap();
    ask(client, Take::Budget { budget, n: 1, guess: 0 })
}

impl Shared {
    /// A table with one entry.
    fn new() -> Arc<Self> {
        let words: Vec<_> = (0..32 + 1 + 18).map(|_| AtomicU64::new(0)).collect();
        let table = LeaseTable::format(&words, 1, MonoNanos(0)).unwrap();
        table.words().set_seed((3, 4));
        Arc::new(Self { words, lock: Mutex::default() })
    }

    fn table(&self) -> LeaseTable<'_> {
        LeaseTable::attach(&self.words).unwrap()
    }

    fn make(&self, client: &str, ask: &Ask) -> Option<Entry<'_>> {
        self.table().find_or_make(ask, |seed| Some(seed.client_key(client)), &self.lock).ok()
    }

    fn entry(&self, ask: &Ask) -> Entry<'_> {
        self.table().find(ask).unwrap()
    }

    fn thread(&self, ask: &Ask) -> Thread<'_> {
        Thread(self.table(), self.entry(ask))
    }

    /// Draws so many of the store's units while nothing runs out: how many were taken.
    fn draw(&self, n: u64) -> u64 {
        match self.entry(&money("a")).draw(n * UNIT, || MonoNanos(0)) {
            Drawn::Taken(_) => n,
            Drawn::Short { .. } | Drawn::Moved => 0,
        }
    }
}

fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    builder.check(model);
}

/// Two draw while the thread buys and gives back.
fn nothing_comes_of_nothing() {
    explore(2, || {
        let shared = Shared::new();
        shared.make("a", &money("a")).unwrap();
        shared.thread(&money("a")).grant(3, END);
        let drawers: Vec<_> = [2, 1]
            .into_iter()
            .map(|n| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.draw(n))
            })
            .collect();
        let back = shared.thread(&money("a")).take_back(2);
        shared.thread(&money("a")).grant(1, END);
        let drawn: u64 = drawers.into_iter().map(|drawer| drawer.join().unwrap()).sum();
        let (held, counted, _) = shared.thread(&money("a")).count();
        assert_eq!(held + drawn + back, 4, "{held} {drawn} {back}");
        assert_eq!(counted, drawn);
    });
}

#[test]
fn no_token_is_spent_twice_or_lost() {
    nothing_comes_of_nothing();
}

#[test]
fn stored_balances_are_caught() {
    assert!(is_caught(Race::StoredBalance, nothing_comes_of_nothing));
    assert!(is_caught(Race::StoredLease, nothing_comes_of_nothing));
}

#[test]
fn what_is_granted_or_returned_twice_is_caught() {
    assert!(is_caught(Race::GrantedTwice, nothing_comes_of_nothing));
    assert!(is_caught(Race::ReturnedTwice, nothing_comes_of_nothing));
}

/// The lease runs out, and another node is sold what was left of it, while somebody draws.
fn a_lease_runs_out() {
    explore(3, || {
        let shared = Shared::new();
        shared.make("a", &money("a")).unwrap();
        shared.thread(&money("a")).grant(2, END);
        let clock = Arc::new(AtomicU64::new(0));
        let drawer = {
            let (shared, clock) = (Arc::clone(&shared), Arc::clone(&clock));
            thread::spawn(move || {
                let mut at = 0;
                let read = || MonoNanos(clock.load(Ordering::Acquire));
                let seen = std::cell::Cell::new(0);
                let drawn = shared.entry(&money("a")).draw(2 * UNIT, || {
                    seen.set(read().0);
                    read()
                });
                at += seen.get();
                (matches!(drawn, Drawn::Taken(_)), at)
            })
        };
        clock.store(END.0, Ordering::Release);
        let back = shared.thread(&money("a")).take_back(2);
        let (is_taken, at) = drawer.join().unwrap();
        assert!(!is_taken || at < END.0, "it was spent late");
        let (held, ..) = shared.thread(&money("a")).count();
        assert_eq!(held + back, if is_taken { 0 } else { 2 });
    });
}

#[test]
fn no_lease_is_spent_that_ran_out() {
    a_lease_runs_out();
}

#[test]
fn late_spending_is_caught() {
    assert!(is_caught(Race::SpentLate, a_lease_runs_out));
}

/// A message is sent while somebody draws: what it reports was decided before.
fn a_message_reports() {
    explore(3, || {
        let shared = Shared::new();
        shared.make("a", &money("a")).unwrap();
        shared.thread(&money("a")).grant(4, END);
        let sent = Arc::new(AtomicU64::new(0));
        let drawer = {
            let (shared, sent) = (Arc::clone(&shared), Arc::clone(&sent));
            thread::spawn(move || {
                let was_sent = std::cell::Cell::new(false);
                let drawn = shared.entry(&money("a")).draw(2 * UNIT, || {
                    was_sent.set(sent.load(Ordering::Acquire) != 0);
                    MonoNanos(0)
                });
                (matches!(drawn, Drawn::Taken(_)), was_sent.get())
            })
        };
        let (held, reported, _) = shared.thread(&money("a")).report();
        assert_eq!(held + reported, 4);
        sent.store(1, Ordering::Release);
        let (is_taken, was_sent) = drawer.join().unwrap();
        let (_, drawn, _) = shared.thread(&money("a")).count();
        assert!(drawn >= reported, "what was reported stays drawn");
        if is_taken && was_sent {
            assert!(drawn >= reported + 2, "it was reported before it was decided");
        }
    });
}

#[test]
fn nothing_is_reported_before_it_is_decided() {
    a_message_reports();
}

#[test]
fn early_reports_are_caught() {
    assert!(is_caught(Race::ToldTooEarly, a_message_reports));
}

/// The entry of one limit is given to another while a settlement of the first one comes.
fn an_entry_changes_hands() {
    explore(3, || {
        let shared = Shared::new();
        shared.make("a", &money("a")).unwrap();
        shared.thread(&money("a")).look();
        let settler = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let found = shared.table().find(&money("a"));
                found.is_some_and(|entry| entry.adjust(5_000))
            })
        };
        let is_given = shared.make("b", &money("b")).is_some();
        let is_settled = settler.join().unwrap();
        assert!(is_given != is_settled, "{is_given} {is_settled}");
        let (owner, adjust) = if is_given { ("b", 0) } else { ("a", 5) };
        assert_eq!(shared.thread(&money(owner)).count().2, adjust);
    });
}

#[test]
fn what_is_settled_comes_to_no_other_limit_and_is_not_lost() {
    an_entry_changes_hands();
}

#[test]
fn words_that_are_taken_over_unseen_are_caught() {
    assert!(is_caught(Race::TakenOverUnseen, an_entry_changes_hands));
}

/// Two requests take a seat each while what is allowed is lowered from 2 to 0.
fn places_are_lowered() {
    explore(3, || {
        let shared = Shared::new();
        let places = || ask("a", Take::Concurrency { limit: 2 });
        let name = |seed: Seed| Some(seed.client_key("a"));
        shared.table().find_or_make(&places(), name, &Alone).unwrap();
        shared.thread(&places()).raise(2, END);
        // What the ledger counts.
        let count = Arc::new(AtomicU64::new(0));
        let takers: Vec<_> = (0..2)
            .map(|_| {
                let (shared, count) = (Arc::clone(&shared), Arc::clone(&count));
                thread::spawn(move || {
                    let mine = count.fetch_add(1, Ordering::AcqRel) + 1;
                    let mine = u16::try_from(mine).unwrap();
                    let is_in = shared.entry(&places()).allows(mine, || MonoNanos(0));
                    if !is_in {
                        count.fetch_add(u64::MAX, Ordering::AcqRel);
                    }
                    u64::from(is_in)
                })
            })
            .collect();
        let in_flight = || count.load(Ordering::Acquire);
        let told = shared.thread(&places()).lower(0, in_flight);
        let taken: u64 = takers.into_iter().map(|taker| taker.join().unwrap()).sum();
        assert!(taken <= told, "{taken} in flight, and {told} told");
    });
}

#[test]
fn no_more_are_in_flight_than_the_store_is_told() {
    places_are_lowered();
}

#[test]
fn lowering_unseen_is_caught() {
    assert!(is_caught(Race::LoweredUnseen, places_are_lowered));
}

/// A process is stopped between a message and its answer; another one takes the right over, and has the lease go back. The
/// answer must not be counted any more.
fn the_right_is_taken_over() {
    explore(3, || {
        let shared = Shared::new();
        shared.make("a", &money("a")).unwrap();
        let [stopped, next] = [1, 2].map(|pid| Process { pid, started: 1 });
        assert!(shared.table().right().claim(stopped, MonoNanos(1), |_| true));
        // What the store holds leased for this node, by what it was told last.
        let leased = Arc::new(AtomicU64::new(3));
        let sleeper = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let Entered::Turn(turn) = shared.table().right().enter(stopped, |_| true) else {
                    return;
                };
                shared.thread(&money("a")).grant(3, END);
                drop(turn);
            })
        };
        let table = shared.table();
        assert!(table.right().claim(next, MonoNanos(2 + SILENT), |_| true));
        if let Entered::Turn(turn) = table.right().enter(next, |_| true) {
            let (held, _, _) = shared.thread(&money("a")).report();
            leased.store(held, Ordering::Release);
            drop(turn);
            sleeper.join().unwrap();
            let (held, _, _) = shared.thread(&money("a")).count();
            assert_eq!(held, leased.load(Ordering::Acquire), "what the store knows of");
        } else {
            sleeper.join().unwrap();
        };
    });
}

#[test]
fn who_was_stopped_counts_no_late_answer() {
    the_right_is_taken_over();
}

#[test]
fn a_turn_without_the_right_is_caught() {
    assert!(is_caught(Race::TurnUnasked, the_right_is_taken_over));
}

//! Reservations under loom: buckets, debts and budgets, and slots that are given away. The zone has
//! one slot for clients, so that two of them fight for it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "in tests")]

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::Arc;

use limits_model::clock::{MonoNanos, UnixSeconds};
use limits_model::exhaustive::atomics::{mortal, AtomicU64, Mutex};
use limits_model::exhaustive::limits::{
    Area, Ask, Budget, Dimension, Exceeded, Holder, Now, Oversize, Process, Quota, Refused, Seat,
    Take, Zone,
};
use limits_model::races::{is_caught, Race};
use loom::thread;

const SECOND: u64 = 1_000_000_000;
/// 2026-01-01T12:00:00Z
const NOON: i64 = 1_767_225_600 + 12 * 3_600;
const START: Now = Now { mono: MonoNanos(86_400 * SECOND), wall: UnixSeconds(NOON) };

fn after(seconds: i64) -> Now {
    let nanos = u64::try_from(seconds).unwrap() * SECOND;
    Now { mono: MonoNanos(START.mono.0 + nanos), wall: UnixSeconds(NOON + seconds) }
}

/// A zone, and its mutex.
struct Shared {
    words: Vec<AtomicU64>,
    lock: Mutex,
}

impl Shared {
    fn new() -> Arc<Self> {
        // As few as will do.
        let words: Vec<_> = (0..104).map(|_| AtomicU64::new(0)).collect();
        assert_eq!(Zone::format(&words, (1, 2)).unwrap().capacity(Area::Clients), 1);
        Arc::new(Self { words, lock: Mutex::default() })
    }

    fn zone(&self) -> Zone<'_> {
        Zone::attach(&self.words).unwrap()
    }

    fn register(&self, pid: u32) -> Holder {
        self.zone().ledger().register(Process { pid, started: 0 }, &self.lock).unwrap()
    }

    fn tokens(&self, client: &str, quota: &str, n: u32) -> Ask {
        let scale = self.zone().scale(Quota::parse(quota, None).unwrap());
        let dimension = Dimension::Requests;
        let take = Take::Bucket { dimension, scale, n, oversize: Oversize::Debt };
        Ask::new(self.zone().client_key(client), take)
    }

    fn money(&self, client: &str, n: u64) -> Ask {
        let take = Take::Budget { budget: Budget::parse("0.000000010/hour").unwrap(), n, guess: 0 };
        Ask::new(self.zone().client_key(client), take)
    }

    fn place(&self, client: &str) -> Ask {
        Ask::new(self.zone().client_key(client), Take::Concurrency { limit: 1 })
    }

    fn reserve(&self, ask: &mut Ask, now: Now) -> Result<(), Refused> {
        let asks = std::slice::from_mut(ask);
        self.zone().reserve(asks, now, &self.lock, None, &mut Vec::new(), &mut Vec::new())
    }

    fn remaining(&self, ask: &Ask, now: Now) -> u64 {
        self.zone().look(ask, now).0.remaining
    }
}

/// Tries all interleavings, or those of up to so many preemptions.
fn explore(preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_branches = 100_000;
    builder.check(model);
}

fn is_exceeded(outcome: Result<(), Refused>) -> bool {
    matches!(outcome, Err(Refused::Exceeded(Exceeded { .. })))
}

/// One bucket: one takes all and gives a part back, and one takes once.
fn take_and_give_back() {
    explore(None, || {
        let shared = Shared::new();
        // The slot is there.
        shared.reserve(&mut shared.tokens("a", "4r/m", 1), START).unwrap();
        let first = {
            let shared = shared.clone();
            thread::spawn(move || {
                let mut ask = shared.tokens("a", "4r/m", 3);
                let outcome = shared.reserve(&mut ask, START);
                if outcome.is_ok() {
                    assert!(shared.zone().settle(&ask, 1, START, &shared.lock));
                }
                outcome
            })
        };
        let mut ask = shared.tokens("a", "4r/m", 1);
        let second = shared.reserve(&mut ask, START);
        let first = first.join().unwrap();
        // Only one of them is refused, if any, and for no other reason.
        assert!(first.is_ok() || second.is_ok());
        assert!(first.is_ok() || is_exceeded(first));
        assert!(second.is_ok() || is_exceeded(second));
        let used = 1 + u64::from(first.is_ok()) + u64::from(second.is_ok());
        assert_eq!(shared.remaining(&ask, START), 4 - used);
    });
}

#[test]
fn a_bucket_is_taken_from_and_given_back_to_exactly() {
    take_and_give_back();
}

#[test]
fn a_bucket_that_is_stored_is_caught() {
    assert!(is_caught(Race::StoredBucket, take_and_give_back));
}

/// A request larger than the bucket, and a small one: one of them passes. Then it is settled for more,
/// while another one gives back.
fn debt() {
    explore(None, || {
        let shared = Shared::new();
        let first = {
            let shared = shared.clone();
            thread::spawn(move || {
                let mut ask = shared.tokens("a", "2r/m", 5);
                let outcome = shared.reserve(&mut ask, START);
                if outcome.is_ok() {
                    assert!(shared.zone().settle(&ask, 7, START, &shared.lock));
                }
                outcome
            })
        };
        let mut ask = shared.tokens("a", "2r/m", 1);
        let second = shared.reserve(&mut ask, START);
        let first = first.join().unwrap();
        assert_ne!(first.is_ok(), second.is_ok());
        assert!(is_exceeded(first) || is_exceeded(second));
        // Seven of two: the debt of five is paid at two a minute, and none is left at first.
        let later = after(150);
        let expected = if first.is_ok() { 0 } else { 1 };
        assert_eq!(shared.remaining(&ask, START), expected);
        assert_eq!(shared.remaining(&ask, later), if first.is_ok() { 0 } else { 2 });
        assert_eq!(shared.remaining(&ask, after(181)), if first.is_ok() { 1 } else { 2 });
    });
}

#[test]
fn a_debt_is_made_by_one_alone_and_never_forgotten() {
    debt();
}

#[test]
fn a_debt_that_is_stored_is_caught() {
    assert!(is_caught(Race::StoredBucket, debt));
}

/// What two settle at once is added up.
fn settled_together() {
    explore(None, || {
        let shared = Shared::new();
        let mut asks = [0, 1].map(|_| shared.tokens("a", "9r/m", 2));
        for ask in &mut asks {
            shared.reserve(ask, START).unwrap();
        }
        let [one, other] = asks;
        let first = {
            let shared = shared.clone();
            thread::spawn(move || shared.zone().settle(&one, 6, START, &shared.lock))
        };
        assert!(shared.zone().settle(&other, 1, START, &shared.lock));
        assert!(first.join().unwrap());
        assert_eq!(shared.remaining(&other, START), 2);
    });
}

#[test]
fn two_settlements_at_once_add_up() {
    settled_together();
}

#[test]
fn a_settlement_that_is_stored_is_caught() {
    assert!(is_caught(Race::StoredBucket, settled_together));
}

/// The turn of the hour: one whose clock is in the old one, and one whose clock is in the new one.
fn turn_of_the_period() {
    explore(None, || {
        let shared = Shared::new();
        let turn = 3_600;
        shared.reserve(&mut shared.money("a", 3), START).unwrap();
        let late = {
            let shared = shared.clone();
            thread::spawn(move || {
                let now = after(turn - 1);
                let mut ask = shared.money("a", 4);
                // It fits beside the three of the old hour, and beside the five of the new one.
                shared.reserve(&mut ask, now).unwrap();
                assert!(shared.zone().settle(&ask, 6, now, &shared.lock));
            })
        };
        let now = after(turn);
        let mut ask = shared.money("a", 5);
        shared.reserve(&mut ask, now).unwrap();
        late.join().unwrap();
        // The four count in one hour, and the two beyond in that in which they are settled. (So much as
        // eleven of ten is spent: a settlement may overdraw.)
        let spent = 10 - shared.remaining(&ask, now);
        assert!(shared.zone().settle(&ask, 0, now, &shared.lock));
        let left = 10 - shared.remaining(&ask, now);
        assert!([(5, 0), (7, 2), (10, 6)].contains(&(spent, left)), "{spent} {left}");
    });
}

#[test]
fn at_the_turn_of_a_period_an_amount_counts_once_and_in_one_of_them() {
    turn_of_the_period();
}

#[test]
fn a_turn_that_is_stored_is_caught() {
    assert!(is_caught(Race::StoredBucket, turn_of_the_period));
}

/// Two for the last of a budget.
fn last_of_a_budget() {
    explore(None, || {
        let shared = Shared::new();
        shared.reserve(&mut shared.money("a", 7), START).unwrap();
        let first = {
            let shared = shared.clone();
            thread::spawn(move || shared.reserve(&mut shared.money("a", 3), START))
        };
        let mut ask = shared.money("a", 3);
        let second = shared.reserve(&mut ask, START);
        let first = first.join().unwrap();
        assert_ne!(first.is_ok(), second.is_ok());
        assert!(is_exceeded(first) || is_exceeded(second));
        assert_eq!(shared.remaining(&ask, START), 0);
    });
}

#[test]
fn the_last_of_a_budget_is_spent_once() {
    last_of_a_budget();
}

#[test]
fn a_budget_that_is_stored_is_caught() {
    assert!(is_caught(Race::StoredBucket, last_of_a_budget));
}

/// What two clients fight with for the only slot: for each of them an ask that takes everything.
#[derive(Clone, Copy)]
enum All {
    Tokens,
    Money,
    Place,
}

impl All {
    fn of(self, shared: &Shared, client: &str) -> Ask {
        match self {
            All::Tokens => shared.tokens(client, "1r/m", 1),
            All::Money => shared.money(client, 10),
            All::Place => shared.place(client),
        }
    }

    fn reserve(
        self,
        shared: &Shared,
        client: &str,
        holder: &mut Holder,
    ) -> Result<Vec<Seat>, Refused> {
        let (mut ask, mut seats) = ([self.of(shared, client)], Vec::new());
        let (zone, standings) = (shared.zone(), &mut Vec::new());
        let holder = Some(holder);
        zone.reserve(&mut ask, after(1), &shared.lock, holder, standings, &mut seats)
            .map(|()| seats)
    }
}

/// A client has the slot, and it is idle. It comes back while another one comes.
fn two_clients_and_one_slot(all: All) {
    explore(Some(3), move || {
        let shared = Shared::new();
        let (mut one, mut other) = (shared.register(1), shared.register(2));
        // Something else of the first client, which is given back at once.
        let mut ask = shared.tokens("a", "1r/s", 1);
        shared.reserve(&mut ask, START).unwrap();
        shared.zone().give_back(&[ask], START);
        let first = {
            let shared = shared.clone();
            thread::spawn(move || all.reserve(&shared, "a", &mut one).map(|_| ()))
        };
        let second = all.reserve(&shared, "b", &mut other).map(|_| ());
        let first = first.join().unwrap();
        // Whoever is refused finds the slot taken, and never his own limit.
        let full = Err(Refused::ZoneFull(0));
        let (winner, loser) = if first.is_ok() { ("a", "b") } else { ("b", "a") };
        assert!((first == full) != (second == full), "{first:?} {second:?}");
        assert_ne!(first.is_ok(), second.is_ok(), "{first:?} {second:?}");
        let remaining = |client| shared.remaining(&all.of(&shared, client), after(1));
        assert_eq!(remaining(winner), 0);
        assert_ne!(remaining(loser), 0);
    });
}

#[test]
fn a_bucket_of_a_slot_that_is_given_away_charges_nobody_else() {
    two_clients_and_one_slot(All::Tokens);
}

#[test]
fn a_budget_of_a_slot_that_is_given_away_charges_nobody_else() {
    two_clients_and_one_slot(All::Money);
}

#[test]
fn a_count_of_a_slot_that_is_given_away_counts_nobody_else() {
    two_clients_and_one_slot(All::Place);
}

#[test]
fn freezing_a_slot_unseen_is_caught() {
    for all in [All::Tokens, All::Money] {
        assert!(is_caught(Race::FrozenUnseen, move || two_clients_and_one_slot(all)));
    }
}

#[test]
fn checking_the_owner_of_a_slot_too_early_is_caught() {
    for all in [All::Tokens, All::Money] {
        assert!(is_caught(Race::CheckedTooEarly, move || two_clients_and_one_slot(all)));
    }
}

#[test]
fn a_number_that_is_given_out_twice_is_caught() {
    for all in [All::Money, All::Place] {
        assert!(is_caught(Race::RepeatedNumber, move || two_clients_and_one_slot(all)));
    }
}

/// One is killed at a step of a reservation over several limits, for which it has to push an idle
/// client out of the slot; another one has the same limits a little later.
fn killed_in_a_reservation_at(step: u32) -> bool {
    let survived = Arc::new(AtomicBool::new(false));
    let noted = survived.clone();
    explore(Some(1), move || {
        let shared = Shared::new();
        let (mut dead, mut other) = (shared.register(1), shared.register(2));
        let mut ask = shared.tokens("idle", "1r/s", 1);
        shared.reserve(&mut ask, START).unwrap();
        shared.zone().give_back(&[ask], START);
        let victim = {
            let shared = shared.clone();
            thread::spawn(move || {
                mortal(step, || {
                    let mut asks =
                        [shared.tokens("a", "2r/m", 1), shared.money("a", 5), shared.place("a")];
                    let (zone, mut seats) = (shared.zone(), Vec::new());
                    let (holder, standings) = (Some(&mut dead), &mut Vec::new());
                    zone.reserve(&mut asks, after(1), &shared.lock, holder, standings, &mut seats)
                        .unwrap();
                    for seat in seats {
                        zone.release(seat, &mut dead);
                    }
                })
            })
        };
        if victim.join().unwrap().is_some() {
            noted.store(true, SeqCst);
        }
        let zone = shared.zone();
        zone.reclaim(MonoNanos(u64::MAX), |p| p.pid != 1, &shared.lock);
        // What it took of tokens and money may be lost, and no more than that.
        let mut asks = [shared.tokens("a", "2r/m", 1), shared.money("a", 5), shared.place("a")];
        let (holder, standings, mut seats) = (Some(&mut other), &mut Vec::new(), Vec::new());
        zone.reserve(&mut asks, after(1), &shared.lock, holder, standings, &mut seats).unwrap();
        assert_eq!(shared.remaining(&asks[2], after(1)), 0);
        for seat in seats {
            zone.release(seat, &mut other);
        }
        assert_eq!(shared.remaining(&asks[2], after(1)), 1);
        // In a minute, all of it is as if nothing had been, and the slot can be given away.
        let later = after(3_600);
        assert_eq!(shared.remaining(&asks[0], later), 2);
        assert_eq!(shared.remaining(&asks[1], later), 10);
        shared.reserve(&mut shared.tokens("b", "2r/m", 1), after(7_200)).unwrap();
    });
    survived.load(SeqCst)
}

#[test]
fn a_process_killed_in_a_reservation_leaves_a_zone_that_works() {
    let steps = (0..400).find(|step| killed_in_a_reservation_at(*step)).unwrap();
    assert!(steps > 60, "{steps}");
}

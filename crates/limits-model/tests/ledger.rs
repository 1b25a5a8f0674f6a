//! In-flight counts under loom: exact, with helping, and whichever process is killed at whichever step.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "in tests")]

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::Arc;

use limits_model::clock::MonoNanos;
use limits_model::exhaustive::atomics::{mortal, AtomicU64, Mutex, Ordering};
use limits_model::exhaustive::limits::{ClaimLock as _, Holder, Ledger, NotTaken, Process, Seat};
use limits_model::races::{is_caught, Race};
use loom::thread;

/// A zone of a ledger and two slots.
struct Zone {
    words: Vec<AtomicU64>,
    slots: Vec<AtomicU64>,
    lock: Mutex,
}

impl Zone {
    /// With four processes, one waiter, and eight seats in chunks of two.
    fn new() -> Arc<Self> {
        let words = |n: u64| (0..n).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { words: words(30), slots: words(2), lock: Mutex::default() })
    }

    fn ledger(&self) -> Ledger<'_> {
        Ledger::new(&self.words).unwrap()
    }

    fn register(&self, pid: u32) -> Holder {
        self.ledger().register(Process { pid, started: 0 }, &self.lock).unwrap()
    }

    fn take(&self, holder: &mut Holder, limit: u16) -> Result<Seat, NotTaken> {
        self.ledger().take(holder, &self.slots[0], 0, limit, || true)
    }

    fn release(&self, holder: &mut Holder, seat: Seat) {
        self.ledger().release(holder, seat, |slot| self.slots.get(slot as usize));
    }

    fn reclaim(&self, dead: &[u32]) -> usize {
        self.ledger().reclaim(
            MonoNanos(u64::MAX),
            |process| !dead.contains(&process.pid),
            |_| (),
            |slot| self.slots.get(slot as usize),
            &self.lock,
        )
    }

    fn count(&self) -> u16 {
        Ledger::count(self.slots[0].load(Ordering::Acquire))
    }

    /// When all processes but `holder` are gone: the count is what `kept` says, and no seat but those
    /// is missing from the pool.
    fn assert_whole(&self, mut holder: Holder, kept: Vec<Seat>) {
        assert_eq!(usize::from(self.count()), kept.len());
        for seat in kept {
            self.release(&mut holder, seat);
        }
        assert_eq!(self.count(), 0);
        let capacity = self.ledger().capacity();
        for _ in 0..capacity {
            let _ = self.take(&mut holder, 100).unwrap();
        }
        assert_eq!(self.take(&mut holder, 100), Err(NotTaken::NoSeat));
    }
}

fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    builder.check(model);
}

/// Two processes, and one request in flight at most.
fn two_takers() {
    explore(3, || {
        let zone = Zone::new();
        let inside = Arc::new(AtomicUsize::new(0));
        let run = |pid| {
            let (zone, inside, mut holder) = (zone.clone(), inside.clone(), zone.register(pid));
            move || {
                if let Ok(seat) = zone.take(&mut holder, 1) {
                    assert_eq!(inside.fetch_add(1, SeqCst), 0);
                    // Others may run while this one looks.
                    assert_eq!(zone.count(), 1);
                    inside.fetch_sub(1, SeqCst);
                    zone.release(&mut holder, seat);
                }
                holder
            }
        };
        let (one, other) = (thread::spawn(run(1)), run(2));
        let other = other();
        let one = one.join().unwrap();
        assert_eq!(zone.ledger().leave(one, |_| (), |_| None, &zone.lock), 0);
        zone.assert_whole(other, Vec::new());
    });
}

#[test]
fn two_processes_never_exceed_the_limit() {
    two_takers();
}

#[test]
fn a_count_that_is_stored_is_caught() {
    assert!(is_caught(Race::StoredCount, two_takers));
}

/// One process takes and releases, and is killed at its `step`. Another one takes, and takes and
/// releases, at the same time; a third reclaims as soon as the first is dead.
fn killed_at(step: u32) {
    explore(2, move || {
        let zone = Zone::new();
        let (mut dead, mut other) = (zone.register(1), zone.register(2));
        let first = {
            let zone = zone.clone();
            thread::spawn(move || {
                mortal(step, || {
                    let seat = zone.take(&mut dead, 9).unwrap();
                    zone.release(&mut dead, seat);
                })
            })
        };
        let reclaimer = {
            let zone = zone.clone();
            thread::spawn(move || {
                first.join().unwrap();
                zone.reclaim(&[1]);
            })
        };
        let kept = zone.take(&mut other, 9).unwrap();
        let passing = zone.take(&mut other, 9).unwrap();
        zone.release(&mut other, passing);
        reclaimer.join().unwrap();
        zone.assert_whole(other, vec![kept]);
    });
}

/// More than a take and a release have.
const STEPS: u32 = 16;
/// More than it takes to reclaim that.
const RECLAIM_STEPS: u32 = 36;

#[test]
fn a_process_killed_at_any_step_leaves_the_count_right() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(0);
    builder.check(|| {
        let zone = Zone::new();
        let mut holder = zone.register(1);
        let all = || {
            let seat = zone.take(&mut holder, 9).unwrap();
            zone.release(&mut holder, seat);
        };
        assert!(mortal(STEPS, all).is_some(), "a take and a release have more steps");
    });
    for step in 0..=STEPS {
        killed_at(step);
    }
}

fn killed_anywhere() {
    (0..=STEPS).for_each(killed_at);
}

#[test]
fn a_seat_marked_as_held_too_early_is_caught() {
    assert!(is_caught(Race::HeldTooEarly, killed_anywhere));
}

#[test]
fn a_seat_freed_too_early_is_caught() {
    assert!(is_caught(Race::FreedTooEarly, killed_anywhere));
}

#[test]
fn overwriting_without_help_is_caught() {
    assert!(is_caught(Race::Unhelped, killed_anywhere));
}

#[test]
fn judging_a_death_without_a_second_look_is_caught() {
    assert!(is_caught(Race::JudgedAtOnce, killed_anywhere));
}

/// A process was killed at its `step`; who reclaims is killed at `reclaim_step`, while another one
/// takes and releases; and the next one reclaims what both have left.
fn reclaimer_killed_at(step: u32, reclaim_step: u32) {
    explore(2, move || {
        let zone = Zone::new();
        let (mut dead, mut other) = (zone.register(1), zone.register(2));
        mortal(step, || {
            let seat = zone.take(&mut dead, 9).unwrap();
            zone.release(&mut dead, seat);
        });
        let reclaimer = {
            let zone = zone.clone();
            thread::spawn(move || mortal(reclaim_step, || zone.reclaim(&[1])))
        };
        let kept = zone.take(&mut other, 9).unwrap();
        let passing = zone.take(&mut other, 9).unwrap();
        zone.release(&mut other, passing);
        let survived = reclaimer.join().unwrap().is_some();
        assert!(survived || reclaim_step < RECLAIM_STEPS, "to reclaim takes more steps");
        zone.reclaim(&[1]);
        zone.assert_whole(other, vec![kept]);
    });
}

#[test]
fn a_reclaimer_killed_at_any_step_is_followed_by_the_next() {
    for step in 0..=STEPS {
        for reclaim_step in 0..=RECLAIM_STEPS {
            reclaimer_killed_at(step, reclaim_step);
        }
    }
}

/// A slot whose key is in `tag`, in front of its count. It is given from key 1 to key 2 while somebody
/// takes for key 1. `claims` are the numbers of the two givings.
fn given_away(claims: [u64; 2]) {
    explore(3, move || {
        let zone = Zone::new();
        let tag = Arc::new(AtomicU64::new(1));
        zone.slots[0].store(Ledger::fresh(claims[0]), Ordering::Release);
        let (mut early, mut late) = (zone.register(1), zone.register(2));
        let taker = {
            let (zone, tag) = (zone.clone(), tag.clone());
            thread::spawn(move || {
                let is_ours = || tag.load(Ordering::Acquire) == 1;
                let taken = zone.ledger().take(&mut early, &zone.slots[0], 0, 9, is_ours);
                taken.map(|seat| (early, seat))
            })
        };
        let word = &zone.slots[0];
        let evicted = zone.lock.with(|| {
            let idle = word.load(Ordering::Acquire);
            if !Ledger::is_idle(idle) {
                return false;
            }
            zone.ledger().help(idle);
            let swap = word.compare_exchange(idle, u64::MAX, Ordering::AcqRel, Ordering::Acquire);
            if swap.is_err() {
                return false;
            }
            tag.store(0, Ordering::Release);
            word.store(Ledger::fresh(claims[1]), Ordering::Release);
            tag.store(2, Ordering::Release);
            true
        });
        let mut expected = 0;
        if evicted {
            let is_ours = || tag.load(Ordering::Acquire) == 2;
            let _ = zone.ledger().take(&mut late, word, 0, 9, is_ours).unwrap();
            expected = 1;
        }
        let taken = taker.join().unwrap();
        // Either it was given away, or somebody is in flight for key 1.
        assert_ne!(evicted, taken.is_ok());
        if let Ok((mut early, seat)) = taken {
            assert_eq!(zone.count(), 1);
            zone.release(&mut early, seat);
        }
        assert_eq!(zone.count(), expected);
    });
}

#[test]
fn a_slot_that_is_given_away_counts_nobody_else() {
    given_away([1, 2]);
}

#[test]
fn a_claim_number_that_is_used_twice_is_caught() {
    assert!(std::panic::catch_unwind(|| given_away([1, 1])).is_err());
}

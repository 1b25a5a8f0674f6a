use super::*;
use crate::limits::fixtures::LATE;
use crate::limits::{Ledger, Process};
use proptest::prelude::*;
use std::sync::Mutex;

struct TestLock(Mutex<()>);

impl ClaimLock for TestLock {
    fn with<T>(&self, f: impl FnOnce() -> T) -> T {
        let _held = self.0.lock().unwrap();
        f()
    }
}

fn lock() -> TestLock {
    TestLock(Mutex::new(()))
}

fn zeros(words: usize) -> Vec<AtomicU64> {
    (0..words).map(|_| AtomicU64::new(0)).collect()
}

fn holder(ledger: &Ledger<'_>, pid: u32, lock: &TestLock) -> Holder {
    ledger.register(Process { pid, started: 0 }, lock).unwrap()
}

fn end(queue: &Queue<'_>) -> u64 {
    queue.end.load(Ordering::SeqCst) & END_MASK
}

#[test]
fn waiters_stand_in_order_of_arrival_whichever_process_they_are_of() {
    let (words, lock) = (zeros(1024), lock());
    let ledger = Ledger::new(&words).unwrap();
    let (one, other) = (holder(&ledger, 1, &lock), holder(&ledger, 2, &lock));
    let queue = Queue::new(&words).unwrap();
    assert!(!queue.has_waiters(5));
    let a = queue.enqueue(&one, 5, 9, &lock).unwrap();
    let b = queue.enqueue(&other, 5, 9, &lock).unwrap();
    let apart = queue.enqueue(&other, 6, 9, &lock).unwrap();
    let c = queue.enqueue(&one, 5, 9, &lock).unwrap();
    assert!(queue.has_waiters(5) && queue.has_waiters(6) && !queue.has_waiters(7));
    assert_eq!([&a, &b, &c, &apart].map(|w| queue.rank(w)), [0, 1, 2, 0]);
    let mut ranks = vec![Ranked { ticket: 99, rank: 99 }];
    queue.ranks(&one, &mut ranks);
    let ranked = |w: &Waiting, rank| Ranked { ticket: w.ticket(), rank };
    assert_eq!(ranks, [ranked(&a, 0), ranked(&c, 2)]);
    queue.ranks(&other, &mut ranks);
    assert_eq!(ranks, [ranked(&b, 1), ranked(&apart, 0)]);
    queue.leave(a);
    // Whoever comes now takes the first free entry of the table, and is the last in line all the same.
    let d = queue.enqueue(&other, 5, 9, &lock).unwrap();
    assert_eq!(d.index, 0);
    assert_eq!([&b, &c, &d].map(|w| queue.rank(w)), [0, 1, 2]);
}

#[test]
fn the_line_is_as_long_as_its_limit_and_no_longer() {
    let (words, lock) = (zeros(1024), lock());
    let ledger = Ledger::new(&words).unwrap();
    let one = holder(&ledger, 1, &lock);
    let queue = Queue::new(&words).unwrap();
    assert_eq!(queue.enqueue(&one, 5, 0, &lock), Err(NoPlace::QueueFull));
    let a = queue.enqueue(&one, 5, 2, &lock).unwrap();
    let _b = queue.enqueue(&one, 5, 2, &lock).unwrap();
    assert_eq!(queue.enqueue(&one, 5, 2, &lock), Err(NoPlace::QueueFull));
    assert!(queue.enqueue(&one, 6, 2, &lock).is_ok());
    queue.leave(a);
    assert!(queue.enqueue(&one, 5, 2, &lock).is_ok());
    assert_eq!(queue.enqueue(&one, 5, 2, &lock), Err(NoPlace::QueueFull));
}

#[test]
fn a_full_table_has_no_room_until_somebody_leaves() {
    let (words, lock) = (zeros(1024), lock());
    let ledger = Ledger::new(&words).unwrap();
    let one = holder(&ledger, 1, &lock);
    let queue = Queue::new(&words).unwrap();
    let room = queue.entries.len() / WAITER_WORDS;
    let mut all: Vec<_> =
        (0..room).map(|n| queue.enqueue(&one, n as u64, 9, &lock).unwrap()).collect();
    assert_eq!(queue.enqueue(&one, 5, 9, &lock), Err(NoPlace::NoRoom));
    queue.leave(all.swap_remove(3));
    assert!(queue.enqueue(&one, 5, 9, &lock).is_ok());
}

#[test]
fn an_empty_line_costs_one_word_to_look_at() {
    let (words, lock) = (zeros(1024), lock());
    let ledger = Ledger::new(&words).unwrap();
    let one = holder(&ledger, 1, &lock);
    let queue = Queue::new(&words).unwrap();
    let mut all: Vec<_> = (0..10).map(|_| queue.enqueue(&one, 5, 99, &lock).unwrap()).collect();
    assert_eq!(end(&queue), 10);
    queue.leave(all.remove(4));
    assert_eq!(end(&queue), 10);
    queue.leave(all.pop().unwrap());
    assert_eq!(end(&queue), 9);
    let first = all.remove(0);
    for waiting in all {
        queue.leave(waiting);
    }
    assert_eq!(end(&queue), 1);
    queue.leave(first);
    assert_eq!(end(&queue), 0);
}

#[test]
fn the_waiters_of_a_dead_process_make_way() {
    let (words, lock) = (zeros(1024), lock());
    let ledger = Ledger::new(&words).unwrap();
    let (dead, alive) = (holder(&ledger, 1, &lock), holder(&ledger, 2, &lock));
    let queue = Queue::new(&words).unwrap();
    let _ = queue.enqueue(&dead, 5, 9, &lock).unwrap();
    let second = queue.enqueue(&alive, 5, 9, &lock).unwrap();
    let _ = queue.enqueue(&dead, 5, 9, &lock).unwrap();
    assert_eq!(queue.rank(&second), 1);
    ledger.reclaim(LATE, |process| process.pid != 1, |owner| queue.forget(owner), |_| None, &lock);
    assert_eq!(queue.rank(&second), 0);
    assert_eq!(end(&queue), 2);
    queue.leave(second);
    assert!(!queue.has_waiters(5));
}

#[test]
fn an_entry_that_was_not_finished_does_not_stand_in_the_way() {
    let (words, lock) = (zeros(1024), lock());
    let ledger = Ledger::new(&words).unwrap();
    let (dead, alive) = (holder(&ledger, 1, &lock), holder(&ledger, 2, &lock));
    let queue = Queue::new(&words).unwrap();
    // Killed after the entry was written, and before the end was moved past it.
    queue.entries[0].store(1 << OWNER_BITS | dead.owner(), Ordering::SeqCst);
    assert!(!queue.has_waiters(0));
    let next = queue.enqueue(&alive, 0, 9, &lock).unwrap();
    assert_eq!(next.index, 1);
    ledger.reclaim(LATE, |process| process.pid != 1, |owner| queue.forget(owner), |_| None, &lock);
    assert_eq!(queue.rank(&next), 0);
}

/// Threads that come and go: never more in line than may be, every rank below the limit, and the
/// table empty at the end.
#[test]
fn threads_never_overfill_the_line() {
    let (words, lock) = (zeros(1024), lock());
    let ledger = Ledger::new(&words).unwrap();
    let inside = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for pid in 1..=4 {
            let (words, lock, inside) = (&words, &lock, &inside);
            scope.spawn(move || {
                let (holder, queue) = (holder(&ledger, pid, lock), Queue::new(words).unwrap());
                for _ in 0..10_000 {
                    let Ok(waiting) = queue.enqueue(&holder, 5, 3, lock) else { continue };
                    assert!(inside.fetch_add(1, Ordering::SeqCst) < 3);
                    assert!(queue.rank(&waiting) < 3);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    queue.leave(waiting);
                }
            });
        }
    });
    assert!(!Queue::new(&words).unwrap().has_waiters(5));
}

proptest! {
    /// Any order of coming and leaving against a plain list.
    #[test]
    fn agrees_with_a_plain_list(
        steps in proptest::collection::vec((0usize..3, 0u64..3, 0usize..8), 1..150),
    ) {
        let (words, lock) = (zeros(1024), lock());
        let ledger = Ledger::new(&words).unwrap();
        let holders: Vec<_> = (1..=3).map(|pid| holder(&ledger, pid, &lock)).collect();
        let queue = Queue::new(&words).unwrap();
        let mut model: Vec<(usize, u64, Waiting)> = Vec::new();
        for (who, key, at) in steps {
            if at < 5 {
                let waiting = model.iter().filter(|(_, k, _)| *k == key).count();
                match queue.enqueue(&holders[who], key, 6, &lock) {
                    Ok(new) => {
                        prop_assert!(waiting < 6);
                        model.push((who, key, new));
                    }
                    Err(refused) => {
                        prop_assert_eq!((refused, waiting), (NoPlace::QueueFull, 6));
                    }
                }
            } else if at - 5 < model.len() {
                queue.leave(model.remove(at - 5).2);
            }
            for (who, holder) in holders.iter().enumerate() {
                let mut ranks = Vec::new();
                queue.ranks(holder, &mut ranks);
                let expected: Vec<_> = model
                    .iter()
                    .enumerate()
                    .filter(|(_, (owner, _, _))| *owner == who)
                    .map(|(at, (_, key, waiting))| Ranked {
                        ticket: waiting.ticket(),
                        rank: model[..at].iter().filter(|(_, k, _)| k == key).count(),
                    })
                    .collect();
                prop_assert_eq!(ranks, expected);
            }
            for key in 0..3 {
                prop_assert_eq!(queue.has_waiters(key), model.iter().any(|(_, k, _)| *k == key));
            }
        }
    }
}

use super::*;
use crate::limits::fixtures::LATE;
use crate::limits::flight_words::{LEASES_MAX, QUEUE_HEAD};
use crate::limits::Queue;
use proptest::prelude::*;
use std::collections::HashMap;
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

fn process(pid: u32) -> Process {
    Process { pid, started: 7 }
}

/// The slot numbers of `slots`.
fn words_of<'z>(slots: &'z [AtomicU64]) -> impl Fn(u32) -> Option<&'z AtomicU64> {
    |slot| slots.get(slot as usize)
}

fn count(word: &AtomicU64) -> u16 {
    Ledger::count(word.load(Ordering::SeqCst))
}

/// The words of seats that are in use.
fn in_use(ledger: &Ledger<'_>) -> usize {
    ledger.seats.iter().filter(|w| Entry::of(w.load(Ordering::SeqCst)).state != State::Free).count()
}

fn claimed(ledger: &Ledger<'_>) -> usize {
    ledger.owners.iter().filter(|w| w.load(Ordering::SeqCst) != 0).count()
}

fn is_empty(ledger: &Ledger<'_>) -> bool {
    let is_zero = |words: &[AtomicU64]| words.iter().all(|w| w.load(Ordering::SeqCst) == 0);
    in_use(ledger) == 0 && is_zero(ledger.owners) && is_zero(ledger.records)
}

#[test]
fn a_ledger_takes_a_sixteenth_of_the_zone_and_fits_into_the_smallest() {
    let smallest = Ledger::words_for(64 * 1024 / 8);
    assert_eq!(smallest, 1280);
    let words = zeros(smallest);
    let ledger = Ledger::new(&words).unwrap();
    assert!(ledger.capacity() >= 512, "{}", ledger.capacity());
    assert_eq!(ledger.chunk, 8);
    let words = zeros(Ledger::words_for(10 * 1024 * 1024 / 8));
    let ledger = Ledger::new(&words).unwrap();
    assert!(ledger.capacity() > 60_000, "{}", ledger.capacity());
    assert_eq!(ledger.chunk, 64);
    assert!(Ledger::new(&zeros(2 * RECORDS + QUEUE_HEAD + 2)).is_none());
    assert!(Ledger::new(&[]).is_none());
}

#[test]
fn no_count_and_no_fresh_word_is_a_frozen_one() {
    let seat = Signature::new(LEASES_MAX - 1, u64::MAX >> 40);
    let most = Tally { count: COUNT_MAX, signed: seat };
    assert_ne!(most.word(), FROZEN);
    assert_eq!(Tally::of(most.word()), most);
    assert_ne!(Ledger::fresh(u64::MAX), FROZEN);
    assert!(Ledger::is_idle(Ledger::fresh(u64::MAX)));
    assert_ne!(Ledger::fresh(1), Ledger::fresh(2));
    assert!(!Ledger::is_idle(FROZEN));
}

#[test]
fn as_many_as_the_limit_are_in_flight_and_then_one_for_each_that_ends() {
    let (words, slots, lock) = (zeros(2048), zeros(1), lock());
    let ledger = Ledger::new(&words).unwrap();
    let mut holder = ledger.register(process(1), &lock).unwrap();
    let take = |holder: &mut Holder| ledger.take(holder, &slots[0], 0, 3, || true);
    let mut seats: Vec<_> = (0..3).map(|_| take(&mut holder).unwrap()).collect();
    assert_eq!(take(&mut holder), Err(NotTaken::Full { count: 3 }));
    ledger.release(&mut holder, seats.remove(1), words_of(&slots));
    assert_eq!(count(&slots[0]), 2);
    seats.push(take(&mut holder).unwrap());
    assert_eq!(take(&mut holder), Err(NotTaken::Full { count: 3 }));
    for seat in seats {
        ledger.release(&mut holder, seat, words_of(&slots));
    }
    assert_eq!((count(&slots[0]), in_use(&ledger)), (0, 0));
    assert_eq!(
        ledger.take(&mut holder, &slots[0], 0, 0, || true),
        Err(NotTaken::Full { count: 0 })
    );
}

#[test]
fn a_slot_that_moved_or_is_frozen_counts_nothing() {
    let (words, slots, lock) = (zeros(2048), zeros(1), lock());
    let ledger = Ledger::new(&words).unwrap();
    let mut holder = ledger.register(process(1), &lock).unwrap();
    assert_eq!(ledger.take(&mut holder, &slots[0], 0, 3, || false), Err(NotTaken::Moved));
    slots[0].store(FROZEN, Ordering::SeqCst);
    assert_eq!(ledger.take(&mut holder, &slots[0], 0, 3, || true), Err(NotTaken::Moved));
    assert_eq!(slots[0].load(Ordering::SeqCst), FROZEN);
    // Given away between the look and the swap.
    slots[0].store(Ledger::fresh(1), Ordering::SeqCst);
    let looks = std::cell::Cell::new(0);
    let given_away = || {
        looks.set(looks.get() + 1);
        slots[0].store(Ledger::fresh(2), Ordering::SeqCst);
        looks.get() == 1
    };
    assert_eq!(ledger.take(&mut holder, &slots[0], 0, 3, given_away), Err(NotTaken::Moved));
    assert_eq!(slots[0].load(Ordering::SeqCst), Ledger::fresh(2));
    assert_eq!(in_use(&ledger), 0);
    assert!(ledger.take(&mut holder, &slots[0], 0, 3, || true).is_ok());
}

#[test]
fn an_empty_pool_refuses_and_serves_again_when_seats_come_back() {
    let (words, slots, lock) = (zeros(1024), zeros(1), lock());
    let ledger = Ledger::new(&words).unwrap();
    let mut one = ledger.register(process(1), &lock).unwrap();
    let mut other = ledger.register(process(2), &lock).unwrap();
    let mut seats: Vec<_> = (0..ledger.capacity())
        .map(|_| ledger.take(&mut one, &slots[0], 0, u16::MAX, || true).unwrap())
        .collect();
    let take = |holder: &mut Holder| ledger.take(holder, &slots[0], 0, u16::MAX, || true);
    assert_eq!(take(&mut one), Err(NotTaken::NoSeat));
    assert_eq!(take(&mut other), Err(NotTaken::NoSeat));
    assert_eq!(usize::from(count(&slots[0])), ledger.capacity());
    // Two chunks' worth come free: the process keeps one chunk, and the other goes back.
    for seat in seats.split_off(seats.len() - 2 * ledger.chunk) {
        ledger.release(&mut one, seat, words_of(&slots));
    }
    let seat = take(&mut other).unwrap();
    ledger.release(&mut other, seat, words_of(&slots));
    for seat in seats {
        ledger.release(&mut one, seat, words_of(&slots));
    }
    assert_eq!((count(&slots[0]), in_use(&ledger), claimed(&ledger)), (0, 0, 2));
    assert_eq!(ledger.leave(one, |_| (), words_of(&slots), &lock), 0);
    assert_eq!(ledger.leave(other, |_| (), words_of(&slots), &lock), 0);
    assert!(is_empty(&ledger));
}

#[test]
fn strangers_are_left_three_quarters_of_the_chunks() {
    let (words, slots, lock) = (zeros(1024), zeros(1), lock());
    let ledger = Ledger::new(&words).unwrap();
    let mut holder = ledger.register(process(1), &lock).unwrap();
    let chunks = ledger.owners.len();
    let mut taken = 0;
    while ledger.has_spare() {
        let _seat = ledger.take(&mut holder, &slots[0], 0, u16::MAX, || true).unwrap();
        taken += 1;
    }
    // The first seat of the chunk that is one too many.
    assert_eq!(taken, (chunks * 3 / 4) * ledger.chunk + 1);
}

#[test]
fn what_a_dead_process_held_comes_back_and_what_a_living_one_holds_stays() {
    let (words, slots, lock) = (zeros(2048), zeros(2), lock());
    let ledger = Ledger::new(&words).unwrap();
    let mut dead = ledger.register(process(1), &lock).unwrap();
    let mut alive = ledger.register(process(2), &lock).unwrap();
    for _ in 0..5 {
        let _ = ledger.take(&mut dead, &slots[0], 0, 9, || true).unwrap();
    }
    let _ = ledger.take(&mut dead, &slots[1], 1, 9, || true).unwrap();
    let kept = ledger.take(&mut alive, &slots[0], 0, 9, || true).unwrap();
    let reclaim = |dead: &[u32]| {
        ledger.reclaim(
            LATE,
            |process| !dead.contains(&process.pid),
            |_| (),
            words_of(&slots),
            &lock,
        )
    };
    assert_eq!(reclaim(&[]), 0);
    assert_eq!((count(&slots[0]), count(&slots[1])), (6, 1));
    assert_eq!(reclaim(&[1]), 6);
    assert_eq!((count(&slots[0]), count(&slots[1])), (1, 0));
    assert_eq!(reclaim(&[1]), 0);
    ledger.release(&mut alive, kept, words_of(&slots));
    assert_eq!(ledger.leave(alive, |_| (), words_of(&slots), &lock), 0);
    assert!(is_empty(&ledger));
}

#[test]
fn a_process_that_leaves_releases_what_it_holds() {
    let (words, slots, lock) = (zeros(2048), zeros(1), lock());
    let ledger = Ledger::new(&words).unwrap();
    let mut holder = ledger.register(process(1), &lock).unwrap();
    let _ = ledger.take(&mut holder, &slots[0], 0, 9, || true).unwrap();
    let queue = Queue::new(&words).unwrap();
    let waiting = queue.enqueue(&holder, 5, 1, &lock).unwrap();
    assert_eq!(waiting.ticket(), 1);
    assert_eq!(ledger.leave(holder, |owner| queue.forget(owner), words_of(&slots), &lock), 1);
    assert_eq!(count(&slots[0]), 0);
    assert!(!queue.has_waiters(5));
    assert!(is_empty(&ledger));
}

#[test]
fn the_process_table_has_an_end_and_a_place_that_is_left_is_given_again() {
    let (words, lock) = (zeros(1024), lock());
    let ledger = Ledger::new(&words).unwrap();
    assert!(ledger.register(Process { pid: 0, started: 1 }, &lock).is_none());
    let mut holders: Vec<_> =
        (1..=256).map(|pid| ledger.register(process(pid), &lock).unwrap()).collect();
    assert!(ledger.register(process(257), &lock).is_none());
    ledger.leave(holders.swap_remove(100), |_| (), |_| None, &lock);
    assert_eq!(ledger.register(process(257), &lock).unwrap().record, 100);
    // An earlier process of the same id is told apart by its start.
    let reborn = |p: Process| p.pid != 7;
    assert_eq!(ledger.reclaim(LATE, reborn, |_| (), |_| None, &lock), 0);
    assert_eq!(ledger.register(Process { pid: 7, started: 8 }, &lock).unwrap().record, 6);
    let alive = |p: Process| p != process(9);
    ledger.reclaim(LATE, alive, |_| (), |_| None, &lock);
    assert_eq!(ledger.register(process(300), &lock).unwrap().record, 8);
}

/// The states in which a process can be killed, by hand: at each line of a take and of a release,
/// with the count overwritten by another process since, or not.
#[test]
fn a_death_at_any_line_is_judged_rightly() {
    for overwritten in [false, true] {
        for (state, swapped) in [
            (State::Pending, false),
            (State::Pending, true),
            (State::Held, true),
            (State::Releasing, false),
            (State::Releasing, true),
        ] {
            let (words, slots, lock) = (zeros(2048), zeros(1), lock());
            let ledger = Ledger::new(&words).unwrap();
            let mut other = ledger.register(process(2), &lock).unwrap();
            let mut holder = ledger.register(process(1), &lock).unwrap();
            let others = ledger.take(&mut other, &slots[0], 0, 9, || true).unwrap();
            let (index, pending) = ledger.allot(&mut holder, 0).unwrap();
            let signed = |count, entry: Entry| {
                Tally { count, signed: Signature::new(index, entry.seq) }.word()
            };
            if state != State::Pending || swapped {
                slots[0].store(signed(2, pending), Ordering::SeqCst);
            }
            let releasing = pending.next(State::Releasing, 0);
            match state {
                State::Held => ledger.write(index, pending.done()),
                State::Releasing => {
                    ledger.write(index, releasing);
                    if swapped {
                        slots[0].store(signed(1, releasing), Ordering::SeqCst);
                    }
                }
                State::Pending | State::Free => {}
            }
            if overwritten {
                let third = ledger.take(&mut other, &slots[0], 0, 9, || true).unwrap();
                ledger.release(&mut other, third, words_of(&slots));
            }
            let counted = usize::from(count(&slots[0])) - 1;
            let released = ledger.reclaim(LATE, |p| p.pid != 1, |_| (), words_of(&slots), &lock);
            let case = (state, swapped, overwritten);
            assert_eq!(count(&slots[0]), 1, "{case:?}");
            assert_eq!(released, counted, "{case:?}");
            assert_eq!(in_use(&ledger), 1, "{case:?}");
            ledger.release(&mut other, others, words_of(&slots));
            assert_eq!(count(&slots[0]), 0, "{case:?}");
        }
    }
}

#[test]
fn threads_never_exceed_the_limit_and_leave_nothing_behind() {
    let (words, slots, lock) = (zeros(4096), zeros(2), lock());
    let ledger = Ledger::new(&words).unwrap();
    let in_flight = [AtomicU64::new(0), AtomicU64::new(0)];
    std::thread::scope(|scope| {
        for pid in 1..=4 {
            let (slots, lock, in_flight) = (&slots, &lock, &in_flight);
            scope.spawn(move || {
                let mut holder = ledger.register(process(pid), lock).unwrap();
                for round in 0..20_000u32 {
                    let number = round % 2;
                    let slot = number as usize;
                    let taken = ledger.take(&mut holder, &slots[slot], number, 2, || true);
                    match taken {
                        Ok(seat) => {
                            assert!(in_flight[slot].fetch_add(1, Ordering::SeqCst) < 2);
                            in_flight[slot].fetch_sub(1, Ordering::SeqCst);
                            ledger.release(&mut holder, seat, words_of(slots));
                        }
                        Err(refused) => assert_eq!(refused, NotTaken::Full { count: 2 }),
                    }
                }
                assert_eq!(ledger.leave(holder, |_| (), words_of(slots), lock), 0);
            });
        }
    });
    assert_eq!((count(&slots[0]), count(&slots[1])), (0, 0));
    assert!(is_empty(&ledger));
}

proptest! {
    /// Any order of takes, releases, deaths and restarts against a plain model.
    #[test]
    fn agrees_with_a_plain_model(
        steps in proptest::collection::vec((0usize..4, 0u32..3, 0u8..10), 1..200),
    ) {
        let (words, slots, lock) = (zeros(1024), zeros(3), lock());
        let ledger = Ledger::new(&words).unwrap();
        let limits = [1u16, 3, 40];
        let mut holders: Vec<_> =
            (1..=4).map(|pid| ledger.register(process(pid), &lock).unwrap()).collect();
        let mut model: HashMap<(usize, u32), Vec<Seat>> = HashMap::new();
        for (who, slot, what) in steps {
            let counted: usize = (0..4).filter_map(|p| model.get(&(p, slot))).map(Vec::len).sum();
            match what {
                0..=5 => {
                    let limit = limits[slot as usize];
                    let word = &slots[slot as usize];
                    match ledger.take(&mut holders[who], word, slot, limit, || true) {
                        Ok(seat) => {
                            prop_assert!(counted < usize::from(limit));
                            model.entry((who, slot)).or_default().push(seat);
                        }
                        Err(refused) => prop_assert_eq!(refused, NotTaken::Full { count: limit }),
                    }
                }
                6..=8 => {
                    if let Some(seat) = model.get_mut(&(who, slot)).and_then(Vec::pop) {
                        ledger.release(&mut holders[who], seat, words_of(&slots));
                    }
                }
                _ => {
                    let lost: usize =
                        (0..3).filter_map(|slot| model.remove(&(who, slot))).map(|l| l.len()).sum();
                    let pid = u32::try_from(who).unwrap() + 1;
                    let released = ledger.reclaim(LATE, |p| p.pid != pid, |_| (), words_of(&slots), &lock);
                    prop_assert_eq!(released, lost);
                    holders[who] = ledger.register(process(pid), &lock).unwrap();
                }
            }
            for slot in 0..3u32 {
                let counted: usize =
                    (0..4).filter_map(|p| model.get(&(p, slot))).map(Vec::len).sum();
                prop_assert_eq!(usize::from(count(&slots[slot as usize])), counted);
            }
            prop_assert_eq!(in_use(&ledger), model.values().map(Vec::len).sum::<usize>());
        }
    }
}

#[test]
fn only_who_was_silent_is_asked_whether_it_lives() {
    let (words, lock) = (zeros(2048), lock());
    let ledger = Ledger::new(&words).unwrap();
    let asked = std::cell::Cell::new(0);
    let reclaim = |now| {
        asked.set(0);
        let is_alive = |_| {
            asked.set(asked.get() + 1);
            true
        };
        ledger.reclaim(MonoNanos(now), is_alive, |_| (), |_| None, &lock);
        asked.get()
    };
    let begun = 86_400_000_000_000;
    let holders: Vec<_> =
        (1..=3).map(|pid| ledger.register(process(pid), &lock).unwrap()).collect();
    // Who was just made has given none yet.
    assert_eq!(reclaim(begun), 3);
    holders.iter().for_each(|holder| ledger.beat(holder, MonoNanos(begun)));
    assert_eq!(reclaim(begun), 0);
    assert_eq!(reclaim(begun + SILENCE_NANOS), 0);
    assert_eq!(reclaim(begun + SILENCE_NANOS + 1), 3);
    ledger.beat(&holders[1], MonoNanos(begun + SILENCE_NANOS));
    assert_eq!(reclaim(begun + SILENCE_NANOS + 1), 2);
    // A clock that is read a moment later is no reason.
    ledger.beat(&holders[0], MonoNanos(u64::MAX));
    assert_eq!(reclaim(begun + 10 * SILENCE_NANOS), 2);
    // A record that is given away has none of the signs of the one before.
    let gone = |process: Process| process.pid != 1;
    ledger.beat(&holders[0], MonoNanos(0));
    ledger.reclaim(LATE, gone, |_| (), |_| None, &lock);
    ledger.beat(&holders[0], MonoNanos(u64::MAX));
    let next = ledger.register(process(9), &lock).unwrap();
    assert_eq!(next.record, 0);
    assert_eq!(reclaim(begun), 1);
}

#[test]
fn a_slot_is_given_away_with_what_its_dead_signer_had_left_to_do() {
    use crate::limits::fixtures::{after, enter, left, memory, places, SECOND, START};
    use crate::limits::Zone;
    let (words, lock) = (memory(6), lock());
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let mut dead = zone.register(process(1), &lock).unwrap();
    let mut alive = zone.register(process(2), &lock).unwrap();
    let ask = |client: usize| places(zone.client_key(&format!("c{client}")), 3);
    let seats = enter(&zone, &mut dead, &mut [ask(0)], START).unwrap();

    // It is killed after the second line of its release.
    let ledger = zone.ledger();
    let index = seats[0].index;
    let held = ledger.read(index);
    let entry = held.next(State::Releasing, held.slot);
    ledger.write(index, entry);
    let signed = Signature::new(index, entry.seq);
    let word = zone.in_flight_word(held.slot).unwrap();
    word.store(Tally { count: 0, signed }.word(), Ordering::Release);

    // Others take all eight slots, that one among them.
    let now = after(SECOND);
    let mut others = Vec::new();
    for client in 1..=8 {
        others.extend(enter(&zone, &mut alive, &mut [ask(client)], now).unwrap());
    }
    assert_eq!(zone.reclaim(LATE, |process| process.pid != 1, &lock), 0);
    for client in 1..=8 {
        assert_eq!(left(&zone, &ask(client), now), 2, "c{client}");
    }
    others.into_iter().for_each(|seat| zone.release(seat, &mut alive));
}

//! Many at once: none gets what another one has.

use super::*;

/// Many threads, one bucket: never more than the burst and the refill, and at most one fewer.
#[test]
fn threads_together_admit_exactly_the_quota() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let (lock, clock, admitted) = (lock(), AtomicU64::new(0), AtomicUsize::new(0));
    let one = requests(&zone, zone.client_key("acme"), "30011r/s");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let (mut standings, mut seats) = (Vec::new(), Vec::new());
                loop {
                    // A clock that all threads share and push on, at 100 times the quota.
                    let now = clock.fetch_add(333, Ordering::SeqCst);
                    if now >= SECOND {
                        break;
                    }
                    let mut asks = [one];
                    let outcome = zone.reserve(
                        &mut asks,
                        after(now),
                        &lock,
                        None,
                        &mut standings,
                        &mut seats,
                    );
                    if outcome.is_ok() {
                        admitted.fetch_add(1, Ordering::SeqCst);
                    }
                    // Also where another thread was faster at the last moment.
                    assert_eq!(standings.len(), 1);
                }
            });
        }
    });
    let admitted = admitted.into_inner();
    assert!((30_011 + 30_010..=30_011 + 30_011).contains(&admitted), "{admitted}");
}

/// Many threads that reserve upper bounds and settle with less: what was used in all never exceeds
/// the limits, and when all is settled, what is left is what wasn't used.
#[test]
fn with_upper_bounds_reserved_no_limit_is_ever_overspent() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let (capacity, budget) = (100_000, 1_000_000_000);
    let key = zone.client_key("acme");
    let asks = |n: u32| {
        // No refill to speak of while the threads run.
        let tokens = tokens(&zone, key, "100000/d", n);
        [tokens, money(key, "1/day", u64::from(n) * 10_007), places(key, 3)]
    };
    let (lock, used, spent) = (lock(), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0u32..4 {
            let (zone, lock, used, spent) = (&zone, &lock, &used, &spent);
            scope.spawn(move || {
                let mut holder = holder(zone);
                let (mut standings, mut seats) = (Vec::new(), Vec::new());
                for step in 0u32..20_000 {
                    let bound = (step.wrapping_mul(2_654_435_761) >> 20) % 97 + 1;
                    let mut both = asks(bound);
                    let outcome = zone.reserve(
                        &mut both,
                        START,
                        lock,
                        Some(&mut holder),
                        &mut standings,
                        &mut seats,
                    );
                    if outcome.is_ok() {
                        let really = (bound * (thread + 1)).min(bound + thread) / 4;
                        let really = u64::from(really.min(bound));
                        used.fetch_add(really, Ordering::SeqCst);
                        spent.fetch_add(really * 10_007, Ordering::SeqCst);
                        assert!(zone.settle(&both[0], really, START, lock));
                        assert!(zone.settle(&both[1], really * 10_007, START, lock));
                        seats.drain(..).for_each(|seat| zone.release(seat, &mut holder));
                    }
                    assert!(seats.is_empty());
                }
            });
        }
    });
    let (used, spent) = (used.into_inner(), spent.into_inner());
    assert!(used <= capacity && spent <= budget, "{used} {spent}");
    assert!(used > capacity * 99 / 100, "{used}");
    let one = asks(1);
    let expected = [capacity - used, budget - spent, 3];
    assert_eq!(one.map(|ask| left(&zone, &ask, START)), expected);
}

/// Estimates that are too low: what is used beyond the limit is at most the sum of the errors of the
/// requests that are in flight together, and stays as debt.
#[test]
fn what_is_used_beyond_a_limit_is_at_most_the_errors_of_the_requests_in_flight() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let key = zone.client_key("acme");
    let (threads, capacity, error) = (4u32, 100_000, 50);
    let (lock, used) = (lock(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let (mut standings, mut seats) = (Vec::new(), Vec::new());
                for _ in 0..20_000 {
                    let mut one = [tokens(&zone, key, "100000/d", 10)];
                    let outcome =
                        zone.reserve(&mut one, START, &lock, None, &mut standings, &mut seats);
                    if outcome.is_ok() {
                        used.fetch_add(10 + error, Ordering::SeqCst);
                        assert!(zone.settle(&one[0], 10 + error, START, &lock));
                    }
                }
            });
        }
    });
    let used = used.into_inner();
    assert!((capacity - 10..=capacity + error * u64::from(threads)).contains(&used), "{used}");
    // Whatever went beyond it has to be waited for.
    let one = tokens(&zone, key, "100000/d", 10);
    let wait = exceeded(reserve(&zone, &mut [one], START)).wait_nanos;
    let expected = (used + 10 - capacity) * 864_000_000;
    assert!(wait.abs_diff(expected) < 1_000, "{wait} {expected}");
}

/// 200 requests at once on the last unit of a budget: one passes.
#[test]
fn the_last_unit_of_a_budget_is_spent_once() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let (lock, admitted) = (lock(), AtomicUsize::new(0));
    let key = zone.client_key("acme");
    reserve(&zone, &mut [money(key, "1/day", 999_999_999)], START).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..200 {
            scope.spawn(|| {
                let mut asks = [money(key, "1/day", 1)];
                let (mut standings, mut seats) = (Vec::new(), Vec::new());
                let outcome =
                    zone.reserve(&mut asks, START, &lock, None, &mut standings, &mut seats);
                admitted.fetch_add(usize::from(outcome.is_ok()), Ordering::SeqCst);
            });
        }
    });
    assert_eq!(admitted.into_inner(), 1);
}

#[test]
fn a_race_that_is_lost_gives_everything_back_and_the_place_in_flight() {
    let words = memory(6);
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let mut holder = holder(&zone);
    let key = zone.client_key("acme");
    // Each of them passes where it is looked at; the last one finds the bucket as another worker would have
    // left it.
    let one = requests(&zone, key, "1r/h");
    let mut asks = [places(key, 2), money(key, "1/day", 5), one, one];
    for _ in 0..3 {
        let refused = enter(&zone, &mut holder, &mut asks, START).unwrap_err();
        assert!(matches!(refused, Refused::Exceeded(_)), "{refused:?}");
        assert_eq!(left(&zone, &asks[0], START), 2);
        assert_eq!(left(&zone, &asks[1], START), 1_000_000_000);
        assert_eq!(left(&zone, &one, START), 1);
    }
    // Nothing is left of it with the process.
    assert_eq!(zone.leave(holder, &lock()), 0);
}

//! A limit that begins anew under loom, while a request takes from it and settles.
#![allow(clippy::unwrap_used, clippy::panic, reason = "in tests")]

use std::sync::Arc;

use limits_model::clock::{MonoNanos, UnixSeconds};
use limits_model::exhaustive::atomics::{AtomicU64, Mutex};
use limits_model::exhaustive::limits::{
    Area, Ask, Budget, Dimension, Now, Oversize, Quota, Reset, Take, Zone,
};
use limits_model::races::{is_caught, Race};
use loom::thread;

/// A day after boot; 2026-01-01T12:00:00Z.
const NOW: Now = Now { mono: MonoNanos(86_400_000_000_000), wall: UnixSeconds(1_767_268_800) };

/// A limit of ten.
#[derive(Clone, Copy)]
enum Limit {
    Tokens,
    Money,
}

/// A zone, and its mutex.
struct Shared {
    words: Vec<AtomicU64>,
    lock: Mutex,
}

impl Shared {
    fn new() -> Arc<Self> {
        let words: Vec<_> = (0..104).map(|_| AtomicU64::new(0)).collect();
        assert_eq!(Zone::format(&words, (1, 2)).unwrap().capacity(Area::Clients), 1);
        Arc::new(Self { words, lock: Mutex::default() })
    }

    fn zone(&self) -> Zone<'_> {
        Zone::attach(&self.words).unwrap()
    }

    fn ask(&self, limit: Limit, n: u32) -> Ask {
        let zone = self.zone();
        let take = match limit {
            Limit::Tokens => {
                let scale = zone.scale(Quota::parse("10r/d", None).unwrap());
                let dimension = Dimension::Requests;
                Take::Bucket { dimension, scale, n, oversize: Oversize::Debt }
            }
            Limit::Money => {
                let budget = Budget::parse("0.000000010/day").unwrap();
                Take::Budget { budget, n: n.into(), guess: 0 }
            }
        };
        Ask::new(zone.client_key("acme"), take)
    }

    /// A request, from its reservation to its settlement.
    fn request(&self, limit: Limit, n: u32, used: u64) {
        let mut asks = [self.ask(limit, n)];
        let (mut standings, mut seats) = (Vec::new(), Vec::new());
        let zone = self.zone();
        zone.reserve(&mut asks, NOW, &self.lock, None, &mut standings, &mut seats).unwrap();
        assert!(zone.settle(&asks[0], used, NOW, &self.lock));
    }
}

/// One takes two, and uses `used` of it. Another one resets, and uses three. The first one was charged before that,
/// or is so after: nothing of its reservation is given back twice, or kept.
fn reset_meets_a_request(limit: Limit, used: u64) -> impl Fn() + Send + Sync + 'static {
    move || {
        let shared = Shared::new();
        shared.request(limit, 4, 4);
        let one = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.request(limit, 2, used))
        };
        assert!(shared.zone().reset(
            shared.zone().client_key("acme"),
            Reset::All,
            NOW,
            &shared.lock
        ));
        shared.request(limit, 3, 3);
        one.join().unwrap();
        let left = shared.zone().look(&shared.ask(limit, 0), NOW).0.remaining;
        let excess = used.saturating_sub(2);
        // All of it before the reset; reserved before, settled after; all of it after.
        let expected = [10 - 3, 10 - 3 - excess, 10 - 3 - used];
        assert!(expected.contains(&left), "{left} of {expected:?}");
    }
}

fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.max_branches = 100_000;
    builder.check(model);
}

#[test]
fn a_bucket_that_is_reset_stays_exact() {
    explore(reset_meets_a_request(Limit::Tokens, 1));
    explore(reset_meets_a_request(Limit::Tokens, 5));
}

#[test]
fn a_budget_that_is_reset_stays_exact() {
    explore(reset_meets_a_request(Limit::Money, 1));
    explore(reset_meets_a_request(Limit::Money, 5));
}

#[test]
fn a_reset_that_is_counted_late_is_caught() {
    for limit in [Limit::Tokens, Limit::Money] {
        assert!(is_caught(Race::CountedLate, move || explore(reset_meets_a_request(limit, 1))));
    }
}

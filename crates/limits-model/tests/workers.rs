//! Workers that reserve, settle, wait and release over a whole zone, some of which are killed, under
//! many random interleavings of shuttle.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "in tests")]

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64 as StdU64, Ordering::SeqCst};
use std::sync::Arc;

use limits_model::clock::{MonoNanos, UnixSeconds};
use limits_model::races::{is_caught, Race};
use limits_model::random::atomics::{mortal, AtomicU64, Mutex};
use limits_model::random::limits::{
    Area, Ask, Budget, Dimension, Holder, Now, Oversize, Process, Quota, Refused, Seat, Take, Zone,
};
use shuttle::rand::{thread_rng, Rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::thread;

/// A day after boot.
const START_NANOS: u64 = 86_400_000_000_000;
const WORKERS: u32 = 3;
const CLIENTS: [&str; 3] = ["a", "b", "c"];
/// Tokens, nano-units and requests in flight that each client has.
const TOKENS: u64 = 6;
const MONEY: u64 = 10;
const PLACES: u16 = 2;

/// What is known of a client from outside.
#[derive(Default)]
struct Client {
    in_flight: StdU64,
    /// Tokens that were charged for certain, and that may have been.
    tokens: [StdU64; 2],
    money: [StdU64; 2],
}

struct Shared {
    words: Vec<AtomicU64>,
    lock: Mutex,
    /// The monotonic clock: each look at it takes two microseconds, after which a slot that nothing is
    /// taken from may be given away. Nothing is refilled in so short a time.
    clock: StdU64,
    clients: [Client; CLIENTS.len()],
    dead: [AtomicBool; WORKERS as usize + 1],
}

/// The three asks of a request of a client.
fn asks(zone: &Zone<'_>, client: &str, tokens: u32, money: u64) -> [Ask; 3] {
    let key = zone.client_key(client);
    let scale = zone.scale(Quota::parse("6r/d", None).unwrap());
    let dimension = Dimension::Requests;
    let budget = Budget::parse("0.000000010/day").unwrap();
    [
        Take::Concurrency { limit: PLACES },
        Take::Bucket { dimension, scale, n: tokens, oversize: Oversize::Refuse },
        Take::Budget { budget, n: money, guess: 0 },
    ]
    .map(|take| Ask::new(key, take))
}

impl Shared {
    fn new() -> Self {
        // Two slots for clients: three come.
        let words: Vec<_> = (0..124).map(|_| AtomicU64::new(0)).collect();
        assert_eq!(Zone::format(&words, (1, 2)).unwrap().capacity(Area::Clients), 2);
        Self {
            words,
            lock: Mutex::default(),
            clock: StdU64::new(START_NANOS),
            clients: Default::default(),
            dead: Default::default(),
        }
    }

    fn zone(&self) -> Zone<'_> {
        Zone::attach(&self.words).unwrap()
    }

    fn now(&self) -> Now {
        let mono = MonoNanos(self.clock.fetch_add(2_000, SeqCst));
        Now { mono, wall: UnixSeconds(1_781_524_800) }
    }

    fn register(&self, pid: u32) -> Holder {
        self.zone().ledger().register(Process { pid, started: 0 }, &self.lock).unwrap()
    }

    fn reclaim(&self) {
        let zone = self.zone();
        let is_alive =
            |process: Process| !self.dead.get(process.pid as usize).unwrap().load(SeqCst);
        zone.reclaim(MonoNanos(u64::MAX), is_alive, &self.lock);
    }

    /// A request, from its reservation to its settlement. `held` says of which client a request is in
    /// flight, and is right at whatever point the worker is killed.
    fn request(&self, holder: &mut Holder, held: &Cell<Option<usize>>) {
        let zone = self.zone();
        let at = thread_rng().gen_range(0..CLIENTS.len());
        let client = &self.clients[at];
        let (tokens, money) = (thread_rng().gen_range(1..=2), thread_rng().gen_range(0..=4));
        let used = (thread_rng().gen_range(0..=3), thread_rng().gen_range(0..=5));
        let mut asks = asks(&zone, CLIENTS[at], tokens, money);
        let (mut seats, mut standings) = (Vec::new(), Vec::new());
        let most = |reserved: u64, used: u64| reserved.max(used);
        client.tokens[1].fetch_add(most(tokens.into(), used.0), SeqCst);
        client.money[1].fetch_add(most(money, used.1), SeqCst);
        let take_back = |tokens: u64, money: u64| {
            client.tokens[1].fetch_sub(tokens, SeqCst);
            client.money[1].fetch_sub(money, SeqCst);
        };
        let lock = &self.lock;
        let reserved =
            zone.reserve(&mut asks, self.now(), lock, Some(holder), &mut standings, &mut seats);
        match reserved {
            Ok(()) => {}
            Err(Refused::ZoneFull(_) | Refused::Exceeded(_) | Refused::NoSeat) => {
                take_back(most(tokens.into(), used.0), most(money, used.1));
                return;
            }
            Err(other) => panic!("{other:?}"),
        }
        held.set(Some(at));
        assert!(client.in_flight.fetch_add(1, SeqCst) < u64::from(PLACES));
        thread::yield_now();
        let [_, of_tokens, of_money] = &asks;
        if zone.settle(of_tokens, used.0, self.now(), lock) {
            client.tokens[0].fetch_add(used.0, SeqCst);
        }
        if zone.settle(of_money, used.1, self.now(), lock) {
            client.money[0].fetch_add(used.1, SeqCst);
        }
        take_back(most(tokens.into(), used.0) - used.0, most(money, used.1) - used.1);
        held.set(None);
        client.in_flight.fetch_sub(1, SeqCst);
        for seat in seats {
            zone.release(seat, holder);
        }
    }

    /// Gets in line, looks and leaves.
    fn wait(&self, holder: &Holder) {
        let zone = self.zone();
        let key = thread_rng().gen_range(0..2);
        if let Ok(waiting) = zone.queue().enqueue(holder, key, 2, &self.lock) {
            assert!(zone.queue().rank(&waiting) < 2);
            zone.queue().leave(waiting);
        }
    }

    /// A worker, which may be killed.
    fn work(&self, pid: u32) {
        let held = Cell::new(None);
        let steps = thread_rng().gen_range(0..600);
        let survived = mortal(steps, || {
            let mut holder = self.register(pid);
            for _ in 0..2 {
                self.request(&mut holder, &held);
                self.wait(&holder);
            }
        });
        if let Some(at) = held.get() {
            self.clients[at].in_flight.fetch_sub(1, SeqCst);
        }
        if survived.is_none() {
            self.dead[pid as usize].store(true, SeqCst);
            self.reclaim_and_be_killed(pid);
        }
    }

    /// Another process reclaims, and is killed at it.
    fn reclaim_and_be_killed(&self, pid: u32) {
        if pid == 1 {
            let steps = thread_rng().gen_range(0..80);
            mortal(steps, || self.reclaim());
        } else {
            self.reclaim();
        }
    }

    /// When all is over, and all dead processes are reclaimed: nothing is in flight, nobody waits,
    /// and each client was charged what it should be.
    fn assert_settled(&self) {
        for dead in &self.dead {
            dead.store(true, SeqCst);
        }
        self.reclaim();
        let zone = self.zone();
        for (name, client) in CLIENTS.iter().zip(&self.clients) {
            let [places, tokens, money] =
                asks(&zone, name, 1, 1).map(|ask| zone.look(&ask, self.now()).0.remaining);
            assert_eq!(places, PLACES.into());
            let range = |[least, most]: &[StdU64; 2], all: u64| {
                all.saturating_sub(most.load(SeqCst))..=all.saturating_sub(least.load(SeqCst))
            };
            let allowed = (range(&client.tokens, TOKENS), range(&client.money, MONEY));
            assert!(allowed.0.contains(&tokens), "{tokens} tokens, {allowed:?}");
            assert!(allowed.1.contains(&money), "{money} of money, {allowed:?}");
        }
        assert!(!zone.queue().has_waiters(0) && !zone.queue().has_waiters(1));
        let mut holder = self.register(99);
        let (word, capacity) = (AtomicU64::new(0), zone.ledger().capacity());
        let taken = |_| zone.ledger().take(&mut holder, &word, 0, 100, || true).ok();
        let seats: Vec<Seat> = (0..capacity).filter_map(taken).collect();
        assert_eq!(seats.len(), capacity);
    }
}

fn day_of_work() {
    let shared = Arc::new(Shared::new());
    let workers: Vec<_> = (1..=WORKERS)
        .map(|pid| {
            let shared = shared.clone();
            thread::spawn(move || shared.work(pid))
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    shared.assert_settled();
}

fn config() -> shuttle::Config {
    let mut config = shuttle::Config::new();
    config.stack_size = 256 * 1024;
    config
}

fn many_days(days: usize) {
    shuttle::Runner::new(RandomScheduler::new_from_seed(1, days), config()).run(day_of_work);
    shuttle::Runner::new(PctScheduler::new_from_seed(2, 4, days), config()).run(day_of_work);
}

#[test]
fn workers_that_come_and_go_leave_a_zone_that_is_right() {
    many_days(10_000);
}

#[test]
fn mistakes_are_caught() {
    for race in [Race::StoredBucket, Race::StoredCount, Race::FreedTooEarly, Race::Unhelped] {
        assert!(is_caught(race, || many_days(10_000)), "{race:?}");
    }
}

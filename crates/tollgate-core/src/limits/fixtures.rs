//! A zone in ordinary memory, and short spellings of asks, for tests.

use std::sync::Mutex;

use super::ask::{Ask, Dimension, Now, Oversize, Take};
use super::budget::Budget;
use super::claim_lock::ClaimLock;
use super::holder::Holder;
use super::key::Key;
use super::ledger::Seat;
use super::process::Process;
use super::quota::Quota;
use super::reserve::Refused;
use super::slots::SET_WORDS;
use super::standing::Standing;
use super::subject::{CountedBy, Subject};
use super::sync::AtomicU64;
use super::zone::{words_beside_slots, Zone, LINE_WORDS};
use crate::clock::{MonoNanos, UnixSeconds};

pub(super) const SECOND: u64 = 1_000_000_000;
/// A day after boot; 2026-06-15T12:00:00Z.
pub(super) const START: Now =
    Now { mono: MonoNanos(86_400 * SECOND), wall: UnixSeconds(1_781_524_800) };

/// The moment so many nanoseconds after [`START`].
pub(super) fn after(nanos: u64) -> Now {
    let seconds = i64::try_from(nanos / SECOND).unwrap();
    Now { mono: MonoNanos(START.mono.0 + nanos), wall: UnixSeconds(START.wall.0 + seconds) }
}

pub(super) struct TestLock(Mutex<()>);

impl ClaimLock for TestLock {
    fn with<T>(&self, f: impl FnOnce() -> T) -> T {
        let _held = self.0.lock().unwrap();
        f()
    }
}

pub(super) fn lock() -> TestLock {
    TestLock(Mutex::new(()))
}

/// Memory with room for so many sets of slots, and rubbish in it.
pub(super) fn memory(sets: usize) -> Vec<AtomicU64> {
    let mut words = sets * SET_WORDS;
    while words < words_beside_slots(words).0 + sets * SET_WORDS {
        words += LINE_WORDS;
    }
    (0..words).map(|_| AtomicU64::new(0xa5a5)).collect()
}

/// The key of a value that anybody can mint, under a rule.
pub(super) fn rule_key(zone: &Zone<'_>, rule: &str, value: &[u8]) -> Key {
    let subject = Subject { rule, by: CountedBy::Value(value), client: None };
    zone.limit_key(&subject, 0).unwrap()
}

pub(super) fn failures_key(zone: &Zone<'_>, rule: &str, value: &[u8]) -> Key {
    let subject = Subject { rule, by: CountedBy::Value(value), client: None };
    zone.failures_key(&subject, 0).unwrap()
}

/// When everybody was silent for too long.
pub(super) const LATE: MonoNanos = MonoNanos(u64::MAX);

pub(super) fn requests(zone: &Zone<'_>, key: Key, quota: &str) -> Ask {
    let (dimension, oversize) = (Dimension::Requests, Oversize::Refuse);
    let scale = zone.scale(Quota::parse(quota, None).unwrap());
    Ask::new(key, Take::Bucket { dimension, scale, n: 1, oversize })
}

pub(super) fn tokens(zone: &Zone<'_>, key: Key, quota: &str, n: u32) -> Ask {
    let (dimension, oversize) = (Dimension::Tokens, Oversize::Debt);
    let scale = zone.scale(Quota::parse_tokens(quota, None).unwrap());
    Ask::new(key, Take::Bucket { dimension, scale, n, oversize })
}

pub(super) fn money(key: Key, budget: &str, n: u64) -> Ask {
    Ask::new(key, Take::Budget { budget: Budget::parse(budget).unwrap(), n, guess: 0 })
}

pub(super) fn places(key: Key, limit: u16) -> Ask {
    Ask::new(key, Take::Concurrency { limit })
}

pub(super) fn holder(zone: &Zone<'_>) -> Holder {
    zone.ledger().register(Process { pid: 7, started: 1 }, &lock()).unwrap()
}

/// A reservation without concurrency.
pub(super) fn reserve(
    zone: &Zone<'_>,
    asks: &mut [Ask],
    now: Now,
) -> Result<Vec<Standing>, Refused> {
    let (mut standings, mut seats) = (Vec::new(), Vec::new());
    zone.reserve(asks, now, &lock(), None, &mut standings, &mut seats).map(|()| standings)
}

/// A reservation with concurrency: the seats.
pub(super) fn enter(
    zone: &Zone<'_>,
    holder: &mut Holder,
    asks: &mut [Ask],
    now: Now,
) -> Result<Vec<Seat>, Refused> {
    let (mut standings, mut seats) = (Vec::new(), Vec::new());
    let outcome = zone.reserve(asks, now, &lock(), Some(holder), &mut standings, &mut seats);
    assert!(outcome.is_ok() || seats.is_empty());
    outcome.map(|()| seats)
}

/// What is left of an ask's limit.
pub(super) fn left(zone: &Zone<'_>, ask: &Ask, now: Now) -> u64 {
    zone.look(ask, now).0.remaining
}

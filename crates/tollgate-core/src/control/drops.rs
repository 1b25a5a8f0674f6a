//! Orders to end the requests of a client, in memory that all workers share: each of them looks there now and
//! then.
//!
//! ```text
//! header | 64 orders: number (+1) | client (128-bit keyed hash) | when | requests that have ended for it
//! ```
//!
//! A request notes how many orders there were when it was let in, and an order is about those that noted no more
//! than its number: so none ends that began after it. Orders are given under a mutex. One that makes room for
//! another is old enough for every worker to have seen it.

use std::fmt;
use std::hash::Hasher as _;
use std::sync::atomic::{AtomicU64, Ordering};

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::clock::MonoNanos;
use crate::limits::{ClaimLock, Layout, LayoutError, ProcessLock};

const LAYOUT: Layout = Layout::new(*b"tgcontrl", 1);

// The header, by word.
const WORD_SEED: usize = 2;
const WORD_LOCK: usize = 4;
/// How many orders there were.
const WORD_COUNT: usize = 5;
const HEADER_WORDS: usize = 8;

/// Orders that are kept.
const ORDERS: usize = 64;
const ORDER_WORDS: usize = 5;

/// The words of such a memory.
pub const MEMORY_WORDS: usize = HEADER_WORDS + ORDERS * ORDER_WORDS;

/// By then every worker has looked, in nanoseconds.
const SEEN_BY_ALL: u64 = 2_000_000_000;

/// The orders, over their words.
#[derive(Clone, Copy, Debug)]
pub struct Drops<'m> {
    words: &'m [AtomicU64],
    count: &'m AtomicU64,
    lock: ProcessLock<'m>,
    seed: (u64, u64),
}

/// An order: whose requests are to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// How many there were before.
    pub number: u64,
    client: Client,
}

/// A client, as orders name it: a keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client(u64, u64);

impl Order {
    /// Whether it is about a client's request that noted so many orders ([`Drops::count`]) when it began.
    #[must_use]
    pub fn is_about(&self, client: Client, noted: u64) -> bool {
        noted <= self.number && client == self.client
    }
}

/// There is no room for an order: the others were given just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many orders at once")
    }
}

impl std::error::Error for TooMany {}

impl<'m> Drops<'m> {
    /// Makes a memory without orders of `words`, which are zeros.
    ///
    /// # Errors
    ///
    /// When there are too few.
    pub fn format(words: &'m [AtomicU64], seed: (u64, u64)) -> Result<Self, LayoutError> {
        LAYOUT.begin(words, [(WORD_SEED, seed.0), (WORD_SEED + 1, seed.1)])?;
        Self::attach(words)
    }

    /// The memory that lies in `words`, as it is.
    ///
    /// # Errors
    ///
    /// When it was not made by this version.
    pub fn attach(words: &'m [AtomicU64]) -> Result<Self, LayoutError> {
        let words = words.get(..MEMORY_WORDS).ok_or(LayoutError::TooSmall)?;
        let memory = LAYOUT.open(words)?;
        Ok(Self {
            words,
            count: memory.word(WORD_COUNT)?,
            lock: ProcessLock::new(memory.word(WORD_LOCK)?),
            seed: memory.seed(WORD_SEED)?,
        })
    }

    /// The mutex under which orders are given.
    #[must_use]
    pub fn lock(&self) -> ProcessLock<'m> {
        self.lock
    }

    /// How many orders there were.
    #[inline]
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// A client, as orders name it.
    #[must_use]
    pub fn client(&self, client: &str) -> Client {
        let mut hasher = SipHasher13::new_with_keys(self.seed.0, self.seed.1);
        hasher.write(client.as_bytes());
        let hash = hasher.finish128();
        Client(hash.h1, hash.h2)
    }

    fn entry(&self, number: u64) -> Option<&'m [AtomicU64; ORDER_WORDS]> {
        let at = usize::try_from(number % ORDERS as u64).ok()? * ORDER_WORDS;
        self.words.get(HEADER_WORDS + at..)?.first_chunk()
    }

    /// Has the requests of a client end that have begun. Gives the number of the order.
    ///
    /// # Errors
    ///
    /// When too many were given just now.
    pub fn order(
        &self,
        client: &str,
        now: MonoNanos,
        lock: &impl ClaimLock,
    ) -> Result<u64, TooMany> {
        let Client(low, high) = self.client(client);
        lock.with(|| {
            let count = self.count();
            let [number, first, second, at, ended] = self.entry(count).ok_or(TooMany)?;
            let is_seen = now.0.saturating_sub(at.load(Ordering::Relaxed)) >= SEEN_BY_ALL;
            if count >= ORDERS as u64 && !is_seen {
                return Err(TooMany);
            }
            // Whoever reads it meanwhile sees that it changes.
            number.store(0, Ordering::SeqCst);
            for (word, value) in [(first, low), (second, high), (at, now.0), (ended, 0)] {
                word.store(value, Ordering::SeqCst);
            }
            number.store(count.wrapping_add(1), Ordering::SeqCst);
            self.count.store(count.wrapping_add(1), Ordering::SeqCst);
            Ok(count)
        })
    }

    fn read(&self, order: u64) -> Option<(Order, u64)> {
        let [number, first, second, _, ended] = self.entry(order)?;
        // Of one that was never given, or that changes, the number is 0.
        let after = order.checked_add(1)?;
        let is_it = || number.load(Ordering::SeqCst) == after;
        let is_before = is_it();
        let client = Client(first.load(Ordering::SeqCst), second.load(Ordering::SeqCst));
        let ended = ended.load(Ordering::SeqCst);
        (is_before && is_it()).then_some((Order { number: order, client }, ended))
    }

    /// The orders from this number on.
    pub fn since(&self, seen: u64) -> impl Iterator<Item = Order> + '_ {
        let count = self.count();
        let first = seen.max(count.saturating_sub(ORDERS as u64));
        (first..count).filter_map(|order| Some(self.read(order)?.0))
    }

    /// Requests have ended for an order.
    pub fn note_ended(&self, order: &Order, requests: u64) {
        let of = self.entry(order.number).filter(|_| self.read(order.number).is_some());
        if let Some([.., ended]) = of {
            ended.fetch_add(requests, Ordering::SeqCst);
        }
    }

    /// How many requests have ended for the order of this number; `None`: it is forgotten, or was never given.
    #[must_use]
    pub fn ended(&self, order: u64) -> Option<u64> {
        Some(self.read(order)?.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Process;

    const SECOND: u64 = 1_000_000_000;

    struct Lock<'m>(ProcessLock<'m>);

    impl ClaimLock for Lock<'_> {
        fn with<T>(&self, f: impl FnOnce() -> T) -> T {
            self.0.with(Process { pid: 7, started: 1 }, |_| true, std::thread::yield_now, f)
        }
    }

    fn memory() -> Vec<AtomicU64> {
        (0..MEMORY_WORDS).map(|_| AtomicU64::new(0)).collect()
    }

    fn order(drops: &Drops<'_>, client: &str, seconds: u64) -> Result<u64, TooMany> {
        drops.order(client, MonoNanos(seconds * SECOND), &Lock(drops.lock()))
    }

    #[test]
    fn it_has_a_layout_of_its_own() {
        let words = memory();
        assert_eq!(Drops::attach(&words).unwrap_err(), LayoutError::Foreign);
        assert_eq!(Drops::format(&words[1..], (1, 2)).unwrap_err(), LayoutError::TooSmall);
        let words = memory();
        order(&Drops::format(&words, (1, 2)).unwrap(), "acme", 9).unwrap();
        assert_eq!(Drops::attach(&words).unwrap().count(), 1);
        words[1].store(9, Ordering::SeqCst);
        assert!(matches!(Drops::attach(&words), Err(LayoutError::Version { found: 9, .. })));
    }

    #[test]
    fn an_order_is_about_what_began_before_it() {
        let words = memory();
        let drops = Drops::format(&words, (1, 2)).unwrap();
        let before = drops.count();
        assert_eq!(order(&drops, "acme", 9), Ok(0));
        assert_eq!(order(&drops, "beta", 9), Ok(1));
        let orders: Vec<_> = drops.since(0).collect();
        assert_eq!(orders.iter().map(|order| order.number).collect::<Vec<_>>(), [0, 1]);
        assert!(orders[0].is_about(drops.client("acme"), before));
        assert!(!orders[0].is_about(drops.client("beta"), before));
        assert!(orders[1].is_about(drops.client("beta"), 1));
        assert!(!orders[1].is_about(drops.client("beta"), drops.count()));
        assert_eq!(drops.since(1).count(), 1);
        assert_eq!(drops.since(2).count(), 0);
    }

    #[test]
    fn what_ended_is_added_up() {
        let words = memory();
        let drops = Drops::format(&words, (1, 2)).unwrap();
        order(&drops, "acme", 9).unwrap();
        let orders: Vec<_> = drops.since(0).collect();
        assert_eq!(drops.ended(0), Some(0));
        drops.note_ended(&orders[0], 2);
        drops.note_ended(&orders[0], 3);
        assert_eq!((drops.ended(0), drops.ended(1)), (Some(5), None));
        assert_eq!(drops.ended(u64::MAX), None, "it was never given");
    }

    #[test]
    fn an_order_waits_where_not_all_have_seen_those_before() {
        let words = memory();
        let drops = Drops::format(&words, (1, 2)).unwrap();
        for number in 0..ORDERS as u64 {
            assert_eq!(order(&drops, "acme", 9), Ok(number));
        }
        assert_eq!(order(&drops, "acme", 10), Err(TooMany));
        assert_eq!(drops.count(), ORDERS as u64);
        let first = drops.since(0).next().unwrap();
        assert_eq!(order(&drops, "acme", 11), Ok(ORDERS as u64));
        // Whoever was away for that long has the others, and nothing is added to what is forgotten.
        assert_eq!(drops.since(0).count(), ORDERS);
        drops.note_ended(&first, 1);
        assert_eq!((drops.ended(0), drops.ended(ORDERS as u64)), (None, Some(0)));
    }

    #[test]
    fn each_worker_sees_each_order_once() {
        let words = memory();
        let drops = Drops::format(&words, (1, 2)).unwrap();
        let total = 2_000u64;
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let (mut seen, mut found) = (0, 0);
                    while seen < total {
                        for order in drops.since(seen) {
                            assert!(order.number >= seen);
                            assert!(order.is_about(drops.client("acme"), 0));
                            seen = order.number + 1;
                            found += 1;
                            drops.note_ended(&order, 1);
                        }
                    }
                    assert!(found <= total);
                });
            }
            for number in 0..total {
                // As if each was given a while after the one before.
                assert_eq!(order(&drops, "acme", 9 + 3 * number), Ok(number));
            }
        });
        assert_eq!(drops.ended(total - 1), Some(3));
    }
}

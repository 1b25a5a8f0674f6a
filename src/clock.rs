//! The clocks, in the types of the core.

use std::sync::atomic::{AtomicI64, Ordering};

use nginx::clock::{cached_wall_ms, mono_nanos};
use tollgate_core::clock::{MonoNanos, UnixMillis, UnixSeconds, WallClock};
use tollgate_core::limits::Now;

/// Now on the monotonic clock, read from the kernel.
pub(crate) fn mono_now() -> MonoNanos {
    MonoNanos(mono_nanos())
}

/// Now on the wall clock, as of this turn of the event loop.
pub(crate) fn wall_now() -> UnixMillis {
    UnixMillis(cached_wall_ms())
}

/// The wall clock of this turn of the event loop, which `timer_resolution` makes lag further.
pub(crate) fn wall_clock() -> WallClock {
    WallClock::lagging(wall_now(), || UnixMillis(wall_ms()))
}

/// By how many seconds the clock of the cluster's store is ahead of this machine's.
static AHEAD: AtomicI64 = AtomicI64::new(0);

/// From now on budgets turn with the clock of the store, where that is known: in all nodes at the same time.
pub(crate) fn follow_store(store_us: Option<u64>) {
    let store_ms = store_us.and_then(|us| i64::try_from(us / 1_000).ok());
    if let Some(ahead_ms) = store_ms.map(|ms| ms.saturating_sub(wall_ms())) {
        // To the next second, so that a difference of a moment is none.
        AHEAD.store(ahead_ms.saturating_add(500).div_euclid(1_000), Ordering::Relaxed);
    }
}

/// Now on both.
pub(crate) fn now() -> Now {
    let wall = wall_now().seconds().0.saturating_add(AHEAD.load(Ordering::Relaxed));
    Now { mono: mono_now(), wall: UnixSeconds(wall) }
}

/// The same, read from the kernel: for the thread that speaks with the store.
pub(crate) fn store_now() -> Now {
    let Now { mono, wall } = precise_now();
    Now { mono, wall: UnixSeconds(wall.0.saturating_add(AHEAD.load(Ordering::Relaxed))) }
}

/// Now on both, read from the kernel: for threads in which nginx's cached time isn't kept.
pub(crate) fn precise_now() -> Now {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let secs = since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
    Now { mono: mono_now(), wall: UnixSeconds(secs) }
}

/// Milliseconds since 1970, asked of the kernel: for threads, and where nothing else keeps time.
pub(crate) fn wall_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

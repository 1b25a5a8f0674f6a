//! The clocks.

use ngx::ffi::{clock_gettime, ngx_cached_time, timespec, CLOCK_MONOTONIC};
use tollgate_core::clock::{MonoNanos, UnixMillis, UnixSeconds, WallClock};
use tollgate_core::limits::Now;

/// Now on the monotonic clock, read from the kernel: nginx's own cached time is as old as the turn of
/// the event loop, and whole milliseconds.
pub(crate) fn mono_now() -> MonoNanos {
    let mut time = timespec { tv_sec: 0, tv_nsec: 0 };
    #[allow(clippy::cast_possible_wrap)]
    let clock = CLOCK_MONOTONIC as i32;
    // SAFETY: the kernel fills the structure; a failure (there is none for this clock) leaves zeros,
    // and a bucket whose clock stands still refills nothing.
    unsafe { clock_gettime(clock, &raw mut time) };
    let secs = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    MonoNanos(secs.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// Now on the wall clock, as of this turn of the event loop.
pub(crate) fn wall_now() -> UnixMillis {
    // SAFETY: nginx sets the pointer at start, and each of the 64 slots that it goes through is
    // written only when the clock comes round to it.
    let (sec, msec) = unsafe { ((*ngx_cached_time).sec, (*ngx_cached_time).msec) };
    let msec = i64::try_from(msec).unwrap_or(0);
    UnixMillis(sec.saturating_mul(1000).saturating_add(msec))
}

/// The wall clock of this turn of the event loop, which `timer_resolution` makes lag further.
pub(crate) fn wall_clock() -> WallClock {
    WallClock::lagging(wall_now(), || UnixMillis(wall_ms()))
}

/// Now on both.
pub(crate) fn now() -> Now {
    Now { mono: mono_now(), wall: wall_now().seconds() }
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

//! The clocks.

use ngx::ffi::{clock_gettime, ngx_cached_time, ngx_current_msec, timespec, CLOCK_MONOTONIC};

/// Nanoseconds on the monotonic clock, read from the kernel: nginx's own cached time is as old as the turn of
/// the event loop, and whole milliseconds.
#[must_use]
pub fn mono_nanos() -> u64 {
    let mut time = timespec { tv_sec: 0, tv_nsec: 0 };
    #[allow(clippy::cast_possible_wrap)]
    let clock = CLOCK_MONOTONIC as i32;
    // SAFETY: the kernel fills the structure; a failure (there is none for this clock) leaves zeros,
    // and a bucket whose clock stands still refills nothing.
    unsafe { clock_gettime(clock, &raw mut time) };
    let secs = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    secs.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// Milliseconds on the monotonic clock, as of this turn of the event loop: the same for all processes of the machine.
/// Only for the thread that nginx runs in.
#[must_use]
pub fn cached_mono_ms() -> u64 {
    // SAFETY: nginx writes it between callbacks, in this thread.
    let ms = unsafe { ngx_current_msec };
    u64::try_from(ms).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970 on the wall clock, as of this turn of the event loop. Only for the thread that
/// nginx runs in.
#[must_use]
pub fn cached_wall_ms() -> i64 {
    // SAFETY: nginx sets the pointer at start, and each of the 64 slots that it goes through is
    // written only when the clock comes round to it.
    let (sec, msec) = unsafe { ((*ngx_cached_time).sec, (*ngx_cached_time).msec) };
    let msec = i64::try_from(msec).unwrap_or(0);
    sec.saturating_mul(1000).saturating_add(msec)
}

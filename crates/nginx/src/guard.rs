//! No panic crosses into C: unwinding out of an `extern "C"` function aborts the process, and every
//! request of the worker with it.

use std::panic::{catch_unwind, AssertUnwindSafe};

use std::sync::atomic::{AtomicU32, Ordering};

use crate::{log, tally};

/// Runs `body`; a panic becomes `fallback`, which is what the caller of a callback is told.
#[inline]
pub fn guard<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => value,
        Err(payload) => {
            // The payload is somebody's value, whose drop may panic in turn.
            std::mem::forget(payload);
            fallback
        }
    }
}

/// How many callbacks of requests are running: one may lead to another one. nginx runs on one thread.
static DEPTH: AtomicU32 = AtomicU32::new(0);

/// The same for a callback in which nginx works on a request.
pub(crate) fn inside<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    let depth = DEPTH.load(Ordering::Relaxed);
    DEPTH.store(depth.saturating_add(1), Ordering::Relaxed);
    let result = guard(fallback, body);
    DEPTH.store(depth, Ordering::Relaxed);
    result
}

/// Whether nginx works on a request: to end one now might be to end that one.
pub(crate) fn is_inside() -> bool {
    DEPTH.load(Ordering::Relaxed) > 0
}

/// Replaces the panic hook: only the location is written down. A panic's message may hold anything,
/// secrets included.
pub(crate) fn install_panic_hook(module: &'static str) {
    std::panic::set_hook(Box::new(move |panic| {
        tally::PANICS.add(1);
        let (file, line) = panic.location().map_or(("?", 0), |at| (at.file(), at.line()));
        log::cycle_crit(format_args!(
            "{module}: internal error at {file}:{line}; the request is refused, please report it"
        ));
    }));
}

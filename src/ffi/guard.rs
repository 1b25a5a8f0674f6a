//! No panic crosses into C: unwinding out of an `extern "C"` function aborts the process, and every
//! request of the worker with it.

use std::panic::{catch_unwind, AssertUnwindSafe};

use super::log;

/// Runs `body`; a panic becomes `fallback`, which is what the caller of a callback is told.
pub(crate) fn guard<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => value,
        Err(payload) => {
            // The payload is somebody's value, whose drop may panic in turn.
            std::mem::forget(payload);
            fallback
        }
    }
}

/// Replaces the panic hook: only the location is written down. A panic's message may hold anything,
/// secrets included.
pub(crate) fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let (file, line) = panic.location().map_or(("?", 0), |at| (at.file(), at.line()));
        log::cycle_crit(format_args!(
            "tollgate: internal error at {file}:{line}; the request is refused, please report it"
        ));
    }));
}

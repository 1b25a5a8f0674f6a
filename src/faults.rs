//! Planted panics, in debug builds only: `tollgate_debug_panic CALLBACK` makes that callback panic,
//! so that a test can see what a bug would do.

use std::sync::atomic::{AtomicBool, Ordering};

/// A place where a panic can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Callback {
    Access,
    Precontent,
    HeaderFilter,
    BodyFilter,
    Variable,
    Log,
    Timer,
    Files,
}

impl Callback {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "access" => Self::Access,
            "precontent" => Self::Precontent,
            "header_filter" => Self::HeaderFilter,
            "body_filter" => Self::BodyFilter,
            "variable" => Self::Variable,
            "log" => Self::Log,
            "timer" => Self::Timer,
            "files" => Self::Files,
            _ => return None,
        })
    }
}

/// A timer has no location; once one is planted, the next timer panics.
static TIMER: AtomicBool = AtomicBool::new(false);

/// Nor has a file; the next one that is read panics.
static FILES: AtomicBool = AtomicBool::new(false);

/// Panics if the location says so, with a payload that must show up nowhere.
#[allow(clippy::panic)]
pub(crate) fn at(planted: Option<Callback>, callback: Callback) {
    if planted == Some(Callback::Timer) {
        TIMER.store(true, Ordering::Relaxed);
    }
    if planted == Some(Callback::Files) {
        FILES.store(true, Ordering::Relaxed);
    }
    if planted == Some(callback) {
        panic!("planted-secret-payload");
    }
}

/// Panics once after a request to a location with a planted timer.
#[allow(clippy::panic)]
pub(crate) fn in_timer() {
    if TIMER.swap(false, Ordering::Relaxed) {
        panic!("planted-secret-payload");
    }
}

/// Panics once after a request to a location with a planted file.
#[allow(clippy::panic)]
pub(crate) fn in_files() {
    if FILES.swap(false, Ordering::Relaxed) {
        panic!("planted-secret-payload");
    }
}

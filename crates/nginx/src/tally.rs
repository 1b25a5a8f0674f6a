//! What this process has counted of what happens in here, where nobody asks for it: whoever counts for all
//! processes takes it over from time to time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::OnceLock;

/// Something that is counted, in any thread.
#[derive(Debug)]
pub struct Tally(AtomicU64);

/// Panics.
pub static PANICS: Tally = Tally::new();
/// Lines that are in a log file.
pub static LINES_WRITTEN: Tally = Tally::new();
/// Lines that never will be in one.
pub static LINES_LOST: Tally = Tally::new();

/// Whom it is told at once when lines have been counted, in the thread that nginx runs in.
static LINES_COUNTED: OnceLock<fn(u64, u64)> = OnceLock::new();

/// Has this called with the lines that got into a log file, and those that never will, in place of counting them
/// here: before a process is killed is the only time to take them over. Once for all.
pub fn when_lines_counted(tell: fn(u64, u64)) {
    let _ = LINES_COUNTED.set(tell);
}

/// So many lines have got into a log file, and so many never will.
#[inline]
pub(crate) fn count_lines(written: u64, lost: u64) {
    if (written, lost) == (0, 0) {
        return;
    }
    match LINES_COUNTED.get() {
        Some(tell) => tell(written, lost),
        None => {
            LINES_WRITTEN.add(written);
            LINES_LOST.add(lost);
        }
    }
}

impl Tally {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[inline]
    pub(crate) fn add(&self, count: u64) {
        if count > 0 {
            self.0.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// What was counted since the last call: also by the process that this one is a copy of.
    #[inline]
    pub fn take(&self) -> u64 {
        match self.0.load(Ordering::Relaxed) {
            // Nearly always.
            0 => 0,
            _ => self.0.swap(0, Ordering::Relaxed),
        }
    }
}

//! Words that are changed while an entry is given away.

use std::sync::atomic::{AtomicU64, Ordering};

/// Stores a value; whoever finds it finds all that was stored before.
#[inline]
pub(super) fn put(word: &AtomicU64, value: u64) {
    #[cfg(test)]
    tests::die();
    word.store(value, Ordering::Release);
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;
    use std::panic::{catch_unwind, AssertUnwindSafe};

    thread_local! {
        /// How many words this thread may still store.
        static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    }

    pub(super) fn die() {
        if let Some(left) = LEFT.get() {
            LEFT.set(Some(
                left.checked_sub(1).unwrap_or_else(|| std::panic::resume_unwind(Box::new(()))),
            ));
        }
    }

    /// Runs `f`, which stops before it stores another word than so many. Whether it came to its end.
    pub(in super::super) fn dies_after(stores: u32, f: impl FnOnce()) -> bool {
        LEFT.set(Some(stores));
        let outcome = catch_unwind(AssertUnwindSafe(f));
        LEFT.set(None);
        outcome.is_ok()
    }
}

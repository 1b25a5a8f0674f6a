//! The atomics of a model checker, behind a counter that can end the process.

/// Makes the atomics, the mutex and the death of the model checker `$checker`.
macro_rules! mortal_atomics {
    ($checker:ident) => {
        use std::cell::Cell;
        use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
        use std::sync::PoisonError;

        pub use $checker::sync::atomic::{fence, Ordering};

        use super::limits::ClaimLock;

        $checker::thread_local! {
            /// Atomic operations that this process has left.
            static STEPS: Cell<Option<u32>> = Cell::new(None);
        }

        /// What unwinds a process that is killed.
        struct Killed;

        /// Runs `process`, and kills it before its atomic operation number `steps` (from 0); `None`
        /// if it came to that.
        pub fn mortal<T>(steps: u32, process: impl FnOnce() -> T) -> Option<T> {
            STEPS.with(|left| left.set(Some(steps)));
            let outcome = catch_unwind(AssertUnwindSafe(process));
            STEPS.with(|left| left.set(None));
            match outcome {
                Ok(done) => Some(done),
                Err(cause) if cause.is::<Killed>() => None,
                Err(cause) => resume_unwind(cause),
            }
        }

        fn step() {
            let is_over = STEPS.with(|left| {
                let steps = left.get();
                left.set(steps.and_then(|steps| steps.checked_sub(1)));
                steps == Some(0)
            });
            if is_over {
                resume_unwind(Box::new(Killed));
            }
        }

        /// The mutex of the zone, which is freed when its holder is killed.
        #[derive(Debug)]
        pub struct Mutex($checker::sync::Mutex<()>);

        impl Default for Mutex {
            fn default() -> Self {
                Self($checker::sync::Mutex::new(()))
            }
        }

        impl ClaimLock for Mutex {
            fn with<T>(&self, f: impl FnOnce() -> T) -> T {
                step();
                let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                // Released outside of the unwinding, which would poison it.
                let outcome = catch_unwind(AssertUnwindSafe(f));
                drop(held);
                outcome.unwrap_or_else(|cause| resume_unwind(cause))
            }
        }

        /// An atomic word of the checker.
        #[derive(Debug)]
        pub struct AtomicU64($checker::sync::atomic::AtomicU64);

        impl AtomicU64 {
            /// As in std, like all that follow.
            pub fn new(value: u64) -> Self {
                Self($checker::sync::atomic::AtomicU64::new(value))
            }

            /// See [`AtomicU64::new`].
            pub fn load(&self, order: Ordering) -> u64 {
                step();
                self.0.load(order)
            }

            /// See [`AtomicU64::new`].
            pub fn store(&self, value: u64, order: Ordering) {
                step();
                self.0.store(value, order);
            }

            /// See [`AtomicU64::new`].
            pub fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
                step();
                self.0.fetch_add(value, order)
            }

            /// See [`AtomicU64::new`].
            ///
            /// # Errors
            ///
            /// The other value that was found.
            pub fn compare_exchange(
                &self,
                current: u64,
                new: u64,
                success: Ordering,
                failure: Ordering,
            ) -> Result<u64, u64> {
                step();
                self.0.compare_exchange(current, new, success, failure)
            }

            /// See [`AtomicU64::new`].
            ///
            /// # Errors
            ///
            /// The value that was found.
            pub fn compare_exchange_weak(
                &self,
                current: u64,
                new: u64,
                success: Ordering,
                failure: Ordering,
            ) -> Result<u64, u64> {
                step();
                self.0.compare_exchange_weak(current, new, success, failure)
            }
        }
    };
}

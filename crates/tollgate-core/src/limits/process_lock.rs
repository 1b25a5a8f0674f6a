//! A mutex between processes, in one word of memory that they share.
//!
//! The word says who holds it. Whoever waits for long asks whether that process is alive, and takes the
//! mutex over from a dead one: what it guards must be such that whoever comes next can go on (as all
//! that [`ClaimLock`](super::ClaimLock) guards is). No process has to be told of a death, and the
//! processes need have no common parent.

use super::process::Process;
use super::sync::{AtomicU64, Ordering};

/// A mutex over a word; 0: nobody has it. For one thread of each process, which doesn't take it twice: so
/// whoever finds that it has it already was given the number of a dead one.
#[derive(Clone, Copy, Debug)]
pub struct ProcessLock<'z>(&'z AtomicU64);

/// Tries without a pause, then tries that let others run, before the kernel is asked about the holder.
const SPINS: u32 = 64;
const YIELDS: u32 = 256;

impl<'z> ProcessLock<'z> {
    /// The mutex in this word.
    #[must_use]
    pub fn new(word: &'z AtomicU64) -> Self {
        Self(word)
    }

    /// Runs `f` with the mutex held. `is_alive` is asked about a holder that takes its time; `pause`
    /// waits for a moment.
    pub fn with<T>(
        &self,
        me: Process,
        is_alive: impl Fn(Process) -> bool,
        pause: impl Fn(),
        f: impl FnOnce() -> T,
    ) -> T {
        struct Unlock<'z>(&'z AtomicU64, u64);
        impl Drop for Unlock<'_> {
            fn drop(&mut self) {
                let Self(word, mine) = *self;
                let _ = word.compare_exchange(mine, 0, Ordering::AcqRel, Ordering::Acquire);
            }
        }
        let mine = me.word();
        let mut tries = 0;
        while let Err(holder) = self.swap(0, mine) {
            tries += 1;
            if tries < SPINS {
                std::hint::spin_loop();
            } else if tries < SPINS + YIELDS {
                std::thread::yield_now();
            } else {
                tries = SPINS;
                let is_gone =
                    holder == mine || Process::of(holder).is_none_or(|process| !is_alive(process));
                if is_gone && self.swap(holder, mine).is_ok() {
                    break;
                }
                pause();
            }
        }
        let _unlock = Unlock(self.0, mine);
        f()
    }

    fn swap(&self, from: u64, to: u64) -> Result<u64, u64> {
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    fn process(pid: u32) -> Process {
        Process { pid, started: 1 }
    }

    #[test]
    fn one_at_a_time() {
        let word = AtomicU64::new(0);
        let (inside, total) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for pid in 1..=4 {
                let (word, inside, total) = (&word, &inside, &total);
                scope.spawn(move || {
                    for _ in 0..2_000 {
                        ProcessLock::new(word).with(
                            process(pid),
                            |_| true,
                            std::thread::yield_now,
                            || {
                                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                                inside.fetch_sub(1, Ordering::SeqCst);
                                total.fetch_add(1, Ordering::SeqCst);
                            },
                        );
                    }
                });
            }
        });
        assert_eq!((word.into_inner(), total.into_inner()), (0, 8_000));
    }

    #[test]
    fn it_is_taken_over_from_the_dead_alone() {
        let word = AtomicU64::new(process(9).word());
        let lock = ProcessLock::new(&word);
        assert_eq!(lock.with(process(1), |holder| holder.pid != 9, || {}, || 5), 5);
        assert_eq!(word.load(Ordering::SeqCst), 0);

        // One that lives is waited for.
        word.store(process(9).word(), Ordering::SeqCst);
        let pauses = AtomicUsize::new(0);
        let pause = || {
            if pauses.fetch_add(1, Ordering::SeqCst) == 3 {
                word.store(0, Ordering::SeqCst);
            }
        };
        lock.with(process(1), |_| true, pause, || ());
        assert_eq!(pauses.into_inner(), 4);
    }

    /// Where it isn't known when processes were started, a new one may look like a dead one.
    #[test]
    fn it_is_taken_over_from_a_dead_process_of_the_same_number() {
        let me = Process { pid: 7, started: 0 };
        let word = AtomicU64::new(me.word());
        let lock = ProcessLock::new(&word);
        assert_eq!(lock.with(me, |_| true, || panic!("it waits"), || 5), 5);
        assert_eq!(word.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_panic_lets_go_of_it() {
        let word = AtomicU64::new(0);
        let panicked = std::panic::catch_unwind(|| {
            let lock = ProcessLock::new(&word);
            lock.with(process(1), |_| true, || {}, || panic!("planted"));
        });
        assert!(panicked.is_err());
        assert_eq!(word.load(Ordering::SeqCst), 0);
    }
}

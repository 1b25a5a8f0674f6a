//! The memory, its readers and its maker, for the rest of the program.

use std::io;
use std::sync::Arc;

use super::linux::Linux;
use super::memory::Mapped;
use super::protocol::{Claim, Kernel as _, Protocol, Stamp};

/// The memory of the blocks, and which is in force.
#[derive(Debug)]
pub struct SharedBlock(Protocol<Linux>);

/// A block in force, mapped: it stays as it is for as long as it is kept. In a process that was forked
/// since, it is empty.
#[derive(Debug)]
pub struct Mapping {
    /// Gone only while the value is taken down.
    view: Option<Mapped>,
    stamp: Stamp,
    generation: u64,
    of: Arc<SharedBlock>,
}

/// The right to make a block. In a process that was forked since, it is of no use.
#[derive(Debug)]
pub struct Maker<'b> {
    claim: Claim,
    of: &'b SharedBlock,
}

impl SharedBlock {
    /// Memory without a block, shared with the processes that this one forks.
    ///
    /// # Errors
    ///
    /// The system gives none.
    pub fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self(Protocol::new(Linux::new()?))))
    }

    /// The block in force; `None`: there is none.
    #[must_use]
    pub fn current(&self) -> Option<Stamp> {
        self.0.current()
    }

    /// What the block in force was made of, or what was last found to be of no use: a number that is
    /// the callers', the same for all processes.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.0.seen()
    }

    /// Whether it is time that somebody looks again, so many milliseconds after the look before: then it
    /// is the caller who does, and nobody else. `now_ms` is on the monotonic clock.
    #[must_use]
    pub fn is_turn(&self, now_ms: u64, interval_ms: u64) -> bool {
        self.0.is_turn(now_ms, interval_ms)
    }

    /// When what was looked at is to be tried again, in milliseconds on the monotonic clock; 0: it needn't
    /// be.
    #[must_use]
    pub fn retry_at_ms(&self) -> u64 {
        self.0.retry_at_ms()
    }

    /// Whether there is memory of blocks that are not in force any more.
    #[must_use]
    pub fn is_untidy(&self) -> bool {
        self.0.is_untidy()
    }

    /// How much memory the blocks use, in bytes.
    ///
    /// # Errors
    ///
    /// The system doesn't tell.
    pub fn memory_used(&self) -> io::Result<u64> {
        self.0.kernel().used()
    }

    /// Maps the block in force.
    ///
    /// # Errors
    ///
    /// There is none (`NotFound`); or the system has no room for it.
    pub fn map(self: &Arc<Self>) -> io::Result<Mapping> {
        let reading = self.0.read()?;
        Ok(Mapping {
            view: Some(reading.view),
            stamp: reading.stamp,
            generation: reading.generation,
            of: Arc::clone(self),
        })
    }

    /// The right to make a block; `None` while another process or another thread has it.
    #[must_use]
    pub fn make(&self) -> Option<Maker<'_>> {
        self.0.claim().map(|claim| Maker { claim, of: self })
    }
}

impl Maker<'_> {
    /// Remembers what was looked at, whatever came of it.
    pub fn set_seen(&self, seen: u64) {
        self.of.0.set_seen(&self.claim, seen);
    }

    /// Remembers when to try again, whoever does; 0: never.
    pub fn set_retry_at_ms(&self, at_ms: u64) {
        self.of.0.set_retry_at_ms(&self.claim, at_ms);
    }

    /// A number that is the callers', the same for all processes.
    #[must_use]
    pub fn told(&self) -> u64 {
        self.of.0.told()
    }

    /// Remembers it.
    pub fn set_told(&self, told: u64) {
        self.of.0.set_told(&self.claim, told);
    }

    /// Puts `block` in force, in the place of the one before.
    ///
    /// # Errors
    ///
    /// There is no memory for it (`FileTooLarge`: under the limit on the size of files), or no place.
    /// The block before stays in force.
    pub fn publish(&self, block: &[u8]) -> io::Result<()> {
        self.of.0.publish(&self.claim, block)
    }

    /// Gives the memory of blocks back that nobody reads any more.
    pub fn clean(&self) {
        self.of.0.clean(&self.claim);
    }
}

impl Drop for Maker<'_> {
    fn drop(&mut self) {
        self.of.0.give_up(&self.claim);
    }
}

impl Mapping {
    /// Which block it is.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        match &self.view {
            // SAFETY: mapped, of that length, for as long as the value is kept. Nobody writes to it: this
            // process has the lock of the place, and takes it back after the view is gone. (One that was
            // forked since has no lock.)
            Some(view) if self.generation == self.of.0.kernel().generation() => unsafe {
                std::slice::from_raw_parts(view.start().as_ptr(), view.len())
            },
            _ => &[],
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        drop(self.view.take());
        self.of.0.release(self.stamp, self.generation);
    }
}

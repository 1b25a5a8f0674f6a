//! Forks, as a process sees them that came of one.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::OnceLock;

/// The forks between this process and the first one that counted them.
static FORKS: AtomicU64 = AtomicU64::new(0);

extern "C" fn count_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// From now on, forks are counted.
pub(crate) fn count() -> io::Result<()> {
    static RESULT: OnceLock<i32> = OnceLock::new();
    // SAFETY: the function runs in the new process, where it may do no more than what a signal's handler
    // may: it adds to an atomic. It is forgotten when the library that has it is unloaded.
    let result =
        RESULT.get_or_init(|| unsafe { libc::pthread_atfork(None, None, Some(count_fork)) });
    match *result {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// A number that a new process has larger than the one that forked it. Process numbers won't do: they
/// are used again.
pub(crate) fn generation() -> u64 {
    FORKS.load(Ordering::Relaxed)
}

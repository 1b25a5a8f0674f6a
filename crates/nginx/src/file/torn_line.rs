//! A line of which a full disk took a part only: until the rest is there, no other process may write behind it.
//!
//! Whose line that is, has a lock on a byte of the file that no log reaches. The kernel frees it when the process
//! ends: then there is no rest to wait for. Processes of before a reload or an upgrade see it as well.

use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd as _;

use super::lock;

/// The last byte that fcntl(2) can lock.
const AT: u64 = i64::MAX as u64 - 1;

/// Milliseconds until it is tried again to write what could not be written.
pub(super) const RETRY_MS: u64 = 1000;
/// The same where others wait for the rest of a line, and for those others.
pub(super) const RETRY_TORN_MS: u64 = 100;

/// Whether a part of a line of this process is in the file.
#[derive(Debug, Default)]
pub(super) struct TornLine {
    is_ours: bool,
}

impl TornLine {
    /// Whether another process has a part of a line there. Where the file system has no locks, nobody knows.
    pub(super) fn is_of_another(&self, fd: i32) -> bool {
        !self.is_ours && fd >= 0 && lock::is_taken(&borrow(fd), AT, 1).unwrap_or(false)
    }

    /// Takes note of how the last write has left the file.
    pub(super) fn set(&mut self, fd: i32, is_torn: bool) {
        if is_torn && !self.is_ours && fd >= 0 {
            self.is_ours = lock::take(&borrow(fd), AT, 1).unwrap_or(false);
        } else if self.is_ours && !is_torn {
            self.is_ours = lock::release(&borrow(fd), AT, 1).is_err();
        }
    }

    /// When to try again what could not be written.
    pub(super) fn retry_ms(&self) -> u64 {
        if self.is_ours {
            RETRY_TORN_MS
        } else {
            RETRY_MS
        }
    }

    /// Takes note that it is another file: nginx has closed the old one, and the lock is gone with it.
    pub(super) fn forget(&mut self) {
        self.is_ours = false;
    }
}

/// nginx's descriptor, which is open, and is not closed by this.
fn borrow(fd: i32) -> ManuallyDrop<File> {
    // SAFETY: nobody closes it while a log is written.
    ManuallyDrop::new(unsafe { File::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd as _;

    #[test]
    fn a_process_does_not_wait_for_itself() {
        let path = std::env::temp_dir().join(format!("tollgate-torn-line-{}", std::process::id()));
        let file = File::create(&path).expect("a file");
        let mut torn = TornLine::default();
        torn.set(file.as_raw_fd(), true);
        assert!(torn.is_ours);
        assert!(!torn.is_of_another(file.as_raw_fd()));
        torn.set(file.as_raw_fd(), false);
        assert!(!torn.is_ours);
        drop(file);
        std::fs::remove_file(path).expect("its end");
    }
}

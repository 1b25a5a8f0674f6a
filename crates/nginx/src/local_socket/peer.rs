//! Who is at the other end: as the kernel says it, which nobody can forge.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, Ordering};

use ngx::ffi::{geteuid, getsockopt, socklen_t, ucred, SOL_SOCKET, SO_PEERCRED};

/// The process at the other end of a connection, when it connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its number; 0: it is in another namespace.
    pub pid: u32,
    /// Its user.
    pub user: u32,
}

/// The user of the master, who reads the configuration: workers are mostly somebody else.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// In the process that reads the configuration.
pub(super) fn note_owner() {
    // SAFETY: it can't fail.
    OWNER.store(unsafe { geteuid() }, Ordering::Relaxed);
}

impl Peer {
    /// Of this connection; `None`: the kernel doesn't say.
    pub(super) fn of(descriptor: RawFd) -> Option<Self> {
        // SAFETY: zero is a value of it; the kernel writes no more than it is told to.
        unsafe {
            let mut found: ucred = std::mem::zeroed();
            let mut length = socklen_t::try_from(size_of::<ucred>()).ok()?;
            let place = (&raw mut found).cast();
            let (level, option) = (SOL_SOCKET.cast_signed(), SO_PEERCRED.cast_signed());
            let done = getsockopt(descriptor, level, option, place, &raw mut length) == 0;
            done.then(|| Self { pid: u32::try_from(found.pid).unwrap_or(0), user: found.uid })
        }
    }

    /// Whether it is heard: root, and the user of the master.
    pub(super) fn is_heard(self) -> bool {
        self.user == 0 || self.user == OWNER.load(Ordering::Relaxed)
    }
}

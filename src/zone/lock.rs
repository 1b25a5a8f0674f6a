//! The zone's mutex, and the processes that take part in it.

use std::time::Duration;

use nginx::process;
use tollgate_core::limits::{ClaimLock, Process, ProcessLock, Zone};

/// Between two looks at a holder that takes its time.
const PAUSE: Duration = Duration::from_micros(500);

/// The zone's mutex. Whoever waits for one that died goes on in its place.
#[derive(Clone, Debug)]
pub(crate) struct ZoneLock<'z>(ProcessLock<'z>);

impl<'z> ZoneLock<'z> {
    /// That of this zone.
    pub(crate) fn of(zone: &Zone<'z>) -> Self {
        Self(zone.lock())
    }

    /// That of other memory which processes share.
    pub(crate) fn new(lock: ProcessLock<'z>) -> Self {
        Self(lock)
    }
}

impl ClaimLock for ZoneLock<'_> {
    fn with<T>(&self, f: impl FnOnce() -> T) -> T {
        self.0.with(me(), is_alive, || std::thread::sleep(PAUSE), f)
    }
}

/// This process, as others know it.
pub(crate) fn me() -> Process {
    let process::Process { pid, started } = process::me();
    Process { pid, started }
}

/// Whether a process lives.
pub(crate) fn is_alive(other: Process) -> bool {
    process::is_alive(process::Process { pid: other.pid, started: other.started })
}

//! The zone's mutex, as those see it who need it held.

/// The zone's mutex, which serialises the giving away of slots. A holder that dies must not leave it
/// locked ([`ProcessLock`](super::ProcessLock) is such a one).
pub trait ClaimLock {
    /// Runs `f` with the mutex held.
    fn with<T>(&self, f: impl FnOnce() -> T) -> T;
}

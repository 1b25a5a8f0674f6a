//! When the lines of a log file are written.

/// When lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffering {
    /// Bytes that may wait.
    pub size: usize,
    /// Milliseconds that a line may wait; 0: until the end of this turn of the event loop.
    pub flush_ms: u64,
}

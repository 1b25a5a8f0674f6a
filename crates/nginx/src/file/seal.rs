//! A log file whose lines are sealed: each batch of them ends with a line that says what they are.

use std::fmt;
use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd as _;
use std::os::unix::fs::MetadataExt as _;

use ngx::ffi::O_NOFOLLOW;

/// Opens a file, and not what a symbolic link of its name leads to: `open(2)`.
pub const NO_FOLLOW: i32 = O_NOFOLLOW as i32;

/// What seals the lines of a log file, in one process.
pub trait Seal: fmt::Debug {
    /// Completes the line that begins at `start` and ends `lines`, with its line feed. Whether a seal is wanted
    /// now, as there are so many lines since the last one.
    fn add(&mut self, lines: &mut Vec<u8>, start: usize) -> bool;

    /// So many lines were lost.
    fn lose(&mut self, lines: u64);

    /// What comes next is written to the file of this device and number.
    fn opened(&mut self, device: u64, number: u64);

    /// Appends the line that seals what was added since the last one.
    fn close(&mut self, lines: &mut Vec<u8>, closing: Closing);

    /// Whether such a line is wanted though nothing was added.
    fn owes_seal(&self) -> bool;

    /// What waits was written in part: others may write between that and the rest.
    fn torn(&mut self);

    /// So many seals, the oldest that waited, are written.
    fn written(&mut self, seals: usize);
}

/// What lines are sealed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// They are written in pieces, between which others may write.
    pub in_pieces: bool,
    /// The process ends.
    pub is_end: bool,
}

/// A line that was written in part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Torn {
    /// The length of the file then.
    pub(super) at: u64,
    /// All of it was written but its line feed.
    pub(super) lacks_line_feed: bool,
}

/// What stands behind a descriptor of nginx's.
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) number: u64,
    /// In bytes.
    pub(super) len: u64,
}

/// `None`: the kernel doesn't tell.
pub(super) fn identity(fd: i32) -> Option<Identity> {
    if fd < 0 {
        return None;
    }
    // SAFETY: nginx's descriptor, which is open, and is not closed by this.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
    let found = file.metadata().ok()?;
    Some(Identity { device: found.dev(), number: found.ino(), len: found.len() })
}

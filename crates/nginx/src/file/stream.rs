//! Pipes and terminals, which take no more than somebody reads.

use std::fs::{File, OpenOptions};
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};

use ngx::ffi::{fcntl, F_GETFL, F_SETFL, O_NONBLOCK};

/// Opens a named pipe for both directions, which waits for nobody; `None`: it is something else.
pub(super) fn hold_open(path: &str) -> Option<File> {
    // The pipe behind `/dev/stdout` has no name, and others who write to it.
    let path = std::fs::canonicalize(path).ok()?;
    let is_pipe = std::fs::metadata(&path).is_ok_and(|found| found.file_type().is_fifo());
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(i32::try_from(O_NONBLOCK).unwrap_or(0));
    // nginx says it, if it can't be opened.
    is_pipe.then(|| options.open(path).ok()).flatten()
}

/// Has writes to a pipe or a terminal fail that would have to wait for a reader; `false`: it is something
/// else, or can't be done. nginx has opened it for itself (also where it is called `/dev/stdout`), so
/// that nobody else notices.
pub(super) fn never_wait(fd: i32) -> bool {
    // SAFETY: nginx's descriptor, which is open, and is not closed by this.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
    let is_stream = file.metadata().is_ok_and(|found| {
        let kind = found.file_type();
        kind.is_fifo() || kind.is_char_device()
    });
    let [get, set, flag] =
        [F_GETFL, F_SETFL, O_NONBLOCK].map(|number| i32::try_from(number).unwrap_or(-1));
    // SAFETY: reads and writes flags of the descriptor.
    is_stream
        && unsafe {
            let flags = fcntl(fd, get);
            flags >= 0 && fcntl(fd, set, flags | flag) == 0
        }
}

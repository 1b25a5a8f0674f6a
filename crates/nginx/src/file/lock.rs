//! Locks of a process on bytes of a file: the kernel frees them when the process ends, however it ends, or when it
//! closes any descriptor of that file. They are not inherited (fcntl(2), "Advisory record locking").

use std::ffi::{c_int, c_short};
use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::AsRawFd as _;

use ngx::ffi::{fcntl, flock, F_GETLK, F_SETLK, F_UNLCK, F_WRLCK};

/// Takes the lock, unless another process has it: whether it is ours now.
///
/// # Errors
///
/// Those of fcntl(2), such as of a file system without locks.
pub fn take(file: &File, at: u64, len: u64) -> io::Result<bool> {
    match call(file, F_SETLK, &mut exclusive(at, len)?) {
        Ok(()) => Ok(true),
        // fcntl(2) has both for that.
        Err(error) if matches!(error.raw_os_error(), Some(EAGAIN | EACCES)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Gives the lock back.
///
/// # Errors
///
/// As for [`take`].
pub fn release(file: &File, at: u64, len: u64) -> io::Result<()> {
    let mut lock = exclusive(at, len)?;
    lock.l_type = c_short::try_from(F_UNLCK).unwrap_or(2);
    call(file, F_SETLK, &mut lock)
}

/// Whether another process has the lock.
///
/// # Errors
///
/// As for [`take`].
pub fn is_taken(file: &File, at: u64, len: u64) -> io::Result<bool> {
    let mut lock = exclusive(at, len)?;
    call(file, F_GETLK, &mut lock)?;
    Ok(c_int::from(lock.l_type) != c_int::try_from(F_UNLCK).unwrap_or(c_int::MAX))
}

/// The same for all of Linux.
const EAGAIN: i32 = 11;
const EACCES: i32 = 13;

fn exclusive(at: u64, len: u64) -> io::Result<flock> {
    let number = |value: u64| i64::try_from(value).map_err(|_| io::ErrorKind::InvalidInput);
    // SAFETY: all of it are numbers. A position from the start of the file (SEEK_SET) is 0 as well.
    let mut lock: flock = unsafe { mem::zeroed() };
    lock.l_type = c_short::try_from(F_WRLCK).unwrap_or(1);
    (lock.l_start, lock.l_len) = (number(at)?, number(len)?);
    Ok(lock)
}

fn call(file: &File, command: u32, lock: &mut flock) -> io::Result<()> {
    let command = c_int::try_from(command).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the descriptor is open, and the structure is that of both commands.
    match unsafe { fcntl(file.as_raw_fd(), command, std::ptr::from_mut(lock)) } {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

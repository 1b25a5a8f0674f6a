//! A file without a name, in memory; and parts of it, mapped.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::ptr::{null_mut, NonNull};

use libc::{c_int, c_uint};

/// Zeros, `len` bytes of them, which take memory only where something is written. The name is for whoever
/// looks at the process. What it starts has no such file.
pub(crate) fn make(name: &CStr, len: u64) -> io::Result<File> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // Memory that nobody can run: where that isn't said, the kernel may refuse it (`vm.memfd_noexec`).
    let file = match create(name, flags | libc::MFD_NOEXEC_SEAL) {
        // Linux before 6.3 doesn't know of it, and has no need to.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => create(name, flags)?,
        file => file?,
    };
    file.set_len(len)?;
    // To read where a file has ended is a signal. Where the kernel can't see to it that the file stays as
    // long, there is no more than that nobody else has it.
    // SAFETY: takes two numbers.
    let _ = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_SHRINK) };
    Ok(file)
}

fn create(name: &CStr, flags: c_uint) -> io::Result<File> {
    // SAFETY: the name ends in a NUL; the descriptor is new, and nobody else's.
    unsafe {
        match libc::memfd_create(name.as_ptr(), flags) {
            descriptor @ 0.. => Ok(File::from_raw_fd(descriptor)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// What may be done with what is mapped.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rights {
    Read,
    ReadWrite,
}

/// A part of a file, mapped as long as the value lives, and shared with whoever maps it as well.
#[derive(Debug)]
pub(crate) struct Mapped {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: nothing but an address. Whoever uses it says why that is sound.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// Maps `len` bytes from `start`, which is where a page begins. All of what is to be read is there at
    /// once.
    pub(crate) fn new(file: &File, start: u64, len: usize, rights: Rights) -> io::Result<Self> {
        let (protection, flags): (c_int, c_int) = match rights {
            Rights::Read => (libc::PROT_READ, libc::MAP_SHARED | libc::MAP_POPULATE),
            Rights::ReadWrite => (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED),
        };
        if len == 0 {
            return Ok(Self { start: NonNull::dangling(), len });
        }
        let start = i64::try_from(start).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: a new mapping, where the kernel has room.
        let address =
            unsafe { libc::mmap(null_mut(), len, protection, flags, file.as_raw_fd(), start) };
        match NonNull::new(address.cast::<u8>()).filter(|_| address != libc::MAP_FAILED) {
            Some(start) => Ok(Self { start, len }),
            None => Err(io::Error::last_os_error()),
        }
    }

    /// Where it begins.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: mapped in `new`, of that length; nobody uses the address after the value.
            unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
        }
    }
}

/// The largest size of a file, in bytes; `None`: there is no limit.
pub(crate) fn size_limit() -> Option<u64> {
    let mut found = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is written to, and no longer than the call lasts.
    let is_known = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut found) } == 0;
    Some(found.rlim_cur).filter(|limit| is_known && *limit != libc::RLIM_INFINITY)
}

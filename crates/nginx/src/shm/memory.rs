//! Memory that processes share: files without a place (`memfd_create(2)`), and their mappings.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::ptr::{null_mut, NonNull};

use ngx::ffi::{memfd_create, mmap, MAP_ANONYMOUS, MAP_SHARED, PROT_READ, PROT_WRITE};

/// Memory that nobody can run: where that isn't said, the kernel may refuse it (`vm.memfd_noexec`).
const MFD_NOEXEC_SEAL: u32 = 8;

/// Zeros, `len` bytes of them, which take memory only where something is written. The name is for whoever
/// looks at the process.
pub(crate) fn make(name: &CStr, flags: u32, len: u64) -> io::Result<File> {
    let file = match create(name, flags | MFD_NOEXEC_SEAL) {
        // Linux before 6.3 doesn't know of it, and has no need to.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => create(name, flags)?,
        file => file?,
    };
    file.set_len(len)?;
    Ok(file)
}

fn create(name: &CStr, flags: u32) -> io::Result<File> {
    // SAFETY: the name ends in a NUL; the descriptor is new, and nobody else's.
    unsafe {
        match memfd_create(name.as_ptr(), flags) {
            descriptor @ 0.. => Ok(File::from_raw_fd(descriptor)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Maps a part of a file.
///
/// # Safety
///
/// Nobody changes what is mapped while it is read, unless it is made of atomics.
pub(crate) unsafe fn map(
    file: &File,
    start: u64,
    len: usize,
    protection: u32,
    flags: u32,
) -> io::Result<NonNull<u8>> {
    // SAFETY: by the contract of this function.
    unsafe { map_at(file.as_raw_fd(), start, len, protection, flags) }
}

/// Maps zeros, to be shared with the processes that this one makes.
pub(crate) fn map_nothing(len: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: nobody else has it.
    unsafe { map_at(-1, 0, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS) }
}

/// # Safety
///
/// As for [`map`].
unsafe fn map_at(
    descriptor: i32,
    start: u64,
    len: usize,
    protection: u32,
    flags: u32,
) -> io::Result<NonNull<u8>> {
    let too_large = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let start = i64::try_from(start).map_err(too_large)?;
    let protection = i32::try_from(protection).unwrap_or(0);
    let flags = i32::try_from(flags).unwrap_or(0);
    // SAFETY: a new mapping, where the kernel has room.
    let address = unsafe { mmap(null_mut(), len, protection, flags, descriptor, start) };
    // MAP_FAILED is -1.
    match NonNull::new(address.cast::<u8>())
        .filter(|address| address.as_ptr() as usize != usize::MAX)
    {
        Some(address) => Ok(address),
        None => Err(io::Error::last_os_error()),
    }
}

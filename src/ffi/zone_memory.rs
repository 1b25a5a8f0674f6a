//! The memory of a zone, which outlives the master that made it: while the binary is upgraded (USR2), the
//! workers of both see the same limits.
//!
//! nginx's own shared memory can't be found by a master that another one starts. So the zone lies in a file
//! without a place, whose descriptor the new master inherits, as it does those of listening sockets; it
//! knows the memory by its name, which the kernel keeps.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::FromRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::sync::Arc;

use ngx::ffi::{munmap, MAP_SHARED, PROT_READ, PROT_WRITE};

use super::memory::{self, map};

/// What the name of such memory begins with.
const PREFIX: &str = "tollgate-zone:";
/// The kernel keeps 249 bytes of a name.
const MAX_NAME: usize = 200;

/// Memory that is mapped as long as the value lives.
#[derive(Debug)]
pub(crate) struct ZoneMemory {
    /// Kept open for those that inherit it.
    _file: File,
    start: NonNull<AtomicU64>,
    len: usize,
}

// SAFETY: the pointer is that of a mapping which lasts as long as the value, to atomics.
unsafe impl Send for ZoneMemory {}
// SAFETY: as above.
unsafe impl Sync for ZoneMemory {}

impl ZoneMemory {
    /// New memory for the zone of this name, zeros.
    pub(super) fn make(zone: &str, len: usize) -> io::Result<Arc<Self>> {
        let name = CString::new(name_of(zone))?;
        // Without MFD_CLOEXEC: whoever nginx starts is to have it.
        Self::new(memory::make(&name, 0, len as u64)?, len)
    }

    /// That of the nginx which has started this one, if it is as large. Only for a process that has made
    /// none itself. What is of no use is let go of.
    pub(super) fn inherited(zone: &str, len: usize) -> Option<Arc<Self>> {
        let wanted = name_of(zone);
        let mut found = None;
        for entry in std::fs::read_dir("/proc/self/fd").ok()?.flatten().collect::<Vec<_>>() {
            let Some(name) = memory_name(&entry.path()) else { continue };
            let descriptor = entry.file_name().to_str().and_then(|number| number.parse().ok());
            let Some(descriptor) = descriptor else { continue };
            // SAFETY: the descriptor is open, and no code of this process has ever known of it: it was
            // there at its start, and has a name that only we give.
            let file = unsafe { File::from_raw_fd(descriptor) };
            let is_as_large = file.metadata().is_ok_and(|known| known.len() == len as u64);
            if name == wanted && is_as_large {
                found = Self::new(file, len).ok();
            }
        }
        found
    }

    fn new(file: File, len: usize) -> io::Result<Arc<Self>> {
        // SAFETY: all that is in it are atomics.
        let start = unsafe { map(&file, 0, len, PROT_READ | PROT_WRITE, MAP_SHARED)? };
        Ok(Arc::new(Self { _file: file, start: start.cast(), len }))
    }

    /// The memory.
    ///
    /// # Safety
    ///
    /// The value is kept for as long as the words are used.
    pub(super) unsafe fn words(&self) -> &'static [AtomicU64] {
        // SAFETY: mapped in `new`, of that length; pages are aligned.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len / size_of::<u64>()) }
    }
}

impl Drop for ZoneMemory {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`, of that length.
        unsafe { munmap(self.start.as_ptr().cast(), self.len) };
    }
}

fn name_of(zone: &str) -> Vec<u8> {
    [PREFIX.as_bytes(), zone.as_bytes()].concat().into_iter().take(MAX_NAME).collect()
}

/// The name of the memory behind a link of `/proc/self/fd`; `None`: it is something else.
fn memory_name(link: &std::path::Path) -> Option<Vec<u8>> {
    let target = std::fs::read_link(link).ok()?;
    let name = OsStr::as_bytes(target.as_os_str()).strip_prefix(b"/memfd:")?;
    let name = name.strip_suffix(b" (deleted)").unwrap_or(name);
    name.starts_with(PREFIX.as_bytes()).then(|| name.to_vec())
}

//! The memory of a zone, which outlives the master that made it: while the binary is upgraded (USR2), the
//! workers of both see the same limits.
//!
//! nginx's own shared memory can't be found by a master that another one starts. So the zone lies in a file
//! without a place, whose descriptor the new master inherits, as it does those of listening sockets; it
//! knows the memory by its name, which the kernel keeps. Workers don't hand it on to what they start. Where
//! there can be no such file, the memory has none, and is not shared with another master.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::sync::Arc;

use ngx::ffi::{fcntl, getppid, munmap, FD_CLOEXEC, F_SETFD, MAP_SHARED, PROT_READ, PROT_WRITE};

use super::memory::{self, map};
use crate::process;

/// The kernel keeps 249 bytes of a name.
const MAX_NAME: usize = 200;

/// The kernel's name of such memory, by which a newer nginx finds it.
#[derive(Debug)]
pub(crate) struct Tag {
    /// What all of the module's begin with.
    prefix: String,
    name: Vec<u8>,
}

impl Tag {
    pub(crate) fn new(kind: &str, zone: &str) -> Self {
        let prefix = format!("{kind}:");
        let name = [prefix.as_bytes(), zone.as_bytes()].concat();
        Self { prefix, name: name.into_iter().take(MAX_NAME).collect() }
    }

    /// The name of the memory behind a link of `/proc/self/fd`; `None`: it is something else.
    fn of_link(&self, link: &std::path::Path) -> Option<Vec<u8>> {
        let target = std::fs::read_link(link).ok()?;
        let name = OsStr::as_bytes(target.as_os_str()).strip_prefix(b"/memfd:")?;
        let name = name.strip_suffix(b" (deleted)").unwrap_or(name);
        name.starts_with(self.prefix.as_bytes()).then(|| name.to_vec())
    }
}

/// Memory that is mapped as long as the value lives.
#[derive(Debug)]
pub(crate) struct ZoneMemory {
    /// Kept open for those that inherit it; `None`: it is not in a file.
    file: Option<File>,
    start: NonNull<AtomicU64>,
    len: usize,
}

// SAFETY: the pointer is that of a mapping which lasts as long as the value, to atomics.
unsafe impl Send for ZoneMemory {}
// SAFETY: as above.
unsafe impl Sync for ZoneMemory {}

impl ZoneMemory {
    /// New memory for the zone of this name, zeros.
    pub(crate) fn make(tag: &Tag, len: usize) -> io::Result<Arc<Self>> {
        let name = CString::new(tag.name.as_slice())?;
        // Without MFD_CLOEXEC: the newer nginx that this one starts is to have it.
        Self::new(memory::make(&name, 0, len as u64)?, len)
    }

    /// The same, but that no other nginx can share it.
    pub(crate) fn make_private(len: usize) -> io::Result<Arc<Self>> {
        let start = memory::map_nothing(len)?;
        Ok(Arc::new(Self { file: None, start: start.cast(), len }))
    }

    /// That of the nginx which has started this one for an upgrade, if it is as large. `is_filed`: what is
    /// in it is in a file as well, which is newer where that nginx didn't use the memory. Only for a process
    /// that has made none itself. What is of no use is let go of.
    pub(crate) fn inherited(tag: &Tag, len: usize, is_filed: bool) -> Option<Arc<Self>> {
        if !process::is_upgrade() {
            return None;
        }
        let mut found = None;
        for entry in std::fs::read_dir("/proc/self/fd").ok()?.flatten().collect::<Vec<_>>() {
            let Some(name) = tag.of_link(&entry.path()) else { continue };
            let descriptor = entry.file_name().to_str().and_then(|number| number.parse().ok());
            let Some(descriptor) = descriptor else { continue };
            // SAFETY: the descriptor is open, and no code of this process has ever known of it: it was
            // there at its start, and has a name that only we give.
            let file = unsafe { File::from_raw_fd(descriptor) };
            let is_as_large = file.metadata().is_ok_and(|known| known.len() == len as u64);
            if name == tag.name && is_as_large && !(is_filed && is_left_over(tag, &file)) {
                found = Self::new(file, len).ok();
            }
        }
        found
    }

    fn new(file: File, len: usize) -> io::Result<Arc<Self>> {
        // SAFETY: all that is in it are atomics.
        let start = unsafe { map(&file, 0, len, PROT_READ | PROT_WRITE, MAP_SHARED)? };
        Ok(Arc::new(Self { file: Some(file), start: start.cast(), len }))
    }

    /// Keeps it from what this process starts, which is no newer nginx: for workers.
    pub(crate) fn keep(&self) {
        let Some(file) = &self.file else { return };
        let command = i32::try_from(F_SETFD).unwrap_or(-1);
        // SAFETY: changes a flag of a descriptor that is ours, in this process only.
        unsafe { fcntl(file.as_raw_fd(), command, FD_CLOEXEC) };
    }

    /// The memory.
    ///
    /// # Safety
    ///
    /// The value is kept for as long as the words are used.
    pub(crate) unsafe fn words(&self) -> &'static [AtomicU64] {
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

/// Whether the nginx that has started this one was itself handed the memory and makes no use of it: it has no
/// such zone, or is of a version that doesn't know of it. What was charged since then isn't in there.
fn is_left_over(tag: &Tag, file: &File) -> bool {
    // SAFETY: it can't fail.
    let parent = unsafe { getppid() };
    let open = std::fs::read_dir(format!("/proc/{parent}/fd")).into_iter().flatten().flatten();
    // Else it is not the parent any more, or can't be looked at: nothing is known.
    let is_known = open.into_iter().any(|entry| tag.of_link(&entry.path()).is_some());
    let maps = std::fs::read_to_string(format!("/proc/{parent}/maps"));
    let (Ok(maps), Ok(found)) = (maps, file.metadata()) else { return false };
    let number = found.ino().to_string();
    // Address, rights, offset, device, number of the file, path: proc(5).
    let is_used = maps.lines().any(|line| {
        line.contains(&tag.prefix) && line.split_ascii_whitespace().nth(4) == Some(number.as_str())
    });
    is_known && !is_used
}

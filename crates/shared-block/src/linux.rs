//! The kernel that we run on: blocks in a file in memory, locks on its first bytes.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use libc::c_int;

use super::fork;
use super::memory::{self, Mapped, Rights};
use super::protocol::{Byte, Control, Held, Kernel, Lock, Word, MAX_PLACES};

/// What is between the beginnings of two places. Memory is used only where something was written.
const PLACE_LEN: u64 = 1 << 36;
/// Mappings begin where a page does, whatever the size of those.
const ALIGNMENT: u64 = 1 << 16;
/// In front of the places: the words of [`Control`], and the bytes that are locked.
const CONTROL_LEN: usize = 4096;

/// The memory, as this process has it.
#[derive(Debug)]
pub(crate) struct Linux {
    file: File,
    /// What is between two places; less than usual where files must not become large.
    place_len: u64,
    control: Mapped,
    held: Mutex<Held>,
}

/// What there may be between two places, under the limit on the size of files: it goes for memory, too.
fn place_len(limit: Option<u64>) -> u64 {
    let room = limit.map_or(PLACE_LEN, |limit| limit / (MAX_PLACES as u64 + 1));
    (room - room % ALIGNMENT).clamp(ALIGNMENT, PLACE_LEN)
}

impl Linux {
    /// Memory without a block.
    pub(crate) fn new() -> io::Result<Self> {
        Self::with_place_len(place_len(memory::size_limit()))
    }

    /// Memory whose blocks have so many bytes at most.
    pub(crate) fn with_place_len(place_len: u64) -> io::Result<Self> {
        fork::count()?;
        let len = place_len.saturating_mul(MAX_PLACES as u64 + 1);
        let file = memory::make(c"tollgate", len)?;
        let control = Mapped::new(&file, 0, CONTROL_LEN, Rights::ReadWrite)?;
        Ok(Self { file, place_len, control, held: Mutex::default() })
    }

    fn start_of(&self, place: usize) -> u64 {
        (place as u64).saturating_add(1).saturating_mul(self.place_len)
    }

    /// How much memory there is in use, in bytes.
    pub(crate) fn used(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.blocks().saturating_mul(512))
    }
}

impl Kernel for Linux {
    const PLACES: usize = MAX_PLACES;
    type Word = AtomicU64;
    type View = Mapped;

    fn word(&self, control: Control) -> &AtomicU64 {
        // SAFETY: the page has 512 such words, which began as zeros, and is mapped as long as the value
        // lives. Nobody uses it but as atomics.
        unsafe { self.control.start().cast::<AtomicU64>().add(control.index()).as_ref() }
    }

    fn lock(&self, byte: Byte, lock: Lock) -> bool {
        let byte = match byte {
            Byte::Place(place) => place.min(MAX_PLACES - 1),
            Byte::Maker => MAX_PLACES,
        };
        let kind: c_int = match lock {
            Lock::Read => libc::F_RDLCK,
            Lock::Write => libc::F_WRLCK,
            Lock::Unlock => libc::F_UNLCK,
        };
        let range = libc::flock {
            l_type: i16::try_from(kind).unwrap_or(i16::MAX),
            l_whence: i16::try_from(libc::SEEK_SET).unwrap_or(0),
            l_start: i64::try_from(byte).unwrap_or(i64::MAX),
            l_len: 1,
            l_pid: 0,
        };
        // SAFETY: the command takes a pointer to such a structure, which it only reads.
        unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_SETLK, &raw const range) == 0 }
    }

    fn write(&self, place: usize, block: &[u8]) -> io::Result<()> {
        if block.len() as u64 > self.place_len {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.file.write_all_at(block, self.start_of(place))
    }

    fn clear(&self, place: usize) {
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        let start = i64::try_from(self.start_of(place)).unwrap_or(i64::MAX);
        let len = i64::try_from(self.place_len).unwrap_or(i64::MAX);
        // SAFETY: takes numbers; changes what is in the file only, where nobody reads.
        unsafe { libc::fallocate(self.file.as_raw_fd(), mode, start, len) };
    }

    fn view(&self, place: usize, len: usize) -> io::Result<Mapped> {
        if place >= MAX_PLACES || len as u64 > self.place_len {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Mapped::new(&self.file, self.start_of(place), len, Rights::Read)
    }

    fn held<T>(&self, f: impl FnOnce(&mut Held) -> T) -> T {
        f(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn generation(&self) -> u64 {
        fork::generation()
    }

    fn pause(&self) {
        std::thread::yield_now();
    }
}

impl Word for AtomicU64 {
    fn load(&self, order: Ordering) -> u64 {
        AtomicU64::load(self, order)
    }

    fn store(&self, value: u64, order: Ordering) {
        AtomicU64::store(self, value, order);
    }

    fn fetch_or(&self, bits: u64, order: Ordering) -> u64 {
        AtomicU64::fetch_or(self, bits, order)
    }

    fn fetch_and(&self, bits: u64, order: Ordering) -> u64 {
        AtomicU64::fetch_and(self, bits, order)
    }

    fn swap_from(&self, current: u64, new: u64, order: Ordering) -> bool {
        self.compare_exchange(current, new, order, Ordering::Relaxed).is_ok()
    }
}

//! Blocks of bytes that one process makes, and that all processes of a configuration read: what a
//! large file holds is in memory once, however many workers there are.
//!
//! The master makes the memory before it forks workers (`memfd_create(2)`), and each of them may put
//! a new block in the place of the one in force. Nobody writes where somebody reads: that is what
//! locks on the memory's first bytes are for (`fcntl(2)`), which the kernel takes back from a process
//! that dies.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use ngx::ffi::{
    fallocate, fcntl, flock, munmap, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, F_RDLCK, F_SETLK,
    F_UNLCK, F_WRLCK, MAP_POPULATE, MAP_SHARED, MFD_CLOEXEC, PROT_READ, PROT_WRITE, SEEK_SET,
};
use parking_lot::Mutex;

use super::memory::{self, map};
use super::{file_size, process};

/// Places for blocks: one is in force, and each worker may still read an older one.
const PLACES: usize = 32;
/// What is between the beginnings of two places. Memory is used only where something was written.
const PLACE_LEN: u64 = 1 << 36;
/// Mappings begin where a page does, whatever the size of those.
const ALIGNMENT: u64 = 1 << 16;
/// In front of the places: the words of [`Control`], and the bytes that are locked.
const CONTROL_LEN: usize = 4096;
/// The byte whose lock is the right to make a block; those before it are the places'.
const MAKER: usize = PLACES;

/// Words at the beginning of the memory.
#[derive(Clone, Copy)]
enum Control {
    /// The block in force: its number, and its place in the lowest eight bits. 0: there is none.
    Current,
    /// What the block in force was made of; see [`SharedBlock::seen`].
    Seen,
    /// A bit for each place that uses memory.
    Used,
    /// What was said last of the block in force; see [`Maker::told`].
    Told,
    /// When somebody looked last; see [`SharedBlock::is_turn`].
    Looked,
    /// The length of the block in a place.
    Len(usize),
}

/// The memory of the blocks, and which is in force.
#[derive(Debug)]
pub(crate) struct SharedBlock {
    file: File,
    /// What is between two places; less than usual where files must not become large.
    place_len: u64,
    control: NonNull<AtomicU64>,
    readers: Mutex<Readers>,
}

// SAFETY: the pointer is that of a mapping which lasts as long as the value, to atomics.
unsafe impl Send for SharedBlock {}
// SAFETY: as above.
unsafe impl Sync for SharedBlock {}

/// The blocks that this process reads: locks belong to processes, and are not inherited by a fork.
#[derive(Debug, Default)]
struct Readers {
    process: u32,
    count: [u32; PLACES],
}

impl Readers {
    /// How often this process reads the block of a place.
    fn of(&mut self, place: usize) -> Option<&mut u32> {
        let me = process::current();
        if self.process != me {
            *self = Self { process: me, ..Self::default() };
        }
        self.count.get_mut(place)
    }
}

/// The number of a block, with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

impl Stamp {
    fn place(self) -> usize {
        usize::try_from(self.0 & 0xff).unwrap_or(PLACES)
    }

    /// How many blocks there were up to this one.
    pub(crate) fn number(self) -> u64 {
        self.0 >> 8
    }
}

/// A block in force, mapped: it stays as it is for as long as it is kept.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
    stamp: Stamp,
    reader: u32,
    of: Arc<SharedBlock>,
}

// SAFETY: memory that nobody writes to, for as long as the value is kept.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

/// The right to make a block.
pub(crate) struct Maker<'b>(&'b SharedBlock);

/// What there may be between two places, under the limit on the size of files: it goes for memory, too.
fn place_len(limit: Option<u64>) -> u64 {
    let places = (PLACES as u64).saturating_add(1);
    let room = limit.map_or(PLACE_LEN, |limit| limit / places);
    (room - room % ALIGNMENT).clamp(ALIGNMENT, PLACE_LEN)
}

impl SharedBlock {
    fn page_of(&self, place: usize) -> u64 {
        (place as u64).saturating_add(1).saturating_mul(self.place_len)
    }

    /// Memory without a block.
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        let place_len = place_len(file_size::limit());
        let len = (PLACES as u64).saturating_add(1).saturating_mul(place_len);
        let file = memory::make(c"tollgate", MFD_CLOEXEC, len)?;
        // SAFETY: the memory is that long, and starts with zeros.
        let control = unsafe { map(&file, 0, CONTROL_LEN, PROT_READ | PROT_WRITE, MAP_SHARED)? };
        Ok(Arc::new(Self { file, place_len, control: control.cast(), readers: Mutex::default() }))
    }

    fn word(&self, control: Control) -> &AtomicU64 {
        let at = match control {
            Control::Current => 0,
            Control::Seen => 1,
            Control::Used => 2,
            Control::Told => 3,
            Control::Looked => 4,
            Control::Len(place) => place.min(PLACES).saturating_add(8),
        };
        // SAFETY: the page has 512 such words, and is mapped as long as the value lives.
        unsafe { self.control.add(at).as_ref() }
    }

    /// Sets or takes back the lock of a byte; `false`: another process has one that doesn't allow it.
    fn lock(&self, byte: usize, kind: u32) -> bool {
        let range = flock {
            l_type: i16::try_from(kind).unwrap_or(i16::MAX),
            l_whence: i16::try_from(SEEK_SET).unwrap_or(0),
            l_start: i64::try_from(byte).unwrap_or(i64::MAX),
            l_len: 1,
            l_pid: 0,
        };
        let command = i32::try_from(F_SETLK).unwrap_or(-1);
        // SAFETY: the command takes a pointer to such a structure, which it only reads.
        unsafe { fcntl(self.file.as_raw_fd(), command, &raw const range) == 0 }
    }

    /// The block in force; `None`: there is none.
    pub(crate) fn current(&self) -> Option<Stamp> {
        let stamp = self.word(Control::Current).load(Ordering::Acquire);
        (stamp != 0).then_some(Stamp(stamp))
    }

    /// What the block in force was made of, or what was last found to be of no use: a number that is
    /// the callers', the same for all processes.
    pub(crate) fn seen(&self) -> u64 {
        self.word(Control::Seen).load(Ordering::Acquire)
    }

    /// Whether it is time that somebody looks again, so many milliseconds after the look before: then it
    /// is the caller who does, and nobody else. `now_ms` is on the monotonic clock.
    pub(crate) fn is_turn(&self, now_ms: u64, interval_ms: u64) -> bool {
        let word = self.word(Control::Looked);
        let last = word.load(Ordering::Relaxed);
        now_ms.saturating_sub(last) >= interval_ms
            && word.compare_exchange(last, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Whether there is memory of blocks that are not in force any more.
    pub(crate) fn is_untidy(&self) -> bool {
        let in_force = self.current().map_or(0, |current| 1 << current.place());
        self.word(Control::Used).load(Ordering::Acquire) & !in_force != 0
    }

    /// Maps the block in force.
    pub(crate) fn map(self: &Arc<Self>) -> io::Result<Mapping> {
        /// Blocks that come and go while we try.
        const TRIES: usize = 1000;
        let mut readers = self.readers.lock();
        for _ in 0..TRIES {
            let stamp = self.current().ok_or(io::ErrorKind::NotFound)?;
            let place = stamp.place();
            let count = readers.of(place).ok_or(io::ErrorKind::InvalidData)?;
            // A place with a reader keeps its block. It can only have been another one before the
            // lock was ours.
            let locked = *count > 0 || self.lock(place, F_RDLCK);
            if locked && self.current() == Some(stamp) {
                let len = self.word(Control::Len(place)).load(Ordering::Acquire);
                let len = usize::try_from(len).map_err(|_| io::ErrorKind::InvalidData)?;
                // SAFETY: the block was written there, and nobody writes to it again before the
                // lock is taken back.
                let start = unsafe {
                    map(&self.file, self.page_of(place), len, PROT_READ, MAP_SHARED | MAP_POPULATE)
                };
                match start {
                    Ok(start) => {
                        *count = count.saturating_add(1);
                        let (of, reader) = (Arc::clone(self), process::current());
                        return Ok(Mapping { start, len, stamp, reader, of });
                    }
                    Err(error) => {
                        if *count == 0 {
                            self.lock(place, F_UNLCK);
                        }
                        return Err(error);
                    }
                }
            }
            if locked && *count == 0 {
                self.lock(place, F_UNLCK);
            }
            std::thread::yield_now();
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// The right to make a block; `None` while another process has it. Within a process, it is for
    /// one thread.
    pub(crate) fn make(&self) -> Option<Maker<'_>> {
        self.lock(MAKER, F_WRLCK).then_some(Maker(self))
    }
}

impl Drop for SharedBlock {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`, of that length.
        unsafe { munmap(self.control.as_ptr().cast(), CONTROL_LEN) };
    }
}

impl Maker<'_> {
    /// Remembers what was looked at, whatever came of it.
    pub(crate) fn set_seen(&self, seen: u64) {
        self.0.word(Control::Seen).store(seen, Ordering::Release);
    }

    /// A number that is the callers', the same for all processes.
    pub(crate) fn told(&self) -> u64 {
        self.0.word(Control::Told).load(Ordering::Acquire)
    }

    /// Remembers it.
    pub(crate) fn set_told(&self, told: u64) {
        self.0.word(Control::Told).store(told, Ordering::Release);
    }

    /// Puts `block` in force, in the place of the one before.
    pub(crate) fn publish(&self, block: &[u8]) -> io::Result<()> {
        let shared = self.0;
        if block.len() as u64 > shared.place_len {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let before = shared.word(Control::Current).load(Ordering::Acquire);
        let place = self.free_place(Stamp(before).place(), before != 0)?;
        let written = shared.file.write_all_at(block, shared.page_of(place));
        if written.is_ok() {
            shared.word(Control::Len(place)).store(block.len() as u64, Ordering::Release);
            // A place in eight bits, as there are few.
            let next = (before >> 8).saturating_add(1) << 8 | place as u64;
            shared.word(Control::Used).fetch_or(1 << place, Ordering::AcqRel);
            shared.word(Control::Current).store(next, Ordering::Release);
        } else {
            self.give_back(place);
        }
        shared.lock(place, F_UNLCK);
        written
    }

    /// A place that nobody reads, with a lock that keeps it so.
    fn free_place(&self, current: usize, is_current: bool) -> io::Result<usize> {
        let mut readers = self.0.readers.lock();
        let free = (0..PLACES).find(|place| {
            let is_read = readers.of(*place).is_none_or(|count| *count > 0);
            !(is_read || is_current && *place == current) && self.0.lock(*place, F_WRLCK)
        });
        free.ok_or_else(|| io::Error::other("too many workers still use older keys"))
    }

    /// Gives the memory of blocks back that nobody reads any more.
    pub(crate) fn clean(&self) {
        let shared = self.0;
        let Some(current) = shared.current() else { return };
        if !shared.is_untidy() {
            return;
        }
        let used = shared.word(Control::Used);
        for place in (0..PLACES).filter(|place| *place != current.place()) {
            let mut readers = shared.readers.lock();
            let is_ours = readers.of(place).is_none_or(|count| *count > 0);
            let is_used = used.load(Ordering::Acquire) & 1 << place != 0;
            if is_used && !is_ours && shared.lock(place, F_WRLCK) {
                self.give_back(place);
                used.fetch_and(!(1 << place), Ordering::AcqRel);
                shared.lock(place, F_UNLCK);
            }
        }
    }

    fn give_back(&self, place: usize) {
        let mode = i32::try_from(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE).unwrap_or(0);
        let start = i64::try_from(self.0.page_of(place)).unwrap_or(i64::MAX);
        let len = i64::try_from(self.0.place_len).unwrap_or(i64::MAX);
        // SAFETY: changes what is in the memory only, where nobody reads.
        unsafe { fallocate(self.0.file.as_raw_fd(), mode, start, len) };
    }
}

impl Drop for Maker<'_> {
    fn drop(&mut self) {
        self.0.lock(MAKER, F_UNLCK);
    }
}

impl Mapping {
    /// Which block it is.
    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: mapped in `SharedBlock::map`, of that length; nobody writes to it.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `SharedBlock::map`, of that length.
        unsafe { munmap(self.start.as_ptr().cast(), self.len) };
        // What a fork left to us was read by another process, which has the lock.
        if self.reader != process::current() {
            return;
        }
        let mut readers = self.of.readers.lock();
        if let Some(count) = readers.of(self.stamp.place()) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.of.lock(self.stamp.place(), F_UNLCK);
            }
        }
    }
}

//! Who may read and who may write, when. No system call is in here: a [`Kernel`] has them, and a model
//! has a kernel of its own.

use std::io;
use std::sync::atomic::Ordering;

pub use super::control::{Control, MAX_PLACES};

/// A word of memory that processes share: as `AtomicU64` of std.
pub trait Word {
    /// As in std, like all that follow.
    fn load(&self, order: Ordering) -> u64;
    /// See [`Word::load`].
    fn store(&self, value: u64, order: Ordering);
    /// See [`Word::load`].
    fn fetch_or(&self, bits: u64, order: Ordering) -> u64;
    /// See [`Word::load`].
    fn fetch_and(&self, bits: u64, order: Ordering) -> u64;
    /// Whether `current` was there; `new` is there now.
    fn swap_from(&self, current: u64, new: u64, order: Ordering) -> bool;
}

/// What a lock is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Byte {
    /// The block in a place.
    Place(usize),
    /// The right to make a block.
    Maker,
}

/// What is asked of a lock. It belongs to the process: what it asks last is what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Others may read as well, and not write.
    Read,
    /// Nobody else may read or write.
    Write,
    /// None.
    Unlock,
}

/// A mistake that a model plants, to see that it catches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// A reader doesn't look again at what is in force once it has the lock.
    ReadUnseen,
    /// A block is put in force before it is written.
    PublishedTooEarly,
    /// A thread takes the lock of the maker's place back after another thread has begun to read there.
    UnlockedLate,
    /// Memory is given back without the lock of its place.
    CleanedUnlocked,
    /// A place is marked as used once the block is written, which a killed maker never comes to.
    MarkedTooLate,
    /// A second thread of a process is let in as a maker.
    MakersUncounted,
}

/// What this needs of the system.
pub trait Kernel {
    /// How many places there are for blocks: one is in force, and each reader may have an older one.
    const PLACES: usize;
    /// A word of memory that processes share.
    type Word: Word;
    /// A block, where this process can read it.
    type View;

    /// One of the words; the same for all processes.
    fn word(&self, control: Control) -> &Self::Word;
    /// Sets or takes back the lock of a byte; `false`: another process has one that doesn't allow it.
    fn lock(&self, byte: Byte, lock: Lock) -> bool;
    /// Writes a block to a place.
    ///
    /// # Errors
    ///
    /// There is no memory.
    fn write(&self, place: usize, block: &[u8]) -> io::Result<()>;
    /// Gives the memory of a place back.
    fn clear(&self, place: usize);
    /// Maps the first `len` bytes of a place.
    ///
    /// # Errors
    ///
    /// The system can't.
    fn view(&self, place: usize, len: usize) -> io::Result<Self::View>;
    /// Runs `f` with what this process holds, one thread at a time.
    fn held<T>(&self, f: impl FnOnce(&mut Held) -> T) -> T;
    /// A number that a new process has larger than the one that forked it.
    fn generation(&self) -> u64;
    /// Lets others run.
    fn pause(&self);
    /// Whether the mistake is wanted: never, but in a model.
    fn is_planted(&self, _mistake: Mistake) -> bool {
        false
    }
}

/// What this process holds. Its locks don't tell its threads apart, and a fork inherits none.
#[derive(Debug, Default)]
pub struct Held {
    generation: u64,
    /// How often this process reads the block of a place.
    readers: [u32; MAX_PLACES],
    has_maker: bool,
}

/// The number of a block, with its place in the lowest eight bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(u64);

impl Stamp {
    fn place(self) -> usize {
        usize::try_from(self.0 & 0xff).unwrap_or(MAX_PLACES)
    }

    fn next(before: Option<Self>, place: usize) -> Self {
        let number = before.map_or(0, Self::number).saturating_add(1);
        Self(number << 8 | place as u64 & 0xff)
    }

    /// How many blocks there were up to this one.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0 >> 8
    }
}

/// A block that this process keeps in its place: given back with [`Protocol::release`].
#[derive(Debug)]
pub struct Reading<V> {
    /// Which block it is.
    pub stamp: Stamp,
    /// The process that reads it: that of this [`Kernel::generation`].
    pub generation: u64,
    /// The block.
    pub view: V,
}

/// The right to make a block: given back with [`Protocol::give_up`].
#[derive(Debug)]
pub struct Claim {
    generation: u64,
}

/// The rules, for one process.
#[derive(Debug)]
pub struct Protocol<K>(K);

fn bit(place: usize) -> u64 {
    u32::try_from(place).ok().and_then(|place| 1u64.checked_shl(place)).unwrap_or(0)
}

impl<K: Kernel> Protocol<K> {
    /// The rules over that kernel.
    pub fn new(kernel: K) -> Self {
        Self(kernel)
    }

    /// The kernel.
    pub fn kernel(&self) -> &K {
        &self.0
    }

    fn word(&self, control: Control) -> &K::Word {
        self.0.word(control)
    }

    fn held<T>(&self, f: impl FnOnce(&mut Held) -> T) -> T {
        let generation = self.0.generation();
        self.0.held(|held| {
            if held.generation != generation {
                *held = Held { generation, ..Held::default() };
            }
            f(held)
        })
    }

    /// The block in force; `None`: there is none.
    pub fn current(&self) -> Option<Stamp> {
        let stamp = self.word(Control::Current).load(Ordering::Acquire);
        (stamp != 0).then_some(Stamp(stamp))
    }

    /// What the block in force was made of, or what was last found to be of no use: a number that is
    /// the callers', the same for all processes.
    pub fn seen(&self) -> u64 {
        self.word(Control::Seen).load(Ordering::Acquire)
    }

    /// What was said last of the block in force: a number that is the callers', the same for all
    /// processes.
    pub fn told(&self) -> u64 {
        self.word(Control::Told).load(Ordering::Acquire)
    }

    /// Remembers what was looked at, whatever came of it.
    pub fn set_seen(&self, claim: &Claim, seen: u64) {
        if self.is_ours(claim) {
            self.word(Control::Seen).store(seen, Ordering::Release);
        }
    }

    /// Remembers what was said.
    pub fn set_told(&self, claim: &Claim, told: u64) {
        if self.is_ours(claim) {
            self.word(Control::Told).store(told, Ordering::Release);
        }
    }

    /// Whether it is time that somebody looks again, so many milliseconds after the look before: then it
    /// is the caller who does, and nobody else. `now_ms` is on the monotonic clock.
    pub fn is_turn(&self, now_ms: u64, interval_ms: u64) -> bool {
        let word = self.word(Control::Looked);
        let last = word.load(Ordering::Relaxed);
        now_ms.saturating_sub(last) >= interval_ms
            && word.swap_from(last, now_ms, Ordering::Relaxed)
    }

    /// When what was looked at is to be tried again, on the monotonic clock; 0: it needn't be.
    pub fn retry_at_ms(&self) -> u64 {
        self.word(Control::Retry).load(Ordering::Acquire)
    }

    /// Remembers when to try again.
    pub fn set_retry_at_ms(&self, claim: &Claim, at_ms: u64) {
        if self.is_ours(claim) {
            self.word(Control::Retry).store(at_ms, Ordering::Release);
        }
    }

    /// Whether there is memory of blocks that are not in force.
    pub fn is_untidy(&self) -> bool {
        let in_force = self.current().map_or(0, |current| bit(current.place()));
        self.word(Control::Used).load(Ordering::Acquire) & !in_force != 0
    }

    /// The block in force. It stays as it is until [`Protocol::release`].
    ///
    /// # Errors
    ///
    /// There is none; or it can't be mapped.
    pub fn read(&self) -> io::Result<Reading<K::View>> {
        /// Blocks that come and go while we try.
        const TRIES: usize = 1000;
        for _ in 0..TRIES {
            if let Some(reading) = self.held(|held| self.try_read(held))? {
                return Ok(reading);
            }
            self.0.pause();
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// `None`: the block that was in force makes way for another one.
    fn try_read(&self, held: &mut Held) -> io::Result<Option<Reading<K::View>>> {
        let stamp = self.current().ok_or(io::ErrorKind::NotFound)?;
        let place = stamp.place();
        // That is never the place that a maker of ours writes to, whose lock would be given away here: such
        // a place comes into force after its lock was taken back, see `end`.
        let generation = held.generation;
        let count = held.readers.get_mut(place).ok_or(io::ErrorKind::InvalidData)?;
        let is_first = *count == 0;
        if is_first && !self.0.lock(Byte::Place(place), Lock::Read) {
            return Ok(None);
        }
        // A place with a reader keeps its block. It can only have become another one before the lock
        // was ours.
        let is_same = self.current() == Some(stamp) || self.0.is_planted(Mistake::ReadUnseen);
        let view = match is_same {
            true => {
                let len = self.word(Control::Len(place)).load(Ordering::Acquire);
                let len = usize::try_from(len).map_err(|_| io::ErrorKind::InvalidData.into());
                len.and_then(|len| self.0.view(place, len)).map(Some)
            }
            false => Ok(None),
        };
        if let Ok(Some(view)) = view {
            *count = count.saturating_add(1);
            return Ok(Some(Reading { stamp, generation, view }));
        }
        if is_first {
            self.0.lock(Byte::Place(place), Lock::Unlock);
        }
        view.map(|_| None)
    }

    /// Nobody uses the view of a [`Reading`] any more.
    pub fn release(&self, stamp: Stamp, generation: u64) {
        // What a fork left to us was read by another process, which has the lock.
        if generation != self.0.generation() {
            return;
        }
        self.held(|held| {
            let place = stamp.place();
            if let Some(count) = held.readers.get_mut(place) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.0.lock(Byte::Place(place), Lock::Unlock);
                }
            }
        });
    }

    /// The right to make a block; `None` while another process or another thread has it.
    pub fn claim(&self) -> Option<Claim> {
        self.held(|held| {
            let is_free = !held.has_maker || self.0.is_planted(Mistake::MakersUncounted);
            let has_maker = is_free && self.0.lock(Byte::Maker, Lock::Write);
            held.has_maker |= has_maker;
            has_maker.then_some(Claim { generation: held.generation })
        })
    }

    fn is_ours(&self, claim: &Claim) -> bool {
        claim.generation == self.0.generation()
    }

    /// Somebody else may make a block now.
    pub fn give_up(&self, claim: &Claim) {
        if self.is_ours(claim) {
            self.held(|held| {
                held.has_maker = false;
                self.0.lock(Byte::Maker, Lock::Unlock);
            });
        }
    }

    /// Puts `block` in force, in the place of the one before.
    ///
    /// # Errors
    ///
    /// There is no memory, or no place; or the claim is that of the process that forked this one. The
    /// block before stays in force.
    pub fn publish(&self, claim: &Claim, block: &[u8]) -> io::Result<()> {
        if !self.is_ours(claim) {
            return Err(io::Error::other("another process has the right to make a block"));
        }
        let before = self.current();
        let place = (0..K::PLACES).find(|place| self.begin(*place, before));
        let Some(place) = place else {
            return Err(io::Error::other("too many workers still use older keys"));
        };
        let next = Stamp::next(before, place);
        let used = self.word(Control::Used);
        if self.0.is_planted(Mistake::PublishedTooEarly) {
            self.word(Control::Current).store(next.0, Ordering::Release);
        }
        // Before there is any: the memory of a maker that is killed must be found.
        if !self.0.is_planted(Mistake::MarkedTooLate) {
            used.fetch_or(bit(place), Ordering::AcqRel);
        }
        if let Err(error) = self.0.write(place, block) {
            self.empty(place);
            self.end(place, None);
            return Err(error);
        }
        used.fetch_or(bit(place), Ordering::AcqRel);
        self.word(Control::Len(place)).store(block.len() as u64, Ordering::Release);
        self.end(place, Some(next));
        Ok(())
    }

    /// Gives the memory of blocks back that nobody reads any more.
    pub fn clean(&self, claim: &Claim) {
        if !self.is_ours(claim) || !self.is_untidy() {
            return;
        }
        let current = self.current();
        for place in 0..K::PLACES {
            let is_used = self.word(Control::Used).load(Ordering::Acquire) & bit(place) != 0;
            if is_used && self.begin(place, current) {
                self.empty(place);
                self.end(place, None);
            }
        }
    }

    fn empty(&self, place: usize) {
        self.0.clear(place);
        self.word(Control::Used).fetch_and(!bit(place), Ordering::AcqRel);
    }

    /// Takes a place that is not in force, and that nobody reads, to write to it. For whoever has the
    /// claim: what is in force doesn't change meanwhile.
    fn begin(&self, place: usize, current: Option<Stamp>) -> bool {
        if current.is_some_and(|current| current.place() == place) {
            return false;
        }
        self.held(|held| {
            let is_read = held.readers.get(place).is_none_or(|count| *count > 0);
            self.0.is_planted(Mistake::CleanedUnlocked)
                || !is_read && self.0.lock(Byte::Place(place), Lock::Write)
        })
    }

    /// The place is written. `next`: the block in it is in force from now on.
    fn end(&self, place: usize, next: Option<Stamp>) {
        // At once, for the threads of this process: the lock that is taken back here must not be that of
        // one that reads the new block. And before the block is in force, as readers would have to wait for
        // the lock: whoever has the claim is the only one who writes to a place without it.
        let is_late = self.held(|_| {
            let is_late = self.0.is_planted(Mistake::UnlockedLate);
            if !is_late {
                self.0.lock(Byte::Place(place), Lock::Unlock);
            }
            if let Some(next) = next {
                self.word(Control::Current).store(next.0, Ordering::Release);
            }
            is_late
        });
        if is_late {
            self.0.lock(Byte::Place(place), Lock::Unlock);
        }
    }
}

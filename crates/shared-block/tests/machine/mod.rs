//! A machine for the model: processes, the memory that they share, and the locks on it, all of loom's.

use std::cell::Cell;
use std::io;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe, UnwindSafe};
use std::sync::PoisonError;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::sync::{Arc, Mutex};
use shared_block::protocol::{Byte, Control, Held, Kernel, Lock, Mistake, Protocol, Word};

/// Fewer than in earnest, so that they are used again at once.
const PLACES: usize = 2;
/// The bytes that are locked: those of the places, and the maker's.
const BYTES: usize = PLACES + 1;

std::thread_local! {
    // loom runs all of its threads on one thread of the system.
    static PLANTED: Cell<Option<Mistake>> = const { Cell::new(None) };
    static IS_REACHED: Cell<bool> = const { Cell::new(false) };
}

loom::thread_local! {
    /// The steps that this thread has left.
    static STEPS: Cell<Option<u32>> = Cell::new(None);
}

/// What unwinds a process that is killed.
struct Killed;

/// Tries all interleavings with at most so many preemptions.
pub(crate) fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    builder.check(model);
}

/// Whether `check` fails with the mistake planted, after it came upon it.
pub(crate) fn is_caught(mistake: Mistake, check: impl FnOnce() + UnwindSafe) -> bool {
    PLANTED.set(Some(mistake));
    IS_REACHED.set(false);
    let outcome = catch_unwind(check);
    PLANTED.set(None);
    outcome.is_err() && IS_REACHED.get()
}

/// A block of the model is a number, and 0 is none: what a place has.
type Cells = [UnsafeCell<u64>; PLACES];

/// What the processes share.
pub(crate) struct Machine {
    words: Vec<AtomicU64>,
    cells: Cells,
    /// The processes that have a lock, for each byte; with `true`, to write.
    locks: Mutex<[Vec<(u32, bool)>; BYTES]>,
}

// SAFETY: loom fails the model in which two threads use a cell at once.
unsafe impl Sync for Machine {}
// SAFETY: as above.
unsafe impl Send for Machine {}

impl Machine {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            words: (0..Control::words(PLACES)).map(|_| AtomicU64::new(0)).collect(),
            cells: std::array::from_fn(|_| UnsafeCell::new(0)),
            locks: Mutex::new(std::array::from_fn(|_| Vec::new())),
        })
    }

    fn read(&self, place: usize) -> u64 {
        // SAFETY: as for `Sync`.
        self.cells[place].with(|block| unsafe { *block })
    }

    fn write(&self, place: usize, block: u64) {
        // SAFETY: as for `Sync`.
        self.cells[place].with_mut(|at| unsafe { *at = block });
    }

    /// How many places use memory; for when nobody else runs.
    pub(crate) fn used(&self) -> usize {
        (0..PLACES).filter(|place| self.read(*place) != 0).count()
    }

    fn lock(&self, process: u32, byte: usize, lock: Lock) -> bool {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        let holders = &mut locks[byte];
        let is_write = lock == Lock::Write;
        let is_barred =
            holders.iter().any(|(other, writes)| *other != process && (*writes || is_write));
        if lock != Lock::Unlock && is_barred {
            return false;
        }
        holders.retain(|(other, _)| *other != process);
        if lock != Lock::Unlock {
            holders.push((process, is_write));
        }
        true
    }

    fn bury(&self, process: u32) {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        for holders in locks.iter_mut() {
            holders.retain(|(other, _)| *other != process);
        }
    }
}

/// A process, as its threads see it.
pub(crate) struct Seat {
    machine: Arc<Machine>,
    id: u32,
    held: Mutex<Held>,
    words: Vec<Mortal>,
}

/// A word, used by a process that may be killed.
pub(crate) struct Mortal {
    machine: Arc<Machine>,
    at: usize,
}

/// Counts a step of this thread, and kills it if that was one too many.
fn step() {
    let is_over = STEPS.with(|left| {
        let steps = left.get();
        left.set(steps.and_then(|steps| steps.checked_sub(1)));
        steps == Some(0)
    });
    if is_over {
        resume_unwind(Box::new(Killed));
    }
}

impl Mortal {
    fn word(&self) -> &AtomicU64 {
        step();
        &self.machine.words[self.at]
    }
}

impl Word for Mortal {
    fn load(&self, order: Ordering) -> u64 {
        self.word().load(order)
    }

    fn store(&self, value: u64, order: Ordering) {
        self.word().store(value, order);
    }

    fn fetch_or(&self, bits: u64, order: Ordering) -> u64 {
        self.word().fetch_or(bits, order)
    }

    fn fetch_and(&self, bits: u64, order: Ordering) -> u64 {
        self.word().fetch_and(bits, order)
    }

    fn swap_from(&self, current: u64, new: u64, order: Ordering) -> bool {
        self.word().compare_exchange(current, new, order, Ordering::Relaxed).is_ok()
    }
}

/// A block, as long as it is read.
pub(crate) struct View {
    machine: Arc<Machine>,
    place: usize,
}

impl Kernel for Seat {
    const PLACES: usize = PLACES;
    type Word = Mortal;
    type View = View;

    fn word(&self, control: Control) -> &Mortal {
        &self.words[control.index()]
    }

    fn lock(&self, byte: Byte, lock: Lock) -> bool {
        step();
        let byte = match byte {
            Byte::Place(place) => place,
            Byte::Maker => PLACES,
        };
        self.machine.lock(self.id, byte, lock)
    }

    fn write(&self, place: usize, block: &[u8]) -> io::Result<()> {
        step();
        // Half of it, and then all: a process may die between the two.
        self.machine.write(place, u64::MAX);
        step();
        self.machine.write(place, u64::from(block[0]));
        Ok(())
    }

    fn clear(&self, place: usize) {
        step();
        self.machine.write(place, 0);
    }

    fn view(&self, place: usize, len: usize) -> io::Result<View> {
        step();
        assert_eq!(len, 1, "the length is that of the block");
        Ok(View { machine: self.machine.clone(), place })
    }

    fn held<T>(&self, f: impl FnOnce(&mut Held) -> T) -> T {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // Released outside of the unwinding, which would poison it.
        let outcome = catch_unwind(AssertUnwindSafe(|| f(&mut held)));
        drop(held);
        outcome.unwrap_or_else(|cause| resume_unwind(cause))
    }

    fn generation(&self) -> u64 {
        1
    }

    fn pause(&self) {
        loom::thread::yield_now();
    }

    fn is_planted(&self, mistake: Mistake) -> bool {
        let is_planted = PLANTED.get() == Some(mistake);
        if is_planted {
            IS_REACHED.set(true);
        }
        is_planted
    }
}

/// What processes do.
#[derive(Clone)]
pub(crate) struct Process(Arc<Protocol<Seat>>);

impl Process {
    pub(crate) fn of(machine: &Arc<Machine>, id: u32) -> Self {
        let words =
            (0..Control::words(PLACES)).map(|at| Mortal { machine: machine.clone(), at }).collect();
        let held = Mutex::new(Held::default());
        Self(Arc::new(Protocol::new(Seat { machine: machine.clone(), id, held, words })))
    }

    /// Reads the block in force for a while, and gives its number.
    pub(crate) fn assert_whole(&self) -> u64 {
        let reading = self.0.read().unwrap();
        let View { machine, place } = &reading.view;
        for _ in 0..2 {
            assert_eq!(machine.read(*place), reading.stamp.number(), "the block changes");
        }
        let number = reading.stamp.number();
        self.0.release(reading.stamp, reading.generation);
        number
    }

    /// Publishes the next block, if nobody else makes one and there is a place for it.
    pub(crate) fn publish_if_free(&self) -> bool {
        let Some(claim) = self.0.claim() else { return false };
        let next = self.0.current().map_or(0, |stamp| stamp.number()) + 1;
        let is_published = self.0.publish(&claim, &[u8::try_from(next).unwrap()]).is_ok();
        self.0.give_up(&claim);
        is_published
    }

    /// The same, once there is a place.
    pub(crate) fn publish_next(&self) {
        while !self.publish_if_free() {
            loom::thread::yield_now();
        }
    }

    pub(crate) fn clean(&self) {
        if let Some(claim) = self.0.claim() {
            self.0.clean(&claim);
            self.0.give_up(&claim);
        }
    }

    pub(crate) fn is_untidy(&self) -> bool {
        self.0.is_untidy()
    }
}

/// Runs a process of one thread, and kills it before its step number `steps` (from 0): the kernel takes
/// its locks back. Whether it came to its end.
pub(crate) fn killed_at(
    steps: u32,
    machine: &Machine,
    process: &Process,
    run: impl FnOnce(&Process),
) -> bool {
    STEPS.with(|left| left.set(Some(steps)));
    let outcome = catch_unwind(AssertUnwindSafe(|| run(process)));
    STEPS.with(|left| left.set(None));
    match outcome {
        Ok(()) => true,
        Err(cause) if cause.is::<Killed>() => {
            machine.bury(process.0.kernel().id);
            false
        }
        Err(cause) => resume_unwind(cause),
    }
}

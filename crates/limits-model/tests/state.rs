//! Who writes the state at the end, under loom: of two processes that end at the same time, one writes
//! what both have charged.
#![allow(clippy::unwrap_used, clippy::panic, reason = "in tests")]

use std::sync::Arc;

use limits_model::exhaustive::atomics::{mortal, AtomicU64, Ordering};
use limits_model::exhaustive::limits::{Process, StateMarks, Zone};
use limits_model::races::{is_caught, Race};
use loom::sync::Mutex;
use loom::thread;

const WRITER: Process = Process { pid: 1, started: 0 };
const OTHER: Process = Process { pid: 2, started: 0 };

/// A zone; what is charged in it; and the file, of whoever has its lock.
struct Shared {
    words: Vec<AtomicU64>,
    charged: AtomicU64,
    file: Mutex<u64>,
}

impl Shared {
    fn new() -> Arc<Self> {
        let words: Vec<_> = (0..104).map(|_| AtomicU64::new(0)).collect();
        Zone::format(&words, (1, 2)).unwrap();
        Arc::new(Self { words, charged: AtomicU64::new(0), file: Mutex::new(0) })
    }

    fn marks(&self) -> StateMarks<'_> {
        Zone::attach(&self.words).unwrap().marks()
    }

    /// A process charges something, and notes it.
    fn charge(&self) {
        self.charged.fetch_add(1, Ordering::AcqRel);
        self.marks().note_change();
    }

    /// The last turn of a writer that has the right to write: `file` is what it writes.
    fn write_last(&self, marks: StateMarks<'_>, me: Process, file: &mut u64) {
        marks.resign(me);
        if !marks.is_written() {
            let changes = marks.changes();
            *file = self.charged.load(Ordering::Acquire);
            marks.set_written(changes);
        }
    }

    /// Another process ends.
    fn end(&self, marks: StateMarks<'_>, is_alive: impl Fn(Process) -> bool) {
        if !marks.is_written() && !marks.are_others_to_write(OTHER, is_alive) {
            let mut file = self.file.lock().unwrap();
            marks.promise(OTHER);
            self.write_last(marks, OTHER, &mut file);
        }
    }
}

fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    builder.check(model);
}

/// The writer and another process have charged something, and end.
fn both_end() {
    explore(3, || {
        let shared = Shared::new();
        shared.marks().promise(WRITER);
        let writer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let marks = shared.marks();
                let mut file = shared.file.lock().unwrap();
                shared.write_last(marks, WRITER, &mut file);
            })
        };
        let marks = shared.marks();
        shared.charge();
        shared.end(marks, |_| true);
        writer.join().unwrap();
        assert_eq!(*shared.file.lock().unwrap(), 1);
        assert!(shared.marks().is_written());
        assert_eq!(shared.marks().writer(), None);
    });
}

#[test]
fn what_both_charged_is_written() {
    both_end();
}

#[test]
fn changes_that_are_only_looked_at_are_caught() {
    assert!(is_caught(Race::GlancedChanges, both_end));
}

/// More steps than a last turn has.
const STEPS: u32 = 10;

/// The writer is killed at its `step`, and the other process ends when that is known.
fn writer_killed_at(step: u32) {
    explore(2, move || {
        let shared = Shared::new();
        let marks = shared.marks();
        marks.promise(WRITER);
        shared.charge();
        let writer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let marks = shared.marks();
                // The kernel takes the lock back.
                let mut file = shared.file.lock().unwrap();
                mortal(step, || shared.write_last(marks, WRITER, &mut file))
            })
        };
        let survived = writer.join().unwrap().is_some();
        assert!(survived || step < STEPS, "a last turn has more steps");
        shared.end(marks, |other| other != WRITER);
        assert_eq!(*shared.file.lock().unwrap(), 1);
        assert!(marks.is_written());
    });
}

#[test]
fn a_writer_killed_at_any_step_is_followed_by_who_ends_next() {
    (0..=STEPS).for_each(writer_killed_at);
}

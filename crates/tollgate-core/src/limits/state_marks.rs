//! How a zone stands to the file of its state: what of it is written, and who writes.
//!
//! Whoever changes a limit need not tell: a process notes some time later that it did
//! ([`StateMarks::note_change`]), and when it ends. The writer reads the number of changes *before* it
//! reads the zone, and notes it *after* the file is safe. So a change is either in the file or still to be
//! written, and a zone in which nothing changes is not written again.
//!
//! Of two processes that end at the same time, the one that writes takes its promise back and then looks for
//! changes, and the other one notes a change and then looks for a promise: at least one of them must see
//! what the other did. So the look for changes is a step of its own among those of the others
//! ([`StateMarks::changes`]).

use super::process::Process;
use super::sync::{planted, AtomicU64, Ordering};

/// The words of a zone that tell of its state file. Zeros: nothing is written, and nobody writes.
#[derive(Clone, Copy, Debug)]
pub struct StateMarks<'z> {
    id: &'z AtomicU64,
    changes: &'z AtomicU64,
    written: &'z AtomicU64,
    writer: &'z AtomicU64,
    claimed: &'z AtomicU64,
}

impl<'z> StateMarks<'z> {
    pub(crate) fn new(words: &'z [AtomicU64]) -> Option<Self> {
        let [id, changes, written, writer, _lock, claimed, ..] = words else { return None };
        Some(Self { id, changes, written, writer, claimed })
    }

    /// What tells the zone from those before it, whose state it took over; 0: nobody said.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id.load(Ordering::Acquire)
    }

    /// Names the zone, if that was not done before. Gives whether it was this call that did.
    pub fn name(&self, id: u64) -> bool {
        self.id.compare_exchange(0, id, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Whether the file was made that of this zone, once: later, it may be that of a successor.
    #[must_use]
    pub fn is_claimed(&self) -> bool {
        self.claimed.load(Ordering::Acquire) != 0
    }

    /// The file is that of this zone now.
    pub fn set_claimed(&self) {
        self.claimed.store(1, Ordering::Release);
    }

    /// Something has changed that is to be written.
    pub fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// How many changes were noted: to be read before the zone is, and given to
    /// [`StateMarks::set_written`]. Whoever notes one after that sees all that the caller did before.
    #[must_use]
    pub fn changes(&self) -> u64 {
        if planted!(GlancedChanges) {
            return self.changes.load(Ordering::Acquire);
        }
        // A load might give the number of before, while the other's load of the promise does so, too.
        self.changes.fetch_add(0, Ordering::AcqRel)
    }

    /// Whether this process, which has noted its changes, may leave it to another one to write them.
    pub fn are_others_to_write(&self, me: Process, is_alive: impl Fn(Process) -> bool) -> bool {
        self.writer().is_some_and(|writer| writer != me && is_alive(writer))
    }

    /// Whether all changes that were noted are in the file.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.written.load(Ordering::Acquire) == self.changes()
    }

    /// So many changes are in the file. Only for the one who has the right to write it.
    pub fn set_written(&self, changes: u64) {
        self.written.store(changes, Ordering::Release);
    }

    /// The process that will write what is noted until now, if it lives; `None`: nobody promised.
    #[must_use]
    pub fn writer(&self) -> Option<Process> {
        Process::of(self.writer.load(Ordering::Acquire))
    }

    /// Promises to write, at least once after the promise is [taken back](StateMarks::resign).
    pub fn promise(&self, me: Process) {
        self.writer.store(me.word(), Ordering::Release);
    }

    /// Takes the promise back, if it is this process's.
    pub fn resign(&self, me: Process) {
        let _ = self.writer.compare_exchange(me.word(), 0, Ordering::AcqRel, Ordering::Acquire);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_written_or_still_to_be_written() {
        let words: Vec<_> = (0..6).map(|_| AtomicU64::new(0)).collect();
        let marks = StateMarks::new(&words).unwrap();
        assert!(marks.is_written());
        marks.note_change();
        assert!(!marks.is_written());
        let seen = marks.changes();
        // While the zone is read.
        marks.note_change();
        marks.set_written(seen);
        assert!(!marks.is_written());
        marks.set_written(marks.changes());
        assert!(marks.is_written());
    }

    #[test]
    fn a_promise_is_taken_back_by_who_gave_it() {
        let words: Vec<_> = (0..6).map(|_| AtomicU64::new(0)).collect();
        let marks = StateMarks::new(&words).unwrap();
        let [one, other] = [1, 2].map(|pid| Process { pid, started: 5 });
        assert_eq!(marks.writer(), None);
        marks.promise(one);
        marks.resign(other);
        assert_eq!(marks.writer(), Some(one));
        marks.promise(other);
        marks.resign(one);
        assert_eq!(marks.writer(), Some(other));
        marks.resign(other);
        assert_eq!(marks.writer(), None);
    }

    #[test]
    fn a_zone_is_named_once() {
        let words: Vec<_> = (0..6).map(|_| AtomicU64::new(0)).collect();
        let marks = StateMarks::new(&words).unwrap();
        assert!(marks.name(7) && !marks.name(8));
        assert_eq!(marks.id(), 7);
        assert!(!marks.is_claimed());
        marks.set_claimed();
        assert!(marks.is_claimed());
    }

    #[test]
    fn there_must_be_room() {
        assert!(StateMarks::new(&[]).is_none());
    }
}

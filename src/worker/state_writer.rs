//! The thread that writes the state: of one worker at a time, and beside its event loop, which never waits
//! for a disk.
//!
//! A writer gets the right to write ([`Ownership`]), promises it to the other workers, and writes what has
//! changed, twice a second at most. Told to stop, it takes the promise back, writes a last time, and gives
//! the right back; the worker looks now and then whether it has ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tollgate_core::limits::{Now, Process};
use tollgate_core::metrics::Counter;

use crate::clock::precise_now;
use crate::observed::{self, Noted};
use crate::zone::lock::is_alive;
use crate::zone::state_file::{Identity, Ownership, StateError, StateFile};
use crate::zone::stated::Stated;
use nginx::log::cycle_error;
use nginx::process;

/// Between the beginnings of two writes.
const INTERVAL: Duration = Duration::from_millis(400);
/// Between two looks whether the file is still there, while nothing changes.
const LOOK: Duration = Duration::from_secs(2);
/// How long the right to write is waited for: another writer may be about to write a last time.
const OWN_PATIENCE: Duration = Duration::from_secs(10);
const OWN_PAUSE: Duration = Duration::from_millis(50);
/// Seconds by which the wall clock may drift from the monotonic one until both are written again.
const DRIFT: i64 = 2;

/// What is written, and for whom.
#[derive(Clone)]
pub(crate) struct Subject<Z> {
    pub(crate) zone: Z,
    pub(crate) file: Arc<StateFile>,
    pub(crate) me: Process,
}

/// Why a writer has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was told to.
    Done,
    /// Another process writes.
    Busy,
    /// The file is that of another zone.
    Superseded,
}

/// A writer's thread.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    thread: JoinHandle<Result<End, StateError>>,
}

#[derive(Default)]
struct Shared {
    orders: Mutex<Orders>,
    given: Condvar,
    /// It has the right to write.
    is_owner: AtomicBool,
    /// The last write has failed.
    failing: AtomicBool,
}

#[derive(Clone, Copy, Default)]
struct Orders {
    stop: bool,
    write: bool,
}

impl Writer {
    /// Starts to write, as soon as no other process does. `takes_over`: also where the file is that of
    /// another zone.
    pub(crate) fn start<Z: Stated>(
        subject: &Subject<Z>,
        takes_over: bool,
    ) -> Result<Self, StateError> {
        let shared = Arc::new(Shared::default());
        let thread = process::spawn(Z::THREAD, {
            let (shared, subject) = (Arc::clone(&shared), subject.clone());
            move || shared.run(&subject, takes_over)
        });
        let thread = thread.map_err(subject.file.error("start a thread for"))?;
        Ok(Self { shared, thread })
    }

    /// Something has changed.
    pub(crate) fn nudge(&self) {
        self.order(|orders| !std::mem::replace(&mut orders.write, true));
    }

    /// Has it write a last time, and end.
    pub(crate) fn stop(&self) {
        self.order(|orders| !std::mem::replace(&mut orders.stop, true));
    }

    fn order(&self, change: impl FnOnce(&mut Orders) -> bool) {
        // The lock is held for a moment only, and never while anything is written.
        if change(&mut self.shared.orders.lock()) {
            self.shared.given.notify_all();
        }
    }

    /// Whether it has had the right to write.
    pub(crate) fn was_owner(&self) -> bool {
        self.shared.is_owner.load(Ordering::Relaxed)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Why it has ended; to be asked when it has, as it is waited for otherwise.
    pub(crate) fn end(self) -> Result<End, StateError> {
        // Its panic, if it was one, has been logged.
        self.thread.join().unwrap_or(Ok(End::Busy))
    }
}

/// What of the file is known to whoever writes it.
#[derive(Default)]
struct Known {
    file: Option<Identity>,
    /// Seconds of the wall clock at the start of the monotonic one.
    epoch: Option<i64>,
}

impl Shared {
    fn run<Z: Stated>(&self, subject: &Subject<Z>, takes_over: bool) -> Result<End, StateError> {
        let marks = subject.zone.marks();
        let patience = if takes_over { Duration::ZERO } else { OWN_PATIENCE };
        let Some(ownership) = own(subject, patience)? else { return Ok(End::Busy) };
        if takes_over || !marks.is_claimed() {
            // What comes of it shows when it is written.
            if subject.file.claim(marks.id()).is_ok() {
                marks.set_claimed();
            }
        }
        if !is_ours(&ownership, subject) {
            return Ok(End::Superseded);
        }
        marks.promise(subject.me);
        self.is_owner.store(true, Ordering::Relaxed);
        let mut known = Known::default();
        loop {
            let stop = self.wait(!marks.is_written());
            if stop {
                // Before the zone is read: who noted a change until now may rely on the promise.
                marks.resign(subject.me);
            }
            let is_ours = is_ours(&ownership, subject);
            if is_ours && (!marks.is_written() || known.is_outdated(subject)) {
                self.write(subject, &mut known);
            }
            if stop || !is_ours {
                marks.resign(subject.me);
                return Ok(if is_ours { End::Done } else { End::Superseded });
            }
        }
    }

    /// Until there is something to do; whether it is to stop.
    fn wait(&self, is_due: bool) -> bool {
        let mut orders = self.orders.lock();
        let begun = Instant::now();
        if !is_due && !orders.write && !orders.stop {
            self.given.wait_for(&mut orders, LOOK);
        }
        // Not more often than that, whatever is ordered.
        while !orders.stop && (is_due || orders.write) {
            let left = INTERVAL.saturating_sub(begun.elapsed());
            if left.is_zero() || self.given.wait_for(&mut orders, left).timed_out() {
                break;
            }
        }
        orders.write = false;
        orders.stop
    }

    fn write<Z: Stated>(&self, subject: &Subject<Z>, known: &mut Known) {
        let Subject { zone, file: state, .. } = subject;
        let marks = zone.marks();
        let changes = marks.changes();
        let begun = precise_now();
        let written = state.write(|file| zone.write(state, file));
        let failed = written.is_err();
        let counter = if failed { Counter::StateFailed } else { Counter::StateWritten };
        observed::note(Noted::Count(counter, 1));
        if !failed {
            marks.set_written(changes);
            *known = Known { file: state.identity(), epoch: Some(epoch(begun)) };
        }
        // Said once, until it works again. nginx's log is one write to a file, from any thread.
        if failed != self.failing.swap(failed, Ordering::Relaxed) {
            match written {
                Err(error) => cycle_error(format_args!("tollgate: {error}")),
                Ok(()) => cycle_error(format_args!("tollgate: {state} is written again")),
            }
        }
    }
}

/// Waits for the right to write; `None`: another process has it, and has promised to write this zone, or
/// that took too long.
fn own<Z: Stated>(
    subject: &Subject<Z>,
    patience: Duration,
) -> Result<Option<Ownership>, StateError> {
    let begun = Instant::now();
    let marks = subject.zone.marks();
    loop {
        if let Some(ownership) = subject.file.own()? {
            return Ok(Some(ownership));
        }
        let is_promised = marks.writer().is_some_and(is_alive);
        // Who writes now writes another zone, and goes on with it.
        let is_superseded =
            marks.is_claimed() && subject.file.zone().is_some_and(|zone| zone != marks.id());
        if is_promised || is_superseded || begun.elapsed() >= patience {
            return Ok(None);
        }
        std::thread::sleep(OWN_PAUSE);
    }
}

/// Whether the file is to hold the state of this zone. If nobody said, it is.
fn is_ours<Z: Stated>(ownership: &Ownership, subject: &Subject<Z>) -> bool {
    let id = subject.zone.marks().id();
    ownership.zone().is_none_or(|zone| zone == id || zone == 0)
}

impl Known {
    /// Whether the file is not what was written, or its clocks are not those of today. A snapshot of long
    /// ago is as good as one of now, as long as the clocks tell how long ago it was made.
    fn is_outdated<Z>(&self, subject: &Subject<Z>) -> bool {
        let drift = |then: i64| epoch(precise_now()).saturating_sub(then).saturating_abs();
        self.epoch.is_none_or(|then| drift(then) > DRIFT)
            || self.file.is_none()
            || self.file != subject.file.identity()
    }
}

fn epoch(now: Now) -> i64 {
    let since = i64::try_from(now.mono.0 / 1_000_000_000).unwrap_or(i64::MAX);
    now.wall.0.saturating_sub(since)
}

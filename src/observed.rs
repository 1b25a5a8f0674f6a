//! What this worker counts, in memory that all workers share: where a configuration says that anybody looks.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nginx::process::Workers;
use nginx::shm::{Attached, Shared};
use tollgate_core::guards::Action;
use tollgate_core::limits::Process;
use tollgate_core::metrics::recorder::{Origin, Spot, TierSpot};
use tollgate_core::metrics::{Counter, Event, Family, Name, Observations, Recorder, MEMORY_WORDS};

use crate::clock::wall_now;
use crate::per_worker::PerWorker;
use nginx::tally;
use parking_lot::Mutex;

/// The memory of a configuration.
pub(crate) type SharedObservations = nginx::shm::SharedZone<Observed>;

/// What is counted, and the memory that it lies in.
pub(crate) type MappedObservations = Attached<Observed>;

/// What a configuration says of it: nothing.
#[derive(Debug)]
pub(crate) struct Observed;

/// The name of the memory, of which there is one.
pub(crate) const NAME: &str = "tollgate_metrics";
/// In bytes.
pub(crate) const SIZE: usize = MEMORY_WORDS * 8;

impl Shared for Observed {
    const DIRECTIVE: &'static str = "tollgate_metrics";
    const MEMORY: &'static str = "tollgate-metrics";
    const NUMBER: u8 = 2;

    type View<'m> = Observations<'m>;

    fn shorten<'s, 'm: 's>(view: &'s Observations<'m>) -> &'s Observations<'s> {
        view
    }

    fn is_filed(&self) -> bool {
        false
    }

    fn attach(words: &[AtomicU64]) -> Result<Observations<'_>, String> {
        Observations::attach(words).map_err(|error| error.to_string())
    }

    fn format<'m>(
        &self,
        _name: &str,
        words: &'m [AtomicU64],
        _workers: Option<&Workers>,
    ) -> Result<Observations<'m>, String> {
        Observations::format(words).map_err(|error| error.to_string())
    }

    fn ready(&self, _workers: Option<&Workers>) {}
}

/// What this worker counts with.
struct Hand {
    memory: MappedObservations,
    recorder: Recorder,
}

static HAND: PerWorker<Option<Hand>> = PerWorker::new(Option::default);

/// Whether anything is counted: so that nothing is spent where nobody looks.
static IS_ON: AtomicBool = AtomicBool::new(false);

/// The worker has come to life. `by_minute`: somebody looks at the last hour. `false`: there is no room for a further
/// process that counts.
pub(crate) fn start(
    memory: &MappedObservations,
    by_minute: bool,
    me: Process,
    is_alive: impl Fn(Process) -> bool,
) -> bool {
    memory.keep();
    let recorder = Recorder::new(memory.get(), me, is_alive);
    let hand = recorder.map(|recorder| Hand {
        memory: MappedObservations::clone(memory),
        recorder: if by_minute { recorder } else { recorder.without_minutes() },
    });
    let is_on = hand.is_some();
    HAND.with(|kept| *kept = hand);
    // What the process that this one is a copy of has counted, it counts itself.
    for tally in [&tally::PANICS, &tally::LINES_WRITTEN, &tally::LINES_LOST] {
        tally.take();
    }
    tally::when_lines_counted(count_lines);
    IS_ON.store(is_on, Ordering::Relaxed);
    is_on
}

/// The worker ends.
pub(crate) fn stop() {
    take_over();
    with(|memory, recorder| recorder.leave(memory));
    IS_ON.store(false, Ordering::Relaxed);
}

/// Whether anything is counted.
#[inline]
pub(crate) fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// Runs `f` with what this worker counts with, where it does. `f` must not call into nginx, which might call
/// us back.
#[inline]
pub(crate) fn with<T>(f: impl FnOnce(&Observations<'_>, &mut Recorder) -> T) -> Option<T> {
    if !is_on() {
        return None;
    }
    HAND.with(|hand| hand.as_mut().map(|Hand { memory, recorder }| f(memory.get(), recorder)))
}

/// Counts what is in no request.
#[inline]
pub(crate) fn count(counter: Counter) {
    with(|memory, recorder| recorder.count(memory, counter, 1));
}

/// What threads have counted, and the worker has not taken over yet.
static OF_THREADS: Mutex<Vec<Noted>> = Mutex::new(Vec::new());

/// Something that a thread counts.
#[derive(Debug)]
pub(crate) enum Noted {
    /// Of the worker, and how often.
    Count(Counter, u64),
    /// What happens rarely, with its first label.
    Event(Family, String),
}

/// Counts it in a thread, for which no request is ever to wait.
pub(crate) fn note(noted: Noted) {
    if is_on() {
        OF_THREADS.lock().push(noted);
    }
}

/// Counts what was counted elsewhere in this process until now.
pub(crate) fn take_over() {
    count_lines(tally::LINES_WRITTEN.take(), tally::LINES_LOST.take());
    count_times(Counter::Panic, tally::PANICS.take());
    let noted = OF_THREADS.try_lock().map(|mut noted| std::mem::take(&mut *noted));
    for noted in noted.into_iter().flatten() {
        match noted {
            Noted::Count(counter, times) => count_times(counter, times),
            Noted::Event(family, first) => happened(family, &first, ""),
        }
    }
}

/// Counts lines of audit logs.
fn count_lines(written: u64, lost: u64) {
    with(|memory, recorder| {
        recorder.count(memory, Counter::AuditWritten, written);
        // Nearly never.
        if lost > 0 {
            recorder.count(memory, Counter::AuditLost, lost);
        }
    });
}

fn count_times(counter: Counter, times: u64) {
    if times > 0 {
        with(|memory, recorder| recorder.count(memory, counter, times));
    }
}

/// Counts a request that has waited for the store of the cluster, for so many nanoseconds.
pub(crate) fn waited_for_store(nanos: u64) {
    count_times(Counter::StoreWaits, 1);
    count_times(Counter::StoreWaitMicros, nanos / 1_000);
}

/// Counts what happens rarely.
pub(crate) fn happened(family: Family, first: &str, second: &str) {
    with(|memory, recorder| {
        let mut name = |text| recorder.name(memory, text, Origin::Configured);
        let (first, second) = (name(first), name(second));
        memory.count_event(Event { family, first, second, third: Name::NONE }, 1);
    });
}

/// Counts what a guard found.
pub(crate) fn found(guard: &str, rule: &str, action: Action, times: u64) {
    with(|memory, recorder| recorder.found(memory, (guard, rule, action), times, wall_now()));
}

/// Where a tier's requests are counted, once this worker has looked.
#[derive(Debug, Default)]
pub(crate) struct OfTier {
    all: Cell<Option<TierSpot>>,
    /// Those for no model, at the endpoint that was asked for last.
    plain: Cell<Option<(&'static str, Spot)>>,
}

impl OfTier {
    #[inline]
    fn spot(&self, tier: &str) -> Option<TierSpot> {
        self.all.get().or_else(|| {
            let found = look_up(tier);
            self.all.set(found);
            found
        })
    }

    /// Where its requests for no model at this endpoint are counted, or else where `find` says.
    #[inline]
    pub(crate) fn plain(&self, endpoint: &'static str, find: impl FnOnce() -> Spot) -> Spot {
        match self.plain.get() {
            // Of the table there is one.
            Some((known, spot)) if std::ptr::eq(known, endpoint) => spot,
            _ => {
                let found = find();
                self.plain.set(Some((endpoint, found)));
                found
            }
        }
    }
}

#[cold]
#[inline(never)]
fn look_up(tier: &str) -> Option<TierSpot> {
    with(|memory, recorder| recorder.tier(memory, tier)).flatten()
}

/// A request that counts as one of its tier's in flight, or in the queue, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Counted {
    memory: Rc<MappedObservations>,
    spot: TierSpot,
    gauge: usize,
}

impl Counted {
    /// Where something is counted. `None`: nobody looks. `tier`: its name, and where it is counted; there may be none. `gauge` is one of those of
    /// [`tier_cells`](tollgate_core::metrics::tier_cells).
    #[inline]
    pub(crate) fn new(
        memory: Option<&Rc<MappedObservations>>,
        tier: Option<(&str, &OfTier)>,
        gauge: usize,
    ) -> Option<Self> {
        let memory = memory.filter(|_| is_on())?;
        let spot = match tier {
            Some((name, place)) => place.spot(name),
            None => look_up(""),
        };
        let spot = spot?;
        spot.add(memory.get(), gauge);
        Some(Self { memory: Rc::clone(memory), spot, gauge })
    }

    /// It has waited for so many milliseconds.
    pub(crate) fn waited(&self, ms: u64) {
        self.spot.waited(self.memory.get(), ms);
    }
}

impl Drop for Counted {
    #[inline]
    fn drop(&mut self) {
        // As long as the worker has its row.
        if is_on() {
            self.spot.take(self.memory.get(), self.gauge);
        }
    }
}

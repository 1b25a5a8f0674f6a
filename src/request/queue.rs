//! Requests that wait until their client has a concurrency slot free.
//!
//! The order is that of the zone's queue, across workers. A worker looks when one of its own requests
//! ends, and otherwise every [`POLL_MS`] as long as somebody waits.

use std::rc::Rc;

use tollgate_core::clock::MonoNanos;
/// Why a request can't wait.
pub(crate) use tollgate_core::limits::NoPlace;
use tollgate_core::limits::{Ask, ClaimLock, Holder, Key, Ranked, Take, Waiting, Zone};
use tollgate_core::metrics::tier_cells;

use crate::clock::{mono_now, now};
use crate::conf::rules::Tier;
use crate::conf::MainConf;
use crate::observed::Counted;
use crate::per_worker::PerWorker;
use crate::zone::lender::Lender;
use crate::zone::{member, Mapped};
use nginx::request::handles::Parked;
use nginx::timer::Timer;

/// Milliseconds after which a worker notices that a slot became free in another one.
const POLL_MS: u64 = 10;

static TIMER: Timer = Timer::for_requests(poll);

/// One request that waits.
#[derive(Debug)]
struct Entry {
    waiting: Waiting,
    place: Spot,
    /// Nanoseconds of the monotonic clock.
    deadline: u64,
    /// `None` while the request is being judged.
    parked: Option<Parked>,
    /// The exchange in which the store is asked for its place, where that is to be leased.
    asked: Option<u64>,
}

/// The requests of this worker that wait.
#[derive(Debug, Default)]
struct Queue {
    entries: Vec<Entry>,
    ranks: Vec<Ranked>,
}

static QUEUE: PerWorker<Queue> = PerWorker::new(Queue::default);

/// Names a place in the queue. Whoever holds one gives it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// A request's place in the queue, which it gives up with this.
pub(crate) struct Queued {
    ticket: Ticket,
    zone: Rc<Mapped>,
    /// There where anybody looks, with the time at which it began to wait, on the monotonic clock.
    counted: Option<(Counted, MonoNanos)>,
}

impl Queued {
    /// A place in the queue of this zone, of a request of this tier.
    pub(crate) fn new(
        ticket: Ticket,
        (zone, conf): (&Rc<Mapped>, &MainConf),
        tier: Option<&Rc<Tier>>,
    ) -> Box<Self> {
        let tier = tier.map(|tier| tier.of_metrics());
        let counted = Counted::new(conf.observations(), tier, tier_cells::QUEUED);
        let counted = counted.map(|counted| (counted, mono_now()));
        Box::new(Self { ticket, zone: Rc::clone(zone), counted })
    }

    /// Its name.
    pub(crate) fn ticket(&self) -> Ticket {
        self.ticket
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        leave(self.zone.get(), self.ticket);
        if let Some((counted, since)) = &self.counted {
            counted.waited(mono_now().0.saturating_sub(since.0) / 1_000_000);
        }
    }
}

/// Where a request waits, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    pub(crate) key: Key,
    /// Requests in flight at once.
    pub(crate) limit: u16,
    /// Requests that may wait.
    pub(crate) queue: usize,
    pub(crate) timeout_ms: u64,
    /// Whether the limit holds over all nodes of a cluster.
    pub(crate) is_shared: bool,
}

impl Spot {
    fn ask(&self) -> Ask {
        Ask::new(self.key, Take::Concurrency { limit: self.limit })
    }
}

/// Whether others wait already.
pub(crate) fn has_waiters(zone: &Zone<'_>, key: Key) -> bool {
    zone.queue().has_waiters(key.short())
}

/// Takes the last place.
pub(crate) fn join(zone: &Zone<'_>, lock: &impl ClaimLock, place: Spot) -> Result<Ticket, NoPlace> {
    member::with(|member| {
        let holder = member.holder.as_ref().ok_or(NoPlace::NoRoom)?;
        let waiting = zone.queue().enqueue(holder, place.key.short(), place.queue, lock)?;
        let ticket = Ticket(waiting.ticket());
        let deadline = mono_now().0.saturating_add(place.timeout_ms.saturating_mul(1_000_000));
        QUEUE.with(|queue| {
            let entry = Entry { waiting, place, deadline, parked: None, asked: None };
            queue.entries.push(entry);
        });
        Ok(ticket)
    })
}

/// Gives the place up.
fn leave(zone: &Zone<'_>, ticket: Ticket) {
    QUEUE.with(|queue| {
        let entries = &mut queue.entries;
        if let Some(index) = entries.iter().position(|entry| entry.ticket() == ticket) {
            zone.queue().leave(entries.swap_remove(index).waiting);
        }
    });
}

/// Lets the request wait until it is called again.
pub(crate) fn wait(ticket: Ticket, parked: Parked) {
    QUEUE.with(|queue| {
        if let Some(entry) = queue.entry(ticket) {
            entry.parked = Some(parked);
        }
    });
    TIMER.start(POLL_MS);
}

/// Whose turn it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nobody before it needs the slots that are free.
    Now,
    Later,
    /// It has waited for as long as it may.
    TooLate,
}

/// Whether it is the turn of this request.
pub(crate) fn turn(zone: &Zone<'_>, ticket: Ticket) -> Turn {
    let lender = Lender::of_worker();
    QUEUE.with(|queue| match queue.entry(ticket) {
        Some(entry) if entry.deadline <= mono_now().0 => Turn::TooLate,
        Some(entry) => {
            let rank = zone.queue().rank(&entry.waiting);
            if rank < free_slots(zone, lender.as_ref(), &entry.place) {
                Turn::Now
            } else {
                Turn::Later
            }
        }
        None => Turn::TooLate,
    })
}

fn free_slots(zone: &Zone<'_>, lender: Option<&Lender>, place: &Spot) -> usize {
    let (standing, _) = zone.look(&place.ask(), now());
    let free = match lender.filter(|_| place.is_shared) {
        Some(lender) => {
            let in_flight = u64::from(place.limit).saturating_sub(standing.remaining);
            lender.allows(&place.ask()).saturating_sub(in_flight).min(standing.remaining)
        }
        None => standing.remaining,
    };
    usize::try_from(free).unwrap_or(usize::MAX)
}

/// A slot may have become free.
pub(crate) fn wake() {
    if QUEUE.with(|queue| !queue.entries.is_empty()) {
        TIMER.soon();
    }
}

impl Entry {
    /// Has the store asked for a place in flight.
    fn ask_for_place(&mut self, lender: &Lender) {
        if self.place.is_shared && self.asked != Some(lender.round()) {
            self.asked = lender.ask_for(&self.place.ask());
        }
    }

    fn ticket(&self) -> Ticket {
        Ticket(self.waiting.ticket())
    }
}

impl Queue {
    fn entry(&mut self, ticket: Ticket) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.ticket() == ticket)
    }

    /// Those whose turn it is, or whose time is up.
    fn due(&mut self, zone: &Zone<'_>, holder: &Holder, lender: Option<&Lender>) -> Vec<Ticket> {
        zone.queue().ranks(holder, &mut self.ranks);
        let now = mono_now().0;
        let is_due = |entry: &&Entry| {
            let ticket = entry.waiting.ticket();
            let index = self.ranks.binary_search_by_key(&ticket, |ranked| ranked.ticket).ok();
            let rank = index.and_then(|index| self.ranks.get(index)).map(|ranked| ranked.rank);
            entry.deadline <= now
                || rank.is_none_or(|rank| rank < free_slots(zone, lender, &entry.place))
        };
        let due: Vec<_> = self.entries.iter().filter(is_due).map(Entry::ticket).collect();
        // For those who go on waiting, the store is asked in each exchange.
        if let Some(lender) = lender {
            let waits = |entry: &&mut Entry| !due.contains(&Ticket(entry.waiting.ticket()));
            for entry in self.entries.iter_mut().filter(waits) {
                entry.ask_for_place(lender);
            }
        }
        due
    }
}

/// The handler of the timer.
fn poll() {
    // First, so that a bug in what follows doesn't end it.
    if QUEUE.with(|queue| !queue.entries.is_empty()) {
        TIMER.start(POLL_MS);
    }
    #[cfg(debug_assertions)]
    crate::faults::in_timer();
    let due = member::with(|member| match (&member.zone, &member.holder) {
        (Some(zone), Some(holder)) => {
            let lender = member.leases.as_ref().map(Lender::new);
            QUEUE.with(|queue| queue.due(zone.get(), holder, lender.as_ref()))
        }
        _ => Vec::new(),
    });
    for ticket in due {
        // Judging a request calls into nginx, and may end this or another one.
        let parked = QUEUE.with(|queue| queue.entry(ticket)?.parked.take());
        if let Some(parked) = parked {
            parked.resume();
        }
    }
}

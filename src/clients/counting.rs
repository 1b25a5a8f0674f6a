//! What this worker counts of clients, in memory that all workers share: where a configuration says that
//! anybody looks.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tollgate_core::clients::{Directory, Flight, Known, Seen, Survey};
use tollgate_core::limits::Process;
use tollgate_core::principal::Principal;

use super::limits;
use crate::clock::wall_now;
use crate::conf::rules::Tier;
use crate::conf::MainConf;
use crate::zone::clients::MappedClients;
use crate::zone::lock::ZoneLock;
use crate::zone::Mapped;

/// How many clients a worker looks at in one go, for whoever wants to know who is nearest to a limit.
const PART: u32 = 2000;

/// The row of this worker in the table of the requests in flight; `usize::MAX`: it has none.
static ROW: AtomicUsize = AtomicUsize::new(usize::MAX);

/// What this worker counts in.
struct Counted {
    memory: Rc<MappedClients>,
    zone: Rc<Mapped>,
    tiers: Vec<Rc<Tier>>,
}

thread_local! {
    /// Only the thread that nginx runs in has any.
    static COUNTED: RefCell<Option<Counted>> = const { RefCell::new(None) };
}

/// The worker has come to life. `false`: there is no room for a further process that counts what is in flight.
pub(crate) fn start(conf: &MainConf, me: Process, is_alive: impl Fn(Process) -> bool) -> bool {
    let (Some(memory), Some(zone)) = (conf.clients(), conf.zone()) else { return true };
    memory.keep();
    let row = memory.get().flights().claim(me, is_alive);
    ROW.store(row.unwrap_or(usize::MAX), Ordering::Relaxed);
    let (memory, zone, tiers) = (Rc::clone(memory), Rc::clone(zone), conf.tiers.clone());
    COUNTED.set(Some(Counted { memory, zone, tiers }));
    row.is_some()
}

/// The worker ends.
pub(crate) fn stop() {
    let row = ROW.swap(usize::MAX, Ordering::Relaxed);
    if let Some(Counted { memory, .. }) = COUNTED.take() {
        if row != usize::MAX {
            memory.get().flights().clear(row);
        }
    }
}

/// Runs `f` with what a worker remembers of a client.
#[inline]
fn with_known<T>(
    directory: &Directory<'_>,
    principal: &Principal,
    f: impl FnOnce(&Known) -> T,
) -> T {
    let fresh;
    let known = match principal.known(directory.seed()) {
        Some(known) => known,
        // Another directory has come into use.
        None => {
            fresh = Known::new(directory.seed(), principal.who());
            &fresh
        }
    };
    f(known)
}

/// A request that counts as one of its client's in flight, for as long as this lives.
#[derive(Debug)]
pub(crate) struct ClientFlight {
    memory: Rc<MappedClients>,
    flight: Flight,
}

impl ClientFlight {
    /// `None`: nobody looks, or there is no room.
    #[inline]
    pub(crate) fn new(conf: &MainConf, principal: &Principal) -> Option<Self> {
        let memory = conf.clients()?;
        let row = ROW.load(Ordering::Relaxed);
        let directory = memory.get();
        let enter = |known: &Known| directory.flights().enter(row, known);
        let flight = with_known(directory, principal, enter)?;
        Some(Self { memory: Rc::clone(memory), flight })
    }
}

impl Drop for ClientFlight {
    fn drop(&mut self) {
        self.memory.get().flights().leave(self.flight);
    }
}

/// A request of a client has ended.
#[inline]
pub(crate) fn ended(conf: &MainConf, principal: &Principal, seen: &Seen) {
    let Some(memory) = conf.clients() else { return };
    let directory = memory.get();
    with_known(directory, principal, |known| {
        directory.count(known, principal.who(), seen, &ZoneLock::new(directory.lock()));
    });
}

/// Looks at some clients, while somebody wants to know who is nearest to a limit.
pub(crate) fn tick() {
    COUNTED.with_borrow(|counted| {
        let Some(Counted { memory, zone, tiers }) = counted else { return };
        let part = Survey::of(memory.get()).and_then(|survey| survey.part(wall_now(), PART));
        if let Some(part) = part {
            limits::survey(zone.get(), tiers, memory.get(), part);
        }
    });
}

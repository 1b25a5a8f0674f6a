//! What a worker does beside its requests: it takes part in the zone's ledger of processes, notices
//! when another one is gone, sees to it that somebody writes the state down, and looks at its files.
//!
//! All of that hangs on one timer. While nothing happens, a turn of it costs a look into memory.

use parking_lot::Mutex;
use tollgate_core::limits::Process;
use tollgate_core::metrics::{Counter, Part};

use crate::clients::counting;
use crate::clock::mono_now;
use crate::conf::MainConf;
use crate::observed;
use crate::overview;
use crate::request::drops;
use crate::request::queue;
use crate::request::revocation;
use crate::worker::cluster;
use crate::worker::state_keeper::Keeper;
use crate::worker::watch;
use crate::zone::lock::{is_alive, me, ZoneLock};
use crate::zone::objects::MappedObjects;
use crate::zone::revocations::{self, MappedRevocations};
use crate::zone::{member, Mapped};
use nginx::guard::guard;
use nginx::log::cycle_error;
use nginx::timer::Timer;

/// Milliseconds between two turns. What a process held that died is free within a second of its end:
/// [`SILENCE_NANOS`](tollgate_core::limits::ledger::SILENCE_NANOS), and a turn.
const TICK_MS: u64 = 200;

static TIMER: Timer = Timer::background(tick);

/// What this process was started with.
static ZONE: Mutex<Option<Upkeep>> = Mutex::new(None);

struct Upkeep {
    zone: Mapped,
    me: Process,
    state: Option<Keeper<Mapped>>,
    objects: Option<Keeper<MappedObjects>>,
    revoked: Option<Keeper<MappedRevocations>>,
}

/// The worker has come to life.
pub(crate) fn start(conf: &MainConf) {
    let Some(mapped) = conf.zone() else { return };
    let (zone, me) = (mapped.get(), me());
    let lock = ZoneLock::of(zone);
    mapped.keep();
    // An earlier process of this number is gone, whatever it held.
    let is_other = |other: Process| other != me && is_alive(other);
    zone.reclaim(tollgate_core::clock::MonoNanos(u64::MAX), is_other, &lock);
    if let Some(memory) = conf.observations() {
        if !observed::start(memory, conf.is_looked_into(), me, is_alive) {
            cycle_error(format_args!(
                "tollgate: the metrics have no room for a further worker process, whose requests are not counted"
            ));
        }
    }
    if let Some(orders) = conf.drops() {
        drops::start(orders);
    }
    if !counting::start(conf, me, is_alive) {
        cycle_error(format_args!(
            "tollgate: the directory of clients has no room for a further worker process, whose requests in flight \
             are not counted for their clients"
        ));
    }
    let holder = zone.register(me, &lock);
    if holder.is_none() {
        observed::count(Counter::ZoneFull(Part::Workers));
        cycle_error(format_args!(
            "tollgate: the zone has no room for a further worker process, which will refuse all \
             requests with a limit on concurrency; make the zone larger"
        ));
    }
    member::with(|member| (member.zone, member.holder) = (Some(Mapped::clone(mapped)), holder));
    let state = conf.state_file().map(|file| Keeper::begin(Mapped::clone(mapped), file, me));
    if let Some(whereabouts) = conf.whereabouts() {
        whereabouts.keep();
    }
    let objects = conf.objects().and_then(|(objects, content)| {
        objects.keep();
        Some(Keeper::begin(MappedObjects::clone(objects), content.state()?, me))
    });
    let revoked = conf.revocations().and_then(|(revoked, content)| {
        revocations::start(revoked);
        Some(Keeper::begin(MappedRevocations::clone(revoked), content.state()?, me))
    });
    cluster::start(conf, mapped, me);
    *ZONE.lock() = Some(Upkeep { zone: Mapped::clone(mapped), me, state, objects, revoked });
    tick();
}

/// The worker ends: what it holds is free, and the state is written a last time.
pub(crate) fn stop() {
    TIMER.stop();
    cluster::stop();
    let Some(mut upkeep) = ZONE.lock().take() else { return };
    let holder = member::with(|member| {
        member.zone = None;
        member.holder.take()
    });
    if let Some(holder) = holder {
        let zone = upkeep.zone.get();
        zone.leave(holder, &ZoneLock::of(zone));
    }
    drops::stop();
    counting::stop();
    upkeep.note_changes();
    if let Some(state) = &mut upkeep.state {
        state.finish();
    }
    if let Some(objects) = &mut upkeep.objects {
        objects.finish();
    }
    if let Some(revoked) = &mut upkeep.revoked {
        revoked.finish();
    }
    revocations::stop();
    observed::stop();
}

fn tick() {
    // First, so that a bug in what follows doesn't end it; nor does one part end the others.
    TIMER.start(TICK_MS);
    guard((), || {
        #[cfg(debug_assertions)]
        crate::faults::in_timer();
        if let Some(upkeep) = ZONE.lock().as_mut() {
            upkeep.tick();
        }
    });
    guard((), cluster::tick);
    guard((), observed::take_over);
    guard((), queue::wake);
    guard((), revocation::enforce);
    guard((), drops::enforce);
    guard((), overview::tick);
    guard((), watch::tick);
    guard((), counting::tick);
}

impl Upkeep {
    fn tick(&mut self) {
        let now = mono_now();
        let zone = self.zone.get();
        member::with(|member| {
            if let Some(holder) = &member.holder {
                zone.beat(holder, now);
            }
        });
        let is_alive = |other: Process| other == self.me || is_alive(other);
        zone.reclaim(now, is_alive, &ZoneLock::of(zone));
        self.note_changes();
        let zone = self.zone.get();
        let is_there = |other: Process| zone.ledger().knows(other);
        if let Some(state) = &mut self.state {
            state.tick(is_there);
        }
        if let Some(objects) = &mut self.objects {
            objects.tick(is_there);
        }
        if let Some(revoked) = &mut self.revoked {
            revoked.tick(is_there);
        }
    }

    /// What this process has changed in the zone is to be written.
    fn note_changes(&self) {
        if self.state.is_some() && member::take_changed() {
            self.zone.get().marks().note_change();
        }
    }
}

//! What a worker does beside its requests: it takes part in the zone's ledger of processes, notices
//! when another one is gone, and maybe writes the state down.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tollgate_core::limits::{Process, Saving, Zone};

use crate::conf::MainConf;
use crate::ffi::clock::precise_now;
use crate::ffi::log::cycle_error;
use crate::ffi::process;
use crate::ffi::shm::ZoneLock;
use crate::ffi::timer::Timer;
use crate::state_file::{StateError, StateFile};
use crate::{queue, revocation, watch, worker};

/// Milliseconds between two looks at the other processes. What one of them held is free within a
/// second of its end.
const TICK_MS: u64 = 250;

static TIMER: Timer = Timer::background(tick);

/// What this process was started with.
static ZONE: Mutex<Option<Upkeep>> = Mutex::new(None);

struct Upkeep {
    zone: Zone<'static>,
    lock: ZoneLock,
    me: Process,
    state: Option<Arc<StateFile>>,
    writer: Option<Writer>,
    /// Ticks since the process is an old one, which takes no new connections.
    exiting: u32,
    /// The state can't be written by this process, and it was said why.
    failing: bool,
}

/// Makes sure that the worker takes part in this zone. It does from its start on; but a single
/// process without a master (`master_process off`) lives through reloads, and may get another zone.
pub(crate) fn join(zone: &Zone<'static>, lock: &ZoneLock, conf: &MainConf) {
    if !worker::with(|worker| worker.zone.as_ref().is_some_and(|known| known.is_same(zone))) {
        stop();
        start(*zone, lock.clone(), conf.state_file().map(Arc::clone));
    }
    if process::is_single() {
        watch::join(conf, *zone);
    }
}

/// The worker has come to life.
pub(crate) fn start(zone: Zone<'static>, lock: ZoneLock, state: Option<Arc<StateFile>>) {
    let id = process::id();
    let me = Process { pid: id, started: started(id).unwrap_or(0) };
    // An earlier process of this number is gone, whatever it held.
    zone.reclaim(|other| other != me && is_alive(other), &lock);
    let holder = zone.register(me, &lock);
    if holder.is_none() {
        cycle_error(format_args!(
            "tollgate: the zone has no room for a further worker process, which will refuse all \
             requests with a limit on concurrency; make the zone larger"
        ));
    }
    worker::with(|worker| (worker.zone, worker.holder) = (Some(zone), holder));
    *ZONE.lock() = Some(Upkeep { zone, lock, me, state, writer: None, exiting: 0, failing: false });
    tick();
}

/// The worker ends: what it holds is free, and the state is written a last time.
pub(crate) fn stop() {
    TIMER.stop();
    let Some(mut upkeep) = ZONE.lock().take() else { return };
    let (zone, lock) = (upkeep.zone, &upkeep.lock);
    let holder = worker::with(|worker| {
        worker.zone = None;
        worker.holder.take()
    });
    if let Some(holder) = holder {
        zone.leave(holder, lock);
    }
    match (upkeep.writer.take(), &upkeep.state) {
        (Some(writer), _) => writer.finish(),
        // Maybe nobody is left to write what this process settled last.
        (None, Some(state)) => {
            if let Ok(Some(_ownership)) = state.own() {
                Shared::default().write(&zone, state);
            }
        }
        (None, None) => {}
    }
}

fn tick() {
    // First, so that a bug in what follows doesn't end it.
    TIMER.start(TICK_MS);
    #[cfg(debug_assertions)]
    crate::faults::in_timer();
    if let Some(upkeep) = ZONE.lock().as_mut() {
        upkeep.tick();
    }
    queue::wake();
    revocation::enforce();
}

impl Upkeep {
    fn tick(&mut self) {
        self.zone.reclaim(|other| other == self.me || is_alive(other), &self.lock);
        if process::is_exiting() {
            self.exiting = self.exiting.saturating_add(1);
        }
        let Some(state) = &self.state else { return };
        match (&self.writer, self.exiting) {
            (Some(_), 0) => {}
            // The state is that of the newest configuration, whose workers take over. Only if there
            // are none, as nginx is to end, an old one goes on with it.
            (Some(_), 1) => {
                if let Some(writer) = self.writer.take() {
                    writer.finish();
                }
            }
            (None, 1..PATIENCE) | (Some(_), _) => {}
            (None, _) => match Writer::start(self.zone, state) {
                Ok(writer) => (self.writer, self.failing) = (writer, false),
                Err(error) => {
                    if !std::mem::replace(&mut self.failing, true) {
                        cycle_error(format_args!("tollgate: {error}"));
                    }
                }
            },
        }
    }
}

/// Ticks that an old process leaves to newer ones.
const PATIENCE: u32 = 8;

fn is_alive(other: Process) -> bool {
    // Numbers are used again; a process that started at another time is another one.
    process::exists(other.pid)
        && (other.started == 0 || started(other.pid).is_none_or(|at| at == other.started))
}

/// When a process started, in ticks since boot: field 22 of `/proc/PID/stat` (proc(5)). `None` where
/// that can't be read.
fn started(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, behind) = stat.rsplit_once(')')?;
    let ticks: u64 = behind.split_ascii_whitespace().nth(19)?.parse().ok()?;
    u32::try_from(ticks & u64::from(u32::MAX)).ok()
}

/// The thread that writes the state: of one worker at a time, and beside its event loop.
struct Writer {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    stop: Mutex<bool>,
    changed: Condvar,
    /// The last write has failed.
    failing: AtomicBool,
}

/// How much of the zone is written in one go; a snapshot needs as much memory.
const SETS_AT_ONCE: usize = 1024;
/// Between two writes.
const INTERVAL: Duration = Duration::from_millis(500);

impl Writer {
    /// Starts to write; `None` while another process does.
    fn start(zone: Zone<'static>, state: &Arc<StateFile>) -> Result<Option<Self>, StateError> {
        let Some(ownership) = state.own()? else { return Ok(None) };
        let shared = Arc::new(Shared::default());
        let (theirs, state) = (Arc::clone(&shared), Arc::clone(state));
        let thread = process::spawn("tollgate-state", {
            let state = Arc::clone(&state);
            move || {
                theirs.run(&zone, &state);
                drop(ownership);
            }
        });
        let thread = thread.map_err(state.error("start a thread for"))?;
        Ok(Some(Self { shared, thread }))
    }

    /// Writes once more, and ends.
    fn finish(self) {
        *self.shared.stop.lock() = true;
        self.shared.changed.notify_all();
        // Its panic, if it was one, has been logged.
        let _ = self.thread.join();
    }
}

impl Shared {
    fn run(&self, zone: &Zone<'static>, state: &StateFile) {
        loop {
            let stop = {
                let mut stop = self.stop.lock();
                if !*stop {
                    self.changed.wait_for(&mut stop, INTERVAL);
                }
                *stop
            };
            self.write(zone, state);
            if stop {
                return;
            }
        }
    }

    fn write(&self, zone: &Zone<'static>, state: &StateFile) {
        let written = state.write(|file| {
            let mut bytes = Vec::new();
            let mut saving = Saving::new(*zone, precise_now(), state.boot_id(), &mut bytes);
            while !saving.step(precise_now(), SETS_AT_ONCE, &mut bytes) {
                file.write_all(&bytes)?;
                bytes.clear();
            }
            saving.finish(precise_now(), &mut bytes);
            file.write_all(&bytes)
        });
        let failed = written.is_err();
        // Said once, until it works again. nginx's log is one write to a file, from any thread.
        if failed != self.failing.swap(failed, Ordering::Relaxed) {
            match written {
                Err(error) => cycle_error(format_args!("tollgate: {error}")),
                Ok(()) => cycle_error(format_args!("tollgate: {state} is written again")),
            }
        }
    }
}

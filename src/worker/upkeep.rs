//! What a worker does beside its requests: it takes part in the zone's ledger of processes, notices
//! when another one is gone, sees to it that somebody writes the state down, and looks at its files.
//!
//! All of that hangs on one timer. While nothing happens, a turn of it costs a look into memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tollgate_core::limits::{Process, Zone};

use crate::clock::mono_now;
use crate::conf::MainConf;
use crate::random;
use crate::request::queue;
use crate::request::revocation;
use crate::worker::state_writer::{End, Subject, Writer};
use crate::worker::watch;
use crate::zone::lock::{is_alive, me, ZoneLock};
use crate::zone::state_file::{StateError, StateFile};
use crate::zone::{member, Mapped};
use nginx::guard::guard;
use nginx::log::cycle_error;
use nginx::process;
use nginx::timer::Timer;

/// Milliseconds between two turns. What a process held that died is free within a second of its end:
/// [`SILENCE_NANOS`](tollgate_core::limits::ledger::SILENCE_NANOS), and a turn.
const TICK_MS: u64 = 200;

/// Turns that an old process leaves to newer ones before it writes the state itself.
const LEAVES_TURNS: u32 = 10;

/// Turns for which an old process writes, until it sees whether a newer one is there to do so; and turns
/// that it then leaves to that one.
const WRITES_TURNS: u32 = 25;
const GIVES_WAY_TURNS: u32 = 3;

/// Turns after which a process whose zone has a successor tries whether that one is gone.
const TRIES_AGAIN_TURNS: u32 = 10;

/// How long the end of a worker may wait for the state to be written: no request does.
const EXIT_WAITS: Duration = Duration::from_secs(15);

static TIMER: Timer = Timer::background(tick);

/// What this process was started with.
static ZONE: Mutex<Option<Upkeep>> = Mutex::new(None);

struct Upkeep {
    zone: Mapped,
    me: Process,
    state: Option<Arc<StateFile>>,
    writer: Option<Writer>,
    /// Turns since the process is an old one, which takes no new connections, and since its writer has
    /// ended.
    exiting: u32,
    /// Turns for which it leaves the state to others, as they have a newer zone or it can't be written.
    pause: u32,
    /// The file was that of another zone when it was last looked at.
    superseded: bool,
    /// The state can't be written by this process, and it was said why.
    failing: bool,
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
    let holder = zone.register(me, &lock);
    if holder.is_none() {
        cycle_error(format_args!(
            "tollgate: the zone has no room for a further worker process, which will refuse all \
             requests with a limit on concurrency; make the zone larger"
        ));
    }
    member::with(|member| (member.zone, member.holder) = (Some(Mapped::clone(mapped)), holder));
    let state = conf.state_file().map(Arc::clone);
    if let Some(state) = &state {
        take_over(zone, state);
    }
    *ZONE.lock() = Some(Upkeep {
        zone: Mapped::clone(mapped),
        me,
        state,
        writer: None,
        exiting: 0,
        pause: 0,
        superseded: false,
        failing: false,
    });
    tick();
}

/// The first worker of a zone makes the file that of its zone: whoever wrote it before gives way.
fn take_over(zone: &Zone<'_>, state: &StateFile) {
    let marks = zone.marks();
    let id = random::key()
        .map_or(0, |key| key.iter().take(8).fold(0u64, |id, byte| id << 8 | u64::from(*byte)));
    marks.name(id.max(1));
    // Why that failed, is told by whoever writes.
    if !marks.is_claimed() && state.claim(marks.id()).is_ok() {
        marks.set_claimed();
    }
    // What a worker did that was killed may not be noted.
    marks.note_change();
}

/// The worker ends: what it holds is free, and the state is written a last time.
pub(crate) fn stop() {
    TIMER.stop();
    let Some(mut upkeep) = ZONE.lock().take() else { return };
    let holder = member::with(|member| {
        member.zone = None;
        member.holder.take()
    });
    if let Some(holder) = holder {
        let zone = upkeep.zone.get();
        zone.leave(holder, &ZoneLock::of(zone));
    }
    if upkeep.state.is_some() {
        upkeep.finish();
    }
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
    guard((), queue::wake);
    guard((), revocation::enforce);
    guard((), watch::tick);
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
        if process::is_exiting() {
            self.exiting = self.exiting.saturating_add(1);
        }
        self.see_to_state();
    }

    fn subject(&self) -> Option<Subject> {
        Some(Subject { zone: self.zone.clone(), file: self.state.clone()?, me: self.me })
    }

    /// Sees to it that one process writes the state. Waits for nothing.
    fn see_to_state(&mut self) {
        let Some(subject) = self.subject() else { return };
        let zone = subject.zone.get();
        let marks = zone.marks();
        if member::take_changed() {
            marks.note_change();
        }
        if let Some(writer) = self.writer.take_if(|writer| writer.has_ended()) {
            match writer.end() {
                Ok(End::Done) => self.leave_to_others(),
                Ok(End::Busy) => self.pause = TRIES_AGAIN_TURNS,
                Ok(End::Superseded) => (self.superseded, self.pause) = (true, TRIES_AGAIN_TURNS),
                Err(error) => self.fail(&error),
            }
        }
        if let Some(writer) = &self.writer {
            if writer.was_owner() {
                (self.superseded, self.failing) = (false, false);
            }
            match self.exiting {
                // The state is that of the newest configuration, whose workers take over. Only if there
                // are none, as nginx is to end, an old one goes on with it. One that came too late gets
                // its turn.
                1 => writer.stop(),
                turns if turns >= LEAVES_TURNS + WRITES_TURNS => writer.stop(),
                _ if !marks.is_written() => writer.nudge(),
                _ => {}
            }
            return;
        }
        if self.pause > 0 {
            self.pause = self.pause.saturating_sub(1);
            return;
        }
        // An old process of a zone that has a successor has nothing to write; what it still charges is
        // charged in its own zone.
        let may_write = self.exiting == 0 || self.exiting >= LEAVES_TURNS && !self.superseded;
        let is_promised = marks.are_others_to_write(self.me, |w| zone.ledger().knows(w));
        if !may_write || is_promised {
            return;
        }
        match Writer::start(&subject, self.superseded) {
            Ok(writer) => self.writer = Some(writer),
            Err(error) => self.fail(&error),
        }
    }

    /// The writer has ended as it was told to. Newer processes, which look once in a turn, have some time
    /// from now on to take over, however long the last write took.
    fn leave_to_others(&mut self) {
        self.exiting = match self.exiting {
            0 => 0,
            turns if turns >= LEAVES_TURNS + WRITES_TURNS => LEAVES_TURNS - GIVES_WAY_TURNS,
            _ => 1,
        };
    }

    fn fail(&mut self, error: &StateError) {
        self.pause = TRIES_AGAIN_TURNS;
        // Said once, until it works again.
        if !std::mem::replace(&mut self.failing, true) {
            cycle_error(format_args!("tollgate: {error}"));
        }
    }

    /// Has what was settled last written, by whoever is left.
    fn finish(&mut self) {
        let marks = self.zone.get().marks();
        if member::take_changed() {
            marks.note_change();
        }
        // One that has ended by itself writes nothing any more.
        drop(self.writer.take_if(|writer| writer.has_ended()));
        if self.writer.is_none() {
            let is_written = marks.is_written() || marks.are_others_to_write(self.me, is_alive);
            if !is_written {
                self.writer =
                    self.subject().and_then(|subject| Writer::start(&subject, false).ok());
            }
        }
        let Some(writer) = self.writer.take() else { return };
        writer.stop();
        let begun = Instant::now();
        while !writer.has_ended() && begun.elapsed() < EXIT_WAITS {
            std::thread::sleep(Duration::from_millis(5));
        }
        if writer.has_ended() {
            if let Err(error) = writer.end() {
                self.fail(&error);
            }
        }
    }
}

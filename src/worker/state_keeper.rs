//! A worker's part in keeping something in a file: it sees to it that one process writes it down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tollgate_core::limits::Process;

use crate::random;
use crate::worker::state_writer::{End, Subject, Writer};
use crate::zone::lock::is_alive;
use crate::zone::state_file::{StateError, StateFile};
use crate::zone::stated::Stated;
use nginx::log::cycle_error;
use nginx::process;

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

/// What is kept in a file, and this process's part in that.
pub(crate) struct Keeper<Z: Stated> {
    subject: Subject<Z>,
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

impl<Z: Stated> Keeper<Z> {
    /// The process begins to take part. The first one of a zone makes the file that of its zone: whoever wrote
    /// it before gives way.
    pub(crate) fn begin(zone: Z, file: &Arc<StateFile>, me: Process) -> Self {
        let marks = zone.marks();
        let id = random::key()
            .map_or(0, |key| key.iter().take(8).fold(0u64, |id, byte| id << 8 | u64::from(*byte)));
        marks.name(id.max(1));
        // Why that failed, is told by whoever writes.
        if !marks.is_claimed() && file.claim(marks.id()).is_ok() {
            marks.set_claimed();
        }
        // What a worker did that was killed may not be noted.
        marks.note_change();
        let subject = Subject { zone, file: Arc::clone(file), me };
        let (exiting, pause) = (0, 0);
        Self { subject, writer: None, exiting, pause, superseded: false, failing: false }
    }

    /// Sees to it that one process writes the state. Waits for nothing. `is_there` tells whether a process takes part.
    pub(crate) fn tick(&mut self, is_there: impl Fn(Process) -> bool) {
        if process::is_exiting() {
            self.exiting = self.exiting.saturating_add(1);
        }
        if let Some(writer) = self.writer.take_if(|writer| writer.has_ended()) {
            match writer.end() {
                Ok(End::Done) => self.leave_to_others(),
                Ok(End::Busy) => self.pause = TRIES_AGAIN_TURNS,
                Ok(End::Superseded) => (self.superseded, self.pause) = (true, TRIES_AGAIN_TURNS),
                Err(error) => self.fail(&error),
            }
        }
        let marks = self.subject.zone.marks();
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
        let is_promised = marks.are_others_to_write(self.subject.me, is_there);
        if !may_write || is_promised {
            return;
        }
        match Writer::start(&self.subject, self.superseded) {
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
    pub(crate) fn finish(&mut self) {
        let marks = self.subject.zone.marks();
        // One that has ended by itself writes nothing any more.
        drop(self.writer.take_if(|writer| writer.has_ended()));
        if self.writer.is_none() {
            let is_written =
                marks.is_written() || marks.are_others_to_write(self.subject.me, is_alive);
            if !is_written {
                self.writer = Writer::start(&self.subject, false).ok();
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

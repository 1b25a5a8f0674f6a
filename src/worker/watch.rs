//! A worker looks at its files, now and then.
//!
//! It does so between requests, as a look is no more than a few `stat(2)`. What there is to do when
//! something has changed is the work of a thread, which ends with it: a process without threads
//! allocates and writes with fewer instructions.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;

use crate::clock::mono_now;
use crate::conf::MainConf;
use crate::keys::live::{Due, Follow, Watched};
use crate::overview::status_file;
use crate::zone::Mapped;
use nginx::guard::guard;
use nginx::log::cycle_error;
use nginx::process;
use nginx::timer::Timer;

/// Milliseconds between two looks at the same files, whichever worker it is that looks. A change is seen
/// after this, or a turn of [`crate::upkeep`] where there are few workers; and it is in force in all of
/// them after another turn, and the time that reading it takes.
const LOOK_MS: u64 = 90;

/// Milliseconds until a worker looks again that has something under way.
const SOON_MS: u64 = 25;

/// For what can't wait for the next turn.
static TIMER: Timer = Timer::background(tick);

static WATCH: Mutex<Option<Watch>> = Mutex::new(None);

thread_local! {
    /// The same files, as requests see them. Only the thread that nginx runs in has any.
    static LIVE: RefCell<Vec<Rc<dyn Follow>>> = const { RefCell::new(Vec::new()) };
}

struct Watch {
    /// With its memory: a thread may outlive the configuration.
    zone: Mapped,
    files: Arc<[Arc<dyn Watched>]>,
    thread: Option<JoinHandle<()>>,
    /// It was said that there are no threads to be had.
    failing: bool,
}

/// Takes over the files of a configuration in this process.
pub(crate) fn start(conf: &MainConf) {
    let Some(zone) = conf.zone() else { return };
    for live in conf.live() {
        live.enter();
    }
    let files = conf.live().iter().map(|live| live.watched()).collect();
    LIVE.set(conf.live().to_vec());
    status_file::beat(conf.live());
    *WATCH.lock() = Some(Watch { zone: Mapped::clone(zone), files, thread: None, failing: false });
}

/// The worker ends, or has another configuration. Its thread, if there is one, ends by itself: nobody
/// waits for it, as it may wait for a disk.
pub(crate) fn stop() {
    TIMER.stop();
    LIVE.take();
    drop(WATCH.lock().take());
}

/// A turn of the worker.
pub(crate) fn tick() {
    #[cfg(debug_assertions)]
    crate::faults::in_timer();
    LIVE.with_borrow(|live| {
        live.iter().for_each(|live| live.catch_up());
        status_file::beat(live);
    });
    let is_busy = WATCH.lock().as_mut().is_some_and(Watch::look);
    if is_busy {
        TIMER.start(SOON_MS);
    }
}

impl Watch {
    /// Looks at the files; whether it should be done again soon.
    fn look(&mut self) -> bool {
        if let Some(thread) = self.thread.take_if(|thread| thread.is_finished()) {
            // Its panic, if it was one, has been logged.
            let _ = thread.join();
        }
        if self.thread.is_some() {
            return true;
        }
        let now_ms = mono_now().0 / 1_000_000;
        let due = self.files.iter().map(|files| files.is_due(now_ms, LOOK_MS));
        match due.fold(Due::Not, Due::max) {
            Due::Not => return false,
            Due::Soon => return true,
            Due::Now => {}
        }
        let (files, zone) = (Arc::clone(&self.files), self.zone.clone());
        let thread = process::spawn("tollgate-files", move || {
            for files in files.iter() {
                // A bug with one must not end the others.
                guard((), || files.follow_up(zone.get()));
            }
        });
        match thread {
            Ok(thread) => {
                (self.thread, self.failing) = (Some(thread), false);
                true
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    cycle_error(format_args!(
                        "tollgate: cannot start a thread: {error}; changes of files of keys and guards are \
                         not in force in this worker"
                    ));
                }
                false
            }
        }
    }
}

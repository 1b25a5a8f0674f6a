//! A worker looks at its files, now and then.
//!
//! It does so between requests, as a look is no more than a few `stat(2)`. What there is to do when
//! something has changed is the work of a thread, which ends with it: a process without threads
//! allocates and writes with fewer instructions.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tollgate_core::limits::Zone;

use crate::conf::MainConf;
use crate::ffi::guard::guard;
use crate::ffi::log::cycle_error;
use crate::ffi::process;
use crate::ffi::timer::Timer;
use crate::live::{Follow, Watched};
use crate::status;

/// Milliseconds between two looks. A change is in force in all workers after two of them, at most, and
/// the time that reading it takes.
const INTERVAL_MS: u64 = 100;

/// How long the end of a worker may wait for its thread, which may be waiting for a disk.
const PATIENCE: Duration = Duration::from_secs(3);

static TIMER: Timer = Timer::background(tick);

static WATCH: Mutex<Option<Watch>> = Mutex::new(None);

thread_local! {
    /// The same files, as requests see them. Only the thread that nginx runs in has any.
    static LIVE: RefCell<Vec<Rc<dyn Follow>>> = const { RefCell::new(Vec::new()) };
}

struct Watch {
    /// The configuration whose files they are.
    conf: u64,
    zone: Zone<'static>,
    files: Arc<[Arc<dyn Watched>]>,
    thread: Option<JoinHandle<()>>,
    /// It was said that there are no threads to be had.
    failing: bool,
}

/// Takes over the files of a configuration in this process.
pub(crate) fn start(conf: &MainConf, zone: Zone<'static>) {
    stop();
    for live in &conf.live {
        live.enter();
    }
    let files = conf.live.iter().map(|live| live.watched()).collect();
    LIVE.set(conf.live.clone());
    status::beat(&conf.live);
    *WATCH.lock() = Some(Watch { conf: conf.id, zone, files, thread: None, failing: false });
    TIMER.start(INTERVAL_MS);
}

/// Makes sure that it is the files of this configuration that are watched, or of a later one: a single
/// process without a master (`master_process off`) lives through reloads.
pub(crate) fn join(conf: &MainConf, zone: Zone<'static>) {
    let is_known = WATCH.lock().as_ref().is_some_and(|watch| watch.conf >= conf.id);
    if !is_known {
        start(conf, zone);
    }
}

/// The worker ends, or has another configuration.
pub(crate) fn stop() {
    TIMER.stop();
    LIVE.take();
    let Some(mut watch) = WATCH.lock().take() else { return };
    let Some(thread) = watch.thread.take() else { return };
    let begun = Instant::now();
    while !thread.is_finished() && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
    }
    if thread.is_finished() {
        // Its panic, if it was one, has been logged.
        let _ = thread.join();
    }
}

fn tick() {
    // First, so that a bug in what follows doesn't end it.
    TIMER.start(INTERVAL_MS);
    #[cfg(debug_assertions)]
    crate::faults::in_timer();
    LIVE.with_borrow(|live| {
        live.iter().for_each(|live| live.catch_up());
        status::beat(live);
    });
    if let Some(watch) = WATCH.lock().as_mut() {
        watch.look();
    }
}

impl Watch {
    fn look(&mut self) {
        if let Some(thread) = self.thread.take_if(|thread| thread.is_finished()) {
            // Its panic, if it was one, has been logged.
            let _ = thread.join();
        }
        if self.thread.is_some() || !self.files.iter().any(|files| files.is_due()) {
            return;
        }
        let (files, zone) = (Arc::clone(&self.files), self.zone);
        let thread = process::spawn("tollgate-files", move || {
            for files in files.iter() {
                // A bug with one must not end the others.
                guard((), || files.follow_up(&zone));
            }
        });
        match thread {
            Ok(thread) => (self.thread, self.failing) = (Some(thread), false),
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    cycle_error(format_args!(
                        "tollgate: cannot start a thread: {error}; changes of keys files are not \
                         in force in this worker"
                    ));
                }
            }
        }
    }
}

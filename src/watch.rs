//! The thread of a worker that looks at files.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tollgate_core::limits::Zone;

use crate::conf::MainConf;
use crate::ffi::guard::guard;
use crate::ffi::log::cycle_error;
use crate::ffi::process;
use crate::live::Watched;

/// Between two looks. A change is in force in all workers after two of them, at most, and the time that
/// reading it takes.
const INTERVAL: Duration = Duration::from_millis(100);

/// How long the end of a worker may wait for its thread, which may be waiting for a disk.
const PATIENCE: Duration = Duration::from_secs(3);

static WATCH: Mutex<Option<Watch>> = Mutex::new(None);

struct Watch {
    /// The configuration whose files they are.
    conf: u64,
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    life: Mutex<Life>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Life {
    #[default]
    Watching,
    /// It is to end.
    Stopping,
    Ended,
}

/// Takes over the files of a configuration in this process.
pub(crate) fn start(conf: &MainConf, zone: Zone<'static>) {
    stop();
    for live in &conf.live {
        live.enter();
    }
    let watched: Vec<Arc<dyn Watched>> = conf.live.iter().map(|live| live.watched()).collect();
    let shared = Arc::new(Shared::default());
    let theirs = Arc::clone(&shared);
    let thread = process::spawn("tollgate-files", move || {
        guard((), || theirs.run(&watched, &zone));
        drop(watched);
        *theirs.life.lock() = Life::Ended;
        theirs.changed.notify_all();
    });
    match thread {
        Ok(thread) => *WATCH.lock() = Some(Watch { conf: conf.id, shared, thread }),
        Err(error) => cycle_error(format_args!(
            "tollgate: cannot start a thread: {error}; changes of keys files are in force only \
             after a reload"
        )),
    }
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
    let Some(watch) = WATCH.lock().take() else { return };
    let mut life = watch.shared.life.lock();
    if *life == Life::Watching {
        *life = Life::Stopping;
        watch.shared.changed.notify_all();
        watch.shared.changed.wait_while_for(&mut life, |life| *life != Life::Ended, PATIENCE);
    }
    if *life == Life::Ended {
        drop(life);
        // Its panic, if it was one, has been logged.
        let _ = watch.thread.join();
    }
}

impl Shared {
    fn run(&self, watched: &[Arc<dyn Watched>], zone: &Zone<'static>) {
        loop {
            {
                let mut life = self.life.lock();
                if *life == Life::Watching {
                    self.changed.wait_for(&mut life, INTERVAL);
                }
                if *life != Life::Watching {
                    return;
                }
            }
            for files in watched {
                // A bug with one must not end the others.
                guard((), || files.look(zone));
            }
        }
    }
}

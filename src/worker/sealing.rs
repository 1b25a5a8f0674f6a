//! A worker's part in the sealed logs: it begins a chain in each, seals where nothing happens, and writes
//! manifests.

use std::cell::RefCell;
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;

use crate::clock::{mono_now, wall_ms, wall_now};
use crate::conf::MainConf;
use crate::zone::lock::{is_alive, me, ZoneLock};
use crate::zone::seals::{MappedSeals, SealedLog};
use nginx::file::{Closing, LogFile, Seal};
use nginx::log::cycle_error;
use nginx::timer::Timer;
use tollgate_core::audit::seal::{self, Sealer, Seals, Stamp, CLOCK_AT, INTERVAL_MS};
use tollgate_core::clock::UnixMillis;

/// Milliseconds until the first manifest: by then, all workers of a configuration have begun their chains.
const FIRST_MS: u64 = 1000;

static TIMER: Timer = Timer::background(tick);

thread_local! {
    /// The sealed logs of this worker. Only the thread that nginx runs in has any.
    static CHAINS: RefCell<Vec<Chain>> = const { RefCell::new(Vec::new()) };
}

/// This worker's chain in a log.
struct Chain {
    log: Rc<LogFile>,
    part: Part,
}

/// What the log has of it as well.
#[derive(Clone, Debug)]
struct Part {
    sealer: Rc<RefCell<Sealer>>,
    seals: Rc<MappedSeals>,
    sealed: Rc<nginx::shm::SharedZone<SealedLog>>,
}

/// The worker has come to life.
pub(crate) fn start(conf: &MainConf) {
    let chains = conf.sealed_logs().filter_map(|(log, sealed)| {
        let seals = sealed.get()?;
        seals.keep();
        Chain::begin(log, seals, sealed)
    });
    let chains: Vec<_> = chains.collect();
    if !chains.is_empty() {
        TIMER.start(FIRST_MS);
    }
    CHAINS.set(chains);
}

/// The worker ends. What waits was sealed already, for the last time.
pub(crate) fn stop() {
    TIMER.stop();
    CHAINS.take();
}

fn tick() {
    // First, so that a bug in what follows doesn't end it.
    TIMER.start(INTERVAL_MS);
    CHAINS.with_borrow(|chains| chains.iter().for_each(Chain::tick));
}

fn stamp() -> Stamp {
    Stamp { time: wall_now(), up_ms: mono_now().0 / 1_000_000 }
}

/// Has the clock go on, in memory and in the file of the key: the key before is gone.
fn go_on(seals: &Seals<'_>, content: &SealedLog) {
    let Some(bytes) = seals.go_on(&ZoneLock::new(seals.lock()), UnixMillis(wall_ms())) else {
        return;
    };
    let written = content.files().map(|files| files.key.write_all_at(&bytes, CLOCK_AT as u64));
    if let Some(Err(error)) = written {
        cycle_error(format_args!("tollgate: cannot write \"{}\": {error}", content.path()));
    }
}

impl Chain {
    fn begin(
        log: &Rc<LogFile>,
        seals: &Rc<MappedSeals>,
        sealed: &Rc<nginx::shm::SharedZone<SealedLog>>,
    ) -> Option<Self> {
        let view = seals.get();
        let content = sealed.content();
        go_on(view, content);
        let sealer = match Sealer::begin(
            view,
            &ZoneLock::new(view.lock()),
            me(),
            content.id().clone(),
        ) {
            Ok(sealer) => sealer,
            Err(error) => {
                cycle_error(format_args!(
                    "tollgate: the memory of \"seal={}\" {error}; the lines of this worker are not sealed",
                    content.path()
                ));
                return None;
            }
        };
        let opening = sealer.opening(view, stamp(), content.signer());
        let part = Part {
            sealer: Rc::new(RefCell::new(sealer)),
            seals: Rc::clone(seals),
            sealed: Rc::clone(sealed),
        };
        // If the worker is killed before its first seal, the next one should know of the chain.
        part.save(false);
        log.seal_by(Box::new(part.clone()));
        log.append_own(|out| out.extend_from_slice(&opening));
        log.seal();
        Some(Self { log: Rc::clone(log), part })
    }

    fn tick(&self) {
        let Part { sealer, seals, sealed } = &self.part;
        let view = seals.get();
        go_on(view, sealed.content());
        let line = {
            let mut sealer = sealer.borrow_mut();
            sealer.manifest(view, stamp(), sealed.content().signer(), me(), is_alive)
        };
        if let Some(line) = line {
            if !self.log.append_own(|out| out.extend_from_slice(&line)) {
                sealer.borrow_mut().give_up_manifest(view);
            }
        }
        self.log.seal();
    }
}

impl Part {
    /// Tells the file how far the chain has come; or `all` of the chains.
    fn save(&self, all: bool) {
        let Some(files) = self.sealed.content().files() else { return };
        let file = &files.heads;
        let view = self.seals.get();
        let written = match all {
            true => file.write_all_at(&view.to_file(), 0),
            false => {
                let (at, bytes) = view.slot_to_file(self.sealer.borrow().slot());
                file.write_all_at(&bytes, at)
            }
        };
        // Where the disk is full, so is that of the log, most often, and it says so.
        drop(written);
    }
}

impl Seal for Part {
    #[inline]
    fn add(&mut self, lines: &mut Vec<u8>, start: usize) -> bool {
        self.sealer.borrow_mut().add(self.seals.get(), lines, start)
    }

    fn lose(&mut self, lines: u64) {
        self.sealer.borrow_mut().lose(self.seals.get(), lines);
    }

    fn opened(&mut self, device: u64, number: u64) {
        let view = self.seals.get();
        self.sealer.borrow_mut().opened(view, &ZoneLock::new(view.lock()), device, number);
    }

    fn close(&mut self, lines: &mut Vec<u8>, closing: Closing) {
        let Closing { in_pieces, is_end } = closing;
        let closing = seal::Closing { stamp: stamp(), in_pieces, is_end };
        self.sealer.borrow_mut().close(self.seals.get(), lines, &closing);
    }

    fn owes_seal(&self) -> bool {
        self.sealer.borrow().owes_seal()
    }

    fn torn(&mut self) {
        self.sealer.borrow_mut().torn();
    }

    fn written(&mut self, seals: usize) {
        let all = self.sealer.borrow_mut().written(self.seals.get(), seals);
        self.save(all);
    }
}

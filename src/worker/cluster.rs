//! A worker's part in the cluster: it sees to it that one process of the node speaks with the store.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use store_client::{Access, Config};
use tollgate_core::cluster::{times, OnLoss};
use tollgate_core::limits::Process;

use super::exchanger::Exchanger;
use super::revocations::Hearing;
use crate::clock;
use crate::conf::MainConf;
use crate::zone::leases::MappedLeases;
use crate::zone::lock::is_alive;
use crate::zone::revocations::MappedRevocations;
use crate::zone::{member, Mapped};
use nginx::log::cycle_error;
use nginx::process;
use nginx::timer::Timer;

/// Turns that an old process leaves to newer ones before it speaks with the store itself.
const LEAVES_TURNS: u32 = 3;

/// How long a new process watches for the end of an old one, which is told to end a moment after the new one has begun.
const NEWCOMER_WATCHES: Duration = Duration::from_secs(2);

/// Milliseconds between two looks meanwhile, at least.
const LOOK_MS: u64 = 5;

/// In a new process, while an old one may give the right back to speak with the store.
static WATCH: Timer = Timer::background(watch);

/// Between two looks at who has a turn, which takes less than a millisecond.
const TURN_PAUSE: Duration = Duration::from_millis(1);

/// How long the end of a worker may wait for a call to the store that is under way: its timeout, and some more.
const EXIT_WAITS: Duration = Duration::from_secs(3);

static KEEPER: Mutex<Option<Keeper>> = Mutex::new(None);

/// What the thread needs.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) zone: Mapped,
    pub(super) leases: MappedLeases,
    /// The keys that are revoked in all nodes.
    pub(super) hearing: Option<Hearing>,
    pub(super) config: Arc<Config>,
    pub(super) access: Access,
    /// How often what is given away without the store counts on this node.
    pub(super) weight: NonZeroU16,
    pub(super) me: Process,
}

impl Subject {
    /// Whether this process speaks with the store.
    pub(super) fn has_right(&self) -> bool {
        self.leases.get().right().owner() == Some(self.me)
    }

    /// Says that this process wasn't stopped while it did.
    pub(super) fn go_on(&self) {
        if self.has_right() {
            self.leases.get().right().go_on(clock::mono_now());
        }
    }

    /// Runs `f` while nobody else speaks with the store; `None`: somebody else does from now on.
    pub(super) fn in_turn<T>(&self, f: impl FnOnce() -> T) -> Option<T> {
        let pause = || std::thread::sleep(TURN_PAUSE);
        self.leases.get().right().hold(self.me, is_alive, pause, f)
    }
}

struct Keeper {
    subject: Subject,
    thread: Option<Exchanger>,
    /// Turns since the process is an old one.
    exiting: u32,
    /// When the process began.
    began: Instant,
    /// No thread could be started, and that was said.
    failing: bool,
}

/// The worker has come to life.
pub(super) fn start(conf: &MainConf, zone: &Mapped, me: Process) {
    let Some((leases, content)) = conf.cluster() else { return };
    leases.keep();
    let leases = MappedLeases::clone(leases);
    member::with(|member| {
        member.leases = Some((MappedLeases::clone(&leases), content.on_loss()));
    });
    let hearing = conf.revocations().map(|(list, _)| Hearing {
        list: MappedRevocations::clone(list),
        files: conf.live().iter().map(|live| live.watched()).collect(),
    });
    let (config, access) = (Arc::clone(content.config()), content.access().clone());
    let weight = match content.on_loss() {
        OnLoss::Share { nodes } => nodes,
        OnLoss::Local | OnLoss::Deny => NonZeroU16::MIN,
    };
    let subject =
        Subject { zone: Mapped::clone(zone), leases, hearing, config, access, weight, me };
    *KEEPER.lock() =
        Some(Keeper { subject, thread: None, exiting: 0, began: Instant::now(), failing: false });
    tick();
    watch();
}

/// Takes over at once what an old process leaves.
fn watch() {
    if let Some(keeper) = KEEPER.lock().as_mut() {
        if keeper.began.elapsed() < NEWCOMER_WATCHES {
            let exchange_ms = u64::try_from(keeper.subject.config.exchange.as_millis());
            WATCH.start((exchange_ms.unwrap_or(u64::MAX) / 4).max(LOOK_MS));
        }
        let is_left = keeper.subject.leases.get().right().owner().is_none();
        if is_left && keeper.thread.is_none() && !process::is_exiting() {
            keeper.tick();
        }
    }
}

/// A turn of the worker.
pub(super) fn tick() {
    if let Some(keeper) = KEEPER.lock().as_mut() {
        keeper.tick();
    }
}

/// The worker ends. What it has leased is for the others, or goes back when the store hears no more of the node.
pub(super) fn stop() {
    WATCH.stop();
    member::with(|member| member.leases = None);
    let Some(thread) = KEEPER.lock().take().and_then(|keeper| keeper.thread) else { return };
    thread.stop();
    let begun = Instant::now();
    while !thread.has_ended() && begun.elapsed() < EXIT_WAITS {
        std::thread::sleep(Duration::from_millis(2));
    }
    if thread.has_ended() {
        thread.end();
    }
}

impl Keeper {
    /// Whether the store was heard lately, by whichever process.
    fn is_heard(&self) -> bool {
        let heard = self.subject.leases.get().words().contact();
        heard.is_some_and(|heard| clock::mono_now().0.saturating_sub(heard.0) < times::LOST / 2)
    }

    fn tick(&mut self) {
        let words = self.subject.leases.get().words();
        clock::follow_store(words.store_us(clock::mono_now()).map(|(_, at_most)| at_most));
        if process::is_exiting() {
            self.exiting = self.exiting.saturating_add(1);
        }
        if let Some(thread) = self.thread.take_if(|thread| thread.has_ended()) {
            thread.end();
        }
        if let Some(thread) = &self.thread {
            // Newer workers take over; if there are none, an old one goes on.
            if self.exiting == 1 {
                thread.stop();
            }
            return;
        }
        let right = self.subject.leases.get().right();
        // Who is gone leaves the ledger within a second; the kernel is asked where that takes too long.
        let is_gone = |owner: Process| {
            !self.subject.zone.get().ledger().knows(owner)
                || right.is_silent(clock::mono_now())
                || !self.is_heard() && !is_alive(owner)
        };
        let me = self.subject.me;
        let is_free = right.owner().is_none_or(|owner| owner == me || is_gone(owner));
        if !is_free || (1..LEAVES_TURNS).contains(&self.exiting) {
            return;
        }
        match Exchanger::start(&self.subject) {
            Ok(thread) => (self.thread, self.failing) = (Some(thread), false),
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    cycle_error(format_args!(
                        "tollgate: cannot start a thread: {error}; the store of the cluster is not asked"
                    ));
                }
            }
        }
    }
}

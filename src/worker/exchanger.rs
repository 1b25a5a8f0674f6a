//! The thread that speaks with the store: of one worker at a time, and beside its event loop, which never waits for the
//! store.
//!
//! All that it knows is in shared memory. So when its worker dies, or a reload brings newer ones, the thread of another
//! worker goes on where it was.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use store_client::{Client, Failure, Greeted, Greeting, NodeRow};
use tollgate_core::clock::MonoNanos;
use tollgate_core::cluster::exchange::{self, Memory, Pace};
use tollgate_core::cluster::mirror::ZoneMirror;
use tollgate_core::cluster::store::DEAD_US;
use tollgate_core::cluster::times;
use tollgate_core::metrics::{Counter, ExchangeResult};

use crate::clock::{mono_now, store_now};
use crate::observed::{self, Noted};
use crate::random;
use crate::zone::lock::is_alive;
use nginx::guard::guard;
use nginx::log::{cycle_error, cycle_notice};
use nginx::process;

use super::cluster::Subject;
use super::revocations::Looked;

/// The thread.
pub(super) struct Exchanger {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    is_to_stop: Mutex<bool>,
    given: Condvar,
}

impl Exchanger {
    /// Starts it. It ends at once where another process has the right to speak with the store.
    pub(super) fn start(subject: &Subject) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = process::spawn("tollgate-store", {
            let (shared, subject) = (Arc::clone(&shared), subject.clone());
            move || shared.run(&subject)
        })?;
        Ok(Self { shared, thread })
    }

    /// Has it end, when the call is over that is under way.
    pub(super) fn stop(&self) {
        *self.shared.is_to_stop.lock() = true;
        self.shared.given.notify_all();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// To be called when it has ended, as it is waited for otherwise.
    pub(super) fn end(self) {
        // Its panic, if it was one, has been logged.
        let _ = self.thread.join();
    }
}

/// Gives the right to speak with the store back, whatever happens.
struct Right<'s>(&'s Subject);

impl Drop for Right<'_> {
    fn drop(&mut self) {
        let Self(subject) = self;
        subject.leases.get().right().resign(subject.me);
    }
}

impl Shared {
    fn run(&self, subject: &Subject) {
        if !claim(subject) {
            return;
        }
        let _right = Right(subject);
        let Ok(mut link) = Link::new(subject) else { return };
        let is_old = process::is_exiting();
        loop {
            let begun = Instant::now();
            guard((), || link.turn(subject));
            subject.go_on();
            // Without the store as well.
            guard((), || link.settle(subject));
            subject.go_on();
            let is_over = self.wait(subject.config.exchange.saturating_sub(begun.elapsed()));
            // Newer processes wait for the right when this one begins to end.
            if is_over || !subject.has_right() || process::is_exiting() != is_old {
                return;
            }
        }
    }

    /// Waits for so long; whether it is to stop.
    fn wait(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut is_to_stop = self.is_to_stop.lock();
        while !*is_to_stop && !self.given.wait_until(&mut is_to_stop, end).timed_out() {}
        *is_to_stop
    }
}

/// Takes the right; whether it did.
fn claim(subject: &Subject) -> bool {
    let right = subject.leases.get().right();
    let before = right.owner();
    if !right.claim(subject.me, mono_now(), is_alive) {
        return false;
    }
    if let Some(other) = before.filter(|other| *other != subject.me && is_alive(*other)) {
        cycle_notice(format_args!(
            "tollgate: process {} has spoken with the store of the cluster \"{}\", and is silent; this one does so now",
            other.pid, subject.config.name
        ));
    }
    true
}

/// What the thread speaks with the store through.
struct Link<'z> {
    client: Client,
    memory: Memory,
    /// The limits of this node, which show those of the store.
    mirror: ZoneMirror<'z>,
    /// When the store was greeted last, in nanoseconds of the monotonic clock.
    greeted: Option<MonoNanos>,
    /// A seed for the case that the store has none.
    seed: (u64, u64),
    /// What was looked at of the keys that are revoked in all nodes.
    looked: Looked,
    /// How long the last exchange took, in microseconds.
    lag_us: u64,
    /// When the nodes were counted last.
    counted: Option<MonoNanos>,
    /// When the last turn was.
    turned: Option<MonoNanos>,
    /// The store couldn't be reached, and that was said.
    is_failing: bool,
}

impl<'z> Link<'z> {
    fn new(subject: &'z Subject) -> Result<Self, Failure> {
        let bits = random::key().map_or(0, u128::from_ne_bytes);
        let half = |shift: u32| u64::try_from(bits >> shift & u128::from(u64::MAX)).unwrap_or(0);
        Ok(Self {
            client: Client::new(&subject.config, &subject.access)?,
            memory: Memory::default(),
            mirror: ZoneMirror::new(*subject.zone.get(), store_now()),
            greeted: None,
            seed: (half(0), half(64)),
            looked: Looked::default(),
            lag_us: 0,
            counted: None,
            turned: None,
            is_failing: false,
        })
    }

    /// Counts for how long the store is lost.
    fn note_loss(&mut self, subject: &Subject) {
        let (words, now) = (subject.leases.get().words(), mono_now());
        let heard = words.contact().unwrap_or(words.began());
        let since = self.turned.replace(now).unwrap_or(now);
        if now.0.saturating_sub(heard.0) > times::LOST {
            let lost_ms = now.0.saturating_sub(since.0) / 1_000_000;
            observed::note(Noted::Count(Counter::StoreLostMillis, lost_ms));
        }
    }

    /// One exchange, if there is something to say.
    fn turn(&mut self, subject: &Subject) {
        self.note_loss(subject);
        let outcome = self.speak(subject);
        let result = match outcome {
            Ok(None) => return,
            Ok(Some(result)) => result,
            Err(Failure::Pausing(_)) => return,
            Err(failure) => {
                self.greeted = None;
                self.tell(subject, Some(&failure));
                match failure {
                    Failure::Garbled(_) => ExchangeResult::Garbled,
                    _ => ExchangeResult::Failed,
                }
            }
        };
        for (counter, times) in Counter::of_exchange(result, self.lag_us) {
            observed::note(Noted::Count(counter, times));
        }
        if result == ExchangeResult::Done {
            self.tell(subject, None);
        }
    }

    /// What became of it; `None`: nothing was said.
    fn speak(&mut self, subject: &Subject) -> Result<Option<ExchangeResult>, Failure> {
        self.client.prepare()?;
        subject.go_on();
        let table = *subject.leases.get();
        let exchange_nanos = u64::try_from(subject.config.exchange.as_nanos()).unwrap_or(u64::MAX);
        let timeout = Duration::from_nanos(times::call_timeout(exchange_nanos));
        let now = mono_now();
        let is_due = |then: MonoNanos| now.0.saturating_sub(then.0) >= times::GREETING;
        let greeting = self.greeted.is_none_or(is_due).then(|| self.greeting(subject));
        if greeting.is_some() {
            self.memory.speak();
        }
        self.mirror.at(store_now());
        let pace = Pace { exchange: exchange_nanos, weight: subject.weight };
        let (memory, mirror) = (&mut self.memory, &mut self.mirror);
        let collect = || exchange::collect(&table, memory, mirror, pace, mono_now());
        let Some(asked) = subject.in_turn(collect).flatten() else { return Ok(None) };
        let begun = Instant::now();
        let spoken = self.client.speak(greeting.as_ref(), &asked.message, begun + timeout);
        self.lag_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        subject.go_on();
        self.mirror.at(store_now());
        let heard = spoken.exchanged.iter().map(|(call, answer)| (call, answer.as_ref().ok()));
        let (memory, mirror) = (&mut self.memory, &mut self.mirror);
        let apply = || exchange::apply(&table, memory, mirror, &asked, heard, mono_now());
        // Who was stopped meanwhile, and has lost the right, has heard nothing.
        let Some(applied) = subject.in_turn(apply) else { return Ok(None) };
        if let Some(failure) = spoken.exchanged.into_iter().find_map(|(_, answer)| answer.err()) {
            return Err(failure);
        }
        if let Some(greeted) = spoken.greeted {
            self.hear(subject, &greeted?, Instant::now() + timeout)?;
            self.greeted = Some(now);
            self.count_nodes(subject, Instant::now() + timeout);
        }
        if applied.is_whole {
            return Ok(Some(ExchangeResult::Done));
        }
        // Now it is known what time it is.
        self.memory.speak();
        Ok(Some(ExchangeResult::Stale))
    }

    /// Who this node is, and what it knows of all.
    fn greeting(&self, subject: &Subject) -> Greeting {
        let row = NodeRow {
            name: subject.config.node.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            leases: self.memory.tracked() as u64,
            lag_us: self.lag_us,
            exchange_ms: u64::try_from(subject.config.exchange.as_millis()).unwrap_or(u64::MAX),
            revocations: subject.hearing.as_ref().map_or(0, |hearing| hearing.list.get().number()),
        };
        let seed = subject.leases.get().words().seed().map_or(self.seed, |seed| seed.bits());
        Greeting { row, seed }
    }

    /// Hears by what limits are called in the store, and which keys are revoked in all nodes.
    fn hear(
        &mut self,
        subject: &Subject,
        greeted: &Greeted,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let words = subject.leases.get().words();
        let is_mine = subject.in_turn(|| words.set_seed(greeted.seed)).is_some();
        match subject.hearing.as_ref().filter(|_| is_mine) {
            Some(hearing) => hearing.hear(&mut self.client, greeted, &mut self.looked, deadline),
            None => Ok(()),
        }
    }

    /// Asks now and then how many nodes there are. Without an answer the number stays what it was: if the store is lost,
    /// the next exchange will say so.
    fn count_nodes(&mut self, subject: &Subject, deadline: Instant) {
        let now = mono_now();
        if self.counted.is_some_and(|then| now.0.saturating_sub(then.0) < times::NODES_LOOK) {
            return;
        }
        self.counted = Some(now);
        if let Ok(nodes) = self.client.nodes(deadline) {
            let alive = nodes.iter().filter(|node| node.silent_us < DEAD_US).count();
            subject.in_turn(|| subject.leases.get().words().set_nodes(alive as u64));
        }
    }

    /// Has the files of this node say what they know of keys that are revoked in all nodes.
    fn settle(&mut self, subject: &Subject) {
        if let Some(hearing) = &subject.hearing {
            hearing.settle(&mut self.looked);
        }
    }

    /// Tells the log, once, that the store can't be reached, and that it can again.
    fn tell(&mut self, subject: &Subject, failure: Option<&Failure>) {
        if failure.is_some() == std::mem::replace(&mut self.is_failing, failure.is_some()) {
            return;
        }
        let name = &subject.config.name;
        // nginx's log is one write to a file, from any thread.
        match failure {
            Some(failure) => cycle_error(format_args!(
                "tollgate: the store of the cluster \"{name}\" cannot be used: {failure}"
            )),
            None => cycle_notice(format_args!(
                "tollgate: the store of the cluster \"{name}\" can be used again"
            )),
        }
    }
}

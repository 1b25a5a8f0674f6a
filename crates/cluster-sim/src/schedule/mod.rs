//! One schedule, from its beginning to its end.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use tollgate_core::clock::MonoNanos;
use tollgate_core::cluster::message::{
    Answer, Call, Incarnation, Message, Outcome as Executed, Shards, Status, StoreId, Terms,
};
use tollgate_core::cluster::times::{call_timeout, longest_wait, LIFE, LOST, ROUNDS};
use tollgate_core::cluster::OnLoss;

use crate::bounds::Bound;
use crate::limit::Grants;
use crate::mistakes::Mistake;
use crate::node::{Node, Outcome, Reserved, Setup};
use crate::plan::{Fault, Load, Plan, QUIET_US};
use crate::random::Random;
use crate::servers::{Servers, START_US};
use crate::world::Queue;

/// Words of a node's memory: some limits have room.
const WORDS: (usize, usize) = (12_000, 2_000);
const SECOND: u64 = 1_000_000;

/// What came of a schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What didn't hold.
    pub broken: Vec<String>,
    /// Requests that were admitted, that were refused, and that waited for the store.
    pub admitted: u64,
    /// See `admitted`.
    pub refused: u64,
    /// See `admitted`.
    pub waited: u64,
    /// The longest wait, in microseconds.
    pub longest_wait_us: u64,
    /// Calls of the store, and lines in them.
    pub calls: u64,
    /// See `calls`.
    pub lines: u64,
    /// Of each limit: what was admitted, in the units of the store.
    pub sums: Vec<u64>,
}

enum Event {
    Tick { node: usize, run: u64 },
    Arrive(usize),
    Received { sent: Rc<Sent>, part: usize },
    Answered { sent: Rc<Sent>, part: usize, answer: Answer },
    TimedOut { node: usize, run: u64, seq: u64 },
    Look { node: usize, run: u64, waiting: u64 },
    Finished { node: usize, run: u64, request: u64 },
    Counted { limit: usize, n: u64 },
    Fault(Fault),
    Begin { node: usize },
    StoreUp,
}

struct Sent {
    node: usize,
    run: u64,
    life: u64,
    message: Message,
}

/// A place for a node, and the run of it that is alive.
struct Place {
    node: Option<Node>,
    /// How often it has begun.
    run: u64,
    /// Its monotonic clock, less the time that really passed.
    ahead_ns: u64,
    paused_until_us: u64,
    pauses_in_request_us: u64,
    cut_until_us: u64,
    /// Of the message under way.
    answers: Vec<Option<Answer>>,
    /// When the message was sent that the store executed last, by limits.
    heard_us: Vec<u64>,
}

struct Waiting {
    limit: usize,
    reserved: Reserved,
    round: u64,
    rounds: u32,
    since_us: u64,
    /// It has waited for as long as an answer may take, and none came.
    is_unheard: bool,
    load: usize,
}

struct Running {
    limit: usize,
    reserved: Reserved,
    used: u64,
    is_alone: bool,
    /// Its node lost the lease of the place meanwhile.
    is_orphan: bool,
}

struct World<'p> {
    plan: &'p Plan,
    random: Random,
    mistake: Option<Mistake>,
    queue: Queue<Event>,
    now_us: u64,
    servers: Servers,
    is_down: bool,
    places: Vec<Place>,
    bounds: Vec<Bound>,
    /// What each node gave away by itself, of each limit, weighed.
    alone: Vec<Vec<Bound>>,
    names: HashMap<StoreId, usize>,
    /// How much was adjusted in the messages that the store executed, and the number of the last of them.
    adjusted: HashMap<(Incarnation, StoreId, u64), (u64, i64)>,
    waiting: BTreeMap<(usize, u64), Waiting>,
    running: BTreeMap<(usize, u64), Running>,
    requests: u64,
    /// When it ends: everything was quiet for long enough by then.
    end_us: u64,
    report: Report,
}

/// Runs the schedule of a seed.
#[must_use]
pub fn run(seed: u64, mistake: Option<Mistake>) -> Report {
    run_plan(&Plan::of(seed), seed, mistake)
}

/// Runs a schedule; the seed says what chance does in it.
#[must_use]
pub fn run_plan(plan: &Plan, seed: u64, mistake: Option<Mistake>) -> Report {
    let mut world = World::new(plan, Random::new(seed ^ 0x5eed), mistake);
    while let Some((at_us, event)) = world.queue.pop() {
        if at_us > world.end_us {
            break;
        }
        world.now_us = at_us;
        world.happen(event);
    }
    world.end()
}

impl<'p> World<'p> {
    fn new(plan: &'p Plan, mut random: Random, mistake: Option<Mistake>) -> Self {
        let mut queue = Queue::default();
        let place = |random: &mut Random| Place {
            node: None,
            run: 0,
            ahead_ns: random.between(1, 1_000_000) * 1_000_000_000,
            paused_until_us: 0,
            pauses_in_request_us: 0,
            cut_until_us: 0,
            answers: Vec::new(),
            heard_us: vec![0; plan.limits.len()],
        };
        let places = (0..plan.nodes).map(|_| place(&mut random)).collect();
        for node in 0..plan.nodes {
            queue.plan(random.below(200_000), Event::Begin { node });
        }
        for (index, load) in plan.loads.iter().enumerate() {
            queue.plan(SECOND + micros(random.gap(load.gap_us)), Event::Arrive(index));
        }
        for (at, fault) in &plan.faults {
            queue.plan(*at, Event::Fault(*fault));
        }
        let servers = Servers::new(plan.lag, mistake);
        let bound = |at: u64| plan.limits.iter().map(move |limit| Bound::new(limit.terms(), at));
        let bounds: Vec<Bound> = bound(servers.now_us(0)).collect();
        let alone = vec![bounds.clone(); plan.nodes];
        Self {
            plan,
            random,
            mistake,
            queue,
            now_us: 0,
            servers,
            is_down: false,
            places,
            bounds,
            alone,
            names: HashMap::new(),
            adjusted: HashMap::new(),
            waiting: BTreeMap::new(),
            running: BTreeMap::new(),
            requests: 0,
            end_us: plan.busy_until_us + QUIET_US,
            report: Report::default(),
        }
    }

    /// Something is amiss until then.
    fn disturb(&mut self, until_us: u64) {
        self.end_us = self.end_us.max(until_us + QUIET_US);
    }

    fn mono(&self, node: usize, at_us: u64) -> MonoNanos {
        MonoNanos(self.places.get(node).map_or(0, |place| place.ahead_ns) + at_us * 1_000)
    }

    fn happen(&mut self, event: Event) {
        // What a stopped process is to do, it does when it goes on.
        let doer = match &event {
            Event::Tick { node, .. }
            | Event::TimedOut { node, .. }
            | Event::Look { node, .. }
            | Event::Finished { node, .. } => Some(*node),
            Event::Answered { sent, .. } => Some(sent.node),
            Event::Arrive(load) => self.plan.loads.get(*load).map(|load| load.node),
            _ => None,
        };
        let paused_until_us =
            doer.and_then(|node| self.places.get(node)).map(|place| place.paused_until_us);
        if let Some(until_us) = paused_until_us.filter(|until| *until > self.now_us) {
            return self.queue.plan(until_us, event);
        }
        match event {
            Event::Tick { node, run } if self.is_run(node, run) => self.tick(node, run),
            Event::Arrive(load) => self.arrive(load),
            Event::Received { sent, part } => self.receive(&sent, part),
            Event::Answered { sent, part, answer } => self.answered(&sent, part, answer),
            Event::TimedOut { node, run, seq } if self.is_run(node, run) => {
                let is_open = self.under_way(node).is_some_and(|message| message.seq == seq);
                if is_open {
                    self.hear(node);
                }
            }
            Event::Look { node, run, waiting } if self.is_run(node, run) => {
                self.look(node, waiting)
            }
            Event::Finished { node, run, request } if self.is_run(node, run) => {
                self.finish(node, request)
            }
            Event::Counted { limit, n } => self.count(limit, n),
            Event::Fault(fault) => self.fail(fault),
            Event::Begin { node } => self.begin(node),
            Event::StoreUp => self.is_down = false,
            _ => {}
        }
    }

    fn is_run(&self, node: usize, run: u64) -> bool {
        self.places.get(node).is_some_and(|place| place.run == run && place.node.is_some())
    }

    fn under_way(&self, node: usize) -> Option<&Message> {
        let node = self.places.get(node)?.node.as_ref()?;
        node.under_way.as_ref().map(|asked| &asked.message)
    }
}

pub(crate) fn micros(time: f64) -> u64 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a time that chance made: it saturates"
    )]
    let micros = time as u64;
    micros
}

mod faults;
mod requests;
mod talk;
mod verdict;

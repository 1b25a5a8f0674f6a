//! What a cluster of some size does: how much of each limit can be used, who is refused wrongly, who waits, and what the
//! store has to do; in ordinary times, and where nodes are cut off from the store or it loses its data.

use tollgate_core::clock::MonoNanos;
use tollgate_core::cluster::message::{Answer, Call, Message, Shards};
use tollgate_core::cluster::times::{call_timeout, longest_wait, ROUNDS};
use tollgate_core::cluster::OnLoss;
use tollgate_core::limits::{LayoutError, Quota};

use crate::limit::{Grants, Limit};
use crate::node::{Node, Outcome, Reserved, Setup};
use crate::random::Random;
use crate::servers::Servers;
use crate::world::Queue;
use ideal::Ideal;
use weighted::Weighted;

mod ideal;
mod weighted;

/// Words of a client in a zone and in a table of leases, with some room.
const WORDS_OF_CLIENT: (usize, usize) = (60, 40);
const WORDS_AT_LEAST: (usize, usize) = (12_000, 2_000);
const MS: u64 = 1_000;
const SECOND: u64 = 1_000 * MS;
/// For so long after something went wrong it may still be felt.
const AFTERMATH_US: u64 = 2 * SECOND;
/// Such a part of a limit is more than what nodes have at hand.
const MUCH: u64 = 10;

/// What is tried.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// How many requests come to each node for each one that comes to all of them together: one number a node.
    pub shares: Vec<f64>,
    /// How many clients there are, each with a limit of its own.
    pub clients: usize,
    /// For how many of them the memory of a node has room.
    pub room: usize,
    /// The limit of each.
    pub quota: Quota,
    /// Requests in a second, over all clients and nodes.
    pub rate: f64,
    /// The exponent of Zipf's law by which clients ask; 0: all alike.
    pub skew: f64,
    /// How many requests of a client come at once.
    pub burst: u64,
    /// Seconds.
    pub seconds: u64,
    /// Between exchanges, in milliseconds.
    pub exchange_ms: u64,
    /// From a node to the store, in microseconds.
    pub delay_us: u64,
    /// What nodes do without the store.
    pub on_loss: OnLoss,
    /// In the middle, so many nodes can't reach the store for so many seconds.
    pub cut: Option<(usize, u64)>,
    /// In the middle, the store loses its data.
    pub loses_data: bool,
    /// The seed.
    pub seed: u64,
}

/// What came of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Served {
    /// Requests.
    pub requests: u64,
    /// Those that were admitted.
    pub admitted: u64,
    /// Those that one bucket for all nodes would have admitted.
    pub possible: u64,
    /// Those that were refused though a tenth of the limit or more was left just then, by what all nodes had admitted.
    pub wrongly_refused: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Findings {
    /// All requests.
    pub all: Served,
    /// Those from when something went wrong until two seconds after it was over.
    pub in_trouble: Served,
    /// By how many requests the limit of a client was exceeded at most.
    pub exceeded: u64,
    /// For how many requests the memory of a node had no room.
    pub full: u64,
    /// Those that waited for the store, and of them those that went on.
    pub waited: u64,
    /// See `waited`.
    pub waited_and_went_on: u64,
    /// How long they waited, in microseconds: the sum, and the longest.
    pub wait_us: u64,
    /// See `wait_us`.
    pub longest_wait_us: u64,
    /// Calls to the store, limits in them, and bytes there and back.
    pub calls: u64,
    /// See `calls`.
    pub lines: u64,
    /// See `calls`.
    pub bytes: u64,
}

enum Event {
    Arrive,
    Tick(usize),
    Execute(usize),
    Hear(usize),
    LoseData,
}

struct Waiting {
    client: usize,
    reserved: Reserved,
    round: u64,
    rounds: u32,
    since_us: u64,
}

struct Place {
    node: Node,
    message: Option<Message>,
    answers: Vec<Option<Answer>>,
    waiting: Vec<Waiting>,
}

struct Run<'s> {
    scenario: &'s Scenario,
    limits: Vec<Limit>,
    places: Vec<Place>,
    /// At one bucket for all nodes, and what all nodes have admitted.
    ideals: Vec<(Ideal, Ideal)>,
    servers: Servers,
    findings: Findings,
}

/// Tries it.
///
/// # Errors
///
/// Where the memory of a node is too small.
pub fn run(scenario: &Scenario) -> Result<Findings, LayoutError> {
    let mut random = Random::new(scenario.seed);
    let words = |of_client: usize, least: usize| least + of_client * scenario.room;
    let setup = Setup {
        words: (
            words(WORDS_OF_CLIENT.0, WORDS_AT_LEAST.0),
            words(WORDS_OF_CLIENT.1, WORDS_AT_LEAST.1),
        ),
        exchange: scenario.exchange_ms * 1_000_000,
        on_loss: scenario.on_loss,
    };
    let mut places = Vec::new();
    for _ in &scenario.shares {
        let node = Node::new(setup, random.bits(), mono(0))?;
        places.push(Place { node, message: None, answers: Vec::new(), waiting: Vec::new() });
    }
    let clients = 0..scenario.clients;
    let limit = |number| Limit {
        client: format!("client-{number}"),
        grants: Grants::Bucket(scenario.quota),
    };
    let mut run = Run {
        scenario,
        limits: clients.clone().map(limit).collect(),
        places,
        ideals: vec![(Ideal::default(), Ideal::default()); scenario.clients],
        servers: Servers::new(0, None),
        findings: Findings::default(),
    };
    let clients = Weighted::new(clients.map(|rank| (rank as f64 + 1.0).powf(-scenario.skew)));
    let nodes = Weighted::new(scenario.shares.iter().copied());
    let mut queue = Queue::default();
    for node in 0..run.places.len() {
        queue.plan(random.below(scenario.exchange_ms * MS), Event::Tick(node));
    }
    // The store is heard first.
    queue.plan(SECOND, Event::Arrive);
    if scenario.loses_data {
        queue.plan(scenario.middle_us(), Event::LoseData);
    }
    let gap_us = 1e6 * scenario.burst as f64 / scenario.rate;
    while let Some((now_us, event)) = queue.pop() {
        if now_us >= (scenario.seconds + 1) * SECOND {
            break;
        }
        match event {
            Event::Arrive => {
                let client = clients.pick(&mut random);
                for _ in 0..scenario.burst {
                    run.arrive(client, nodes.pick(&mut random), now_us);
                }
                queue.plan(now_us + 1 + crate::schedule::micros(random.gap(gap_us)), Event::Arrive);
            }
            Event::Tick(node) => {
                if run.speak(node, now_us) {
                    let call_us = call_timeout(scenario.exchange_ms * 1_000_000) / 1_000;
                    match scenario.is_cut(node, now_us) {
                        true => queue.plan(now_us + call_us, Event::Hear(node)),
                        false => queue.plan(now_us + scenario.delay_us, Event::Execute(node)),
                    }
                }
                run.look(node, now_us);
                queue.plan(now_us + scenario.exchange_ms * MS, Event::Tick(node));
            }
            Event::Execute(node) => {
                run.execute(node, now_us);
                queue.plan(now_us + scenario.delay_us, Event::Hear(node));
            }
            Event::Hear(node) => run.hear(node, now_us),
            Event::LoseData => run.servers.lose_all(),
        }
    }
    Ok(run.findings)
}

fn mono(now_us: u64) -> MonoNanos {
    MonoNanos(1_000_000_000 + now_us * 1_000)
}

impl Scenario {
    /// When something goes wrong.
    fn middle_us(&self) -> u64 {
        SECOND + self.seconds * SECOND / 2
    }

    fn is_cut(&self, node: usize, now_us: u64) -> bool {
        let passed_us = now_us.checked_sub(self.middle_us());
        self.cut.zip(passed_us).is_some_and(|((nodes, seconds), passed_us)| {
            node < nodes && passed_us < seconds * SECOND
        })
    }

    fn is_trouble(&self, now_us: u64) -> bool {
        let seconds = match (self.cut, self.loses_data) {
            (Some((_, seconds)), _) => seconds,
            (None, true) => 0,
            (None, false) => return false,
        };
        let passed_us = now_us.checked_sub(self.middle_us());
        passed_us.is_some_and(|passed_us| passed_us < seconds * SECOND + AFTERMATH_US)
    }
}

impl Run<'_> {
    fn note(&mut self, now_us: u64, note: impl Fn(&mut Served)) {
        note(&mut self.findings.all);
        if self.scenario.is_trouble(now_us) {
            note(&mut self.findings.in_trouble);
        }
    }

    fn arrive(&mut self, client: usize, node: usize, now_us: u64) {
        let (Some(limit), Some((ideal, _))) =
            (self.limits.get(client), self.ideals.get_mut(client))
        else {
            return;
        };
        let is_possible = ideal.admits(limit.terms(), now_us);
        self.note(now_us, |served| {
            served.requests += 1;
            served.possible += u64::from(is_possible);
        });
        self.ask(client, node, now_us);
    }

    fn ask(&mut self, client: usize, node: usize, now_us: u64) {
        let (Some(limit), Some(place)) = (self.limits.get(client), self.places.get_mut(node))
        else {
            return;
        };
        match place.node.request(limit, 1, mono(now_us), mono(now_us)) {
            Outcome::Admitted(reserved) => self.admit(client, node, reserved, now_us),
            Outcome::Waits(reserved, round) => {
                let since_us = now_us;
                place.waiting.push(Waiting { client, reserved, round, rounds: 1, since_us });
                self.findings.waited += 1;
            }
            Outcome::Exceeded => self.refuse(client, now_us),
            Outcome::Unavailable => {
                self.findings.full += u64::from(!place.node.is_lost(mono(now_us)));
                self.refuse(client, now_us);
            }
        }
    }

    fn admit(&mut self, client: usize, node: usize, reserved: Reserved, now_us: u64) {
        if let (Some(limit), Some((_, actual)), Some(place)) =
            (self.limits.get(client), self.ideals.get_mut(client), self.places.get_mut(node))
        {
            place.node.settle(reserved, 1, mono(now_us));
            let above = actual.count(limit.terms(), now_us);
            self.findings.exceeded = self.findings.exceeded.max(above);
        }
        self.note(now_us, |served| served.admitted += 1);
    }

    fn refuse(&mut self, client: usize, now_us: u64) {
        if let (Some(limit), Some((_, actual))) =
            (self.limits.get(client), self.ideals.get_mut(client))
        {
            let terms = limit.terms();
            let is_wrong = actual.room(terms, now_us) >= (terms.capacity() / MUCH).max(1);
            self.note(now_us, |served| served.wrongly_refused += u64::from(is_wrong));
        }
    }

    /// Whether there is something to say.
    fn speak(&mut self, node: usize, now_us: u64) -> bool {
        let Some(place) = self.places.get_mut(node).filter(|place| place.message.is_none()) else {
            return false;
        };
        place.message = place.node.speak(mono(now_us)).map(|asked| asked.message.clone());
        place.message.is_some()
    }

    fn execute(&mut self, node: usize, now_us: u64) {
        let Some(place) = self.places.get_mut(node) else { return };
        let Some(message) = &place.message else { return };
        place.answers.clear();
        for call in Call::all(message, Shards::ONE) {
            let life = place.node.life;
            let answer = self.servers.execute(&call, life, now_us);
            let keys: usize = call.keys("default").iter().map(|key| key.len() + 7).sum();
            let bytes = keys + call.argument(life).len() + answer.to_bytes(&call).len();
            self.findings.calls += 1;
            self.findings.lines += call.lines().len() as u64;
            self.findings.bytes += bytes as u64;
            place.node.life = answer.life;
            place.answers.push(Some(answer));
        }
    }

    /// The answers to the message of a node, of which there are none where it was cut off.
    fn hear(&mut self, node: usize, now_us: u64) {
        let Some(place) = self.places.get_mut(node) else { return };
        let (Some(message), Some(asked)) = (place.message.take(), place.node.under_way.take())
        else {
            return;
        };
        let answers = std::mem::take(&mut place.answers);
        let calls: Vec<_> = Call::all(&message, Shards::ONE).into_iter().zip(answers).collect();
        place.node.hear(&calls, &asked, mono(now_us));
        self.look(node, now_us);
    }

    /// The requests that wait look whether there is news.
    fn look(&mut self, node: usize, now_us: u64) {
        let most_us = longest_wait(self.scenario.exchange_ms * 1_000_000) / 1_000;
        let Some(place) = self.places.get_mut(node) else { return };
        for mut waiting in std::mem::take(&mut place.waiting) {
            let Some(place) = self.places.get_mut(node) else { return };
            let Some(limit) = self.limits.get(waiting.client) else { continue };
            let now = mono(now_us);
            let (client, waited_us) = (waiting.client, now_us - waiting.since_us);
            let is_answered = place.node.is_answered(&waiting.reserved, waiting.round);
            let is_lost = place.node.is_lost(now);
            let is_over = waited_us >= most_us && !place.node.is_unheard(mono(waiting.since_us));
            if !is_answered && !is_lost && !is_over {
                place.waiting.push(waiting);
                continue;
            }
            if is_answered && place.node.try_again(limit, &mut waiting.reserved, now) {
                self.findings.waited_and_went_on += 1;
                self.admit(client, node, waiting.reserved, now_us);
            } else if is_lost {
                place.node.abandon(waiting.reserved, now);
                self.ask(client, node, now_us);
            } else if let Some(round) = (waiting.rounds < ROUNDS && !is_over)
                .then(|| place.node.wait_on(limit, &waiting.reserved))
                .flatten()
            {
                place.waiting.push(Waiting { round, rounds: waiting.rounds + 1, ..waiting });
                continue;
            } else {
                place.node.abandon(waiting.reserved, now);
                self.refuse(client, now_us);
            }
            self.findings.wait_us += waited_us;
            self.findings.longest_wait_us = self.findings.longest_wait_us.max(waited_us);
        }
    }
}

#[cfg(test)]
mod tests;

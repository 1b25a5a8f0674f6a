//! What a cluster of some size does in ordinary times: how much of each limit can be used, who is refused wrongly, who
//! waits, and what the store has to do.

use tollgate_core::clock::MonoNanos;
use tollgate_core::cluster::message::{Answer, Call, Message, Shards, Terms};
use tollgate_core::cluster::OnLoss;
use tollgate_core::limits::{LayoutError, Quota};

use crate::limit::{Grants, Limit};
use crate::node::{Node, Outcome, Reserved, Setup};
use crate::random::Random;
use crate::servers::Servers;
use crate::world::Queue;

/// Words of a client in a zone and in a table of leases, with some room.
const WORDS_OF_CLIENT: (usize, usize) = (60, 40);
const WORDS_AT_LEAST: (usize, usize) = (12_000, 2_000);
const MS: u64 = 1_000;
const SECOND: u64 = 1_000 * MS;

/// What is tried.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// How many requests come to each node for each one that comes to all of them together: one number a node.
    pub shares: Vec<f64>,
    /// How many clients there are, each with a limit of its own.
    pub clients: usize,
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
    /// The seed.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Findings {
    /// Requests.
    pub requests: u64,
    /// Those that were admitted.
    pub admitted: u64,
    /// Those that one bucket for all nodes would have admitted.
    pub possible: u64,
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

/// Whom chance picks, by their weights.
struct Weighted(Vec<f64>);

impl Weighted {
    fn new(weights: impl Iterator<Item = f64>) -> Self {
        let mut sum = 0.0;
        Self(
            weights
                .map(|weight| {
                    sum += weight;
                    sum
                })
                .collect(),
        )
    }

    fn pick(&self, random: &mut Random) -> usize {
        let at = random.part() * self.0.last().copied().unwrap_or(0.0);
        self.0.partition_point(|sum| *sum <= at).min(self.0.len().saturating_sub(1))
    }
}

/// A bucket for all nodes, at which nobody has to wait.
struct Ideal {
    level: u128,
    at_us: u64,
}

impl Ideal {
    fn admits(&mut self, terms: Terms, now_us: u64) -> bool {
        let Terms::Bucket { capacity, count, period_us } = terms else { return false };
        let passed = u128::from(now_us - self.at_us) * u128::from(count);
        (self.level, self.at_us) = (self.level.saturating_sub(passed), now_us);
        let next = self.level + u128::from(period_us);
        let is_admitted = next <= u128::from(capacity) * u128::from(period_us);
        if is_admitted {
            self.level = next;
        }
        is_admitted
    }
}

struct Run {
    limits: Vec<Limit>,
    places: Vec<Place>,
    ideals: Vec<Ideal>,
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
    let words = |of_client: usize, least: usize| least + of_client * scenario.clients;
    let setup = Setup {
        words: (
            words(WORDS_OF_CLIENT.0, WORDS_AT_LEAST.0),
            words(WORDS_OF_CLIENT.1, WORDS_AT_LEAST.1),
        ),
        exchange: scenario.exchange_ms * 1_000_000,
        on_loss: OnLoss::Deny,
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
        limits: clients.clone().map(limit).collect(),
        places,
        ideals: clients.clone().map(|_| Ideal { level: 0, at_us: 0 }).collect(),
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
                    queue.plan(now_us + scenario.delay_us, Event::Execute(node));
                }
                queue.plan(now_us + scenario.exchange_ms * MS, Event::Tick(node));
            }
            Event::Execute(node) => {
                run.execute(node, now_us);
                queue.plan(now_us + scenario.delay_us, Event::Hear(node));
            }
            Event::Hear(node) => run.hear(node, now_us),
        }
    }
    Ok(run.findings)
}

fn mono(now_us: u64) -> MonoNanos {
    MonoNanos(1_000_000_000 + now_us * 1_000)
}

impl Run {
    fn arrive(&mut self, client: usize, node: usize, now_us: u64) {
        let (Some(limit), Some(ideal), Some(place)) =
            (self.limits.get(client), self.ideals.get_mut(client), self.places.get_mut(node))
        else {
            return;
        };
        self.findings.requests += 1;
        self.findings.possible += u64::from(ideal.admits(limit.terms(), now_us));
        match place.node.request(limit, 1, mono(now_us), mono(now_us)) {
            Outcome::Admitted(reserved) => {
                self.findings.admitted += 1;
                place.node.settle(reserved, 1, mono(now_us));
            }
            Outcome::Waits(reserved, round) => {
                self.findings.waited += 1;
                place.waiting.push(Waiting {
                    client,
                    reserved,
                    round,
                    rounds: 1,
                    since_us: now_us,
                });
            }
            Outcome::Exceeded | Outcome::Unavailable => {}
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

    fn hear(&mut self, node: usize, now_us: u64) {
        let Some(place) = self.places.get_mut(node) else { return };
        let (Some(message), Some(asked)) = (place.message.take(), place.node.under_way.take())
        else {
            return;
        };
        let answers = std::mem::take(&mut place.answers);
        let calls: Vec<_> = Call::all(&message, Shards::ONE).into_iter().zip(answers).collect();
        place.node.hear(&calls, &asked, mono(now_us));
        for mut waiting in std::mem::take(&mut place.waiting) {
            let Some(limit) = self.limits.get(waiting.client) else { continue };
            if !place.node.is_answered(&waiting.reserved, waiting.round) {
                place.waiting.push(waiting);
                continue;
            }
            let waited_us = now_us - waiting.since_us;
            if place.node.try_again(limit, &mut waiting.reserved, mono(now_us)) {
                self.findings.admitted += 1;
                self.findings.waited_and_went_on += 1;
                place.node.settle(waiting.reserved, 1, mono(now_us));
            } else if let Some(round) =
                (waiting.rounds < 2).then(|| place.node.wait_on(limit, &waiting.reserved)).flatten()
            {
                place.waiting.push(Waiting { round, rounds: 2, ..waiting });
                continue;
            } else {
                place.node.abandon(waiting.reserved, mono(now_us));
            }
            self.findings.wait_us += waited_us;
            self.findings.longest_wait_us = self.findings.longest_wait_us.max(waited_us);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One client that wants half as much again as its limit.
    fn skewed(shares: &[f64]) -> Scenario {
        Scenario {
            shares: shares.to_vec(),
            clients: 1,
            quota: Quota::parse("100r/s", None).unwrap(),
            rate: 150.0,
            skew: 0.0,
            burst: 1,
            seconds: 30,
            exchange_ms: 50,
            delay_us: 500,
            seed: 1,
        }
    }

    #[test]
    fn nearly_all_of_a_limit_can_be_used_however_requests_are_spread() {
        for shares in [&[9.0, 1.0, 0.0][..], &[1.0, 1.0, 1.0], &[1.0]] {
            let findings = run(&skewed(shares)).unwrap();
            let usable = findings.admitted as f64 / findings.possible as f64;
            assert!(usable >= 0.98, "{shares:?}: {usable}: {findings:?}");
            // At most one call an exchange.
            assert!(findings.calls <= 31 * 20 * shares.len() as u64, "{findings:?}");
        }
    }
}

//! What a seed makes of a schedule: who asks when, how the network is, and what goes wrong.

use std::num::NonZeroU16;

use tollgate_core::cluster::OnLoss;
use tollgate_core::limits::{Budget, Quota};

use crate::limit::{Grants, Limit};
use crate::random::Random;

const MS: u64 = 1_000;
const SECOND: u64 = 1_000 * MS;
/// How long everything is quiet in the end, after the last that went wrong is over: longer than an idle lease is kept,
/// and a dead node's.
pub const QUIET_US: u64 = 18 * SECOND;

/// A schedule. Times are microseconds since it began.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many nodes there are.
    pub nodes: usize,
    /// Between exchanges.
    pub exchange_us: u64,
    /// What nodes do without the store.
    pub on_loss: OnLoss,
    /// The limits.
    pub limits: Vec<Limit>,
    /// Who asks for what.
    pub loads: Vec<Load>,
    /// How messages travel.
    pub network: Network,
    /// By how many calls the follower of the store lags behind.
    pub lag: usize,
    /// What goes wrong, and when.
    pub faults: Vec<(u64, Fault)>,
    /// When nobody asks any more, and nothing more goes wrong.
    pub busy_until_us: u64,
}

/// Requests of one limit at one node, that come by chance.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Where.
    pub node: usize,
    /// Of which limit.
    pub limit: usize,
    /// Microseconds from one to the next, in the mean.
    pub gap_us: f64,
    /// The most that one asks for, in the store's units.
    pub most: u64,
    /// How long one is under way, in the mean.
    pub takes_us: f64,
    /// Of so many hundredths, less is used than was reserved.
    pub refunds: u64,
}

/// How messages travel.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    /// In one direction, at least.
    pub delay_us: u64,
    /// And so much more, in the mean.
    pub jitter_us: f64,
    /// Hundredths that are lost, that come twice, and that are very late.
    pub lost: u64,
    /// See `lost`.
    pub doubled: u64,
    /// See `lost`.
    pub late: u64,
}

impl Network {
    /// A good one.
    pub const GOOD: Self = Self { delay_us: 300, jitter_us: 200.0, lost: 0, doubled: 0, late: 0 };

    fn any(random: &mut Random) -> Self {
        if random.one_in(3) {
            return Self::GOOD;
        }
        Self {
            delay_us: random.between(100, 30 * MS),
            jitter_us: random.between(10, 20 * MS) as f64,
            lost: random.below(12),
            doubled: random.below(12),
            late: random.below(5),
        }
    }
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// A node is stopped for so long (SIGSTOP): its clock goes on.
    Pause(usize, u64),
    /// It is stopped in the midst of its next request, between taking and looking at the clock.
    PauseInRequest(usize, u64),
    /// It dies, and begins anew after so long.
    Crash(usize, u64),
    /// The process that speaks with the store dies, and another one goes on.
    Thread(usize),
    /// A node and the store don't hear of each other for so long.
    Partition(usize, u64),
    /// The store answers nobody for so long.
    Down(u64),
    /// A follower takes over.
    FailOver,
    /// The store loses all data.
    LoseAll,
    /// The store's clock steps.
    ClockStep(i64),
}

impl Plan {
    /// That of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let random = &mut random;
        let nodes = usize::try_from(random.between(2, 5)).unwrap_or(2);
        let share = OnLoss::Share { nodes: NonZeroU16::new(4).unwrap_or(NonZeroU16::MIN) };
        let on_loss = if random.one_in(4) { share } else { OnLoss::Deny };
        let limits: Vec<Limit> = (0..random.between(1, 4)).map(|n| any_limit(random, n)).collect();
        let busy_until_us = random.between(8, 20) * SECOND;
        let mut loads = Vec::new();
        for (index, limit) in limits.iter().enumerate() {
            for node in 0..nodes {
                if random.percent(80) {
                    loads.push(any_load(random, node, index, limit));
                }
            }
        }
        Self {
            nodes,
            exchange_us: random.between(15, 120) * MS,
            on_loss,
            limits,
            loads,
            network: Network::any(random),
            lag: usize::try_from(random.below(12)).unwrap_or(0),
            faults: any_faults(random, nodes, busy_until_us),
            busy_until_us,
        }
    }

    /// Three nodes want more than there is of two limits.
    fn contended(network: Network, faults: Vec<(u64, Fault)>, busy_until_us: u64) -> Self {
        let quota = Quota::parse_tokens("50/s", Some("500")).ok();
        let limit = |client: &str, grants| Limit { client: client.to_owned(), grants };
        let mut limits = vec![limit("places", Grants::Slots(6))];
        limits.extend(quota.map(|quota| limit("tokens", Grants::Bucket(quota))));
        let load = |node, limit, most| {
            let (gap_us, takes_us) = (60_000.0, 500_000.0);
            Load { node, limit, gap_us, most, takes_us, refunds: 0 }
        };
        Self {
            nodes: 3,
            exchange_us: 50 * MS,
            on_loss: OnLoss::Deny,
            limits,
            loads: (0..3).flat_map(|node| [load(node, 0, 1), load(node, 1, 40)]).collect(),
            network,
            lag: 0,
            faults,
            busy_until_us,
        }
    }

    /// Three nodes want more than there is, and each in turn is stopped in the midst of a request, for longer than its
    /// leases live.
    #[must_use]
    pub fn of_stops(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let stops = (0..9).map(|number: u64| {
            let node = usize::try_from(number % 3).unwrap_or(0);
            let time = random.between(6 * SECOND, 9 * SECOND);
            ((2 + number * 4) * SECOND, Fault::PauseInRequest(node, time))
        });
        Self::contended(Network::GOOD, stops.collect(), 40 * SECOND)
    }

    /// Three nodes want more than there is, over a network that loses, repeats and delays a lot.
    #[must_use]
    pub fn of_storms() -> Self {
        let (delay_us, jitter_us) = (20 * MS, 20_000.0);
        let network = Network { delay_us, jitter_us, lost: 15, doubled: 40, late: 20 };
        Self::contended(network, Vec::new(), 20 * SECOND)
    }

    /// Three nodes want more than there is, and the store loses all data now and then.
    #[must_use]
    pub fn of_losses() -> Self {
        let losses = (1..6).map(|number| (number * 6 * SECOND, Fault::LoseAll));
        Self::contended(Network::GOOD, losses.collect(), 40 * SECOND)
    }

    /// Whether there was a fault of a kind.
    #[must_use]
    pub fn has(&self, is: impl Fn(&Fault) -> bool) -> bool {
        self.faults.iter().any(|(_, fault)| is(fault))
    }
}

fn any_limit(random: &mut Random, number: u64) -> Limit {
    const QUOTAS: [&str; 8] =
        ["100/m", "600/m", "50/s", "1k/s", "3600/h", "7/m", "200k/m", "1009/m"];
    const BUDGETS: [&str; 3] = ["20/day", "1/day", "500/month"];
    let burst = [None, None, Some("13"), Some("500")];
    let quota = random
        .pick(&QUOTAS)
        .and_then(|quota| Quota::parse_tokens(quota, random.pick(&burst).copied().flatten()).ok());
    let budget = random.pick(&BUDGETS).and_then(|budget| Budget::parse(budget).ok());
    let grants = match (random.below(4), quota, budget) {
        (0, _, Some(budget)) => Grants::Budget(budget),
        (2 | 3, Some(quota), _) => Grants::Bucket(quota),
        _ => Grants::Slots(u16::try_from(random.between(2, 30)).unwrap_or(2)),
    };
    Limit { client: format!("client-{number}"), grants }
}

fn any_load(random: &mut Random, node: usize, index: usize, limit: &Limit) -> Load {
    let capacity = limit.terms().capacity();
    // Up to so many requests use the limit up.
    let most = (capacity / random.between(5, 200)).max(1);
    let gap_us = random.between(5, 200) * MS;
    Load {
        node,
        limit: index,
        gap_us: gap_us as f64,
        most,
        takes_us: random.between(1, 3_000 * MS) as f64,
        refunds: [0, 0, 30, 100]
            .get(usize::try_from(random.below(4)).unwrap_or(0))
            .copied()
            .unwrap_or(0),
    }
}

fn any_faults(random: &mut Random, nodes: usize, until_us: u64) -> Vec<(u64, Fault)> {
    // Nothing; nodes and network; the store as well.
    let kinds = [0, 6, 10].get(usize::try_from(random.below(3)).unwrap_or(0)).copied().unwrap_or(0);
    if kinds == 0 {
        return Vec::new();
    }
    let count = random.between(1, 7);
    let mut faults: Vec<(u64, Fault)> = (0..count)
        .map(|_| {
            let node = usize::try_from(random.below(nodes as u64)).unwrap_or(0);
            let time = |random: &mut Random| {
                let short = random.between(MS, 400 * MS);
                let long = random.between(SECOND, 9 * SECOND);
                if random.one_in(2) {
                    short
                } else {
                    long
                }
            };
            let fault = match random.below(kinds) {
                0 => Fault::Pause(node, time(random)),
                1 => Fault::PauseInRequest(node, time(random)),
                2 => Fault::Crash(node, time(random)),
                3 => Fault::Thread(node),
                4 => Fault::Partition(node, time(random)),
                5 => Fault::Down(time(random)),
                6 => Fault::FailOver,
                7 => Fault::LoseAll,
                _ => {
                    let by = i64::try_from(time(random)).unwrap_or(0);
                    Fault::ClockStep(if random.one_in(2) { by } else { -by })
                }
            };
            (random.between(SECOND, until_us), fault)
        })
        .collect();
    faults.sort_by_key(|(at, _)| *at);
    faults
}

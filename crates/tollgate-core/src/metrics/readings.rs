//! What all workers have written.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::counter::Counter;
use super::event::Family;
use super::flow::cells;
use super::memory::{Block, Observations};
use super::minutes::{self, Minute, MINUTES};
use super::names::Name;
use super::tier_cells;
use crate::clock::UnixMillis;
use crate::limits::Process;

/// Whose requests, for which model, at which endpoint: the texts of a [`Flow`](super::Flow).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowTexts {
    /// Of the client; empty: it has none.
    pub tier: String,
    /// What was asked for; empty: nothing.
    pub model: String,
    /// The path of the engine's table.
    pub endpoint: String,
}

/// The sum over all workers, gone ones included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    /// For each flow its [`cells`].
    pub flows: BTreeMap<FlowTexts, Vec<u64>>,
    /// For each tier its [`tier_cells`]; gauges are those of living workers.
    pub tiers: BTreeMap<String, Vec<u64>>,
    /// By [`Counter::index`].
    pub counters: Vec<u64>,
    /// What happened, by family and labels.
    pub events: BTreeMap<(Family, String, String), u64>,
    /// What guards found: by the guard, the rule, and what is done about it.
    pub guards: BTreeMap<[String; 3], u64>,
}

fn add_all(sums: &mut Vec<u64>, cells: &[AtomicU64], count: usize) {
    sums.resize(count, 0);
    for (sum, cell) in sums.iter_mut().zip(cells) {
        *sum = sum.wrapping_add(cell.load(Ordering::Relaxed));
    }
}

impl Readings {
    /// Reads all of it, as of now.
    #[must_use]
    pub fn of(memory: &Observations<'_>, is_alive: impl Fn(Process) -> bool) -> Self {
        let mut readings = Self { counters: vec![0; Counter::COUNT], ..Self::default() };
        let names = memory.names();
        let mut texts: BTreeMap<Name, String> = BTreeMap::new();
        let mut text = |name: Name| texts.entry(name).or_insert_with(|| names.text(name)).clone();
        let mut living = Vec::new();
        for (row, process) in memory.owners() {
            if is_alive(process) {
                living.push(row);
            }
            add_all(&mut readings.counters, memory.counters(row), Counter::COUNT);
        }
        for (block, cells) in memory.blocks() {
            match block {
                Block::Flow(_, flow) => {
                    let texts = FlowTexts {
                        tier: text(flow.tier),
                        model: text(flow.model),
                        endpoint: text(flow.endpoint),
                    };
                    add_all(readings.flows.entry(texts).or_default(), cells, cells::COUNT);
                }
                Block::Tier(row, tier) => {
                    let sums = readings.tiers.entry(text(tier)).or_default();
                    let lives = living.contains(&usize::from(row));
                    sums.resize(tier_cells::COUNT, 0);
                    for (index, (sum, cell)) in sums.iter_mut().zip(cells).enumerate() {
                        if lives || index >= tier_cells::GAUGES {
                            *sum = sum.wrapping_add(cell.load(Ordering::Relaxed));
                        }
                    }
                }
            }
        }
        for (event, count) in memory.events() {
            if event.family == Family::GuardFindings {
                let labels = [event.first, event.second, event.third].map(&mut text);
                *readings.guards.entry(labels).or_default() += count;
                continue;
            }
            let key = (event.family, text(event.first), text(event.second));
            *readings.events.entry(key).or_default() += count;
        }
        readings
    }

    /// How often something was counted.
    #[must_use]
    pub fn counter(&self, counter: Counter) -> u64 {
        self.counters.get(counter.index()).copied().unwrap_or(0)
    }
}

/// How many processes count that live.
#[must_use]
pub fn living(memory: &Observations<'_>, is_alive: impl Fn(Process) -> bool) -> usize {
    memory.owners().filter(|(_, process)| is_alive(*process)).count()
}

/// The last hour of all workers, the running minute included and last: one entry for each minute.
#[must_use]
pub fn last_hour(memory: &Observations<'_>, now: UnixMillis) -> Vec<Minute> {
    let last = minutes::number(now);
    let rows: Vec<usize> = memory.owners().map(|(row, _)| row).collect();
    let count = MINUTES as u64 - 4;
    let numbers = last.saturating_sub(count)..=last;
    let of = |number: u64| {
        let rows = rows.iter().filter_map(|row| minutes::read(memory.minutes(*row), number));
        rows.fold(Minute { number, ..Minute::default() }, |sum, minute| sum.plus(&minute))
    };
    numbers.map(of).collect()
}

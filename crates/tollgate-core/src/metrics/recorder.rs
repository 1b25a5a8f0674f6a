//! One worker's hand that writes.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use super::counter::Counter;
use super::flow::{add_to, cells, Flow, Observation};
use super::known::{KnownModels, ModelLabel};
use super::memory::{Block, Observations, ROWS};
use super::names::{Name, PLACES};
use super::{add, bounds, minutes, tier_cells};
use crate::clock::UnixMillis;
use crate::limits::Process;

/// How many places for names are kept for what the configuration names.
const SPARE: usize = PLACES / 2;

/// Whether anybody may bring forth a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The configuration, or the tables of the module.
    Configured,
    /// Clients: of these there are only so many.
    Clients,
}

/// What one worker process counts with.
#[derive(Debug)]
pub struct Recorder {
    row: u8,
    /// Where blocks are.
    flows: Memo<Flow, 64>,
    tiers: Memo<Name, 16>,
    names: HashMap<Box<str>, Name>,
    /// Those of a moment ago.
    recent: [(Box<str>, Name); RECENT],
    /// What models of a moment ago are counted as, once that doesn't change any more.
    models: [(Box<str>, Name); RECENT],
}

const RECENT: usize = 32;
/// How many texts a worker remembers.
const REMEMBERED: usize = 4096;

/// What was asked for a moment ago: a direct-mapped table.
#[derive(Debug)]
struct Memo<K, const N: usize>([Option<(K, usize)>; N]);

impl<K: Copy + PartialEq, const N: usize> Memo<K, N> {
    fn new() -> Self {
        Self([const { None }; N])
    }

    #[inline]
    fn get(&mut self, hash: usize, key: K, find: impl FnOnce() -> Option<usize>) -> Option<usize> {
        let place = self.0.get_mut(hash % N)?;
        match place {
            Some((known, at)) if *known == key => Some(*at),
            _ => {
                let at = find()?;
                *place = Some((key, at));
                Some(at)
            }
        }
    }
}

/// Where a text is remembered: any place will do, only how often texts share one depends on it.
#[inline]
fn place(text: &str) -> usize {
    let bytes = text.as_bytes();
    let at = |index: usize| bytes.get(index).copied().map_or(0, usize::from);
    (bytes.len() ^ at(bytes.len().saturating_sub(1)) ^ at(bytes.len() / 2) << 1) % RECENT
}

impl Recorder {
    /// The hand of this process; `None`: as many processes count already as can.
    #[must_use]
    pub fn new(
        memory: &Observations<'_>,
        me: Process,
        is_alive: impl Fn(Process) -> bool,
    ) -> Option<Self> {
        Some(Self {
            row: memory.claim(me, is_alive)?,
            flows: Memo::new(),
            tiers: Memo::new(),
            names: HashMap::new(),
            recent: std::array::from_fn(|_| (Box::default(), Name::NONE)),
            models: std::array::from_fn(|_| (Box::default(), Name::NONE)),
        })
    }

    /// The process ends: nothing of it is in flight.
    pub fn leave(&self, memory: &Observations<'_>) {
        memory.forget_gauges(self.row);
    }

    /// The name of a text.
    #[inline]
    pub fn name(&mut self, memory: &Observations<'_>, text: &str, origin: Origin) -> Name {
        if text.is_empty() {
            return Name::NONE;
        }
        let place = place(text);
        if let Some((known, name)) = self.recent.get(place) {
            if **known == *text {
                return *name;
            }
        }
        self.look_up(memory, text, origin, place)
    }

    #[cold]
    #[inline(never)]
    fn look_up(
        &mut self,
        memory: &Observations<'_>,
        text: &str,
        origin: Origin,
        place: usize,
    ) -> Name {
        let known = self.names.get(text).copied();
        let name = known.unwrap_or_else(|| {
            let spare = if origin == Origin::Clients { SPARE } else { 0 };
            memory.names().intern(text, spare)
        });
        if name == Name::OTHER {
            // It may be known later.
            return name;
        }
        if known.is_none() && self.names.len() < REMEMBERED {
            self.names.insert(text.into(), name);
        }
        if let Some(recent) = self.recent.get_mut(place) {
            *recent = (text.into(), name);
        }
        name
    }

    /// What a model is counted as. `is_served`: an engine has just answered for it.
    #[inline]
    pub fn model(
        &mut self,
        memory: &Observations<'_>,
        model: &str,
        is_served: bool,
        known: &KnownModels,
    ) -> Name {
        if model.is_empty() {
            return Name::NONE;
        }
        let place = place(model);
        if let Some((known, name)) = self.models.get(place) {
            if **known == *model {
                return *name;
            }
        }
        self.look_up_model(memory, model, is_served, known)
    }

    #[cold]
    #[inline(never)]
    fn look_up_model(
        &mut self,
        memory: &Observations<'_>,
        model: &str,
        is_served: bool,
        known: &KnownModels,
    ) -> Name {
        let name = match known.label(model) {
            ModelLabel::Other => return Name::OTHER,
            ModelLabel::Name => self.name(memory, model, Origin::Configured),
            ModelLabel::Pattern(pattern) => {
                let name = match is_served {
                    true => Some(self.name(memory, model, Origin::Clients)),
                    false => self.known_name(memory, model),
                };
                match name.filter(|name| *name != Name::OTHER) {
                    Some(name) => name,
                    // It may have one later.
                    None => return self.name(memory, pattern, Origin::Configured),
                }
            }
        };
        if let Some(recent) = self.models.get_mut(place(model)) {
            *recent = (model.into(), name);
        }
        name
    }

    /// The name of a text that has one already.
    pub fn known_name(&mut self, memory: &Observations<'_>, text: &str) -> Option<Name> {
        match self.names.get(text) {
            Some(name) => Some(*name),
            None => {
                let name = memory.names().find(text)?;
                if self.names.len() < REMEMBERED {
                    self.names.insert(text.into(), name);
                }
                Some(name)
            }
        }
    }

    /// Counts a request that ended.
    #[inline]
    pub fn observe(
        &mut self,
        memory: &Observations<'_>,
        observation: &Observation,
        now: UnixMillis,
    ) {
        let row = usize::from(self.row);
        minutes::count(memory.minutes(row), observation, now);
        let flow = observation.flow;
        let hash = usize::from(flow.tier.0 ^ flow.model.0 << 2 ^ flow.endpoint.0 << 4);
        let find = || memory.block(Block::Flow(self.row, flow));
        match self.flows.get(hash, flow, find) {
            Some(at) => observation.count(memory.cells(at, cells::COUNT)),
            None => self.count(memory, Counter::Uncounted, 1),
        }
    }

    /// Counts what is in no request.
    #[inline]
    pub fn count(&self, memory: &Observations<'_>, counter: Counter, times: u64) {
        add(memory.counters(usize::from(self.row)), counter.index(), times);
    }

    fn tier<'m>(
        &mut self,
        memory: &Observations<'m>,
        tier: Name,
    ) -> &'m [std::sync::atomic::AtomicU64] {
        let find = || memory.block(Block::Tier(self.row, tier));
        match self.tiers.get(usize::from(tier.0), tier, find) {
            Some(at) => memory.cells(at, tier_cells::COUNT),
            None => &[],
        }
    }

    /// A request of this tier comes to be in flight, or in the queue: one of the gauges of [`tier_cells`].
    #[inline]
    pub fn enter(&mut self, memory: &Observations<'_>, tier: Name, gauge: usize) {
        add(self.tier(memory, tier), gauge, 1);
    }

    /// It is so no more.
    #[inline]
    pub fn leave_gauge(&mut self, memory: &Observations<'_>, tier: Name, gauge: usize) {
        if let Some(cell) = self.tier(memory, tier).get(gauge) {
            let now = cell.load(Ordering::Relaxed).saturating_sub(1);
            cell.store(now, Ordering::Relaxed);
        }
    }

    /// A request of this tier has waited in the queue for so long.
    pub fn waited(&mut self, memory: &Observations<'_>, tier: Name, ms: u64) {
        add_to(self.tier(memory, tier), tier_cells::QUEUE_WAITS, &bounds::DURATION, ms);
    }

    /// Adds to another cell of a tier.
    pub fn count_of_tier(&mut self, memory: &Observations<'_>, tier: Name, cell: usize) {
        add(self.tier(memory, tier), cell, 1);
    }
}

const _: () = assert!(ROWS <= 1 << 8);

//! One worker's hand that writes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::counter::Counter;
use super::flow::{add_to, Flow, Observation};
use super::known::{KnownModels, ModelLabel};
use super::memory::{Block, Observations, ROWS};
use super::names::{Name, PLACES};
use super::{add, add_one, bounds, minutes, tier_cells, Event, Family};
use crate::clock::UnixMillis;
use crate::guards::Action;
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
    /// Whether requests are counted by the minute as well.
    by_minute: bool,
    /// Where blocks are.
    flows: Memo<Flow, 64>,
    tiers: Memo<Name, 16>,
    names: HashMap<Box<str>, Name>,
    /// Those of a moment ago.
    recent: [(Box<str>, Name); RECENT],
    /// What models of a moment ago are counted as, once that doesn't change any more.
    models: [(Box<str>, Name); RECENT],
    /// Where requests of a moment ago are counted.
    known: [Option<Known>; RECENT],
}

/// Whose requests, for which model, at which endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub struct Texts<'t> {
    /// Of the client; empty: it has none.
    pub tier: &'t str,
    /// What was asked for; empty: nothing.
    pub model: &'t str,
    /// The path of the engine's table.
    pub endpoint: &'static str,
}

/// Where requests with these texts are counted, whatever comes of them.
#[derive(Debug)]
struct Known {
    tier: Box<str>,
    model: Box<str>,
    endpoint: &'static str,
    flow: Flow,
    at: Option<usize>,
}

impl Known {
    #[inline]
    fn is_of(&self, texts: &Texts<'_>) -> bool {
        // Of the table there is one.
        std::ptr::eq(self.endpoint, texts.endpoint)
            && is_same(&self.tier, texts.tier)
            && is_same(&self.model, texts.model)
    }
}

/// Whether two texts are the same. Most are short, and to compare those takes less than a call.
#[inline(always)]
fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    // Both ends, which overlap, if they have to.
    fn ends<const N: usize>(text: &[u8]) -> Option<[&[u8; N]; 2]> {
        Some([text.first_chunk()?, text.last_chunk()?])
    }
    match one.len() {
        len if len != other.len() => false,
        0 => true,
        2..4 => ends::<2>(one) == ends::<2>(other),
        4..8 => ends::<4>(one) == ends::<4>(other),
        8..=16 => ends::<8>(one) == ends::<8>(other),
        _ => one == other,
    }
}

/// Where a request is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Its texts, by their names.
    pub flow: Flow,
    at: Option<usize>,
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
            by_minute: true,
            flows: Memo::new(),
            tiers: Memo::new(),
            names: HashMap::new(),
            recent: std::array::from_fn(|_| (Box::default(), Name::NONE)),
            models: std::array::from_fn(|_| (Box::default(), Name::NONE)),
            known: [const { None }; RECENT],
        })
    }

    /// The same where nobody looks at the last hour.
    #[must_use]
    pub fn without_minutes(mut self) -> Self {
        self.by_minute = false;
        self
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

    /// Where a request with these texts is counted. `is_served`: an engine has just answered for its model.
    #[inline]
    pub fn spot(
        &mut self,
        memory: &Observations<'_>,
        texts: &Texts<'_>,
        is_served: bool,
        models: &KnownModels,
    ) -> Spot {
        let place = texts.tier.len() ^ texts.model.len() << 1 ^ texts.endpoint.len() << 2;
        match self.known.get(place % RECENT) {
            Some(Some(known)) if known.is_of(texts) => Spot { flow: known.flow, at: known.at },
            _ => self.find_spot(memory, texts, (is_served, models), place % RECENT),
        }
    }

    #[cold]
    #[inline(never)]
    fn find_spot(
        &mut self,
        memory: &Observations<'_>,
        texts: &Texts<'_>,
        (is_served, models): (bool, &KnownModels),
        place: usize,
    ) -> Spot {
        let Texts { tier, model, endpoint } = *texts;
        let (model_name, is_final) = self.model(memory, model, is_served, models);
        let flow = Flow {
            tier: self.name(memory, tier, Origin::Configured),
            model: model_name,
            endpoint: self.name(memory, endpoint, Origin::Configured),
        };
        let at = self.block_of(memory, flow);
        if let (true, Some(known)) = (is_final, self.known.get_mut(place)) {
            *known = Some(Known { tier: tier.into(), model: model.into(), endpoint, flow, at });
        }
        Spot { flow, at }
    }

    /// What a model is counted as, and whether it stays that.
    fn model(
        &mut self,
        memory: &Observations<'_>,
        model: &str,
        is_served: bool,
        known: &KnownModels,
    ) -> (Name, bool) {
        if model.is_empty() {
            return (Name::NONE, true);
        }
        if let Some((known, name)) = self.models.get(place(model)) {
            if **known == *model {
                return (*name, true);
            }
        }
        let name = match known.label(model) {
            ModelLabel::Other => return (Name::OTHER, true),
            ModelLabel::Name => self.name(memory, model, Origin::Configured),
            ModelLabel::Pattern(pattern) => {
                let name = match is_served {
                    true => Some(self.name(memory, model, Origin::Clients)),
                    false => self.known_name(memory, model),
                };
                match name.filter(|name| *name != Name::OTHER) {
                    Some(name) => name,
                    // It may have one later.
                    None => return (self.name(memory, pattern, Origin::Configured), false),
                }
            }
        };
        if let Some(recent) = self.models.get_mut(place(model)) {
            *recent = (model.into(), name);
        }
        (name, true)
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

    fn block_of(&mut self, memory: &Observations<'_>, flow: Flow) -> Option<usize> {
        let hash = usize::from(flow.tier.0 ^ flow.model.0 << 2 ^ flow.endpoint.0 << 4);
        let find = || memory.block(Block::Flow(self.row, flow));
        self.flows.get(hash, flow, find)
    }

    /// Counts a request that ended, in the flow that it says.
    pub fn observe(
        &mut self,
        memory: &Observations<'_>,
        observation: &Observation,
        now: UnixMillis,
    ) {
        let flow = observation.flow;
        let spot = Spot { flow, at: self.block_of(memory, flow) };
        self.observe_at(memory, spot, observation, now);
    }

    /// Counts a request that ended.
    #[inline]
    pub fn observe_at(
        &self,
        memory: &Observations<'_>,
        spot: Spot,
        observation: &Observation,
        now: UnixMillis,
    ) {
        if self.by_minute {
            minutes::count(memory.minutes(usize::from(self.row)), observation, now);
        }
        match spot.at.and_then(|at| memory.cells(at)) {
            Some(cells) => observation.count(cells),
            None => self.count(memory, Counter::Uncounted, 1),
        }
    }

    /// Counts what a guard found, by the guard, the rule and what is done about it.
    pub fn found(
        &mut self,
        memory: &Observations<'_>,
        (guard, rule, action): (&str, &str, Action),
        times: u64,
        now: UnixMillis,
    ) {
        let mut name = |text| self.name(memory, text, Origin::Configured);
        let (first, second, third) = (name(guard), name(rule), name(action.name()));
        let event = Event { family: Family::GuardFindings, first, second, third };
        memory.count_event(event, times);
        if self.by_minute {
            minutes::count_found(memory.minutes(usize::from(self.row)), action, times, now);
        }
    }

    /// Counts what is in no request.
    #[inline]
    pub fn count(&self, memory: &Observations<'_>, counter: Counter, times: u64) {
        if let Some(cell) = memory.counter(usize::from(self.row), counter) {
            add_one(cell, times);
        }
    }

    /// Where what is counted of all requests of a tier is. `None`: there is no room.
    pub fn tier(&mut self, memory: &Observations<'_>, tier: &str) -> Option<TierSpot> {
        let name = self.name(memory, tier, Origin::Configured);
        self.tier_of(memory, name)
    }

    /// The same of a tier by its name.
    pub fn tier_of(&mut self, memory: &Observations<'_>, tier: Name) -> Option<TierSpot> {
        let find = || memory.block(Block::Tier(self.row, tier));
        self.tiers.get(usize::from(tier.0), tier, find).map(TierSpot)
    }
}

/// Where what is counted of all requests of a tier is. Only for the process that asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierSpot(usize);

impl TierSpot {
    #[inline]
    fn cells<'m>(self, memory: &Observations<'m>) -> Option<&'m [AtomicU64; tier_cells::COUNT]> {
        memory.cells(self.0)
    }

    /// Adds to one of [`tier_cells`]: a request comes to be in flight, or in the queue, say.
    #[inline]
    pub fn add(self, memory: &Observations<'_>, cell: usize) {
        if let Some(cells) = self.cells(memory) {
            add(cells, cell, 1);
        }
    }

    /// It is so no more.
    #[inline]
    pub fn take(self, memory: &Observations<'_>, gauge: usize) {
        if let Some(cell) = self.cells(memory).and_then(|cells| cells.get(gauge)) {
            cell.store(cell.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
        }
    }

    /// A request has waited in the queue for so long.
    pub fn waited(self, memory: &Observations<'_>, ms: u64) {
        if let Some(cells) = self.cells(memory) {
            add_to(cells, tier_cells::QUEUE_WAITS, &bounds::DURATION, ms);
        }
    }
}

const _: () = assert!(ROWS <= 1 << 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_same_only_if_every_byte_is() {
        for len in 0..40 {
            let text = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnop".get(..len).unwrap();
            assert!(is_same(text, text));
            assert!(!is_same(text, &format!("{text}a")));
            for at in 0..len {
                let mut other = text.to_owned();
                other.replace_range(at..=at, "-");
                assert!(!is_same(text, &other), "{text} {other}");
            }
        }
    }
}

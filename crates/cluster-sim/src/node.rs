//! One node: its zone and its leases, in the memory of one run of it, and the thread that speaks with the store.

use std::num::NonZeroU16;
use std::sync::atomic::AtomicU64;

use tollgate_core::clock::{MonoNanos, UnixSeconds};
use tollgate_core::cluster::exchange::{self, Asked, Memory, Pace};
use tollgate_core::cluster::message::{
    Answer, Call, Incarnation, Outcome as Executed, Shards, StoreId,
};
use tollgate_core::cluster::mirror::ZoneMirror;
use tollgate_core::cluster::{
    judge, unheard_until, Backing, Drawn, Entry, Judge, LeaseTable, Name, OnLoss,
};
use tollgate_core::limits::{Ask, ClaimLock, Holder, LayoutError, Now, Process, Seat, Seed, Zone};

use crate::limit::{Grants, Limit};
use crate::servers::START_US;

/// The seed by which limits are called in the store.
const SEED: (u64, u64) = (5, 6);

/// Everything happens in one thread here.
struct NoLock;

impl ClaimLock for NoLock {
    fn with<T>(&self, f: impl FnOnce() -> T) -> T {
        f()
    }
}

/// How a node is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Words of its zone, and of its table of leases.
    pub words: (usize, usize),
    /// Nanoseconds between exchanges.
    pub exchange: u64,
    /// What it does without the store.
    pub on_loss: OnLoss,
}

/// The memory of one run of a node.
pub struct Node {
    zone: Vec<AtomicU64>,
    table: Vec<AtomicU64>,
    setup: Setup,
    holder: Holder,
    memory: Memory,
    /// The message that is under way.
    pub(crate) under_way: Option<Asked>,
    /// What was heard of the life of the store's data.
    pub(crate) life: u64,
}

/// What a request has reserved.
#[derive(Debug)]
pub struct Reserved {
    ask: Ask,
    seat: Option<Seat>,
    /// From what; nothing was taken of it yet where the request waits.
    backing: Backing,
    /// What the limit is called in the store.
    name: Option<Name>,
    /// How much, in the units of the node.
    pub n: u64,
}

impl Reserved {
    /// Whether the node gave it away by itself.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.backing == Backing::Alone
    }
}

/// What came of a request.
#[derive(Debug)]
pub enum Outcome {
    /// It goes on.
    Admitted(Reserved),
    /// It waits for the answer to this message.
    Waits(Reserved, u64),
    /// The limit has too little left, as far as the node knows.
    Exceeded,
    /// There is no room for it, or nobody may decide.
    Unavailable,
}

impl Node {
    /// A node whose memory was just made. `incarnation` are random bits.
    ///
    /// # Errors
    ///
    /// When it has too few words.
    pub fn new(setup: Setup, incarnation: u64, now: MonoNanos) -> Result<Self, LayoutError> {
        let (zone_words, table_words) = setup.words;
        let memory = |words: usize| (0..words).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
        let (zone, table) = (memory(zone_words), memory(table_words));
        Zone::format(&zone, (incarnation, 1))?;
        LeaseTable::format(&table, incarnation, now)?.words().set_seed(SEED);
        let process = Process { pid: 1, started: 1 };
        let holder =
            Zone::attach(&zone)?.register(process, &NoLock).ok_or(LayoutError::TooSmall)?;
        let memory = Memory::default();
        Ok(Self { zone, table, setup, holder, memory, under_way: None, life: 0 })
    }

    /// Its limits.
    ///
    /// # Errors
    ///
    /// Never, as its memory was made here.
    pub fn zone(&self) -> Result<Zone<'_>, LayoutError> {
        Zone::attach(&self.zone)
    }

    /// Its leases.
    ///
    /// # Errors
    ///
    /// Never, as its memory was made here.
    pub fn table(&self) -> Result<LeaseTable<'_>, LayoutError> {
        LeaseTable::attach(&self.table)
    }

    /// By what the store knows it.
    #[must_use]
    pub fn incarnation(&self) -> Option<Incarnation> {
        Some(Incarnation::from_random(self.table().ok()?.words().incarnation()))
    }

    fn now(&self, mono: MonoNanos) -> Now {
        let wall = self.table().ok().and_then(|table| table.words().store_time(mono));
        Now { mono, wall: wall.unwrap_or(UnixSeconds(1_796_212_800)) }
    }

    /// A request of `n` of a limit. `clock` is read after something was taken; `looks_late` forgets to.
    pub fn request(&mut self, limit: &Limit, n: u64, now: MonoNanos, clock: MonoNanos) -> Outcome {
        let (Ok(zone), Ok(table)) = (Zone::attach(&self.zone), LeaseTable::attach(&self.table))
        else {
            return Outcome::Unavailable;
        };
        let at = self.now(now);
        let ask = limit.ask(&zone, n);
        let Some((mut reserved, count)) = Self::reserve(&zone, &mut self.holder, ask, n, at) else {
            return Outcome::Exceeded;
        };
        let name = |seed: Seed| Some(seed.client_key(&limit.client));
        let Ok(entry) = table.find_or_make(&reserved.ask, name, &NoLock) else {
            self.undo(reserved, at);
            return Outcome::Unavailable;
        };
        if Self::draw(&entry, limit, &mut reserved, count, clock) {
            return Outcome::Admitted(reserved);
        }
        let words = table.words();
        match judge(self.setup.on_loss, words.contact(), words.began(), now) {
            Judge::Store => {
                let units = n.div_ceil(limit.unit());
                let round = entry.need(units);
                Outcome::Waits(reserved, round)
            }
            Judge::Node { weight } => {
                self.undo(reserved, at);
                self.alone(limit, n, at, weight)
            }
            Judge::Nobody => {
                self.undo(reserved, at);
                Outcome::Unavailable
            }
        }
    }

    /// Takes from the mirror. Gives what it reserved, and for slots how many are in flight then.
    fn reserve(
        zone: &Zone<'_>,
        holder: &mut Holder,
        ask: Ask,
        n: u64,
        at: Now,
    ) -> Option<(Reserved, u16)> {
        let (mut asks, mut standings, mut seats) = ([ask], Vec::new(), Vec::new());
        zone.reserve(&mut asks, at, &NoLock, Some(holder), &mut standings, &mut seats).ok()?;
        let [ask] = asks;
        let standing = standings.first()?;
        let in_flight = standing.quota.saturating_sub(standing.remaining);
        let reserved = Reserved { ask, seat: seats.pop(), backing: Backing::Lease, name: None, n };
        Some((reserved, u16::try_from(in_flight).unwrap_or(u16::MAX)))
    }

    fn draw(
        entry: &Entry<'_>,
        limit: &Limit,
        reserved: &mut Reserved,
        in_flight: u16,
        clock: MonoNanos,
    ) -> bool {
        reserved.backing = Backing::Lease;
        reserved.name = entry.store_name();
        match limit.grants {
            Grants::Slots(_) => entry.allows(in_flight, || clock),
            Grants::Bucket(_) | Grants::Budget(_) => {
                matches!(entry.draw(reserved.n, || clock), Drawn::Taken(_))
            }
        }
    }

    /// By the node's own judgement.
    fn alone(&mut self, limit: &Limit, n: u64, at: Now, weight: NonZeroU16) -> Outcome {
        let (Ok(zone), Ok(table)) = (Zone::attach(&self.zone), LeaseTable::attach(&self.table))
        else {
            return Outcome::Unavailable;
        };
        let ask = limit.ask(&zone, n).weighing(weight);
        let Some((mut reserved, _)) = Self::reserve(&zone, &mut self.holder, ask, n, at) else {
            return Outcome::Exceeded;
        };
        reserved.backing = Backing::Alone;
        if let Some(entry) = table.find(&reserved.ask) {
            reserved.name = entry.store_name();
            entry.spend_alone(n);
        }
        Outcome::Admitted(reserved)
    }

    /// Whether the message was answered for which a request waits.
    #[must_use]
    pub fn is_answered(&self, reserved: &Reserved, round: u64) -> bool {
        let table = self.table();
        let entry = table.as_ref().ok().and_then(|table| table.find(&reserved.ask));
        entry.is_none_or(|entry| entry.is_answered(round))
    }

    /// Tries again, for a request that waits. `None`: it has to wait on, or to be refused ([`Node::wait_on`]).
    pub fn try_again(&self, limit: &Limit, reserved: &mut Reserved, clock: MonoNanos) -> bool {
        let Ok(table) = self.table() else { return false };
        let Some(entry) = table.find(&reserved.ask) else { return false };
        let in_flight = match limit.grants {
            Grants::Slots(_) => self.in_flight(reserved, clock),
            Grants::Bucket(_) | Grants::Budget(_) => 0,
        };
        Self::draw(&entry, limit, reserved, in_flight, clock)
    }

    fn in_flight(&self, reserved: &Reserved, now: MonoNanos) -> u16 {
        let standing = self.zone().ok().map(|zone| zone.look(&reserved.ask, self.now(now)).0);
        let count =
            standing.map_or(u64::MAX, |standing| standing.quota.saturating_sub(standing.remaining));
        u16::try_from(count).unwrap_or(u16::MAX)
    }

    /// Has it wait for the next message. Gives that one's number.
    #[must_use]
    pub fn wait_on(&self, limit: &Limit, reserved: &Reserved) -> Option<u64> {
        let table = self.table().ok()?;
        Some(table.find(&reserved.ask)?.need(reserved.n.div_ceil(limit.unit())))
    }

    /// Whether it does without the store, which it hasn't heard for long.
    #[must_use]
    pub fn is_lost(&self, now: MonoNanos) -> bool {
        self.table().is_ok_and(|table| {
            let words = table.words();
            judge(self.setup.on_loss, words.contact(), words.began(), now) != Judge::Store
        })
    }

    /// Whether it has heard nothing from the store since then.
    #[must_use]
    pub fn is_unheard(&self, since: MonoNanos) -> bool {
        self.table().is_ok_and(|table| {
            let words = table.words();
            unheard_until(words.contact(), words.began(), since).is_some()
        })
    }

    /// Gives back what a request has reserved that doesn't go on.
    pub fn abandon(&mut self, reserved: Reserved, now: MonoNanos) {
        let at = self.now(now);
        self.undo(reserved, at);
    }

    fn undo(&mut self, reserved: Reserved, at: Now) {
        let Ok(zone) = Zone::attach(&self.zone) else { return };
        zone.give_back(&[reserved.ask], at);
        if let Some(seat) = reserved.seat {
            zone.release(seat, &mut self.holder);
        }
    }

    /// A request has ended that used so much. `false`: that couldn't be noted.
    pub fn settle(&mut self, reserved: Reserved, used: u64, now: MonoNanos) -> bool {
        let at = self.now(now);
        let Ok(zone) = Zone::attach(&self.zone) else { return false };
        if let Some(seat) = reserved.seat {
            zone.release(seat, &mut self.holder);
            return true;
        }
        zone.settle(&reserved.ask, used, at, &NoLock);
        let Ok(table) = LeaseTable::attach(&self.table) else { return false };
        let backing = (reserved.backing, reserved.name);
        table.settle(&reserved.ask, backing, used, at, &NoLock).is_ok()
    }

    /// The next message, which is under way then.
    pub fn speak(&mut self, now: MonoNanos) -> Option<&Asked> {
        let at = self.now(now);
        let (zone, table) = (Zone::attach(&self.zone).ok()?, LeaseTable::attach(&self.table).ok()?);
        let mut mirror = ZoneMirror::new(zone, at);
        let weight = match self.setup.on_loss {
            OnLoss::Share { nodes } => nodes,
            OnLoss::Local | OnLoss::Deny => NonZeroU16::MIN,
        };
        let pace = Pace { exchange: self.setup.exchange, weight };
        let asked = exchange::collect(&table, &mut self.memory, &mut mirror, pace, now)?;
        Some(self.under_way.insert(asked))
    }

    /// The answers to the message under way, or what there is of them.
    pub fn hear(&mut self, calls: &[(Call<'_>, Option<Answer>)], asked: &Asked, now: MonoNanos) {
        let at = self.now(now);
        let (Ok(zone), Ok(table)) = (Zone::attach(&self.zone), LeaseTable::attach(&self.table))
        else {
            return;
        };
        let mut mirror = ZoneMirror::new(zone, at);
        let answers = calls.iter().map(|(call, answer)| (call, answer.as_ref()));
        exchange::apply(&table, &mut self.memory, &mut mirror, asked, answers, now);
    }

    /// Another process takes over the thread's part: it remembers nothing.
    pub fn replace_thread(&mut self) {
        self.memory = Memory::default();
        self.under_way = None;
        self.life = 0;
    }

    /// What the store calls these limits: all nodes have the same names for them.
    #[must_use]
    pub fn names(&self, limits: &[Limit], now: MonoNanos) -> Vec<StoreId> {
        limits.iter().filter_map(|limit| self.name(limit, now)).collect()
    }

    /// The name that another node would use, which has just heard what time it is.
    fn name(&self, limit: &Limit, now: MonoNanos) -> Option<StoreId> {
        let mut other = Self::new(self.setup, 1, now).ok()?;
        other.speak(now)?;
        let asked = other.under_way.take()?;
        let time = Answer { now_us: START_US, life: 0, outcome: Executed::Stale };
        let calls = Call::all(&asked.message, Shards::ONE);
        let answers: Vec<_> = calls.into_iter().map(|call| (call, Some(time.clone()))).collect();
        other.hear(&answers, &asked, now);
        let (zone, table) = (other.zone().ok()?, other.table().ok()?);
        let name = |seed: Seed| Some(seed.client_key(&limit.client));
        table.find_or_make(&limit.ask(&zone, 1), name, &NoLock).ok()?.need(1);
        other.speak(now)?.message.lines.first().map(|line| line.id)
    }

    /// What it holds of a limit, in the units of the store.
    #[must_use]
    pub fn held(&self, limit: &Limit) -> u64 {
        let (Ok(zone), Ok(table)) = (self.zone(), self.table()) else { return 0 };
        table.find(&limit.ask(&zone, 1)).map_or(0, |entry| entry.balance() / limit.unit())
    }
}

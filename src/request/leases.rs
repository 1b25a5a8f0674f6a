//! Limits that hold over all nodes of a cluster: what a request takes of them, it draws from what this node has leased.
//!
//! A request has reserved on the limits of the node before, which mirror the use of the whole cluster: so whoever is
//! at a limit was refused there, and costs the store nothing. Where the lease has too little, the request waits for
//! the next exchange, at most for three ([`awaiting`](super::awaiting)); and where the store is lost, it goes by `on_loss`.

use std::num::NonZeroU16;
use std::rc::Rc;
use std::sync::atomic::{fence, Ordering};

use tollgate_core::cluster::{judge, times, Drawn, Entry, Judge, Name, NoEntry, Shape};
use tollgate_core::detail::{Cause, Detail};
use tollgate_core::limits::{Ask, Exceeded, Key, Refused, Seat, Seed, Take};
use tollgate_core::metrics::Counter;

use crate::clock::{mono_now, now};
use crate::observed;
use crate::per_worker::PerWorker;
use crate::request::admit::{Admission, Admitted, Shortage, NOMINAL_WAIT_NANOS};
use crate::request::asks::{Scratch, Way, Widths};
use crate::request::awaiting::{Awaiting, Lack, Patience};
use crate::request::complaint::may_say;
use crate::request::reservation::is_settled;
use crate::zone::leases::MappedLeases;
use crate::zone::lock::ZoneLock;
use crate::zone::member;
/// When it was last said that there is no room for leases, in nanoseconds of the monotonic clock.
static SAID: PerWorker<Option<u64>> = PerWorker::new(|| None);

/// Why nothing was drawn.
enum NotDrawn {
    /// These leases have too little.
    Lacks(Vec<Lack>),
    /// There is no room for a further lease.
    Full,
}

/// What the limit of an ask is called in the store, where that is needed when the request is settled.
#[inline]
fn name_of(entry: &Entry<'_>, ask: &Ask) -> Option<Name> {
    if is_settled(ask) {
        entry.store_name()
    } else {
        None
    }
}

impl Admission<'_, '_> {
    /// Draws from leases for what was reserved on this node, and keeps both; or the request waits for the store, or it
    /// gets nothing.
    pub(super) fn lease(
        &self,
        scratch: &mut Scratch,
        mut seats: Vec<Seat>,
        widths: &Widths,
        patience: Patience,
    ) -> Result<Admitted, Shortage> {
        let Some((leases, content)) = self.cluster else {
            self.keep(scratch, seats);
            return Ok(Admitted::Yes);
        };
        loop {
            let lacks = match self.draw(leases, scratch, widths) {
                Ok(()) => {
                    self.keep(scratch, seats);
                    return Ok(Admitted::Yes);
                }
                Err(NotDrawn::Full) => {
                    self.give_back(scratch, seats);
                    if may_say(&SAID) {
                        self.r.log().error(format_args!(
                            "tollgate_cluster has no room for a further lease, a request is refused; give it a larger \
                             \"leases=\""
                        ));
                    }
                    return Err(Detail::from(Cause::NoRoomForLease).into());
                }
                Err(NotDrawn::Lacks(lacks)) => lacks,
            };
            let words = leases.get().words();
            let judged = judge(content.on_loss(), words.contact(), words.began(), mono_now());
            let weight = match judged {
                Judge::Store if self.policy.dry_run => NonZeroU16::MIN,
                Judge::Store => {
                    if let Some(place) =
                        self.place_of(scratch, &lacks).filter(|_| patience.rounds > 0)
                    {
                        self.give_back(scratch, seats);
                        return self.queue_up(place, scratch);
                    }
                    if patience.rounds > 0 {
                        let patience = self.begun(content.exchange_nanos(), patience);
                        let place = (self.mapped, leases, content.exchange_nanos());
                        let awaiting = Awaiting::new((scratch, seats), lacks, place, patience);
                        self.state.borrow_mut().awaiting = Some(Box::new(awaiting));
                        return Ok(Admitted::Awaits);
                    }
                    self.give_back(scratch, std::mem::take(&mut seats));
                    if !scratch.forgo_guesses(lacks.iter().map(|lack| lack.index)) {
                        return Err(self.too_little(leases, scratch, &lacks));
                    }
                    seats = self.take_again(scratch)?;
                    continue;
                }
                Judge::Node { weight } => weight,
                Judge::Nobody => {
                    self.give_back(scratch, seats);
                    return Err(Detail::from(Cause::StoreLost).into());
                }
            };
            // Without the store each of these counts on the limit of this node, as often as there are nodes.
            self.give_back(scratch, std::mem::take(&mut seats));
            lacks.iter().for_each(|lack| scratch.count_alone(lack.index, weight));
            seats = self.take_again(scratch)?;
        }
    }

    /// A limit of all nodes refuses as this one knows it, and others may have given something back since: the store is asked
    /// how it stands, for those who come next.
    pub(super) fn look_again(&self, refused: &Refused, scratch: &Scratch, widths: &Widths) {
        let (Some((leases, _)), Refused::Exceeded(exceeded)) = (self.cluster, refused) else {
            return;
        };
        let index = exceeded.ask;
        let ask = scratch.asks.get(index).filter(|_| scratch.is_shared(index));
        let Some(ask) = ask.filter(|ask| !matches!(ask.take, Take::Concurrency { .. })) else {
            return;
        };
        if let Ok(entry) = self.entry(leases, (scratch, index), ask, widths) {
            entry.look_again();
        }
    }

    /// Draws what is asked for of limits that hold over the cluster: all of it, or nothing.
    fn draw(
        &self,
        leases: &MappedLeases,
        scratch: &mut Scratch,
        widths: &Widths,
    ) -> Result<(), NotDrawn> {
        let mut lacks = Vec::new();
        scratch.ways.resize(scratch.asks.len(), Way::Node);
        for index in 0..scratch.asks.len() {
            if !scratch.is_shared(index) || scratch.way(index).is_alone() {
                continue;
            }
            let Some(ask) = scratch.asks.get(index).copied() else { break };
            let drawn = loop {
                let found = self.entry(leases, (scratch, index), &ask, widths);
                let drawn = match found {
                    Ok(entry) => self.draw_one(&entry, &ask),
                    // Nobody can have leased what has no name yet.
                    Err(NoEntry::Unnamed) => Err(ask.reserved().max(1)),
                    Err(NoEntry::Full) => {
                        self.undo(leases, scratch);
                        return Err(NotDrawn::Full);
                    }
                };
                if drawn != Ok(None) {
                    break drawn;
                }
                // It was given to somebody else just now.
            };
            match drawn {
                Ok(way) => scratch.set_way(index, way.unwrap_or(Way::Node)),
                Err(missing) => {
                    let missing = missing.div_ceil(Shape::of(&ask.take).unit());
                    lacks.push(Lack { index, missing, round: 0 });
                }
            }
        }
        if lacks.is_empty() {
            self.spend_alone(leases, scratch, widths);
            return Ok(());
        }
        self.undo(leases, scratch);
        Err(NotDrawn::Lacks(lacks))
    }

    /// Draws what one ask is for; an error is how much is missing, and `None` that the lease is another one's by now.
    fn draw_one(&self, entry: &Entry<'_>, ask: &Ask) -> Result<Option<Way>, u64> {
        let Take::Concurrency { limit } = ask.take else {
            return match entry.draw(ask.reserved(), mono_now) {
                Drawn::Taken(round) => Ok(Some(Way::Lease(round, name_of(entry, ask)))),
                Drawn::Short { missing } => Err(missing),
                Drawn::Moved => Ok(None),
            };
        };
        // The seat was taken before this, and the thread that lowers what is allowed looks at the seats after that.
        fence(Ordering::SeqCst);
        let (standing, _) = self.zone.look(ask, now());
        let remaining = u16::try_from(standing.remaining).unwrap_or(0);
        match entry.allows(limit.saturating_sub(remaining), mono_now) {
            true => Ok(Some(Way::Seat)),
            false => Err(1),
        }
    }

    /// Notes what is let through without the store, so that it hears of it when it is back.
    fn spend_alone(&self, leases: &MappedLeases, scratch: &mut Scratch, widths: &Widths) {
        for index in 0..scratch.asks.len() {
            let Some(ask) = scratch.asks.get(index).copied() else { break };
            if !scratch.way(index).is_alone() {
                continue;
            }
            observed::count(Counter::Alone);
            if matches!(ask.take, Take::Concurrency { .. }) {
                continue;
            }
            while let Ok(entry) = self.entry(leases, (scratch, index), &ask, widths) {
                if entry.spend_alone(ask.reserved()) {
                    scratch.set_way(index, Way::Alone(name_of(&entry, &ask)));
                    break;
                }
                // It was given to somebody else just now.
            }
        }
    }

    /// Puts back what was drawn.
    fn undo(&self, leases: &MappedLeases, scratch: &mut Scratch) {
        for (ask, way) in scratch.asks.iter().zip(&mut scratch.ways) {
            let Way::Lease(round, _) = *way else { continue };
            *way = Way::Node;
            if let Some(entry) = leases.get().find(ask) {
                entry.undo(ask.reserved(), round);
            }
        }
    }

    /// The lease for an ask.
    #[inline]
    fn entry<'l>(
        &self,
        leases: &'l MappedLeases,
        (scratch, index): (&Scratch, usize),
        ask: &Ask,
        widths: &Widths,
    ) -> Result<Entry<'l>, NoEntry> {
        let table = leases.get();
        let name = |seed| self.name(seed, (scratch, index), widths);
        table.find_or_make(ask, name, &ZoneLock::new(table.lock()))
    }

    /// What the limit of an ask is called in the store.
    #[cold]
    fn name(
        &self,
        seed: Seed,
        (scratch, index): (&Scratch, usize),
        widths: &Widths,
    ) -> Option<Key> {
        let zone = self.zone.with_seed(seed);
        let named = Admission { zone: &zone, ..*self };
        let mut others = Scratch::default();
        named.all_asks(&mut others, self.amounts(), widths);
        let is_same = others.asks.len() == scratch.asks.len();
        others.asks.get(index).filter(|_| is_same).map(|ask| ask.key)
    }

    /// Where to wait among the requests in flight, if it is a place there that is lacking.
    fn place_of(&self, scratch: &Scratch, lacks: &[Lack]) -> Option<usize> {
        let [lack] = lacks else { return None };
        scratch.place(lack.index).map(|_| lack.index)
    }

    fn begun(&self, exchange_nanos: u64, patience: Patience) -> Patience {
        let longest = || {
            let now = mono_now().0;
            (now, now.saturating_add(times::longest_wait(exchange_nanos)))
        };
        Patience { span: Some(patience.span.unwrap_or_else(longest)), ..patience }
    }

    /// Gives back what was reserved on this node.
    fn give_back(&self, scratch: &mut Scratch, seats: Vec<Seat>) {
        self.zone.give_back(&scratch.asks, now());
        member::with(|member| {
            let Some(holder) = member.holder.as_mut() else { return };
            seats.into_iter().for_each(|seat| self.zone.release(seat, holder));
        });
    }

    /// Reserves on this node once more.
    fn take_again(&self, scratch: &mut Scratch) -> Result<Vec<Seat>, Shortage> {
        let mut seats = Vec::new();
        self.reserve_here(scratch, &mut seats).map_err(|refused| self.refuse(refused, scratch))?;
        Ok(seats)
    }

    /// What becomes of a request that has waited for the store in vain.
    fn too_little(
        &self,
        leases: &Rc<MappedLeases>,
        scratch: &mut Scratch,
        lacks: &[Lack],
    ) -> Shortage {
        let wait = |lack: &Lack| {
            let ask = scratch.asks.get(lack.index)?;
            let wait_nanos = leases.get().find(ask)?.wait_nanos();
            Some((wait_nanos.max(1), lack.index))
        };
        let longest = lacks.iter().filter_map(wait).max();
        let first = lacks.first().map_or(0, |lack| lack.index);
        let (wait_nanos, ask) = longest.unwrap_or((NOMINAL_WAIT_NANOS, first));
        let now = now();
        scratch.standings = scratch.asks.iter().map(|ask| self.zone.look(ask, now).0).collect();
        let only_concurrency = false;
        let exceeded = Exceeded { ask, wait_nanos, only_concurrency };
        self.refuse(Refused::Exceeded(exceeded), scratch)
    }
}

//! Taking from one limit of a slot that was found, and settling what was taken.

use smallvec::SmallVec;

use super::ask::{in_flight, Ask, Now, Take};
use super::bucket::{Level, Scale};
use super::budget::{self, Settled};
use super::frozen::FROZEN;
use super::holder::Holder;
use super::key::Key;
use super::ledger::{Ledger, NotTaken, Seat};
use super::slots::{Moved, Seen, SlotPlace, Slots};
use super::standing::{Obstacle, Standing, Wait};
use super::sync::Ordering;

/// The wait that is told for a place among the requests in flight: when one of them ends isn't
/// known.
const NOMINAL_WAIT_NANOS: u64 = 1_000_000_000;

/// Why nothing was taken from a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// The slot belongs to another key by now.
    Moved,
    /// Too little is left.
    Obstacle(Obstacle),
    /// The ledger has no room for a further request in flight.
    NoSeat,
}

impl From<Moved> for Failed {
    fn from(_: Moved) -> Self {
        Self::Moved
    }
}

/// The places in flight that one reservation takes: a client's own mostly, and that of a rule.
pub(super) type Seats = SmallVec<[Seat; 2]>;

/// A take from a bucket or a budget that would succeed now: the word that was seen, and what follows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready<'z> {
    place: SlotPlace,
    seen: Seen<'z>,
    /// The word that takes its place; `None`: it stays.
    next: Option<u64>,
    /// Of a budget, for its settlement.
    period: u32,
    amount: u64,
}

/// What a look at an ask came to.
pub(super) enum Look<'z> {
    /// It would pass; how the limit stands then.
    Ready(Ready<'z>, Standing),
    /// It would pass, as far as can be told before it is taken.
    Passes,
    Obstacle(Obstacle),
}

impl<'z> Slots<'z> {
    /// Looks whether an ask would pass. Writes nothing, but for what [`Slots::obstacle`] does.
    pub(super) fn prepare(&self, place: SlotPlace, ask: &Ask, now: Now) -> Result<Look<'z>, Moved> {
        if let Some((ready, standing)) = self.ready(place, ask, now)? {
            return Ok(Look::Ready(ready, standing));
        }
        let obstacle = self.obstacle(place, ask, now)?;
        Ok(obstacle.map_or(Look::Passes, Look::Obstacle))
    }

    /// What is read of a slot that has moved may be anything: that shows when it is taken.
    #[inline]
    fn ready(
        &self,
        place: SlotPlace,
        ask: &Ask,
        now: Now,
    ) -> Result<Option<(Ready<'z>, Standing)>, Moved> {
        if matches!(ask.take, Take::Concurrency { .. }) || ask.take.is_oversized() {
            return Ok(None);
        }
        let seen = self.read(place, (ask.key, ask.take.word()))?;
        if seen.value == FROZEN {
            return Ok(None);
        }
        let ready = |next, (period, amount)| Ready { place, seen, next, period, amount };
        Ok(match ask.take {
            Take::Bucket { scale, n, .. } => {
                let n = ask.weighed(n);
                let taken = scale.take(Level::of(seen.value), n, now.mono, self.rate()).ok();
                taken.map(|(next, standing)| (ready(Some(next), (0, 0)), standing))
            }
            Take::Budget { budget, n, guess } => {
                let [n, guess] = [n, guess].map(|n| ask.weighed_amount(n));
                let taken = budget.take(seen.value, n, guess, now.wall).ok();
                taken.map(|it| (ready(it.word, (it.period, it.amount)), it.standing))
            }
            Take::Concurrency { .. } => None,
        })
    }

    /// Takes what was ready to be taken. `false`: somebody else was faster.
    /// `epoch` was read since it was made ready.
    pub(super) fn take_ready(
        &self,
        ready: &Ready<'_>,
        ask: &mut Ask,
        epoch: u16,
    ) -> Result<bool, Moved> {
        self.check(ready.place, ask.key, &ready.seen)?;
        if ready.next.is_some_and(|next| ready.seen.swap(next).is_err()) {
            return Ok(false);
        }
        (ask.period, ask.taken, ask.epoch) = (ready.period, ready.amount, epoch);
        Ok(true)
    }

    fn rate(&self) -> impl Fn(u16) -> Option<Scale> + '_ {
        |index| self.rates.get(index)
    }

    /// What stands in the way of an ask; `None` if it would pass now.
    pub(super) fn obstacle(
        &self,
        place: SlotPlace,
        ask: &Ask,
        now: Now,
    ) -> Result<Option<Obstacle>, Moved> {
        if ask.take.is_oversized() {
            return Ok(Some(Obstacle::Oversized));
        }
        let target = (ask.key, ask.take.word());
        let wait = match ask.take {
            Take::Bucket { scale, n, .. } => self.update(place, target, |word| {
                let wait = scale.wait(Level::of(word), ask.weighed(n), now.mono, self.rate());
                (wait.and_then(|wait| wait.converted), wait)
            }),
            Take::Budget { budget, n, guess } => self.update(place, target, |word| {
                let [n, guess] = [n, guess].map(|n| ask.weighed_amount(n));
                let wait = budget.wait(word, n, guess, now.wall);
                (wait.and_then(|wait| wait.converted), wait)
            }),
            Take::Concurrency { limit } => self.update(place, target, |word| {
                let wait = Wait { nanos: NOMINAL_WAIT_NANOS, converted: None };
                (None, (Ledger::count(word) >= ask.weighed_limit(limit)).then_some(wait))
            }),
        }?;
        Ok(wait.map(|wait| Obstacle::Wait(wait.nanos)))
    }

    /// How a limit stands, and [`Slots::obstacle`].
    pub(super) fn look(
        &self,
        place: SlotPlace,
        ask: &Ask,
        now: Now,
    ) -> Result<(Standing, Option<Obstacle>), Moved> {
        let obstacle = self.obstacle(place, ask, now)?;
        let standing = self.update(place, (ask.key, ask.take.word()), |word| {
            let standing = match ask.take {
                Take::Bucket { scale, .. } => scale.look(Level::of(word), now.mono, self.rate()),
                Take::Budget { budget, .. } => budget.look(word, now.wall),
                Take::Concurrency { limit } => in_flight(limit, Ledger::count(word)),
            };
            (None, standing)
        })?;
        Ok((standing, obstacle))
    }

    /// Takes what is asked for, and notes in the ask what its settlement needs to know. A place
    /// among the requests in flight is put into `seats`.
    pub(super) fn take(
        &self,
        place: SlotPlace,
        ask: &mut Ask,
        now: Now,
        holder: Option<&mut Holder>,
        seats: &mut Seats,
    ) -> Result<Standing, Failed> {
        if ask.take.is_oversized() {
            return Err(Failed::Obstacle(Obstacle::Oversized));
        }
        let target = (ask.key, ask.take.word());
        let mut epoch = 0;
        let taken = match ask.take {
            Take::Bucket { scale, n, .. } => self.update(place, target, |word| {
                epoch = self.resets.epoch();
                match scale.take(Level::of(word), ask.weighed(n), now.mono, self.rate()) {
                    Ok((word, standing)) => (Some(word), Ok(standing)),
                    Err(wait) => (wait.converted, Err(wait)),
                }
            })?,
            Take::Budget { budget, n, guess } => {
                let taken = self.update(place, target, |word| {
                    epoch = self.resets.epoch();
                    let [n, guess] = [n, guess].map(|n| ask.weighed_amount(n));
                    match budget.take(word, n, guess, now.wall) {
                        Ok(reserved) => (reserved.word, Ok(reserved)),
                        Err(wait) => (wait.converted, Err(wait)),
                    }
                })?;
                taken.map(|reserved| {
                    (ask.period, ask.taken) = (reserved.period, reserved.amount);
                    reserved.standing
                })
            }
            Take::Concurrency { limit } => {
                let holder = holder.ok_or(Failed::NoSeat)?;
                let limit = ask.weighed_limit(limit);
                let (seat, standing) = self.enter(place, (ask.key, target.1), limit, holder)?;
                seats.push(seat);
                Ok(standing)
            }
        };
        ask.epoch = epoch;
        taken.map_err(|wait| Failed::Obstacle(Obstacle::Wait(wait.nanos)))
    }

    /// One more request in flight.
    fn enter(
        &self,
        place: SlotPlace,
        (key, index): (Key, usize),
        limit: u16,
        holder: &mut Holder,
    ) -> Result<(Seat, Standing), Failed> {
        let word = self.slot(place).get(index).ok_or(Failed::Moved)?;
        let still_ours = || self.holds(place, key);
        let seat = self.ledger.take(holder, word, self.number(place), limit, still_ours).map_err(
            |not_taken| match not_taken {
                NotTaken::Full { .. } => Failed::Obstacle(Obstacle::Wait(NOMINAL_WAIT_NANOS)),
                NotTaken::Moved => Failed::Moved,
                NotTaken::NoSeat => Failed::NoSeat,
            },
        )?;
        let count = Ledger::count(word.load(Ordering::Relaxed));
        Ok((seat, in_flight(limit, count)))
    }

    /// Replaces what a successful take reserved with what was `used`: tokens, or nano-units. Of a limit that was
    /// reset since, nothing is given back.
    pub(super) fn settle(
        &self,
        place: SlotPlace,
        ask: &Ask,
        used: u64,
        now: Now,
    ) -> Result<(), Moved> {
        let gives_back = used < ask.reserved();
        let target = (ask.key, ask.take.word());
        self.update(place, target, |word| {
            if gives_back && self.resets.is_since(ask.epoch, target) {
                return (None, ());
            }
            let next = match ask.take {
                Take::Bucket { scale, n, .. } => {
                    let used = (ask.weighed(n).into(), ask.weighed_amount(used));
                    Some(scale.settle(Level::of(word), used, now.mono, self.rate()))
                }
                Take::Budget { budget, .. } => {
                    let used = (ask.taken, ask.weighed_amount(used));
                    match budget.settle(word, ask.period, used, now.wall) {
                        Settled::Same => None,
                        Settled::Nothing => Some(budget::fresh(budget.calendar(), self.unique())),
                        Settled::Word(word) => Some(word),
                    }
                }
                // Its seat is released instead.
                Take::Concurrency { .. } => None,
            };
            (next, ())
        })
    }
}

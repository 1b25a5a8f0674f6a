//! The reservation over several limits, all or nothing, and its settlement.

use super::ask::{Ask, Now, Take};
use super::claim_lock::ClaimLock;
use super::holder::Holder;
use super::key::Key;
use super::ledger::Seat;
use super::slots::{Moved, SlotPlace};
use super::standing::{Obstacle, Standing};
use super::take::{Failed, Look, Seats};
use super::zone::Zone;

/// How often a slot is looked for again. An attempt fails only when the slot was given away between
/// finding and taking, which needs it to have been idle just then.
const ATTEMPTS: u32 = 16;

/// How many takes are made ready while all asks are looked at. What is beyond that is computed twice.
const MOST_READY: usize = 6;

/// A limit has too little left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Which of the asks stands in the way for longest.
    pub ask: usize,
    /// Nanoseconds until the same request would pass, as far as the present use goes. For
    /// concurrency, where it isn't known, a second.
    pub wait_nanos: u64,
    /// Nothing but limits on concurrency stands in the way, so waiting in a queue can help.
    pub only_concurrency: bool,
}

/// Why nothing was reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A limit has too little left.
    Exceeded(Exceeded),
    /// This one of the asks is for more than its limit can ever hold: waiting doesn't help.
    Oversized(usize),
    /// No room for the key of this one of the asks, and none of the others in its area is idle.
    ZoneFull(usize),
    /// No room in the ledger for a further request in flight.
    NoSeat,
}

impl Refused {
    fn by((ask, obstacle): (usize, Obstacle), only_concurrency: bool) -> Self {
        match obstacle {
            Obstacle::Oversized => Self::Oversized(ask),
            Obstacle::Wait(wait_nanos) => {
                Self::Exceeded(Exceeded { ask, wait_nanos, only_concurrency })
            }
        }
    }
}

/// What an attempt at a reservation came to.
enum Attempted {
    /// Taken, or refused.
    Done(Result<(), Refused>),
    /// The slot of this ask moved meanwhile.
    Moved(usize),
}

impl Attempted {
    fn refused(refused: Refused) -> Self {
        Self::Done(Err(refused))
    }
}

/// One attempt at a reservation.
struct Attempt<'a, 'z, L> {
    zone: &'a Zone<'z>,
    now: Now,
    lock: &'a L,
    /// Whether slots are looked for under the mutex, which mends what a dead worker left behind.
    locked: bool,
    holder: Option<&'a mut Holder>,
    /// Seats that this reservation has taken.
    seats: Seats,
}

impl<'z> Zone<'z> {
    /// Takes from all of the limits, or from none. On success, `standings` holds one entry for each
    /// ask, after the take; when the answer is [`Refused::Exceeded`] or [`Refused::Oversized`], one
    /// for each ask as it stands. The asks keep what their settlement needs to know. For every ask
    /// for concurrency a seat is put into `seats`, which is to be [released](Zone::release) when
    /// the request has ended; the `holder` is needed for such asks only.
    ///
    /// # Errors
    ///
    /// [`Refused`]; nothing was taken then.
    pub fn reserve(
        &self,
        asks: &mut [Ask],
        now: Now,
        lock: &impl ClaimLock,
        mut holder: Option<&mut Holder>,
        standings: &mut Vec<Standing>,
        seats: &mut impl Extend<Seat>,
    ) -> Result<(), Refused> {
        let mut last = 0;
        for attempt in 0..ATTEMPTS {
            standings.clear();
            let holder = holder.as_deref_mut();
            let locked = attempt > 0;
            let mut attempt =
                Attempt { zone: self, now, lock, locked, holder, seats: Seats::new() };
            match attempt.run(asks, standings) {
                Attempted::Done(outcome) => {
                    seats.extend(attempt.seats);
                    return outcome;
                }
                Attempted::Moved(ask) => last = ask,
            }
        }
        Err(Refused::ZoneFull(last))
    }

    /// Whether the asks would pass now. Takes nothing, makes no slot, and fills `standings` with one
    /// entry for each ask as it stands.
    ///
    /// # Errors
    ///
    /// [`Refused::Exceeded`] or [`Refused::Oversized`].
    pub fn check(
        &self,
        asks: &[Ask],
        now: Now,
        standings: &mut Vec<Standing>,
    ) -> Result<(), Refused> {
        let (worst, only_concurrency) = self.survey(asks, None, now, standings);
        worst.map_or(Ok(()), |worst| Err(Refused::by(worst, only_concurrency)))
    }

    /// Whether the asks would pass now, of keys that all have slots: what nearly all requests do, before
    /// anybody asks how their limits stand. `false` says nothing; [`Zone::check`] does.
    #[must_use]
    pub fn is_clear(&self, asks: &[Ask], now: Now) -> bool {
        asks.iter().all(|ask| {
            let slots = self.slots(ask.key);
            slots.find(ask.key).is_some_and(|place| slots.obstacle(place, ask, now) == Ok(None))
        })
    }

    /// How each ask stands; which of them stands in the way for longest, and whether nothing but
    /// concurrency does. `found` was seen before, and may be gone by now.
    fn survey(
        &self,
        asks: &[Ask],
        found: Option<(usize, Obstacle)>,
        now: Now,
        standings: &mut Vec<Standing>,
    ) -> (Option<(usize, Obstacle)>, bool) {
        standings.clear();
        let is_concurrency = |index: usize| {
            asks.get(index).is_some_and(|ask| matches!(ask.take, Take::Concurrency { .. }))
        };
        let mut worst = found;
        let mut only_concurrency = found.is_none_or(|(index, _)| is_concurrency(index));
        for (index, ask) in asks.iter().enumerate() {
            let (standing, obstacle) = self.look(ask, now);
            standings.push(standing);
            let Some(obstacle) = obstacle else { continue };
            only_concurrency &= is_concurrency(index);
            if worst.is_none_or(|(_, worst)| obstacle > worst) {
                worst = Some((index, obstacle));
            }
        }
        (worst, only_concurrency)
    }

    /// Whether `key` has a slot, or would be given one.
    #[must_use]
    pub fn has_room(&self, key: Key, now: Now) -> bool {
        self.slots(key).has_room(key, now)
    }

    /// How the limit of `ask` stands, and what stands in the way of the ask. Makes no slot.
    #[must_use]
    pub fn look(&self, ask: &Ask, now: Now) -> (Standing, Option<Obstacle>) {
        let slots = self.slots(ask.key);
        let seen = slots.find(ask.key).and_then(|place| slots.look(place, ask, now).ok());
        seen.unwrap_or_else(|| {
            let oversized = ask.take.is_oversized().then_some(Obstacle::Oversized);
            (ask.take.full(now), oversized)
        })
    }

    /// Replaces what a successful [`Zone::reserve`] took for `ask` with what was really `used`
    /// (tokens, or nano-units): the difference is given back, or charged, into debt if need be. Does
    /// nothing for concurrency, whose seat is released instead. To be called once for each ask.
    ///
    /// A reservation is held as if it were used, until now. So where a bucket ran full in between,
    /// and was taken from again since, what is given back can exceed what the reservation still
    /// holds; by no more than it was larger than the use.
    ///
    /// `false`: more was used than reserved, the slot was given to somebody else since (it had been
    /// idle, so the reservation itself was over), and there is no room to note the excess.
    pub fn settle(&self, ask: &Ask, used: u64, now: Now, lock: &impl ClaimLock) -> bool {
        if matches!(ask.take, Take::Concurrency { .. }) {
            return true;
        }
        let reserved = ask.reserved();
        if used == reserved {
            return true;
        }
        let slots = self.slots(ask.key);
        let found = slots.find(ask.key).map(|place| slots.settle(place, ask, used, now));
        if used < reserved {
            // A slot that moved was idle, and there is nothing to give back.
            return true;
        }
        if found == Some(Ok(())) {
            return true;
        }
        // Whoever claims the slot under the mutex may lose it again only if he sleeps until it is
        // idle, and it isn't found frozen any more.
        (0..ATTEMPTS).any(|_| {
            let place = lock.with(|| slots.claim(ask.key, now));
            place.is_some_and(|place| slots.settle(place, ask, used, now).is_ok())
        })
    }

    /// Gives back what a successful [`Zone::reserve`] of these asks took: a settlement in which
    /// nothing was used. Seats are released apart.
    pub fn give_back(&self, asks: &[Ask], now: Now) {
        for ask in asks {
            let slots = self.slots(ask.key);
            if let Some(place) = slots.find(ask.key) {
                let _ = slots.settle(place, ask, 0, now);
            }
        }
    }

    /// A request is not in flight any more. `holder` is the one that the seat was taken with.
    pub fn release(&self, seat: Seat, holder: &mut Holder) {
        self.ledger().release(holder, seat, |slot| self.in_flight_word(slot));
    }
}

impl<L: ClaimLock> Attempt<'_, '_, L> {
    fn run(&mut self, asks: &mut [Ask], standings: &mut Vec<Standing>) -> Attempted {
        // Look first: a refusal is the common failure, and should write nothing, not even for a
        // moment in which it would refuse somebody else.
        let mut ready = [None; MOST_READY];
        let mut near = None;
        for (index, ask) in asks.iter().enumerate() {
            let Some(place) = self.place(ask.key, &mut near) else {
                standings.clear();
                return Attempted::refused(Refused::ZoneFull(index));
            };
            let standing = match self.zone.slots(ask.key).prepare(place, ask, self.now) {
                Ok(Look::Ready(take, standing)) => {
                    if let Some(slot) = ready.get_mut(index) {
                        *slot = Some(take);
                    }
                    standing
                }
                Ok(Look::Passes) => Standing::UNKNOWN,
                Ok(Look::Obstacle(obstacle)) => {
                    return self.refuse(asks, (index, obstacle), standings);
                }
                Err(Moved) => return Attempted::Moved(index),
            };
            standings.push(standing);
        }
        let epoch = self.zone.resets.epoch();
        // Whether a slot that was seen is still that of its key, shows when it is taken from.
        for index in 0..asks.len() {
            let ready = ready.get(index).and_then(Option::as_ref);
            let (taken, rest) = asks.split_at_mut(index);
            let Some(ask) = rest.first_mut() else { break };
            let taken_ready =
                ready.map(|ready| self.zone.slots(ask.key).take_ready(ready, ask, epoch));
            // Where another worker was faster, what was taken so far goes back.
            let failed = match taken_ready {
                Some(Ok(true)) => continue,
                Some(Err(Moved)) => Failed::Moved,
                Some(Ok(false)) | None => match self.take(ask, &mut near) {
                    Ok(standing) => {
                        if let Some(place) = standings.get_mut(index) {
                            *place = standing;
                        }
                        continue;
                    }
                    Err(failed) => failed,
                },
            };
            self.roll_back(taken);
            return match failed {
                Failed::Moved => Attempted::Moved(index),
                Failed::NoSeat => {
                    standings.truncate(index);
                    Attempted::refused(Refused::NoSeat)
                }
                Failed::Obstacle(obstacle) => self.refuse(asks, (index, obstacle), standings),
            };
        }
        Attempted::Done(Ok(()))
    }

    /// The slot of `key`, which is given one if it has none. `near` is that of the ask before.
    fn place(&self, key: Key, near: &mut Option<(Key, SlotPlace)>) -> Option<SlotPlace> {
        if let Some((_, place)) = near.filter(|(other, _)| *other == key) {
            return Some(place);
        }
        let slots = self.zone.slots(key);
        let found = if self.locked { None } else { slots.find(key) };
        let place = match found {
            Some(place) => place,
            None => self.lock.with(|| slots.claim(key, self.now))?,
        };
        *near = Some((key, place));
        Some(place)
    }

    fn take(
        &mut self,
        ask: &mut Ask,
        near: &mut Option<(Key, SlotPlace)>,
    ) -> Result<Standing, Failed> {
        let slots = self.zone.slots(ask.key);
        let place = match near.filter(|(other, _)| *other == ask.key) {
            Some((_, place)) => place,
            None => slots.find(ask.key).ok_or(Failed::Moved)?,
        };
        *near = Some((ask.key, place));
        slots.take(place, ask, self.now, self.holder.as_deref_mut(), &mut self.seats)
    }

    fn roll_back(&mut self, taken: &[Ask]) {
        self.zone.give_back(taken, self.now);
        if let Some(holder) = self.holder.as_deref_mut() {
            for seat in self.seats.drain(..) {
                self.zone.release(seat, holder);
            }
        }
    }

    fn refuse(
        &self,
        asks: &[Ask],
        found: (usize, Obstacle),
        standings: &mut Vec<Standing>,
    ) -> Attempted {
        let (worst, only_concurrency) = self.zone.survey(asks, Some(found), self.now, standings);
        Attempted::refused(Refused::by(worst.unwrap_or(found), only_concurrency))
    }
}

#[cfg(test)]
mod tests;

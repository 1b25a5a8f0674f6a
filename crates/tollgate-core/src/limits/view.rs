//! How a limit of a client stands, for whoever looks at it from outside. Looking gives nobody a slot, and
//! changes no word.

use super::ask::{in_flight, Now, Take};
use super::bucket::Level;
use super::key::Key;
use super::ledger::Ledger;
use super::standing::View;
use super::zone::Zone;

impl Zone<'_> {
    /// Whether anything was taken from limits of `key` that counts yet, or may.
    #[must_use]
    pub fn has_slot(&self, key: Key) -> bool {
        self.slots(key).find(key).is_some()
    }

    /// How the limit that `take` takes from stands; how much it takes doesn't matter.
    #[must_use]
    pub fn view(&self, key: Key, take: &Take, now: Now) -> View {
        let slots = self.slots(key);
        let seen = slots.find(key).and_then(|place| {
            let seen = slots.read(place, (key, take.word())).ok()?;
            slots.check(place, key, &seen).ok()?;
            Some(seen.value)
        });
        let Some(word) = seen else { return View { used: 0, standing: take.full(now) } };
        match *take {
            Take::Bucket { scale, .. } => {
                scale.view(Level::of(word), now.mono, |index| self.rates.get(index))
            }
            Take::Budget { budget, .. } => budget.view(word, now.wall),
            Take::Concurrency { limit } => {
                let count = Ledger::count(word);
                View { used: count.into(), standing: in_flight(limit, count) }
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! A limit of the zone as the mirror of one that is kept elsewhere: how much of it is in use is looked at, and set.

use super::ask::{Kind, Now};
use super::bucket::{Level, Scale};
use super::budget;
use super::key::Key;
use super::ledger::Ledger;
use super::zone::Zone;

impl Zone<'_> {
    /// How much is in use of the limit that has the word `word` of the slot of `key`: tokens, by the `scale` of a bucket,
    /// nano-units, or requests in flight.
    pub(crate) fn in_use(&self, key: Key, word: usize, scale: Option<&Scale>, now: Now) -> u64 {
        let slots = self.slots(key);
        let used = slots.find(key).and_then(|place| {
            let used = slots.update(place, (key, word), |seen| {
                let used = match Kind::of(word) {
                    Kind::Bucket => scale.map_or(0, |scale| {
                        scale.view(Level::of(seen), now.mono, |index| self.rates.get(index)).used
                    }),
                    Kind::Budget(calendar) => budget::spent(calendar, seen, now.wall),
                    Kind::Concurrency => Ledger::count(seen).into(),
                };
                (None, used)
            });
            used.ok()
        });
        used.unwrap_or(0)
    }

    /// Sets how much is in use, where anything was taken from limits of `key` that may count yet. Requests in flight
    /// are those that there are.
    pub(crate) fn set_in_use(
        &self,
        key: Key,
        word: usize,
        (scale, used): (Option<&Scale>, u64),
        now: Now,
    ) {
        let slots = self.slots(key);
        let Some(place) = slots.find(key) else { return };
        let _ = slots.update(place, (key, word), |_| {
            let next = match Kind::of(word) {
                Kind::Bucket => scale.map(|scale| scale.word_in_use(used, now.mono)),
                Kind::Budget(calendar) if used == 0 => {
                    Some(budget::fresh(calendar, slots.unique()))
                }
                Kind::Budget(calendar) => Some(budget::word_of_spent(calendar, used, now.wall)),
                Kind::Concurrency => None,
            };
            (next, ())
        });
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use crate::limits::fixtures::*;
    use crate::limits::*;

    #[test]
    fn what_is_set_to_be_in_use_is() {
        let words = memory(6);
        let zone = Zone::format(&words, (1, 2)).unwrap();
        let key = zone.client_key("acme");
        let mut asks = [requests(&zone, key, "10r/m"), money(key, "20/day", 1)];
        let lock = lock();
        let mut standings = Vec::new();
        let none = zone.in_use(key, asks[0].word(), None, after(0));
        assert_eq!(none, 0);
        zone.reserve(&mut asks, after(0), &lock, None, &mut standings, &mut Vec::new()).unwrap();
        let Take::Bucket { scale, .. } = asks[0].take else { panic!() };
        let [bucket, budget] = [asks[0].word(), asks[1].word()];
        for used in [0, 1, 7, 10, 13] {
            zone.set_in_use(key, bucket, (Some(&scale), used), after(0));
            assert_eq!(zone.in_use(key, bucket, Some(&scale), after(0)), used);
            assert_eq!(left(&zone, &asks[0], after(0)), 10u64.saturating_sub(used));
            let money = used * 1_000_000_000;
            zone.set_in_use(key, budget, (None, money), after(0));
            assert_eq!(zone.in_use(key, budget, None, after(0)), money);
            assert_eq!(left(&zone, &asks[1], after(0)), 20_000_000_000 - money);
        }
        // A bucket drains as it always does.
        assert_eq!(zone.in_use(key, bucket, Some(&scale), after(6 * SECOND)), 12);
    }

    #[test]
    fn who_weighs_more_gets_a_part() {
        let words = memory(6);
        let zone = Zone::format(&words, (1, 2)).unwrap();
        let key = zone.client_key("acme");
        let four = std::num::NonZeroU16::new(4).unwrap();
        let mut holder = holder(&zone);
        let mut pass = |ask: Ask| {
            let mut asks = [ask.weighing(four)];
            let mut seats = Vec::new();
            let taken = zone.reserve(
                &mut asks,
                after(0),
                &lock(),
                Some(&mut holder),
                &mut Vec::new(),
                &mut seats,
            );
            std::mem::forget(seats);
            taken.map(|()| asks[0])
        };
        let count = |pass: &mut dyn FnMut() -> bool| (0..100).take_while(|_| pass()).count();
        assert_eq!(count(&mut || pass(requests(&zone, key, "10r/m")).is_ok()), 2);
        assert_eq!(count(&mut || pass(money(key, "20/day", 1_000_000_000)).is_ok()), 5);
        assert_eq!(count(&mut || pass(places(key, 10)).is_ok()), 2);
        // A settlement counts as often.
        let ask = pass(tokens(&zone, key, "100/m", 10)).unwrap();
        assert_eq!((ask.reserved(), left(&zone, &ask, after(0))), (10, 60));
        assert!(zone.settle(&ask, 3, after(0), &lock()));
        assert_eq!(left(&zone, &ask, after(0)), 88);
        let ask = pass(money(key, "20/month", 2_000_000_000)).unwrap();
        assert_eq!(ask.reserved(), 2_000_000_000);
        assert!(zone.settle(&ask, 3_000_000_000, after(0), &lock()));
        assert_eq!(left(&zone, &ask, after(0)), 8_000_000_000);
    }
}

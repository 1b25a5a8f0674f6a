//! How full the table is.

use super::super::super::limits::census::Census;
use super::{Life, OwnedObjects, Slot, SET_WORDS, SLOT_WORDS, WAYS};

impl OwnedObjects<'_> {
    /// How many objects are remembered. Of large tables it is an estimate.
    #[must_use]
    pub fn census(&self, life: Life) -> Census {
        Census::of_sets(self.sets.len() / SET_WORDS, WAYS, |set| {
            let start = set.saturating_mul(SET_WORDS);
            let words = self.sets.get(start..start.saturating_add(SET_WORDS)).unwrap_or_default();
            let entries = words.chunks_exact(SLOT_WORDS).filter_map(|slot| Slot::of(slot)?.read());
            entries.filter(|entry| !life.is_over(entry)).count()
        })
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::super::super::Kind;
    use super::super::{ClaimLock, HEADER_WORDS};
    use super::*;
    use crate::clock::UnixSeconds;
    use std::sync::atomic::AtomicU64;

    struct Alone;

    impl ClaimLock for Alone {
        fn with<T>(&self, f: impl FnOnce() -> T) -> T {
            f()
        }
    }

    #[test]
    fn an_object_takes_a_place_until_its_life_is_over() {
        let words: Vec<_> =
            (0..HEADER_WORDS + 100 * SET_WORDS).map(|_| AtomicU64::new(0)).collect();
        let table = OwnedObjects::format(&words, (1, 2)).unwrap();
        let at = |now| Life { ttl: 100, now: UnixSeconds(now) };
        assert_eq!(table.census(at(10)), Census { used: 0, places: 1600 });
        for number in 0..200_u8 {
            let object = table.object(Kind::Response, &[number]);
            table.remember(object, table.owner("a"), at(10), &Alone);
        }
        table.forget(table.object(Kind::Response, &[7]), table.owner("a"), &Alone);
        assert_eq!(table.census(at(110)).used, 199);
        assert_eq!(table.census(at(111)).used, 0);
    }
}

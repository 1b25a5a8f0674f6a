//! How much of the zone is taken: looked at from outside, without a lock, in a time that is bounded however large
//! the zone is.

/// How many places there are, and how many of them are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Taken by somebody of whom something counts yet: they can't be given to another one.
    pub used: usize,
    /// All.
    pub places: usize,
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use crate::limits::fixtures::*;
    use crate::limits::{Area, Zone};
    use std::sync::atomic::AtomicU64;

    fn words(count: usize) -> Vec<AtomicU64> {
        (0..count).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn who_has_something_to_lose_takes_a_place_and_who_is_idle_takes_none() {
        let words = words(1 << 16);
        let zone = Zone::format(&words, (1, 2)).unwrap();
        let used = |area, now| zone.census(area, now).used;
        assert_eq!(zone.census(Area::Clients, START).places, zone.capacity(Area::Clients));
        assert_eq!(used(Area::Clients, START), 0);
        for client in 0..100 {
            let key = zone.client_key(&format!("c{client}"));
            reserve(&zone, &mut [requests(&zone, key, "1r/h")], START).unwrap();
        }
        assert_eq!(used(Area::Clients, START), 100);
        assert_eq!(used(Area::Keys, START), 0);
        // Their buckets are full again.
        assert_eq!(used(Area::Clients, after(3601 * SECOND)), 0);
    }

    #[test]
    fn workers_take_leases_in_chunks() {
        let words = words(1 << 16);
        let zone = Zone::format(&words, (1, 2)).unwrap();
        let before = zone.ledger().census();
        assert_eq!((zone.ledger().workers().used, before.used), (0, 0));
        assert_eq!(before.places, zone.ledger().capacity());
        let mut holder = holder(&zone);
        let mut asks = [places(zone.client_key("acme"), 5)];
        let leases = enter(&zone, &mut holder, &mut asks, START).unwrap();
        assert_eq!(zone.ledger().workers().used, 1);
        assert!((1..=64).contains(&zone.ledger().census().used));
        leases.into_iter().for_each(|lease| zone.release(lease, &mut holder));
        zone.leave(holder, &lock());
        assert_eq!(zone.ledger().census().used, 0);
        assert_eq!(zone.ledger().workers().used, 0);
        assert_eq!(zone.queue().census().used, 0);
    }

    #[test]
    fn a_large_zone_is_estimated() {
        let words = words(1 << 22);
        let zone = Zone::format(&words, (1, 2)).unwrap();
        let places = zone.capacity(Area::Clients);
        assert!(places > 50_000, "{places}");
        let clients = places / 3;
        for client in 0..clients {
            let key = zone.client_key(&format!("c{client}"));
            reserve(&zone, &mut [requests(&zone, key, "1r/h")], START).unwrap();
        }
        let census = zone.census(Area::Clients, START);
        assert!(census.used.abs_diff(clients) * 100 < places * 3, "{census:?} of {clients}");
    }
}

//! How full the table is.

use super::super::super::limits::census::Census;
use super::super::Minute;
use super::record::{SET_WORDS, WAYS};
use super::Whereabouts;

impl Whereabouts<'_> {
    /// How many records have a network of the last hour, those of keys with more than one record included. Of large
    /// tables it is an estimate.
    #[must_use]
    pub fn census(&self, now: Minute) -> Census {
        Census::of_sets(self.sets.len() / SET_WORDS, WAYS, |set| {
            let seen = self.records_of(set).into_iter().filter_map(|record| record.last_seen());
            seen.filter(|minute| *minute >= now.hour_ago()).count()
        })
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::super::super::{Network, HOUR};
    use super::super::ClaimLock;
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::atomic::AtomicU64;

    struct Alone;

    impl ClaimLock for Alone {
        fn with<T>(&self, f: impl FnOnce() -> T) -> T {
            f()
        }
    }

    #[test]
    fn a_key_takes_places_by_its_networks_of_the_last_hour() {
        let words: Vec<_> = (0..1 << 16).map(|_| AtomicU64::new(0)).collect();
        let table = Whereabouts::format(&words, (1, 2)).unwrap();
        let network = |number: u32| Network::from(IpAddr::from(Ipv4Addr::from(number << 8)));
        let note = |client: &str, number, minute| {
            table.note(table.key(client, None), network(number), 256, Minute(minute), &Alone);
        };
        let used = |minute| table.census(Minute(minute)).used;
        assert_eq!(used(100), 0);
        for client in 0..50 {
            note(&format!("c{client}"), client, 100);
        }
        assert_eq!(used(100), 50);
        // A record has 16 networks.
        for number in 1..=32 {
            note("c0", number, 130);
        }
        assert_eq!(used(130), 52);
        assert_eq!(used(100 + HOUR), 52);
        assert_eq!(used(101 + HOUR), 3);
        assert_eq!(used(131 + HOUR), 0);
        assert!(table.census(Minute(100)).places > 400);
    }
}

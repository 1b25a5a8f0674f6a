//! From how many networks a key is used within an hour: `addresses` of a tier.
//!
//! * [`limit`]: what `addresses 8/h refuse` says;
//! * [`memory`]: the networks of each key, in memory that all workers share;
//! * [`memo`]: those that were seen a moment ago, which one worker remembers.
//!
//! A network is the /24 of an IPv4 address, and the /48 of an IPv6 address.

pub mod limit;
pub mod memo;
pub mod memory;

pub use limit::{AddressLimit, OnExcess, Verdict};
pub use memo::NetworkMemo;
pub use memory::{KeyHash, Ranked, Sighting, Whereabouts};

use std::net::IpAddr;

/// The most networks that are counted of one key. It stands for all that are more.
pub const MAX_NETWORKS: u16 = 256;

/// The network of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(u64);

impl From<IpAddr> for Network {
    #[inline]
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => u64::from(address.to_bits() >> 8),
            IpAddr::V6(address) => 1 << 48 | u64::try_from(address.to_bits() >> 80).unwrap_or(0),
        })
    }
}

/// A minute of the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Minute(u32);

/// A network counts for so many minutes after the one in which it was last seen: for 60 to 61 minutes.
const HOUR: u32 = 60;

impl Minute {
    /// The minute of a moment, in milliseconds. All processes of a machine must go by the same clock.
    #[must_use]
    #[inline]
    pub fn of_ms(ms: u64) -> Self {
        // Thirty years after the boot of the machine it stops.
        Self(u32::try_from(ms / 60_000).unwrap_or(MAX_MINUTE).min(MAX_MINUTE))
    }

    /// The first minute of those that count.
    fn hour_ago(self) -> Self {
        Self(self.0.saturating_sub(HOUR))
    }
}

const MINUTE_BITS: u32 = 24;
const MAX_MINUTE: u32 = (1 << MINUTE_BITS) - 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::AddressKey;

    fn network(address: &str) -> Network {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_network_is_24_bits_of_ipv4_and_48_of_ipv6() {
        assert_eq!(network("203.0.113.7"), network("203.0.113.255"));
        assert_eq!(network("203.0.113.7"), network("::ffff:203.0.113.8"), "mapped");
        assert_ne!(network("203.0.113.7"), network("203.0.114.7"));
        assert_eq!(network("2001:db8:1::1"), network("2001:db8:1:ffff::1"));
        assert_ne!(network("2001:db8:1::1"), network("2001:db8:2::1"));
        assert_ne!(network("0.0.0.0"), network("::"));
        assert_ne!(network("0.0.1.1"), network("0:0:1::1"));
    }

    #[test]
    fn it_is_the_network_that_addresses_are_counted_by_elsewhere() {
        let addresses = [
            "0.0.0.0",
            "203.0.113.7",
            "255.255.255.255",
            "::",
            "2001:db8:7:8::1",
            "::ffff:1.2.3.4",
        ];
        for address in addresses.map(|text| text.parse::<IpAddr>().unwrap()) {
            let key = AddressKey::new(address);
            let bytes = key.network().iter();
            let family = u64::from(key.is_ipv6());
            let number = bytes.fold(family, |number, byte| number << 8 | u64::from(*byte));
            assert_eq!(Network::from(address), Network(number), "{address}");
        }
    }

    #[test]
    fn an_hour_is_sixty_minutes_and_the_rest_of_one() {
        let (first, last) = (Minute::of_ms(60_000), Minute::of_ms(119_999));
        assert_eq!(first, last);
        assert!(first >= Minute::of_ms(3_719_999).hour_ago());
        assert!(first < Minute::of_ms(3_720_000).hour_ago());
        assert_eq!(Minute(5).hour_ago(), Minute(0));
        assert_eq!(Minute::of_ms(u64::MAX), Minute(MAX_MINUTE));
    }
}

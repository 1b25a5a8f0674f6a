//! The keys of addresses under rules, as they were computed a moment ago: a client that comes again costs no
//! hash.
//!
//! A direct-mapped table, in which the address picks the place. A key depends on nothing but the rule's name,
//! the address and the zone, which are compared; so nothing has to be forgotten.

use std::sync::Arc;

use super::key::Key;
use super::subject::{CountedBy, Subject};
use super::zone::Zone;
use crate::address::AddressKey;

/// A power of two.
const PLACES: usize = 1024;

/// The keys of addresses that one worker remembers.
pub struct AddressMemo {
    places: Box<[Option<Known>]>,
}

struct Known {
    rule: Arc<str>,
    address: AddressKey,
    seed: (u64, u64),
    key: Key,
}

impl Default for AddressMemo {
    fn default() -> Self {
        Self { places: (0..PLACES).map(|_| None).collect() }
    }
}

impl AddressMemo {
    /// The key of `address` itself under the rule of this name: [`Zone::limit_key`] with a width of 0.
    pub fn get(&mut self, zone: &Zone<'_>, rule: &Arc<str>, address: AddressKey) -> Option<Key> {
        // Any place will do: only how often addresses share one depends on it.
        let last = address.as_bytes().last_chunk::<4>().copied().unwrap_or_default();
        let mixed = u32::from_le_bytes(last).wrapping_mul(0x9e37_79b1) >> (32 - PLACES.ilog2());
        let place = usize::try_from(mixed).ok().and_then(|index| self.places.get_mut(index))?;
        match place {
            Some(known)
                if known.address == address && known.seed == zone.seed && known.rule == *rule =>
            {
                Some(known.key)
            }
            _ => {
                let by = CountedBy::Address(address);
                let key = zone.limit_key(&Subject { rule, by, client: None }, 0)?;
                *place = Some(Known { rule: Arc::clone(rule), address, seed: zone.seed, key });
                Some(key)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::memory;
    use super::*;

    #[test]
    fn what_is_remembered_is_the_key_of_rule_address_and_zone() {
        let (words, others) = (memory(6), memory(6));
        let zone = Zone::format(&words, (1, 2)).unwrap();
        let other = Zone::format(&others, (3, 4)).unwrap();
        let rules: [Arc<str>; 2] = ["per_address".into(), "per_network".into()];
        let mut memo = AddressMemo::default();
        // More of them than there are places, and each comes again.
        for round in 0..2 {
            for n in 0u32..3_000 {
                let address = match n % 3 {
                    0 => std::net::Ipv6Addr::from(u128::from(n) << 64).into(),
                    _ => std::net::Ipv4Addr::from(n ^ round).into(),
                };
                let address = AddressKey::new(address);
                for zone in [&zone, &other] {
                    for rule in &rules {
                        let by = CountedBy::Address(address);
                        let subject = Subject { rule, by, client: Some("acme") };
                        let expected = zone.limit_key(&subject, 0);
                        assert_eq!(memo.get(zone, rule, address), expected);
                        assert_eq!(memo.get(zone, rule, address), expected);
                    }
                }
            }
        }
    }
}

//! From which addresses a key, or the clients of a tier, may come: `cidrs` and `deny_cidrs`.
//!
//! Of the two lists of one place, `deny_cidrs` wins. Where a key and its tier both have lists, both must
//! allow. The address is the one that nginx goes by, `realip` included; an IPv4-mapped IPv6 address is the
//! IPv4 address, in lists and of clients (see [`Cidr`]).

use std::net::IpAddr;

use crate::address::Cidr;
use crate::detail::Cause;

/// Where somebody may come from. By default from anywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    allowed: Option<Box<[Cidr]>>,
    denied: Box<[Cidr]>,
}

/// Why an address is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// It is in a network that is denied.
    Denied,
    /// Networks are allowed, and it is in none of them.
    NotAllowed,
    /// There is none, as on a UNIX-domain socket, and there is a list.
    NoAddress,
}

impl Networks {
    /// `allowed`: from these alone; `None`: from anywhere. `denied`: from none of these, whatever else is
    /// said.
    #[must_use]
    pub fn new(allowed: Option<Box<[Cidr]>>, denied: Box<[Cidr]>) -> Self {
        Self { allowed, denied }
    }

    /// Whether an address may be come from. Who has none (`None`) is refused by any list: what it would
    /// say of him isn't known.
    ///
    /// # Errors
    ///
    /// Why not.
    #[inline]
    pub fn judge(&self, address: Option<IpAddr>) -> Result<(), Outside> {
        if self.allowed.is_none() && self.denied.is_empty() {
            return Ok(());
        }
        let address = address.ok_or(Outside::NoAddress)?;
        let is_in = |networks: &[Cidr]| networks.iter().any(|network| network.contains(address));
        if is_in(&self.denied) {
            return Err(Outside::Denied);
        }
        match &self.allowed {
            Some(allowed) if !is_in(allowed) => Err(Outside::NotAllowed),
            Some(_) | None => Ok(()),
        }
    }

    /// A network that is allowed to no effect, and the one that denies all of it.
    #[must_use]
    pub fn contradiction(&self) -> Option<(Cidr, Cidr)> {
        self.allowed.iter().flatten().find_map(|allowed| {
            let denied = self.denied.iter().find(|denied| denied.covers(allowed))?;
            Some((*allowed, *denied))
        })
    }
}

impl Outside {
    /// The cause where it was the list of a key.
    #[must_use]
    pub fn of_key(self) -> Cause {
        match self {
            Self::Denied => Cause::InDenyCidrs,
            Self::NotAllowed => Cause::OutsideCidrs,
            Self::NoAddress => Cause::NoAddress,
        }
    }

    /// The cause where it was the list of a tier.
    #[must_use]
    pub fn of_tier(self) -> Cause {
        match self {
            Self::Denied => Cause::InDenyCidrsOfTier,
            Self::NotAllowed => Cause::OutsideCidrsOfTier,
            Self::NoAddress => Cause::NoAddressForTier,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Reason;
    use proptest::prelude::*;

    fn list(networks: &[&str]) -> Box<[Cidr]> {
        networks.iter().map(|network| network.parse().unwrap()).collect()
    }

    fn judge(networks: &Networks, address: &str) -> Result<(), Outside> {
        networks.judge(Some(address.parse().unwrap()))
    }

    #[test]
    fn without_lists_everybody_may_come() {
        let networks = Networks::default();
        assert_eq!(networks.judge(None), Ok(()));
        assert_eq!(judge(&networks, "203.0.113.7"), Ok(()));
        assert_eq!(judge(&networks, "2001:db8::1"), Ok(()));
    }

    #[test]
    fn what_is_denied_is_denied_within_what_is_allowed() {
        let networks =
            Networks::new(Some(list(&["10.0.0.0/8", "2001:db8::/32"])), list(&["10.1.0.0/16"]));
        assert_eq!(judge(&networks, "10.0.255.255"), Ok(()));
        assert_eq!(judge(&networks, "10.1.0.0"), Err(Outside::Denied));
        assert_eq!(judge(&networks, "10.1.255.255"), Err(Outside::Denied));
        assert_eq!(judge(&networks, "10.2.0.0"), Ok(()));
        assert_eq!(judge(&networks, "11.0.0.0"), Err(Outside::NotAllowed));
        assert_eq!(judge(&networks, "2001:db8::1"), Ok(()));
        assert_eq!(judge(&networks, "2001:db9::1"), Err(Outside::NotAllowed));
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address_in_both_lists() {
        let networks = Networks::new(
            Some(list(&["::ffff:203.0.113.0/120"])),
            list(&["::ffff:203.0.113.9", "203.0.113.10"]),
        );
        for (address, verdict) in [
            ("203.0.113.7", Ok(())),
            ("203.0.113.9", Err(Outside::Denied)),
            ("203.0.113.10", Err(Outside::Denied)),
            ("203.0.114.7", Err(Outside::NotAllowed)),
        ] {
            assert_eq!(judge(&networks, address), verdict, "{address}");
            assert_eq!(judge(&networks, &format!("::ffff:{address}")), verdict, "{address}");
        }
        let denied = Networks::new(None, list(&["0.0.0.0/0"]));
        assert_eq!(judge(&denied, "::ffff:8.8.8.8"), Err(Outside::Denied));
        assert_eq!(judge(&denied, "2001:db8::1"), Ok(()));
    }

    #[test]
    fn who_has_no_address_is_refused_by_either_list() {
        for networks in [
            Networks::new(Some(list(&["0.0.0.0/0", "::/0"])), list(&[])),
            Networks::new(None, list(&["192.0.2.0/24"])),
        ] {
            assert_eq!(networks.judge(None), Err(Outside::NoAddress));
        }
    }

    #[test]
    fn a_network_that_is_allowed_to_no_effect_is_found() {
        let found = |allowed: &[&str], denied: &[&str]| {
            let networks = Networks::new(Some(list(allowed)), list(denied));
            networks.contradiction().map(|(one, other)| (one.to_string(), other.to_string()))
        };
        let both = Some(("10.1.0.0/16".to_owned(), "10.0.0.0/8".to_owned()));
        assert_eq!(found(&["192.0.2.0/24", "10.1.0.0/16"], &["10.0.0.0/8"]), both);
        let same = Some(("10.0.0.0/8".to_owned(), "10.0.0.0/8".to_owned()));
        assert_eq!(found(&["10.0.0.0/8"], &["::ffff:10.0.0.0/104"]), same);
        assert_eq!(found(&["10.0.0.0/8"], &["10.1.0.0/16"]), None);
        assert_eq!(found(&["::/0"], &["0.0.0.0/0"]), None);
        assert_eq!(Networks::new(None, list(&["0.0.0.0/0"])).contradiction(), None);
    }

    #[test]
    fn every_cause_is_one_of_address_denied() {
        for outside in [Outside::Denied, Outside::NotAllowed, Outside::NoAddress] {
            assert_eq!(outside.of_key().reason(), Reason::AddressDenied);
            assert_eq!(outside.of_tier().reason(), Reason::AddressDenied);
            assert_ne!(outside.of_key(), outside.of_tier());
        }
    }

    proptest! {
        /// By intervals of addresses, and not by masks.
        #[test]
        fn agrees_with_intervals(
            allowed in prop::option::of(prop::collection::vec((any::<u32>(), 0_u8..=32), 1..4)),
            denied in prop::collection::vec((any::<u32>(), 0_u8..=32), 0..4),
            address: u32, pick: prop::sample::Index, mapped: bool,
        ) {
            let size = |prefix: u8| 1_u64 << (32 - prefix);
            let first = |(address, prefix): (u32, u8)| u64::from(address) / size(prefix) * size(prefix);
            let text = |network: (u32, u8)| {
                let first = u32::try_from(first(network)).unwrap();
                format!("{}/{}", std::net::Ipv4Addr::from_bits(first), network.1)
            };
            let parse = |networks: &[(u32, u8)]| -> Box<[Cidr]> {
                networks.iter().map(|network| text(*network).parse().unwrap()).collect()
            };
            let networks = Networks::new(allowed.as_deref().map(parse), parse(&denied));
            // Often one at an edge.
            let all: Vec<_> = allowed.iter().flatten().chain(&denied).copied().collect();
            let at = match all.is_empty() {
                true => u64::from(address),
                false => {
                    let network = all[pick.index(all.len())];
                    let (first, size) = (first(network), size(network.1));
                    [first, first + size - 1, first.saturating_sub(1), (first + size).min(u32::MAX.into())]
                        [address as usize % 4]
                }
            };
            let is_in = |network: &(u32, u8)| {
                (first(*network)..first(*network) + size(network.1)).contains(&at)
            };
            let expected = !denied.iter().any(is_in)
                && allowed.as_ref().is_none_or(|allowed| allowed.iter().any(is_in));
            let ip = std::net::Ipv4Addr::from_bits(u32::try_from(at).unwrap());
            let ip: IpAddr = if mapped { ip.to_ipv6_mapped().into() } else { ip.into() };
            prop_assert_eq!(networks.judge(Some(ip)).is_ok(), expected);
        }
    }
}

//! `allow` and `deny`: the first one that fits an address decides. Whether that lets strangers in is a question of
//! how many addresses get in, and not of which words are there: `deny 192.0.2.1;` alone keeps nobody out, nor
//! does a `deny all;` behind an `allow all;`.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::reach::Reach;

/// A list lets strangers in if it does so with more than one of so many addresses: that is more than all private
/// networks together, and less than any that stands for the internet.
const SHARE: u128 = 16;

/// One directive.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    allows: bool,
    /// `None`: what can't be read, and is nobody's.
    of: Option<Addresses>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Addresses {
    All,
    Ipv4(RangeInclusive<u128>),
    Ipv6(RangeInclusive<u128>),
}

/// Those of one level, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AccessList(Vec<Rule>);

/// What a list makes of strangers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strangers {
    /// It says that they may.
    Allowed,
    /// It doesn't say anything of them, which is as good where nothing else keeps them out.
    Unsaid,
    /// It keeps them out.
    Denied,
}

impl AccessList {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds an `allow` or a `deny`.
    pub(super) fn add(&mut self, allows: bool, address: &str) {
        self.0.push(Rule { allows, of: Addresses::read(address) });
    }

    pub(super) fn strangers(&self, reach: Reach) -> Strangers {
        let families = [(reach.ipv4, u128::from(u32::MAX), false), (reach.ipv6, u128::MAX, true)];
        let found = families.into_iter().filter(|(can_come, ..)| *can_come);
        let found = found.map(|(_, last, is_ipv6)| self.of_family(last, is_ipv6));
        // The one that lets in most.
        found.min_by_key(|strangers| *strangers as u8).unwrap_or(Strangers::Denied)
    }

    fn of_family(&self, last: u128, is_ipv6: bool) -> Strangers {
        let (mut unsaid, mut allowed) = (Unsaid::new(last), 0_u128);
        for rule in &self.0 {
            let range = match &rule.of {
                Some(Addresses::All) => 0..=last,
                Some(Addresses::Ipv4(range)) if !is_ipv6 => range.clone(),
                Some(Addresses::Ipv6(range)) if is_ipv6 => range.clone(),
                Some(Addresses::Ipv4(_) | Addresses::Ipv6(_)) | None => continue,
            };
            let taken = unsaid.take(range);
            if rule.allows {
                allowed = allowed.saturating_add(taken);
            }
        }
        let most = last / SHARE;
        match (allowed > most, allowed.saturating_add(unsaid.count()) > most) {
            (true, _) => Strangers::Allowed,
            (false, true) => Strangers::Unsaid,
            (false, false) => Strangers::Denied,
        }
    }
}

impl Addresses {
    /// `None`: a unix socket's clients, who are no strangers, or nothing that nginx would take.
    fn read(text: &str) -> Option<Self> {
        if text == "all" {
            return Some(Self::All);
        }
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let (value, bits) = match address.parse().ok()? {
            IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
            IpAddr::V6(address) => (u128::from(address), 128_u32),
        };
        let prefix = prefix.map_or(Some(bits), |prefix| prefix.parse().ok())?;
        let free = bits.checked_sub(prefix)?;
        let within = 1_u128.checked_shl(free).map_or(u128::MAX, |count| count.wrapping_sub(1));
        let range = (value & !within)..=(value | within);
        Some(if bits == 32 { Self::Ipv4(range) } else { Self::Ipv6(range) })
    }
}

/// The addresses of which no rule has said anything so far: ranges in their order.
struct Unsaid(Vec<RangeInclusive<u128>>);

impl Unsaid {
    fn new(last: u128) -> Self {
        Self(vec![0..=last])
    }

    /// A rule is about these: how many of them it decides.
    fn take(&mut self, range: RangeInclusive<u128>) -> u128 {
        let (from, to) = range.into_inner();
        let begin = self.0.partition_point(|one| *one.end() < from);
        let end = self.0.partition_point(|one| *one.start() <= to).max(begin);
        let (mut taken, mut rest) = (0_u128, Vec::new());
        for one in self.0.get(begin..end).unwrap_or_default() {
            let (start, last) = (*one.start(), *one.end());
            if let Some(before) = from.checked_sub(1).filter(|before| *before >= start) {
                rest.push(start..=before);
            }
            if let Some(after) = to.checked_add(1).filter(|after| *after <= last) {
                rest.push(after..=last);
            }
            taken = taken.saturating_add(count(&(start.max(from)..=last.min(to))));
        }
        self.0.splice(begin..end, rest);
        taken
    }

    fn count(&self) -> u128 {
        self.0.iter().map(count).fold(0, u128::saturating_add)
    }
}

fn count(range: &RangeInclusive<u128>) -> u128 {
    range.end().saturating_sub(*range.start()).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const BOTH: Reach = Reach { ipv4: true, ipv6: true, plain: true };

    fn list(text: &str) -> AccessList {
        let mut list = AccessList::default();
        for words in text.split(';').map(|one| one.split_whitespace().collect::<Vec<_>>()) {
            if let [name, address] = words[..] {
                list.add(name == "allow", address);
            }
        }
        list
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        use Strangers::{Allowed, Denied, Unsaid};
        for (text, strangers) in [
            ("", Unsaid),
            ("allow all", Allowed),
            ("deny all", Denied),
            ("allow 127.0.0.1; deny all", Denied),
            ("deny all; allow 127.0.0.1", Denied),
            ("allow all; deny all", Allowed),
            ("deny all; allow all", Denied),
            ("deny 192.0.2.1", Unsaid),
            ("deny 192.0.2.1; allow all", Allowed),
            ("allow 127.0.0.1", Unsaid),
            ("allow 10.0.0.0/8; allow 172.16.0.0/12; allow 192.168.0.0/16; allow fc00::/7; deny all", Denied),
            ("allow 0.0.0.0/1; allow 128.0.0.0/1; deny all", Allowed),
            ("deny 0.0.0.0/1; deny 128.0.0.0/1; deny ::/0", Denied),
            ("allow 2000::/3; deny all", Allowed),
            ("allow unix:; deny all", Denied),
            ("deny unix:", Unsaid),
            // What is said of the one kind of addresses says nothing of the other.
            ("deny 0.0.0.0/0", Unsaid),
            ("deny 0.0.0.0/0; deny ::/0", Denied),
            ("deny 0.0.0.0/0; allow ::/0", Allowed),
            // Bits beyond the prefix are nothing to nginx.
            ("deny 10.1.2.3/0; deny ::1/0", Denied),
        ] {
            assert_eq!(list(text).strangers(BOTH), strangers, "{text}");
        }
        let ipv4 = Reach { ipv6: false, ..BOTH };
        let ipv6 = Reach { ipv4: false, ..BOTH };
        assert_eq!(list("deny 0.0.0.0/0").strangers(ipv4), Denied);
        assert_eq!(list("deny 0.0.0.0/0").strangers(ipv6), Unsaid);
        assert_eq!(list("deny ::/0").strangers(ipv6), Denied);
    }

    fn rules() -> impl Strategy<Value = Vec<(bool, u32, u32)>> {
        prop::collection::vec((any::<bool>(), any::<u32>(), 0_u32..=8), 0..12)
    }

    proptest! {
        /// Each 256th of all addresses is decided as a whole, by the first rule, in a plain walk.
        #[test]
        fn it_counts_as_a_walk_over_all_addresses_does(rules in rules(), is_ipv6: bool) {
            let mut list = AccessList::default();
            let text = |address: u32, prefix: u32| match is_ipv6 {
                true => format!("{}/{prefix}", Ipv6Addr::from(u128::from(address) << 96)),
                false => format!("{}/{prefix}", Ipv4Addr::from(address)),
            };
            for (allows, address, prefix) in &rules {
                list.add(*allows, &text(*address, *prefix));
            }
            let first = |block: u32| rules.iter().find(|(_, address, prefix)| {
                *prefix == 0 || (block << 24) >> (32 - prefix) == address >> (32 - prefix)
            });
            let of = |said: Option<bool>| {
                (0..256).filter(|block| first(*block).map(|(allows, ..)| *allows) == said).count()
            };
            let (allowed, unsaid) = (of(Some(true)), of(None));
            let expected = match (allowed > 16, allowed + unsaid > 16) {
                (true, _) => Strangers::Allowed,
                (false, true) => Strangers::Unsaid,
                (false, false) => Strangers::Denied,
            };
            let reach = Reach { ipv4: !is_ipv6, ipv6: is_ipv6, plain: true };
            // A sixteenth is rounded down.
            prop_assume!(allowed != 16 && allowed + unsaid != 16);
            prop_assert_eq!(list.strangers(reach), expected);
        }

        #[test]
        fn no_text_panics(text: String) {
            let mut list = AccessList::default();
            list.add(true, &text);
            list.strangers(BOTH);
        }
    }
}

//! Whose limits a `tollgate_limit` rule is about, and by what is counted where there is no room.
//!
//! A key that a stranger can mint has a slot of its own as long as there is room for it. Where there is
//! none, it is counted by something wider, which has room of its own: a client by its name; an address
//! without a client by its network, and then by the network around that; and at last together with
//! all others for whom the rule has no room. So a flood never makes anybody uncounted, nor does it
//! refuse anybody who has a slot, and whoever comes from elsewhere than the flood has one.
//!
//! A network is what one party gets: an IPv6 /48 and /32, an IPv4 /24 and /16. The keys of a network lie
//! in a part of the area (its [`Territory`]), so that a flood from one network meets the end of its
//! part, and not of the area.

use super::key::{Area, Domain, Key, Seed, Territory};
use super::zone::Zone;
use crate::address::AddressKey;

/// By what a rule counts a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountedBy<'a> {
    /// What the configuration names.
    Constant(&'a [u8]),
    /// What was authenticated: nobody can mint it.
    Authenticated(&'a [u8]),
    /// An address.
    Address(AddressKey),
    /// Any other value.
    Value(&'a [u8]),
}

impl<'a> CountedBy<'a> {
    /// The address that a text has; `unix:` stands for all clients of UNIX-domain sockets. `None`: it is none.
    #[must_use]
    pub fn address(text: &'a str) -> Option<Self> {
        match text {
            "unix:" => Some(Self::Constant(text.as_bytes())),
            _ => text.parse().ok().map(|address| Self::Address(AddressKey::new(address))),
        }
    }

    /// Up to which width a key is that of the subject alone.
    fn own_widths(self) -> std::ops::RangeInclusive<u8> {
        match self {
            Self::Constant(_) => 0..=1,
            Self::Authenticated(_) | Self::Address(_) | Self::Value(_) => 0..=0,
        }
    }
}

/// Whose limit it is under a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    /// The name of the rule.
    pub rule: &'a str,
    /// By what it counts.
    pub by: CountedBy<'a>,
    /// The client that was authenticated.
    pub client: Option<&'a str>,
}

/// The parts that the addresses of a network, and of the one around it, have of an area, as fractions
/// in 2^-32.
struct Parts {
    network: u32,
    wide: u32,
}

/// IPv6 addresses of strangers that are let in. (Of IPv4 nobody has many; many clients in one
/// company's network are more likely.)
const OF_KEYS: Parts = Parts { network: u32::MAX / 16, wide: u32::MAX / 4 };
/// Those who fail to authenticate. Honest ones are few.
const OF_FAILURES: Parts = Parts { network: u32::MAX / 64, wide: u32::MAX / 16 };
/// The networks within a wider one.
const OF_NETWORKS: u32 = u32::MAX / 4;

impl Seed {
    /// The key of `subject` for the limits of its rule. With a `width` of 0 it is its own; each one above
    /// it is that of something wider, where the one before it has no room. `None`: there is nothing
    /// wider.
    #[must_use]
    pub fn limit_key(&self, subject: &Subject<'_>, width: u8) -> Option<Key> {
        let rule = subject.rule.as_bytes();
        let own = |area, value| Key::new(self.0, area, Domain::Limit, [rule, value]);
        Some(match (subject.by, subject.client, width) {
            (CountedBy::Constant(value), _, 0) => own(Area::Rules, value),
            // There are more rules, or names of servers, than that area has room for.
            (CountedBy::Constant(value), _, 1) => own(Area::Clients, value),
            (CountedBy::Authenticated(value), _, 0) => own(Area::Clients, value),
            (CountedBy::Constant(_) | CountedBy::Authenticated(_), ..) => return None,
            (CountedBy::Value(value), _, 0) => own(Area::Keys, value),
            (CountedBy::Address(address), _, 0) => {
                let territory = match address.is_ipv6() {
                    true => self.territory(rule, address, &OF_KEYS),
                    false => Territory::ALL,
                };
                let parts = [rule, address.as_bytes()];
                Key::within(self.0, Area::Keys, Domain::Limit, parts, territory)
            }
            (CountedBy::Address(_) | CountedBy::Value(_), Some(client), 1) => {
                let parts = [rule, client.as_bytes()];
                Key::new(self.0, Area::Clients, Domain::ClientOfLimit, parts)
            }
            (CountedBy::Address(address), None, 1 | 2) => {
                self.network(rule, address, width, Area::KeyNetworks)
            }
            (CountedBy::Address(_), None, 3..) => {
                return self.rest(Domain::RestOfLimit, rule, width - 3);
            }
            (CountedBy::Address(_) | CountedBy::Value(_), Some(_), 2..) => {
                return self.rest(Domain::RestOfLimit, rule, width - 2);
            }
            (CountedBy::Value(_), None, 1..) => {
                return self.rest(Domain::RestOfLimit, rule, width - 1);
            }
        })
    }

    /// The key of `subject` for the `auth_failures` of its rule: apart from its other limits. `width` is
    /// as in [`Seed::limit_key`].
    #[must_use]
    pub fn failures_key(&self, subject: &Subject<'_>, width: u8) -> Option<Key> {
        let rule = subject.rule.as_bytes();
        let own = |area, value| Key::new(self.0, area, Domain::AuthFailures, [rule, value]);
        Some(match (subject.by, width) {
            (CountedBy::Constant(value), 0) => own(Area::Rules, value),
            (CountedBy::Constant(value), 1) => own(Area::Clients, value),
            (CountedBy::Constant(_), _) => return None,
            (CountedBy::Value(value) | CountedBy::Authenticated(value), 0) => {
                own(Area::Failures, value)
            }
            (CountedBy::Address(address), 0) => {
                let territory = self.territory(rule, address, &OF_FAILURES);
                let parts = [rule, address.as_bytes()];
                Key::within(self.0, Area::Failures, Domain::AuthFailures, parts, territory)
            }
            (CountedBy::Address(address), 1 | 2) => {
                self.network(rule, address, width, Area::FailureNetworks)
            }
            (CountedBy::Address(_), 3..) => {
                return self.rest(Domain::RestOfAuthFailures, rule, width - 3);
            }
            (CountedBy::Value(_) | CountedBy::Authenticated(_), 1..) => {
                return self.rest(Domain::RestOfAuthFailures, rule, width - 1);
            }
        })
    }

    /// The keys of a subject for the limits of its rule that nobody else has: whoever finds room in the first one has
    /// nothing in the second.
    #[must_use]
    pub fn own_limit_keys(&self, subject: &Subject<'_>) -> Vec<Key> {
        subject.by.own_widths().filter_map(|width| self.limit_key(subject, width)).collect()
    }

    /// The same for the `auth_failures` of the rule.
    #[must_use]
    pub fn own_failures_keys(&self, subject: &Subject<'_>) -> Vec<Key> {
        subject.by.own_widths().filter_map(|width| self.failures_key(subject, width)).collect()
    }

    /// Whether the key is that of all for whom a rule has no room: what one of them did says nothing
    /// about another one.
    #[must_use]
    pub fn is_rest(&self, subject: &Subject<'_>, key: Key) -> bool {
        let of = |domain, place| self.rest(domain, subject.rule.as_bytes(), place) == Some(key);
        matches!(key.area(), Area::Rules | Area::Clients)
            && [0, 1].into_iter().any(|place| {
                of(Domain::RestOfLimit, place) || of(Domain::RestOfAuthFailures, place)
            })
    }

    /// Among the rules, and at `place` 1, where there are too many of them, among the clients.
    fn rest(&self, domain: Domain, rule: &[u8], place: u8) -> Option<Key> {
        let area = match place {
            0 => Area::Rules,
            1 => Area::Clients,
            _ => return None,
        };
        Some(Key::new(self.0, area, domain, [rule, b""]))
    }

    fn territory(&self, rule: &[u8], address: AddressKey, parts: &Parts) -> Territory {
        Territory::ALL.part(self.0, [rule, address.wide_network()], parts.wide).part(
            self.0,
            [rule, address.network()],
            parts.network,
        )
    }

    /// The network of an address: that of its own (`width` 1), or the one around that.
    fn network(&self, rule: &[u8], address: AddressKey, width: u8, area: Area) -> Key {
        if width > 1 {
            let parts = [rule, address.wide_network()];
            return Key::new(self.0, area, Domain::WideNetwork, parts);
        }
        let territory = Territory::ALL.part(self.0, [rule, address.wide_network()], OF_NETWORKS);
        let parts = [rule, address.network()];
        Key::within(self.0, area, Domain::Network, parts, territory)
    }
}

impl Zone<'_> {
    /// See [`Seed::limit_key`].
    #[must_use]
    pub fn limit_key(&self, subject: &Subject<'_>, width: u8) -> Option<Key> {
        Seed(self.seed).limit_key(subject, width)
    }

    /// See [`Seed::failures_key`].
    #[must_use]
    pub fn failures_key(&self, subject: &Subject<'_>, width: u8) -> Option<Key> {
        Seed(self.seed).failures_key(subject, width)
    }

    /// See [`Seed::own_limit_keys`].
    #[must_use]
    pub fn own_limit_keys(&self, subject: &Subject<'_>) -> Vec<Key> {
        Seed(self.seed).own_limit_keys(subject)
    }

    /// See [`Seed::own_failures_keys`].
    #[must_use]
    pub fn own_failures_keys(&self, subject: &Subject<'_>) -> Vec<Key> {
        Seed(self.seed).own_failures_keys(subject)
    }

    /// See [`Seed::is_rest`].
    #[must_use]
    pub fn is_rest(&self, subject: &Subject<'_>, key: Key) -> bool {
        Seed(self.seed).is_rest(subject, key)
    }
}

#[cfg(test)]
mod tests;

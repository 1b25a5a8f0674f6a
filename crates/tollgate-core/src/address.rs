//! Client addresses: the networks a key is restricted to, and what an address is accounted by.
//!
//! An IPv4-mapped IPv6 address (`::ffff:203.0.113.7`, RFC 4291 section 2.5.5.2) is IPv4 everywhere:
//! a socket that listens on `[::]` reports IPv4 clients in that form, and they must neither slip
//! past a rule about `203.0.113.0/24` nor share one `/64`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network in CIDR notation (RFC 4632, RFC 4291 section 2.3), or one address.
///
/// ```
/// use tollgate_core::address::Cidr;
///
/// let office: Cidr = "203.0.113.0/24".parse().unwrap();
/// assert!(office.contains("203.0.113.7".parse().unwrap()));
/// assert!(office.contains("::ffff:203.0.113.7".parse().unwrap()));
/// assert!(!office.contains("203.0.114.7".parse().unwrap()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr(Network);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Network {
    V4 { network: u32, prefix: u8 },
    V6 { network: u128, prefix: u8 },
}

/// Why a text is not a [`Cidr`]. The message does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CidrError {
    /// What stands before the `/` is no IPv4 or IPv6 address.
    NotAnAddress,
    /// What stands after the `/` is no number of bits; the most that the address has.
    BadPrefix {
        /// 32 or 128.
        max: u8,
    },
    /// Bits of the address are set below the prefix, so that it is unclear whether the network or
    /// the one address is meant.
    HostBits {
        /// The address.
        address: IpAddr,
        /// The prefix, in bits.
        prefix: u8,
    },
}

impl Cidr {
    /// Whether the address lies in this network. An IPv6 network contains no IPv4 address, `::/0`
    /// neither: for "everybody" write `0.0.0.0/0` and `::/0`.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.0, address.to_canonical()) {
            (Network::V4 { network, prefix }, IpAddr::V4(address)) => {
                address.to_bits() & mask_v4(prefix) == network
            }
            (Network::V6 { network, prefix }, IpAddr::V6(address)) => {
                address.to_bits() & mask_v6(prefix) == network
            }
            (Network::V4 { .. }, IpAddr::V6(_)) | (Network::V6 { .. }, IpAddr::V4(_)) => false,
        }
    }

    /// Whether all of the other network lies in this one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.prefix() <= other.prefix() && self.contains(other.first_address())
    }

    /// The network of this prefix that the address lies in; that of an IPv4-mapped one is IPv4.
    fn around(address: IpAddr, prefix: u8) -> Self {
        match address {
            IpAddr::V4(address) => {
                Self(Network::V4 { network: address.to_bits() & mask_v4(prefix), prefix })
            }
            IpAddr::V6(address) => match (address.to_ipv4_mapped(), prefix.checked_sub(96)) {
                (Some(mapped), Some(prefix)) => Self::around(mapped.into(), prefix),
                _ => Self(Network::V6 { network: address.to_bits() & mask_v6(prefix), prefix }),
            },
        }
    }

    /// The network that somebody is likely to have meant. Of a mapped address, the prefix may be that of IPv4.
    fn meant(address: IpAddr, prefix: u8) -> Self {
        match address.to_canonical() {
            mapped @ IpAddr::V4(_) if prefix <= width(mapped) => Self::around(mapped, prefix),
            // No IPv6 network that is wider has IPv4 addresses.
            mapped @ IpAddr::V4(_) if prefix < 96 => Self::around(mapped, width(mapped)),
            _ => Self::around(address, prefix),
        }
    }

    fn first_address(&self) -> IpAddr {
        match self.0 {
            Network::V4 { network, .. } => Ipv4Addr::from_bits(network).into(),
            Network::V6 { network, .. } => Ipv6Addr::from_bits(network).into(),
        }
    }

    fn prefix(&self) -> u8 {
        match self.0 {
            Network::V4 { prefix, .. } | Network::V6 { prefix, .. } => prefix,
        }
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| CidrError::NotAnAddress)?;
        let prefix = parse_prefix(prefix, width(address))?;
        let cidr = Self::around(address, prefix);
        if cidr.first_address() != address.to_canonical() {
            return Err(CidrError::HostBits { address, prefix });
        }
        Ok(cidr)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first_address(), self.prefix())
    }
}

impl fmt::Display for CidrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnAddress => f.write_str("is not an address or a network in CIDR notation"),
            Self::BadPrefix { max } => {
                write!(f, "has a bad prefix length: write a number from 0 to {max} after the \"/\"")
            }
            Self::HostBits { address, prefix } => write!(
                f,
                "has bits set below its prefix: write \"{}\" for the network, or \"{}\" for the \
                 one address",
                Cidr::meant(*address, *prefix),
                Cidr::around(*address, width(*address)),
            ),
        }
    }
}

impl std::error::Error for CidrError {}

/// No sign, no leading zero, nothing around the digits: `u8::from_str` would take "+24" and "024".
fn parse_prefix(text: Option<&str>, max: u8) -> Result<u8, CidrError> {
    let Some(text) = text else { return Ok(max) };
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    match text.parse::<u8>() {
        Ok(prefix) if plain && prefix <= max => Ok(prefix),
        _ => Err(CidrError::BadPrefix { max }),
    }
}

/// The bits of an address.
fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn mask_v4(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32_u32.saturating_sub(prefix.into())).unwrap_or(0)
}

fn mask_v6(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128_u32.saturating_sub(prefix.into())).unwrap_or(0)
}

/// What an address is accounted by in limits: all of an IPv4 address, the `/64` of an IPv6 address.
///
/// A `/64` is what one subscriber gets (RFC 6177, RFC 7421): accounted by the whole address, he
/// would have 2^64 fresh buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressKey(KeyBytes);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum KeyBytes {
    V4([u8; 4]),
    V6Subnet([u8; 8]),
}

impl AddressKey {
    /// The key of an address.
    #[must_use]
    pub fn new(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(KeyBytes::V4(address.octets())),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self(KeyBytes::V6Subnet([a, b, c, d, e, f, g, h]))
            }
        }
    }

    /// The network that one party gets: the /48 of an IPv6 address (RFC 6177), the /24 of an IPv4
    /// address. Its first bytes.
    #[must_use]
    pub fn network(&self) -> &[u8] {
        match &self.0 {
            KeyBytes::V4([bytes @ .., _]) => bytes,
            KeyBytes::V6Subnet([bytes @ .., _, _]) => bytes,
        }
    }

    /// The network around that, of a provider: the /32 of an IPv6 address, the /16 of an IPv4 address.
    #[must_use]
    pub fn wide_network(&self) -> &[u8] {
        match &self.0 {
            KeyBytes::V4([bytes @ .., _, _]) => bytes,
            KeyBytes::V6Subnet([bytes @ .., _, _, _, _]) => bytes,
        }
    }

    /// Whether it is an IPv6 address.
    #[must_use]
    pub fn is_ipv6(&self) -> bool {
        matches!(self.0, KeyBytes::V6Subnet(_))
    }

    /// The bytes to hash: 4 for IPv4 and 8 for IPv6, in network order. The length tells the
    /// families apart.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            KeyBytes::V4(bytes) => bytes,
            KeyBytes::V6Subnet(bytes) => bytes,
        }
    }
}

impl From<IpAddr> for AddressKey {
    fn from(address: IpAddr) -> Self {
        Self::new(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_contains_its_first_and_last_address_and_no_neighbour() {
        for (network, first, last, before, after) in [
            ("203.0.113.0/24", "203.0.113.0", "203.0.113.255", "203.0.112.255", "203.0.114.0"),
            ("10.0.0.8/29", "10.0.0.8", "10.0.0.15", "10.0.0.7", "10.0.0.16"),
            (
                "2001:db8::/32",
                "2001:db8::",
                "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
                "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
                "2001:db9::",
            ),
        ] {
            let network = cidr(network);
            assert!(network.contains(ip(first)) && network.contains(ip(last)));
            assert!(!network.contains(ip(before)) && !network.contains(ip(after)));
        }
    }

    #[test]
    fn a_bare_address_is_itself_only() {
        assert_eq!(cidr("203.0.113.7"), cidr("203.0.113.7/32"));
        assert_eq!(cidr("2001:db8::1"), cidr("2001:db8::1/128"));
        assert!(!cidr("203.0.113.7").contains(ip("203.0.113.6")));
    }

    #[test]
    fn a_zero_prefix_is_its_whole_family_and_not_the_other() {
        assert!(cidr("0.0.0.0/0").contains(ip("255.255.255.255")));
        assert!(cidr("0.0.0.0/0").contains(ip("::ffff:8.8.8.8")));
        assert!(!cidr("0.0.0.0/0").contains(ip("::1")));
        assert!(cidr("::/0").contains(ip("ffff::1")));
        assert!(!cidr("::/0").contains(ip("8.8.8.8")));
        assert!(!cidr("::/0").contains(ip("::ffff:8.8.8.8")));
    }

    #[test]
    fn advice_on_a_mapped_network_is_an_ipv4_network() {
        for (text, network) in [
            ("::ffff:10.0.0.0/8", "10.0.0.0/8"),
            ("::ffff:10.1.2.3/24", "10.1.2.0/24"),
            ("::ffff:10.1.2.3/64", "10.1.2.3/32"),
            ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
            ("2001:db8::1/32", "2001:db8::/32"),
        ] {
            let error = text.parse::<Cidr>().unwrap_err().to_string();
            assert!(error.contains(&format!("write \"{network}\" for the network")), "{error}");
        }
    }

    #[test]
    fn a_mapped_network_is_the_ipv4_network() {
        assert_eq!(cidr("::ffff:203.0.113.0/120"), cidr("203.0.113.0/24"));
        assert_eq!(cidr("::ffff:203.0.113.7"), cidr("203.0.113.7/32"));
        assert_eq!(cidr("::ffff:0:0/96"), cidr("0.0.0.0/0"));
        assert!(matches!("::ffff:0:0/90".parse::<Cidr>(), Err(CidrError::HostBits { .. })));
    }

    #[test]
    fn host_bits_are_refused_with_both_ways_out() {
        let error = "203.0.113.7/24".parse::<Cidr>().unwrap_err().to_string();
        assert!(error.contains("\"203.0.113.0/24\"") && error.contains("\"203.0.113.7/32\""));
        let error = "2001:db8::1/32".parse::<Cidr>().unwrap_err().to_string();
        assert!(error.contains("\"2001:db8::/32\"") && error.contains("\"2001:db8::1/128\""));
    }

    #[test]
    fn sloppy_texts_are_refused() {
        for text in [
            "",
            "/",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "10.0.0.0/-1",
            "10.0.0.0/8 ",
            " 10.0.0.0/8",
            "10.0.0.0/8/8",
            "10.0.0/8",
            "010.0.0.0/8",
            "10/8",
            "::/129",
            "::/256",
            "fe80::1%eth0",
            "[::1]",
            "[::1]/128",
            "localhost",
            "::/0x10",
            "10.0.0.0/255.0.0.0",
            "10.0.0.0\0/8",
            "1\u{660}.0.0.0",
            "10.0.0.0/\u{668}",
        ] {
            assert!(text.parse::<Cidr>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_ipv6_client_is_accounted_by_its_64_and_a_mapped_one_as_ipv4() {
        let key = |text| AddressKey::new(ip(text));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_ne!(key("203.0.113.7"), key("203.0.113.8"));
        assert_eq!(key("::ffff:203.0.113.7"), key("203.0.113.7"));
        assert_eq!(key("203.0.113.7").as_bytes(), [203, 0, 113, 7]);
        assert_eq!(key("203.0.113.7").network(), [203, 0, 113]);
        assert_eq!(key("203.0.113.7").wide_network(), [203, 0]);
        assert_eq!(key("2001:db8:1:2::1").network(), [0x20, 1, 0xd, 0xb8, 0, 1]);
        assert_eq!(key("2001:db8:1:2::1").wide_network(), [0x20, 1, 0xd, 0xb8]);
        assert!(key("2001:db8::1").is_ipv6() && !key("::ffff:203.0.113.7").is_ipv6());
        assert_eq!(key("2001:db8:1:2::1").as_bytes(), [0x20, 1, 0xd, 0xb8, 0, 1, 0, 2]);
    }

    fn model_contains(network: u128, prefix: u32, width: u32, address: u128) -> bool {
        (0..prefix).all(|bit| (network ^ address) >> (width - 1 - bit) & 1 == 0)
    }

    proptest! {
        #[test]
        fn v4_agrees_with_a_bit_by_bit_model(bits: u32, prefix in 0_u8..=32, other: u32, near in 0_u32..32) {
            let network = cidr(&format!("{}/{prefix}", Ipv4Addr::from_bits(bits & mask_v4(prefix))));
            for address in [other, bits, bits ^ (1 << near)] {
                prop_assert_eq!(
                    network.contains(Ipv4Addr::from_bits(address).into()),
                    model_contains(bits.into(), prefix.into(), 32, address.into())
                );
                prop_assert_eq!(
                    network.contains(Ipv4Addr::from_bits(address).into()),
                    network.contains(Ipv4Addr::from_bits(address).to_ipv6_mapped().into())
                );
            }
        }

        #[test]
        fn v6_agrees_with_a_bit_by_bit_model(bits: u128, prefix in 0_u8..=128, near in 0_u32..128) {
            // The top bit keeps clear of the IPv4-mapped range.
            let bits = bits | 1 << 127;
            let network = bits & mask_v6(prefix);
            let network = cidr(&format!("{}/{prefix}", Ipv6Addr::from_bits(network)));
            let address = bits ^ (1 << near);
            prop_assert_eq!(
                network.contains(Ipv6Addr::from_bits(address).into()),
                model_contains(bits, prefix.into(), 128, address)
            );
            prop_assert!(network.contains(Ipv6Addr::from_bits(bits).into()));
        }

        #[test]
        fn what_is_displayed_parses_to_the_same_network(bits: u128, prefix in 0_u8..=128) {
            let network = Ipv6Addr::from_bits(bits & mask_v6(prefix));
            let network = cidr(&format!("{network}/{prefix}"));
            prop_assert_eq!(cidr(&network.to_string()), network);
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<Cidr>();
        }
    }
}

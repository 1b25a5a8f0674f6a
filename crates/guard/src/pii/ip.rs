//! Addresses of the internet protocol: RFC 791 in dotted decimal, RFC 4291 section 2.2.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::edges;
use super::kind::detector;
use crate::detector::{Candidate, Detector};
use crate::words::Words;

const CONTEXT: &[&str] = &[
    "ip",
    "ipv4",
    "ipv6",
    "address",
    "adresse",
    "host",
    "server",
    "client",
    "remote",
    "peer",
    "gateway",
    "dirección",
    "indirizzo",
    "endereço",
    "адрес",
    "地址",
    "アドレス",
    "주소",
];

/// Words of numbers that have as many parts.
static NUMBERED: Words = Words::of(&[
    "version",
    "ver",
    "release",
    "rev",
    "revision",
    "build",
    "firmware",
    "driver",
    "kernel",
    "section",
    "chapter",
    "clause",
    "oid",
    "asn.1",
    "versión",
    "versione",
    "versão",
    "версия",
    "版本",
    "バージョン",
]);

/// Addresses that everybody uses, and which look like versions.
const RESOLVERS: &[[u8; 4]] = &[
    [1, 1, 1, 1],
    [1, 0, 0, 1],
    [8, 8, 8, 8],
    [8, 8, 4, 4],
    [9, 9, 9, 9],
    [4, 2, 2, 1],
    [4, 2, 2, 2],
];

/// A fifth part is taken along: what has one is no address.
const V4: &str = r"(?-u:\b)[0-9]{1,3}(?:\.[0-9]{1,3}){3,5}(?-u:\b)";

/// At the end stands a group, or two colons; then the last 32 bits may follow as an IPv4 address. A ninth group is taken
/// along, as it shows that this is no address.
const V6: &str = concat!(
    r"(?:(?-u:\b)[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){1,7}(?::[0-9A-Fa-f]{1,4}|::)",
    r"|::[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){0,6})",
    r"(?:(?:\.[0-9]{1,3}){3})?"
);

pub(super) fn ip() -> Detector {
    detector("ip", "IP", Cow::Owned(format!("{V4}|{V6}")), CONTEXT, check)
}

fn check(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    match candidate.text().contains(':') {
        true => v6(candidate, context),
        false => v4(candidate, context),
    }
}

fn v4(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    let address: Ipv4Addr = candidate.text().parse().ok()?;
    // RFC 1122: of network 0 nobody has an address, and 240 and up are reserved.
    if address.is_loopback()
        || matches!(address.octets(), [0 | 240.., ..])
        || is_mask(address)
        || edges::is_continued(candidate)
    {
        return None;
    }
    let joined = edges::joined(candidate);
    let is_requirement =
        ["==", ">=", "<=", "~=", "!=", "^"].iter().any(|sign| joined.ends_with(sign));
    // `Chrome/120.0.0.0`, but not `http://192.0.2.1`.
    let is_product = joined.strip_suffix('/').is_some_and(|name| {
        name.ends_with(|c: char| c.is_ascii_alphabetic()) && !name.contains("://")
    });
    let named = candidate.mentions(&NUMBERED);
    if is_requirement || is_product || (named && !context) {
        return None;
    }
    // A fifth part may follow, as in the number of a standard's object.
    let is_small = address.octets().iter().all(|octet| *octet < 32);
    if !context && is_small && candidate.behind() == Some('.') && !address.is_private() {
        return None;
    }
    let [first, second, third, fourth] = address.octets();
    // The section of a standard, or a version: `23.2.4.1`, `2.39.90.1`. Of all addresses, one of 500 is like that.
    let smalls = [second, third, fourth].iter().filter(|octet| **octet < 30).count();
    let is_numbering = (first < 30 && smalls == 3) || (first < 10 && smalls == 2);
    let is_known = address.is_private() || RESOLVERS.contains(&address.octets());
    Some(match context {
        true if named => 60,
        true => 95,
        false if is_numbering && !is_known => 40,
        // `4.0.0.0` is a version more often.
        false if second == 0 && third == 0 && fourth == 0 => 40,
        false if address.is_private() => 75,
        false => 85,
    })
}

/// Whether these are ones, and then zeros: a mask of a network, which is nobody's address.
fn is_mask(address: Ipv4Addr) -> bool {
    let bits = address.to_bits();
    bits.leading_ones() >= 8 && bits.leading_ones() + bits.trailing_zeros() >= 32
}

fn v6(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    let text = candidate.text();
    let address: Ipv6Addr = text.parse().ok()?;
    let is_compressed = text.contains("::");
    if address.is_loopback()
        || address.is_unspecified()
        || edges::follows(candidate, b":._")
        || edges::precedes(candidate, &['_'])
        || (text.ends_with("::") && candidate.behind() == Some(':'))
    {
        return None;
    }
    // Eight pairs of digits are an EUI-64.
    if !is_compressed && text.split(':').all(|group| group.len() == 2) {
        return None;
    }
    let [first, ..] = address.segments();
    // What RFC 4291 and its successors give out; other beginnings are names in code: `add::bad`.
    let is_given_out = matches!(first, 0x2000..=0x3fff | 0xfc00..=0xfdff | 0xfe80..=0xfebf | 0xff00..=0xffff)
        || address.to_ipv4_mapped().is_some()
        || text.starts_with("64:ff9b:");
    Some(match (is_given_out && text.bytes().any(|byte| byte.is_ascii_digit())) || !is_compressed {
        true if context => 98,
        true => 92,
        false if context => 60,
        false => 30,
    })
}

//! Hardware addresses: IEEE 802, EUI-48 and EUI-64.

use std::borrow::Cow;

use super::edges;
use super::kind::detector;
use crate::detector::{Candidate, Detector};

const CONTEXT: &[&str] =
    &["mac", "hardware", "ethernet", "wifi", "wlan", "bluetooth", "bssid", "hwaddr", "ether"];

/// Pairs of digits, or Cisco's groups of four.
const PATTERN: &str = concat!(
    r"(?-u:\b)(?:[0-9A-Fa-f]{2}(?:(?::[0-9A-Fa-f]{2}){5}(?:(?::[0-9A-Fa-f]{2}){2})?",
    r"|(?:-[0-9A-Fa-f]{2}){5}(?:(?:-[0-9A-Fa-f]{2}){2})?)",
    r"|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4})(?-u:\b)"
);

pub(super) fn mac() -> Detector {
    detector("mac", "MAC", Cow::Borrowed(PATTERN), CONTEXT, check)
}

fn check(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    // A fingerprint has more pairs.
    if edges::follows(candidate, b":-._") || edges::precedes(candidate, &[':', '-', '_']) {
        return None;
    }
    let text = candidate.text();
    let mut digits = text.bytes().filter(u8::is_ascii_hexdigit);
    let first = digits.next()?;
    // All zeros, and all ones, are nobody's.
    if digits.all(|digit| digit == first) {
        return None;
    }
    let is_of_digits = !text.bytes().any(|byte| byte.is_ascii_alphabetic());
    Some(match (text.contains('.') || (is_of_digits && text.contains('-')), context) {
        (_, true) => 97,
        (false, false) => 88,
        // A number, or a date, may be written like this.
        (true, false) => 40,
    })
}

//! Addresses of Bitcoin and Ethereum, which anybody can look up the payments of.

use std::borrow::Cow;

use bech32::segwit;
use sha3::{Digest, Keccak256};

use super::edges;
use super::kind::detector;
use crate::detector::{Candidate, Detector};

const CONTEXT: &[&str] = &[
    "wallet", "bitcoin", "btc", "ethereum", "eth", "crypto", "donate", "0x", "address", "coin",
    "usdt",
];

/// Bitcoin's addresses in base 58 and in bech32 (BIP 173, BIP 350); Ethereum's.
const PATTERN: &str = concat!(
    r"(?-u:\b)(?:[13][1-9A-HJ-NP-Za-km-z]{25,34}|(?:bc|tb)1[02-9ac-hj-np-z]{11,71}",
    r"|BC1[02-9AC-HJ-NP-Z]{11,71}|0x[0-9a-fA-F]{40})(?-u:\b)"
);

pub(super) fn wallet() -> Detector {
    detector("crypto_wallet", "CRYPTO_WALLET", Cow::Borrowed(PATTERN), CONTEXT, check)
}

fn check(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    let text = candidate.text();
    if edges::precedes(candidate, &['_']) || edges::follows(candidate, b"_") {
        return None;
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return ethereum(digits, context);
    }
    if text.starts_with(['1', '3']) {
        // The version, 160 bits, and four bytes of SHA-256, twice.
        let mut decoded = [0; 32];
        let length = bs58::decode(text).with_check(None).onto(&mut decoded[..]).ok()?;
        return (length == 21 && matches!(decoded.first(), Some(0 | 5))).then_some(97);
    }
    segwit::decode(text).ok().map(|_| 97)
}

/// ERC-55: the case of a letter is a bit of the Keccak sum of the address. Without capitals there is no such sum.
fn ethereum(digits: &str, context: bool) -> Option<u8> {
    let has = |is: fn(&u8) -> bool| digits.as_bytes().iter().any(is);
    if !has(|byte| *byte != b'0') {
        return None;
    }
    if !(has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase)) {
        return Some(if context { 95 } else { 75 });
    }
    let sum = Keccak256::digest(digits.to_ascii_lowercase());
    let nibbles = sum.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let is_right = digits.bytes().zip(nibbles).all(|(digit, nibble)| {
        digit.is_ascii_digit() || digit.is_ascii_uppercase() == (nibble > 7)
    });
    is_right.then_some(98)
}

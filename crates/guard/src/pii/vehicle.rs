//! Numbers of vehicles: ISO 3779, and the check digit that 49 CFR 565 asks for in North America.

use std::borrow::Cow;

use super::kind::{detector, Form};
use super::{edges, shape};
use crate::detector::{Candidate, Detector};

const CONTEXT: &[&str] = &[
    "vin",
    "vehicle",
    "chassis",
    "fahrgestell",
    "fahrzeug",
    "fin",
    "car",
    "truck",
    "bastidor",
    "telaio",
    "châssis",
    "車台番号",
    "车架",
];

pub(super) fn vin() -> Detector {
    detector("vin", "VIN", Cow::Borrowed(shape::CODE), CONTEXT, check)
}

fn check(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    let text = candidate.text();
    if !shape::fits(candidate, &["*****************"]) || text.contains(['I', 'O', 'Q']) {
        return None;
    }
    let letters = text.bytes().filter(u8::is_ascii_uppercase).count();
    // The last three are digits, or four where more than 500 of a kind are made.
    let is_serial = text.get(14..)?.bytes().all(|byte| byte.is_ascii_digit());
    if !(2..=14).contains(&letters)
        || !is_serial
        || edges::is_continued(candidate)
        || edges::precedes(candidate, &['-', '_'])
    {
        return None;
    }
    let weights = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
    let rest =
        text.bytes().zip(weights).map(|(byte, weight)| value(byte) * weight).sum::<u64>() % 11;
    let wanted = if rest == 10 { b'X' } else { b'0' + u8::try_from(rest).ok()? };
    let form = if text.as_bytes().get(8) == Some(&wanted) { Form::Likely } else { Form::Bare };
    Some(form.score(context))
}

/// What a character counts: 49 CFR 565.15, table III.
fn value(byte: u8) -> u64 {
    match byte {
        b'0'..=b'9' => u64::from(byte - b'0'),
        b'A'..=b'H' => u64::from(byte - b'A') + 1,
        b'J'..=b'R' => u64::from(byte - b'J') + 1,
        b'S'..=b'Z' => u64::from(byte - b'S') + 2,
        _ => 0,
    }
}

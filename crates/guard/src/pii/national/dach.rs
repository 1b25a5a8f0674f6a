//! Germany, Austria, Switzerland.

use std::borrow::Cow;

use super::shapes;
use crate::detector::{Candidate, Detector};
use crate::pii::digits::{self, Digits};
use crate::pii::kind::{detector, Form};
use crate::pii::shape;

const STEUER_ID: &[&str] = &["00 000 000 000", "00000000000"];
const AUSWEIS: &[&str] = &["A********", "A********0"];
const RVNR: &[&str] = &["00000000A000", "00 000000 A 000", "00 000000A000"];
const SVNR: &[&str] = &["0000 000000", "0000000000"];
const AHV: &[&str] = &["756.0000.0000.00", "7560000000000"];

pub(super) fn detectors() -> Vec<Detector> {
    vec![
        detector(
            "de_steuer_id",
            "DE_STEUER_ID",
            Cow::Borrowed(shape::DIGITS),
            &[
                "steuer",
                "steuerid",
                "steueridentifikationsnummer",
                "idnr",
                "identifikationsnummer",
                "tax",
                "tin",
            ],
            steuer_id,
        ),
        detector(
            "de_personalausweis",
            "DE_PERSONALAUSWEIS",
            Cow::Borrowed(shape::CODE),
            &["personalausweis", "ausweis", "perso", "id card", "identity card", "reisepass"],
            personalausweis,
        ),
        detector(
            "de_rvnr",
            "DE_RVNR",
            Cow::Borrowed(shape::SPACED),
            &[
                "rentenversicherung",
                "sozialversicherung",
                "versicherungsnummer",
                "rvnr",
                "svnr",
                "sv-nummer",
            ],
            rvnr,
        ),
        detector(
            "at_svnr",
            "AT_SVNR",
            Cow::Borrowed(shape::DIGITS),
            &["sozialversicherung", "versicherungsnummer", "svnr", "sv-nr", "sv-nummer", "e-card"],
            svnr,
        ),
        detector(
            "ch_ahv",
            "CH_AHV",
            Cow::Borrowed(shape::DIGITS),
            &["ahv", "avs", "sozialversicherung", "versichertennummer", "oasi"],
            ahv,
        ),
    ]
}

/// Bundeszentralamt für Steuern, "Aufbau der Identifikationsnummer": of the first ten digits one stands there twice
/// or three times, and each other one at most once; the last one by ISO/IEC 7064, MOD 11,10.
fn steuer_id(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, STEUER_ID) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    let mut counts = [0_u8; 10];
    for digit in all.iter().take(10) {
        *counts.get_mut(usize::from(*digit))? += 1;
    }
    let repeated = counts.iter().filter(|count| **count > 1).count();
    let most = counts.iter().max()?;
    if digits::at(all, 0) == 0
        || repeated != 1
        || *most > 3
        || !digits::mod11_10(all)
        || shapes::is_part(candidate)
    {
        return None;
    }
    let form = if shapes::is_grouped(candidate) { Form::Own } else { Form::Weak };
    Some(form.score(context))
}

/// BSI TR-03127 and ICAO Doc 9303-3 section 4.9: nine characters, and in the machine-readable zone a check digit.
fn personalausweis(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, AUSWEIS) {
        return None;
    }
    let text = candidate.text().as_bytes();
    let is_listed = |byte: &u8| b"CFGHJKLMNPRTVWXYZ0123456789".contains(byte);
    let is_first = text.first().is_some_and(|byte| b"LMNPRTVWXY".contains(byte));
    if !is_first
        || !text.iter().all(is_listed)
        || !text.iter().any(u8::is_ascii_digit)
        || shapes::is_part(candidate)
    {
        return None;
    }
    let Some(last) = text.get(9) else {
        return context.then_some(70);
    };
    let form = if icao(text.get(..9)?) == shapes::value(*last) { Form::Weak } else { return None };
    Some(form.score(context))
}

/// The check digit of ICAO Doc 9303: weights 7, 3 and 1.
fn icao(text: &[u8]) -> u64 {
    let weights = [7, 3, 1].iter().cycle();
    text.iter().zip(weights).map(|(byte, weight)| shapes::value(*byte) * weight).sum::<u64>() % 10
}

/// Verordnung über die Versicherungsnummer (VKVV) § 2 and § 4: an area, a birthday, a letter, a serial number, a check digit.
fn rvnr(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, RVNR) {
        return None;
    }
    let mut row = String::new();
    for byte in shapes::plain(candidate).bytes() {
        match byte {
            b'A'..=b'Z' => row.push_str(&format!("{:02}", byte - b'A' + 1)),
            _ => row.push(char::from(byte)),
        }
    }
    let all = Digits::of(&row);
    let all = all.all();
    let (last, others) = all.split_last()?;
    let sum: u64 = others
        .iter()
        .zip([2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1])
        .map(|(digit, weight)| u64::from(*digit) * weight)
        .map(|product| product / 10 + product % 10)
        .sum();
    // Of somebody whose birthday was taken already, the day is given with 32 or more added.
    let (day, month) = (digits::part(all, 2, 4), digits::part(all, 4, 6));
    let dated = digits::is_date(day, month) || (day > 32 && digits::is_date(day - 32, month));
    if all.len() != 13 || sum % 10 != u64::from(*last) || !dated || shapes::is_part(candidate) {
        return None;
    }
    Some(Form::Own.score(context))
}

/// Austrian social security: a serial number, a check digit, a birthday (ASVG § 31; weights as published by the
/// Dachverband der Sozialversicherungsträger).
fn svnr(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, SVNR) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    let rest = digits::weighted(all, &[3, 7, 9, 0, 5, 8, 4, 2, 1, 6]) % 11;
    let dated = digits::is_date(digits::part(all, 4, 6), digits::part(all, 6, 8));
    if digits::at(all, 0) == 0 || rest != digits::at(all, 3) || !dated || shapes::is_part(candidate)
    {
        return None;
    }
    let form = if shapes::is_grouped(candidate) { Form::Likely } else { Form::Weak };
    Some(form.score(context))
}

/// Swiss social security: 756, and a check digit as in EAN-13 (Zentrale Ausgleichsstelle, "Die AHV-Nummer").
fn ahv(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, AHV) {
        return None;
    }
    let all = Digits::of(candidate.text());
    if !digits::weighted(all.all(), &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]).is_multiple_of(10)
        || shapes::is_part(candidate)
    {
        return None;
    }
    let form = if shapes::is_grouped(candidate) { Form::Own } else { Form::Likely };
    Some(form.score(context))
}

//! Australia, South Africa.

use std::borrow::Cow;

use super::shapes;
use crate::detector::{Candidate, Detector};
use crate::pii::digits::{self, Digits};
use crate::pii::kind::{detector, Form};
use crate::pii::shape;

const MEDICARE: &[&str] = &[
    "0000 00000 0",
    "0000-00000-0",
    "0000000000",
    "00000000000",
    "0000 00000 0 0",
    "0000 00000 0/0",
    "0000 00000 0-0",
];

const ZA_ID: &[&str] = &["0000000000000", "000000 0000 00 0", "000000 0000 000"];

const TFN: &[&str] = &["000000000", "000 000 000", "000-000-000"];
pub(super) fn detectors() -> Vec<Detector> {
    vec![
        detector("au_tfn", "AU_TFN", Cow::Borrowed(shape::DIGITS), &["tfn", "tax file"], tfn),
        detector(
            "au_medicare",
            "AU_MEDICARE",
            Cow::Borrowed(shape::DIGITS),
            &["medicare"],
            medicare,
        ),
        detector(
            "za_id",
            "ZA_ID",
            Cow::Borrowed(shape::DIGITS),
            &["id number", "identity", "id no", "south african", "rsa id", "identiteitsnommer"],
            za_id,
        ),
    ]
}

/// Australian Taxation Office, "Tax file number": weights 1, 4, 3, 7, 5, 8, 6, 9 and 10, divisible by 11.
fn tfn(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, TFN) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    let sum = digits::weighted(all, &[1, 4, 3, 7, 5, 8, 6, 9, 10]);
    if !sum.is_multiple_of(11)
        || digits::is_one_digit(all)
        || !shapes::is_even(candidate)
        || shapes::is_part(candidate)
    {
        return None;
    }
    Some(Form::Bare.score(context))
}

/// Services Australia, "Medicare card number": weights 1, 3, 7 and 9 give the ninth digit; then the issue of the card,
/// and the place of the person on it.
fn medicare(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, MEDICARE) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    let check = digits::weighted(all, &[1, 3, 7, 9, 1, 3, 7, 9]) % 10;
    let is_given_out = matches!(digits::at(all, 0), 2..=6);
    if !is_given_out
        || check != digits::at(all, 8)
        || digits::at(all, 9) == 0
        || shapes::is_part(candidate)
    {
        return None;
    }
    let is_grouped = matches!(candidate.text().as_bytes().get(4), Some(b' ' | b'-'));
    let form = if is_grouped { Form::Likely } else { Form::Bare };
    Some(form.score(context))
}

/// South African Identification Act 68 of 1997: birthday, serial number, citizenship, and Luhn's sum.
fn za_id(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, ZA_ID) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    let dated = digits::is_date(digits::part(all, 4, 6), digits::part(all, 2, 4));
    if !digits::luhn(all) || !dated || digits::at(all, 10) > 2 || shapes::is_part(candidate) {
        return None;
    }
    let form = if shapes::is_grouped(candidate) { Form::Own } else { Form::Weak };
    Some(form.score(context))
}

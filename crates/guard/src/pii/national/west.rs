//! France, Belgium, the Netherlands, the United Kingdom, Ireland.

use std::borrow::Cow;

use super::shapes;
use crate::detector::{Candidate, Detector};
use crate::pii::digits::{self, Digits};
use crate::pii::kind::{detector, Form};
use crate::pii::shape;

const NIR: &[&str] = &[
    "0 00 00 00 000 000 00",
    "000000000000000",
    "0000000000000 00",
    "000000A00000000",
    "0 00 00 0A 000 000 00",
];
const NIR_CONTEXT: &[&str] = &[
    "nir",
    "sécurité sociale",
    "securite sociale",
    "sécu",
    "secu",
    "numéro de sécurité",
    "insee",
    "vitale",
];
const RIJKSREGISTER: &[&str] = &["00.00.00-000.00", "00000000000"];
const BSN: &[&str] = &["000000000", "0000.00.000", "000.000.000", "000 000 000"];
const NINO: &[&str] = &["@@000000@", "@@ 00 00 00 @", "@@ 000000 @", "@@000000 @"];
const NHS: &[&str] = &["000 000 0000", "000-000-0000", "0000000000"];
const PPS: &[&str] = &["0000000A", "0000000AA"];

pub(super) fn detectors() -> Vec<Detector> {
    vec![
        detector("fr_nir", "FR_NIR", Cow::Borrowed(shape::DIGITS), NIR_CONTEXT, nir),
        // Of Corsica, with a letter.
        detector("fr_nir_corse", "FR_NIR", Cow::Borrowed(shape::CODE), NIR_CONTEXT, nir_corse),
        detector(
            "be_rijksregisternummer",
            "BE_RIJKSREGISTERNUMMER",
            Cow::Borrowed(shape::DIGITS),
            &[
                "rijksregister",
                "registre national",
                "numéro national",
                "nationaal nummer",
                "insz",
                "niss",
                "rrn",
                "national",
            ],
            rijksregister,
        ),
        detector(
            "nl_bsn",
            "NL_BSN",
            Cow::Borrowed(shape::DIGITS),
            &["bsn", "burgerservicenummer", "sofi", "sofinummer", "citizen service"],
            bsn,
        ),
        detector(
            "uk_nino",
            "UK_NINO",
            Cow::Borrowed(shape::SPACED),
            &["nino", "national insurance", "ni number", "ni no", "insurance", "nin"],
            nino,
        ),
        detector(
            "uk_nhs",
            "UK_NHS",
            Cow::Borrowed(shape::DIGITS),
            &["nhs", "national health", "health service", "patient", "h&c"],
            nhs,
        ),
        detector(
            "ie_pps",
            "IE_PPS",
            Cow::Borrowed(shape::CODE),
            &["pps", "ppsn", "personal public service", "rsi"],
            pps,
        ),
    ]
}

/// INSEE, "Numéro de sécurité sociale": sex, year, month, department, commune, serial number, and 97 less the rest by 97.
/// In Corsica, 2A and 2B count as 19 and 18.
fn nir_corse(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    // Without a letter it is one of the others, and found as such.
    let has_letter = shapes::plain(candidate).bytes().any(|byte| byte.is_ascii_alphabetic());
    has_letter.then(|| nir(candidate, context))?
}

fn nir(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, NIR) {
        return None;
    }
    let text = shapes::plain(candidate).replace("2A", "19").replace("2B", "18");
    let all = Digits::of(&text);
    let all = all.all();
    let month = digits::part(all, 3, 5);
    let key = 97 - digits::part(all, 0, 13) % 97;
    // Months over 12 are of people whose birthday isn't known.
    if all.len() != 15
        || matches!(digits::at(all, 0), 0 | 5 | 6 | 9)
        || matches!(month, 0 | 13..=19 | 43..=49)
        || key != digits::part(all, 13, 15)
        || shapes::is_part(candidate)
    {
        return None;
    }
    let form = match (shapes::is_grouped(candidate), digits::at(all, 0)) {
        (true, _) => Form::Own,
        (false, 1 | 2) => Form::Likely,
        (false, _) => Form::Weak,
    };
    Some(form.score(context))
}

/// Belgian Royal Decree of 3 April 1984: birthday, serial number, and 97 less the rest by 97, of people born in 2000
/// or later with a 2 before it.
fn rijksregister(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, RIJKSREGISTER) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    let number = digits::part(all, 0, 9);
    let key = digits::part(all, 9, 11);
    let is_right = [number, number + 2_000_000_000].iter().any(|number| 97 - number % 97 == key);
    // Of people without a known sex or birthday, months have 20 or 40 added.
    let (month, day) = (digits::part(all, 2, 4), digits::part(all, 4, 6));
    let dated = digits::is_date(day, month % 20) || (month == 0 && day == 0);
    if !is_right || !dated || month > 52 || shapes::is_part(candidate) {
        return None;
    }
    let form = if shapes::is_grouped(candidate) { Form::Own } else { Form::Weak };
    Some(form.score(context))
}

/// Rijksdienst voor Identiteitsgegevens, "elfproef": weights 9 to 2, and the last digit is taken away.
fn bsn(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, BSN) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    let sum = digits::weighted(all, &[9, 8, 7, 6, 5, 4, 3, 2, 10]) % 11;
    if sum != 0
        || digits::is_one_digit(all)
        || !shapes::is_even(candidate)
        || shapes::is_part(candidate)
    {
        return None;
    }
    Some(Form::Bare.score(context))
}

/// HMRC, National Insurance Manual NIM39110: two letters, six digits, A to D.
fn nino(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, NINO) {
        return None;
    }
    let text = shapes::plain(candidate);
    let unused = ["BG", "GB", "KN", "NK", "NT", "TN", "ZZ"];
    let mut letters = text.bytes();
    let is_listed = letters.next().is_some_and(|byte| !b"DFIQUV".contains(&byte))
        && letters.next().is_some_and(|byte| !b"DFIOQUV".contains(&byte))
        && text.bytes().next_back().is_some_and(|byte| (b'A'..=b'D').contains(&byte));
    if !is_listed
        || unused.iter().any(|prefix| text.starts_with(prefix))
        || shapes::is_part(candidate)
    {
        return None;
    }
    let form = match (shapes::is_small(candidate), shapes::is_grouped(candidate)) {
        (true, _) => Form::Bare,
        (false, true) => Form::Own,
        (false, false) => Form::Likely,
    };
    Some(form.score(context))
}

/// NHS Data Dictionary, "NHS number": weights 10 to 2, and 11 less the rest by 11.
fn nhs(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, NHS) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    let check = 11 - digits::weighted(all, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    if check % 11 != digits::at(all, 9)
        || check == 10
        || digits::is_one_digit(all)
        || shapes::is_part(candidate)
    {
        return None;
    }
    // American telephone numbers are written like this.
    Some(Form::Bare.score(context))
}

/// Irish Department of Social Protection, "Personal Public Service number": weights 8 to 2, a second letter counts
/// nine times.
fn pps(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, PPS) {
        return None;
    }
    let text = candidate.text().as_bytes();
    let all = Digits::of(candidate.text());
    // The second letter of married women's old numbers, W, counts nothing.
    let second = match text.get(8) {
        None | Some(b'W') => 0,
        Some(letter) if !(b'A'..=b'I').contains(letter) => return None,
        Some(letter) => u64::from(letter - b'A') + 1,
    };
    let rest = (digits::weighted(all.all(), &[8, 7, 6, 5, 4, 3, 2]) + second * 9) % 23;
    let letter = if rest == 0 { u64::from(b'W' - b'A') } else { rest - 1 };
    if text.get(7).map(|byte| u64::from(byte - b'A')) != Some(letter) || shapes::is_part(candidate)
    {
        return None;
    }
    Some(Form::Weak.score(context))
}

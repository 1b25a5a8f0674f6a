//! Sweden, Finland, Denmark, Norway.

use std::borrow::Cow;

use super::shapes;
use crate::detector::{Candidate, Detector};
use crate::pii::digits::{self, Digits};
use crate::pii::kind::{detector, Form};
use crate::pii::shape;

const PERSONNUMMER: &[&str] =
    &["000000-0000", "000000+0000", "0000000000", "00000000-0000", "000000000000"];
const HETU: &str = r"(?-u:\b)[0-9]{6}[-+A-FU-Y][0-9]{3}[0-9A-FHJ-NPR-Y](?-u:\b)";
const FODSELSNUMMER: &[&str] = &["00000000000", "000000 00000"];

const CPR: &[&str] = &["000000-0000", "0000000000"];
pub(super) fn detectors() -> Vec<Detector> {
    vec![
        detector(
            "se_personnummer",
            "SE_PERSONNUMMER",
            Cow::Borrowed(shape::DIGITS),
            &["personnummer", "personnr", "pnr", "samordningsnummer", "personal number"],
            personnummer,
        ),
        detector(
            "fi_hetu",
            "FI_HETU",
            Cow::Borrowed(HETU),
            &["hetu", "henkilötunnus", "henkilotunnus", "personbeteckning"],
            hetu,
        ),
        detector(
            "dk_cpr",
            "DK_CPR",
            Cow::Borrowed(shape::DIGITS),
            &["cpr", "cpr-nummer", "personnummer", "cpr-nr"],
            cpr,
        ),
        detector(
            "no_fodselsnummer",
            "NO_FODSELSNUMMER",
            Cow::Borrowed(shape::DIGITS),
            &["fødselsnummer", "fodselsnummer", "fnr", "personnummer", "d-nummer", "fødselsnr"],
            fodselsnummer,
        ),
    ]
}

/// Skatteverket, SKV 704: birthday, and Luhn's sum without the century. Of coordination numbers, 60 is added to the day.
fn personnummer(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, PERSONNUMMER) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    let short = all.get(all.len().checked_sub(10)?..)?;
    let (month, day) = (digits::part(short, 2, 4), digits::part(short, 4, 6));
    let dated = digits::is_date(day, month) || (day > 60 && digits::is_date(day - 60, month));
    // With the century, this is the 19th, 20th or 21st.
    let is_of_now = all.len() == 10 || matches!(digits::part(all, 0, 2), 18..=20);
    if !is_of_now || !digits::luhn(short) || !dated || shapes::is_part(candidate) {
        return None;
    }
    let form = match (shapes::is_grouped(candidate), all.len()) {
        (true, 12) => Form::Own,
        (true, _) => Form::Likely,
        (false, _) => Form::Weak,
    };
    Some(form.score(context))
}

/// Digi- ja väestötietovirasto, "Henkilötunnus": birthday, century, serial number, the rest by 31. The signs of 2023 are
/// among those of the century.
fn hetu(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    let text = candidate.text();
    let date = Digits::of(text.get(..6)?);
    let serial = Digits::of(text.get(7..10)?);
    let number = digits::number(date.all()) * 1000 + digits::number(serial.all());
    let place = usize::try_from(number % 31).ok()?;
    let wanted = b"0123456789ABCDEFHJKLMNPRSTUVWXY".get(place).copied();
    let dated = digits::is_date(digits::part(date.all(), 0, 2), digits::part(date.all(), 2, 4));
    if wanted != text.bytes().next_back() || !dated || shapes::is_part(candidate) {
        return None;
    }
    Some(Form::Own.score(context))
}

/// CPR-kontoret, "Personnummeret i CPR": birthday and four digits. The sum by 11 holds for most of those given out, but
/// since 2007 not for all.
fn cpr(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, CPR) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    let dated = digits::is_date(digits::part(all, 0, 2), digits::part(all, 2, 4));
    let sign = candidate.text().as_bytes().get(6);
    if !dated || !matches!(sign, Some(b'-' | b'0'..=b'9')) || shapes::is_part(candidate) {
        return None;
    }
    let is_right = digits::weighted(all, &[4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11);
    let form = match (is_right, sign == Some(&b'-')) {
        (true, true) => Form::Likely,
        (false, true) => Form::Weak,
        (_, false) => Form::Bare,
    };
    Some(form.score(context))
}

/// Skatteetaten, "Fødselsnummer": birthday, and two sums by 11. In the numbers of foreigners 40 is added to the day; in
/// those of the health service to the month.
fn fodselsnummer(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, FODSELSNUMMER) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    let first = digits::weighted(all, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]) % 11;
    let second = digits::weighted(all, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]) % 11;
    let (day, month) = (digits::part(all, 0, 2), digits::part(all, 2, 4));
    let dated = digits::is_date(day % 40, month % 40);
    if first != 0 || second != 0 || !dated || day > 71 || month > 52 || shapes::is_part(candidate) {
        return None;
    }
    Some(Form::Likely.score(context))
}

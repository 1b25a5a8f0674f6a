//! Poland, Czechia and Slovakia, Romania, Bulgaria, Croatia, the Baltic states.

use std::borrow::Cow;

use super::shapes;
use crate::detector::{Candidate, Detector};
use crate::pii::digits::{self, Digits};
use crate::pii::kind::{detector, Form};
use crate::pii::shape;

const DOWOD: &str = r"(?-u:\b)[A-Z]{3} ?[0-9]{6}(?-u:\b)";

const ELEVEN: &[&str] = &["00000000000"];
const NIP: &[&str] = &["000-000-00-00", "000-00-00-000", "000 000 00 00", "0000000000"];
const NIP_CONTEXT: &[&str] = &["nip", "identyfikacji podatkowej", "podatkowy", "tax id"];
const RODNE_CISLO: &[&str] = &["000000/0000", "0000000000"];
const CNP: &[&str] = &["0000000000000"];
const EGN: &[&str] = &["0000000000"];
pub(super) fn detectors() -> Vec<Detector> {
    vec![
        detector("pl_pesel", "PL_PESEL", Cow::Borrowed(shape::DIGITS), &["pesel"], pesel),
        detector("pl_nip", "PL_NIP", Cow::Borrowed(shape::DIGITS), NIP_CONTEXT, nip),
        // In trade with other states, with the letters of the country.
        detector("pl_nip_eu", "PL_NIP", Cow::Borrowed(shape::CODE), NIP_CONTEXT, nip_eu),
        detector(
            "pl_dowod",
            "PL_DOWOD",
            Cow::Borrowed(DOWOD),
            &["dowód", "dowod", "dowodu", "numer dowodu", "identity card", "id card"],
            dowod,
        ),
        detector(
            "cz_rodne_cislo",
            "CZ_RODNE_CISLO",
            Cow::Borrowed(shape::DIGITS),
            &["rodné číslo", "rodne cislo", "rodné", "rodného čísla", "birth number", "r.č", "rč"],
            rodne_cislo,
        ),
        detector(
            "ro_cnp",
            "RO_CNP",
            Cow::Borrowed(shape::DIGITS),
            &["cnp", "cod numeric", "codul numeric", "personal numeric"],
            cnp,
        ),
        detector(
            "bg_egn",
            "BG_EGN",
            Cow::Borrowed(shape::DIGITS),
            &["егн", "egn", "единен граждански"],
            egn,
        ),
        detector(
            "hr_oib",
            "HR_OIB",
            Cow::Borrowed(shape::DIGITS),
            &["oib", "osobni identifikacijski"],
            oib,
        ),
        detector(
            "ee_lt_isikukood",
            "EE_LT_ISIKUKOOD",
            Cow::Borrowed(shape::DIGITS),
            &["isikukood", "asmens kodas", "asmens kodą", "personal code"],
            isikukood,
        ),
    ]
}

/// Month and day, where the month also tells the century: 20 is added to it, or 40, 60, 80.
fn is_century_date(day: u64, month: u64) -> bool {
    digits::is_date(day, month % 20)
}

/// Polish Act on the register of population, article 15; weights 1, 3, 7 and 9.
fn pesel(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, ELEVEN) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    let sum = digits::weighted(all, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]);
    let dated = is_century_date(digits::part(all, 4, 6), digits::part(all, 2, 4));
    if !sum.is_multiple_of(10) || !dated || shapes::is_part(candidate) {
        return None;
    }
    Some(Form::Weak.score(context))
}

/// Polish Act of 13 October 1995 on the identification of taxpayers: three digits of a tax office, which the schema of
/// the Ministry of Finance has as `[1-9](\d[1-9]|[1-9]\d)`, serial number, and a sum by 11, which is never 10.
fn is_nip(text: &str) -> bool {
    let all = Digits::of(text);
    let all = all.all();
    let check = digits::weighted(all, &[6, 5, 7, 2, 3, 4, 5, 6, 7]) % 11;
    check == digits::at(all, 9) && digits::at(all, 0) != 0 && digits::part(all, 1, 3) != 0
}

fn nip(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, NIP) || !is_nip(candidate.text()) || shapes::is_part(candidate) {
        return None;
    }
    let form = if candidate.text().contains('-') { Form::Weak } else { Form::Bare };
    Some(form.score(context))
}

fn nip_eu(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    let number = candidate.text().strip_prefix("PL")?;
    if !shape::fits(candidate, &["AA0000000000"]) || !is_nip(number) || shapes::is_part(candidate) {
        return None;
    }
    Some(Form::Likely.score(context))
}

/// Polish Ministry of the Interior, numbers of identity cards: the first digit makes the sum, with weights 7, 3 and 1,
/// divisible by 10.
fn dowod(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    let text = shapes::plain(candidate);
    let weights = [7, 3, 1, 9, 7, 3, 1, 7, 3];
    let sum: u64 =
        text.bytes().zip(weights).map(|(byte, weight)| shapes::value(byte) * weight).sum();
    if !sum.is_multiple_of(10) || shapes::is_part(candidate) {
        return None;
    }
    Some(Form::Weak.score(context))
}

/// Czech Act 133/2000 on the register of population, § 13: birthday, where women have 50 added to the month, and since
/// 2004 both sexes may have 20 more; divisible by 11.
fn rodne_cislo(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, RODNE_CISLO) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    let sign = candidate.text().as_bytes().get(6);
    let (month, day) = (digits::part(all, 2, 4) % 50, digits::part(all, 4, 6));
    let dated = digits::is_date(day, month % 20) && month < 33;
    // Until 1985, of a rest of 10 the last digit was 0.
    let rest = digits::part(all, 0, 9) % 11 % 10;
    if rest != digits::at(all, 9)
        || !dated
        || !matches!(sign, Some(b'/' | b'0'..=b'9'))
        || shapes::is_part(candidate)
    {
        return None;
    }
    let form = if sign == Some(&b'/') { Form::Own } else { Form::Bare };
    Some(form.score(context))
}

/// Romanian Law 105/1996: sex and century, birthday, county, serial number, and a sum by 11, of 10 one.
fn cnp(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, CNP) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    let rest = digits::weighted(all, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
    let check = if rest == 10 { 1 } else { rest };
    let dated = digits::is_date(digits::part(all, 5, 7), digits::part(all, 3, 5));
    let county = digits::part(all, 7, 9);
    if check != digits::at(all, 12)
        || digits::at(all, 0) == 0
        || !dated
        || !matches!(county, 1..=48 | 51 | 52 | 70)
    {
        return None;
    }
    if shapes::is_part(candidate) {
        return None;
    }
    // Milliseconds since 1970 have as many digits.
    Some(Form::Weak.score(context))
}

/// Bulgarian Ordinance RD-02-20-9 of 2012: birthday, serial number, and a sum by 11, of 10 zero.
fn egn(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, EGN) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    let check = digits::weighted(all, &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10;
    let month = digits::part(all, 2, 4);
    let dated = is_century_date(digits::part(all, 4, 6), month) && month < 53;
    if check != digits::at(all, 9) || !dated || shapes::is_part(candidate) {
        return None;
    }
    Some(Form::Bare.score(context))
}

/// Croatian Law on the personal identification number: ISO/IEC 7064, MOD 11,10.
fn oib(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, ELEVEN) {
        return None;
    }
    let all = Digits::of(candidate.text());
    if !digits::mod11_10(all.all()) || shapes::is_part(candidate) {
        return None;
    }
    Some(Form::Bare.score(context))
}

/// EVS 585:2007, and the same in Lithuania: sex and century, birthday, serial number, and a sum by 11; where the rest
/// is 10, with other weights; where it is 10 again, zero.
fn isikukood(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, ELEVEN) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    let mut check = digits::weighted(all, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11;
    if check == 10 {
        check = digits::weighted(all, &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11 % 10;
    }
    let dated = digits::is_date(digits::part(all, 5, 7), digits::part(all, 3, 5));
    if check != digits::at(all, 10)
        || !matches!(digits::at(all, 0), 1..=8)
        || !dated
        || shapes::is_part(candidate)
    {
        return None;
    }
    Some(Form::Weak.score(context))
}

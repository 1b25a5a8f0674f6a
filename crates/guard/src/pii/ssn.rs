//! Numbers of US citizens and firms: of the Social Security Administration (SSN), and of the Internal Revenue Service
//! (ITIN, EIN).

use std::borrow::Cow;

use super::digits::{self, Digits};
use super::kind::detector;
use super::{edges, shape};
use crate::detector::{Candidate, Detector};

const SSN_CONTEXT: &[&str] =
    &["ssn", "social", "ss#", "ssns", "ssid", "seguridad social", "seguro social"];
const ITIN_CONTEXT: &[&str] = &["itin", "tax", "taxpayer", "tin", "individual"];
const EIN_CONTEXT: &[&str] = &["ein", "fein", "employer", "tax", "tin", "federal"];

const NINE: &[&str] = &["000-00-0000", "000 00 0000", "000000000"];
const EIN: &[&str] = &["00-0000000"];

/// Numbers that were printed on samples or in advertisements, and so are nobody's (SSA, "Social Security cards issued
/// by Woolworth"; POMS RM 10205).
const SAMPLES: &[u64] = &[78_051_120, 219_099_999, 457_555_462];

pub(super) fn ssn() -> Detector {
    detector("ssn", "SSN", Cow::Borrowed(shape::DIGITS), SSN_CONTEXT, check_ssn)
}

pub(super) fn itin() -> Detector {
    detector("us_itin", "US_ITIN", Cow::Borrowed(shape::DIGITS), ITIN_CONTEXT, check_itin)
}

pub(super) fn ein() -> Detector {
    detector("us_ein", "US_EIN", Cow::Borrowed(shape::DIGITS), EIN_CONTEXT, check_ein)
}

/// The parts of a number: 3, 2 and 4 digits.
fn parts(candidate: &Candidate<'_>) -> Option<(u64, u64, u64)> {
    let all = Digits::of(candidate.text());
    let all = all.all();
    if !shape::fits(candidate, NINE) || digits::is_one_digit(all) || edges::is_continued(candidate)
    {
        return None;
    }
    Some((digits::part(all, 0, 3), digits::part(all, 3, 5), digits::part(all, 5, 9)))
}

/// How sure a number of nine digits is by how it is written.
fn by_form(candidate: &Candidate<'_>, context: bool) -> u8 {
    // Numbers in a row, with blanks between them.
    let mut before = candidate.before().bytes().rev();
    let is_in_row =
        before.next() == Some(b' ') && before.next().is_some_and(|byte| byte.is_ascii_digit());
    match (candidate.text().as_bytes().get(3), context) {
        (Some(b'-'), true) => 97,
        (Some(b'-'), false) => 85,
        (Some(b' '), true) => 92,
        (Some(b' '), false) if is_in_row => 35,
        (Some(b' '), false) => 55,
        (_, true) => 80,
        (_, false) => 20,
    }
}

fn check_ssn(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    let (area, group, serial) = parts(candidate)?;
    let number = area * 1_000_000 + group * 10_000 + serial;
    // SSA, POMS RM 10201.035: no area 000, 666 or 900 to 999, no group 00, no serial 0000.
    if matches!(area, 0 | 666) || group == 0 || serial == 0 || SAMPLES.contains(&number) {
        return None;
    }
    // Who calls it one means one: it is mistyped, or made up as gateways' tests do.
    if area >= 900 {
        // 987-65-4320 to 4329 are kept for advertisements.
        if number / 10 == 98_765_432 {
            return None;
        }
        let is_dashed = candidate.text().contains('-');
        return (is_dashed && !is_itin(area, group)).then_some(if context { 60 } else { 40 });
    }
    Some(by_form(candidate, context))
}

fn check_itin(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    let (area, group, _) = parts(candidate)?;
    is_itin(area, group).then(|| by_form(candidate, context))
}

/// IRS, Internal Revenue Manual 3.21.263: 9xx with these groups.
fn is_itin(area: u64, group: u64) -> bool {
    area >= 900 && matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

fn check_ein(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    let all = Digits::of(candidate.text());
    let campus = digits::part(all.all(), 0, 2);
    // IRS, "How EINs are assigned and valid EIN prefixes".
    let unassigned =
        matches!(campus, 0 | 7..=9 | 17..=19 | 28 | 29 | 49 | 69 | 70 | 78 | 79 | 89 | 96 | 97);
    if !shape::fits(candidate, EIN)
        || unassigned
        || edges::is_continued(candidate)
        || edges::precedes(candidate, &['-'])
    {
        return None;
    }
    Some(if context { 85 } else { 30 })
}

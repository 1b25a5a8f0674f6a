//! Routing numbers of banks in the United States: American Bankers Association, "Routing Number Policy".

use std::borrow::Cow;

use super::digits::{self, Digits};
use super::kind::{detector, Form};
use super::{edges, shape};
use crate::detector::{Candidate, Detector};

const CONTEXT: &[&str] = &["routing", "aba", "rtn", "bank", "ach", "wire", "transit"];

pub(super) fn routing() -> Detector {
    detector("us_bank_routing", "US_BANK_ROUTING", Cow::Borrowed(shape::DIGITS), CONTEXT, check)
}

fn check(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    let all = Digits::of(candidate.text());
    let all = all.all();
    let is_given_out = matches!(digits::part(all, 0, 2), 1..=12 | 21..=32 | 61..=72 | 80);
    let sum = digits::weighted(all, &[3, 7, 1, 3, 7, 1, 3, 7, 1]);
    if !shape::fits(candidate, &["000000000"])
        || !is_given_out
        || !sum.is_multiple_of(10)
        || edges::is_continued(candidate)
        || edges::precedes(candidate, &['-', '_'])
    {
        return None;
    }
    Some(Form::Bare.score(context))
}

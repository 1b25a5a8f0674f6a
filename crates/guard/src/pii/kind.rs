//! One kind of personal data.

use std::borrow::Cow;

use crate::detector::{Candidate, Detector, Family};
use crate::words::Words;

/// A detector of personal data with these parts.
pub(super) fn detector(
    name: &'static str,
    label: &'static str,
    pattern: Cow<'static, str>,
    context: &'static [&'static str],
    check: fn(&Candidate<'_>, bool) -> Option<u8>,
) -> Detector {
    Detector {
        family: Family::Pii,
        name: Cow::Borrowed(name),
        label: Cow::Borrowed(label),
        pattern,
        context: Words::of(context),
        check: Some(check),
        lead: None,
    }
}

/// How much the form of a number alone says, after its check digits have been found right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing else is written like this: of a thousand that only look like it, less than one passes.
    Own,
    /// Little else is.
    Likely,
    /// Other numbers are, and some of their check digits are right by chance.
    Weak,
    /// Any number of so many digits is.
    Bare,
}

impl Form {
    /// How sure it is that a number of this form is one, where a word of the context is before it, or isn't.
    pub(super) fn score(self, context: bool) -> u8 {
        match (self, context) {
            (Self::Own, true) => 98,
            (Self::Own, false) => 90,
            (Self::Likely, true) => 93,
            (Self::Likely, false) => 65,
            (Self::Weak, true) => 88,
            (Self::Weak, false) => 40,
            (Self::Bare, true) => 85,
            (Self::Bare, false) => 20,
        }
    }
}

//! One kind of personal data.

use std::borrow::Cow;

use crate::detector::{Candidate, Detector, Family};

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
        context,
        check: Some(check),
        lead: None,
    }
}

//! Credentials.
//!
//! A kind is what an operator writes, and what logs name: `github_token`. The first word of several stands for all
//! of them: `github`. The examples of manuals, and what is written in the place of a value, are none:
//! `AKIAIOSFODNN7EXAMPLE`, `sk-xxxx`, `<token>`. A form of which little else is written scores 90 and more; others
//! score lower, and some of them below the threshold, where no word before them makes them likelier.

mod assigned;
mod jwt;
mod key_block;
mod kind;
mod tokens;
mod urls;
mod value;

use crate::detector::Detector;

/// All detectors of credentials.
#[must_use]
pub fn detectors() -> Vec<Detector> {
    let mut all = vec![key_block::private_key(), key_block::putty_key(), jwt::jwt()];
    all.extend(tokens::detectors());
    all.extend(urls::detectors());
    all.extend(assigned::detectors());
    all
}

/// The detectors of a kind, or of all kinds that begin with this word. `None`: there is no such kind.
#[must_use]
pub fn kind(name: &str) -> Option<Vec<Detector>> {
    let is_of = |detector: &Detector| {
        detector
            .name
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    };
    let found: Vec<_> = detectors().into_iter().filter(is_of).collect();
    (!found.is_empty()).then_some(found)
}

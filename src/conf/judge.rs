//! Classifiers of guards, as requests and answers come before them.

use std::cell::Cell;

use super::guards::Declared;
use crate::keys::live::next_id;
use nginx::conf::Position;
use tollgate_core::guards::classifier::{Classifier, Side};
use tollgate_core::guards::{Roles, Rule};
use tollgate_guard::detector::Family;

/// A classifier of a guard, as it is asked about requests or about answers.
#[derive(Debug)]
pub(crate) struct Judge {
    /// What the guard is called.
    pub(crate) guard: Box<str>,
    pub(crate) classifier: Classifier,
    /// What of.
    pub(crate) side: Side,
    /// Whose texts in requests it judges.
    pub(crate) roles: Roles,
    /// What is said of those that it refuses.
    pub(crate) rule: Rule,
    pub(crate) place: Position,
    /// Tells what it has said from what others have.
    pub(crate) id: u64,
    /// It gave no answer the last time, and that was said.
    pub(crate) is_failing: Cell<bool>,
}

impl Judge {
    pub(super) fn new(
        guard: &Declared,
        classifier: &Classifier,
        side: Side,
        place: &Position,
    ) -> Self {
        let family = Family::Classifier;
        let rule = Rule {
            family,
            name: classifier.name.clone(),
            label: Box::default(),
            action: classifier.action,
        };
        Self {
            guard: guard.name.as_str().into(),
            classifier: classifier.clone(),
            side,
            roles: guard.roles.unwrap_or(Roles::ALL),
            rule,
            place: place.clone(),
            id: next_id(),
            is_failing: Cell::new(false),
        }
    }
}

//! What an operator asks for, in one direction: of prompts, or of answers.

use std::sync::Arc;

use crate::finding::Action;
use crate::matcher::terms::Terms;

/// What is looked for, and what is done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// In the order in which they are written. Of several that find the same, the strictest action holds.
    pub wishes: Vec<Wish>,
}

/// One line of a guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// What is looked for.
    pub what: What,
    /// What is done.
    pub action: Action,
    /// From which score on, 1 to 100; else the default of what is looked for.
    pub threshold: Option<u8>,
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Personal data of these kinds; of all, if none is named.
    Pii(Vec<Box<str>>),
    /// Credentials of these kinds; of all, if none is named.
    Secrets(Vec<Box<str>>),
    /// Attempts to give the model other orders.
    Injection,
    /// An operator's pattern, in the syntax of the crate `regex`.
    Pattern {
        /// Its name in logs and metrics.
        name: Box<str>,
        /// The pattern.
        pattern: Box<str>,
    },
    /// Terms, matched as words, in any case.
    List {
        /// Its name in logs and metrics.
        name: Box<str>,
        /// The terms.
        terms: Arc<Terms>,
    },
}

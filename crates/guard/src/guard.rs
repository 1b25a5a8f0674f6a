//! Settings, ready to be used on whole texts.

use std::fmt;
use std::sync::Arc;

use crate::finding::{Finding, Rule};
use crate::settings::Settings;
use crate::stream::StreamGuard;

/// What is looked for in texts.
#[derive(Debug, Default)]
pub struct Guard {
    rules: Vec<Rule>,
}

/// Who a text comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// From the client itself, or from the model.
    Said,
    /// From elsewhere: what a tool returned, a document. Nothing in it should be an order.
    Fetched,
}

/// Why settings can't be used: in words for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(pub String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl Guard {
    /// A guard by these settings.
    ///
    /// # Errors
    ///
    /// An unknown kind, or a pattern that can't be used.
    pub fn new(_settings: &Settings) -> Result<Self, Error> {
        Ok(Self::default())
    }

    /// What is looked for. A finding names one by its index.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Finds what a text holds: in the order of their places, and none that touches another one.
    pub fn scan(&self, _text: &str, _trust: Trust, _found: &mut Vec<Finding>) {}

    /// The same guard for texts that come in pieces. Injections are not looked for there.
    #[must_use]
    pub fn stream(&self) -> Arc<StreamGuard> {
        Arc::default()
    }
}

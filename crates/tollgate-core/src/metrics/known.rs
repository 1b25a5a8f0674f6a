//! Which names of models may be a label.
//!
//! A client can ask for any model that it can spell. So a name is a label where the configuration has it
//! to the letter; what only a pattern of it fits, is counted by the pattern, until an engine has served it.

use std::collections::BTreeSet;

use crate::pattern::Pattern;

/// The names of models that the configuration knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownModels {
    names: BTreeSet<Box<str>>,
    /// In the order in which they were found.
    patterns: Vec<Pattern>,
}

/// What a model is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelLabel<'a> {
    /// Under its name.
    Name,
    /// Under its name if it is one already, or an engine has served it; else under this pattern.
    Pattern(&'a str),
    /// With all others.
    Other,
}

impl KnownModels {
    /// The configuration has this name, or pattern, of models.
    pub fn add(&mut self, text: &str) {
        match Pattern::parse(text) {
            Ok(pattern) if text.contains(['*', '?', '[', '\\']) => {
                if !self.patterns.contains(&pattern) {
                    self.patterns.push(pattern);
                }
            }
            _ => {
                self.names.insert(text.into());
            }
        }
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.patterns.is_empty()
    }

    /// What a model of this name is counted as.
    #[must_use]
    pub fn label(&self, model: &str) -> ModelLabel<'_> {
        if self.names.contains(model) {
            return ModelLabel::Name;
        }
        match self.patterns.iter().find(|pattern| pattern.matches(model)) {
            Some(pattern) => ModelLabel::Pattern(pattern.as_str()),
            None => ModelLabel::Other,
        }
    }
}

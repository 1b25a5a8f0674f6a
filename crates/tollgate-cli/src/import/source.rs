//! What was found in a source.

use std::collections::BTreeMap;
use std::fmt;

use super::dump::Files;

/// Where something stands in a source. Never what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SourcePlace {
    Whole,
    Line(usize),
    Entry(usize),
}

impl fmt::Display for SourcePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("the export"),
            Self::Line(line) => write!(f, "line {line}"),
            Self::Entry(entry) => write!(f, "entry {entry}"),
        }
    }
}

/// What stands for a key in a source.
#[derive(Clone, Debug)]
pub(super) enum Secret {
    /// The key itself.
    Key(String),
    /// Its SHA-256, in hexadecimal digits.
    Hash(String),
}

/// A key that was found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) place: SourcePlace,
    pub(super) secret: Secret,
    pub(super) client: String,
    pub(super) tenant: Option<String>,
    pub(super) tier: Option<String>,
    pub(super) models: Option<Vec<String>>,
    pub(super) cidrs: Option<Vec<String>>,
    pub(super) expires: Option<String>,
    pub(super) created: Option<String>,
    pub(super) is_disabled: bool,
    pub(super) description: Option<String>,
    /// What restricts it there, and would not here.
    pub(super) lost: Vec<&'static str>,
}

impl Found {
    pub(super) fn new(place: SourcePlace, secret: Secret, client: String) -> Self {
        Self {
            place,
            secret,
            client,
            tenant: None,
            tier: None,
            models: None,
            cidrs: None,
            expires: None,
            created: None,
            is_disabled: false,
            description: None,
            lost: Vec::new(),
        }
    }

    /// What is shown of it.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let Self { client, tenant, tier, description, .. } = self;
        let texts = [Some(client), tenant.as_ref(), tier.as_ref(), description.as_ref()];
        texts.into_iter().flatten().chain(self.models.iter().flatten()).map(String::as_str)
    }
}

/// What a source holds.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) found: Vec<Found>,
    /// What can't be understood, or isn't surely a key in force.
    pub(super) faults: Vec<(SourcePlace, String)>,
    /// What isn't taken over, for a reason that is no fault: how often.
    pub(super) skipped: BTreeMap<String, usize>,
    pub(super) notes: Vec<String>,
    /// What lines are counted in.
    pub(super) files: Files,
}

impl Source {
    pub(super) fn fault(&mut self, place: SourcePlace, message: impl Into<String>) {
        self.faults.push((place, message.into()));
    }

    /// How a place is called.
    pub(super) fn place(&self, place: SourcePlace) -> String {
        match place {
            SourcePlace::Line(line) => self.files.line(line),
            SourcePlace::Whole | SourcePlace::Entry(_) => place.to_string(),
        }
    }

    pub(super) fn skip(&mut self, reason: &str) {
        *self.skipped.entry(reason.to_owned()).or_default() += 1;
    }

    /// Tells how many keys something is true of.
    pub(super) fn note(&mut self, count: usize, what: &str) {
        if count > 0 {
            self.notes.push(format!("{count} {what}"));
        }
    }
}

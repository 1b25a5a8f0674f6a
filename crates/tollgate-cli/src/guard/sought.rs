//! What is looked for: the options that say so, and the guard that they make.

use std::fs;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use tollgate_core::guards::files;
use tollgate_guard::detector::{Detector, DEFAULT_THRESHOLD};
use tollgate_guard::finding::Action;
use tollgate_guard::guard::{Guard, Trust};
use tollgate_guard::settings::{Settings, What, Wish};
use tollgate_guard::{pii, secrets};

use super::check;
use crate::exit::Failure;

/// What a pattern and a list of the command line are called.
const PATTERN: &str = "pattern";
const LIST: &str = "list";

/// Options.
#[derive(Args)]
pub(super) struct Sought {
    /// What to look for: pii, secrets, injection, or kinds of the first two ("tollgate guard kinds" lists them).
    /// By default all of them, unless there is a --pattern or a --list.
    #[arg(long, value_name = "KIND,...", value_delimiter = ',')]
    kinds: Vec<String>,
    /// Look for what this regular expression fits.
    #[arg(long, value_name = "REGEX")]
    pattern: Option<String>,
    /// Look for the terms in this file, one a line.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    list: Option<PathBuf>,
    /// Use the rules in this file or folder, too (tollgate_guard_rules).
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    rules: Option<PathBuf>,
    /// Use the rules of --rules without those that are shipped.
    #[arg(long, requires = "rules")]
    alone: bool,
    /// The score from which on something is found, 1 to 100.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_THRESHOLD, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(super) threshold: u8,
    /// Judge the text as one that a tool returned, or a document: nothing in it should be an order.
    #[arg(long)]
    fetched: bool,
}

impl Sought {
    /// The guard that looks for it.
    ///
    /// # Errors
    ///
    /// A kind that there isn't, a pattern, a list or rules that can't be used.
    pub(super) fn guard(&self) -> Result<Guard, Failure> {
        let wish = |what| Wish { what, action: Action::Mask, threshold: Some(self.threshold) };
        // It has no place in a text that could be masked.
        let injection = || Wish { action: Action::Log, ..wish(What::Injection) };
        let mut wishes = Vec::new();
        let (mut of_pii, mut of_secrets) = (Vec::new(), Vec::new());
        let has_own = self.pattern.is_some() || self.list.is_some();
        if self.kinds.is_empty() && !has_own {
            wishes.extend([
                wish(What::Pii(Vec::new())),
                wish(What::Secrets(Vec::new())),
                injection(),
            ]);
        }
        for kind in &self.kinds {
            match kind.as_str() {
                "pii" => wishes.push(wish(What::Pii(Vec::new()))),
                "secrets" => wishes.push(wish(What::Secrets(Vec::new()))),
                "injection" => wishes.push(injection()),
                name => match Kind::named(name) {
                    Some(Kind { family: Of::Pii, name, .. }) => of_pii.push(name.into()),
                    Some(Kind { family: Of::Secrets, name, .. }) => of_secrets.push(name.into()),
                    None => {
                        return Err(Failure::usage(format!(
                            "there is no kind \"{}\"; \"tollgate guard kinds\" lists them",
                            name.escape_debug()
                        )))
                    }
                },
            }
        }
        if !of_pii.is_empty() {
            wishes.push(wish(What::Pii(of_pii)));
        }
        if !of_secrets.is_empty() {
            wishes.push(wish(What::Secrets(of_secrets)));
        }
        if let Some(pattern) = &self.pattern {
            let pattern = pattern.as_str().into();
            wishes.push(wish(What::Pattern { name: PATTERN.into(), pattern }));
        }
        if let Some(path) = &self.list {
            let bytes = fs::read(path).map_err(|error| {
                Failure::failed(format!("cannot read {}: {error}", path.display()))
            })?;
            let terms = files::list(&path.to_string_lossy(), &bytes).map_err(Failure::usage)?;
            wishes.push(wish(What::List { name: LIST.into(), terms }));
        }
        let guard = Guard::new(&Settings { wishes });
        let guard = guard.map_err(|error| Failure::usage(error.to_string()))?;
        let Some(path) = &self.rules else { return Ok(guard) };
        let read = check::read(path, self.alone)?.map_err(Failure::failed)?;
        Ok(guard.with(Some(&read.rules), &[]))
    }

    /// Whose words the texts are.
    pub(super) fn trust(&self) -> Trust {
        match self.fetched {
            true => Trust::Fetched,
            false => Trust::Said,
        }
    }
}

/// A family that has kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Pii,
    Secrets,
}

/// A kind as an operator writes it.
pub(super) struct Kind<'n> {
    pub(super) family: Of,
    /// Its name without that of its family.
    pub(super) name: &'n str,
    /// What it stands for.
    pub(super) detectors: Vec<Detector>,
}

impl<'n> Kind<'n> {
    /// The kind of this name, which may be that of a log: `email`, `national_id`, `pii.email`.
    pub(super) fn named(name: &'n str) -> Option<Self> {
        let of = |family, name, detectors: Option<_>| {
            detectors.map(|detectors| Self { family, name, detectors })
        };
        match name.split_once('.') {
            Some(("pii", name)) => of(Of::Pii, name, pii::kind(name)),
            Some(("secrets", name)) => of(Of::Secrets, name, secrets::kind(name)),
            Some(_) => None,
            None => of(Of::Pii, name, pii::kind(name))
                .or_else(|| of(Of::Secrets, name, secrets::kind(name))),
        }
    }
}

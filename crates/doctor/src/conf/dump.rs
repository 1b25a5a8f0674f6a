//! What `nginx -T` prints: all files of a configuration, each behind a line with its name.

use std::collections::HashMap;

use super::tree::Files;

/// The line behind which a file begins, and what is around its name there.
const BEFORE: &str = "# configuration file ";
const BEHIND: char = ':';

/// The name in a line behind which a file begins.
#[must_use]
pub fn name_in(line: &str) -> Option<&str> {
    line.strip_prefix(BEFORE)?.strip_suffix(BEHIND)
}

/// What nginx says beside the configuration, where both were written into one.
#[must_use]
pub fn is_said(line: &str) -> bool {
    line.starts_with("nginx: ")
}

/// The files of a dump, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    files: Vec<(String, String)>,
}

impl Dump {
    /// The files of what `nginx -T` has printed. Another text is one file by itself, called `name`.
    #[must_use]
    pub fn of(text: &str, name: &str) -> Self {
        let mut files: Vec<(String, String)> = Vec::new();
        for line in text.lines() {
            match (name_in(line), files.last_mut()) {
                (Some(name), _) => files.push((name.to_owned(), String::new())),
                (None, Some((_, content))) => {
                    content.push_str(if is_said(line) { "" } else { line });
                    content.push('\n');
                }
                // Before the first name there is nothing but what nginx says.
                (None, None) if line.is_empty() || is_said(line) => {}
                (None, None) => return Self { files: vec![(name.to_owned(), text.to_owned())] },
            }
        }
        Self { files }
    }

    /// The name of the first file, which includes the others.
    #[must_use]
    pub fn main(&self) -> Option<&str> {
        self.files.first().map(|(name, _)| name.as_str())
    }

    /// What the dump is if those of its files that nobody includes are none: a comment of a file may look like the
    /// line behind which a file begins. `None`: all are included.
    #[must_use]
    pub fn without_orphans(&self, is_included: impl Fn(&str) -> bool) -> Option<Self> {
        let mut files: Vec<(String, String)> = Vec::new();
        for (name, content) in &self.files {
            match files.last_mut() {
                Some((_, before)) if !is_included(name) => {
                    before.push_str(&format!("{BEFORE}{name}{BEHIND}\n{content}"));
                }
                _ => files.push((name.clone(), content.clone())),
            }
        }
        (files.len() < self.files.len()).then_some(Self { files })
    }

    /// The files by their names.
    #[must_use]
    pub fn by_name(&self) -> DumpedFiles<'_> {
        let pairs = self.files.iter().map(|(name, content)| (name.as_str(), content.as_str()));
        DumpedFiles { files: pairs.collect() }
    }
}

/// The files of a dump, to be included.
#[derive(Debug)]
pub struct DumpedFiles<'d> {
    files: HashMap<&'d str, &'d str>,
}

impl Files for DumpedFiles<'_> {
    fn read(&self, path: &str) -> Option<String> {
        self.files.get(path).map(|content| (*content).to_owned())
    }

    fn matching(&self, pattern: &glob::Pattern) -> Vec<String> {
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let found = self.files.keys().filter(|name| pattern.matches_with(name, options));
        let mut found: Vec<String> = found.map(|name| (*name).to_owned()).collect();
        found.sort();
        found
    }
}

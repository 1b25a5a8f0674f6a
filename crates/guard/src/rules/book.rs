//! Files of rules that hold together.

use std::collections::BTreeMap;

use super::{Error, File, Rule, MOST_RULES};

/// Files of rules, put together: an operator's own, and mostly those that are shipped.
#[derive(Debug)]
pub struct Book {
    files: Vec<File>,
    /// The file of each rule, and its place there.
    rules: Vec<(usize, usize)>,
    /// What in the files has no effect.
    remarks: Vec<String>,
}

impl Book {
    /// The rules of one file.
    #[must_use]
    pub fn of(file: File) -> Self {
        let rules = (0..file.rules.len()).map(|rule| (0, rule)).collect();
        Self { files: vec![file], rules, remarks: Vec::new() }
    }

    /// Those of an operator's files, which replace those of the same id among the shipped ones, if there are any.
    ///
    /// # Errors
    ///
    /// Two of the operator's files have a rule of the same id, or there are too many.
    pub fn put_together(own: Vec<File>, shipped: Option<File>) -> Result<Self, Error> {
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for (number, file) in own.iter().enumerate() {
            for rule in &file.rules {
                if places.insert(&rule.id, number).is_some() {
                    return Err(rule.error("two files have it; keep one of them"));
                }
            }
        }
        let without: Vec<&str> =
            own.iter().flat_map(|file| &file.without).map(String::as_str).collect();
        let of_shipped =
            |id: &str| shipped.iter().flat_map(|file| &file.rules).any(|rule| rule.id == id);
        let remarks = without
            .iter()
            .filter(|id| !of_shipped(id))
            .map(|id| {
                format!(
                    "\"without\" names the rule \"{}\", which is not there anyway",
                    id.escape_debug()
                )
            })
            .collect();
        let kept = shipped.iter().flat_map(|file| file.rules.iter().enumerate());
        let kept = kept.filter(|(_, rule)| {
            !places.contains_key(rule.id.as_str()) && !without.contains(&rule.id.as_str())
        });
        // The shipped ones come first.
        let first = usize::from(shipped.is_some());
        let mut rules: Vec<(usize, usize)> = kept.map(|(place, _)| (0, place)).collect();
        for (number, file) in own.iter().enumerate() {
            rules.extend((0..file.rules.len()).map(|place| (first + number, place)));
        }
        if rules.len() > MOST_RULES {
            return Err(Error(format!(
                "there are {} rules, and at most {MOST_RULES} hold together",
                rules.len()
            )));
        }
        let files = shipped.into_iter().chain(own).collect();
        Ok(Self { files, rules, remarks })
    }

    /// The files that were put together.
    #[must_use]
    pub fn into_files(self) -> Vec<File> {
        self.files
    }

    /// The rules, each with the file that it is from.
    pub fn rules(&self) -> impl Iterator<Item = (&File, &Rule)> {
        self.rules.iter().filter_map(|(file, rule)| {
            let file = self.files.get(*file)?;
            Some((file, file.rules.get(*rule)?))
        })
    }

    /// The rule of this number.
    #[must_use]
    pub fn rule(&self, number: usize) -> Option<(&File, &Rule)> {
        let (file, rule) = self.rules.get(number)?;
        let file = self.files.get(*file)?;
        Some((file, file.rules.get(*rule)?))
    }

    /// Which rules these are: the version of each file.
    #[must_use]
    pub fn version(&self) -> String {
        let versions: Vec<&str> = self.files.iter().map(|file| file.version.as_str()).collect();
        versions.join("+")
    }

    /// What in the files has no effect, in words for an operator.
    #[must_use]
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }
}

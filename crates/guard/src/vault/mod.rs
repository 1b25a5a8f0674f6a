//! Values that a model doesn't see, and the placeholders that it sees in their place. They lie in the memory of one
//! request, and are wiped with it.

mod placeholder;

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::hash::BuildHasher;

use zeroize::Zeroizing;

pub use placeholder::{Form, Reading};

/// How many values one request may have. Of those beyond, a model sees the label alone.
pub const MOST_VALUES: usize = 4096;

/// How many placeholders that are none of ours a request may have in its text.
const MOST_TAKEN: usize = 4096;

/// Beyond this number, nothing is taken for a placeholder.
const LAST_NUMBER: u32 = 99_999;

/// The values of one request.
#[derive(Default)]
pub struct Vault {
    kinds: Vec<Kind>,
    count: usize,
    /// By a hash of label and value: where they are.
    places: HashMap<u64, Vec<(usize, u32)>>,
    hasher: RandomState,
    /// What looks like a placeholder in the request itself: its label in capitals, and its number.
    taken: HashSet<(Box<str>, u32)>,
    /// There are too many of them to tell them from ours.
    is_full: bool,
}

/// The values that have one label.
struct Kind {
    label: Box<str>,
    /// What is before the number: `EMAIL_`.
    name: Box<str>,
    /// By their numbers.
    values: BTreeMap<u32, Value>,
    /// The number before the next one.
    last: u32,
}

/// What a placeholder stands for.
struct Value {
    text: Zeroizing<String>,
    /// Whether it stood behind a backslash somewhere, as names do in paths. A model that repeats this writes what it
    /// would write in Markdown.
    follows_backslash: bool,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Vault {
    /// Sees to it that no placeholder looks like one that stands in this text of the request. All texts of a request
    /// come here before the first value does.
    pub fn reserve(&mut self, text: &str) {
        for (label, number) in placeholder::lookalikes(text) {
            if self.taken.len() >= MOST_TAKEN {
                self.is_full = true;
                return;
            }
            self.taken.insert((label.to_ascii_uppercase().into(), number));
        }
    }

    /// The placeholder for a value: `<EMAIL_1>`. The same value with the same label has the same one. `before` is the
    /// character that stands before the value. `None`: there are too many values, so mask it.
    pub fn tokenize(&mut self, label: &str, value: &str, before: Option<char>) -> Option<String> {
        let hash = self.hasher.hash_one((label, value));
        let known = self.places.get(&hash).into_iter().flatten().find(|(kind, number)| {
            self.kinds.get(*kind).is_some_and(|kind| {
                *kind.label == *label
                    && kind.values.get(number).is_some_and(|known| known.text.as_str() == value)
            })
        });
        let (kind, number) = match known {
            Some(known) => *known,
            None => self.add(label, value, hash)?,
        };
        let value = self.kinds.get_mut(kind).and_then(|kind| kind.values.get_mut(&number))?;
        value.follows_backslash |= before == Some('\\');
        Some(format!("<{label}_{number}>"))
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many values it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    fn add(&mut self, label: &str, value: &str, hash: u64) -> Option<(usize, u32)> {
        if self.is_full || self.count >= MOST_VALUES {
            return None;
        }
        let index =
            self.kinds.iter().position(|kind| *kind.label == *label).unwrap_or(self.kinds.len());
        if index == self.kinds.len() {
            self.kinds.push(Kind {
                label: label.into(),
                name: format!("{label}_").into(),
                values: BTreeMap::new(),
                last: 0,
            });
        }
        let kind = self.kinds.get_mut(index)?;
        let capitals: Box<str> = label.to_ascii_uppercase().into();
        let number = (kind.last + 1..=LAST_NUMBER)
            .find(|number| !self.taken.contains(&(capitals.clone(), *number)))?;
        kind.last = number;
        let text = Zeroizing::new(value.to_owned());
        kind.values.insert(number, Value { text, follows_backslash: false });
        self.count += 1;
        self.places.entry(hash).or_default().push((index, number));
        Some((index, number))
    }
}

#[cfg(test)]
mod tests;

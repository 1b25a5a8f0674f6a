//! Changes of a body, as they are applied to it.

use std::borrow::Cow;
use std::ops::Range;

/// One change: `text` takes the place of the bytes in `range`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Offsets in the body, in bytes.
    pub range: Range<usize>,
    /// What to put there.
    pub text: Cow<'static, [u8]>,
}

/// Changes of one body. None of them touches a byte of another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits(Vec<Edit>);

impl Edits {
    /// Adds a change. Of several that put something at the same place, the first one comes first.
    pub fn add(&mut self, range: Range<usize>, text: impl Into<Cow<'static, [u8]>>) {
        let edit = Edit { range, text: text.into() };
        let at = self.0.partition_point(|other| other.range.start <= edit.range.start);
        self.0.insert(at, edit);
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The changes, in the order of their places.
    pub fn iter(&self) -> std::slice::Iter<'_, Edit> {
        self.0.iter()
    }

    /// The body that they make of this one. `None` where it is shorter than they take it for.
    #[must_use]
    pub fn apply(&self, body: &[u8]) -> Option<Vec<u8>> {
        let mut changed = Vec::with_capacity(body.len());
        let mut at = 0;
        for edit in &self.0 {
            changed.extend_from_slice(body.get(at..edit.range.start)?);
            changed.extend_from_slice(&edit.text);
            at = edit.range.end;
        }
        changed.extend_from_slice(body.get(at..)?);
        Some(changed)
    }
}

impl<'a> IntoIterator for &'a Edits {
    type Item = &'a Edit;
    type IntoIter = std::slice::Iter<'a, Edit>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

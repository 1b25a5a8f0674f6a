//! Setting and removing members of a body by their names; everything else stays as it is, byte for byte.
//!
//! It is for bodies that have been read and found good ([`BodyReader`](super::BodyReader)): names on which
//! something is decided stand there once, in one spelling. Of others that come twice, all are meant.

mod object;

use object::Object;

use super::edits::Edits;

/// A body whose members change.
#[derive(Debug)]
pub struct Rewrite<'b> {
    body: &'b [u8],
    object: Object,
}

impl<'b> Rewrite<'b> {
    /// `None`: the body is no JSON object.
    #[must_use]
    pub fn new(body: &'b [u8]) -> Option<Self> {
        Some(Self { body, object: Object::read(body, 0..body.len())? })
    }

    /// The value of the member `name`, as it is written. Changes don't show.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'b [u8]> {
        self.body.get(self.object.value(name)?)
    }

    /// The value of the member `name` of the object `object`. Changes don't show.
    #[must_use]
    pub fn get_in(&self, object: &str, name: &str) -> Option<&'b [u8]> {
        let inner = Object::read(self.body, self.object.value(object)?)?;
        self.body.get(inner.value(name)?)
    }

    /// Sets the member `name` to this JSON. It is put in where there is none.
    pub fn set(&mut self, name: &str, json: &[u8]) {
        self.object.set(name, json);
    }

    /// Sets the member `name` to this text.
    pub fn set_text(&mut self, name: &str, text: &str) {
        self.set(name, serde_json::Value::from(text).to_string().as_bytes());
    }

    /// Sets the member `name` of the object `object` to this JSON. What is no object becomes one.
    pub fn set_in(&mut self, object: &str, name: &str, json: &[u8]) {
        self.object.set_in(self.body, object, name, json);
    }

    /// Removes the member `name`.
    pub fn remove(&mut self, name: &str) {
        self.object.remove_if(|other| other == Some(name));
    }

    /// Removes the members that `is_known` doesn't know.
    pub fn remove_unknown(&mut self, is_known: impl Fn(&str) -> bool) {
        self.object.remove_if(|name| !name.is_some_and(&is_known));
    }

    /// The same, of the members of the object `object`.
    pub fn remove_unknown_in(&mut self, object: &str, is_known: impl Fn(&str) -> bool) {
        if let Some(inner) = self.object.inner(self.body, object) {
            inner.remove_if(|name| !name.is_some_and(&is_known));
        }
    }

    /// The changes.
    #[must_use]
    pub fn edits(&self) -> Edits {
        let mut edits = Edits::default();
        self.object.edits(&mut edits);
        edits
    }
}

#[cfg(test)]
mod tests;

//! Values that a model doesn't see, and the placeholders that it sees in their place. They lie in the memory of one
//! request, and are wiped with it.

/// The values of one request.
#[derive(Debug, Default)]
pub struct Vault {}

impl Vault {
    /// A text of the request, with whose words no placeholder may be confused.
    pub fn reserve(&mut self, _text: &str) {}

    /// The placeholder of a value. `None`: there are too many.
    pub fn tokenize(&mut self, _label: &str, _value: &str) -> Option<String> {
        None
    }
}

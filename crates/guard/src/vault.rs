//! Values that a model doesn't see, and the placeholders that it sees in their place. They lie in the memory of one
//! request, and are wiped with it.

/// The values of one request.
#[derive(Debug, Default)]
pub struct Vault {}

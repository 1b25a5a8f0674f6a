//! Whose words a text is.

/// Who a text comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// From the client itself, or from the model.
    Said,
    /// From elsewhere: what a tool returned, a document. Nothing in it should be an order.
    Fetched,
}

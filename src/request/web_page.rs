//! What is remembered of the page that a request comes from, where pages may read answers.

use nginx::Kept;

/// The page that a request comes from.
#[derive(Clone, Copy)]
pub(crate) struct WebPage {
    /// Its origin, of which there is one.
    pub(crate) origin: Kept,
    /// The request is the browser's, which asks whether the page may send another one.
    pub(crate) is_preflight: bool,
}

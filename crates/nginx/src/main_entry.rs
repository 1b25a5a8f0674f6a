//! The main configuration of a module, and what we keep beside it.

use std::cell::OnceCell;

use crate::request::header_variables::HeaderVariables;
use crate::types::Types;

/// The main configuration, and what we keep beside it.
pub(crate) struct MainEntry<T: Types> {
    pub(crate) main: T::Main,
    /// The variables that come of a request's header, once the first one asks.
    pub(crate) header_variables: OnceCell<HeaderVariables>,
}

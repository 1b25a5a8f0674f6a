//! The atomics of the zone, and the mistakes that the model checker is to catch.
//!
//! `crates/limits-model` compiles these very sources a second time, with the atomics of a model
//! checker (there, and nowhere else, `cfg(tollgate_model)` is set). A check of races must be shown to
//! catch some: so at places where the order of things matters, [`planted`] asks whether the wrong
//! order is wanted. Here it never is.

#[cfg(not(tollgate_model))]
pub(crate) use std::sync::atomic::{fence, AtomicU64, Ordering};

#[cfg(tollgate_model)]
pub(crate) use super::super::atomics::{fence, AtomicU64, Ordering};

/// Whether a model checker runs this: tables are small then.
pub(crate) const MODEL: bool = cfg!(tollgate_model);

/// Whether the mistake of that name is wanted.
#[cfg(not(tollgate_model))]
macro_rules! planted {
    ($race:ident) => {
        false
    };
}

#[cfg(tollgate_model)]
macro_rules! planted {
    ($race:ident) => {
        crate::races::is_planted(crate::races::Race::$race)
    };
}

pub(crate) use planted;

//! Answers on their way to the client.
//!
//! * [`filters`]: our place in the chain of filters;
//! * [`relay`]: the bodies that come by, and the [`chain`]s that are made of them; [`ending`]: up to where, by the [`rest`] that is to come;
//! * [`passing`]: what is attached to the request for all that;
//! * [`holding`]: answers of which nothing goes out before all of them is there; [`waiting`]: those of which a part waits;
//! * [`page`]: those that the module makes itself;
//! * [`absence`]: answers that are waited for without their client; [`composed`]: those of several requests.

pub(crate) mod absence;
mod chain;
pub(crate) mod composed;
pub(crate) mod cutting;
mod ending;
pub(crate) mod filters;
mod holding;
pub(crate) mod page;
pub(crate) mod passing;
pub(crate) mod relay;
mod rest;
mod waiting;

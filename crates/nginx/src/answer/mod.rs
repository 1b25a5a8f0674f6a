//! Answers on their way to the client.
//!
//! * [`filters`]: our place in the chain of filters;
//! * [`relay`]: the bodies that come by; [`ending`]: up to where, by the [`rest`] that is to come;
//! * [`absence`]: answers that are waited for without their client; [`composed`]: those of several requests.

pub(crate) mod absence;
pub(crate) mod composed;
pub(crate) mod ending;
pub(crate) mod filters;
pub(crate) mod relay;
mod rest;

pub(crate) use absence::Content;
pub(crate) use relay::Passing;

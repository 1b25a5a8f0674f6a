//! The clients that were seen lately, and how their limits stand.
//!
//! * [`counting`]: what this worker counts of them;
//! * [`limits`]: the limits of one client, looked at; [`rates`]: those that tokens name;
//! * [`report`]: what is told of clients.

pub(crate) mod counting;
mod limits;
pub(crate) mod rates;
pub(crate) mod report;

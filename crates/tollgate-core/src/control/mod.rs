//! What is spoken at the socket of `tollgate_control`: a line of JSON asks, and a line of JSON answers.
//!
//! * [`request`]: what can be asked; [`answer`]: what is answered;
//! * [`drops`]: how all workers learn that the requests of a client are to end.

pub mod answer;
pub mod drops;
pub mod request;

pub use answer::{Done, Refused};
pub use drops::{Drops, Order, TooMany};
pub use request::{Listed, OfRule, Request};

//! What is wrong with a configuration of nginx before an LLM inference server.
//!
//! Nothing here reads a file or asks the machine: [`conf`] makes a tree of what `nginx -T` prints, [`facts`] is
//! what somebody else has found out about the machine, and each of the [`checks`] is a function of the two.
//!
//! * [`conf`]: nginx's grammar, and what holds at which level;
//! * [`named`]: the files that a configuration names, and what for;
//! * [`facts`]: what is known about the machine;
//! * [`finding`]: what was found, how bad it is, and what mends it;
//! * [`checks`]: what is looked for.
#![forbid(unsafe_code)]

pub mod checks;
pub mod conf;
pub mod facts;
pub mod finding;
pub mod named;

pub use checks::{examine, Check, CHECKS};
pub use facts::Facts;
pub use finding::{Finding, Severity};

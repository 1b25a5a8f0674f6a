//! The clients that were seen lately, in memory that all workers share: for `tollgate_status`,
//! `tollgate_usage`, `tollgate client` and the series of single clients.
//!
//! * [`directory`]: where they are found; [`entry`]: what is kept of one; [`known`]: what a worker remembers of a
//!   client to find it again;
//! * [`flights`]: how many requests of each are in flight;
//! * [`list`]: some of them, in an order; [`survey`]: who is nearest to a limit;
//! * [`view`]: one of them with its limits, as JSON;
//! * `word`: a word that changes.
//!
//! Only who was authenticated is in it. Limits aren't: they are in the [zone](crate::limits::Zone), and looked
//! at when somebody asks.

pub mod directory;
pub mod entry;
pub mod flights;
pub mod known;
pub mod list;
pub mod survey;
pub mod view;
mod word;

pub use directory::Directory;
pub use entry::{Client, Ratios, Seen};
pub use flights::{Flight, Living};
pub use known::{tier_mark, Known, Who};
pub use list::{Query, Sort, MAX_LIMIT};
pub use survey::Survey;

/// The longest name of a client or a tenant, in bytes.
pub const MAX_NAME_LEN: usize = 256;

#[cfg(test)]
mod tests;

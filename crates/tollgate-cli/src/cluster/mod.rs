//! What is asked of all nodes of a cluster at once, through their store.
//!
//! * `store`: which store, and as whom;
//! * `revoke`: `tollgate key revoke --cluster`;
//! * `nodes`: `tollgate status --cluster`;
//! * `look`: what `tollgate doctor` asks.

mod look;
mod nodes;
mod revoke;
mod store;

pub(crate) use look::look;
pub(crate) use nodes::Nodes;
pub(crate) use revoke::Everywhere;

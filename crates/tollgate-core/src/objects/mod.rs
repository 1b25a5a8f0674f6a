//! Objects that belong to somebody: what clients keep at an engine, and name by an id.
//!
//! * [`kind`]: what there is;
//! * [`memory`]: who made what, in memory that all workers share; [`snapshot`]: the same in a file;
//! * [`path`]: what a method and a path do to objects, and which ones they name;
//! * [`query`]: the stream that a query names; [`references`]: the objects that a body names;
//! * [`sightings`]: the ids of new ones, in an answer.

pub mod kind;
pub mod memory;
pub mod path;
pub mod query;
pub mod references;
pub mod sightings;
pub mod snapshot;

pub use kind::Kind;
pub use memory::{Object, OwnedObjects, Owner, Remembered, Standing};
pub use path::Access;
pub use references::References;
pub use sightings::{Sightings, Takes};

/// The longest id that is remembered, in bytes.
pub const MAX_ID_LEN: usize = 256;

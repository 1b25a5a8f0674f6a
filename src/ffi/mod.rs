//! Between nginx and Rust: all `unsafe` code of the module, behind safe types.
//!
//! * [`module`]: what nginx finds in the library, and the hooks that it calls;
//! * [`guard`]: no panic crosses into C;
//! * [`conf`], [`commands`]: directives, and the memory of configurations;
//! * [`request`], [`headers`], [`header_removal`]: the request of a callback;
//! * [`filters`]: our place in the chain of filters;
//! * [`shm`]: the zone; [`open_file`]: the audit log's file; [`complex_value`]: `key=$variable`.

pub(crate) mod clock;
pub(crate) mod commands;
pub(crate) mod complex_value;
pub(crate) mod conf;
pub(crate) mod filters;
pub(crate) mod guard;
pub(crate) mod header_removal;
pub(crate) mod headers;
pub(crate) mod log;
pub(crate) mod module;
pub(crate) mod open_file;
pub(crate) mod request;
pub(crate) mod shm;
pub(crate) mod text;
pub(crate) mod variables;

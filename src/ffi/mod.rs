//! Between nginx and Rust: all `unsafe` code of the module, behind safe types.
//!
//! * [`module`]: what nginx finds in the library, and the hooks that it calls;
//! * [`guard`]: no panic crosses into C;
//! * [`conf`], [`commands`]: directives, and the memory of configurations; [`locations`]: all of it, when
//!   it has been read;
//! * [`request`], [`headers`], [`header_removal`]: the request of a callback; [`attachment`]: its state;
//!   [`early_id`]: its id before it has one;
//! * [`variable_cache`]: what nginx remembers of the header that the request had;
//! * [`body`]: the body of a request; [`parked`]: requests that wait; [`in_flight`]: that can be cut off;
//! * [`filters`], [`relay`]: our place in the chain of filters, and the bodies that come by; [`ending`]: up to
//!   where;
//! * [`absence`]: answers that are waited for without their client; [`composed`]: those of several requests;
//! * [`subrequest`], [`outfit`], [`provider_answer`]: questions to identity providers; [`own_request`],
//!   [`server_phase`]: who asks them, and where they begin;
//! * [`shm`]: the zone; [`zone_memory`]: where it lies; [`memory`]: what that is made of;
//! * [`open_file`]: the audit log's file; [`file_size`]: the limit on the size of files; [`complex_value`]: `key=$variable`;
//! * [`glob`]: files by a pattern;
//! * [`timer`], [`process`]: what a worker does beside its requests.

pub(crate) mod absence;
mod attachment;
pub(crate) mod body;
pub(crate) mod clock;
pub(crate) mod commands;
pub(crate) mod complex_value;
mod composed;
pub(crate) mod conf;
mod early_id;
mod ending;
pub(crate) mod file_lock;
mod file_size;
pub(crate) mod filters;
mod glob;
pub(crate) mod guard;
pub(crate) mod header_removal;
pub(crate) mod headers;
pub(crate) mod in_flight;
pub(crate) mod locations;
pub(crate) mod log;
mod memory;
pub(crate) mod module;
pub(crate) mod open_file;
mod outfit;
mod own_request;
pub(crate) mod parked;
pub(crate) mod process;
mod provider_answer;
pub(crate) mod relay;
pub(crate) mod request;
mod server_phase;
pub(crate) mod shm;
pub(crate) mod subrequest;
pub(crate) mod text;
pub(crate) mod timer;
pub(crate) mod variable_cache;
pub(crate) mod variables;
pub(crate) mod zone_memory;

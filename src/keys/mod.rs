//! What credentials are judged by, and how it stays current:
//!
//! * [`live`]: files of keys, read again when they change;
//! * [`key_file`]: who could change such a file, by its rights and by what is mounted where ([`mounts`]);
//! * [`jwks`]: key sets that an identity provider has (JWKS); [`introspection`]: tokens that it is asked
//!   about; [`per_server`]: each `server` has its own;
//! * [`memory`]: credentials that a worker has judged before;
//! * [`question`]: what is counted of questions to providers;
//! * [`waiting`]: requests that wait for the answer of one.

pub(crate) mod introspection;
pub(crate) mod jwks;
pub(crate) mod key_file;
pub(crate) mod live;
pub(crate) mod memory;
mod mounts;
pub(crate) mod per_server;
pub(crate) mod question;
pub(crate) mod waiting;

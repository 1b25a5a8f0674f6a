//! Tollgate: API keys, JWTs, limits and an audit log in front of an LLM inference server, inside the
//! nginx worker.
//!
//! * [`conf`]: what nginx.conf says;
//! * [`request`]: what happens to a request, phase by phase;
//! * [`keys`]: what credentials are judged by, and how it stays current;
//! * [`worker`]: what a worker does beside its requests.
//!
//! What is decided, and how, is in `tollgate-core`. All code that the compiler can't check is in [`ffi`], which calls
//! the functions of the other files.

mod conf;
#[cfg(debug_assertions)]
mod faults;
mod ffi;
mod keys;
mod per_worker;
mod random;
mod request;
mod worker;

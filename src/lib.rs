//! Tollgate: API keys, JWTs, limits and an audit log in front of an LLM inference server, inside the
//! nginx worker.
//!
//! A request goes through these files from top to bottom:
//!
//! | phase         | file                   | what happens                                             |
//! |---------------|------------------------|----------------------------------------------------------|
//! | PREACCESS     | [`identity`]           | what the client says about himself is taken off          |
//! | ACCESS        | [`access`]             | credential, principal, may they?                         |
//! |               | [`admission`]          | reserve on every limit, all or nothing                   |
//! | PRECONTENT    | [`identity`]           | identity headers set, credential stripped                |
//! | header filter | [`response`]           | ratelimit headers; the body of a refusal                 |
//! | LOG           | [`audit`]              | one audit line                                           |
//!
//! What is decided, and how, is in `tollgate-core`. All code that the compiler can't check is in [`ffi`], which calls
//! the functions of the other files.

mod access;
mod admission;
mod audit;
mod conf;
#[cfg(debug_assertions)]
mod faults;
mod ffi;
mod identity;
mod random;
mod response;
mod state;
mod variables;
mod worker;

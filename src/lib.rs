//! Tollgate: API keys, JWTs, limits and an audit log in front of an LLM inference server, inside the
//! nginx worker.
//!
//! A request goes through these files from top to bottom:
//!
//! | phase         | file                   | what happens                                             |
//! |---------------|------------------------|----------------------------------------------------------|
//! | POST_READ     | [`request_id`]         | the error log has its id from here on                    |
//! | PREACCESS     | [`identity`]           | what the client says about himself is taken off          |
//! | ACCESS        | [`access`]             | may they? the order of what follows                      |
//! |               | [`authentication`]     | credential, principal                                    |
//! |               | [`auth_failures`]      | wrong credentials are counted                            |
//! |               | [`waiting`]            | for a [`provider`] of keys, or an [`introspector`]       |
//! |               | [`request_body`]       | what is asked for? read for authenticated clients only   |
//! |               | [`estimate`]           | what may that take? by what was learned of its like      |
//! |               | [`admission`]          | reserve on every limit, all or nothing                   |
//! |               | [`queue`]              | wait for a concurrency slot                              |
//! | after each    | [`refusal`]            | who was refused stays refused, wherever nginx leads him  |
//! | PRECONTENT    | [`identity`]           | identity headers set, credential stripped                |
//! | header filter | [`response`]           | ratelimit headers; the body of a refusal                 |
//! | body filter   | [`response`]           | usage read as the answer streams, into its [`metering`]  |
//! |               | [`settlement`]         | at its end: settle the [`reservation`], free its slots   |
//! | LOG           | [`audit`]              | one audit line; what ended otherwise is settled          |
//!
//! Before there are any, [`key_file`] tells who could change a file of keys, by what is
//! mounted where ([`mounts`]). Beside requests, [`upkeep`]
//! frees what dead workers held, and has a [`state_writer`] write the [`state_file`]; [`watch`] looks for
//! changes of the files that keys are in, which are [`live`], and tells in the [`status`] file
//! what is in force; [`revocation`] cuts off requests whose credential is taken back.
//!
//! What is decided, and how, is in `tollgate-core`. All code that the compiler can't check is in [`ffi`], which calls
//! the functions of the other files.

mod access;
mod admission;
mod asks;
mod audit;
mod auth_failures;
mod authentication;
mod conf;
mod estimate;
#[cfg(debug_assertions)]
mod faults;
mod ffi;
mod identity;
mod introspector;
mod key_file;
mod live;
mod metering;
mod mounts;
mod per_server;
mod provider;
mod queue;
mod random;
mod refusal;
mod request_body;
mod request_id;
mod reservation;
mod response;
mod revocation;
mod settlement;
mod state;
mod state_file;
mod state_writer;
mod status;
mod upkeep;
mod variables;
mod waiting;
mod watch;
mod worker;

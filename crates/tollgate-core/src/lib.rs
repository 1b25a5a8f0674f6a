//! What Tollgate decides, without nginx: who is asking, whether they may, how much they may still
//! use, and what is written down about it.
//!
//! Time is a parameter everywhere ([`clock`]), shared memory is a `&[AtomicU64]` ([`limits`]), and
//! nothing here does I/O, so that all of it can be tested without a server.
#![forbid(unsafe_code)]

pub mod about;
#[cfg(not(tollgate_model))]
mod accept;
pub mod address;
pub mod answer;
pub mod audit;
pub mod cache_salt;
pub mod cert;
pub mod clients;
pub mod clock;
pub mod cluster;
pub mod control;
pub mod cors;
pub mod credential;
mod decimal;
pub mod decision;
pub mod detail;
pub mod disclosure;
pub mod file_rights;
pub mod forwarding;
pub mod guards;
pub mod hex;
pub mod introspection;
mod json;
pub mod jwt;
pub mod keys;
pub mod limits;
pub mod llm;
#[cfg(not(tollgate_model))]
pub mod metrics;
pub mod money;
pub mod multipart;
pub mod nginx_text;
pub mod objects;
#[cfg(not(tollgate_model))]
pub mod overview;
pub mod path;
pub mod pattern;
pub mod permissions;
pub mod price;
pub mod principal;
pub mod ratelimit_headers;
pub mod request_id;
pub mod retry_after;
pub mod rfc3339;
pub mod ruling;
pub mod scheduler;
pub mod security_headers;
mod short_text;
pub mod status;
mod surrogate;
pub mod websocket_key;
pub mod whereabouts;
mod word_file;

//! What a node of a cluster says to its store, Redis or Valkey, and how long it waits for an answer.
//!
//! The store may be anything: down, slow, hostile. So each answer has a bound, each call a deadline, and what an error
//! tells is fit for a log. `docs/cluster.md` has what operators see of it.

#![forbid(unsafe_code)]

mod access;
mod backoff;
mod call;
mod client;
mod config;
mod connection;
mod failure;
mod greeting;
mod links;
mod node;
mod resolve;
mod resp;
mod revoked;
mod route;
mod script;
mod sentinel;
mod server;
mod slots;
mod speech;
mod stream;

pub use access::{Access, AccessError};
pub use call::Call;
pub use client::{Client, CONNECT};
pub use config::{Address, Config, ConfigError, OnLoss, Place, TlsFiles, Topology};
pub use failure::{Failure, ServerError};
pub use greeting::{Greeted, Greeting};
pub use node::{Node, NodeRow};
pub use resp::Value;
pub use server::{Server, ServerInfo};
pub use speech::{Exchanged, Spoken};

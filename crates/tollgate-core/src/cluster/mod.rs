//! One limit over many nodes: what a node and the store say to each other, and what the store does.

pub mod message;
pub mod revocations;
pub mod store;

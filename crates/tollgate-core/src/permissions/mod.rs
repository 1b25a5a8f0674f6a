//! What a principal may do.

pub mod models;

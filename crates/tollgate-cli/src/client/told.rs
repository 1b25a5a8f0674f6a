//! What nginx tells of clients.

use serde::Deserialize;
use serde_json::Value;

use crate::limit::table::Limit;

/// A client and its limits.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Client {
    pub(super) client: String,
    pub(super) tier: Option<String>,
    pub(super) tenant: Option<String>,
    pub(super) last_seen: Option<String>,
    pub(super) requests: u64,
    pub(super) refused: u64,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) cost: String,
    pub(super) in_flight: u64,
    pub(super) limits: Vec<Limit>,
    pub(super) worst: f64,
}

impl Client {
    /// What can't be read is taken as nothing.
    pub(super) fn deserialize_from(value: &Value) -> Self {
        Self::deserialize(value).unwrap_or_default()
    }
}

/// Some of the clients. They are kept as they came, to be passed on.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct List {
    pub(crate) clients: Vec<Value>,
    pub(super) total: usize,
}

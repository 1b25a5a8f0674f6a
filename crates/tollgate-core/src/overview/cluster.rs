//! How the node stands to the store of its cluster.

use serde::Serialize;

use crate::metrics::exposition::ClusterGauges;
use crate::metrics::{Counter, Readings};

/// How the node stands to the store of its cluster, for whoever looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cluster {
    name: String,
    node: String,
    /// The store was heard lately.
    up: bool,
    leases: u64,
    places: u64,
    /// Requests that have waited for the store.
    waits: u64,
    /// Limits that requests were judged by without it.
    alone: u64,
    /// For how many seconds it was lost.
    lost_seconds: u64,
}

impl Cluster {
    /// That of the node `node` in the cluster `name`.
    #[must_use]
    pub fn of((name, node): (&str, &str), gauges: ClusterGauges, readings: &Readings) -> Self {
        Self {
            name: name.to_owned(),
            node: node.to_owned(),
            up: gauges.is_up,
            leases: gauges.leases,
            places: gauges.places,
            waits: readings.counter(Counter::StoreWaits),
            alone: readings.counter(Counter::Alone),
            lost_seconds: readings.counter(Counter::StoreLostMillis) / 1_000,
        }
    }
}

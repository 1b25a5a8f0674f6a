//! What was counted, as a text for Prometheus and whoever else reads its formats.
//!
//! * [`format`]: which of the formats somebody asks for;
//! * [`family`]: the table of all metrics;
//! * [`writer`]: how a metric is spelled;
//! * [`pages`]: what is written, from [`Readings`](super::Readings) and [`Gauges`].

pub mod family;
pub mod format;
mod pages;
mod writer;

pub use family::{Family, Kind};
pub use format::Format;
pub use pages::write;

use super::part::Part;
use crate::clients::Client;
use crate::limits::census::Census;

/// What is shown beside what was counted: how it is just now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gauges {
    /// Of the module.
    pub version: String,
    /// Of nginx.
    pub nginx: String,
    /// Worker processes that live.
    pub workers: u64,
    /// What is known of each set of keys.
    pub keys: Vec<Keys>,
    /// What is known of each file of guards.
    pub guard_files: Vec<GuardFile>,
    /// How full the zone is.
    pub zone: Vec<(Part, Census)>,
    /// Clients that use most.
    pub clients: Vec<Client>,
    /// Limits of clients that are nearest to be spent.
    pub nearest: Vec<Nearest>,
    /// Keys, and from how many networks they were used.
    pub networks: Vec<KeyNetworks>,
    /// How the node stands to the store of its cluster, if it is in one.
    pub cluster: Option<ClusterGauges>,
}

/// How a node stands to the store of its cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterGauges {
    /// The store was heard lately.
    pub is_up: bool,
    /// Nodes that speak with the store, as it said last; 0: that isn't known.
    pub nodes: u64,
    /// As many as there should be; 0: nobody has said that.
    pub expected_nodes: u64,
    /// Limits of which the node keeps a lease.
    pub leases: u64,
    /// Of how many it could.
    pub places: u64,
}

impl ClusterGauges {
    /// Of how many more limits it could keep a lease.
    #[must_use]
    pub fn free(self) -> u64 {
        self.places.saturating_sub(self.leases)
    }
}

/// A set of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// The file that it is from.
    pub file: String,
    /// Counts up with what is in force.
    pub generation: u64,
    /// How many keys are in which state.
    pub states: Vec<(&'static str, u64)>,
    /// What the file that is told in says of it, where there is one.
    pub told: Option<Told>,
}

/// A file of guards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardFile {
    /// Where it is.
    pub file: String,
    /// `rules` or `terms`.
    pub what: &'static str,
    /// What it calls itself; empty: nothing.
    pub version: String,
    /// The SHA-256 of what it held, in hexadecimal digits.
    pub sha256: String,
    /// How many rules or terms are in force; `None`: that is being written just now, or nobody tells.
    pub count: Option<u64>,
    /// Since when: milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// What the file that is told in says of it, where there is one.
    pub told: Option<Told>,
}

/// What is told of a set of keys, or of a file of guards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// What the file holds is in force: it was not refused as a whole.
    pub is_taken: bool,
    /// Workers that use what came into force last.
    pub current: u64,
    /// The other ones that take requests.
    pub behind: u64,
}

/// How much of a limit is used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nearest {
    /// Whose it is.
    pub client: String,
    /// The tier that says it.
    pub tier: String,
    /// What the tier says.
    pub limit: String,
    /// The share of it.
    pub used_ratio: f64,
}

/// From how many networks a key was used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyNetworks {
    /// Whose key it is.
    pub client: String,
    /// Its id.
    pub key_id: String,
    /// Different networks in the last hour, as estimated.
    pub networks: u64,
}

#[cfg(test)]
mod tests;

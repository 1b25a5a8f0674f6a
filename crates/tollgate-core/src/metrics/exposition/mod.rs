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

use crate::limits::Area;

/// What is shown beside what was counted: how it is just now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Of the module.
    pub version: String,
    /// Of nginx.
    pub nginx: String,
    /// Worker processes that live.
    pub workers: u64,
    /// What is known of each set of keys.
    pub keys: Vec<Keys>,
    /// How much of the zone is taken.
    pub slots: Vec<(Part, Slots)>,
    /// Clients that use most.
    pub clients: Vec<Client>,
    /// Limits of clients that are nearest to be spent.
    pub nearest: Vec<Nearest>,
    /// Keys, and from how many networks they were used.
    pub networks: Vec<KeyNetworks>,
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
}

/// A part of the zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The slots of an area.
    Area(Area),
    /// Worker processes.
    Workers,
}

/// How much of a part of the zone is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    /// Taken.
    pub used: u64,
    /// The others.
    pub free: u64,
}

/// What a client has used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Its id.
    pub client: String,
    /// Requests, refused ones included.
    pub requests: u64,
    /// Those that were refused.
    pub refused: u64,
    /// Tokens of input and output.
    pub tokens: u64,
    /// Nano-units of money.
    pub cost_nanos: u64,
}

/// How much of a limit is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nearest {
    /// Whose it is.
    pub client: String,
    /// The tier that says it.
    pub tier: String,
    /// What the tier says.
    pub limit: String,
    /// Of a million parts.
    pub used_ppm: u64,
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

//! What is counted of all requests, in memory that all workers share: for `tollgate_metrics` and
//! `tollgate_status`.
//!
//! * [`bounds`]: the bounds of histograms;
//! * [`flow`]: what is counted of requests of one tier and model at one endpoint; [`tier_cells`]: and of all requests of a
//!   tier;
//! * [`counter`]: what is counted of a worker; [`event`]: what happens rarely, with labels of its own; [`part`]: where
//!   there may be no room;
//! * [`minutes`]: the last hour, by the minute;
//! * [`names`]: the texts of labels; [`known`]: the names of models that may be one;
//! * [`memory`]: where all of that lies;
//! * [`recorder`]: one worker's hand that writes; [`readings`]: what all of them have written;
//! * [`exposition`]: that as a text, for Prometheus.
//!
//! Each cell has one process that writes it, so that nobody waits and nothing is lost: a worker has a row,
//! and the blocks that it made. When a worker is gone, a later one goes on where it was.

pub mod bounds;
pub mod counter;
pub mod event;
pub mod exposition;
pub mod flow;
pub mod known;
pub mod memory;
pub mod minutes;
pub mod names;
pub mod part;
pub mod readings;
pub mod recorder;
pub mod tier_cells;

pub use counter::{Counter, ExchangeResult};
pub use event::{Event, Family};
pub use flow::{Flow, Observation, Outcome};
pub use known::{KnownModels, ModelLabel};
pub use memory::{Observations, MEMORY_WORDS};
pub use names::Name;
pub use part::Part;
pub use readings::Readings;
pub use recorder::Recorder;

use std::sync::atomic::{AtomicU64, Ordering};

/// Adds to a cell that only this process writes.
#[inline(always)]
pub(crate) fn add(cells: &[AtomicU64], index: usize, amount: u64) {
    if let Some(cell) = cells.get(index) {
        add_one(cell, amount);
    }
}

/// The same of one cell.
#[inline(always)]
pub(crate) fn add_one(cell: &AtomicU64, amount: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
}

#[cfg(test)]
mod tests;

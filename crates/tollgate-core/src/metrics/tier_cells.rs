//! What is counted of all requests of a tier.

use super::bounds::DURATION;

/// Requests in flight. Of a process that is gone there are none.
pub const IN_FLIGHT: usize = 0;
/// Requests in the queue. Of a process that is gone there are none.
pub const QUEUED: usize = 1;
/// How many cells tell of what is just now.
pub const GAUGES: usize = 2;
/// Histogram of the time that requests waited for their turn: milliseconds, [`DURATION`].
pub const QUEUE_WAITS: usize = GAUGES;
/// Requests of keys that were used from more networks than the `addresses` of the tier allow.
pub const NETWORKS_EXCEEDED: usize = QUEUE_WAITS + DURATION.cells();
/// How many there are.
pub const COUNT: usize = NETWORKS_EXCEEDED + 1;

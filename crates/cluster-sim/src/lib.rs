//! A cluster in virtual time: nodes with the leases of `tollgate_core::cluster`, and the model of the store that its
//! script equals. A seed makes a *schedule*: who asks when, which messages are lost, late or repeated, which node stops
//! or dies, what happens to the store. The same seed makes the same one.
//!
//! [`schedule::run`] runs one, and says what of the published bounds ([`bounds`]) didn't hold.

pub mod bounds;
pub mod limit;
pub mod mistakes;
pub mod node;
pub mod plan;
pub mod random;
pub mod schedule;
pub mod servers;
pub mod world;

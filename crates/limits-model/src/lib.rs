//! Model checking of the limits: the very sources of `tollgate-core`, compiled with the atomics of a
//! model checker. The models are in `tests/`; each comes with mistakes that are planted to see that it
//! catches them.
//!
//! * [`exhaustive`]: under loom, which tries all interleavings up to a number of preemptions, and all
//!   values that the memory orderings allow a load to see. For small protocols.
//! * [`random`]: under shuttle, which tries many random interleavings. For large ones.
//!
//! A process that is killed is modelled as a thread that stops before its nth atomic operation
//! (`mortal`).

#![allow(clippy::duplicate_mod, reason = "compiled once for each model checker")]

#[path = "../../tollgate-core/src/address.rs"]
pub mod address;
#[path = "../../tollgate-core/src/clock.rs"]
pub mod clock;
#[path = "../../tollgate-core/src/money.rs"]
pub mod money;
#[path = "../../tollgate-core/src/short_text.rs"]
mod short_text;

#[macro_use]
mod atomics;
pub mod exhaustive;
pub mod races;
pub mod random;

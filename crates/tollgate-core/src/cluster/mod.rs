//! One limit over many nodes.
//!
//! A *node* is one nginx, a *store* what all of them speak with. The store keeps each limit, and sells *leases* of it:
//! parts that a node may give away by itself for some seconds. What is used and what is leased never exceed the
//! limit together, and what is leased begins to drain only when it was spent and reported. So over any interval of
//! the store's time the nodes admit at most capacity + rate x time, however late messages are.
//!
//! On a node:
//! * [`table`], [`entry`], [`shape`]: the leases of this node, in memory that its workers share; drawing from them;
//!   `hands`: whose entry it is; `lease`: what is bought and given back; [`right`]: who buys; [`settlement`]: what a
//!   request used in the end;
//! * [`words`]: what the node knows of the store; [`times`]: how long things live;
//! * [`revocations`]: the keys that the store says are revoked in all nodes;
//! * [`exchange`]: what is asked of the store, and what is done with its answer; [`sizing`]: how much is asked for;
//!   [`mirror`]: how the limits of the node's zone show those in the store;
//! * [`loss`]: what a node does without the store.
//!
//! Between them, [`message`]: what they say to each other. In [`store`]: what the store does with it.

pub mod entry;
pub mod exchange;
#[cfg(test)]
mod fixtures;
mod hands;
mod lease;
pub mod loss;
mod marks;
pub mod message;
pub mod mirror;
pub mod revocations;
pub mod right;
pub mod settlement;
pub mod shape;
pub mod sizing;
pub mod store;
pub mod table;
pub mod times;
pub mod words;

pub use entry::{Backing, Drawn, Entry, Round};
pub use exchange::{apply, collect, Applied, Asked, Memory, Pace};
pub use loss::{judge, unheard_until, Judge, OnLoss};
pub use mirror::{Mirror, ZoneMirror};
pub use right::{Entered, Right};
pub use settlement::Name;
pub use shape::Shape;
pub use table::{LeaseTable, NoEntry};
pub use words::Words;

//! What a worker does beside its requests:
//!
//! * [`upkeep`]: frees what dead workers held, and has limits and objects written down: a [`state_keeper`] sees
//!   to it, and a [`state_writer`] writes them;
//! * [`cluster`]: sees to it that one worker speaks with the store of the cluster, in an [`exchanger`];
//! * [`sealing`]: seals logs;
//! * [`watch`]: looks for changes of files;
//! * [`control`]: does what operators ask for.

mod cluster;
pub(crate) mod control;
mod exchanger;
mod resets;
mod revocations;
pub(crate) mod sealing;
mod state_keeper;
mod state_writer;
pub(crate) mod upkeep;
pub(crate) mod watch;

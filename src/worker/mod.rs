//! What a worker does beside its requests:
//!
//! * [`upkeep`]: frees what dead workers held, and has limits and objects written down: a [`state_keeper`] sees
//!   to it, and a [`state_writer`] writes them;
//! * [`sealing`]: seals logs;
//! * [`watch`]: looks for changes of files;
//! * [`control`]: does what operators ask for.

pub(crate) mod control;
pub(crate) mod sealing;
mod state_keeper;
mod state_writer;
pub(crate) mod upkeep;
pub(crate) mod watch;

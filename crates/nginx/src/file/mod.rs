//! Files that we write to.
//!
//! * [`log_file`]: log files, in [`batch`]es of lines ([`buffering`] says when they are written), and what is told of their [`trouble`];
//! * [`open_files`]: those that a configuration has opened;
//! * [`seal`]: and lines that say what others are;
//! * [`stream`]: those that are pipes;
//! * [`torn_line`]: lines that others must not write behind;
//! * [`lock`]: locks on bytes of a file;
//! * [`size`]: the limit on the size of files.

mod batch;
mod buffering;
pub mod lock;
pub(crate) mod log_file;
mod open_files;
pub(crate) mod seal;
pub(crate) mod size;
mod stream;
mod torn_line;
mod trouble;

pub use buffering::Buffering;
pub use log_file::LogFile;
pub use seal::{Closing, Seal, NO_FOLLOW};
pub use trouble::Title;

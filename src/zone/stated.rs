//! What is in memory that processes share, and in a file.

use std::fs::File;
use std::io;

use tollgate_core::limits::StateMarks;

use super::state_file::StateFile;

/// What is in memory that processes share, and in a file. With its memory: a thread that writes it may outlive the
/// configuration.
pub(crate) trait Stated: Clone + Send + 'static {
    /// The name of the thread that writes it.
    const THREAD: &'static str;

    /// How it stands to its file.
    fn marks(&self) -> StateMarks<'_>;

    /// Writes all of it.
    fn write(&self, state: &StateFile, file: &mut File) -> io::Result<()>;
}

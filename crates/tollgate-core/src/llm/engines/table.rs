//! The table of an engine.

use super::row::Row;

/// What an engine serves.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// What it was taken from.
    pub version: &'static str,
    /// What it serves.
    pub rows: &'static [Row],
}

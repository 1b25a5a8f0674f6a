//! Rules as data, with versions.

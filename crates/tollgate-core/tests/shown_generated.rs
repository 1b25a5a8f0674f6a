//! Answers that are shown through a guard: of every dialect, with texts that something was planted in, cut into
//! deltas and buffers anywhere; and those that real engines gave.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod shown_streams;

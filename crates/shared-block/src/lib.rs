//! Blocks of bytes that one process makes, and that all processes read: what a large file holds is in
//! memory once, however many workers there are.
//!
//! A [`SharedBlock`] is made before the workers are forked, and each of them may put a new block in
//! the place of the one in force ([`SharedBlock::make`], [`Maker::publish`]). A reader keeps a block
//! for as long as it likes ([`SharedBlock::map`]): nobody writes where somebody reads.
//!
//! The memory is a file without a name (`memfd_create(2)`):
//!
//! ```text
//!  control page             place 0            place 1       ...   place 31
//!  +----------------------+------------------+------------------+------------------+
//!  | current seen used .. | block, no. 7     | (nothing)        | block, no. 6     |
//!  +----------------------+------------------+------------------+------------------+
//!  bytes 0 to 31: the locks of the places; byte 32: the lock of the maker
//!
//!  reader                                   maker
//!  1. load `current`: number and place      1. lock byte 32, to write
//!  2. lock the byte of the place, to read   2. lock the byte of a place that is not `current`, to write
//!  3. load `current` again;                 3. mark the place as used, write the block, store its length
//!     if it has changed: unlock, go to 1    4. store `current`
//!  4. map the place, read                   5. unlock the place, unlock byte 32
//!  5. unmap, unlock
//! ```
//!
//! The locks are those of `fcntl(2)`. The kernel takes them back from a process that dies, so a killed
//! process stops nobody. What it has half written is not in force; the next maker gives the memory
//! back ([`Maker::clean`]). Such locks belong to a process, not to a thread: each process also counts its
//! own readers and its maker ([`protocol::Held`]). A fork inherits no lock: in a new process, what was
//! inherited reads as empty and writes nothing (`fork`).
//!
//! * [`protocol`]: the rules, over a [`protocol::Kernel`]; `tests/model.rs` checks them under loom;
//! * [`control`]: the words at the beginning of the memory;
//! * `linux`: that kernel: the memory file, its mappings and its locks.

mod block;
pub mod control;
mod fork;
mod linux;
mod memory;
pub mod protocol;

pub use block::{Maker, Mapping, SharedBlock};
pub use protocol::Stamp;

//! The memory of `tollgate_control`: what all workers are to do that an operator asked one of them for.

use std::sync::atomic::AtomicU64;

use nginx::local_socket::LocalSocket;
use nginx::process::Workers;
use nginx::shm::{Attached, Shared};
use tollgate_core::control::drops::MEMORY_WORDS;
use tollgate_core::control::Drops;

use super::new_seed;

/// The memory of one configuration.
pub(crate) type SharedControl = nginx::shm::SharedZone<Control>;

/// The orders, and the memory that they lie in.
pub(crate) type MappedDrops = Attached<Control>;

/// What a configuration says of it: where it is asked.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) socket: LocalSocket,
}

/// The name of the memory, of which there is one.
pub(crate) const NAME: &str = "tollgate_control";
/// In bytes.
pub(crate) const SIZE: usize = MEMORY_WORDS * 8;

impl Shared for Control {
    const DIRECTIVE: &'static str = "tollgate_control";
    const MEMORY: &'static str = "tollgate-control";
    const NUMBER: u8 = 6;

    type View<'m> = Drops<'m>;

    fn shorten<'s, 'm: 's>(view: &'s Drops<'m>) -> &'s Drops<'s> {
        view
    }

    fn is_filed(&self) -> bool {
        false
    }

    fn attach(words: &[AtomicU64]) -> Result<Drops<'_>, String> {
        Drops::attach(words).map_err(|error| error.to_string())
    }

    fn format<'m>(
        &self,
        _name: &str,
        words: &'m [AtomicU64],
        _workers: Option<&Workers>,
    ) -> Result<Drops<'m>, String> {
        Drops::format(words, new_seed()?).map_err(|error| error.to_string())
    }

    fn ready(&self, _workers: Option<&Workers>) {}
}

//! The memory of the directory of clients, where anybody looks at them.

use std::sync::atomic::AtomicU64;

use nginx::process::Workers;
use nginx::shm::{Attached, Shared};
use tollgate_core::clients::Directory;
use tollgate_core::clock::UnixMillis;
use tollgate_core::limits::client_slots;

use super::new_seed;
use crate::clock::wall_ms;

/// The memory of a configuration.
pub(crate) type SharedClients = nginx::shm::SharedZone<Clients>;

/// The directory, and the memory that it lies in.
pub(crate) type MappedClients = Attached<Clients>;

/// What a configuration says of it.
#[derive(Debug)]
pub(crate) struct Clients {
    /// How many clients it has room for.
    capacity: usize,
}

impl Clients {
    /// For as many clients as a zone of so many bytes has slots for.
    pub(crate) fn beside(zone_bytes: usize) -> Self {
        Self { capacity: client_slots(zone_bytes / 8).max(1) }
    }

    /// The bytes that it takes at most; what isn't used takes none.
    pub(crate) fn size(&self) -> usize {
        Directory::words_for(self.capacity).unwrap_or(0).saturating_mul(8)
    }
}

/// The name of the memory, of which there is one.
pub(crate) const NAME: &str = "tollgate_clients";

impl Shared for Clients {
    const DIRECTIVE: &'static str = "the pages of Tollgate: the memory";
    const MEMORY: &'static str = "tollgate-clients";
    const NUMBER: u8 = 4;

    type View<'m> = Directory<'m>;

    fn shorten<'s, 'm: 's>(view: &'s Directory<'m>) -> &'s Directory<'s> {
        view
    }

    fn is_filed(&self) -> bool {
        false
    }

    fn attach(words: &[AtomicU64]) -> Result<Directory<'_>, String> {
        Directory::attach(words).map_err(|error| error.to_string())
    }

    fn format<'m>(
        &self,
        _name: &str,
        words: &'m [AtomicU64],
        _workers: Option<&Workers>,
    ) -> Result<Directory<'m>, String> {
        let now = UnixMillis(wall_ms());
        Directory::format(words, self.capacity, new_seed()?, now).map_err(|error| error.to_string())
    }

    fn ready(&self, _workers: Option<&Workers>) {}
}

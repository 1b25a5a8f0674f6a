//! The memory of `addresses`: from which networks each key is used, for all workers.

use std::sync::atomic::AtomicU64;

use nginx::process::Workers;
use nginx::shm::{Attached, Shared};
use tollgate_core::whereabouts::Whereabouts;

use super::new_seed;

/// The memory of one configuration.
pub(crate) type SharedWhereabouts = nginx::shm::SharedZone<Content>;

/// The table, and the memory that it lies in.
pub(crate) type MappedWhereabouts = Attached<Content>;

/// What a configuration has to do with it. It is in no file: an hour of it is all that there is.
#[derive(Debug)]
pub(crate) struct Content;

/// The name of the memory beside this zone; a zone of nginx's can't have it.
pub(crate) fn name(zone: &str) -> String {
    format!("{zone}:whereabouts")
}

/// How large it is beside a zone of this size, in bytes: as large for each size of the zone, so that it lives through
/// reloads, whatever limits there are.
pub(crate) fn size(zone: usize) -> usize {
    zone / 2
}

impl Shared for Content {
    const DIRECTIVE: &'static str = "tollgate_zone";
    const MEMORY: &'static str = "tollgate-whereabouts";
    const NUMBER: u8 = 5;

    type View<'m> = Whereabouts<'m>;

    fn shorten<'s, 'm: 's>(view: &'s Whereabouts<'m>) -> &'s Whereabouts<'s> {
        view
    }

    fn is_filed(&self) -> bool {
        false
    }

    fn attach(words: &[AtomicU64]) -> Result<Whereabouts<'_>, String> {
        Whereabouts::attach(words).map_err(|error| error.to_string())
    }

    fn format<'m>(
        &self,
        _name: &str,
        words: &'m [AtomicU64],
        _workers: Option<&Workers>,
    ) -> Result<Whereabouts<'m>, String> {
        Whereabouts::format(words, new_seed()?).map_err(|error| error.to_string())
    }

    fn ready(&self, _workers: Option<&Workers>) {}
}

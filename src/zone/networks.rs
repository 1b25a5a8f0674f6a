//! The memory of `addresses`: from which networks each key is used, for all workers.

use std::sync::atomic::AtomicU64;

use nginx::process::Workers;
use nginx::shm::{Attached, Shared};
use tollgate_core::key_networks::KeyNetworks;

use super::new_seed;

/// The memory of one configuration.
pub(crate) type SharedNetworks = nginx::shm::SharedZone<Networks>;

/// The table, and the memory that it lies in.
pub(crate) type MappedNetworks = Attached<Networks>;

/// What a configuration has to do with it. It is in no file: an hour of it is all that there is.
#[derive(Debug)]
pub(crate) struct Networks;

impl Networks {
    /// The name of the memory beside this zone; a zone of nginx's can't have it.
    pub(crate) fn name(zone: &str) -> String {
        format!("{zone}:networks")
    }

    /// How large it is beside a zone of this size, in bytes: as large for each size of the zone, so that it lives
    /// through reloads, whatever limits there are.
    pub(crate) fn size(zone: usize) -> usize {
        zone / 2
    }
}

impl Shared for Networks {
    const DIRECTIVE: &'static str = "tollgate_zone";
    const MEMORY: &'static str = "tollgate-networks";
    const NUMBER: u8 = 5;

    type View<'m> = KeyNetworks<'m>;

    fn shorten<'s, 'm: 's>(view: &'s KeyNetworks<'m>) -> &'s KeyNetworks<'s> {
        view
    }

    fn is_filed(&self) -> bool {
        false
    }

    fn attach(words: &[AtomicU64]) -> Result<KeyNetworks<'_>, String> {
        KeyNetworks::attach(words).map_err(|error| error.to_string())
    }

    fn format<'m>(
        &self,
        _name: &str,
        words: &'m [AtomicU64],
        _workers: Option<&Workers>,
    ) -> Result<KeyNetworks<'m>, String> {
        KeyNetworks::format(words, new_seed()?).map_err(|error| error.to_string())
    }

    fn ready(&self, _workers: Option<&Workers>) {}
}

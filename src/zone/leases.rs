//! The memory of `tollgate_cluster`: what this node has leased of limits that hold over all nodes.

use std::num::NonZeroU16;
use std::sync::atomic::AtomicU64;
use std::sync::Arc;

use nginx::process::Workers;
use nginx::shm::{Attached, Shared};
use store_client::{Access, Config};
use tollgate_core::cluster::{times, LeaseTable, OnLoss};
use tollgate_core::metrics::exposition::ClusterGauges;

use super::new_seed;
use crate::clock::mono_now;

/// The memory of one configuration.
pub(crate) type SharedLeases = nginx::shm::SharedZone<Leases>;

/// The table, and the memory that it lies in.
pub(crate) type MappedLeases = Attached<Leases>;

/// What a configuration says of it.
#[derive(Debug)]
pub(crate) struct Leases {
    config: Arc<Config>,
    access: Access,
    on_loss: OnLoss,
}

impl Leases {
    pub(crate) fn new(config: Arc<Config>, access: Access) -> Self {
        let nodes = config.expected_nodes.and_then(NonZeroU16::new).unwrap_or(NonZeroU16::MIN);
        let on_loss = match config.on_loss {
            store_client::OnLoss::Share => OnLoss::Share { nodes },
            store_client::OnLoss::Local => OnLoss::Local,
            store_client::OnLoss::Deny => OnLoss::Deny,
        };
        Self { config, access, on_loss }
    }

    /// Where the store is, and how it is spoken with.
    pub(crate) fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// What the files hold that it names.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// What becomes of requests without a lease when the store is lost.
    pub(crate) fn on_loss(&self) -> OnLoss {
        self.on_loss
    }

    /// Between the beginnings of two exchanges, in nanoseconds.
    pub(crate) fn exchange_nanos(&self) -> u64 {
        u64::try_from(self.config.exchange.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// How this node stands to the store of its cluster.
pub(crate) fn gauges(leases: &MappedLeases, content: &Leases) -> ClusterGauges {
    let table = leases.get();
    let heard = table.words().contact();
    let is_up = heard.is_some_and(|heard| mono_now().0.saturating_sub(heard.0) <= times::LOST);
    let (leases, places) = (table.entries().count() as u64, table.capacity() as u64);
    let nodes = table.words().nodes();
    let expected_nodes = content.config.expected_nodes.unwrap_or(0).into();
    ClusterGauges { is_up, nodes, expected_nodes, leases, places }
}

/// The name of the memory beside this zone; a zone of nginx's can't have it.
pub(crate) fn name(zone: &str) -> String {
    format!("{zone}:leases")
}

/// How large it is beside a zone of this size, in bytes, unless `leases=` says so: what a client has there takes about
/// as much as what it has in the zone.
pub(crate) fn size(zone: usize) -> usize {
    zone
}

impl Shared for Leases {
    const DIRECTIVE: &'static str = "tollgate_cluster";
    const MEMORY: &'static str = "tollgate-leases";
    const NUMBER: u8 = 7;

    type View<'m> = LeaseTable<'m>;

    fn shorten<'s, 'm: 's>(view: &'s LeaseTable<'m>) -> &'s LeaseTable<'s> {
        view
    }

    fn is_filed(&self) -> bool {
        false
    }

    fn attach(words: &[AtomicU64]) -> Result<LeaseTable<'_>, String> {
        LeaseTable::attach(words).map_err(|error| error.to_string())
    }

    fn format<'m>(
        &self,
        _name: &str,
        words: &'m [AtomicU64],
        _workers: Option<&Workers>,
    ) -> Result<LeaseTable<'m>, String> {
        LeaseTable::format(words, new_seed()?.0, mono_now()).map_err(|error| error.to_string())
    }

    fn ready(&self, _workers: Option<&Workers>) {}
}

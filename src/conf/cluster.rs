//! What is told of a cluster, and where its leases lie.

use std::sync::Arc;

use super::MainConf;
use crate::types::Tollgate;
use crate::zone::leases::{self, Leases, SharedLeases};
use nginx::conf::{ConfContext, ConfError, Position};
use store_client::{Access, Config};

use super::rules::Reach;

/// The smallest memory for leases, in bytes.
pub(super) const MIN_LEASES: usize = 64 * 1024;

/// `tollgate_cluster`
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) config: Arc<Config>,
    /// What the files hold that it names.
    pub(super) access: Access,
    /// Bytes for leases; `None`: it goes by the size of the zone.
    pub(super) leases: Option<usize>,
    pub(super) place: Position,
}

/// What this machine is called; empty where that can't be told.
pub(super) fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim_end().to_owned()
}

impl MainConf {
    /// Asks for the memory of leases, when all has been read, and refuses what needs a cluster where there is none.
    pub(super) fn share_leases(&mut self, cx: &ConfContext<'_>) -> Result<(), ConfError> {
        let Some(zone) = &self.following.zone else { return Ok(()) };
        match (&self.following.cluster, &self.following.leases) {
            (Some(cluster), None) => {
                let size = cluster.leases.unwrap_or_else(|| leases::size(zone.size()));
                let content = Leases::new(Arc::clone(&cluster.config), cluster.access.clone());
                let name = leases::name(zone.name());
                let shared = SharedLeases::add::<Tollgate>(cx, &name, size, content)?;
                self.following.leases = Some(shared);
                Ok(())
            }
            (None, _) => self.refuse_reach(),
            (Some(_), Some(_)) => Ok(()),
        }
    }

    /// Nothing holds over a cluster that there isn't.
    fn refuse_reach(&self) -> Result<(), ConfError> {
        const WAY_OUT: &str = "without \"tollgate_cluster\"; add that, or leave the scope out";
        if let Some(tier) = self.tiers.iter().find(|tier| tier.reach == Some(Reach::Cluster)) {
            let (name, place) = (&tier.name, &tier.place);
            return Err(ConfError::new(format!(
                "\"scope cluster\" of \"tollgate_tier {name}\" has no effect {WAY_OUT} {place}"
            )));
        }
        if let Some(rule) = self.limits.iter().find(|rule| rule.reach == Some(Reach::Cluster)) {
            let (name, place) = (&rule.name, &rule.place);
            return Err(ConfError::new(format!(
                "\"scope=cluster\" of \"tollgate_limit {name}\" has no effect {WAY_OUT} {place}"
            )));
        }
        Ok(())
    }
}

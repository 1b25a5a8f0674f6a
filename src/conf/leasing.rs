//! Where the leases of a cluster lie, and what has no effect without one.

use std::sync::Arc;

use super::rules::Reach;
use super::MainConf;
use crate::types::Tollgate;
use crate::zone::leases::{self, Leases, SharedLeases};
use nginx::conf::{ConfContext, ConfError};

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

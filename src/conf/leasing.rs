//! Where the leases of a cluster lie, and what has no effect without one.

use std::rc::Rc;
use std::sync::Arc;

use super::cluster::Cluster;
use super::rules::Reach;
use super::MainConf;
use crate::types::Tollgate;
use crate::zone::leases::{self, Leases, SharedLeases};
use crate::zone::revocations::{self, Revoked, SharedRevocations};
use crate::zone::SharedZone;
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
                let revoked = self.share_revocations(cx, cluster, zone)?;
                self.following.leases = Some(shared);
                self.following.revocations = Some(revoked);
                Ok(())
            }
            (None, _) => self.refuse_reach(),
            (Some(_), Some(_)) => Ok(()),
        }
    }

    /// Asks for the memory of keys that are revoked in all nodes. They are kept beside the state of the zone, unless it is
    /// said where.
    fn share_revocations(
        &self,
        cx: &ConfContext<'_>,
        cluster: &Cluster,
        zone: &SharedZone,
    ) -> Result<Rc<SharedRevocations>, ConfError> {
        let beside = || Some(format!("{}.revocations", zone.content().state()?.path().display()));
        let state = cluster.revocations.clone().or_else(beside);
        let content = Revoked::new(state.as_deref());
        let mut others = [self.state_file(), self.objects_state()].into_iter().flatten();
        if content.state().is_some_and(|state| others.any(|other| other.is_same(state))) {
            return Err(ConfError::new(format!(
                "\"revocations=\" of \"tollgate_cluster\" is the file of another state; give it one of its own {}",
                cluster.place
            )));
        }
        let name = revocations::name(zone.name());
        SharedRevocations::add::<Tollgate>(cx, &name, revocations::SIZE, content)
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

//! What is read again when it changes.

use std::rc::Rc;

use super::cluster::Cluster;
use crate::keys::key_file::KeyFile;
use crate::keys::live::Follow;
use crate::observed::SharedObservations;
use crate::zone::clients::SharedClients;
use crate::zone::control::SharedControl;
use crate::zone::leases::SharedLeases;
use crate::zone::objects::SharedObjects;
use crate::zone::revocations::SharedRevocations;
use crate::zone::whereabouts::SharedWhereabouts;
use crate::zone::SharedZone;

/// The zone of a configuration, and the files that its workers watch.
#[derive(Default)]
pub(super) struct Following {
    pub(super) zone: Option<Rc<SharedZone>>,
    pub(super) objects: Option<Rc<SharedObjects>>,
    pub(super) whereabouts: Option<Rc<SharedWhereabouts>>,
    /// What is counted, where anybody looks.
    pub(super) observations: Option<Rc<SharedObservations>>,
    /// What operators ask for.
    pub(super) control: Option<Rc<SharedControl>>,
    /// Somebody looks at single clients, or at the last hour.
    pub(super) is_looked_into: bool,
    /// The clients, where anybody looks at them.
    pub(super) clients: Option<Rc<SharedClients>>,
    /// The store that is shared with other nodes, and what this one has leased there.
    pub(super) cluster: Option<Cluster>,
    pub(super) leases: Option<Rc<SharedLeases>>,
    /// The keys that are revoked there.
    pub(super) revocations: Option<Rc<SharedRevocations>>,
    pub(super) live: Vec<Rc<dyn Follow>>,
}

impl Following {
    /// Has these files watched by workers, who must be able to read them.
    pub(super) fn add(&mut self, live: Rc<dyn Follow>, files: Vec<KeyFile>) {
        self.live.push(live);
        if let Some(zone) = &self.zone {
            zone.content().expect_safe(files);
        }
    }
}

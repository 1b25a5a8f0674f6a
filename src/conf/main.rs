//! The main configuration.

use std::rc::Rc;
use std::sync::Arc;

use super::following::Following;
use super::loaded::Loaded;
use super::rules::{Draft, LimitRule, Tier};
use crate::keys::live::Follow;
use crate::zone::objects::{MappedObjects, Objects};
use crate::zone::seals::SharedSeals;
use crate::zone::state_file::StateFile;
use crate::zone::Mapped;
use nginx::file::LogFile;
use tollgate_core::price::Prices;

/// The main configuration: what `http` declares.
#[derive(Default)]
pub(crate) struct MainConf {
    pub(crate) tiers: Vec<Rc<Tier>>,
    pub(crate) limits: Vec<Rc<LimitRule>>,
    pub(crate) prices: Prices,
    pub(super) loaded: Loaded,
    /// The zone, and what is read again when it changes.
    pub(super) following: Following,
    /// Where it is told what is in force: `Some(None)`: nowhere; `None`: beside the file with the pid.
    pub(crate) status_file: Option<Option<String>>,
    /// The tier whose block is being read.
    pub(super) draft: Option<Draft>,
}

impl MainConf {
    /// What is read again when it changes.
    pub(crate) fn live(&self) -> &[Rc<dyn Follow>] {
        &self.following.live
    }

    /// The zone, once nginx has mapped it.
    pub(crate) fn zone(&self) -> Option<&Rc<Mapped>> {
        self.following.zone.as_ref()?.get()
    }

    /// Where the zone's state is kept.
    pub(crate) fn state_file(&self) -> Option<&Arc<StateFile>> {
        self.following.zone.as_ref()?.content().state()
    }

    /// Who made what, once nginx has mapped it, and what the configuration says of it. `None`: nobody keeps that.
    #[inline]
    pub(crate) fn objects(&self) -> Option<(&Rc<MappedObjects>, &Objects)> {
        let shared = self.following.objects.as_ref()?;
        Some((shared.get()?, shared.content()))
    }

    /// The sealed logs, and what seals them.
    pub(crate) fn sealed_logs(&self) -> impl Iterator<Item = (&Rc<LogFile>, &Rc<SharedSeals>)> {
        self.loaded.audit_logs.iter().filter_map(|log| Some((&log.log, log.seals.as_ref()?)))
    }

    /// The name of the zone in which that is.
    pub(crate) fn objects_name(&self) -> &str {
        self.following.objects.as_ref().map_or("", |shared| shared.name())
    }

    /// Whether it is kept who made what.
    pub(super) fn keeps_objects(&self) -> bool {
        self.following.objects.is_some()
    }

    pub(crate) fn zone_name(&self) -> &str {
        self.following.zone.as_ref().map_or("", |zone| zone.name())
    }

    /// Whether any location is protected.
    pub(crate) fn in_use(&self) -> bool {
        self.loaded.in_use
    }
}

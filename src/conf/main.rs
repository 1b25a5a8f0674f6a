//! The main configuration.

use std::rc::Rc;
use std::sync::Arc;

use super::following::Following;
use super::guards::Book;
use super::loaded::Loaded;
use super::rules::{Draft, LimitRule, Tier};
use super::settings::Settings;
use crate::keys::live::Follow;
use crate::observed::{self, MappedObservations, SharedObservations};
use crate::types::Tollgate;
use crate::zone::census::Memory;
use crate::zone::clients::{self, Clients, MappedClients, SharedClients};
use crate::zone::control::MappedDrops;
use crate::zone::leases::{Leases, MappedLeases};
use crate::zone::objects::{MappedObjects, Objects};
use crate::zone::revocations::{MappedRevocations, Revoked};
use crate::zone::seals::SharedSeals;
use crate::zone::state_file::StateFile;
use crate::zone::whereabouts::{self, MappedWhereabouts, SharedWhereabouts};
use crate::zone::Mapped;
use nginx::conf::{ConfContext, ConfError};
use nginx::file::LogFile;
use nginx::local_socket::LocalSocket;
use tollgate_core::metrics::KnownModels;
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
    /// Those who look at requests and answers.
    pub(crate) guards: Book,
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

    /// What is counted, once nginx has mapped it; `None`: nobody looks.
    pub(crate) fn observations(&self) -> Option<&Rc<MappedObservations>> {
        self.following.observations.as_ref()?.get()
    }

    /// Whose requests are to end by order of an operator, once nginx has mapped it; `None`: nobody can ask for it.
    #[inline]
    pub(crate) fn drops(&self) -> Option<&Rc<MappedDrops>> {
        self.following.control.as_ref()?.get()
    }

    /// Where operators ask.
    pub(crate) fn control_socket(&self) -> Option<&LocalSocket> {
        Some(&self.following.control.as_ref()?.content().socket)
    }

    /// Whether requests are counted.
    pub(super) fn counts(&self) -> bool {
        self.following.observations.is_some()
    }

    /// Whether requests are counted by the minute, and of single clients: somebody looks at that.
    #[inline]
    pub(crate) fn is_looked_into(&self) -> bool {
        self.following.is_looked_into
    }

    /// Has requests counted: somebody looks, `into` it where that is at more than sums.
    pub(super) fn observe(&mut self, cx: &ConfContext<'_>, into: bool) -> Result<(), ConfError> {
        self.following.is_looked_into |= into;
        if self.following.observations.is_none() {
            let shared = SharedObservations::add::<Tollgate>(
                cx,
                observed::NAME,
                observed::SIZE,
                observed::Observed,
            )?;
            self.following.observations = Some(shared);
        }
        self.keep_clients(cx)
    }

    /// Has it kept who the clients are, where somebody looks and there is a zone.
    pub(super) fn keep_clients(&mut self, cx: &ConfContext<'_>) -> Result<(), ConfError> {
        let Following { zone, is_looked_into, clients, .. } = &mut self.following;
        if let (Some(zone), true, None) = (&zone, *is_looked_into, &clients) {
            let content = Clients::beside(zone.size());
            let size = content.size();
            *clients = Some(SharedClients::add::<Tollgate>(cx, clients::NAME, size, content)?);
        }
        Ok(())
    }

    /// The clients, once nginx has mapped their memory; `None`: nobody looks at them.
    #[inline]
    pub(crate) fn clients(&self) -> Option<&Rc<MappedClients>> {
        self.following.clients.as_ref()?.get()
    }

    /// Notes the models that a location names, and those that all of them share.
    pub(super) fn know_models(&mut self, settings: &Settings) {
        let Loaded { known_models, .. } = &mut self.loaded;
        if known_models.is_empty() {
            self.prices.patterns().for_each(|pattern| known_models.add(pattern.as_str()));
            for tier in &self.tiers {
                let open = tier.open_models.iter().flatten();
                let patterns = tier.models.iter().map(|block| &block.pattern).chain(open);
                patterns.for_each(|pattern| known_models.add(pattern.as_str()));
                tier.default_model.iter().for_each(|model| known_models.add(model));
            }
        }
        settings.model.iter().flatten().for_each(|model| known_models.add(model));
        let aliases = settings.model_aliases.iter().flat_map(|given| given.value.iter());
        aliases.for_each(|(_, model)| known_models.add(model));
    }

    /// The models that the configuration names.
    pub(crate) fn known_models(&self) -> &KnownModels {
        &self.loaded.known_models
    }

    /// The name of the zone in which that is.
    pub(crate) fn objects_name(&self) -> &str {
        self.following.objects.as_ref().map_or("", |shared| shared.name())
    }

    /// From which networks keys are used, once nginx has mapped it. `None`: no tier wants to know.
    #[inline]
    pub(crate) fn whereabouts(&self) -> Option<&Rc<MappedWhereabouts>> {
        self.following.whereabouts.as_ref()?.get()
    }

    /// What this node has leased of limits that hold over a cluster, once nginx has mapped it, and what the
    /// configuration says of that. `None`: there is no cluster.
    #[inline]
    pub(crate) fn cluster(&self) -> Option<(&Rc<MappedLeases>, &Leases)> {
        let shared = self.following.leases.as_ref()?;
        Some((shared.get()?, shared.content()))
    }

    /// Where owned objects are kept.
    pub(super) fn objects_state(&self) -> Option<&Arc<StateFile>> {
        self.following.objects.as_ref()?.content().state()
    }

    /// The keys that are revoked in all nodes of the cluster, once nginx has mapped it, and what the configuration says
    /// of that.
    pub(crate) fn revocations(&self) -> Option<(&Rc<MappedRevocations>, &Revoked)> {
        let shared = self.following.revocations.as_ref()?;
        Some((shared.get()?, shared.content()))
    }

    /// The memory of which it can be told how full it is.
    pub(crate) fn memory(&self) -> Memory<'_> {
        Memory {
            zone: self.zone().map(Rc::as_ref),
            objects: self.objects().map(|(mapped, content)| (mapped.as_ref(), content)),
            whereabouts: self.whereabouts().map(Rc::as_ref),
        }
    }

    /// Asks for the memory of that, if a tier wants to know: when all of them have been read.
    pub(super) fn share_whereabouts(&mut self, cx: &ConfContext<'_>) -> Result<(), ConfError> {
        let Some(zone) = &self.following.zone else { return Ok(()) };
        let is_wanted = self.tiers.iter().any(|tier| tier.addresses.is_some());
        if is_wanted && self.following.whereabouts.is_none() {
            let (name, size) = (whereabouts::name(zone.name()), whereabouts::size(zone.size()));
            let shared = SharedWhereabouts::add::<Tollgate>(cx, &name, size, whereabouts::Content)?;
            self.following.whereabouts = Some(shared);
        }
        Ok(())
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

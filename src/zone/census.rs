//! How full the memory is that workers share.

use tollgate_core::limits::census::Census;
use tollgate_core::limits::Area;
use tollgate_core::metrics::Part;
use tollgate_core::objects::memory::Life;
use tollgate_core::whereabouts::Minute;

use super::objects::{MappedObjects, Objects};
use super::whereabouts::MappedWhereabouts;
use super::Mapped;
use crate::clock::{now, wall_now};
use nginx::clock::cached_mono_ms;

/// What there is of it.
pub(crate) struct Memory<'m> {
    pub(crate) zone: Option<&'m Mapped>,
    pub(crate) objects: Option<(&'m MappedObjects, &'m Objects)>,
    pub(crate) whereabouts: Option<&'m MappedWhereabouts>,
}

impl Memory<'_> {
    /// How much is taken of each part of which that can be told.
    pub(crate) fn census(&self) -> Vec<(Part, Census)> {
        let mut parts = self.zone.map(of_zone).unwrap_or_default();
        if let Some((objects, Objects { ttl, .. })) = self.objects {
            let life = Life { ttl: *ttl, now: wall_now().seconds() };
            parts.push((Part::Objects, objects.get().census(life)));
        }
        if let Some(whereabouts) = self.whereabouts {
            let now = Minute::of_ms(cached_mono_ms());
            parts.push((Part::Addresses, whereabouts.get().census(now)));
        }
        parts
    }
}

fn of_zone(zone: &Mapped) -> Vec<(Part, Census)> {
    let (zone, now) = (zone.get(), now());
    let areas = Area::ALL.map(|area| (Part::Area(area), zone.census(area, now)));
    let others = [
        (Part::Workers, zone.ledger().workers()),
        (Part::InFlight, zone.ledger().census()),
        (Part::Queue, zone.queue().census()),
    ];
    areas.into_iter().chain(others).collect()
}

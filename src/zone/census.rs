//! How full the memory is that workers share.

use tollgate_core::limits::census::Census;
use tollgate_core::limits::Area;
use tollgate_core::metrics::Part;

use super::Mapped;
use crate::clock::now;

/// How much is taken of the parts of the zone of which that can be told.
pub(crate) fn census(zone: &Mapped) -> Vec<(Part, Census)> {
    let (zone, now) = (zone.get(), now());
    let areas = Area::ALL.map(|area| (Part::Area(area), zone.census(area, now)));
    let others = [
        (Part::Workers, zone.ledger().workers()),
        (Part::InFlight, zone.ledger().census()),
        (Part::Queue, zone.queue().census()),
    ];
    areas.into_iter().chain(others).collect()
}

//! The parts of the memory that workers share, in which there may be no room.

use crate::limits::Area;

/// A part of the zone, or memory beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Slots of limits.
    Area(Area),
    /// Worker processes.
    Workers,
    /// Requests in flight that take a concurrency slot.
    InFlight,
    /// Requests that wait for one.
    Queue,
    /// Owned objects, which lie in memory of their own.
    Objects,
    /// From which networks keys are used: memory of its own as well.
    Addresses,
}

impl Part {
    /// Every part, in the order in which they are shown.
    pub const ALL: [Self; 11] = [
        Self::Area(Area::Clients),
        Self::Area(Area::Rules),
        Self::Area(Area::Keys),
        Self::Area(Area::KeyNetworks),
        Self::Area(Area::Failures),
        Self::Area(Area::FailureNetworks),
        Self::Workers,
        Self::InFlight,
        Self::Queue,
        Self::Objects,
        Self::Addresses,
    ];

    /// Its place in [`Part::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        const AREAS: usize = Area::ALL.len();
        match self {
            Self::Area(area) => area as usize,
            Self::Workers => AREAS,
            Self::InFlight => AREAS + 1,
            Self::Queue => AREAS + 2,
            Self::Objects => AREAS + 3,
            Self::Addresses => AREAS + 4,
        }
    }

    /// Its name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Area(area) => area.as_str(),
            Self::Workers => "workers",
            Self::InFlight => "in_flight",
            Self::Queue => "queue",
            Self::Objects => "objects",
            Self::Addresses => "addresses",
        }
    }
}

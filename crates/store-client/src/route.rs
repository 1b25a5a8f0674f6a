//! Which server a call goes to.

use std::time::{Duration, Instant};

use crate::config::{Config, Place, Topology};
use crate::failure::Failure;
use crate::links::Links;
use crate::resp::{Bounds, Command, Value};
use crate::sentinel::Sentinels;
use crate::slots::Map;

/// Between two looks at the map of a cluster that may have changed.
const LOOK: Duration = Duration::from_secs(1);
/// Between two looks at one that hasn't, as far as is known.
const LONG_LOOK: Duration = Duration::from_secs(30);
/// What the map of a cluster may have.
const MAP: Bounds = Bounds { bytes: 4 << 20, values: 200_000 };

/// The servers, as they belong together.
pub(crate) enum Route {
    Single(Place),
    Sentinel(Box<Sentinels>),
    Cluster(Cluster),
}

impl Route {
    pub(crate) fn new(config: &Config, links: Links) -> Result<Self, Failure> {
        let mut places = config.addresses.iter().map(|address| address.place.clone());
        match &config.topology {
            Topology::Single => places.next().map(Self::Single).ok_or(Failure::NoPlace),
            Topology::Sentinel(name) => {
                Ok(Self::Sentinel(Box::new(Sentinels::new(name, places.collect(), links))))
            }
            Topology::Cluster => {
                Ok(Self::Cluster(Cluster { named: places.collect(), ..Cluster::default() }))
            }
        }
    }

    /// Finds the servers, and connects to them.
    pub(crate) fn prepare(&mut self, links: &mut Links, deadline: Instant) -> Result<(), Failure> {
        match self {
            Self::Single(place) => links.open(place, deadline).map(|_| ()),
            Self::Sentinel(sentinels) => sentinels.prepare(links, deadline),
            Self::Cluster(cluster) => cluster.prepare(links, deadline),
        }
    }

    /// Who has the place of a key.
    pub(crate) fn place(&self, slot: u16) -> Result<Place, Failure> {
        match self {
            Self::Single(place) => Ok(place.clone()),
            Self::Sentinel(sentinels) => sentinels.master().cloned().ok_or(Failure::NoMaster),
            Self::Cluster(cluster) => cluster
                .map
                .as_ref()
                .and_then(|map| map.place(slot))
                .cloned()
                .ok_or(Failure::NoPlace),
        }
    }

    /// A server has failed, or says that it isn't the right one.
    pub(crate) fn suspect(&mut self) {
        match self {
            Self::Single(_) => {}
            Self::Sentinel(sentinels) => sentinels.suspect(),
            Self::Cluster(cluster) => cluster.is_stale = true,
        }
    }

    /// A server says that another one has the place.
    pub(crate) fn move_to(&mut self, slot: u16, place: Place) {
        if let Self::Cluster(Cluster { map: Some(map), is_stale, .. }) = self {
            map.move_to(slot, place);
            *is_stale = true;
        }
    }
}

/// A Redis Cluster.
#[derive(Default)]
pub(crate) struct Cluster {
    named: Vec<Place>,
    map: Option<Map>,
    is_stale: bool,
    looked: Option<Instant>,
    /// Which one is asked first.
    next: usize,
}

impl Cluster {
    fn prepare(&mut self, links: &mut Links, deadline: Instant) -> Result<(), Failure> {
        let age = self.looked.map(|looked| looked.elapsed());
        let is_due = match (&self.map, age) {
            (None, _) | (_, None) => true,
            (Some(_), Some(age)) => age >= if self.is_stale { LOOK } else { LONG_LOOK },
        };
        if is_due {
            if let Err(failure) = self.look(links, deadline) {
                // The old one may still hold.
                if self.map.is_none() {
                    return Err(failure);
                }
            }
            self.looked = Some(Instant::now());
        }
        let Some(map) = &self.map else { return Err(Failure::NoPlace) };
        // One that is away must not keep the calls of the others from being made.
        let mut all = Err(Failure::NoPlace);
        let mut seen: Vec<&Place> = Vec::new();
        for place in map.places() {
            if !seen.contains(&place) {
                seen.push(place);
                let opened = links.open(place, deadline).map(|_| ());
                all = if all.is_ok() { all } else { opened };
            }
        }
        all
    }

    fn look(&mut self, links: &mut Links, deadline: Instant) -> Result<(), Failure> {
        let known = self.map.iter().flat_map(Map::places).cloned();
        let mut places: Vec<Place> = known.chain(self.named.iter().cloned()).collect();
        // Those that answer a moment ago first; among them, another one each time.
        places.sort_by_key(|place| !links.is_open(place));
        let open = places.iter().filter(|place| links.is_open(place)).count().max(1);
        places.get_mut(..open).unwrap_or_default().rotate_left(self.next % open);
        self.next = self.next.wrapping_add(1);
        let mut failure = Failure::NoPlace;
        let mut asked: Vec<Place> = Vec::new();
        for place in places {
            if asked.contains(&place) {
                continue;
            }
            match ask(links, &place, deadline).and_then(|answer| Map::read(&answer, &place)) {
                Ok(map) if map.places().next().is_some() => {
                    let named = &self.named;
                    links.keep(|place| {
                        named.contains(place) || map.places().any(|other| other == place)
                    });
                    (self.map, self.is_stale) = (Some(map), false);
                    return Ok(());
                }
                Ok(_) => failure = Failure::NoPlace,
                Err(error) => failure = error,
            }
            asked.push(place);
        }
        Err(failure)
    }
}

fn ask(links: &mut Links, place: &Place, deadline: Instant) -> Result<Value, Failure> {
    let connection = links.open(place, deadline)?;
    let answer = connection
        .send(&Command::of(&[b"CLUSTER", b"SLOTS"]), deadline)
        .and_then(|()| connection.receive(&mut { MAP }, deadline));
    if answer.is_err() {
        links.failed(place);
    }
    answer?.ok().map_err(|failure| links.harmless(failure))
}

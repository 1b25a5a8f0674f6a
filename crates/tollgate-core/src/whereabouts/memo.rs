//! The networks that keys were seen from a moment ago, which one worker remembers: a request from the same network
//! costs a look at two words of the shared memory.
//!
//! A direct-mapped table. What is remembered holds for the minute in which it was seen, as long as no other network
//! is added to the key.

use super::super::limits::ClaimLock;
use super::memory::{KeyHash, Place, Sighting, Whereabouts};
use super::{Minute, Network};

/// A power of two.
const PLACES: usize = 1024;

/// What one worker remembers.
pub struct NetworkMemo {
    places: Box<[Option<Known>]>,
}

struct Known {
    key: KeyHash,
    network: Network,
    minute: Minute,
    place: Place,
    networks: u16,
}

impl Default for NetworkMemo {
    fn default() -> Self {
        Self { places: (0..PLACES).map(|_| None).collect() }
    }
}

impl NetworkMemo {
    /// [`Whereabouts::note`].
    #[inline]
    pub fn note(
        &mut self,
        table: &Whereabouts<'_>,
        (key, network): (KeyHash, Network),
        most: u16,
        now: Minute,
        lock: &impl ClaimLock,
    ) -> Sighting {
        // Any place will do: only how often they share one depends on it.
        let mixed = key.word().wrapping_add(network.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let index = usize::try_from(mixed >> (64 - PLACES.ilog2())).unwrap_or(0);
        let place = self.places.get_mut(index);
        match place {
            Some(Some(known))
                if known.key == key
                    && known.network == network
                    && known.minute == now
                    && table.is_as_it_was(key, known.place) =>
            {
                Sighting { networks: known.networks, counts: true, crowded: false, is_new: false }
            }
            place => note_anew(table, (key, network), most, now, lock, place),
        }
    }
}

#[inline(never)]
fn note_anew(
    table: &Whereabouts<'_>,
    (key, network): (KeyHash, Network),
    most: u16,
    minute: Minute,
    lock: &impl ClaimLock,
    place: Option<&mut Option<Known>>,
) -> Sighting {
    let (sighting, at) = table.note_at(key, network, most, minute, lock);
    if let (Some(place), Some(at), true) = (place, at, sighting.counts) {
        *place = Some(Known { key, network, minute, place: at, networks: sighting.networks });
    }
    sighting
}

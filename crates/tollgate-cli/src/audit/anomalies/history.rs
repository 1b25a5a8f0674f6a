//! What the log tells of each key, hour by hour, in bounded memory: the lines may come in any order.

use std::collections::HashMap;

use super::network::Network;
use crate::audit::groups::write_name;
use crate::audit::record::{Record, RecordedDecision};
use crate::audit::totals::place_of;

/// Beyond these, what comes for the first time is overlooked, and counted.
const MAX_KEYS: usize = 100_000;
const MAX_STRANGERS: usize = 100_000;
const MAX_HOURS: usize = 1_000_000;
const MAX_NETWORKS: usize = 1_000_000;

/// The same for one key: who has one must not make us overlook others.
const MAX_NETWORKS_OF_KEY: usize = 4096;

/// The milliseconds of an hour.
pub(super) const HOUR_MS: i64 = 3_600_000;

/// What an hour came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hour {
    pub(super) requests: u32,
    pub(super) refused: u32,
    pub(super) tokens: u64,
    /// How often for each reason, by its place among all.
    pub(super) reasons: Vec<(usize, u32)>,
}

/// The hours in which somebody did something, in their order: hours since 1970.
pub(super) type Hours = Vec<(u32, Hour)>;

/// What came from a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The first time, in milliseconds since 1970.
    pub(super) first_ms: i64,
    pub(super) requests: u64,
    pub(super) refused: u64,
}

/// A key, or a client whose tokens are verified elsewhere.
#[derive(Default)]
pub(super) struct Key {
    pub(super) client: Option<Box<str>>,
    pub(super) key_id: Option<Box<str>>,
    pub(super) hours: Hours,
    pub(super) networks: HashMap<Network, Seen>,
}

/// All that is known.
#[derive(Default)]
pub(super) struct History {
    keys: HashMap<Box<[u8]>, Key>,
    /// Who presented no credential that is known, by network.
    pub(super) strangers: HashMap<Network, Hours>,
    /// All of them together.
    pub(super) all_strangers: Hours,
    hours: usize,
    networks: usize,
    pub(super) requests: u64,
    /// Requests of which something was not kept, as there is too much already.
    pub(super) overlooked: u64,
    name: Vec<u8>,
}

impl History {
    /// Counts a request.
    pub(super) fn count(&mut self, record: &Record<'_>) {
        let Ok(hour) = u32::try_from(record.time_ms.div_euclid(HOUR_MS)) else { return };
        self.requests += 1;
        let network = record.remote_addr().and_then(Network::of);
        let is_kept = match record.client().is_some() || record.key_id().is_some() {
            true => self.count_key(record, hour, network),
            false => self.count_stranger(record, hour, network),
        };
        self.overlooked += u64::from(!is_kept);
    }

    pub(super) fn keys(&self) -> impl ExactSizeIterator<Item = &Key> {
        self.keys.values()
    }

    /// Whether all of it was kept.
    fn count_key(&mut self, record: &Record<'_>, hour: u32, network: Option<Network>) -> bool {
        // What verifies the tokens of many clients is nobody's own.
        let is_token = matches!(record.auth(), Some("jwt" | "introspection"));
        let key_id = record.key_id().filter(|_| !is_token);
        self.name.clear();
        write_name(&mut self.name, record.client());
        write_name(&mut self.name, key_id);
        if !self.keys.contains_key(&*self.name) {
            if self.keys.len() >= MAX_KEYS {
                return false;
            }
            let text = |text: Option<&str>| text.map(Into::into);
            let (client, key_id) = (text(record.client()), text(key_id));
            self.keys.insert((*self.name).into(), Key { client, key_id, ..Key::default() });
        }
        let Some(key) = self.keys.get_mut(&*self.name) else { return false };
        let mut is_kept = add(&mut key.hours, &mut self.hours, hour, record);
        if let Some(network) = network {
            let is_full =
                self.networks >= MAX_NETWORKS || key.networks.len() >= MAX_NETWORKS_OF_KEY;
            if !is_full && !key.networks.contains_key(&network) {
                let nothing = Seen { first_ms: record.time_ms, requests: 0, refused: 0 };
                key.networks.insert(network, nothing);
                self.networks += 1;
            }
            match key.networks.get_mut(&network) {
                Some(seen) => {
                    seen.first_ms = seen.first_ms.min(record.time_ms);
                    seen.requests += 1;
                    seen.refused += u64::from(is_refused(record));
                }
                None => is_kept = false,
            }
        }
        is_kept
    }

    fn count_stranger(&mut self, record: &Record<'_>, hour: u32, network: Option<Network>) -> bool {
        if !is_refused(record) {
            return true;
        }
        let is_counted = add(&mut self.all_strangers, &mut self.hours, hour, record);
        let Some(network) = network else { return is_counted };
        if self.strangers.len() >= MAX_STRANGERS && !self.strangers.contains_key(&network) {
            return false;
        }
        let hours = self.strangers.entry(network).or_default();
        add(hours, &mut self.hours, hour, record) && is_counted
    }
}

fn is_refused(record: &Record<'_>) -> bool {
    record.outcome() == RecordedDecision::Refused
}

/// Whether there was room.
fn add(hours: &mut Hours, all: &mut usize, hour: u32, record: &Record<'_>) -> bool {
    // Mostly the last one.
    let place = match hours.last() {
        Some((last, _)) if *last == hour => Ok(hours.len() - 1),
        _ => hours.binary_search_by_key(&hour, |(hour, _)| *hour),
    };
    let place = match place {
        Ok(place) => place,
        Err(_) if *all >= MAX_HOURS => return false,
        Err(place) => {
            *all += 1;
            hours.insert(place, (hour, Hour::default()));
            place
        }
    };
    if let Some((_, hour)) = hours.get_mut(place) {
        hour.requests = hour.requests.saturating_add(1);
        let tokens =
            record.input_tokens.unwrap_or(0).saturating_add(record.output_tokens.unwrap_or(0));
        hour.tokens = hour.tokens.saturating_add(tokens);
        if is_refused(record) {
            hour.refused = hour.refused.saturating_add(1);
            let reason = place_of(record.reason());
            match hour.reasons.iter_mut().find(|(other, _)| *other == reason) {
                Some((_, count)) => *count = count.saturating_add(1),
                None => hour.reasons.push((reason, 1)),
            }
        }
    }
    true
}

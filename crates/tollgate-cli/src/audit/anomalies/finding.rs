//! What of a history is unusual.

use std::collections::VecDeque;

use super::history::{History, Hour, Hours, Key, Seen, HOUR_MS};
use super::network::Network;
use super::usual::{self, Usual};

/// So far back, history tells what is usual: four weeks, as days of the week differ.
pub(super) const HISTORY_DAYS: u32 = 28;

const DAY_HOURS: u32 = 24;

const HISTORY_HOURS: u32 = HISTORY_DAYS * DAY_HOURS;

/// Below these, an hour is not worth a word, however odd it is.
const MIN_REQUESTS: u64 = 30;
const MIN_TOKENS: u64 = 20_000;
const MIN_REFUSALS: u64 = 20;
const MIN_REFUSALS_OF_STRANGERS: u64 = 100;

/// A key that comes from a new network on more than one day in so many is on the move.
const MOVING_DAYS: usize = 4;

/// Who it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Key {
        client: Option<Box<str>>,
        key_id: Option<Box<str>>,
    },
    /// Whoever presented no credential that is known, from this network.
    Strangers(Network),
    /// From all networks.
    AllStrangers,
}

/// What an hour has too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    Requests,
    Tokens,
    Refusals,
}

impl Measure {
    fn of(self, hour: &Hour) -> u64 {
        match self {
            Self::Requests => hour.requests.into(),
            Self::Tokens => hour.tokens,
            Self::Refusals => hour.refused.into(),
        }
    }

    fn floor(self, subject: &Subject) -> u64 {
        match (self, subject) {
            (Self::Requests, _) => MIN_REQUESTS,
            (Self::Tokens, _) => MIN_TOKENS,
            (Self::Refusals, Subject::Key { .. }) => MIN_REFUSALS,
            (Self::Refusals, _) => MIN_REFUSALS_OF_STRANGERS,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Finding {
    /// Networks that the key had never come from, by when it first did.
    FirstNetworks {
        new: Vec<(Network, Seen)>,
        /// How many it had come from, and the one that it came from most.
        before: usize,
        most: Option<(Network, Seen)>,
        /// Since when it is known, in milliseconds since 1970.
        since_ms: i64,
    },
    /// An hour beyond what is usual.
    Surge {
        measure: Measure,
        value: u64,
        /// Enough is known to tell what is usual.
        is_known: bool,
        usual: Usual,
        hour: Hour,
    },
}

/// Something unusual, and when.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Anomaly {
    /// In milliseconds since 1970. Of an hour, its beginning.
    pub(super) time_ms: i64,
    pub(super) subject: Subject,
    pub(super) finding: Finding,
}

/// All that is unusual since `since_ms`, in the order of time. An hour counts if a part of it is.
pub(super) fn find(history: &History, since_ms: i64) -> Vec<Anomaly> {
    let mut found = Vec::new();
    for key in history.keys() {
        let subject = Subject::Key { client: key.client.clone(), key_id: key.key_id.clone() };
        for measure in [Measure::Requests, Measure::Tokens, Measure::Refusals] {
            surges(&subject, measure, &key.hours, since_ms, &mut found);
        }
        found.extend(first_networks(&subject, key, since_ms));
    }
    for (network, hours) in &history.strangers {
        surges(&Subject::Strangers(*network), Measure::Refusals, hours, since_ms, &mut found);
    }
    let all = &history.all_strangers;
    surges(&Subject::AllStrangers, Measure::Refusals, all, since_ms, &mut found);
    let name = |subject: &Subject| match subject {
        Subject::Key { client, key_id } => (0, client.clone(), key_id.clone(), None),
        Subject::Strangers(network) => (1, None, None, Some(*network)),
        Subject::AllStrangers => (2, None, None, None),
    };
    found.sort_by_cached_key(|anomaly| (anomaly.time_ms, name(&anomaly.subject)));
    found
}

/// Of how many keys enough is known to judge their last hour.
pub(super) fn judged_keys(history: &History) -> usize {
    let is_known = |key: &&Key| {
        let mut days: Vec<u32> = key.hours.iter().map(|(hour, _)| hour / DAY_HOURS).collect();
        days.dedup();
        usual::are_enough(key.hours.len(), days.len())
    };
    history.keys().filter(is_known).count()
}

fn surges(
    subject: &Subject,
    measure: Measure,
    hours: &Hours,
    since_ms: i64,
    found: &mut Vec<Anomaly>,
) {
    let floor = measure.floor(subject);
    let mut before = usual::Hours::default();
    let mut days = Days::default();
    let mut oldest = hours.iter().peekable();
    for (number, hour) in hours {
        let is_too_old = |(old, _): &&(u32, Hour)| old.saturating_add(HISTORY_HOURS) < *number;
        while let Some((_, gone)) = oldest.next_if(is_too_old) {
            before.remove(measure.of(gone));
            days.remove_first();
        }
        let time_ms = i64::from(*number) * HOUR_MS;
        let value = measure.of(hour);
        let is_known = usual::are_enough(before.len(), days.0.len());
        // A network of strangers needs no history: nobody has business there without a credential.
        let may_be = is_known || matches!(subject, Subject::Strangers(_));
        if may_be && time_ms + HOUR_MS > since_ms {
            if let Some(usual) = before.exceeded_by(value, floor, is_known) {
                let hour = hour.clone();
                let finding = Finding::Surge { measure, value, is_known, usual, hour };
                found.push(Anomaly { time_ms, subject: subject.clone(), finding });
            }
        }
        before.add(value);
        days.add(number / DAY_HOURS);
    }
}

/// The days that hours are on, which come and go in their order, and how many hours are on each.
#[derive(Default)]
struct Days(VecDeque<(u32, u32)>);

impl Days {
    fn add(&mut self, day: u32) {
        match self.0.back_mut() {
            Some((last, hours)) if *last == day => *hours += 1,
            _ => self.0.push_back((day, 1)),
        }
    }

    fn remove_first(&mut self) {
        if let Some((_, hours)) = self.0.front_mut() {
            *hours -= 1;
            if *hours == 0 {
                self.0.pop_front();
            }
        }
    }
}

/// One for all networks that are new, where enough is known of the key, and it isn't on the move.
fn first_networks(subject: &Subject, key: &Key, since_ms: i64) -> Option<Anomaly> {
    let mut networks: Vec<(Network, Seen)> =
        key.networks.iter().map(|(network, seen)| (*network, *seen)).collect();
    networks.sort_by_key(|(network, seen)| (seen.first_ms, *network));
    let since = networks.first().map(|(_, seen)| seen.first_ms)?;
    let day_of = |ms: i64| ms.div_euclid(i64::from(DAY_HOURS) * HOUR_MS);
    let mut hours = key.hours.iter().peekable();
    let (mut used_hours, mut used_days, mut last_used_day) = (0, 0, None);
    // Days on which it first came from some network; all those of its first day are none.
    let (mut moved_days, mut last_moved_day) = (0, day_of(since));
    let mut new = Vec::new();
    for (network, seen) in &networks {
        let hour = seen.first_ms.div_euclid(HOUR_MS);
        while let Some((number, _)) = hours.next_if(|(number, _)| i64::from(*number) < hour) {
            let day = number / DAY_HOURS;
            used_hours += 1;
            used_days += usize::from(last_used_day.replace(day) != Some(day));
        }
        let day = day_of(seen.first_ms);
        if day != last_moved_day {
            moved_days += usize::from(last_moved_day != day_of(since));
            last_moved_day = day;
        }
        let is_moving = moved_days * MOVING_DAYS > used_days;
        if seen.first_ms >= since_ms && usual::are_enough(used_hours, used_days) && !is_moving {
            new.push((*network, *seen));
        }
    }
    let time_ms = new.first().map(|(_, seen)| seen.first_ms)?;
    let before = networks.iter().filter(|(_, seen)| seen.first_ms < time_ms);
    let most = before.clone().max_by_key(|(_, seen)| seen.requests).copied();
    let before = before.count();
    let finding = Finding::FirstNetworks { new, before, most, since_ms: since };
    Some(Anomaly { time_ms, subject: subject.clone(), finding })
}

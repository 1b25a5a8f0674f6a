//! Where it is kept what requests teach, as it was computed a moment ago: the next request of a tier for a
//! model costs no hash.
//!
//! A direct-mapped table, in which the names pick the place. A key depends on nothing but the names and the
//! zone, which are compared; so nothing has to be forgotten.

use super::key::Key;
use super::learned::{Author, LearnedKeys};
use super::zone::{Group, Zone};

/// A power of two.
const PLACES: usize = 64;
/// Bytes of the longest name of a model that is remembered: clients choose it.
const MAX_MODEL: usize = 128;

/// The keys of tiers and models that one worker remembers.
pub struct LearnedMemo {
    places: Box<[Option<Known>]>,
}

struct Known {
    tier: Box<str>,
    model: Box<str>,
    group: Group,
    seed: (u64, u64),
    outputs: Key,
    inputs: Key,
}

impl Default for LearnedMemo {
    fn default() -> Self {
        Self { places: (0..PLACES).map(|_| None).collect() }
    }
}

impl LearnedMemo {
    /// [`Zone::learned_keys`], remembered.
    pub fn get(
        &mut self,
        zone: &Zone<'_>,
        (tier, model): (&str, &str),
        group: Group,
        author: Author,
    ) -> LearnedKeys {
        // Any place will do: only how often names share one depends on it.
        let word = |name: &str| {
            name.as_bytes().last_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes))
        };
        let mixed = (word(model) ^ word(tier).rotate_left(16)).wrapping_mul(0x9e37_79b1);
        let index = usize::try_from(mixed >> (32 - PLACES.ilog2())).ok();
        let Some(place) = index.and_then(|index| self.places.get_mut(index)) else {
            return zone.learned_keys((tier, model), group, author);
        };
        match place {
            Some(known)
                if *known.model == *model
                    && *known.tier == *tier
                    && known.group == group
                    && known.seed == zone.seed =>
            {
                LearnedKeys { outputs: known.outputs, inputs: known.inputs, author }
            }
            _ => {
                let keys = zone.learned_keys((tier, model), group, author);
                if model.len() <= MAX_MODEL {
                    let (outputs, inputs) = (keys.outputs, keys.inputs);
                    let (tier, model, seed) = (tier.into(), model.into(), zone.seed);
                    *place = Some(Known { tier, model, group, seed, outputs, inputs });
                }
                keys
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::memory;
    use super::*;

    #[test]
    fn what_is_remembered_is_what_the_zone_says() {
        let (words, others) = (memory(6), memory(6));
        let zone = Zone::format(&words, (1, 2)).unwrap();
        let other = Zone::format(&others, (3, 4)).unwrap();
        let mut memo = LearnedMemo::default();
        let long = "m".repeat(MAX_MODEL + 1);
        let models: Vec<_> = (0..100).map(|n| format!("llama-{n}")).collect();
        for model in models.iter().map(String::as_str).chain(["", "a", "ollama-1", &long]) {
            for tier in ["", "pro", "free", "pro-1"] {
                for (group, zone) in
                    [(Group::Clients, &zone), (Group::Strangers, &zone), (Group::Clients, &other)]
                {
                    for author in [zone.author(b"acme"), zone.author(b"other")] {
                        let expected = zone.learned_keys((tier, model), group, author);
                        assert_eq!(memo.get(zone, (tier, model), group, author), expected);
                        assert_eq!(memo.get(zone, (tier, model), group, author), expected);
                    }
                }
            }
        }
    }
}

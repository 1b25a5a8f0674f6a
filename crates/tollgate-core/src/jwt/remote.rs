//! When a key set that an identity provider publishes is asked for.
//!
//! A set is fresh for a while, and asked for anew before that ends. While the provider doesn't answer,
//! the last set is used for some time longer. A token that none of its keys has signed may be signed with a
//! key that is newer than the set, under a new `kid` or under one that is there: then it is asked for at once,
//! but not for each such token, as strangers can make them up. And at any time it is asked for once, by whoever
//! comes first.
//!
//! | the set is                     | a request                                                  |
//! |--------------------------------|------------------------------------------------------------|
//! | fresh                          | uses it; in the last fifth of that time, asks for the next |
//! | stale, and nobody asked yet    | asks, and waits                                            |
//! | stale, and the provider fails  | uses it, and asks now and then                             |
//! | not there, or too old          | asks, and waits; just after a failure, it is refused       |

use std::sync::Arc;

use super::keyset::KeySet;

/// Milliseconds between two askings for newer keys.
pub const NEWER_KEYS_MS: u64 = 10_000;

/// The longest time between a failure and the next try, in milliseconds.
const RETRY_MS: u64 = 1000;

/// For how long a set is used, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Without looking again.
    pub fresh_ms: u64,
    /// And then, as long as the provider fails.
    pub stale_ms: u64,
}

impl Default for Lifetime {
    fn default() -> Self {
        Self { fresh_ms: 300_000, stale_ms: 3_600_000 }
    }
}

/// The key set of a provider, as one process knows it. Times are milliseconds of one clock that never
/// goes back.
#[derive(Debug)]
pub struct RemoteKeys {
    lifetime: Lifetime,
    set: Option<Fetched>,
    /// Somebody asks at the moment.
    is_asking: bool,
    /// And began to, when the set was fresh.
    is_early: bool,
    /// The last asking that failed, if none has succeeded since.
    failed_at: Option<u64>,
    /// The last asking for newer keys.
    newer_at: Option<u64>,
}

#[derive(Debug)]
struct Fetched {
    keys: Arc<KeySet>,
    at: u64,
}

/// What a request does.
#[derive(Clone, Debug)]
pub enum Move {
    /// It uses this set.
    Use {
        /// The set.
        keys: Arc<KeySet>,
        /// And asks for the next one, without waiting for it.
        ask: bool,
    },
    /// It waits for the answer to whoever asked, or to its own asking.
    Wait {
        /// Nobody asked yet.
        ask: bool,
    },
    /// Nothing can be verified, and it was tried a moment ago.
    Unavailable,
}

impl RemoteKeys {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(lifetime: Lifetime) -> Self {
        Self {
            lifetime,
            set: None,
            is_asking: false,
            is_early: false,
            failed_at: None,
            newer_at: None,
        }
    }

    /// What a request does that needs keys.
    #[must_use]
    pub fn look(&self, now: u64) -> Move {
        let Lifetime { fresh_ms, stale_ms } = self.lifetime;
        let may_ask = !self.is_asking && !self.is_resting(now);
        if let Some(Fetched { keys, at }) = &self.set {
            let age = now.saturating_sub(*at);
            let ask = match age < fresh_ms {
                true => may_ask && age >= fresh_ms.saturating_sub(fresh_ms / 5),
                false => may_ask,
            };
            // A provider that doesn't answer in time is one that fails.
            let is_failing = self.failed_at.is_some() || (self.is_asking && self.is_early);
            let is_usable =
                age < fresh_ms || (is_failing && age < fresh_ms.saturating_add(stale_ms));
            if is_usable {
                return Move::Use { keys: Arc::clone(keys), ask };
            }
        }
        match self.is_asking || may_ask {
            true => Move::Wait { ask: may_ask },
            false => Move::Unavailable,
        }
    }

    /// What a request does whose token may be signed with a newer key; `None`: it is refused.
    pub fn look_for_newer(&mut self, now: u64) -> Option<Move> {
        if self.is_asking {
            return Some(Move::Wait { ask: false });
        }
        let is_recent = self.newer_at.is_some_and(|at| now.saturating_sub(at) < NEWER_KEYS_MS);
        if is_recent || self.is_resting(now) {
            return None;
        }
        self.newer_at = Some(now);
        Some(Move::Wait { ask: true })
    }

    /// A failure was too short a time ago.
    fn is_resting(&self, now: u64) -> bool {
        let retry_ms = RETRY_MS.min(self.lifetime.fresh_ms / 10);
        self.failed_at.is_some_and(|at| now.saturating_sub(at) < retry_ms)
    }

    /// Somebody asks.
    pub fn asked(&mut self, now: u64) {
        let age = self.set.as_ref().map(|set| now.saturating_sub(set.at));
        self.is_early = age.is_some_and(|age| age < self.lifetime.fresh_ms);
        self.is_asking = true;
    }

    /// The answer is no key set, or there is none. Whether it is the first failure since a success.
    pub fn failed(&mut self, now: u64) -> bool {
        self.is_asking = false;
        self.failed_at.replace(now).is_none()
    }

    /// The answer is this set. Whether that ends a time of failures.
    pub fn succeeded(&mut self, keys: Arc<KeySet>, now: u64) -> bool {
        self.is_asking = false;
        self.set = Some(Fetched { keys, at: now });
        self.failed_at.take().is_some()
    }

    /// The set that was fetched last, however old it is.
    #[must_use]
    pub fn last(&self) -> Option<&Arc<KeySet>> {
        self.set.as_ref().map(|set| &set.keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIFETIME: Lifetime = Lifetime { fresh_ms: 10_000, stale_ms: 20_000 };

    fn set() -> Arc<KeySet> {
        Arc::new(KeySet::load(&[("secret", b"0123456789abcdef0123456789abcdef")]).unwrap())
    }

    fn name(of: &Move) -> &'static str {
        match of {
            Move::Use { ask: false, .. } => "use",
            Move::Use { ask: true, .. } => "use and ask",
            Move::Wait { ask: true } => "ask and wait",
            Move::Wait { ask: false } => "wait",
            Move::Unavailable => "unavailable",
        }
    }

    fn look(keys: &RemoteKeys, now: u64) -> &'static str {
        name(&keys.look(now))
    }

    #[test]
    fn first_request_asks_and_waits_and_others_wait_with_it() {
        let mut keys = RemoteKeys::new(LIFETIME);
        assert_eq!(look(&keys, 0), "ask and wait");
        keys.asked(0);
        assert_eq!(look(&keys, 0), "wait");
        keys.succeeded(set(), 5);
        assert_eq!(look(&keys, 5), "use");
    }

    #[test]
    fn next_set_is_asked_for_in_the_last_fifth_and_nobody_waits_for_it() {
        let mut keys = RemoteKeys::new(LIFETIME);
        keys.succeeded(set(), 1000);
        assert_eq!(look(&keys, 8999), "use");
        assert_eq!(look(&keys, 9000), "use and ask");
        keys.asked(9000);
        assert_eq!(look(&keys, 9001), "use");
        // Nor if it takes long.
        assert_eq!(look(&keys, 12_000), "use");
        keys.succeeded(set(), 12_100);
        assert_eq!(look(&keys, 14_500), "use");
    }

    #[test]
    fn after_a_quiet_time_a_request_waits_for_a_new_set() {
        let mut keys = RemoteKeys::new(LIFETIME);
        keys.succeeded(set(), 0);
        assert_eq!(look(&keys, 10_000), "ask and wait");
        keys.asked(10_000);
        assert_eq!(look(&keys, 10_000), "wait");
    }

    #[test]
    fn while_the_provider_fails_the_last_set_is_used_up_to_the_bound() {
        let mut keys = RemoteKeys::new(LIFETIME);
        keys.succeeded(set(), 0);
        keys.asked(8000);
        assert!(keys.failed(10_000));
        assert_eq!(look(&keys, 10_000), "use");
        // A second later it is tried again, and nobody waits for that.
        assert_eq!(look(&keys, 11_000), "use and ask");
        keys.asked(11_000);
        assert!(!keys.failed(11_500));
        assert_eq!(look(&keys, 29_999), "use and ask");
        assert_eq!(look(&keys, 30_000), "ask and wait");
        keys.asked(30_000);
        keys.failed(30_100);
        assert_eq!(look(&keys, 30_200), "unavailable");
        assert_eq!(look(&keys, 31_100), "ask and wait");
        keys.asked(31_100);
        assert!(keys.succeeded(set(), 31_200));
        assert_eq!(look(&keys, 31_200), "use");
    }

    #[test]
    fn newer_keys_are_asked_for_once_in_ten_seconds() {
        let mut keys = RemoteKeys::new(Lifetime { fresh_ms: 300_000, ..LIFETIME });
        keys.succeeded(set(), 0);
        let kid = |keys: &mut RemoteKeys, now| keys.look_for_newer(now).map(|it| name(&it));
        assert_eq!(kid(&mut keys, 100), Some("ask and wait"));
        keys.asked(0);
        assert_eq!(kid(&mut keys, 150), Some("wait"));
        keys.succeeded(set(), 200);
        assert_eq!(kid(&mut keys, 300), None);
        assert_eq!(kid(&mut keys, 10_099), None);
        assert_eq!(kid(&mut keys, 10_100), Some("ask and wait"));
    }

    proptest! {
        /// Against what must hold at any time, whatever happens.
        #[test]
        fn nothing_is_used_beyond_its_time_and_nobody_asks_twice(
            steps in prop::collection::vec((0_u64..6000, 0_u8..4), 1..60),
        ) {
            let mut keys = RemoteKeys::new(LIFETIME);
            let (mut now, mut got, mut asking) = (0, None, false);
            for (wait, what) in steps {
                now += wait;
                let ask = match keys.look(now) {
                    Move::Use { ask, .. } => {
                        let age = now - got.unwrap();
                        prop_assert!(age < LIFETIME.fresh_ms + LIFETIME.stale_ms);
                        ask
                    }
                    Move::Wait { ask } => {
                        prop_assert!(ask || asking);
                        ask
                    }
                    Move::Unavailable => {
                        prop_assert!(got.is_none_or(|at| now - at >= LIFETIME.fresh_ms));
                        false
                    }
                };
                prop_assert!(!(ask && asking));
                match what {
                    0 | 1 if ask => {
                        keys.asked(now);
                        asking = true;
                    }
                    2 if asking => {
                        keys.failed(now);
                        asking = false;
                    }
                    3 if asking => {
                        keys.succeeded(set(), now);
                        (got, asking) = (Some(now), false);
                    }
                    _ => {}
                }
            }
        }
    }
}

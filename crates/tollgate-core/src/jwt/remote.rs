//! When a key set that an identity provider publishes is asked for.
//!
//! A set is fresh for a while, and asked for anew before that ends. While the provider doesn't answer,
//! the last set is used for some time longer. A token that none of its keys has signed may be signed with a
//! key that is newer than the set, under a new `kid` or under one that is there: then it is asked for at once,
//! but not for each such token, as strangers can make them up: so many for names and so many for signatures, lest
//! forged signatures keep a new name waiting. And at any time it is asked for once, by whoever comes first.
//!
//! A set without a key that can be used says that those of before are withdrawn: they are used no longer. That is
//! as when the provider fails and there was none.
//!
//! | the set is                     | a request                                                  |
//! |--------------------------------|------------------------------------------------------------|
//! | fresh                          | uses it; in the last fifth of that time, asks for the next |
//! | stale, and nobody asked yet    | asks, and waits                                            |
//! | stale, and the provider fails  | uses it, and asks now and then                             |
//! | not there, or too old          | asks, and waits; just after a failure, it is refused       |

use std::sync::Arc;

use super::keyset::KeySet;

/// Milliseconds between two askings for newer keys, of each kind.
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
    /// The last answer that was a set had no key.
    is_withdrawn: bool,
    /// The last asking for a key of another name, and for another key of a name.
    name_at: Option<u64>,
    signature_at: Option<u64>,
}

/// How the key of a token may be newer than a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Newer {
    /// No key of the set has its name.
    Name,
    /// Those that it may be meant for haven't signed it.
    Signature,
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
            is_withdrawn: false,
            name_at: None,
            signature_at: None,
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
    pub fn look_for_newer(&mut self, newer: Newer, now: u64) -> Option<Move> {
        if self.is_asking {
            return Some(Move::Wait { ask: false });
        }
        let is_resting = self.is_resting(now);
        let last = match newer {
            Newer::Name => &mut self.name_at,
            Newer::Signature => &mut self.signature_at,
        };
        if is_resting || last.is_some_and(|at| now.saturating_sub(at) < NEWER_KEYS_MS) {
            return None;
        }
        *last = Some(now);
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

    /// The answer is a set without a key that can be used. Whether there were keys, or it is the first failure
    /// since a success.
    pub fn withdrawn(&mut self, now: u64) -> bool {
        let had_keys = self.set.take().is_some();
        self.is_withdrawn = true;
        self.failed(now) || had_keys
    }

    /// Whether the provider has no keys, as far as it has said.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        self.is_withdrawn
    }

    /// The answer is this set. Whether that ends a time of failures.
    pub fn succeeded(&mut self, keys: Arc<KeySet>, now: u64) -> bool {
        self.is_asking = false;
        self.is_withdrawn = false;
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
    fn short_lived_set_is_asked_for_again_after_a_tenth_of_its_time() {
        let mut keys = RemoteKeys::new(Lifetime { fresh_ms: 2000, stale_ms: 0 });
        keys.asked(0);
        keys.failed(100);
        assert_eq!(look(&keys, 299), "unavailable");
        assert_eq!(look(&keys, 300), "ask and wait");
    }

    #[test]
    fn last_set_is_the_one_that_was_fetched_last() {
        let mut keys = RemoteKeys::new(LIFETIME);
        assert!(keys.last().is_none());
        keys.succeeded(set(), 0);
        let newer = set();
        keys.succeeded(Arc::clone(&newer), 100);
        keys.failed(200);
        assert!(keys.last().is_some_and(|last| Arc::ptr_eq(last, &newer)));
    }

    #[test]
    fn newer_keys_are_asked_for_once_in_ten_seconds() {
        let mut keys = RemoteKeys::new(Lifetime { fresh_ms: 300_000, ..LIFETIME });
        keys.succeeded(set(), 0);
        let kid =
            |keys: &mut RemoteKeys, now| keys.look_for_newer(Newer::Name, now).map(|it| name(&it));
        assert_eq!(kid(&mut keys, 100), Some("ask and wait"));
        keys.asked(0);
        assert_eq!(kid(&mut keys, 150), Some("wait"));
        keys.succeeded(set(), 200);
        assert_eq!(kid(&mut keys, 300), None);
        assert_eq!(kid(&mut keys, 10_099), None);
        assert_eq!(kid(&mut keys, 10_100), Some("ask and wait"));
    }

    #[test]
    fn wrong_signatures_keep_no_new_name_waiting_nor_the_other_way_round() {
        for (one, other) in [(Newer::Name, Newer::Signature), (Newer::Signature, Newer::Name)] {
            let mut keys = RemoteKeys::new(Lifetime { fresh_ms: 300_000, ..LIFETIME });
            keys.succeeded(set(), 0);
            let mut look = |newer, now| keys.look_for_newer(newer, now).map(|it| name(&it));
            assert_eq!(look(one, 100), Some("ask and wait"));
            assert_eq!(look(one, 200), None);
            assert_eq!(look(other, 200), Some("ask and wait"));
            assert_eq!(look(other, 300), None);
            assert_eq!(look(one, 10_099), None);
            assert_eq!(look(one, 10_100), Some("ask and wait"));
            assert_eq!(look(other, 10_199), None);
        }
    }

    #[test]
    fn keys_are_used_no_longer_when_the_provider_has_none() {
        let mut keys = RemoteKeys::new(LIFETIME);
        keys.succeeded(set(), 0);
        keys.asked(8000);
        assert!(!keys.is_withdrawn());
        assert!(keys.withdrawn(8100));
        assert!(keys.is_withdrawn() && keys.last().is_none());
        assert_eq!(look(&keys, 8100), "unavailable");
        assert_eq!(look(&keys, 9099), "unavailable");
        assert_eq!(look(&keys, 9100), "ask and wait");
        keys.asked(9100);
        assert!(!keys.withdrawn(9200));
        // What is no set says nothing of them.
        keys.asked(10_200);
        assert!(!keys.failed(10_300));
        assert!(keys.is_withdrawn());
        assert_eq!(look(&keys, 10_400), "unavailable");
        keys.asked(11_300);
        assert!(keys.succeeded(set(), 11_400));
        assert!(!keys.is_withdrawn());
        assert_eq!(look(&keys, 11_400), "use");
        // Also where others had failed before.
        keys.asked(19_400);
        assert!(keys.failed(19_500));
        keys.asked(20_500);
        assert!(keys.withdrawn(20_600));
        assert_eq!(look(&keys, 20_600), "unavailable");
    }

    proptest! {
        /// Against what must hold at any time, whatever happens.
        #[test]
        fn nothing_is_used_beyond_its_time_and_nobody_asks_twice(
            steps in prop::collection::vec((0_u64..6000, 0_u8..5), 1..60),
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
                    4 if asking => {
                        keys.withdrawn(now);
                        (got, asking) = (None, false);
                    }
                    _ => {}
                }
            }
        }
    }
}

//! Tokens that were found good a moment ago, so that the next request with one costs no signature.
//!
//! A set-associative table, as a processor's: the hash of a token picks one set of [`WAYS`] entries,
//! and a token that finds no room there takes the place of one that expired, or else of the one that
//! was used longest ago. So a look-up, an insertion and an eviction each touch one set, and memory is
//! what `new` allocated. Which set that is, nobody outside can tell, for the hash is keyed.

use std::hash::Hasher as _;
use std::sync::Arc;

use siphasher::sip128::{Hash128, Hasher128 as _, SipHasher13};

use super::error::TokenError;
use super::verify::VerifiedToken;
use crate::clock::{UnixSeconds, WallClock};
use crate::principal::Principal;

/// The longest time that a token is remembered, in seconds.
pub const MAX_CACHED_SECS: i64 = 300;

/// Entries in one set.
const WAYS: usize = 8;

/// The verified tokens that one worker remembers.
pub struct TokenCache {
    sets: Box<[Set]>,
    key: [u8; 16],
    /// Counts the uses of entries, to tell which one is the oldest.
    clock: u64,
}

type Set = [Option<Entry>; WAYS];

#[derive(Debug)]
struct Entry {
    /// Of the verifier and the whole token: 128 bits of a keyed hash, so that nobody can find a second
    /// token with the same.
    hash: Hash128,
    verdict: Result<VerifiedToken, TokenError>,
    stored: UnixSeconds,
    /// For how long.
    secs: i64,
    used: u64,
}

impl Entry {
    /// Whether this entry may still answer. Should the wall clock be set back, it may not: its time
    /// could not be told any more.
    fn is_fresh(&self, now: UnixSeconds) -> bool {
        (0..self.secs).contains(&now.0.saturating_sub(self.stored.0))
    }

    fn judge(&self, now: WallClock) -> Result<&VerifiedToken, TokenError> {
        let token = self.verdict.as_ref().map_err(|error| *error)?;
        token.check_time(now).map(|()| token)
    }
}

impl TokenCache {
    /// An empty cache for at most `capacity` tokens, rounded down to whole sets of eight (but at least
    /// one set; with a capacity of 0, none: nothing is remembered). `key` must be random, and secret.
    #[must_use]
    pub fn new(capacity: usize, key: [u8; 16]) -> Self {
        let sets = if capacity == 0 { 0 } else { (capacity / WAYS).max(1) };
        Self { sets: (0..sets).map(|_| Set::default()).collect(), key, clock: 0 }
    }

    /// The principal of `token`, if `verifier` (a number for one key set with one policy) has found it
    /// good less than [`MAX_CACHED_SECS`] ago, or what else was remembered of it; or why it is good no
    /// more. `None`: not known.
    pub fn get(
        &mut self,
        verifier: u64,
        token: &[u8],
        now: impl Into<WallClock>,
    ) -> Option<Result<Arc<Principal>, TokenError>> {
        let now = now.into();
        let hash = self.hash(verifier, token);
        self.clock += 1;
        let clock = self.clock;
        let slot = self
            .set(hash)?
            .iter_mut()
            .find(|slot| slot.as_ref().is_some_and(|entry| entry.hash == hash))?;
        let entry = slot.as_mut()?;
        if !entry.is_fresh(now.now().seconds()) {
            *slot = None;
            return None;
        }
        entry.used = clock;
        match entry.judge(now) {
            Ok(token) => Some(Ok(Arc::clone(token.principal()))),
            Err(error) => {
                // What was found wrong stays so for its time; what has become so is told once. What isn't
                // valid yet, will be.
                if entry.verdict.is_ok() && error == TokenError::Expired {
                    *slot = None;
                }
                Some(Err(error))
            }
        }
    }

    /// Remembers that `verifier` found `token` good at `now`.
    pub fn insert(
        &mut self,
        verifier: u64,
        token: &[u8],
        verified: &VerifiedToken,
        now: impl Into<WallClock>,
    ) {
        self.insert_for(verifier, token, Ok(verified), now, MAX_CACHED_SECS);
    }

    /// Remembers what `verifier` found of `token` at `now`, for so many seconds; with 0, not at all.
    pub fn insert_for(
        &mut self,
        verifier: u64,
        token: &[u8],
        verdict: Result<&VerifiedToken, TokenError>,
        now: impl Into<WallClock>,
        secs: i64,
    ) {
        let clock = now.into();
        let is_over = |token: &VerifiedToken| token.check_time(clock) == Err(TokenError::Expired);
        if secs <= 0 || verdict.is_ok_and(is_over) {
            return;
        }
        let now = clock.now().seconds();
        let hash = self.hash(verifier, token);
        self.clock += 1;
        let verdict = verdict.cloned();
        let entry = Entry { hash, verdict, stored: now, secs, used: self.clock };
        let Some(set) = self.set(hash) else {
            return;
        };
        // The same token, then an empty or dead place, then the one used longest ago.
        let rank = |slot: &Option<Entry>| match slot {
            Some(entry) if entry.hash == hash => (0, 0),
            None => (1, 0),
            Some(entry) if !entry.is_fresh(now) || entry.judge(clock).is_err() => (1, 0),
            Some(entry) => (2, entry.used),
        };
        if let Some(slot) = set.iter_mut().min_by_key(|slot| rank(slot)) {
            *slot = Some(entry);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.sets.iter_mut().for_each(|set| *set = Set::default());
    }

    /// The number of entries, expired ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sets.iter().flatten().flatten().count()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn hash(&self, verifier: u64, token: &[u8]) -> Hash128 {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write(&verifier.to_le_bytes());
        hasher.write(token);
        hasher.finish128()
    }

    fn set(&mut self, hash: Hash128) -> Option<&mut Set> {
        let sets = u64::try_from(self.sets.len()).ok()?;
        let index = usize::try_from(hash.h1.checked_rem(sets)?).ok()?;
        self.sets.get_mut(index)
    }
}

/// Neither the key nor anything about a token.
impl std::fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCache").field("sets", &self.sets.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::issuer;
    use super::super::{verify, KeySet, Policy};
    use super::*;

    use crate::clock::UnixMillis;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn verified(claims: &str, now: i64) -> VerifiedToken {
        let keys = KeySet::load(&[("secret", SECRET)]).unwrap();
        let token = issuer::hs256_token(SECRET, claims);
        let policy = Policy { require_exp: false, ..Policy::default() };
        verify(&token, &keys, &policy, UnixSeconds(now)).unwrap()
    }

    fn cache(capacity: usize) -> TokenCache {
        TokenCache::new(capacity, *b"a random 16 byte")
    }

    fn client(result: Option<Result<Arc<Principal>, TokenError>>) -> String {
        result.unwrap().unwrap().client().to_owned()
    }

    #[test]
    fn token_is_found_by_all_of_its_bytes_and_by_its_verifier() {
        let mut cache = cache(64);
        let now = UnixSeconds(1000);
        cache.insert(1, b"token", &verified(r#"{"sub":"acme","exp":2000}"#, 1000), now);
        assert_eq!(client(cache.get(1, b"token", now)), "acme");
        for (verifier, token) in
            [(2, &b"token"[..]), (1, b"toke"), (1, b"token2"), (1, b"Token"), (1, b"")]
        {
            assert!(cache.get(verifier, token, now).is_none(), "{verifier} {token:?}");
        }
    }

    #[test]
    fn expired_token_is_refused_at_its_second_and_then_forgotten() {
        let mut cache = cache(64);
        cache.insert(
            1,
            b"token",
            &verified(r#"{"sub":"acme","exp":1010}"#, 1000),
            UnixSeconds(1000),
        );
        assert_eq!(client(cache.get(1, b"token", UnixSeconds(1009))), "acme");
        assert_eq!(cache.get(1, b"token", UnixSeconds(1010)), Some(Err(TokenError::Expired)));
        assert_eq!(cache.get(1, b"token", UnixSeconds(1010)), None);
        assert!(cache.is_empty());
    }

    #[test]
    fn token_is_remembered_for_five_minutes_at_most() {
        for claims in [r#"{"sub":"acme","exp":9000}"#, r#"{"sub":"acme"}"#] {
            let mut cache = cache(64);
            let store = |cache: &mut TokenCache| {
                cache.insert(1, b"token", &verified(claims, 1000), UnixSeconds(1000));
            };
            store(&mut cache);
            // Use does not prolong it.
            assert_eq!(client(cache.get(1, b"token", UnixSeconds(1200))), "acme");
            assert_eq!(client(cache.get(1, b"token", UnixSeconds(1299))), "acme");
            assert_eq!(cache.get(1, b"token", UnixSeconds(1300)), None);
            assert!(cache.is_empty());
        }
    }

    #[test]
    fn verdict_is_remembered_for_its_own_time_good_or_bad() {
        let mut cache = cache(64);
        let good = verified(r#"{"sub":"acme","exp":1020}"#, 1000);
        let at = UnixSeconds;
        cache.insert_for(1, b"good", Ok(&good), at(1000), 60);
        cache.insert_for(1, b"bad", Err(TokenError::Inactive), at(1000), 10);
        cache.insert_for(1, b"never", Err(TokenError::Inactive), at(1000), 0);
        assert_eq!(cache.get(1, b"never", at(1000)), None);
        for now in [1000, 1009] {
            assert_eq!(client(cache.get(1, b"good", at(now))), "acme");
            assert_eq!(cache.get(1, b"bad", at(now)), Some(Err(TokenError::Inactive)));
        }
        assert_eq!(cache.get(1, b"bad", at(1010)), None);
        assert_eq!(cache.get(1, b"good", at(1020)), Some(Err(TokenError::Expired)));
        cache.insert_for(1, b"good", Ok(&good), at(1000), 5);
        assert_eq!(cache.get(1, b"good", at(1005)), None);
    }

    #[test]
    fn clock_set_back_empties_the_entry() {
        let mut cache = cache(64);
        cache.insert(
            1,
            b"token",
            &verified(r#"{"sub":"acme","exp":9000}"#, 1000),
            UnixSeconds(1000),
        );
        assert_eq!(cache.get(1, b"token", UnixSeconds(999)), None);
        assert!(cache.is_empty());
    }

    #[test]
    fn expired_token_is_not_stored() {
        let mut cache = cache(64);
        let token = verified(r#"{"sub":"acme","exp":1010,"nbf":990}"#, 1000);
        cache.insert(1, b"token", &token, UnixSeconds(1010));
        assert!(cache.is_empty());
        cache.insert(1, b"token", &token, UnixSeconds(990));
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn token_that_is_not_valid_yet_is_judged_again_when_its_time_comes() {
        let mut cache = cache(64);
        let token = verified(r#"{"sub":"acme","exp":1010,"nbf":990.5}"#, 1000);
        cache.insert(1, b"token", &token, UnixSeconds(989));
        for millis in [989_000, 990_499] {
            let known = cache.get(1, b"token", UnixMillis(millis));
            assert_eq!(known, Some(Err(TokenError::NotYetValid)), "{millis}");
        }
        assert_eq!(client(cache.get(1, b"token", UnixMillis(990_500))), "acme");
        // However much the clock lags.
        let lagging = WallClock::lagging(UnixMillis(989_900), || UnixMillis(990_500));
        assert_eq!(client(cache.get(1, b"token", lagging)), "acme");
        let lagging = WallClock::lagging(UnixMillis(1_009_900), || UnixMillis(1_010_000));
        assert_eq!(cache.get(1, b"token", lagging), Some(Err(TokenError::Expired)));
    }

    #[test]
    fn capacity_is_never_exceeded() {
        let token = verified(r#"{"sub":"acme","exp":9000}"#, 1000);
        for capacity in [0, 1, 8, 20, 64] {
            let mut cache = cache(capacity);
            for n in 0..1000_u64 {
                cache.insert(1, &n.to_le_bytes(), &token, UnixSeconds(1000));
            }
            let bound = if capacity == 0 { 0 } else { capacity.max(WAYS) };
            assert!(cache.len() <= bound, "{} in {capacity}", cache.len());
            assert_eq!(cache.len(), bound / WAYS * WAYS);
        }
    }

    #[test]
    fn full_set_gives_up_what_expired_then_what_was_used_longest_ago() {
        let mut cache = cache(WAYS);
        let long = verified(r#"{"sub":"acme","exp":9000}"#, 1000);
        let short = verified(r#"{"sub":"acme","exp":1010}"#, 1000);
        cache.insert(1, &[0], &long, UnixSeconds(1000));
        cache.insert(1, &[1], &long, UnixSeconds(1000));
        cache.insert(1, &[2], &short, UnixSeconds(1000));
        for n in 3..8 {
            cache.insert(1, &[n], &long, UnixSeconds(1000));
        }
        assert_eq!(client(cache.get(1, &[0], UnixSeconds(1005))), "acme");
        // 2 has expired, so it makes room, although 1 was used before it.
        cache.insert(1, &[8], &long, UnixSeconds(1010));
        assert!(cache.get(1, &[2], UnixSeconds(1010)).is_none());
        assert_eq!(cache.len(), WAYS);
        // Now 1 is the one used longest ago: 0 was looked up since.
        cache.insert(1, &[9], &long, UnixSeconds(1010));
        assert!(cache.get(1, &[1], UnixSeconds(1010)).is_none());
        for n in [0, 3, 4, 5, 6, 7, 8, 9] {
            assert!(cache.get(1, &[n], UnixSeconds(1010)).is_some(), "{n}");
        }
    }

    #[test]
    fn order_of_use_is_that_of_looking_up_and_else_that_of_coming() {
        let now = UnixSeconds(1000);
        let token = verified(r#"{"sub":"acme","exp":9000}"#, 1000);
        let mut looked_up = cache(WAYS);
        for n in 0..8 {
            looked_up.insert(1, &[n], &token, now);
        }
        for n in (0..8).rev() {
            assert!(looked_up.get(1, &[n], now).is_some(), "{n}");
        }
        looked_up.insert(1, &[8], &token, now);
        assert!(looked_up.get(1, &[7], now).is_none());
        for n in [0, 1, 2, 3, 4, 5, 6, 8] {
            assert!(looked_up.get(1, &[n], now).is_some(), "{n}");
        }
        let mut once = cache(WAYS);
        for n in 0..20 {
            once.insert(1, &[n], &token, now);
        }
        for n in 0..20 {
            assert_eq!(once.get(1, &[n], now).is_some(), n >= 12, "{n}");
        }
    }

    #[test]
    fn debug_output_tells_nothing_of_key_and_tokens() {
        let mut cache = cache(WAYS);
        assert!(cache.is_empty());
        let token = verified(r#"{"sub":"acme","exp":9000}"#, 1000);
        cache.insert(1, b"token", &token, UnixSeconds(1000));
        assert!(!cache.is_empty());
        assert_eq!(format!("{cache:?}"), "TokenCache { sets: 1, .. }");
    }

    #[test]
    fn same_token_takes_its_own_place() {
        let mut cache = cache(64);
        let token = verified(r#"{"sub":"acme","exp":9000}"#, 1000);
        cache.insert(1, b"token", &token, UnixSeconds(1000));
        cache.insert(1, b"token", &token, UnixSeconds(1250));
        assert_eq!(cache.len(), 1);
        assert_eq!(client(cache.get(1, b"token", UnixSeconds(1500))), "acme");
        cache.clear();
        assert!(cache.is_empty());
    }
}

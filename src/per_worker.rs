//! What one worker process keeps to itself.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use parking_lot::Mutex;
use tollgate_core::audit::TimeFormat;
use tollgate_core::detail::Told;
use tollgate_core::jwt::TokenCache;
use tollgate_core::keys::KeyMemo;
use tollgate_core::limits::{Holder, Quota, Scale, Zone};
use tollgate_core::llm::engines::RouteMemo;
use tollgate_core::request_id;

use crate::clock::mono_now;
use crate::random;
use crate::request::asks::Scratch;
use crate::request::queue::Queue;
use crate::request::revocation::Requests;
use crate::zone::Mapped;

/// Verified tokens that a worker remembers: about 4 MiB if all of them are in use.
const CACHED_TOKENS: usize = 8192;
/// API keys that a worker remembers.
const REMEMBERED_KEYS: usize = 4096;
/// Nanoseconds between two messages about rules that have no room.
const SAY_CROWDED: u64 = 60_000_000_000;
/// Rates from tokens that a worker remembers.
const CACHED_RATES: usize = 4096;

pub(crate) struct Worker {
    pub(crate) request_ids: request_id::Generator,
    pub(crate) tokens: TokenCache,
    pub(crate) api_keys: KeyMemo,
    pub(crate) routes: RouteMemo,
    pub(crate) time: TimeFormat,
    pub(crate) scratch: Scratch,
    /// The zone, and what this process holds in it; there from the start of the process on.
    pub(crate) zone: Option<Mapped>,
    pub(crate) holder: Option<Holder>,
    pub(crate) queue: Queue,
    pub(crate) requests: Requests,
    /// The refusals that the error log was told of.
    pub(crate) told: Told,
    token_rates: HashMap<NonZeroU32, (Scale, Arc<str>)>,
    /// When it was last said that a rule has no room, in nanoseconds of the monotonic clock.
    said_crowded: Option<u64>,
}

/// Made at the first request, and so after nginx has forked its workers: each has keys of its own.
static WORKER: Mutex<Option<Worker>> = Mutex::new(None);

/// Whether this process has changed limits since it was last asked.
static CHANGED: AtomicBool = AtomicBool::new(false);

/// Notes that limits are about to be changed, or have been: that makes the state worth writing.
pub(crate) fn note_changed() {
    CHANGED.store(true, Ordering::Relaxed);
}

/// Whether that was noted since it was last asked.
pub(crate) fn take_changed() -> bool {
    CHANGED.swap(false, Ordering::Relaxed)
}

/// Runs `f` with the worker's state. `f` must not call into nginx, which might call us back.
pub(crate) fn with<T>(f: impl FnOnce(&mut Worker) -> T) -> T {
    f(WORKER.lock().get_or_insert_with(Worker::new))
}

/// The same from where somebody else may be in the middle of that. `None`: so it is.
pub(crate) fn try_with<T>(f: impl FnOnce(&mut Worker) -> T) -> Option<T> {
    Some(f(WORKER.try_lock()?.get_or_insert_with(Worker::new)))
}

impl Worker {
    fn new() -> Self {
        // A worker without random keys must not serve: the panic is caught by the guard of the
        // callback, which refuses the request.
        #[allow(clippy::expect_used)]
        let key = || random::key().expect("random bytes from the kernel");
        Self {
            request_ids: request_id::Generator::new(key()),
            tokens: TokenCache::new(CACHED_TOKENS, key()),
            api_keys: KeyMemo::new(REMEMBERED_KEYS, key()),
            routes: RouteMemo::default(),
            time: TimeFormat::default(),
            scratch: Scratch::default(),
            zone: None,
            holder: None,
            queue: Queue::default(),
            requests: Requests::default(),
            told: Told::default(),
            token_rates: HashMap::new(),
            said_crowded: None,
        }
    }

    /// Whether it is time to say that a rule has no room.
    pub(crate) fn may_say_crowded(&mut self) -> bool {
        let now = mono_now().0;
        let is_due = self.said_crowded.is_none_or(|then| now.saturating_sub(then) > SAY_CROWDED);
        if is_due {
            self.said_crowded = Some(now);
        }
        is_due
    }

    /// The scale of the `rate_limit` of a token, and the name of the limit.
    pub(crate) fn token_rate(
        &mut self,
        zone: &Zone<'_>,
        per_minute: NonZeroU32,
    ) -> (Scale, Arc<str>) {
        if let Some(known) = self.token_rates.get(&per_minute) {
            return known.clone();
        }
        let quota = Quota::per_minute(per_minute);
        let rate = (zone.scale(quota), Arc::from(format!("requests {quota}")));
        if self.token_rates.len() >= CACHED_RATES {
            self.token_rates.clear();
        }
        self.token_rates.insert(per_minute, rate.clone());
        rate
    }
}

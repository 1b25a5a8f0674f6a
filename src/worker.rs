//! What one worker process keeps to itself.

use std::collections::HashMap;
use std::num::NonZeroU32;

use parking_lot::Mutex;
use tollgate_core::audit::TimeFormat;
use tollgate_core::jwt::TokenCache;
use tollgate_core::limits::{Ask, Quota, Scale, Standing, Zone};
use tollgate_core::request_id;

use crate::random;

/// Verified tokens that a worker remembers: about 4 MiB if all of them are in use.
const CACHED_TOKENS: usize = 8192;
/// Rates from tokens that a worker remembers.
const CACHED_RATES: usize = 4096;

pub(crate) struct Worker {
    pub(crate) request_ids: request_id::Generator,
    pub(crate) tokens: TokenCache,
    pub(crate) time: TimeFormat,
    /// The asks of the request that is being judged, and how they stand: kept, so that a request
    /// costs no allocation.
    pub(crate) asks: Vec<Ask>,
    pub(crate) standings: Vec<Standing>,
    token_rates: HashMap<NonZeroU32, Scale>,
}

/// Made at the first request, and so after nginx has forked its workers: each has keys of its own.
static WORKER: Mutex<Option<Worker>> = Mutex::new(None);

/// Runs `f` with the worker's state. `f` must not call into nginx, which might call us back.
pub(crate) fn with<T>(f: impl FnOnce(&mut Worker) -> T) -> T {
    f(WORKER.lock().get_or_insert_with(Worker::new))
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
            time: TimeFormat::default(),
            asks: Vec::new(),
            standings: Vec::new(),
            token_rates: HashMap::new(),
        }
    }

    /// The scale of the `rate_limit` of a token.
    pub(crate) fn token_rate(&mut self, zone: &Zone<'_>, per_minute: NonZeroU32) -> Scale {
        if let Some(scale) = self.token_rates.get(&per_minute) {
            return *scale;
        }
        let scale = zone.scale(Quota::per_minute(per_minute));
        if self.token_rates.len() >= CACHED_RATES {
            self.token_rates.clear();
        }
        self.token_rates.insert(per_minute, scale);
        scale
    }
}

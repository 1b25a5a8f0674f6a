//! Credentials that this worker remembers, so that they need not be judged anew.

use tollgate_core::cert::CertMemo;
use tollgate_core::jwt::TokenCache;
use tollgate_core::keys::KeyMemo;

use crate::per_worker::{random_key, PerWorker};

/// Verified tokens that a worker remembers: about 4 MiB if all of them are in use.
const CACHED_TOKENS: usize = 8192;
/// API keys that a worker remembers.
const REMEMBERED_KEYS: usize = 4096;

/// Certificates that a worker remembers, of connections or in headers.
const REMEMBERED_CERTIFICATES: usize = 2048;

/// Verified tokens.
pub(crate) static TOKENS: PerWorker<TokenCache> =
    PerWorker::new(|| TokenCache::new(CACHED_TOKENS, random_key()));

/// API keys, and what was found for them.
pub(crate) static API_KEYS: PerWorker<KeyMemo> =
    PerWorker::new(|| KeyMemo::new(REMEMBERED_KEYS, random_key()));

/// What was presented by connections and proxies.
pub(crate) static CERTIFICATES: PerWorker<CertMemo> =
    PerWorker::new(|| CertMemo::new(REMEMBERED_CERTIFICATES, random_key()));

/// Names in certificates, and what was found for them; under the number 0 those that are in no file.
pub(crate) static CERT_ENTRIES: PerWorker<KeyMemo> =
    PerWorker::new(|| KeyMemo::new(REMEMBERED_CERTIFICATES, random_key()));

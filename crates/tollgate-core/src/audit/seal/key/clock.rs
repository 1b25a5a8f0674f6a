//! Keys that go on with time.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::super::ratchet::{Ratchet, Secret};
use super::{secret, KeyError};
use crate::clock::UnixMillis;

/// Where in the file the clock is, which goes on while nginx runs, and its length.
pub const CLOCK_AT: usize = 512;
/// See [`CLOCK_AT`].
pub const CLOCK_LEN: usize = 256;

/// Seconds between two keys of the clock.
pub(in super::super) const CLOCK_SECONDS: i64 = 10;
/// The clock has no more keys: that is 680 years.
pub(in super::super) const MAX_CLOCK: u64 = 1 << 31;

/// Keys that go on with time, whatever happens: so nobody who has one can seal what is to be older than that.
#[derive(Debug)]
pub(in super::super) struct Clock {
    /// When the first one began, in seconds since 1970.
    pub(in super::super) since: i64,
    pub(in super::super) ratchet: Ratchet,
}

/// The second part of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockText<'a> {
    since: i64,
    epoch: u64,
    run: &'a str,
    key: &'a str,
    check: &'a str,
}

impl Clock {
    /// Which key is the one of this time (milliseconds since 1970). A clock that is set back has the one before.
    pub(in super::super) fn epoch(since: i64, time: UnixMillis) -> u64 {
        let seconds = time.seconds().0.saturating_sub(since);
        u64::try_from(seconds / CLOCK_SECONDS).unwrap_or(0).min(MAX_CLOCK)
    }

    /// What the file is to hold of it: [`CLOCK_LEN`] bytes.
    pub(in super::super) fn to_file(&self) -> Zeroizing<Vec<u8>> {
        let (run, key, epoch) = self.ratchet.parts();
        let encoded = |secret: &Secret| Zeroizing::new(URL_SAFE_NO_PAD.encode(secret.bytes()));
        let (run_text, key_text) = (encoded(run), encoded(key));
        let mut file = Zeroizing::new(Vec::with_capacity(CLOCK_LEN));
        for part in [
            "{\"since\":",
            &self.since.to_string(),
            ",\"epoch\":",
            &epoch.to_string(),
            ",\"run\":\"",
            &run_text,
            "\",\"key\":\"",
            &key_text,
            "\",\"check\":\"",
            &self.check(),
            "\"}",
        ] {
            file.extend_from_slice(part.as_bytes());
        }
        file.resize(CLOCK_LEN - 1, b' ');
        file.push(b'\n');
        file
    }

    pub(super) fn parse(file: &[u8]) -> Result<Self, KeyError> {
        let text: ClockText<'_> =
            serde_json::from_slice(file.trim_ascii_end()).map_err(|_| KeyError::Damaged)?;
        let (run, key) = (secret(Some(text.run), "run")?, secret(Some(text.key), "key")?);
        let clock = Self { since: text.since, ratchet: Ratchet::from_parts(run, key, text.epoch) };
        match *text.check == *clock.check() {
            true => Ok(clock),
            false => Err(KeyError::Damaged),
        }
    }

    fn check(&self) -> String {
        let (run, key, epoch) = self.ratchet.parts();
        let mut hash = Sha256::new();
        hash.update(b"tollgate audit seal 1: check of the clock");
        hash.update(self.since.to_le_bytes());
        hash.update(epoch.to_le_bytes());
        hash.update(run.bytes());
        hash.update(key.bytes());
        let hash: [u8; 32] = hash.finalize().into();
        URL_SAFE_NO_PAD.encode(hash.first_chunk::<9>().unwrap_or(&[0; 9]))
    }
}

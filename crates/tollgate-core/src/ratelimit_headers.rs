//! What a client is told about its `requests` limit, in three styles, and when to try again.
//!
//! Everything is rounded to the client's disadvantage (up, where it is a time to wait), so that a
//! client which does what the headers say is not refused.

use crate::clock::UnixMillis;
use crate::decimal::Decimal;

const NANOS_PER_MS: u64 = 1_000_000;
const NANOS_PER_SEC: u64 = 1_000_000_000;

/// A family of header names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `x-ratelimit-limit-requests` and so on, as OpenAI's API sends them.
    OpenAi,
    /// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).
    Ietf,
    /// `X-RateLimit-Limit`, `-Remaining`, `-Reset` (a unix time), `-Tier`.
    Legacy,
}

impl Style {
    /// The style with this name in the configuration.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "openai" => Some(Self::OpenAi),
            "ietf" => Some(Self::Ietf),
            "legacy" => Some(Self::Legacy),
            _ => None,
        }
    }

    /// The name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Ietf => "ietf",
            Self::Legacy => "legacy",
        }
    }
}

/// A set of styles; the default is the empty one (`off`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Styles {
    openai: bool,
    ietf: bool,
    legacy: bool,
}

impl Styles {
    /// This set and one style more.
    #[must_use]
    pub fn with(mut self, style: Style) -> Self {
        match style {
            Style::OpenAi => self.openai = true,
            Style::Ietf => self.ietf = true,
            Style::Legacy => self.legacy = true,
        }
        self
    }

    /// Whether the set holds the style.
    #[must_use]
    pub fn contains(self, style: Style) -> bool {
        match style {
            Style::OpenAi => self.openai,
            Style::Ietf => self.ietf,
            Style::Legacy => self.legacy,
        }
    }

    /// Whether no header is to be sent.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// One `requests` limit, as it stands after the request was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestsLimit {
    /// Requests a period.
    pub quota: u64,
    /// The period, in seconds.
    pub period_secs: u64,
    /// The most that can be used at once: the quota, or `burst=`.
    pub capacity: u64,
    /// Requests that would pass right now.
    pub remaining: u64,
    /// Until `remaining` is `capacity` again if nothing is used, in nanoseconds.
    pub until_full_nanos: u64,
}

/// Gives `emit` the name and value of each header that the `styles` call for.
///
/// `tier` is the client's tier, where it has one; `now` is for the styles that speak of a point in
/// time. Values are ASCII except for the tier. Allocates nothing.
pub fn write(
    styles: Styles,
    limit: &RequestsLimit,
    tier: Option<&str>,
    now: UnixMillis,
    mut emit: impl FnMut(&'static str, &[u8]),
) {
    let until_full_ms = limit.until_full_nanos.div_ceil(NANOS_PER_MS);
    if styles.openai {
        emit("x-ratelimit-limit-requests", Decimal::new(limit.capacity).as_bytes());
        emit("x-ratelimit-remaining-requests", Decimal::new(limit.remaining).as_bytes());
        emit("x-ratelimit-reset-requests", go_duration(until_full_ms).as_bytes());
    }
    if styles.ietf {
        let mut value = Text::default();
        value.push(b"\"requests\";q=");
        value.push_sf_integer(limit.quota);
        value.push(b";w=");
        value.push_sf_integer(limit.period_secs);
        emit("RateLimit-Policy", value.as_bytes());
        let mut value = Text::default();
        value.push(b"\"requests\";r=");
        value.push_sf_integer(limit.remaining);
        value.push(b";t=");
        value.push_sf_integer(limit.until_full_nanos.div_ceil(NANOS_PER_SEC));
        emit("RateLimit", value.as_bytes());
    }
    if styles.legacy {
        let now_ms = u64::try_from(now.0).unwrap_or(0);
        let reset_secs = now_ms.saturating_add(until_full_ms).div_ceil(1000);
        emit("X-RateLimit-Limit", Decimal::new(limit.capacity).as_bytes());
        emit("X-RateLimit-Remaining", Decimal::new(limit.remaining).as_bytes());
        emit("X-RateLimit-Reset", Decimal::new(reset_secs).as_bytes());
        if let Some(tier) = tier {
            emit("X-RateLimit-Tier", tier.as_bytes());
        }
    }
}

/// When a refused request would pass, in the units of the two headers that say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter {
    /// `Retry-After` (RFC 9110 section 10.2.3), in seconds.
    pub secs: u64,
    /// `retry-after-ms`, which the official SDKs prefer, in milliseconds.
    pub ms: u64,
}

impl RetryAfter {
    /// Gives `emit` the name and value of both headers.
    pub fn write(self, mut emit: impl FnMut(&'static str, &[u8])) {
        emit("Retry-After", Decimal::new(self.secs).as_bytes());
        emit("retry-after-ms", Decimal::new(self.ms).as_bytes());
    }
}

/// The headers for a wait of so many nanoseconds: rounded up, so that neither is 0 while there is
/// something to wait for.
#[must_use]
pub fn retry_after(wait_nanos: u64) -> RetryAfter {
    RetryAfter { secs: wait_nanos.div_ceil(NANOS_PER_SEC), ms: wait_nanos.div_ceil(NANOS_PER_MS) }
}

/// Milliseconds as Go's `time.Duration.String` prints them: `0s`, `12ms`, `1.5s`, `6m0s`, `1h0m0s`.
fn go_duration(ms: u64) -> Text {
    let mut text = Text::default();
    if ms > 0 && ms < 1000 {
        text.push_integer(ms);
        text.push(b"ms");
        return text;
    }
    let (minutes, ms) = (ms / 60_000, ms % 60_000);
    if minutes >= 60 {
        text.push_integer(minutes / 60);
        text.push(b"h");
    }
    if minutes > 0 {
        text.push_integer(minutes % 60);
        text.push(b"m");
    }
    text.push_integer(ms / 1000);
    let fraction = ms % 1000;
    if fraction > 0 {
        // One to three digits, without trailing zeros.
        text.push(b".");
        text.push_integer(fraction / 100);
        if fraction % 100 > 0 {
            text.push_integer(fraction / 10 % 10);
        }
        if fraction % 10 > 0 {
            text.push_integer(fraction % 10);
        }
    }
    text.push(b"s");
    text
}

/// The longest value: `"requests";q=999999999999999;w=999999999999999`.
const MAX_LEN: usize = 48;

/// A header value on the stack.
struct Text {
    bytes: [u8; MAX_LEN],
    len: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self { bytes: [0; MAX_LEN], len: 0 }
    }
}

impl Text {
    fn push(&mut self, part: &[u8]) {
        let end = self.len + part.len();
        let slot = self.bytes.get_mut(self.len..end);
        debug_assert!(slot.is_some(), "MAX_LEN is too small");
        if let Some(slot) = slot {
            slot.copy_from_slice(part);
            self.len = end;
        }
    }

    fn push_integer(&mut self, value: u64) {
        self.push(Decimal::new(value).as_bytes());
    }

    /// An integer of a structured field has at most 15 digits (RFC 9651 section 3.3.1).
    fn push_sf_integer(&mut self, value: u64) {
        self.push_integer(value.min(999_999_999_999_999));
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;

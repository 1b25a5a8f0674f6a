//! What a client is told about its limits on requests and on tokens, in three styles, and when to
//! try again.
//!
//! Everything is rounded to the client's disadvantage (up, where it is a time to wait), so that a
//! client which does what the headers say is not refused.

use crate::clock::UnixMillis;
use crate::limits::Standing;
use crate::short_text::ShortText;

const NANOS_PER_MS: u64 = 1_000_000;
const NANOS_PER_SEC: u64 = 1_000_000_000;

/// A family of header names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `x-ratelimit-limit-requests`, `x-ratelimit-limit-tokens` and so on, as OpenAI's API sends
    /// them.
    OpenAi,
    /// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).
    Ietf,
    /// `X-RateLimit-Limit`, `-Remaining`, `-Reset` (a unix time), `-Tier`; of tokens,
    /// `X-RateLimit-Tokens-Limit` and so on.
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

/// What a family of headers tells of, and its names.
struct Family {
    openai: [&'static str; 3],
    /// The name of the policy, as a string of a structured field.
    ietf: &'static [u8],
    legacy: [&'static str; 3],
}

const REQUESTS: Family = Family {
    openai: [
        "x-ratelimit-limit-requests",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-reset-requests",
    ],
    ietf: b"\"requests\"",
    legacy: ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"],
};

const TOKENS: Family = Family {
    openai: [
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-tokens",
    ],
    ietf: b"\"tokens\"",
    // Not `-Limit-Tokens`: names ignore case, and OpenAI's reset is of another kind.
    legacy: [
        "X-RateLimit-Tokens-Limit",
        "X-RateLimit-Tokens-Remaining",
        "X-RateLimit-Tokens-Reset",
    ],
};

/// Every name that [`write()`] may use, in lower case. An engine that sends one of them as well would
/// make it ambiguous.
pub const NAMES: [&str; 15] = [
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "ratelimit-policy",
    "ratelimit",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-tokens-limit",
    "x-ratelimit-tokens-remaining",
    "x-ratelimit-tokens-reset",
    "x-ratelimit-tier",
];

/// Gives `emit` the name and value of each header that the `styles` call for.
///
/// `requests` and `tokens` are the limits that the client is told about, `tier` is its tier, where
/// it has one; `now` is for the styles that speak of a point in time. Without a limit there is
/// nothing to tell. Values are ASCII except for the tier. Allocates nothing.
pub fn write(
    styles: Styles,
    requests: Option<&Standing>,
    tokens: Option<&Standing>,
    tier: Option<&str>,
    now: UnixMillis,
    mut emit: impl FnMut(&'static str, &[u8]),
) {
    let families = [(&REQUESTS, requests), (&TOKENS, tokens)];
    let told = families.map(|(family, limit)| limit.map(|limit| (family, limit)));
    let told = || told.into_iter().flatten();
    if told().next().is_none() {
        return;
    }
    if styles.openai {
        for (Family { openai: [name_limit, name_remaining, name_reset], .. }, limit) in told() {
            emit(name_limit, itoa::Buffer::new().format(limit.capacity).as_bytes());
            emit(name_remaining, itoa::Buffer::new().format(limit.remaining).as_bytes());
            emit(name_reset, go_duration(limit.until_full_nanos.div_ceil(NANOS_PER_MS)).as_bytes());
        }
    }
    if styles.ietf {
        let (mut policy, mut state) = (Value::default(), Value::default());
        for (family, limit) in told() {
            push_item(&mut policy, family, [(b";q=", limit.quota), (b";w=", limit.period_secs)]);
            let until_full_secs = limit.until_full_nanos.div_ceil(NANOS_PER_SEC);
            push_item(&mut state, family, [(b";r=", limit.remaining), (b";t=", until_full_secs)]);
        }
        emit("RateLimit-Policy", policy.as_bytes());
        emit("RateLimit", state.as_bytes());
    }
    if styles.legacy {
        let now_ms = u64::try_from(now.0).unwrap_or(0);
        for (Family { legacy: [name_limit, name_remaining, name_reset], .. }, limit) in told() {
            let reset_secs =
                now_ms.saturating_add(limit.until_full_nanos.div_ceil(NANOS_PER_MS)).div_ceil(1000);
            emit(name_limit, itoa::Buffer::new().format(limit.capacity).as_bytes());
            emit(name_remaining, itoa::Buffer::new().format(limit.remaining).as_bytes());
            emit(name_reset, itoa::Buffer::new().format(reset_secs).as_bytes());
        }
        if let Some(tier) = tier {
            emit("X-RateLimit-Tier", tier.as_bytes());
        }
    }
}

/// Appends an item with two parameters to a list (RFC 9651 section 3.1).
fn push_item(list: &mut Value, family: &Family, parameters: [(&[u8; 3], u64); 2]) {
    if !list.as_bytes().is_empty() {
        list.push(b", ");
    }
    list.push(family.ietf);
    for (name, value) in parameters {
        list.push(name);
        // An integer of a structured field has at most 15 digits (section 3.3.1).
        list.push_integer(value.min(999_999_999_999_999));
    }
}

/// Milliseconds as Go's `time.Duration.String` prints them: `0s`, `12ms`, `1.5s`, `6m0s`, `1h0m0s`.
fn go_duration(ms: u64) -> Value {
    let mut text = Value::default();
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

/// A header value. The longest is a list of two policies, each of the kind
/// `"requests";q=999999999999999;w=999999999999999`.
type Value = ShortText<96>;

#[cfg(test)]
mod tests;

//! The audit log: what is written down about each request.
//!
//! One request is one [`Record`], one record is one line, and a line is a JSON object: valid JSON
//! and valid UTF-8 whatever bytes the request held, since one broken line can stop the reader of
//! the whole log.

mod fields;
mod guard;
mod json;
pub mod seal;
mod time;
mod traceparent;

pub use fields::{FieldError, Fields};
pub use guard::GuardFindings;
pub use time::TimeFormat;

use crate::clock::UnixMillis;
use crate::decimal;
use crate::decision::{Decision, Reason};
use crate::detail::Detail;
use crate::llm::{Source, Usage};
use crate::money::Amount;
use crate::principal::{AuthMethod, Principal};

/// The longest `path` that is logged, in bytes; the rest is cut off.
pub const MAX_PATH_LEN: usize = 2048;

/// The longest other text that is logged, in bytes; the rest is cut off.
pub const MAX_TEXT_LEN: usize = 1024;

/// What is known of one request when it ends. Whatever is `None` is absent from the line, as is an
/// empty text.
///
/// Texts are bytes as nginx has them. No field holds a credential, a query string or a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// When the request ended, or began: the caller's choice, the same for all lines.
    pub time: UnixMillis,
    /// `X-Request-ID`, as it was passed to the backend.
    pub request_id: Option<&'a [u8]>,
    /// What was decided, and with a refusal its `reason`; `None` where nginx refused the request
    /// before anything was decided.
    pub decision: Option<Decision>,
    /// Why a request that was let in was cut off: its `reason` then.
    pub cut_off: Option<Reason>,
    /// The cause of the reason, where it has several. Not written without a reason.
    pub detail: Option<&'a Detail>,
    /// The HTTP status that the client got.
    pub status: Option<u16>,
    /// Who was authenticated, as [`identity()`] wrote it: takes the place of `client`, `tenant`, `key_id`, `tier`
    /// and `auth`.
    pub identity: Option<&'a [u8]>,
    /// The client's id.
    pub client: Option<&'a [u8]>,
    /// Who is behind the client.
    pub tenant: Option<&'a [u8]>,
    /// The `id` of the API key, or the `kid` of the key that verified the JWT.
    pub key_id: Option<&'a [u8]>,
    /// The client's tier.
    pub tier: Option<&'a [u8]>,
    /// How the client authenticated, or tried to.
    pub auth: Option<AuthMethod>,
    /// The client's address, as text.
    pub remote_addr: Option<&'a [u8]>,
    /// The HTTP method.
    pub method: Option<&'a [u8]>,
    /// The path. What follows a `?` is not logged, even if it was sent as `%3F`: a client that
    /// encodes once too often would put its query, and with it a key, into the log.
    pub path: Option<&'a [u8]>,
    /// The name of the engine that the location stands for.
    pub engine: Option<&'static str>,
    /// The model that the request names.
    pub model: Option<&'a [u8]>,
    /// What the request calls it, where that is an alias.
    pub alias: Option<&'a [u8]>,
    /// Whether the request asks for a stream.
    pub stream: Option<bool>,
    /// What the request was charged, and how that is known; `None` where it was not metered. With
    /// [`Source::None`] there are no tokens to write.
    pub usage: Option<(Source, Usage)>,
    /// What the tokens cost, in nano-units; `None` where they have no price.
    pub cost_nanos: Option<u64>,
    /// From the first byte of the request to the first of the answer's body, in milliseconds.
    pub ttft_ms: Option<u64>,
    /// From the first byte of the request to the last of the answer, in milliseconds.
    pub duration_ms: Option<u64>,
    /// The address of the backend that answered, as text.
    pub upstream: Option<&'a [u8]>,
    /// The backends that were tried before it, each with its status.
    pub tried: Option<&'a [u8]>,
    /// The status that the backend answered.
    pub upstream_status: Option<u16>,
    /// How long the backend took for its whole answer, in milliseconds.
    pub upstream_ms: Option<u64>,
    /// What the client sent, head included, in bytes.
    pub bytes_in: Option<u64>,
    /// What the client was sent, head included, in bytes.
    pub bytes_out: Option<u64>,
    /// The limit that refused the request, or else the one that is closest to doing so.
    pub limit: Option<&'a [u8]>,
    /// What was left of that limit.
    pub remaining: Option<Remaining>,
    /// From how many networks the key was used within an hour, if that is more than it may be.
    pub networks: Option<u64>,
    /// What guards found, in the request and in its answer.
    pub guard: Option<&'a GuardFindings>,
    /// Whether the decision was only made, and not carried out. Absent where false.
    pub dry_run: bool,
    /// The client's `traceparent` (W3C Trace Context). Absent where it is not well-formed.
    pub traceparent: Option<&'a [u8]>,
}

/// What is left of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remaining {
    /// Requests or tokens, or how many more may be in flight.
    Count(u64),
    /// Money, in nano-units.
    Nanos(u64),
}

/// What comes before the first `?`, or `%3F`.
fn without_query(path: &[u8]) -> &[u8] {
    let mut rest = path.iter();
    while let Some(byte) = rest.next() {
        let is_end = match byte {
            b'?' => true,
            b'%' => matches!(rest.as_slice(), [b'3', b'f' | b'F', ..]),
            _ => false,
        };
        if is_end {
            let end = path.len() - rest.as_slice().len() - 1;
            return path.get(..end).unwrap_or(path);
        }
    }
    path
}

/// `,"name":`
macro_rules! member {
    ($name:literal) => {
        concat!(",\"", $name, "\":").as_bytes()
    };
}

/// `,"name":"`, of a string.
macro_rules! string_member {
    ($name:literal) => {
        concat!(",\"", $name, "\":\"").as_bytes()
    };
}

impl<'a> Record<'a> {
    /// A record of which nothing but the time is known yet.
    #[must_use]
    pub fn new(time: UnixMillis) -> Self {
        Self {
            time,
            request_id: None,
            decision: None,
            cut_off: None,
            detail: None,
            status: None,
            identity: None,
            client: None,
            tenant: None,
            key_id: None,
            tier: None,
            auth: None,
            remote_addr: None,
            method: None,
            path: None,
            engine: None,
            model: None,
            alias: None,
            stream: None,
            usage: None,
            cost_nanos: None,
            ttft_ms: None,
            duration_ms: None,
            upstream: None,
            tried: None,
            upstream_status: None,
            upstream_ms: None,
            bytes_in: None,
            bytes_out: None,
            limit: None,
            remaining: None,
            networks: None,
            guard: None,
            dry_run: false,
            traceparent: None,
        }
    }

    /// Appends the line to `out`: one JSON object and a line feed, the fields in the order of the
    /// documentation.
    ///
    /// Control characters, U+2028 and U+2029, and characters that turn the direction of a text are
    /// escaped. Each run of bytes that is not UTF-8 becomes one or more U+FFFD, as
    /// [`String::from_utf8_lossy`] has it.
    pub fn write_line(&self, time: &mut TimeFormat, out: &mut Vec<u8>) {
        out.reserve(TYPICAL_LINE_LEN);
        out.extend_from_slice(b"{\"time\":\"");
        time.write(self.time, out);
        out.push(b'"');
        text(out, string_member!("request_id"), self.request_id);
        if let Some(decision) = self.decision {
            name(out, string_member!("decision"), Some(decision.as_str()));
            let reason = decision.reason().or(self.cut_off);
            name(out, string_member!("reason"), reason.map(|reason| reason.as_str()));
            if let (Some(_), Some(detail)) = (reason, self.detail) {
                text(out, string_member!("detail"), Some(detail.value().as_bytes()));
            }
        }
        number(out, member!("status"), self.status.map(u64::from));
        match self.identity {
            Some(identity) => out.extend_from_slice(identity),
            None => {
                let texts = [self.client, self.tenant, self.key_id, self.tier];
                write_identity(out, texts, self.auth);
            }
        }
        text(out, string_member!("remote_addr"), self.remote_addr);
        match self.method {
            // Nearly all are one of these.
            Some(b"GET") => out.extend_from_slice(b",\"method\":\"GET\""),
            Some(b"POST") => out.extend_from_slice(b",\"method\":\"POST\""),
            method => text(out, string_member!("method"), method),
        }
        if let Some(path) = self.path {
            let path = without_query(path);
            out.extend_from_slice(string_member!("path"));
            json::write_rest_of_string(out, path, MAX_PATH_LEN);
        }
        name(out, string_member!("engine"), self.engine);
        text(out, string_member!("model"), self.model);
        text(out, string_member!("alias"), self.alias);
        boolean(out, member!("stream"), self.stream);
        if let Some((source, usage)) = self.usage {
            write_usage(out, source, usage);
        }
        money(out, member!("cost"), self.cost_nanos);
        number(out, member!("ttft_ms"), self.ttft_ms);
        number(out, member!("duration_ms"), self.duration_ms);
        text(out, string_member!("tried"), self.tried);
        text(out, string_member!("upstream"), self.upstream);
        number(out, member!("upstream_status"), self.upstream_status.map(u64::from));
        number(out, member!("upstream_ms"), self.upstream_ms);
        number(out, member!("bytes_in"), self.bytes_in);
        number(out, member!("bytes_out"), self.bytes_out);
        text(out, string_member!("limit"), self.limit);
        match self.remaining {
            Some(Remaining::Count(count)) => number(out, member!("remaining"), Some(count)),
            Some(Remaining::Nanos(nanos)) => money(out, member!("remaining"), Some(nanos)),
            None => {}
        }
        number(out, member!("networks"), self.networks);
        if let Some(guard) = self.guard {
            guard.write(out);
        }
        boolean(out, member!("dry_run"), self.dry_run.then_some(true));
        text(
            out,
            string_member!("traceparent"),
            self.traceparent.and_then(traceparent::well_formed),
        );
        out.extend_from_slice(b"}\n");
    }
}

/// The members of a line that are the same for all requests of a principal in a tier, to be written once; with
/// those of `fields` that it has.
#[must_use]
pub fn identity(principal: &Principal, tier: Option<&str>, fields: &Fields) -> Box<[u8]> {
    let texts = [Some(principal.client()), principal.tenant(), principal.key_id(), tier];
    let mut out = Vec::new();
    write_identity(&mut out, texts.map(|text| text.map(str::as_bytes)), Some(principal.auth()));
    if let Some(about) = principal.about() {
        fields.write(about, &mut out);
    }
    out.into()
}

fn write_identity(
    out: &mut Vec<u8>,
    [client, tenant, key_id, tier]: [Option<&[u8]>; 4],
    auth: Option<AuthMethod>,
) {
    text(out, string_member!("client"), client);
    text(out, string_member!("tenant"), tenant);
    text(out, string_member!("key_id"), key_id);
    text(out, string_member!("tier"), tier);
    name(out, string_member!("auth"), auth.map(AuthMethod::as_str));
}

/// Room for one line, so that the buffer rarely grows in the middle of one.
const TYPICAL_LINE_LEN: usize = 1024;

// These are inlined so that `member` is copied as the constant that it is.

/// `member` is a [`string_member`].
#[inline(always)]
fn text(out: &mut Vec<u8>, member: &[u8], value: Option<&[u8]>) {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        out.extend_from_slice(member);
        json::write_rest_of_string(out, value, MAX_TEXT_LEN);
    }
}

/// A word of one of our closed lists: it needs no escape.
#[inline(always)]
fn name(out: &mut Vec<u8>, member: &[u8], value: Option<&'static str>) {
    if let Some(value) = value {
        out.extend_from_slice(member);
        out.extend_from_slice(value.as_bytes());
        out.push(b'"');
    }
}

/// Nano-units as a decimal number of units, with all digits that there are.
fn money(out: &mut Vec<u8>, member: &[u8], nanos: Option<u64>) {
    if let Some(nanos) = nanos {
        out.extend_from_slice(member);
        out.extend_from_slice(Amount::from_nanos(nanos).as_bytes());
    }
}

fn boolean(out: &mut Vec<u8>, member: &[u8], value: Option<bool>) {
    if let Some(value) = value {
        out.extend_from_slice(member);
        out.extend_from_slice(if value { b"true" } else { b"false" });
    }
}

/// The tokens, and how they are known. Those of a cache or of reasoning, which most engines never
/// tell of, are left out where there are none.
fn write_usage(out: &mut Vec<u8>, source: Source, usage: Usage) {
    if source != Source::None {
        let some = |tokens| Some(tokens).filter(|tokens| *tokens > 0);
        number(out, member!("input_tokens"), Some(usage.input));
        number(out, member!("output_tokens"), Some(usage.output));
        number(out, member!("cached_tokens"), some(usage.cached_input));
        if usage.cache_write > 0 {
            number(out, member!("cache_write_tokens"), some(usage.cache_write));
            number(out, member!("cache_write_1h_tokens"), some(usage.cache_write_1h));
        }
        number(out, member!("reasoning_tokens"), some(usage.reasoning));
    }
    name(out, string_member!("usage"), Some(source.as_str()));
}

#[inline(always)]
fn number(out: &mut Vec<u8>, member: &[u8], value: Option<u64>) {
    if let Some(value) = value {
        out.extend_from_slice(member);
        decimal::push(out, value);
    }
}

#[cfg(test)]
mod tests;

//! What a request's own `X-Mock-` headers ask for: the length and pace of its answer, and faults.
//! `help.txt` says what each of them does.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::engine::Engine;
use crate::error::ApiError;
use crate::http::Request;
use crate::options::Pace;

/// Which events of an answer have usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UsageMode {
    /// Those of the real engines.
    Honest,
    /// None, although asked for.
    Absent,
    /// The last two of a stream, asked for or not.
    Twice,
    /// Each of a stream, asked for or not.
    Every,
}

/// How a stream ends whose engine dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CutEnd {
    /// The connection is closed, without the end of the body.
    Closed,
    /// vLLM's event that says so, and the end mark.
    Error,
    /// The body ends as if all of it had been sent, without an end mark.
    Quiet,
}

/// How the answer to one request is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Controls {
    /// Before the answer begins.
    pub(crate) latency: Duration,
    /// Before each token.
    pub(crate) token_delay: Duration,
    /// Tokens of text, or of a tool call's arguments, in each choice.
    pub(crate) tokens: u64,
    /// Tokens of reasoning before them.
    pub(crate) reasoning_tokens: u64,
    /// Of the input; more than it has stands for all of it.
    pub(crate) cached_tokens: u64,
    /// Of the rest of the input: what is written to the cache, and of that what is kept for an hour.
    pub(crate) cache_write_tokens: u64,
    pub(crate) cache_write_1h_tokens: u64,
    pub(crate) tool_call: bool,
    pub(crate) usage: UsageMode,
    /// `"usage": null` on the chunks before the one with usage, as OpenAI has it.
    pub(crate) usage_null: bool,
    /// Answer with an error of this status, 400 to 599.
    pub(crate) status: Option<u16>,
    /// Close the connection after so many deltas.
    pub(crate) cut_after: Option<u64>,
    /// How a stream ends that is cut.
    pub(crate) cut_end: CutEnd,
    /// After the last delta, wait until the peer goes away.
    pub(crate) hold: bool,
    /// The only model that there is; without it any.
    pub(crate) models: Option<String>,
    /// The most tokens of an input.
    pub(crate) context: Option<u64>,
    /// llama.cpp was started with `--embeddings`.
    pub(crate) pooling: bool,
    /// Of server-sent events.
    pub(crate) line_end: &'static str,
    /// Server-sent events begin with a byte order mark.
    pub(crate) bom: bool,
    /// A comment before each server-sent event.
    pub(crate) comments: bool,
    /// The body goes out in pieces of so many bytes.
    pub(crate) split: Option<NonZeroUsize>,
    /// The body is gzip-encoded.
    pub(crate) gzip: bool,
}

impl Controls {
    /// The plain answer: no fault, nothing out of the ordinary.
    pub(crate) fn plain(pace: Pace) -> Self {
        Self {
            latency: pace.latency,
            token_delay: pace.token_delay,
            tokens: pace.tokens,
            reasoning_tokens: 0,
            cached_tokens: 0,
            cache_write_tokens: 0,
            cache_write_1h_tokens: 0,
            tool_call: false,
            usage: UsageMode::Honest,
            usage_null: true,
            status: None,
            cut_after: None,
            cut_end: CutEnd::Closed,
            hold: false,
            models: None,
            context: None,
            pooling: false,
            line_end: "\n",
            bom: false,
            comments: false,
            split: None,
            gzip: false,
        }
    }

    /// 400 for a value that cannot be read: a test with a misspelt header must not pass.
    pub(crate) fn of(request: &Request, pace: Pace) -> Result<Self, ApiError> {
        let mut controls = Self::plain(pace);
        for (name, value) in &request.headers {
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            if let Some(control) = name.strip_prefix("x-mock-") {
                let value = std::str::from_utf8(value).unwrap_or_default();
                controls.set(control, value, request).ok_or_else(|| {
                    ApiError::bad_request(
                        None,
                        format!("'{name}: {value}' is not understood; see mock-engine --help."),
                    )
                })?;
            }
        }
        Ok(controls)
    }

    /// `None` where the name or the value is not known.
    fn set(&mut self, name: &str, value: &str, request: &Request) -> Option<()> {
        match name {
            "tokens" => self.tokens = value.parse().ok()?,
            "latency-ms" => self.latency = Duration::from_millis(value.parse().ok()?),
            "token-delay-ms" => self.token_delay = Duration::from_millis(value.parse().ok()?),
            "cached-tokens" => self.cached_tokens = value.parse().ok()?,
            "cache-write-tokens" => self.cache_write_tokens = value.parse().ok()?,
            "cache-write-1h-tokens" => self.cache_write_1h_tokens = value.parse().ok()?,
            "reasoning-tokens" => self.reasoning_tokens = value.parse().ok()?,
            "tool-call" => self.tool_call = flag(value)?,
            "usage" => {
                self.usage = match value {
                    "none" => UsageMode::Absent,
                    "twice" => UsageMode::Twice,
                    "every" => UsageMode::Every,
                    _ => return None,
                }
            }
            "usage-null" => self.usage_null = flag(value)?,
            "status" => {
                self.status = Some(value.parse().ok().filter(|s| (400..600).contains(s))?);
            }
            "cut-after" => self.cut_after = Some(value.parse().ok()?),
            "cut-end" => {
                self.cut_end = match value {
                    "closed" => CutEnd::Closed,
                    "error" => CutEnd::Error,
                    "quiet" => CutEnd::Quiet,
                    _ => return None,
                }
            }
            // Judged before the request is routed.
            "engine" => {
                Engine::of(value)?;
            }
            "models" => self.models = Some(value.to_owned()),
            "context" => self.context = Some(value.parse().ok()?),
            "pooling" => self.pooling = flag(value)?,
            "hold" => self.hold = flag(value)?,
            "line-end" => {
                self.line_end = match value {
                    "lf" => "\n",
                    "cr" => "\r",
                    "crlf" => "\r\n",
                    _ => return None,
                }
            }
            "bom" => self.bom = flag(value)?,
            "comments" => self.comments = flag(value)?,
            "split" => self.split = Some(value.parse().ok()?),
            "encoding" => {
                self.gzip = match value {
                    "auto" => request.accepts_gzip(),
                    "always" => true,
                    _ => return None,
                }
            }
            _ => return None,
        }
        Some(())
    }
}

fn flag(value: &str) -> Option<bool> {
    match value {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Version;

    const PACE: Pace = Pace { latency: Duration::ZERO, token_delay: Duration::ZERO, tokens: 3 };

    fn controls(headers: &[(&str, &str)]) -> Result<Controls, ApiError> {
        let request = Request {
            method: b"POST".to_vec(),
            uri: b"/".to_vec(),
            version: Version::Http11,
            headers: headers
                .iter()
                .map(|(n, v)| (n.as_bytes().into(), v.as_bytes().into()))
                .collect(),
            body: Vec::new(),
        };
        Controls::of(&request, PACE)
    }

    #[test]
    fn a_request_without_headers_gets_the_plain_answer() {
        assert_eq!(controls(&[("Accept-Encoding", "gzip")]), Ok(Controls::plain(PACE)));
    }

    #[test]
    fn every_header_is_read_whatever_its_case() {
        let expected = Controls {
            latency: Duration::from_millis(1),
            token_delay: Duration::from_millis(2),
            tokens: 4,
            reasoning_tokens: 5,
            cached_tokens: 6,
            cache_write_tokens: 7,
            cache_write_1h_tokens: 8,
            tool_call: true,
            usage: UsageMode::Twice,
            usage_null: false,
            status: Some(503),
            cut_after: Some(0),
            cut_end: CutEnd::Error,
            hold: true,
            models: Some("m".to_owned()),
            context: Some(9),
            pooling: true,
            line_end: "\r\n",
            bom: true,
            comments: true,
            split: NonZeroUsize::new(7),
            gzip: true,
        };
        assert_eq!(
            controls(&[
                ("x-mock-latency-ms", "1"),
                ("X-Mock-Token-Delay-Ms", "2"),
                ("X-MOCK-TOKENS", "4"),
                ("X-Mock-Reasoning-Tokens", "5"),
                ("X-Mock-Cached-Tokens", "6"),
                ("X-Mock-Cache-Write-Tokens", "7"),
                ("X-Mock-Cache-Write-1h-Tokens", "8"),
                ("X-Mock-Tool-Call", "1"),
                ("X-Mock-Usage", "twice"),
                ("X-Mock-Usage-Null", "0"),
                ("X-Mock-Status", "503"),
                ("X-Mock-Cut-After", "0"),
                ("X-Mock-Cut-End", "error"),
                ("X-Mock-Models", "m"),
                ("X-Mock-Context", "9"),
                ("X-Mock-Pooling", "1"),
                ("X-Mock-Engine", "vllm"),
                ("X-Mock-Hold", "1"),
                ("X-Mock-Line-End", "crlf"),
                ("X-Mock-Bom", "1"),
                ("X-Mock-Comments", "1"),
                ("X-Mock-Split", "7"),
                ("X-Mock-Encoding", "always"),
            ]),
            Ok(expected)
        );
    }

    #[test]
    fn gzip_is_negotiated_unless_forced() {
        let gzip = |headers: &[(&str, &str)]| controls(headers).unwrap().gzip;
        let auto = ("X-Mock-Encoding", "auto");
        assert!(gzip(&[auto, ("Accept-Encoding", "br, GZIP;q=0.5")]));
        assert!(!gzip(&[auto, ("Accept-Encoding", "gzip;q=0")]));
        assert!(!gzip(&[auto, ("Accept-Encoding", "identity")]));
        assert!(!gzip(&[auto]));
        assert!(gzip(&[("X-Mock-Encoding", "always"), ("Accept-Encoding", "identity")]));
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        for (name, value) in [
            ("X-Mock-Tokens", "many"),
            ("X-Mock-Status", "200"),
            ("X-Mock-Split", "0"),
            ("X-Mock-Bom", "yes"),
            ("X-Mock-Usage", "thrice"),
            ("X-Mock-Line-End", "lfcr"),
            ("X-Mock-Encoding", "br"),
            ("X-Mock-Engine", "gpt"),
            ("X-Mock-Cut-End", "loud"),
            ("X-Mock-Token", "1"),
        ] {
            let error = controls(&[(name, value)]).unwrap_err();
            assert_eq!(error.status, 400);
            assert!(error.message.contains(&name.to_ascii_lowercase()), "{}", error.message);
        }
    }
}

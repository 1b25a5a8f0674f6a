//! The header names that pages may send, and those that they may read.

/// What clients of LLM APIs send from pages, in lower case: OpenAI's and Anthropic's packages, those of Azure,
/// Ollama, Hugging Face and LangChain, and traces.
const SENT: &str = "authorization, content-type, accept, accept-language, cache-control, last-event-id, user-agent, \
    x-api-key, api-key, x-requested-with, x-request-id, x-client-request-id, idempotency-key, prefer, \
    openai-organization, openai-project, openai-beta, anthropic-version, anthropic-beta, \
    anthropic-dangerous-direct-browser-access, traceparent, tracestate, baggage";

/// What packages that Stainless makes (OpenAI's and Anthropic's among them) say of themselves, by ever more
/// names.
const STAINLESS: &[u8] = b"x-stainless-";
/// So many of these are allowed in one answer.
const MAX_STAINLESS: usize = 32;
const MAX_NAME_LEN: usize = 64;

/// What is in our answers, and in those of engines and of the APIs that they speak, beside what every page
/// may read.
pub(super) const EXPOSED: &str = "x-request-id, request-id, x-should-retry, retry-after, retry-after-ms, \
    www-authenticate, x-ratelimit-limit-requests, x-ratelimit-remaining-requests, \
    x-ratelimit-reset-requests, x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, \
    x-ratelimit-reset-tokens, ratelimit-policy, ratelimit, x-ratelimit-limit, x-ratelimit-remaining, \
    x-ratelimit-reset, x-ratelimit-tokens-limit, x-ratelimit-tokens-remaining, x-ratelimit-tokens-reset, \
    x-ratelimit-tier, openai-version, openai-model, openai-organization, openai-processing-ms, \
    x-compute-type, x-compute-time, x-compute-characters, x-total-time, x-validation-time, x-queue-time, \
    x-inference-time, x-time-per-token, x-prompt-tokens, x-generated-tokens, server-timing, traceparent, \
    tracestate";

/// `token` of RFC 9110 section 5.6.2.
pub(super) fn is_token(name: &[u8]) -> bool {
    !name.is_empty()
        && name.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

/// The value of `Access-Control-Allow-Headers`: what is known, the headers for credentials, and of what is
/// asked for that which Stainless's packages send.
pub(super) fn allowed<'k, 'a>(
    key_headers: impl Iterator<Item = &'k [u8]>,
    asked: impl Iterator<Item = &'a [u8]>,
) -> Vec<u8> {
    let mut out = SENT.as_bytes().to_vec();
    let is_stainless = |name: &&[u8]| {
        let start = name.get(..STAINLESS.len());
        name.len() <= MAX_NAME_LEN
            && start.is_some_and(|start| start.eq_ignore_ascii_case(STAINLESS))
            && is_token(name)
    };
    let asked = asked.filter(is_stainless).take(MAX_STAINLESS).map(<[u8]>::to_ascii_lowercase);
    for name in key_headers.map(<[u8]>::to_ascii_lowercase).chain(asked) {
        let is_there = out.split(|byte| *byte == b',').any(|known| known.trim_ascii() == name);
        if !is_there {
            out.extend_from_slice(b", ");
            out.extend_from_slice(&name);
        }
    }
    out
}

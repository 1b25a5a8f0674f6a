//! How many tokens a request may take, guessed before it is sent.

use super::LlmRequest;

/// Tokens around a message or prompt, for which its text says nothing: the role, the marks between
/// messages.
const PER_MESSAGE: u64 = 4;

/// Tokens around the whole input: its beginning, the cue to answer.
const PER_REQUEST: u64 = 4;

/// How the input of a request is turned into tokens before the engine has counted them.
///
/// With one byte a token no byte-level tokenizer can make more tokens of the text, so that part is
/// an upper bound. The whole is not: what a template adds beyond a few tokens a message (a standing
/// system prompt, a verbose rendering of tools), what the engine keeps from before
/// (`previous_response_id`), and what a picture or a file really takes are not known here. Settlement
/// puts it right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    bytes_per_token: u64,
    media_tokens: u64,
}

impl Estimate {
    /// Text at `bytes_per_token`, and `media_tokens` for every picture, sound or file. `None` unless
    /// there are 1 to 16 bytes a token.
    #[must_use]
    pub fn new(bytes_per_token: u32, media_tokens: u64) -> Option<Self> {
        (1..=16)
            .contains(&bytes_per_token)
            .then_some(Self { bytes_per_token: bytes_per_token.into(), media_tokens })
    }

    /// The tokens of the input.
    #[must_use]
    pub fn input_tokens(&self, request: &LlmRequest) -> u64 {
        let input = &request.input;
        input
            .text_bytes
            .div_ceil(self.bytes_per_token.max(1))
            .saturating_add(input.token_ids)
            .saturating_add(input.messages.saturating_mul(PER_MESSAGE))
            .saturating_add(input.media.saturating_mul(self.media_tokens))
            .saturating_add(PER_REQUEST)
    }
}

impl Default for Estimate {
    /// Four bytes a token, as English text has about, and 1024 tokens a picture.
    fn default() -> Self {
        Self { bytes_per_token: 4, media_tokens: 1024 }
    }
}

/// The tokens of the output: the request's own bound, else `guess`, for each of its choices. 0 for
/// an endpoint whose answers are not made of tokens.
#[must_use]
pub fn output_tokens(request: &LlmRequest, guess: u64) -> u64 {
    if !request.endpoint.has_output() {
        return 0;
    }
    request.output_bound.unwrap_or(guess).saturating_mul(request.choices)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::{request, Endpoint, Engine};

    fn parse(body: &str, endpoint: Endpoint) -> LlmRequest {
        request::parse(body.as_bytes(), endpoint, Engine::OpenAi).unwrap()
    }

    #[test]
    fn text_is_rounded_up_and_messages_add_their_share() {
        let request = parse(r#"{"messages":[{"role":"user","content":"12345"}]}"#, Endpoint::Chat);
        // 4 bytes of the role and 5 of the content.
        assert_eq!(Estimate::default().input_tokens(&request), 3 + 4 + 4);
        assert_eq!(Estimate::new(1, 0).unwrap().input_tokens(&request), 9 + 4 + 4);
    }

    #[test]
    fn token_ids_and_media_count_by_their_number() {
        let request = parse(r#"{"prompt":[1,2,3]}"#, Endpoint::Completions);
        assert_eq!(Estimate::default().input_tokens(&request), 3 + 4);
        let request = parse(
            r#"{"messages":[{"content":[{"image_url":{"url":"https://example.com/a.png"}}]}]}"#,
            Endpoint::Chat,
        );
        assert_eq!(Estimate::new(4, 700).unwrap().input_tokens(&request), 700 + 4 + 4);
    }

    #[test]
    fn bytes_per_token_are_1_to_16() {
        for bytes in [1, 4, 16] {
            assert!(Estimate::new(bytes, 0).is_some());
        }
        for bytes in [0, 17, u32::MAX] {
            assert!(Estimate::new(bytes, 0).is_none());
        }
    }

    #[test]
    fn output_is_the_bound_or_the_guess_for_each_choice() {
        let bounded = parse(r#"{"max_tokens":10,"n":3}"#, Endpoint::Chat);
        assert_eq!(output_tokens(&bounded, 500), 30);
        let unbounded = parse(r#"{"n":3}"#, Endpoint::Chat);
        assert_eq!(output_tokens(&unbounded, 500), 1500);
        assert_eq!(output_tokens(&unbounded, u64::MAX), u64::MAX);
    }

    #[test]
    fn embeddings_have_no_output() {
        let request = parse(r#"{"input":["a","b"]}"#, Endpoint::Embeddings);
        assert_eq!(output_tokens(&request, 500), 0);
    }
}

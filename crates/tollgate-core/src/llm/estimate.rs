//! How many tokens a request may take, guessed before it is sent.

use super::{Endpoint, LlmRequest, Parts};
use crate::limits::learned::{Text, TextRates, FEATURES};

/// Tokens around a message or prompt, for which its text says nothing: the role, the marks between
/// messages.
const PER_MESSAGE: u64 = 4;

/// Tokens around the whole input: its beginning, the cue to answer.
const PER_REQUEST: u64 = 4;

/// Bytes of text a token, as English has about, as long as nothing is known of a model.
const BYTES_PER_TOKEN: u64 = 4;

/// The fewest tokens that text is taken for, whatever was learned: one for so many bytes.
const MOST_BYTES_PER_TOKEN: u64 = 16;

/// Tokens around a message or a request that a template may add, as far as that is learned.
const MOST_AROUND: u64 = 64;

/// What common vocabularies (Gemma 3, GPT-4o, Qwen 3, Llama 2) make of the parts of a text on average,
/// in thousandths of a token: what is learned begins there. In the order of [`Parts::all`], then for a
/// message and for a request.
const AVERAGE: [u32; FEATURES] =
    [1_100, 20, 170, 1_000, 730, 250, 160, 300, 350, 750, 2_000, 4_000, 4_000];

/// Where learning begins.
pub const START_RATES: TextRates = start_rates();

const fn start_rates() -> TextRates {
    let mut rates = AVERAGE;
    let mut at = 0;
    while at < FEATURES {
        // In its bounds.
        #[allow(clippy::indexing_slicing)]
        {
            rates[at] = (rates[at] << 16) / 1_000;
        }
        at += 1;
    }
    TextRates(rates)
}

/// How the input of a request is turned into tokens before the engine has counted them.
///
/// With one byte a token no byte-level tokenizer can make more tokens of the text, so that part is
/// an upper bound. The whole is not: what a template adds beyond a few tokens a message (a standing
/// system prompt, a verbose rendering of tools), what the engine keeps from before
/// (`previous_response_id`), and what a picture or a file really takes are not known here. Settlement
/// puts it right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// `None`: by what is learned of the model.
    bytes_per_token: Option<u64>,
    media_tokens: u64,
}

impl Estimate {
    /// Text by what is learned of the model, and `media_tokens` for every picture, sound or file.
    #[must_use]
    pub fn learned(media_tokens: u64) -> Self {
        Self { bytes_per_token: None, media_tokens }
    }

    /// Text at `bytes_per_token`, whatever the model, and `media_tokens` for every picture, sound or
    /// file. `None` unless there are 1 to 16 bytes a token.
    #[must_use]
    pub fn fixed(bytes_per_token: u32, media_tokens: u64) -> Option<Self> {
        (1..=16)
            .contains(&bytes_per_token)
            .then_some(Self { bytes_per_token: Some(bytes_per_token.into()), media_tokens })
    }

    /// Whether it goes by what is learned.
    #[must_use]
    pub fn is_learned(&self) -> bool {
        self.bytes_per_token.is_none()
    }

    /// The tokens of the input; `rates` are what is known of the model.
    #[must_use]
    pub fn input_tokens(&self, request: &LlmRequest, rates: Option<&TextRates>) -> u64 {
        let input = &request.input;
        let others = input.token_ids.saturating_add(input.media.saturating_mul(self.media_tokens));
        // There, parts of the text are read several times.
        let is_read_once = request.endpoint != Endpoint::GenerativeScoring;
        if let Some(rates) = rates.filter(|_| self.is_learned() && is_read_once) {
            let around = input.messages.saturating_add(1).saturating_mul(MOST_AROUND);
            let (least, most) =
                (input.text_bytes / MOST_BYTES_PER_TOKEN, input.text_bytes.saturating_add(around));
            return rates.tokens(&text(request)).clamp(least, most).saturating_add(others);
        }
        input
            .text_bytes
            .div_ceil(self.bytes_per_token.unwrap_or(BYTES_PER_TOKEN).max(1))
            .saturating_add(others)
            .saturating_add(input.messages.saturating_mul(PER_MESSAGE))
            .saturating_add(PER_REQUEST)
    }
}

/// What the input of a request is made of, for [`START_RATES`] and what is learned from them.
#[must_use]
pub fn text(request: &LlmRequest) -> Text {
    let mut text = [0; FEATURES];
    let around = [u32::try_from(request.input.messages).unwrap_or(u32::MAX), 1];
    for (count, part) in text.iter_mut().zip(request.parts.all().into_iter().chain(around)) {
        *count = part;
    }
    text
}

/// The tokens that an engine made of [the text](text) of a request of which it took so many in all;
/// `None` where they say nothing about it: where it has pictures, or several answers, of which some
/// engines count the first one's input only.
#[must_use]
pub fn tokens_of_text(request: &LlmRequest, input: u64) -> Option<u64> {
    let is_one = request.choices <= 1 && request.endpoint != Endpoint::GenerativeScoring;
    (request.input.media == 0 && is_one && request.input.text_bytes > 0)
        .then(|| input.saturating_sub(request.input.token_ids))
        .filter(|tokens| *tokens > 0)
}

/// More tokens than any model answers with. A larger bound is another way to say that there is none.
const MAX_OUTPUT: u64 = 1 << 20;

/// The tokens of the output: `each` for each of its choices. 0 for an endpoint whose answers are not made
/// of tokens.
#[must_use]
pub fn output_tokens(request: &LlmRequest, each: u64) -> u64 {
    if !request.endpoint.has_output() {
        return 0;
    }
    each.min(MAX_OUTPUT).saturating_mul(request.choices)
}

// The parts of a text, a message and a request.
const _: () = assert!(FEATURES == Parts::KINDS + 2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::{request, Engine};

    fn parse(body: &str, endpoint: Endpoint) -> LlmRequest {
        request::parse(body.as_bytes(), endpoint, Engine::OpenAi).unwrap()
    }

    fn unknown(request: &LlmRequest) -> u64 {
        Estimate::learned(1024).input_tokens(request, None)
    }

    #[test]
    fn text_is_rounded_up_and_messages_add_their_share() {
        let request = parse(r#"{"messages":[{"role":"user","content":"12345"}]}"#, Endpoint::Chat);
        // 4 bytes of the role and 5 of the content.
        assert_eq!(unknown(&request), 3 + 4 + 4);
        assert_eq!(Estimate::fixed(1, 0).unwrap().input_tokens(&request, None), 9 + 4 + 4);
    }

    #[test]
    fn token_ids_and_media_count_by_their_number() {
        let request = parse(r#"{"prompt":[1,2,3]}"#, Endpoint::Completions);
        assert_eq!(unknown(&request), 3 + 4);
        let request = parse(
            r#"{"messages":[{"content":[{"image_url":{"url":"https://example.com/a.png"}}]}]}"#,
            Endpoint::Chat,
        );
        assert_eq!(Estimate::fixed(4, 700).unwrap().input_tokens(&request, None), 700 + 4 + 4);
    }

    #[test]
    fn what_was_learned_counts_where_bytes_are_not_fixed() {
        let request = parse(r#"{"prompt":"0123456789"}"#, Endpoint::Completions);
        assert_eq!(unknown(&request), 3 + 4);
        let rates = START_RATES;
        // A token a digit, and what is around.
        assert_eq!(Estimate::learned(0).input_tokens(&request, Some(&rates)), 10 + 4);
        assert_eq!(Estimate::fixed(1, 0).unwrap().input_tokens(&request, Some(&rates)), 10 + 4);
        // Whatever that was.
        let none = TextRates([0; FEATURES]);
        let all = TextRates([u32::MAX; FEATURES]);
        let long =
            parse(&format!(r#"{{"prompt":"{}"}}"#, "a".repeat(1_600)), Endpoint::Completions);
        assert_eq!(Estimate::learned(0).input_tokens(&long, Some(&none)), 100);
        assert_eq!(Estimate::learned(0).input_tokens(&long, Some(&all)), 1_600 + 64);
    }

    #[test]
    fn what_has_pictures_or_several_answers_teaches_nothing() {
        for (body, expected) in [
            (r#"{"messages":[{"content":"abc"}]}"#, Some(50)),
            (r#"{"messages":[{"content":"abc"}],"n":2}"#, None),
            (r#"{"messages":[{"content":[{"image_url":{"url":"x"}}]}]}"#, None),
            (r#"{"messages":[]}"#, None),
        ] {
            assert_eq!(tokens_of_text(&parse(body, Endpoint::Chat), 50), expected, "{body}");
        }
    }

    #[test]
    fn bytes_per_token_are_1_to_16() {
        for bytes in [1, 4, 16] {
            assert!(Estimate::fixed(bytes, 0).is_some());
        }
        for bytes in [0, 17, u32::MAX] {
            assert!(Estimate::fixed(bytes, 0).is_none());
        }
    }

    #[test]
    fn output_is_the_bound_or_the_guess_for_each_choice() {
        let request = parse(r#"{"n":3}"#, Endpoint::Chat);
        assert_eq!(output_tokens(&request, 500), 1500);
        assert_eq!(output_tokens(&request, u64::MAX), 3 << 20);
    }

    #[test]
    fn embeddings_have_no_output() {
        let request = parse(r#"{"input":["a","b"]}"#, Endpoint::Embeddings);
        assert_eq!(output_tokens(&request, 500), 0);
    }
}

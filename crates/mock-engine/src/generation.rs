//! What is made up: decided in full before the first byte, so that whole and streamed answers
//! agree, and the usage with the deltas.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::controls::{Controls, UsageMode};

/// The text repeats these; each is one token.
const WORDS: [&str; 8] = ["The ", "gate ", "opens ", "for ", "those ", "who ", "bring ", "tokens "];

/// What a request asks for, whatever its dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) model: String,
    /// Of the whole input.
    pub(crate) input_tokens: u64,
    /// The most that each choice may have.
    pub(crate) max_tokens: Option<u64>,
    /// How many answers, each with its own tokens.
    pub(crate) choices: u64,
}

/// What a token belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Reasoning,
    Text,
    /// Of a tool call.
    Arguments,
}

/// One token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) text: &'static str,
}

/// Why an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    Length,
    ToolCall,
}

/// Tokens, as every dialect reports them in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Cached ones included.
    pub(crate) input: u64,
    /// Of the input.
    pub(crate) cached: u64,
    /// Of the rest of the input: written to the cache, and of that what is kept for an hour.
    pub(crate) written: u64,
    pub(crate) written_1h: u64,
    /// Reasoning included.
    pub(crate) output: u64,
    /// Of the output.
    pub(crate) reasoning: u64,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) model: String,
    pub(crate) choices: u64,
    pub(crate) usage_mode: UsageMode,
    /// Since 1970.
    pub(crate) created: Duration,
    /// Tells its ids from those of others.
    number: u64,
    input: u64,
    cached: u64,
    written: u64,
    written_1h: u64,
    /// Of one choice: tokens of reasoning, tokens of text or arguments, and how many of the sum
    /// there is room for.
    reasoning: u64,
    text: u64,
    tokens: u64,
    tool_call: bool,
}

impl Generation {
    pub(crate) fn new(ask: Ask, controls: &Controls) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);

        let wanted = controls.reasoning_tokens.saturating_add(controls.tokens);
        let cached = controls.cached_tokens.min(ask.input_tokens);
        let written = controls.cache_write_tokens.min(ask.input_tokens - cached);
        Self {
            model: ask.model,
            choices: ask.choices,
            usage_mode: controls.usage,
            created: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            input: ask.input_tokens,
            cached,
            written,
            written_1h: controls.cache_write_1h_tokens.min(written),
            reasoning: controls.reasoning_tokens,
            text: controls.tokens,
            tokens: wanted.min(ask.max_tokens.unwrap_or(u64::MAX)),
            tool_call: controls.tool_call && controls.tokens > 0,
        }
    }

    /// Bounds the output of each choice, for APIs that have the bound elsewhere.
    pub(crate) fn shorten_to(&mut self, tokens: u64) {
        let wanted = self.reasoning.saturating_add(self.text);
        self.tokens = wanted.min(tokens);
    }

    /// An id in the manner of the APIs.
    pub(crate) fn id(&self, prefix: &str) -> String {
        format!("{prefix}mock-{}", self.number)
    }

    /// The tokens of one choice.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = Token> + '_ {
        (0..self.tokens).zip(WORDS.into_iter().cycle()).map(|(position, word)| {
            match position.checked_sub(self.reasoning) {
                None => Token { kind: Kind::Reasoning, text: word },
                Some(at) if self.tool_call => {
                    Token { kind: Kind::Arguments, text: self.argument(at, word) }
                }
                Some(_) => Token { kind: Kind::Text, text: word },
            }
        })
    }

    /// Token `at` of the arguments, which are a JSON object if nothing cuts them short.
    fn argument(&self, at: u64, word: &'static str) -> &'static str {
        match (at, self.text - 1 - at) {
            (0, 0) => "{}",
            (0, _) => r#"{"text":""#,
            (_, 0) => r#""}"#,
            _ => word,
        }
    }

    /// All tokens of one kind; `None` where the answer has none.
    pub(crate) fn text(&self, kind: Kind) -> Option<String> {
        let text: String = self.tokens().filter(|t| t.kind == kind).map(|t| t.text).collect();
        Some(text).filter(|text| !text.is_empty())
    }

    pub(crate) fn finish(&self) -> Finish {
        if self.tokens < self.reasoning.saturating_add(self.text) {
            Finish::Length
        } else if self.tool_call {
            Finish::ToolCall
        } else {
            Finish::Stop
        }
    }

    /// Of all choices.
    pub(crate) fn usage(&self) -> Usage {
        self.usage_after(self.tokens.saturating_mul(self.choices))
    }

    /// When `output` tokens, of all choices together, are out; reasoning comes first.
    pub(crate) fn usage_after(&self, output: u64) -> Usage {
        Usage {
            input: self.input,
            cached: self.cached,
            written: self.written,
            written_1h: self.written_1h,
            output,
            reasoning: output.min(self.reasoning.saturating_mul(self.choices)),
        }
    }

    /// Whether a whole answer has usage.
    pub(crate) fn has_usage(&self) -> bool {
        self.usage_mode != UsageMode::Absent
    }

    /// Whether each event of a stream has it.
    pub(crate) fn has_usage_on_every_event(&self) -> bool {
        self.usage_mode == UsageMode::Every
    }

    /// Whether the last event but one of a stream has it.
    pub(crate) fn has_usage_before_the_end(&self) -> bool {
        matches!(self.usage_mode, UsageMode::Every | UsageMode::Twice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Pace;

    fn generation(max_tokens: Option<u64>, change: impl FnOnce(&mut Controls)) -> Generation {
        let pace = Pace { latency: Duration::ZERO, token_delay: Duration::ZERO, tokens: 3 };
        let mut controls = Controls::plain(pace);
        change(&mut controls);
        let ask = Ask { model: "m".to_owned(), input_tokens: 7, max_tokens, choices: 2 };
        Generation::new(ask, &controls)
    }

    #[test]
    fn the_bound_cuts_the_answer() {
        for (max_tokens, tokens, finish) in [
            (None, 3, Finish::Stop),
            (Some(4), 3, Finish::Stop),
            (Some(3), 3, Finish::Stop),
            (Some(2), 2, Finish::Length),
            (Some(0), 0, Finish::Length),
        ] {
            let generation = generation(max_tokens, |_| {});
            assert_eq!(generation.tokens().count(), tokens);
            assert_eq!(generation.usage().output, 2 * u64::try_from(tokens).unwrap());
            assert_eq!(generation.finish(), finish);
        }
    }

    #[test]
    fn reasoning_comes_first_and_counts_as_output() {
        let generation = generation(Some(4), |controls| controls.reasoning_tokens = 2);
        let kinds: Vec<_> = generation.tokens().map(|token| token.kind).collect();
        assert_eq!(kinds, [Kind::Reasoning, Kind::Reasoning, Kind::Text, Kind::Text]);
        assert_eq!(generation.finish(), Finish::Length);
        let usage =
            Usage { input: 7, cached: 0, written: 0, written_1h: 0, output: 8, reasoning: 4 };
        assert_eq!(generation.usage(), usage);
        assert_eq!(generation.usage_after(3), Usage { output: 3, reasoning: 3, ..usage });
    }

    #[test]
    fn arguments_are_json_unless_cut_short() {
        for tokens in 1..5 {
            let whole = generation(None, |controls| {
                controls.tool_call = true;
                controls.tokens = tokens;
            });
            let arguments = whole.text(Kind::Arguments).unwrap();
            assert!(serde_json::from_str::<serde_json::Value>(&arguments).unwrap().is_object());
            assert_eq!(whole.finish(), Finish::ToolCall);
            assert_eq!(whole.text(Kind::Text), None);
        }
        let cut = generation(Some(1), |controls| controls.tool_call = true);
        assert_eq!(cut.text(Kind::Arguments).unwrap(), r#"{"text":""#);
        assert_eq!(cut.finish(), Finish::Length);
    }

    #[test]
    fn no_more_is_cached_than_there_is() {
        let cached = |tokens| generation(None, |c| c.cached_tokens = tokens).usage().cached;
        assert_eq!((cached(3), cached(99)), (3, 7));
    }
}

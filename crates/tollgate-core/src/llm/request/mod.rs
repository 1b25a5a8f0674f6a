//! What a request asks of the engine, read in one pass over its JSON body (RFC 8259), which may come in
//! slices.
//!
//! Nothing of the body is kept but the name of the model and a few numbers. Servers differ in what
//! they make of a key that comes twice, of `MODEL`, and of `"stream": 1`; so such a body is refused
//! instead of guessing what the engine behind will read.

mod body;
mod error;
mod input;
pub mod members;
mod names;
mod place;
mod scalar;
mod stream_options;
mod told;

#[cfg(test)]
mod tests;

pub use error::RequestError;
pub use stream_options::UsageEdit;

use body::Body;
use stream_options::StreamOptions;
use told::At;

use super::{Endpoint, Engine, Parts};
use crate::json::{Fault, Scanner, Utf8};

/// How deep arrays and objects may stand inside each other. Just under the 128 at which serde_json
/// gives up, so that the refusal can say why.
pub const MAX_DEPTH: u32 = 120;

/// The longest name of a model, in bytes.
pub const MAX_MODEL_LEN: usize = 256;

/// The largest `n`, `n_cmpl` and `best_of`. vLLM's own limit is 16384, OpenAI's 128.
pub const MAX_CHOICES: u64 = 4096;

/// What a request asks for, as far as limits and metering go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LlmRequest {
    /// The endpoint that it was sent to.
    pub endpoint: Endpoint,
    /// `model`, as the engine reads it. At most [`MAX_MODEL_LEN`] bytes, without control characters.
    pub model: Option<Box<str>>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// The most output tokens of one choice; `None` where the request sets no bound. Where it sets
    /// several, the largest, as engines differ in which one counts. A bound of 0 is none: to some
    /// engines it means no tokens, to others no limit.
    pub output_bound: Option<u64>,
    /// How many outputs there will be: `n` or `best_of` (to llama.cpp also `n_cmpl`), whichever is
    /// larger, for every prompt.
    pub choices: u64,
    /// Whether the answer is made after the request has been answered: `background` of Responses.
    pub background: bool,
    /// How many of them are made of one prompt.
    pub per_prompt: u64,
    /// How much the model is given to read.
    pub input: InputSize,
    /// What its text is made of.
    pub parts: Parts,
    stream_options: StreamOptions,
}

/// How much a request gives the model to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputSize {
    /// Bytes of text, in UTF-8, escapes decoded: the strings in the messages, the prompt and the
    /// like. What a model is shown as JSON (the schemas of tools, the arguments of calls) counts as
    /// long as it is when written without blanks and escapes.
    pub text_bytes: u64,
    /// Messages, or prompts where there is an array of them.
    pub messages: u64,
    /// Pictures, sounds and files, by value or by URL. Their bytes are not among the text.
    pub media: u64,
    /// Tokens that were given as numbers.
    pub token_ids: u64,
}

/// Reads the body of a request to `endpoint` of `engine`, all of it in one slice. See [`BodyReader`].
///
/// # Errors
/// As [`BodyReader::finish`].
pub fn parse(body: &[u8], endpoint: Endpoint, engine: Engine) -> Result<LlmRequest, RequestError> {
    let mut reader = BodyReader::new(endpoint, engine);
    reader.read(body);
    reader.finish()
}

/// Reads the body of a request in the slices that it comes in, and copies none of them.
///
/// The engine matters for the bounds of the output: only those count that it heeds, as one that it
/// ignores does not bound anything.
///
/// Halves of surrogate pairs, which engines take, are text like any other, but in what is decided on; and
/// so is a byte order mark in front.
#[derive(Debug)]
pub struct BodyReader {
    scanner: Scanner<At, { MAX_DEPTH as usize }>,
    body: Body,
    /// How many bytes of a byte order mark have come; `None` once something else has.
    mark: Option<usize>,
    /// Nothing is read any more.
    over: Option<Over>,
}

/// Why nothing is read any more.
#[derive(Clone, Copy, Debug)]
enum Over {
    NotJson,
    /// Something is refused, if what follows is UTF-8 at least.
    Refused(Utf8),
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

impl BodyReader {
    /// A reader of a request to `endpoint` of `engine`.
    #[must_use]
    pub fn new(endpoint: Endpoint, engine: Engine) -> Self {
        Self {
            scanner: Scanner::new(At::Body),
            body: Body::new(endpoint, engine),
            mark: Some(0),
            over: None,
        }
    }

    /// Reads the next bytes of the body.
    pub fn read(&mut self, slice: &[u8]) {
        let slice = match self.mark {
            Some(len) => self.after_mark(slice, len),
            None => slice,
        };
        match &mut self.over {
            Some(Over::NotJson) => {}
            Some(Over::Refused(utf8)) => {
                if utf8.check(slice).is_err() {
                    self.over = Some(Over::NotJson);
                }
            }
            None => {
                let mut utf8 = self.scanner.utf8();
                self.over = match self.scanner.read(slice, &mut self.body) {
                    Ok(_) => None,
                    Err(Fault::Stopped) if utf8.check(slice).is_ok() => Some(Over::Refused(utf8)),
                    Err(_) => Some(Over::NotJson),
                };
            }
        }
    }

    /// What follows a byte order mark, of which `len` bytes have come.
    fn after_mark<'a>(&mut self, slice: &'a [u8], len: usize) -> &'a [u8] {
        let expected = BYTE_ORDER_MARK.get(len..).unwrap_or_default();
        let same = expected.iter().zip(slice).take_while(|(a, b)| a == b).count();
        let len = len + same;
        let rest = slice.get(same..).unwrap_or_default();
        if len == BYTE_ORDER_MARK.len() || !rest.is_empty() {
            self.mark = None;
            // Positions are those in the whole body.
            self.scanner.begin_at(len);
            if (1..BYTE_ORDER_MARK.len()).contains(&len) {
                self.over = Some(Over::NotJson);
            }
        } else {
            self.mark = Some(len);
        }
        rest
    }

    /// What the body says, which has ended.
    ///
    /// # Errors
    /// Whatever is no JSON object in UTF-8, is nested too deeply, or has, of the keys on which something
    /// is decided, one twice, in another case, or with a value that it cannot have.
    pub fn finish(mut self) -> Result<LlmRequest, RequestError> {
        if self.over.is_none() {
            match self.scanner.finish(&mut self.body) {
                Ok(()) => return Ok(self.body.finish()),
                Err(Fault::Syntax) => return Err(RequestError::NotJson),
                Err(Fault::Stopped) => {}
            }
        }
        match (self.over, self.body.refusal) {
            (Some(Over::Refused(utf8)), Some(refusal)) if utf8.end().is_ok() => Err(refusal),
            (None, Some(refusal)) => Err(refusal),
            _ => Err(RequestError::NotJson),
        }
    }
}

/// Whether a stream says its usage only if `stream_options` ask for it.
fn has_stream_options(form: Endpoint) -> bool {
    matches!(form, Endpoint::Chat | Endpoint::Completions | Endpoint::TokenGenerate)
}

/// Whether `continuous_usage_stats` is asked for, by which vLLM says in each chunk how far it is: it sends
/// several tokens in a chunk, so that those of a stream that is cut cannot be counted. Real clients add
/// these numbers up, or don't show the text beside them; so none of them reaches one that didn't ask.
fn wants_running_usage(engine: Engine) -> bool {
    engine == Engine::Vllm
}

impl LlmRequest {
    /// `stream_options.include_usage`, if it is given.
    #[must_use]
    pub fn include_usage(&self) -> Option<bool> {
        self.stream_options.include_usage()
    }

    /// What to change in the body so that the stream will say its usage: `None` where it will without
    /// that, or where the client has declined it (`"include_usage": false`), unless it is asked for
    /// `even_if_declined`.
    #[must_use]
    pub fn usage_edit(&self, engine: Engine, even_if_declined: bool) -> Option<UsageEdit> {
        // Elsewhere streams always say it.
        if !self.stream || !has_stream_options(self.endpoint) {
            return None;
        }
        self.stream_options.usage_edit(wants_running_usage(engine), even_if_declined)
    }
}

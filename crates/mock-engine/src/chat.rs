//! `/v1/chat/completions`: made-up answers, plain or streamed, with a true count of tokens.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{json, Value};

use crate::error::ApiError;
use crate::http::{connection_header, Response, Version};
use crate::options::Pace;

/// What each message costs on top of its words, as OpenAI counts role and separators.
const TOKENS_PER_MESSAGE: u64 = 4;

/// Without delays between tokens, events are written in batches of about this many bytes.
const BATCH_BYTES: usize = 16 * 1024;

/// The answer repeats these; each is one token. Plain ASCII without quotes: no JSON escapes.
const WORDS: [&str; 8] = ["The ", "gate ", "opens ", "for ", "those ", "who ", "bring ", "tokens "];

/// What a completion request asks for, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ChatRequest {
    model: String,
    prompt_tokens: u64,
    max_tokens: Option<u64>,
    stream: bool,
    include_usage: bool,
}

impl ChatRequest {
    /// Reads a request's body. Of a duplicate key the last one counts, as in most JSON parsers.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let json: Value = serde_json::from_slice(body).map_err(|e| {
            ApiError::bad_request(None, format!("The body is not valid JSON: {e}."))
        })?;
        let field = |name: &str| json.get(name).filter(|value| !value.is_null());

        if !json.is_object() {
            return Err(ApiError::bad_request(None, "The body is not a JSON object."));
        }
        let Some(model) = field("model").and_then(Value::as_str).filter(|name| !name.is_empty())
        else {
            return Err(ApiError::bad_request(Some("model"), "'model' must be a string."));
        };
        let Some(messages) = field("messages").and_then(Value::as_array).filter(|m| !m.is_empty())
        else {
            return Err(ApiError::bad_request(Some("messages"), "'messages' must be a list."));
        };
        if field("n").is_some_and(|n| n.as_u64() != Some(1)) {
            return Err(ApiError::bad_request(Some("n"), "'n' must be 1: one choice is made up."));
        }
        let stream = flag(field("stream"), "stream")?;
        let options = field("stream_options");
        if options.is_some() && !stream {
            return Err(ApiError::bad_request(
                Some("stream_options"),
                "'stream_options' goes with 'stream': true only.",
            ));
        }
        let limits = [
            positive(field("max_completion_tokens"), "max_completion_tokens")?,
            positive(field("max_tokens"), "max_tokens")?,
        ];

        Ok(Self {
            model: model.to_owned(),
            prompt_tokens: prompt_tokens(messages),
            max_tokens: limits.into_iter().flatten().min(),
            stream,
            include_usage: flag(
                options.and_then(|options| options.get("include_usage")),
                "stream_options",
            )?,
        })
    }

    pub(crate) fn is_streamed(&self) -> bool {
        self.stream
    }
}

fn flag(value: Option<&Value>, param: &'static str) -> Result<bool, ApiError> {
    match value {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(ApiError::bad_request(
            Some(param),
            format!("'{param}' holds something other than true or false."),
        )),
    }
}

fn positive(value: Option<&Value>, param: &'static str) -> Result<Option<u64>, ApiError> {
    let Some(value) = value else { return Ok(None) };
    match value.as_u64() {
        Some(number) if number > 0 => Ok(Some(number)),
        _ => Err(ApiError::bad_request(
            Some(param),
            format!("'{param}' must be a whole number above 0."),
        )),
    }
}

/// One token for each word of each message's text, and `TOKENS_PER_MESSAGE` for each message.
/// Text is a `content` string, or the `text` of its parts; images and the like cost nothing.
fn prompt_tokens(messages: &[Value]) -> u64 {
    messages
        .iter()
        .map(|message| {
            let words = match message.get("content") {
                Some(Value::String(text)) => words(text),
                Some(Value::Array(parts)) => parts
                    .iter()
                    .filter_map(|part| part.get("text").and_then(Value::as_str))
                    .map(words)
                    .sum(),
                _ => 0,
            };
            TOKENS_PER_MESSAGE + words
        })
        .sum()
}

fn words(text: &str) -> u64 {
    text.split_whitespace().fold(0, |count, _| count + 1)
}

/// An answer: decided in full before its first byte, so that plain and streamed ones agree.
#[derive(Debug)]
pub(crate) struct Completion<'a> {
    request: &'a ChatRequest,
    pace: Pace,
    id: String,
    /// Unix time, in seconds.
    created: u64,
    /// How many tokens the answer has.
    tokens: u64,
    finish_reason: &'static str,
}

impl<'a> Completion<'a> {
    pub(crate) fn new(request: &'a ChatRequest, pace: Pace) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);

        let limit = request.max_tokens.unwrap_or(u64::MAX);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            request,
            pace,
            id: format!("chatcmpl-mock-{}", NUMBER.fetch_add(1, Ordering::Relaxed)),
            created: now.as_secs(),
            tokens: pace.tokens.min(limit),
            finish_reason: if pace.tokens > limit { "length" } else { "stop" },
        }
    }

    fn words(&self) -> impl Iterator<Item = &'static str> {
        (0..self.tokens).zip(WORDS.into_iter().cycle()).map(|(_, word)| word)
    }

    fn usage(&self) -> Value {
        json!({
            "prompt_tokens": self.request.prompt_tokens,
            "completion_tokens": self.tokens,
            "total_tokens": self.request.prompt_tokens.saturating_add(self.tokens),
        })
    }

    /// The plain answer, after the time that a streamed one would take.
    pub(crate) fn response(&self) -> Response {
        pause(self.pace.latency);
        if !self.pace.token_delay.is_zero() {
            self.words().for_each(|_| pause(self.pace.token_delay));
        }

        let body = json!({
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.request.model,
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": self.words().collect::<String>()},
                "logprobs": null,
                "finish_reason": self.finish_reason,
            }],
            "usage": self.usage(),
        });
        Response::json("200 OK", body.to_string())
    }

    /// Sends the answer as server-sent events, one for each token; an error means that the client
    /// is gone, and ends the generation. Ends with the connection, not with a last chunk, where
    /// the client does not know chunks (`HTTP/1.0`).
    pub(crate) fn stream(
        &self,
        out: &mut impl Write,
        version: Version,
        keeps_alive: bool,
    ) -> io::Result<()> {
        pause(self.pace.latency);

        let chunked = version == Version::Http11;
        let mut events = Events { out, chunked, batch: Vec::with_capacity(2 * BATCH_BYTES) };
        events.batch.extend(
            format!(
                "HTTP/1.1 200 OK\r\nServer: mock-engine\r\n\
                 Content-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n\
                 {}{}\r\n",
                if chunked { "Transfer-Encoding: chunked\r\n" } else { "" },
                connection_header(version, keeps_alive),
            )
            .bytes(),
        );

        let role = json!({"role": "assistant", "content": ""});
        events.push(&self.chunk(&self.choice(&role, Value::Null), Value::Null))?;

        // The chunks of tokens differ in one word only: they are made once, with a gap for it. The
        // mark can't be part of the model's name, where its quotes would be escaped.
        const MARK: &str = r#""content":""#;
        let token = self.chunk(&self.choice(&json!({"content": ""}), Value::Null), Value::Null);
        let gap = token.find(MARK).map_or(0, |at| at + MARK.len());
        let (before, after) = token.split_at_checked(gap).unwrap_or_default();
        let mut data = String::with_capacity(token.len() + 16);
        for word in self.words() {
            if !self.pace.token_delay.is_zero() {
                events.flush()?;
                pause(self.pace.token_delay);
            }
            data.clear();
            data.extend([before, word, after]);
            events.push(&data)?;
        }

        let end = self.choice(&json!({}), json!(self.finish_reason));
        events.push(&self.chunk(&end, Value::Null))?;
        if self.request.include_usage {
            events.push(&self.chunk(&json!([]), self.usage()))?;
        }
        events.push("[DONE]")?;
        events.finish()
    }

    fn choice(&self, delta: &Value, finish_reason: Value) -> Value {
        json!([
            {"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}
        ])
    }

    /// With `include_usage`, every chunk has a `usage`, null in all but the last.
    fn chunk(&self, choices: &Value, usage: Value) -> String {
        let mut chunk = json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.request.model,
            "choices": choices,
        });
        if let (true, Some(fields)) = (self.request.include_usage, chunk.as_object_mut()) {
            fields.insert("usage".to_owned(), usage);
        }
        chunk.to_string()
    }
}

/// Events on their way out, each a chunk of its own, several to a write unless flushed.
struct Events<'a, W> {
    out: &'a mut W,
    chunked: bool,
    batch: Vec<u8>,
}

impl<W: Write> Events<'_, W> {
    fn push(&mut self, data: &str) -> io::Result<()> {
        const FRAME: usize = "data: \n\n".len();
        if self.chunked {
            write!(self.batch, "{:x}\r\n", data.len() + FRAME)?;
        }
        for part in ["data: ", data, "\n\n", if self.chunked { "\r\n" } else { "" }] {
            self.batch.extend(part.bytes());
        }
        if self.batch.len() >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.batch)?;
        self.batch.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        if self.chunked {
            self.batch.extend(b"0\r\n\r\n");
        }
        self.flush()
    }
}

fn pause(time: Duration) {
    if !time.is_zero() {
        thread::sleep(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { latency: Duration::ZERO, token_delay: Duration::ZERO, tokens: 3 };

    fn parse(fields: &Value) -> Result<ChatRequest, ApiError> {
        let mut request = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        let object = request.as_object_mut().unwrap();
        object.extend(fields.as_object().unwrap().clone());
        ChatRequest::parse(request.to_string().as_bytes())
    }

    fn events(fields: &Value) -> Vec<Value> {
        let request = parse(fields).unwrap();
        let mut out = Vec::new();
        Completion::new(&request, PACE).stream(&mut out, Version::Http10, false).unwrap();

        let text = String::from_utf8(out).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(!head.contains("chunked"), "{head}");
        let events = body.strip_suffix("data: [DONE]\n\n").unwrap();
        events
            .split_terminator("\n\n")
            .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
            .collect()
    }

    #[test]
    fn prompt_tokens_are_words_and_four_a_message() {
        let tokens = |messages: Value| prompt_tokens(messages.as_array().unwrap());
        assert_eq!(tokens(json!([{"role": "user", "content": " one  two\nthree "}])), 7);
        assert_eq!(tokens(json!([{"role": "assistant", "content": null}, {"content": ""}])), 8);
        let parts = json!([{"type": "text", "text": "a b"}, {"type": "image_url"}]);
        assert_eq!(tokens(json!([{"role": "user", "content": parts}])), 6);
    }

    #[test]
    fn the_smaller_maximum_cuts_the_answer() {
        for (fields, tokens, reason) in [
            (json!({}), 3, "stop"),
            (json!({"max_tokens": 3}), 3, "stop"),
            (json!({"max_tokens": 9, "max_completion_tokens": 2}), 2, "length"),
            (json!({"max_tokens": 1}), 1, "length"),
        ] {
            let request = parse(&fields).unwrap();
            let response = Completion::new(&request, PACE).response();
            let answer: Value = serde_json::from_slice(&response.body).unwrap();
            let content = answer["choices"][0]["message"]["content"].as_str().unwrap();
            assert_eq!(words(content), tokens);
            assert_eq!(answer["choices"][0]["finish_reason"], reason);
            assert_eq!(
                answer["usage"],
                json!({"prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": 5 + tokens})
            );
        }
    }

    #[test]
    fn a_stream_has_role_tokens_and_finish_reason() {
        let events = events(&json!({"stream": true, "model": "a \"b\" \u{1}"}));
        let deltas: Vec<_> = events.iter().map(|event| &event["choices"][0]["delta"]).collect();
        assert_eq!(
            deltas,
            [
                &json!({"role": "assistant", "content": ""}),
                &json!({"content": "The "}),
                &json!({"content": "gate "}),
                &json!({"content": "opens "}),
                &json!({}),
            ]
        );
        assert_eq!(events[4]["choices"][0]["finish_reason"], "stop");
        assert!(events.iter().all(|event| event["model"] == "a \"b\" \u{1}"));
        assert!(events.iter().all(|event| event.get("usage").is_none()));
    }

    #[test]
    fn usage_is_streamed_only_when_asked_for() {
        let fields = json!({"stream": true, "stream_options": {"include_usage": true}});
        let events = events(&fields);
        assert_eq!(events.len(), 6);
        assert!(events[..5].iter().all(|event| event.get("usage") == Some(&Value::Null)));
        assert_eq!(events[5]["choices"], json!([]));
        assert_eq!(events[5]["usage"]["completion_tokens"], 3);
    }

    #[test]
    fn chunks_hold_whole_events() {
        let request = parse(&json!({"stream": true})).unwrap();
        let mut out = Vec::new();
        Completion::new(&request, PACE).stream(&mut out, Version::Http11, true).unwrap();

        let text = String::from_utf8(out).unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = body.split("\r\n");
        let mut chunks = 0;
        while let (Some(size), Some(chunk)) = (lines.next(), lines.next()) {
            assert_eq!(usize::from_str_radix(size, 16).unwrap(), chunk.len());
            assert!(chunk.is_empty() || chunk.starts_with("data: ") && chunk.ends_with("\n\n"));
            chunks += 1;
        }
        // Role, three tokens, finish reason, [DONE], and the empty one that ends the body.
        assert_eq!(chunks, 7);
    }

    #[test]
    fn a_bad_field_is_named() {
        for (fields, param) in [
            (json!({"model": 1}), "model"),
            (json!({"messages": []}), "messages"),
            (json!({"n": 2}), "n"),
            (json!({"max_tokens": 0}), "max_tokens"),
            (json!({"max_completion_tokens": "5"}), "max_completion_tokens"),
            (json!({"stream": "yes"}), "stream"),
            (json!({"stream_options": {}}), "stream_options"),
        ] {
            assert_eq!(parse(&fields).unwrap_err().param, Some(param), "{fields}");
        }
        for body in ["", "{", "[]", "{} x"] {
            let error = ChatRequest::parse(body.as_bytes()).unwrap_err();
            assert!(error.status.starts_with("400"), "{body}");
        }
    }
}

//! Made-up answers of each dialect, with a usage that is known, and everything in them that could
//! lead a reader astray.

mod dialects;
mod random;

use std::ops::Range;

use tollgate_core::llm::meter::Format;
use tollgate_core::llm::{Endpoint, Usage};

pub(crate) use random::Random;

/// Every endpoint, in each format that it answers in.
pub(crate) const KINDS: [(Endpoint, Format); 15] = [
    (Endpoint::Chat, Format::Sse),
    (Endpoint::Chat, Format::Json),
    (Endpoint::Completions, Format::Sse),
    (Endpoint::Completions, Format::Json),
    (Endpoint::Embeddings, Format::Json),
    (Endpoint::Responses, Format::Sse),
    (Endpoint::Responses, Format::Json),
    (Endpoint::Messages, Format::Sse),
    (Endpoint::Messages, Format::Json),
    (Endpoint::OllamaChat, Format::Ndjson),
    (Endpoint::OllamaGenerate, Format::Ndjson),
    (Endpoint::OllamaGenerate, Format::Json),
    (Endpoint::OllamaEmbed, Format::Json),
    (Endpoint::TgiGenerate, Format::Json),
    (Endpoint::TgiGenerateStream, Format::Sse),
];

/// One answer.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) body: Vec<u8>,
    pub(crate) usage: Usage,
    /// The events that have nothing but usage.
    pub(crate) usage_only: Vec<Range<usize>>,
    /// Where each delta of the output has come completely.
    pub(crate) deltas: Vec<usize>,
    /// The length of the output, in bytes.
    pub(crate) text_len: usize,
}

/// What text is made of: what JSON escapes, what looks like JSON, like events or like usage.
const PIECES: [&str; 28] = [
    "a",
    "word",
    " ",
    "the gate",
    "\"",
    "\\",
    "\\\"",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\n",
    "\r\n",
    "\n\n",
    "data: ",
    "data: [DONE]\n\n",
    "event: done\n",
    "\"usage\":{\"completion_tokens\":1}",
    "\",\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}",
    "\"choices\":[]",
    "é",
    "你好",
    "😀",
    "\u{2028}",
    "\u{0}\u{1f}\u{7f}",
    "null",
];

struct Writer<'a> {
    random: &'a mut Random,
    answer: Answer,
    format: Format,
    line_end: &'static str,
}

/// An answer of `endpoint`.
pub(crate) fn answer(endpoint: Endpoint, format: Format, random: &mut Random) -> Answer {
    let line_end = random.pick(&["\n", "\r\n", "\r"]);
    let cached_input = random.count(4) * random.count(100);
    let reasoning = random.count(3) * random.count(100);
    let usage = Usage {
        input: cached_input + random.count(5_000),
        output: reasoning + random.count(2_000),
        cached_input,
        reasoning,
        ..Usage::default()
    };
    let answer = Answer { usage, ..Answer::default() };
    let mut writer = Writer { random, answer, format, line_end };
    if format == Format::Sse && writer.random.one_in(4) {
        writer.answer.body.extend("\u{feff}".bytes());
    }
    match (endpoint, format) {
        (Endpoint::Chat | Endpoint::Completions, Format::Json) => writer.chat_answer(endpoint),
        (Endpoint::Chat | Endpoint::Completions, _) => writer.chat_events(endpoint),
        (Endpoint::Embeddings, _) => writer.embeddings(),
        (Endpoint::Responses, Format::Json) => writer.responses_answer(),
        (Endpoint::Responses, _) => writer.responses_events(),
        (Endpoint::Messages, Format::Json) => writer.messages_answer(),
        (Endpoint::Messages, _) => writer.messages_events(),
        (Endpoint::OllamaChat | Endpoint::OllamaGenerate, _) => writer.ollama(endpoint),
        (Endpoint::OllamaEmbed, _) => writer.ollama_embedding(),
        (Endpoint::TgiGenerate | Endpoint::TgiGenerateStream, _) => writer.tgi(),
        _ => unreachable!("no stream is made up for it"),
    }
    writer.answer
}

fn list(elements: &[String]) -> String {
    format!("[{}]", elements.join(","))
}

impl Writer<'_> {
    /// An object with its members in any order, and blanks between them.
    fn object(&mut self, mut members: Vec<(&str, String)>) -> String {
        for at in (1..members.len()).rev() {
            members.swap(at, self.random.below(at + 1));
        }
        // A line feed in an event's data means several lines of it; a line of NDJSON has none.
        let lines = self.format != Format::Ndjson;
        let blank = self.random.pick(&["", "", "", " ", if lines { "\n" } else { "\t" }]);
        let members: Vec<_> = members
            .into_iter()
            .map(|(key, value)| format!("{blank}\"{key}\"{blank}:{blank}{value}"))
            .collect();
        format!("{{{}{blank}}}", members.join(","))
    }

    fn string(&mut self, text: &str) -> String {
        let json = serde_json::to_string(text).unwrap();
        if self.random.one_in(2) {
            return json;
        }
        let mut units = [0; 2];
        json.chars()
            .map(|c| match c {
                ' '..='~' => c.to_string(),
                _ => c.encode_utf16(&mut units).iter().map(|u| format!("\\u{u:04x}")).collect(),
            })
            .collect()
    }

    fn text(&mut self) -> String {
        (0..=self.random.below(3)).map(|_| self.random.pick(&PIECES)).collect()
    }

    /// Text of the answer, as a JSON string.
    fn output(&mut self) -> String {
        let text = self.text();
        self.answer.text_len += text.len();
        self.string(&text)
    }

    /// Any value that doesn't matter.
    fn noise(&mut self) -> String {
        let text = self.text();
        match self.random.below(6) {
            0 => "null".to_owned(),
            1 => "-12.5e3".to_owned(),
            2 => r#"{"usage":{"prompt_tokens":1,"completion_tokens":1},"a":[{},[]]}"#.to_owned(),
            3 => r#"[{"delta":{"content":"x"},"done":true,"eval_count":3}]"#.to_owned(),
            _ => self.string(&text),
        }
    }

    fn document(&mut self, mut members: Vec<(&str, String)>) -> String {
        for key in ["id", "model", "us\\u0061ge2", "timings"] {
            if self.random.one_in(3) {
                members.push((key, self.noise()));
            }
        }
        self.object(members)
    }

    /// Adds a document to the body, as the format wants it.
    fn send(&mut self, kind: &str, document: &str) -> Range<usize> {
        let body = &mut self.answer.body;
        let end = self.line_end;
        if self.format != Format::Sse {
            let start = body.len();
            body.extend(document.bytes());
            if self.format == Format::Ndjson {
                body.extend(self.random.pick(&["\n", "\r\n", "\n\n"]).bytes());
            }
            return start..body.len();
        }
        if self.random.one_in(5) {
            body.extend(format!(": {{\"usage\":{{}}}}{end}").bytes());
            if self.random.one_in(2) {
                body.extend(end.bytes());
            }
        }
        let start = body.len();
        if self.random.one_in(3) {
            body.extend(format!("event: {kind}{end}id: 7{end}").bytes());
        }
        for line in document.split('\n') {
            let space = self.random.pick(&["", " "]);
            body.extend(format!("data:{space}{line}{end}").bytes());
            if self.random.one_in(9) {
                body.extend(format!(":{end}retry{end}").bytes());
            }
        }
        body.extend(end.bytes());
        start..body.len()
    }

    fn send_delta(&mut self, kind: &str, document: &str) {
        let sent = self.send(kind, document);
        self.answer.deltas.push(sent.end);
    }

    fn number(&mut self, number: u64) -> String {
        if self.random.one_in(8) {
            format!("{number}.0")
        } else {
            number.to_string()
        }
    }
}

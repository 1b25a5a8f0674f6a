//! Ollama's own API: `/api/chat` and `/api/generate`.
//!
//! <https://github.com/ollama/ollama/blob/main/docs/api.md>

use std::time::Duration;

use serde_json::{json, Map, Value};

use super::answer::Answer;
use crate::controls::Controls;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::generation::{Ask, Finish, Generation, Kind, Usage};
use crate::peer::Ended;
use crate::stream::{Format, Stream};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Chat,
    Generate,
}

#[derive(Debug)]
pub(super) struct Ollama {
    part: Part,
    generation: Generation,
    stream: bool,
}

impl Ollama {
    pub(super) fn read(part: Part, fields: &Fields, controls: &Controls) -> Result<Self, ApiError> {
        let model = fields.model()?;
        let input_tokens = match part {
            Part::Chat => {
                fields.list("messages")?;
                fields.tokens_of(&["messages"])
            }
            Part::Generate => fields.tokens_of(&["system", "prompt", "suffix"]),
        };
        // -1 and -2 stand for no bound of its own.
        let max_tokens = fields.get_in("options", "num_predict").and_then(Value::as_u64);
        let ask = Ask { model, input_tokens, max_tokens, choices: 1 };
        let generation = Generation::new(ask, controls);
        Ok(Self { part, generation, stream: fields.flag("stream", true)? })
    }

    /// A line with this text of this kind in it.
    fn line(&self, kind: Kind, text: &str) -> Map<String, Value> {
        let mut line = Map::new();
        line.insert("model".to_owned(), json!(self.generation.model));
        line.insert("created_at".to_owned(), json!(rfc3339(self.generation.created)));
        line.insert("done".to_owned(), json!(false));
        self.put(&mut line, kind, text);
        line
    }

    fn put(&self, line: &mut Map<String, Value>, kind: Kind, text: &str) {
        let (content, thinking, arguments) = match kind {
            Kind::Text => (text, None, None),
            Kind::Reasoning => ("", Some(text), None),
            Kind::Arguments if self.part == Part::Generate => (text, None, None),
            Kind::Arguments => ("", None, Some(text)),
        };
        match self.part {
            Part::Generate => {
                line.entry("response").or_insert_with(|| json!(content));
                if !content.is_empty() {
                    line.insert("response".to_owned(), json!(content));
                }
                if let Some(thinking) = thinking {
                    line.insert("thinking".to_owned(), json!(thinking));
                }
            }
            Part::Chat => {
                let message = line
                    .entry("message")
                    .or_insert_with(|| json!({"role": "assistant", "content": ""}));
                let Some(message) = message.as_object_mut() else { return };
                if !content.is_empty() {
                    message.insert("content".to_owned(), json!(content));
                }
                if let Some(thinking) = thinking {
                    message.insert("thinking".to_owned(), json!(thinking));
                }
                if let Some(arguments) = arguments {
                    let arguments: Value =
                        serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
                    let call = json!({"function": {"name": "look_up", "arguments": arguments}});
                    message.insert("tool_calls".to_owned(), json!([call]));
                }
            }
        }
    }

    fn put_usage(&self, line: &mut Map<String, Value>, usage: Usage) {
        let evaluated = usage.input - usage.cached;
        if evaluated > 0 {
            line.insert("prompt_eval_count".to_owned(), json!(evaluated));
        }
        line.insert("eval_count".to_owned(), json!(usage.output));
    }

    fn put_end(&self, line: &mut Map<String, Value>) {
        let reason = match self.generation.finish() {
            Finish::Length => "length",
            Finish::Stop | Finish::ToolCall => "stop",
        };
        line.insert("done".to_owned(), json!(true));
        line.insert("done_reason".to_owned(), json!(reason));
        line.insert("total_duration".to_owned(), json!(1_000_000));
        line.insert("load_duration".to_owned(), json!(1_000));
        line.insert("prompt_eval_duration".to_owned(), json!(1_000));
        line.insert("eval_duration".to_owned(), json!(900_000));
        if self.part == Part::Generate {
            line.insert("context".to_owned(), json!([1, 2, 3]));
        }
        if self.generation.has_usage() {
            self.put_usage(line, self.generation.usage());
        }
    }

    /// Sends a line with one delta.
    fn send(
        &self,
        out: &mut Stream<'_>,
        kind: Kind,
        text: &str,
        usage: Option<Usage>,
    ) -> Result<(), Ended> {
        let mut line = self.line(kind, text);
        if let Some(usage) = usage {
            self.put_usage(&mut line, usage);
        }
        out.delta(None, &Value::Object(line).to_string())
    }
}

impl Ollama {
    fn json(&self) -> Value {
        let mut line = self.line(Kind::Text, "");
        for kind in [Kind::Reasoning, Kind::Text, Kind::Arguments] {
            if let Some(text) = self.generation.text(kind) {
                self.put(&mut line, kind, &text);
            }
        }
        self.put_end(&mut line);
        Value::Object(line)
    }
}

impl Answer for Ollama {
    fn format(&self) -> Option<Format> {
        self.stream.then_some(Format::Ndjson)
    }

    fn tokens(&self) -> u64 {
        self.generation.usage().output
    }

    fn input(&self) -> u64 {
        self.generation.usage().input
    }

    fn whole(&self) -> String {
        self.json().to_string()
    }

    fn stream(&self, out: &mut Stream<'_>) -> Result<(), Ended> {
        let generation = &self.generation;
        let total = generation.usage().output;
        let usage_at = |sent| {
            let due = generation.has_usage_on_every_event()
                || sent == total && generation.has_usage_before_the_end();
            due.then(|| generation.usage_after(sent))
        };

        // A tool call is one line, however many tokens it has.
        let calls = self.part == Part::Chat;
        let mut sent = 0;
        for token in generation.tokens().filter(|t| !(calls && t.kind == Kind::Arguments)) {
            sent += 1;
            self.send(out, token.kind, token.text, usage_at(sent))?;
        }
        if let Some(arguments) = generation.text(Kind::Arguments).filter(|_| calls) {
            self.send(out, Kind::Arguments, &arguments, usage_at(total))?;
        }
        out.deltas_end()?;

        let mut line = self.line(Kind::Text, "");
        self.put_end(&mut line);
        out.event(None, &Value::Object(line).to_string())
    }
}

/// RFC 3339, in UTC, of a time since 1970.
fn rfc3339(time: Duration) -> String {
    let (days, seconds) = (time.as_secs() / 86_400, time.as_secs() % 86_400);
    // "chrono-Compatible Low-Level Date Algorithms", civil_from_days, for days since 1970: years
    // begin in March, so that a leap day is a year's last.
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!(
        "{:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}Z",
        year + era * 400 + next,
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        time.subsec_micros(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (1_767_225_599, "2025-12-31T23:59:59.000000Z"),
            (1_772_323_200, "2026-03-01T00:00:00.000000Z"),
        ] {
            assert_eq!(rfc3339(Duration::from_secs(seconds)), text);
        }
    }
}

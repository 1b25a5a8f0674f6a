//! What a request asks for, in the words that most APIs share.

use serde_json::Value;

use super::call::Call;
use super::error::Failure;
use crate::fields::{flag, tokens, Fields};
use crate::generation::{Ask, Finish, Generation, Kind, Usage};

/// Tokens of reasoning for a model that has "think" in its name: clients can't all send headers.
const THOUGHTS: u64 = 3;

/// A request for a chat, a completion, a response or a message.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) fields: Fields,
    pub(super) generation: Generation,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) continuous_usage: bool,
    /// Inputs of one request that are answered apart.
    pub(super) prompts: u64,
    /// Of each prompt.
    inputs: Vec<u64>,
    tool: Option<Tool>,
}

/// The tool that is called.
#[derive(Debug, Clone)]
struct Tool {
    name: String,
    /// The argument that it is called with.
    argument: String,
}

/// One token of a choice.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub(super) kind: Kind,
    pub(super) text: String,
}

/// Where the members of a request have other names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    /// The input's text is in these, of which the last must be there.
    pub(super) input: &'static [&'static str],
    /// The bounds of the output, of which the smallest holds.
    pub(super) bounds: &'static [&'static str],
    /// The number of choices.
    pub(super) n: &'static [&'static str],
    /// Whether an answer is streamed that doesn't say.
    pub(super) streams: bool,
}

pub(super) const CHAT: Names = Names {
    input: &["messages"],
    bounds: &["max_completion_tokens", "max_tokens"],
    n: &["n"],
    streams: false,
};
pub(super) const COMPLETION: Names =
    Names { input: &["suffix", "prompt"], bounds: &["max_tokens"], n: &["n"], streams: false };
pub(super) const RESPONSE: Names = Names {
    input: &["instructions", "input"],
    bounds: &["max_output_tokens"],
    n: &[],
    streams: false,
};
pub(super) const MESSAGE: Names =
    Names { input: &["system", "messages"], bounds: &["max_tokens"], n: &[], streams: false };

impl Asked {
    pub(super) fn read(call: &Call<'_>, names: Names) -> Result<Self, Failure> {
        Self::of(call, call.fields()?, names)
    }

    pub(super) fn of(call: &Call<'_>, fields: Fields, names: Names) -> Result<Self, Failure> {
        let model = fields.get("model").and_then(Value::as_str).unwrap_or_default().to_owned();
        if call.controls.models.as_ref().is_some_and(|models| *models != model) {
            return Err(Failure::UnknownModel(model));
        }
        let main = names.input.last().copied().unwrap_or_default();
        if fields.get(main).is_none() {
            return Err(Failure::Missing(main));
        }
        let prompts = prompts(&fields);
        let input_tokens = fields.tokens_of(names.input);
        if let Some(context) = call.controls.context.filter(|context| input_tokens > *context) {
            return Err(Failure::TooLong { context, input: input_tokens });
        }
        let number = |name: &&'static str| fields.get(name).and_then(Value::as_u64);
        let n = names.n.iter().find_map(number).unwrap_or(1).clamp(1, 128);
        let option = |name| flag(fields.get_in("stream_options", name), "stream_options", false);
        let ask = Ask {
            input_tokens,
            max_tokens: names.bounds.iter().filter_map(number).min(),
            choices: n.saturating_mul(prompts),
            model,
        };

        let mut controls = call.controls.clone();
        let tool = controls.tool_call.then(Tool::any).or_else(|| Tool::asked_for(&fields));
        controls.tool_call = tool.is_some();
        if ask.model.contains("think") && controls.reasoning_tokens == 0 {
            controls.reasoning_tokens = THOUGHTS;
        }
        Ok(Self {
            inputs: match fields.get("prompt") {
                Some(Value::Array(list)) if prompts > 1 => list.iter().map(tokens).collect(),
                _ => vec![input_tokens],
            },
            generation: Generation::new(ask, &controls),
            stream: fields.flag("stream", names.streams)?,
            include_usage: option("include_usage")?,
            continuous_usage: option("continuous_usage_stats")?,
            prompts,
            tool,
            fields,
        })
    }

    /// The tokens of one choice; all choices have the same.
    pub(super) fn words(&self) -> Vec<Word> {
        let start = self.tool.as_ref().map(|tool| format!(r#"{{"{}":""#, tool.argument));
        self.generation
            .tokens()
            .map(|token| Word {
                kind: token.kind,
                text: match (&start, token.text) {
                    (Some(start), r#"{"text":""#) => start.clone(),
                    (_, text) => text.to_owned(),
                },
            })
            .collect()
    }

    /// All of one kind, of one choice.
    pub(super) fn text(&self, kind: Kind) -> Option<String> {
        let text: String =
            self.words().into_iter().filter(|w| w.kind == kind).map(|w| w.text).collect();
        Some(text).filter(|text| !text.is_empty())
    }

    /// All text of one choice, whatever its kind, for APIs that don't tell it apart.
    pub(super) fn all_text(&self) -> String {
        self.words().into_iter().map(|word| word.text).collect()
    }

    pub(super) fn tool(&self) -> &str {
        self.tool.as_ref().map_or("look_up", |tool| tool.name.as_str())
    }

    pub(super) fn choices(&self) -> u64 {
        self.generation.choices
    }

    pub(super) fn is_cut(&self) -> bool {
        self.generation.finish() == Finish::Length
    }

    /// OpenAI's word for the end of a chat.
    pub(super) fn finish_reason(&self) -> &'static str {
        match self.generation.finish() {
            Finish::Stop => "stop",
            Finish::Length => "length",
            Finish::ToolCall => "tool_calls",
        }
    }

    /// Anthropic's.
    pub(super) fn stop_reason(&self) -> &'static str {
        match self.generation.finish() {
            Finish::Stop => "end_turn",
            Finish::Length => "max_tokens",
            Finish::ToolCall => "tool_use",
        }
    }

    /// Of all choices.
    pub(super) fn usage(&self) -> Usage {
        self.generation.usage()
    }

    /// Of one choice and its prompt alone, when `output` of its tokens are out.
    pub(super) fn usage_of(&self, choice: u64, output: u64) -> Usage {
        let all = self.usage();
        // The choices of a prompt stand together.
        let each = self.choices().checked_div(self.prompts).unwrap_or(1).max(1);
        let prompt = usize::try_from(choice / each).unwrap_or_default();
        let input = self.inputs.get(prompt).copied().unwrap_or(all.input);
        Usage {
            input,
            cached: all.cached.min(input),
            written: 0,
            written_1h: 0,
            output,
            reasoning: output.min(all.reasoning.checked_div(self.choices()).unwrap_or(0)),
        }
    }

    /// The tokens of one choice.
    pub(super) fn tokens_of_one(&self) -> u64 {
        self.usage().output.checked_div(self.choices()).unwrap_or(0)
    }

    pub(super) fn id(&self, prefix: &str) -> String {
        self.generation.id(prefix)
    }

    pub(super) fn created(&self) -> u64 {
        self.generation.created.as_secs()
    }

    pub(super) fn model(&self) -> &str {
        &self.generation.model
    }
}

impl Tool {
    fn any() -> Self {
        Self { name: "look_up".to_owned(), argument: "text".to_owned() }
    }

    /// The first tool of a request that has any, unless it brings a tool's answer.
    fn asked_for(fields: &Fields) -> Option<Self> {
        let tool = fields.get("tools")?.as_array()?.first()?;
        let turns = fields.get("messages").or_else(|| fields.get("input"));
        let last = turns.and_then(Value::as_array).and_then(|turns| turns.last());
        if last.is_some_and(brings_an_answer) || fields.get("tool_choice") == Some(&"none".into()) {
            return None;
        }
        let function = tool.get("function").unwrap_or(tool);
        let schema = function.get("parameters").or_else(|| function.get("input_schema"));
        let argument = schema
            .and_then(|schema| schema.pointer("/required/0"))
            .and_then(Value::as_str)
            .unwrap_or("text");
        Some(Self {
            name: function.get("name")?.as_str()?.to_owned(),
            argument: argument.to_owned(),
        })
    }
}

/// A turn of a dialogue in which the client says what a tool has answered.
fn brings_an_answer(turn: &Value) -> bool {
    let is = |value: &Value, name: &str, word: &str| value.get(name).is_some_and(|v| v == word);
    is(turn, "role", "tool")
        || is(turn, "type", "function_call_output")
        || turn
            .get("content")
            .and_then(Value::as_array)
            .is_some_and(|parts| parts.iter().any(|part| is(part, "type", "tool_result")))
}

/// How many prompts there are; a list of token ids is one.
fn prompts(fields: &Fields) -> u64 {
    match fields.get("prompt") {
        Some(Value::Array(list)) if !list.iter().any(Value::is_number) => {
            u64::try_from(list.len()).unwrap_or(1).max(1)
        }
        _ => 1,
    }
}

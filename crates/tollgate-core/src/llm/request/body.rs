//! The body's own members, and those of objects of settings such as Ollama's `options`.

use super::input::Measure;
use super::members::Holder;
use super::names::{Known, Names};
use super::place::Place;
use super::quantity::Quantity;
use super::scalar;
use super::stream_options::{Options, StreamOptions};
use super::told::At;
use super::{
    feature_members, members, InputSize, LlmRequest, RequestError, MAX_CHOICES, MAX_MODEL_LEN,
};
use crate::json::{JsonString, Scalar, Stop};
use crate::llm::{Endpoint, Engine};

/// What is known of a body while it is read.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) endpoint: Endpoint,
    engine: Engine,
    pub(super) measure: Measure,
    pub(super) names: Names,
    /// Of the object in the body that is being read.
    pub(super) inner_names: Names,
    /// The names that matter in the object of settings that is being read.
    pub(super) known: &'static Known,
    pub(super) depth: u32,
    /// Why the body is refused.
    pub(super) refusal: Option<RequestError>,
    /// The key whose value is being read, on which something is decided.
    pub(super) reading: Option<&'static str>,
    /// The member whose value is being measured, and what had been before it.
    measured: Option<(&'static str, InputSize, u64)>,
    /// The start of a name with escapes.
    pub(super) name: Vec<u8>,
    model: Option<Box<str>>,
    pub(super) stream: Option<bool>,
    pub(super) background: bool,
    pub(super) is_suspect: bool,
    /// The largest bound of the output, and the member that says it.
    bound: Option<(u64, &'static str)>,
    /// Whether one of the bounds says that there is none.
    is_unbounded: bool,
    /// Whether the object of settings that is being read bounds the output.
    has_own_bound: bool,
    /// The members that bound the output, where others decide the form, and it is not known yet which of them
    /// it heeds: 0 says that there is no bound.
    said_bounds: Vec<(&'static str, u64)>,
    /// Likewise those that multiply it, and where they are.
    said_counts: Vec<(Holder, &'static str, u64)>,
    choices: u64,
    /// The member that says so many.
    count_member: Option<&'static str>,
    /// What is read again with each prompt.
    question: InputSize,
    /// The members that hold something for the model, where these decide the form.
    present: Vec<&'static str>,
    /// Where the body's first member begins.
    pub(super) open: usize,
    pub(super) stream_options: Option<StreamOptions>,
    /// The name of the flag in it that is being read.
    pub(super) flag: &'static str,
    /// `stream_options`, while they are read.
    pub(super) options: Option<Options>,
}

impl Body {
    pub(super) fn new(endpoint: Endpoint, engine: Engine) -> Self {
        Self {
            endpoint,
            engine,
            measure: Measure::new(members::place(endpoint, engine, "images") == Place::Images),
            names: Names::new(&members::BODY),
            inner_names: Names::new(&members::BODY),
            known: &members::BODY,
            depth: 0,
            refusal: None,
            reading: None,
            measured: None,
            name: Vec::new(),
            model: None,
            stream: None,
            background: false,
            is_suspect: false,
            bound: None,
            is_unbounded: false,
            has_own_bound: false,
            said_bounds: Vec::new(),
            said_counts: Vec::new(),
            choices: 1,
            count_member: None,
            question: InputSize::default(),
            present: Vec::new(),
            open: 0,
            stream_options: None,
            flag: "",
            options: None,
        }
    }

    pub(super) fn finish(mut self) -> LlmRequest {
        let endpoint = match self.endpoint {
            Endpoint::Invocations => {
                let form = members::form_of_shape(self.engine, |name| self.present.contains(&name));
                for (name, value) in std::mem::take(&mut self.said_bounds) {
                    if members::is_bound(form, self.engine, name) {
                        self.note_bound(name, value);
                    }
                }
                for (holder, name, value) in std::mem::take(&mut self.said_counts) {
                    if members::is_count(form, self.engine, holder, name) {
                        self.note_choices(name, value);
                    }
                }
                form
            }
            endpoint => endpoint,
        };
        let stream = match endpoint {
            Endpoint::TgiGenerateStream => true,
            Endpoint::OllamaChat | Endpoint::OllamaGenerate => self.stream.unwrap_or(true),
            endpoint => endpoint.has_output() && self.stream.unwrap_or(false),
        };
        let prompts = match members::has_output_for_each_prompt(endpoint) {
            true => self.measure.prompts.max(1),
            false => 1,
        };
        let bound = self.bound.filter(|_| !self.is_unbounded && endpoint.has_output());
        // A token for each item, whatever the request says.
        let (output_bound, bound_member) = match (endpoint, bound) {
            (Endpoint::GenerativeScoring, _) => (Some(1), None),
            (_, bound) => bound.unzip(),
        };
        let input = self.input();
        LlmRequest {
            endpoint,
            model: self.model,
            alias: None,
            stream,
            output_bound,
            bound_member: bound_member.and_then(Quantity::of),
            choices: self.choices.saturating_mul(prompts),
            background: self.background,
            per_prompt: self.choices,
            count_member: self.count_member.and_then(Quantity::of),
            input,
            parts: self.measure.parts.parts(),
            is_suspect: self.is_suspect,
            stream_options: self
                .stream_options
                .unwrap_or(StreamOptions::Absent { open: self.open }),
        }
    }

    /// How much the model reads: a question with each of what it is asked of.
    fn input(&self) -> InputSize {
        let InputSize { text_bytes, messages, media, token_ids } = self.question;
        let again = self.measure.prompts.saturating_sub(1);
        let size = self.measure.size;
        InputSize {
            text_bytes: size.text_bytes.saturating_add(text_bytes.saturating_mul(again)),
            messages: size.messages.saturating_add(messages.saturating_mul(again)),
            media: size.media.saturating_add(media.saturating_mul(again)),
            token_ids: size.token_ids.saturating_add(token_ids.saturating_mul(again)),
        }
    }

    pub(super) fn refuse(&mut self, error: RequestError) -> Stop {
        self.refusal.get_or_insert(error);
        Stop
    }

    /// As [`Self::refuse`], because of the value that is being read.
    pub(super) fn refuse_value(&mut self) -> Stop {
        self.refuse(self.reading.map_or(RequestError::NotAnObject, RequestError::BadValue))
    }

    /// Notes a member by which something may be asked for that is denied by default.
    pub(super) fn note_suspect(&mut self, key: JsonString<'_>, name: Option<&'static str>) {
        self.is_suspect |= match name {
            None => key.short().is_some_and(|written| {
                let is_folded = |byte: &u8| byte.is_ascii_uppercase() || !byte.is_ascii();
                feature_members::is_suspect(written) || written.iter().any(is_folded)
            }),
            Some("chat_template" | "chat_template_kwargs" | "template") => true,
            Some("prompt_embeds" | "input_embeds" | "priority") => true,
            // The engine may run some itself.
            Some("tools" | "functions") => true,
            Some("images" | "image_data" | "video_data" | "audio_data") => true,
            Some(_) => false,
        };
    }

    /// The same of a member within.
    #[inline]
    pub(super) fn note_suspect_within(&mut self, key: JsonString<'_>) {
        if !self.is_suspect {
            self.is_suspect = key.short().is_some_and(feature_members::is_suspect_within);
        }
    }

    /// Where the value of the body's member `name` stands.
    pub(super) fn body_member(&mut self, name: Option<&'static str>) -> At {
        self.reading = name;
        let Some(name) = name else { return At::Walk(Place::Skip) };
        match name {
            "model" => At::Model,
            "stream" => At::Stream,
            "background" if self.endpoint == Endpoint::Responses => At::Background,
            "stream_options" => At::StreamOptions,
            name if members::counts(self.endpoint, self.engine).contains(&name) => {
                At::Choices(Holder::Body)
            }
            name if members::bounds(self.endpoint, self.engine).contains(&name) => At::Bound,
            name => {
                if let Some(known) = self.settings(name) {
                    self.known = known;
                    return At::Settings;
                }
                self.measured = Some((name, self.measure.size, self.measure.prompts));
                At::Walk(match members::is_question(self.endpoint, name) {
                    true => Place::Prompt,
                    false => members::place(self.endpoint, self.engine, name),
                })
            }
        }
    }

    /// The value of one of the body's members has ended.
    pub(super) fn end_member(&mut self) -> Result<(), Stop> {
        if let Some(options) = self.options.take() {
            match options.end() {
                Ok(options) => self.stream_options = Some(options),
                Err(error) => return Err(self.refuse(error)),
            }
        }
        let Some((name, size, prompts)) = self.measured.take() else { return Ok(()) };
        let now = self.measure.size;
        if self.endpoint == Endpoint::Invocations && now != size {
            self.present.push(name);
        }
        if members::is_question(self.endpoint, name) {
            let asked = self.measure.prompts.saturating_sub(prompts);
            self.measure.prompts = prompts;
            // Several of them are asked one by one.
            if asked <= 1 {
                self.question = InputSize {
                    text_bytes: self.question.text_bytes + (now.text_bytes - size.text_bytes),
                    messages: self.question.messages + (now.messages - size.messages),
                    media: self.question.media + (now.media - size.media),
                    token_ids: self.question.token_ids + (now.token_ids - size.token_ids),
                };
            }
        }
        if name == "prompt_embeds" {
            self.measure.prompts += now.media - size.media;
        }
        Ok(())
    }

    /// What is known of the object `name`, if it holds settings.
    fn settings(&self, name: &str) -> Option<&'static Known> {
        let all = members::settings(self.endpoint, self.engine);
        all.iter().find(|(object, _)| *object == name).map(|(_, known)| *known)
    }

    pub(super) fn add_bound(&mut self, scalar: Scalar) -> Result<(), Stop> {
        let name = self.reading.unwrap_or_default();
        let Some(value) = scalar::whole(scalar) else {
            return Err(self.refuse_value());
        };
        let says_unbounded = |value| match name {
            "n_predict" | "num_predict" => value < 0,
            // So does llama.cpp's own web page say it.
            "max_tokens" | "max_completion_tokens" => {
                value == -1 && self.endpoint != Endpoint::Messages
            }
            _ => false,
        };
        let value = match value {
            None => return Ok(()),
            Some(value) if says_unbounded(value) => 0,
            Some(value) => u64::try_from(value).map_err(|_| self.refuse_value())?,
        };
        self.has_own_bound = true;
        match self.endpoint {
            Endpoint::Invocations => self.said_bounds.push((name, value)),
            _ => self.note_bound(name, value),
        }
        Ok(())
    }

    /// An object of settings begins, or a list in a list of such.
    pub(super) fn begin_settings(&mut self) {
        self.has_own_bound = false;
    }

    /// One of a list of settings has ended. Each is for an output of its own, which no other one bounds.
    pub(super) fn end_listed_settings(&mut self) {
        self.is_unbounded |= !self.has_own_bound;
    }

    fn note_bound(&mut self, name: &'static str, value: u64) {
        match value {
            // No tokens, one would think; no limit to Ollama.
            0 => self.is_unbounded = true,
            value if self.bound.is_none_or(|(largest, _)| value > largest) => {
                self.bound = Some((value, name));
            }
            _ => {}
        }
    }

    fn note_choices(&mut self, name: &'static str, value: u64) {
        if value > self.choices {
            (self.choices, self.count_member) = (value, Some(name));
        }
    }

    pub(super) fn add_choices(&mut self, holder: Holder, scalar: Scalar) -> Result<(), Stop> {
        let choices = match scalar::whole(scalar) {
            Some(None) => return Ok(()),
            Some(Some(value)) => u64::try_from(value).ok(),
            None => None,
        };
        let Some(choices) = choices.filter(|choices| (1..=MAX_CHOICES).contains(choices)) else {
            return Err(self.refuse_value());
        };
        match self.endpoint {
            Endpoint::Invocations => {
                self.said_counts.push((holder, self.reading.unwrap_or_default(), choices));
            }
            _ => self.note_choices(self.reading.unwrap_or_default(), choices),
        }
        Ok(())
    }

    pub(super) fn set_model(&mut self, name: &[u8]) -> Result<(), Stop> {
        // All that can be wrong with it are halves of surrogate pairs.
        let text = String::from_utf8_lossy(name);
        if name.len() > MAX_MODEL_LEN || text.contains(char::is_control) {
            return Err(self.refuse_value());
        }
        match std::str::from_utf8(name).ok().filter(|name| !name.contains(crate::surrogate::MARK)) {
            Some(name) => self.model = Some(name.into()),
            None => return Err(self.refuse(RequestError::HalfPair("model"))),
        }
        Ok(())
    }

    pub(super) fn flag(scalar: Scalar) -> Option<bool> {
        match scalar {
            Scalar::Bool(value) => Some(value),
            _ => None,
        }
    }

    pub(super) fn refuse_option(&mut self, name: &'static str) {
        self.options.get_or_insert_default().refuse(RequestError::BadValue(name));
    }
}

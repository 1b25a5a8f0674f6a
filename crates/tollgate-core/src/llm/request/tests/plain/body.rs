use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::input::{Measure, Walk};
use super::names::Names;
use super::scalar::{Model, Scalar, ScalarValue};
use super::stream_options;
use crate::llm::request::stream_options::StreamOptions;

use crate::llm::request::members::Holder;
use crate::llm::request::names::Known;
use crate::llm::request::place::Place;
use crate::llm::request::{members, InputSize, LlmRequest, RequestError, MAX_CHOICES};
use crate::llm::{Endpoint, Engine};

/// Reads a body whose UTF-8 has been checked.
pub(super) fn read(
    body: &str,
    endpoint: Endpoint,
    engine: Engine,
) -> Result<LlmRequest, RequestError> {
    let open = body.find('{').map_or(0, |brace| brace + 1);
    let mut reader = Reader {
        body,
        endpoint,
        engine,
        measure: Measure::new(members::place(endpoint, engine, "images") == Place::Images),
        model: None,
        stream: None,
        background: false,
        bound: None,
        is_unbounded: false,
        has_own_bound: false,
        is_in_list: false,
        said_bounds: Vec::new(),
        said_counts: Vec::new(),
        choices: 1,
        question: InputSize::default(),
        present: Vec::new(),
        stream_options: StreamOptions::Absent { open },
    };
    // Positions are those in the whole body.
    let json = body.strip_prefix('\u{feff}').unwrap_or(body);
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let read = (&mut reader).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    match read {
        Ok(()) => Ok(reader.finish()),
        Err(error) => Err(match (reader.measure.refusal, reader.measure.reading) {
            (Some(refusal), _) => refusal,
            // A value of a type that its visitor doesn't take.
            (None, Some(name)) if error.is_data() => RequestError::BadValue(name),
            (None, None) if error.is_data() => RequestError::NotAnObject,
            (None, _) => RequestError::NotJson,
        }),
    }
}

/// What is known of a body while it is read.
struct Reader<'de> {
    body: &'de str,
    endpoint: Endpoint,
    engine: Engine,
    measure: Measure,
    model: Option<Box<str>>,
    stream: Option<bool>,
    background: bool,
    /// The largest bound of the output.
    bound: Option<u64>,
    /// Whether one of the bounds says that there is none.
    is_unbounded: bool,
    has_own_bound: bool,
    is_in_list: bool,
    /// The members that bound the output, where others decide the form, and it is not known yet which of them
    /// it heeds: 0 says that there is no bound.
    said_bounds: Vec<(&'static str, u64)>,
    /// Likewise those that multiply it, and where they are.
    said_counts: Vec<(Holder, &'static str, u64)>,
    choices: u64,
    /// What is read again with each prompt.
    question: InputSize,
    /// The members that hold something for the model, where these decide the form.
    present: Vec<&'static str>,
    stream_options: StreamOptions,
}

impl<'de> Reader<'de> {
    fn finish(mut self) -> LlmRequest {
        let endpoint = match self.endpoint {
            Endpoint::Invocations => {
                let form = members::form_of_shape(self.engine, |name| self.present.contains(&name));
                for (name, value) in std::mem::take(&mut self.said_bounds) {
                    if members::is_bound(form, self.engine, name) {
                        self.note_bound(value);
                    }
                }
                for (holder, name, value) in std::mem::take(&mut self.said_counts) {
                    if members::is_count(form, self.engine, holder, name) {
                        self.choices = self.choices.max(value);
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
        let bound = self.bound.filter(|_| !self.is_unbounded);
        // A token for each item, whatever the request says.
        let bound = match endpoint {
            Endpoint::GenerativeScoring => Some(1),
            endpoint => bound.filter(|_| endpoint.has_output()),
        };
        let input = self.input();
        LlmRequest {
            endpoint,
            model: self.model,
            alias: None,
            stream,
            output_bound: bound,
            bound_member: None,
            choices: self.choices.saturating_mul(prompts),
            background: self.background,
            per_prompt: self.choices,
            count_member: None,
            input,
            parts: self.measure.parts.parts(),
            is_suspect: false,
            stream_options: self.stream_options,
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

    /// Reads the value of the member `name`, of which the model is given something to read, or nothing.
    fn measured<A: MapAccess<'de>>(
        &mut self,
        name: &'static str,
        members: &mut A,
    ) -> Result<(), A::Error> {
        let (size, prompts) = (self.measure.size, self.measure.prompts);
        let is_question = members::is_question(self.endpoint, name);
        let place = match is_question {
            true => Place::Prompt,
            false => members::place(self.endpoint, self.engine, name),
        };
        members.next_value_seed(Walk { measure: &mut self.measure, place })?;
        let now = self.measure.size;
        if self.endpoint == Endpoint::Invocations && now != size {
            self.present.push(name);
        }
        if is_question {
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

    /// Reads the value of the member `name`.
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: Option<&'static str>,
        members: &mut A,
    ) -> Result<(), A::Error> {
        self.measure.reading = name;
        match name {
            Some("model") => {
                self.model = members.next_value_seed(Model { measure: &mut self.measure })?;
            }
            Some("stream") => {
                self.stream = match self.scalar(members)? {
                    Scalar::Null => None,
                    Scalar::Bool(stream) => Some(stream),
                    _ => return Err(self.measure.refuse_value()),
                };
            }
            Some("background") if self.endpoint == Endpoint::Responses => {
                self.background = match self.scalar(members)? {
                    Scalar::Null => false,
                    Scalar::Bool(background) => background,
                    _ => return Err(self.measure.refuse_value()),
                };
            }
            Some("stream_options") => {
                let raw: &RawValue = members.next_value()?;
                self.stream_options = stream_options::read(raw, self.body, &mut self.measure)
                    .map_err(|error| self.measure.refuse(error))?;
            }
            Some(name) if members::counts(self.endpoint, self.engine).contains(&name) => {
                self.add_choices(Holder::Body, name, members)?;
            }
            Some(name) if members::bounds(self.endpoint, self.engine).contains(&name) => {
                self.add_bound(name, members)?;
            }
            Some(name) => match self.settings(name) {
                Some(known) => members.next_value_seed(Settings { reader: self, known })?,
                None => self.measured(name, members)?,
            },
            None => {
                let (measure, place) = (&mut self.measure, Place::Skip);
                members.next_value_seed(Walk { measure, place })?;
            }
        }
        Ok(())
    }

    /// What is known of the object `name`, if it holds settings.
    fn settings(&self, name: &str) -> Option<&'static Known> {
        let all = members::settings(self.endpoint, self.engine);
        all.iter().find(|(object, _)| *object == name).map(|(_, known)| *known)
    }

    fn scalar<A: MapAccess<'de>>(&mut self, members: &mut A) -> Result<Scalar, A::Error> {
        members.next_value_seed(ScalarValue { measure: &mut self.measure })
    }

    fn add_bound<A: MapAccess<'de>>(
        &mut self,
        name: &'static str,
        members: &mut A,
    ) -> Result<(), A::Error> {
        let scalar = self.scalar(members)?;
        let Some(value) = scalar.whole() else {
            return Err(self.measure.refuse_value());
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
            Some(value) => u64::try_from(value).map_err(|_| self.measure.refuse_value())?,
        };
        self.has_own_bound = true;
        match self.endpoint {
            Endpoint::Invocations => self.said_bounds.push((name, value)),
            _ => self.note_bound(value),
        }
        Ok(())
    }

    fn note_bound(&mut self, value: u64) {
        match value {
            // No tokens, one would think; no limit to Ollama.
            0 => self.is_unbounded = true,
            value => self.bound = self.bound.max(Some(value)),
        }
    }

    fn add_choices<A: MapAccess<'de>>(
        &mut self,
        holder: Holder,
        name: &'static str,
        members: &mut A,
    ) -> Result<(), A::Error> {
        let scalar = self.scalar(members)?;
        let choices = match scalar.whole() {
            Some(None) => return Ok(()),
            Some(Some(value)) => u64::try_from(value).ok(),
            None => None,
        };
        let Some(choices) = choices.filter(|choices| (1..=MAX_CHOICES).contains(choices)) else {
            return Err(self.measure.refuse_value());
        };
        match self.endpoint {
            Endpoint::Invocations => self.said_counts.push((holder, name, choices)),
            _ => self.choices = self.choices.max(choices),
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for &mut Reader<'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Reader<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        self.measure.enter()?;
        let mut names = Names::new(&members::BODY);
        while let Some(name) =
            members.next_key_seed(Name { names: &mut names, measure: &mut self.measure })?
        {
            self.member(name, &mut members)?;
        }
        self.measure.leave();
        Ok(())
    }
}

/// Reads the name of a member: the one of `names` that it is, if any.
pub(super) struct Name<'r> {
    pub(super) names: &'r mut Names,
    pub(super) measure: &'r mut Measure,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, written: &str) -> Result<Self::Value, E> {
        self.names.take(written).map_err(|error| self.measure.refuse(error))
    }
}

/// Reads an object of settings, or null, in which the names in `known` matter.
struct Settings<'r, 'de> {
    reader: &'r mut Reader<'de>,
    known: &'static Known,
}

impl<'de> DeserializeSeed<'de> for Settings<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Settings<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or null")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.reader.has_own_bound = false;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let reader = self.reader;
        reader.measure.enter()?;
        reader.has_own_bound = false;
        let mut names = Names::new(self.known);
        while let Some(name) =
            members.next_key_seed(Name { names: &mut names, measure: &mut reader.measure })?
        {
            reader.measure.reading = name;
            match name {
                Some(name @ ("best_of" | "n")) => {
                    reader.add_choices(Holder::Settings, name, &mut members)?;
                }
                Some(name) => reader.add_bound(name, &mut members)?,
                None => members
                    .next_value_seed(Walk { measure: &mut reader.measure, place: Place::Skip })?,
            }
        }
        reader.measure.leave();
        Ok(())
    }

    // SGLang takes one for each prompt.
    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self { reader, known } = self;
        if reader.endpoint != Endpoint::SglangGenerate || reader.is_in_list {
            return Err(reader.measure.refuse_value());
        }
        reader.measure.enter()?;
        reader.is_in_list = true;
        while elements.next_element_seed(Settings { reader: &mut *reader, known })?.is_some() {
            reader.is_unbounded |= !reader.has_own_bound;
        }
        reader.is_in_list = false;
        reader.measure.leave();
        Ok(())
    }

    // Without this, the error would hold the string.
    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Err(self.reader.measure.refuse_value())
    }
}

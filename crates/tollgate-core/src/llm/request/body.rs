//! The body's own members, and those of Ollama's `options` and TGI's `parameters`.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::input::{Measure, Place, Walk};
use super::names::{Known, Names};
use super::scalar::{Model, Scalar, ScalarValue};
use super::stream_options::StreamOptions;
use super::{LlmRequest, RequestError, MAX_CHOICES};
use crate::llm::{Endpoint, Engine};

/// The body's members that matter, to whichever endpoint: one that reads `prompt` may also look at
/// `messages`.
const BODY: Known = Known {
    policy: &[
        "model",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "max_output_tokens",
        "max_new_tokens",
        "n_predict",
        "num_predict",
        "n",
        "n_cmpl",
        "best_of",
        "messages",
        "prompt",
        "input",
        "inputs",
        "options",
        "parameters",
    ],
    measured: &[
        "system",
        "instructions",
        "images",
        "context",
        "suffix",
        "template",
        "tools",
        "functions",
        "text",
        "format",
        "response_format",
        "guided_json",
        "guided_regex",
        "guided_grammar",
        "documents",
        "chat_template",
        "chat_template_kwargs",
    ],
};

const OPTIONS: Known = Known { policy: &["num_predict"], measured: &[] };
const PARAMETERS: Known = Known { policy: &["max_new_tokens", "best_of"], measured: &[] };

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
        measure: Measure::new(is_ollama(endpoint)),
        model: None,
        stream: None,
        bound: None,
        is_unbounded: false,
        choices: 1,
        stream_options: StreamOptions::Absent { open },
    };
    let mut deserializer = serde_json::Deserializer::from_str(body);
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
    /// The largest bound of the output.
    bound: Option<u64>,
    /// Whether one of the bounds says that there is none.
    is_unbounded: bool,
    choices: u64,
    stream_options: StreamOptions,
}

impl<'de> Reader<'de> {
    fn finish(self) -> LlmRequest {
        let stream = match self.endpoint {
            Endpoint::TgiGenerateStream => true,
            Endpoint::OllamaChat | Endpoint::OllamaGenerate => self.stream.unwrap_or(true),
            endpoint => endpoint.has_output() && self.stream.unwrap_or(false),
        };
        let prompts = match self.endpoint {
            Endpoint::Completions => self.measure.prompts.max(1),
            _ => 1,
        };
        LlmRequest {
            endpoint: self.endpoint,
            model: self.model,
            stream,
            output_bound: self.bound.filter(|_| !self.is_unbounded),
            choices: self.choices.saturating_mul(prompts),
            input: self.measure.size,
            parts: self.measure.parts,
            stream_options: self.stream_options,
        }
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
            Some("stream_options") => {
                let raw: &RawValue = members.next_value()?;
                self.stream_options = StreamOptions::read(raw, self.body, &mut self.measure)
                    .map_err(|error| self.measure.refuse(error))?;
            }
            Some("options") if is_ollama(self.endpoint) => {
                members.next_value_seed(Settings { reader: self, known: &OPTIONS })?;
            }
            Some("parameters") if is_tgi(self.endpoint) => {
                members.next_value_seed(Settings { reader: self, known: &PARAMETERS })?;
            }
            Some(name) if self.choice_counts().contains(&name) => self.add_choices(members)?,
            Some(name) if self.bounds().contains(&name) => self.add_bound(name, members)?,
            name => {
                let place = name.map_or(Place::Skip, |name| self.place_of(name));
                members.next_value_seed(Walk { measure: &mut self.measure, place })?;
            }
        }
        Ok(())
    }

    fn scalar<A: MapAccess<'de>>(&mut self, members: &mut A) -> Result<Scalar, A::Error> {
        members.next_value_seed(ScalarValue { measure: &mut self.measure })
    }

    /// What a member is to the model that is none of the others.
    fn place_of(&self, name: &str) -> Place {
        match name {
            "messages" => Place::Messages,
            "input" if self.endpoint == Endpoint::Responses => Place::Messages,
            "prompt" | "input" | "inputs" => Place::Prompt,
            "system" | "instructions" => Place::Content,
            "images" if is_ollama(self.endpoint) => Place::Images,
            "context" if is_ollama(self.endpoint) => Place::Tokens,
            "images" | "context" => Place::Skip,
            _ if BODY.measured.contains(&name) => Place::Plain,
            _ => Place::Skip,
        }
    }

    /// The body's members that bound the output of this endpoint.
    fn bounds(&self) -> &'static [&'static str] {
        match (self.endpoint, self.engine) {
            // It knows no `max_completion_tokens`.
            (Endpoint::Chat | Endpoint::Completions, Engine::Ollama) => &["max_tokens"],
            (Endpoint::Chat | Endpoint::Completions, Engine::LlamaCpp) => {
                &["max_tokens", "max_completion_tokens", "n_predict"]
            }
            (Endpoint::Chat, _) => &["max_tokens", "max_completion_tokens"],
            (Endpoint::Completions | Endpoint::Messages, _) => &["max_tokens"],
            // Turned into a request to chat, with whatever else it holds.
            (Endpoint::Responses, Engine::LlamaCpp) => {
                &["max_output_tokens", "max_tokens", "max_completion_tokens", "n_predict"]
            }
            (Endpoint::Responses, _) => &["max_output_tokens"],
            _ => &[],
        }
    }

    /// The body's members that say how many outputs there will be.
    fn choice_counts(&self) -> &'static [&'static str] {
        match (self.endpoint, self.engine) {
            (Endpoint::Chat | Endpoint::Completions | Endpoint::Responses, Engine::LlamaCpp) => {
                &["n", "n_cmpl", "best_of"]
            }
            (Endpoint::Chat | Endpoint::Completions, _) => &["n", "best_of"],
            _ => &[],
        }
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
        match value {
            None => {}
            // No tokens, one would think; no limit to Ollama.
            Some(0) => self.is_unbounded = true,
            Some(value) if says_unbounded(value) => self.is_unbounded = true,
            Some(value) => match u64::try_from(value) {
                Ok(value) => self.bound = self.bound.max(Some(value)),
                Err(_) => return Err(self.measure.refuse_value()),
            },
        }
        Ok(())
    }

    fn add_choices<A: MapAccess<'de>>(&mut self, members: &mut A) -> Result<(), A::Error> {
        let scalar = self.scalar(members)?;
        let choices = match scalar.whole() {
            Some(None) => return Ok(()),
            Some(Some(value)) => u64::try_from(value).ok(),
            None => None,
        };
        match choices.filter(|choices| (1..=MAX_CHOICES).contains(choices)) {
            Some(choices) => self.choices = self.choices.max(choices),
            None => return Err(self.measure.refuse_value()),
        }
        Ok(())
    }
}

fn is_ollama(endpoint: Endpoint) -> bool {
    matches!(endpoint, Endpoint::OllamaChat | Endpoint::OllamaGenerate | Endpoint::OllamaEmbed)
}

fn is_tgi(endpoint: Endpoint) -> bool {
    matches!(endpoint, Endpoint::TgiGenerate | Endpoint::TgiGenerateStream)
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
        let mut names = Names::new(&BODY);
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
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let reader = self.reader;
        reader.measure.enter()?;
        let mut names = Names::new(self.known);
        while let Some(name) =
            members.next_key_seed(Name { names: &mut names, measure: &mut reader.measure })?
        {
            reader.measure.reading = name;
            match name {
                Some("best_of") => reader.add_choices(&mut members)?,
                Some(name) => reader.add_bound(name, &mut members)?,
                None => members
                    .next_value_seed(Walk { measure: &mut reader.measure, place: Place::Skip })?,
            }
        }
        reader.measure.leave();
        Ok(())
    }

    // Without this, the error would hold the string.
    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Err(self.reader.measure.refuse_value())
    }
}

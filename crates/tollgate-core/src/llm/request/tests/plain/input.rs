use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::llm::parts::Sampler;
use crate::llm::request::place::Place;
use crate::llm::request::{InputSize, RequestError, MAX_DEPTH};

/// What has been measured of a body so far, and how deep in it the reader is.
#[derive(Debug, Default)]
pub(super) struct Measure {
    pub(super) size: InputSize,
    pub(super) parts: Sampler,
    /// Prompts of their own, each of which gets its own output.
    pub(super) prompts: u64,
    /// Whether a member `images` holds images, as Ollama's do.
    pub(super) has_images: bool,
    /// Why the body is refused; what the parser says then is only a consequence.
    pub(super) refusal: Option<RequestError>,
    /// The key whose value is being read, on which something is decided.
    pub(super) reading: Option<&'static str>,
    depth: u32,
    /// Whether an array of prompts has a token id, and so is one prompt, of ids and texts.
    has_bare_token: bool,
    /// Whether the `type` that was last read in a [`Place::Source`] is `text`.
    kind_is_text: bool,
}

impl Measure {
    pub(super) fn new(has_images: bool) -> Self {
        Self { has_images, ..Self::default() }
    }

    /// Keeps why the body is refused, and gives an error that stops the parser.
    pub(super) fn refuse<E: Error>(&mut self, error: RequestError) -> E {
        self.refusal.get_or_insert(error);
        E::custom(error)
    }

    /// As [`Self::refuse`], because of the value that is being read.
    pub(super) fn refuse_value<E: Error>(&mut self) -> E {
        self.refuse(self.reading.map_or(RequestError::NotAnObject, RequestError::BadValue))
    }

    /// One array or object deeper. Left with [`Self::leave`].
    pub(super) fn enter<E: Error>(&mut self) -> Result<(), E> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.refuse(RequestError::TooDeep));
        }
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn add_text(&mut self, text: &str) {
        self.parts.add(text.as_bytes());
        self.add_bytes(text.len());
    }

    /// Marks around what is shown as JSON.
    fn add_marks(&mut self, bytes: usize) {
        self.parts.add_marks(bytes);
        self.add_bytes(bytes);
    }

    fn add_bytes(&mut self, bytes: usize) {
        // A usize has at most 64 bits.
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.size.text_bytes = self.size.text_bytes.saturating_add(bytes);
    }
}

/// Reads one value and measures it.
pub(super) struct Walk<'r> {
    pub(super) measure: &'r mut Measure,
    pub(super) place: Place,
}

impl Walk<'_> {
    /// A number, true, false or null, which is this long as JSON.
    fn scalar(self, len: usize) {
        if self.place == Place::Json {
            self.measure.add_marks(len);
        }
    }

    fn number(self, len: usize) {
        match self.place {
            Place::Prompt | Place::PromptElement | Place::Tokens => {
                self.measure.size.token_ids += 1;
                self.measure.has_bare_token |= self.place == Place::PromptElement;
            }
            _ => self.scalar(len),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.scalar("null".len());
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.scalar(if value { "true".len() } else { "false".len() });
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.number(digits(value));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.number(digits(value.unsigned_abs()) + 1);
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        // The longest that the shortest form of a double is: -2.2250738585072014e-308.
        self.number(24);
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        let measure = self.measure;
        match self.place {
            Place::Skip | Place::Media | Place::Source => {}
            Place::Images => measure.size.media += 1,
            Place::SourceKind => measure.kind_is_text = text == "text",
            // The quotes.
            Place::Json => {
                measure.add_text(text);
                measure.add_marks(2);
            }
            Place::Prompt => {
                measure.prompts += 1;
                measure.add_text(text);
            }
            Place::PromptElement => {
                measure.prompts += 1;
                measure.size.messages += 1;
                measure.add_text(text);
            }
            Place::Plain
            | Place::Chats
            | Place::Chat
            | Place::Messages
            | Place::Message
            | Place::Content
            | Place::PromptObject
            | Place::Tokens
            | Place::SourceData => measure.add_text(text),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self { measure, place } = self;
        let inner = match place {
            Place::Skip | Place::Media | Place::Source | Place::SourceKind => Place::Skip,
            Place::Plain | Place::Json | Place::Message | Place::SourceData => Place::Json,
            Place::Chats => Place::Chat,
            Place::Chat => {
                measure.prompts += 1;
                Place::Message
            }
            Place::Messages => Place::Message,
            Place::Content => Place::Content,
            Place::Prompt => Place::PromptElement,
            Place::PromptObject => Place::Json,
            Place::PromptElement => {
                measure.prompts += 1;
                measure.size.messages += 1;
                Place::Tokens
            }
            Place::Tokens => Place::Tokens,
            Place::Images => Place::Images,
        };
        measure.enter()?;
        if inner == Place::Json {
            measure.add_marks("[".len());
        }
        let prompts = measure.prompts;
        let had_bare_token = std::mem::take(&mut measure.has_bare_token);
        let mut is_empty = true;
        while elements.next_element_seed(Walk { measure: &mut *measure, place: inner })?.is_some() {
            is_empty = false;
            match inner {
                Place::Message => measure.size.messages += 1,
                // The last one's comma stands for the closing bracket.
                Place::Json => measure.add_marks(",".len()),
                _ => {}
            }
        }
        if inner == Place::Json && is_empty {
            measure.add_marks("]".len());
        }
        // Ids and texts in one array are one prompt.
        if std::mem::replace(&mut measure.has_bare_token, had_bare_token) && place == Place::Prompt
        {
            measure.prompts = prompts + 1;
        }
        measure.leave();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { measure, place } = self;
        measure.enter()?;
        let place = match place {
            Place::Prompt => {
                measure.prompts += 1;
                Place::PromptObject
            }
            Place::PromptElement => {
                measure.prompts += 1;
                measure.size.messages += 1;
                Place::PromptObject
            }
            Place::Chats => Place::Message,
            Place::Chat => {
                measure.size.messages += 1;
                Place::Message
            }
            Place::Plain | Place::Tokens | Place::SourceData => Place::Json,
            Place::Images => {
                measure.size.media += 1;
                Place::Skip
            }
            Place::SourceKind => Place::Skip,
            Place::Messages => Place::Message,
            place => place,
        };
        if matches!(place, Place::Json | Place::PromptObject) {
            measure.add_marks("{".len());
        }
        let mut is_empty = true;
        let (mut source_text, mut source_is_text) = ((0, measure.parts), false);
        while let Some(inner) = members.next_key_seed(Member { measure: &mut *measure, place })? {
            is_empty = false;
            let before = (measure.size.text_bytes, measure.parts);
            measure.kind_is_text = false;
            members.next_value_seed(Walk { measure: &mut *measure, place: inner })?;
            match inner {
                Place::SourceKind => source_is_text |= measure.kind_is_text,
                Place::SourceData => {
                    let bytes = measure.size.text_bytes.saturating_sub(before.0);
                    source_text = (bytes, measure.parts);
                    (measure.size.text_bytes, measure.parts) = before;
                }
                _ => {}
            }
        }
        if matches!(place, Place::Json | Place::PromptObject) && is_empty {
            measure.add_marks("}".len());
        }
        if place == Place::Source {
            if source_is_text {
                let (bytes, parts) = source_text;
                measure.size.text_bytes = measure.size.text_bytes.saturating_add(bytes);
                measure.parts = parts;
            } else {
                measure.size.media += 1;
            }
        }
        measure.leave();
        Ok(())
    }
}

/// Reads the name of a member of an object at `place`, and gives the place of its value.
struct Member<'r> {
    measure: &'r mut Measure,
    place: Place,
}

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Place;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Place, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Member<'_> {
    type Value = Place;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Place, E> {
        let measure = self.measure;
        Ok(match (self.place, name) {
            (Place::PromptObject, "prompt_string") => Place::Plain,
            (Place::PromptObject, "multimodal_data") => Place::Images,
            (Place::Json | Place::PromptObject, _) => {
                // The quotes, the colon and the comma, or for the last member the closing brace.
                measure.add_text(name);
                measure.add_marks(4);
                Place::Json
            }
            (Place::Message | Place::Content, "content" | "output") => Place::Content,
            (Place::Message, "images") if measure.has_images => Place::Images,
            (
                Place::Content,
                "image_url" | "audio_url" | "video_url" | "input_audio" | "file" | "file_data"
                | "file_url" | "file_id" | "image" | "video" | "audio" | "image_embeds"
                | "audio_embeds" | "video_embeds" | "prompt_embeds",
            ) => {
                measure.size.media += 1;
                Place::Media
            }
            (Place::Content, "source") => Place::Source,
            (Place::Media, "url" | "data" | "file_data" | "file_url" | "file_id") => Place::Skip,
            (Place::Source, "type") => Place::SourceKind,
            (Place::Source, "data") => Place::SourceData,
            (Place::Source, "url" | "file_id" | "media_type") => Place::Skip,
            (Place::Source, "content") => Place::Content,
            (Place::Skip, _) => Place::Skip,
            _ => Place::Plain,
        })
    }
}

/// The decimal digits of a number.
fn digits(value: u64) -> usize {
    let log = value.checked_ilog10().unwrap_or(0);
    usize::try_from(log).unwrap_or(0) + 1
}

//! How much there is for the model to read, measured without keeping any of it.

use super::place::Place;
use super::InputSize;
use crate::json::{Container, JsonString, Scalar};
use crate::llm::parts::Sampler;

/// What has been measured of a body so far.
#[derive(Debug, Default)]
pub(super) struct Measure {
    pub(super) size: InputSize,
    pub(super) parts: Sampler,
    /// Prompts of their own, each of which gets its own output.
    pub(super) prompts: u64,
    /// Whether a member `images` holds images, as Ollama's do.
    has_images: bool,
    /// Whether an array of prompts has a token id, and so is one prompt, of ids and texts.
    has_bare_token: bool,
    /// The containers around the value at hand.
    frames: Vec<Frame>,
    /// Those of them that are at [`Place::Source`].
    sources: Vec<Source>,
    /// What had been measured before a key with escapes that may be no text of the model's.
    before_key: Option<Box<Measured>>,
}

/// A container that is being read.
#[derive(Clone, Copy, Debug)]
struct Frame {
    container: Container,
    /// Where it stands.
    place: Place,
    /// The place of its elements; of an object, what it is.
    inner: Place,
    is_empty: bool,
    /// How many prompts there were before it.
    prompts: u64,
    had_bare_token: bool,
}

/// The text so far.
#[derive(Clone, Copy, Debug)]
struct Measured {
    text_bytes: u64,
    parts: Sampler,
}

/// What is known of an object that holds media, or text.
#[derive(Debug)]
struct Source {
    /// The bytes of its `data`, and the parts of all text with it.
    data: Measured,
    before_data: Measured,
    is_text: bool,
}

impl Measure {
    pub(super) fn new(has_images: bool) -> Self {
        Self { has_images, ..Self::default() }
    }

    fn measured(&self) -> Measured {
        Measured { text_bytes: self.size.text_bytes, parts: self.parts }
    }

    fn set(&mut self, measured: Measured) {
        (self.size.text_bytes, self.parts) = (measured.text_bytes, measured.parts);
    }

    #[inline]
    fn add_part(&mut self, part: &[u8]) {
        self.parts.add_part(part);
        self.add_bytes(part.len());
    }

    fn add_text(&mut self, text: JsonString<'_>) {
        if let Some(plain) = text.plain {
            self.add_part(plain);
        }
        self.parts.end_text();
    }

    /// Marks around what is shown as JSON.
    fn add_marks(&mut self, bytes: usize) {
        self.parts.add_marks(bytes);
        self.add_bytes(bytes);
    }

    #[inline]
    fn add_bytes(&mut self, bytes: usize) {
        // A usize has at most 64 bits.
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.size.text_bytes = self.size.text_bytes.saturating_add(bytes);
    }

    /// A value comes: an element, if the innermost container is an array.
    #[inline]
    fn begin_value(&mut self) {
        let Some(frame) = self.frames.last_mut() else { return };
        frame.is_empty = false;
        if frame.container == Container::Array {
            match frame.inner {
                Place::Message => self.size.messages += 1,
                // The last one's comma stands for the closing bracket.
                Place::Json => self.add_marks(",".len()),
                _ => {}
            }
        }
    }

    /// A part of a string at `place` that comes in several.
    #[inline]
    pub(super) fn text(&mut self, place: Place, part: &[u8]) {
        if place.is_text() {
            self.add_part(part);
        }
    }

    /// The same, and one character more.
    #[inline]
    pub(super) fn text_and(&mut self, place: Place, part: &[u8], character: u8) {
        if place.is_text() {
            self.parts.add_part_and(part, character);
            self.add_bytes(part.len() + 1);
        }
    }

    /// How many bytes of the text at hand only count.
    #[inline]
    pub(super) fn passes(&self, place: Place) -> usize {
        if place.is_text() {
            self.parts.passes()
        } else {
            usize::MAX
        }
    }

    /// So many of them come.
    #[inline]
    pub(super) fn pass(&mut self, place: Place, bytes: usize) {
        if place.is_text() {
            self.parts.pass(bytes);
            self.add_bytes(bytes);
        }
    }

    pub(super) fn string(&mut self, place: Place, text: JsonString<'_>) {
        self.begin_value();
        if place.is_text() {
            self.add_text(text);
        }
        match place {
            Place::Images => self.size.media += 1,
            Place::SourceKind => {
                if let Some(source) = self.sources.last_mut() {
                    source.is_text |= text.whole() == Some(b"text");
                }
            }
            // The quotes.
            Place::Json => self.add_marks(2),
            Place::Prompt => self.prompts += 1,
            Place::PromptElement => {
                self.prompts += 1;
                self.size.messages += 1;
            }
            Place::SourceData => self.end_source_data(),
            _ => {}
        }
    }

    pub(super) fn scalar(&mut self, place: Place, scalar: Scalar) {
        self.begin_value();
        let len = match scalar {
            Scalar::Null => "null".len(),
            Scalar::Bool(value) => {
                if value {
                    "true".len()
                } else {
                    "false".len()
                }
            }
            Scalar::Unsigned(value) => digits(value),
            Scalar::Negative(value) => digits(value.unsigned_abs()) + 1,
            // The longest that the shortest form of a double is: -2.2250738585072014e-308.
            Scalar::Float(_) | Scalar::Other => 24,
        };
        match place {
            Place::Prompt | Place::PromptElement | Place::Tokens
                if !matches!(scalar, Scalar::Null | Scalar::Bool(_)) =>
            {
                self.size.token_ids += 1;
                self.has_bare_token |= place == Place::PromptElement;
            }
            Place::Json => self.add_marks(len),
            Place::SourceData => self.end_source_data(),
            _ => {}
        }
    }

    /// Whole numbers, not negative, in an array whose elements stand at `place`.
    pub(super) fn numbers(&mut self, place: Place, count: u64, digits: u64) {
        if let Some(frame) = self.frames.last_mut() {
            frame.is_empty = false;
        }
        match place {
            Place::Prompt | Place::PromptElement | Place::Tokens => {
                self.size.token_ids += count;
                self.has_bare_token |= place == Place::PromptElement;
            }
            Place::Message => self.size.messages += count,
            // With their commas.
            Place::Json => {
                self.add_marks(usize::try_from(digits.saturating_add(count)).unwrap_or(usize::MAX));
            }
            _ => {}
        }
    }

    /// An array or an object at `place` begins. Returns the place of its elements, or what object it is.
    pub(super) fn begin(&mut self, place: Place, container: Container) -> Place {
        self.begin_value();
        let inner = match container {
            Container::Array => self.begin_array(place),
            Container::Object => self.begin_object(place),
        };
        let (prompts, had_bare_token) = (self.prompts, self.has_bare_token);
        if container == Container::Array {
            self.has_bare_token = false;
        }
        self.frames.push(Frame {
            container,
            place,
            inner,
            is_empty: true,
            prompts,
            had_bare_token,
        });
        inner
    }

    fn begin_array(&mut self, place: Place) -> Place {
        match place {
            Place::Skip | Place::Media | Place::Source | Place::SourceKind => Place::Skip,
            Place::Plain
            | Place::Json
            | Place::Message
            | Place::SourceData
            | Place::PromptObject => {
                self.add_marks("[".len());
                Place::Json
            }
            Place::Chats => Place::Chat,
            Place::Chat => {
                self.prompts += 1;
                Place::Message
            }
            Place::Messages => Place::Message,
            Place::Content => Place::Content,
            Place::Prompt => Place::PromptElement,
            Place::PromptElement => {
                self.prompts += 1;
                self.size.messages += 1;
                Place::Tokens
            }
            Place::Tokens => Place::Tokens,
            Place::Images => Place::Images,
        }
    }

    fn begin_object(&mut self, place: Place) -> Place {
        let object = match place {
            Place::Prompt => {
                self.prompts += 1;
                Place::PromptObject
            }
            Place::PromptElement => {
                self.prompts += 1;
                self.size.messages += 1;
                Place::PromptObject
            }
            Place::Chats | Place::Messages => Place::Message,
            Place::Chat => {
                self.size.messages += 1;
                Place::Message
            }
            Place::Plain | Place::Tokens | Place::SourceData => Place::Json,
            Place::Images => {
                self.size.media += 1;
                Place::Skip
            }
            Place::SourceKind => Place::Skip,
            place => place,
        };
        match object {
            Place::Json | Place::PromptObject => self.add_marks("{".len()),
            Place::Source => {
                let parts = self.parts;
                self.sources.push(Source {
                    data: Measured { text_bytes: 0, parts },
                    before_data: Measured { text_bytes: 0, parts },
                    is_text: false,
                });
            }
            _ => {}
        }
        object
    }

    /// The innermost container ends.
    pub(super) fn end(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        let shows_marks = matches!(frame.inner, Place::Json | Place::PromptObject);
        if frame.is_empty && shows_marks {
            self.add_marks("]".len());
        }
        match frame.container {
            Container::Array => {
                // Ids and texts in one array are one prompt.
                let has_bare_token =
                    std::mem::replace(&mut self.has_bare_token, frame.had_bare_token);
                if has_bare_token && frame.place == Place::Prompt {
                    self.prompts = frame.prompts + 1;
                }
            }
            Container::Object if frame.inner == Place::Source => self.end_source(),
            Container::Object => {}
        }
        if frame.place == Place::SourceData {
            self.end_source_data();
        }
    }

    fn end_source(&mut self) {
        match self.sources.pop() {
            Some(Source { is_text: true, data, .. }) => {
                let text_bytes = self.size.text_bytes.saturating_add(data.text_bytes);
                self.set(Measured { text_bytes, parts: data.parts });
            }
            _ => self.size.media += 1,
        }
    }

    /// It is text only if the type says so, which may come later.
    fn end_source_data(&mut self) {
        let Measured { text_bytes, parts } = self.measured();
        let Some(source) = self.sources.last_mut() else { return };
        let before = source.before_data;
        source.data = Measured { text_bytes: text_bytes.saturating_sub(before.text_bytes), parts };
        self.set(before);
    }

    /// A part of a key of an object at `place` that comes in several.
    pub(super) fn key_text(&mut self, place: Place, part: &[u8]) {
        match place {
            Place::PromptObject => {
                let measured = self.measured();
                self.before_key.get_or_insert_with(|| Box::new(measured));
            }
            Place::Json => {}
            _ => return,
        }
        self.add_part(part);
    }

    /// The place of the member `key` of an object at `place`.
    pub(super) fn member(&mut self, place: Place, key: JsonString<'_>) -> Place {
        let name = key.whole().unwrap_or_default();
        let before_key = self.before_key.take();
        match (place, name) {
            (Place::Skip, _) => Place::Skip,
            (Place::PromptObject, b"prompt_string" | b"multimodal_data") => {
                if let Some(before) = before_key {
                    self.set(*before);
                }
                match name {
                    b"prompt_string" => Place::Plain,
                    _ => Place::Images,
                }
            }
            (Place::Json | Place::PromptObject, _) => {
                // The quotes, the colon and the comma, or for the last member the closing brace.
                self.add_text(key);
                self.add_marks(4);
                Place::Json
            }
            (Place::Message | Place::Content, b"content" | b"output") => Place::Content,
            (Place::Message, b"images") if self.has_images => Place::Images,
            (
                Place::Content,
                b"image_url" | b"audio_url" | b"video_url" | b"input_audio" | b"file"
                | b"file_data" | b"file_url" | b"file_id" | b"image" | b"video" | b"audio"
                | b"image_embeds" | b"audio_embeds" | b"video_embeds" | b"prompt_embeds",
            ) => {
                self.size.media += 1;
                Place::Media
            }
            (Place::Content, b"source") => Place::Source,
            (Place::Media, b"url" | b"data" | b"file_data" | b"file_url" | b"file_id") => {
                Place::Skip
            }
            (Place::Source, b"type") => Place::SourceKind,
            (Place::Source, b"data") => {
                let measured = self.measured();
                if let Some(source) = self.sources.last_mut() {
                    source.before_data = measured;
                }
                Place::SourceData
            }
            (Place::Source, b"url" | b"file_id" | b"media_type") => Place::Skip,
            (Place::Source, b"content") => Place::Content,
            _ => Place::Plain,
        }
    }
}

/// The decimal digits of a number.
fn digits(value: u64) -> usize {
    let log = value.checked_ilog10().unwrap_or(0);
    usize::try_from(log).unwrap_or(0) + 1
}

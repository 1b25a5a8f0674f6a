//! What the reader of JSON tells of the uses of a body.

use super::known;
use super::media::{is_remote, Kind, Markdown};
use super::member_name::{Largest, MemberName};
use super::spot::{folded, written, Spot, MAX_NAME};
use super::Uses;
use crate::json::{Container, JsonString, Reader, Scalar, Stop};
use crate::llm::feature::Feature;
use crate::llm::request::feature_members::{is_for_client, Member, When};
use crate::llm::request::members;
use crate::llm::{Endpoint, Engine};

/// What is known of a body while it is read.
#[derive(Debug)]
pub(super) struct Reading {
    form: Endpoint,
    engine: Engine,
    wants_unknown: bool,
    uses: Uses,
    /// The member with most of the schemas.
    schemas: Largest,
    /// Where the engine takes pictures out of the text.
    markdown: Option<Markdown>,
    /// Of the sources that are being read: whether it is text, whether there are data.
    sources: Vec<(bool, bool)>,
    /// Of the formats that are being read: whether their kind is said.
    formats: Vec<bool>,
}

/// The kinds of tiers of service that put a request before others.
pub(super) const FIRST: [&[u8]; 2] = [b"priority", b"scale"];

impl Reading {
    pub(super) fn new(
        form: Endpoint,
        engine: Engine,
        wants_unknown: bool,
        watches_text: bool,
    ) -> Self {
        Self {
            form,
            engine,
            wants_unknown,
            uses: Uses::NONE,
            schemas: Largest::default(),
            markdown: watches_text.then(Markdown::default),
            sources: Vec::new(),
            formats: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> Uses {
        let mut uses = self.uses;
        uses.schema_member = self.schemas.end(uses.schema_bytes);
        if self.markdown.is_some_and(|markdown| markdown.is_found()) {
            uses.note(Feature::Media, "messages");
            uses.note(Feature::RemoteMedia, "messages");
        }
        uses
    }

    fn body_member(&mut self, key: JsonString<'_>, name: &[u8]) -> Spot {
        if self.wants_unknown {
            let known = |name| known::is_known(self.form, self.engine, name);
            self.note_name(key, written(key).is_some_and(known));
        }
        self.schemas.begin(written(key), self.uses.schema_bytes);
        self.uses.says_store |= name == b"store";
        let settings = members::settings(self.form, self.engine);
        match settings.iter().find(|(object, _)| object.as_bytes() == name) {
            Some((object, _)) => Spot::Settings(object),
            None => Spot::of_body(self.form, name),
        }
    }

    fn note_name(&mut self, key: JsonString<'_>, is_known: bool) {
        if !is_known {
            self.uses.has_unknown = true;
            let name = || written(key).and_then(MemberName::new);
            self.uses.unknown_member = self.uses.unknown_member.or_else(name);
        }
    }

    fn note(&mut self, member: Member) {
        self.uses.note(member.feature, member.name);
    }

    fn note_media(&mut self, kind: Kind, name: &'static str, string: JsonString<'_>) {
        if string.len == 0 {
            return;
        }
        self.uses.note(Feature::Media, name);
        if is_remote(kind, string.head, string.len) {
            self.uses.note(Feature::RemoteMedia, name);
        }
    }

    fn count(&mut self, spot: Spot, bytes: u64) {
        if spot.is_schema() {
            self.uses.schema_bytes = self.uses.schema_bytes.saturating_add(bytes);
        }
    }

    fn count_text(&mut self, spot: Spot, part: &[u8]) {
        self.count(spot, len_of(part));
        // In roles too: templates write them into the prompt.
        if let Some(markdown) = &mut self.markdown {
            markdown.read(part);
        }
    }

    /// A value comes that may be an element of a list.
    fn note_element(&mut self, spot: Spot) {
        match spot {
            Spot::Inside(member) => self.note(member),
            Spot::ToolList => self.note_tool(),
            _ => {}
        }
    }

    fn note_tool(&mut self) {
        self.uses.tools = self.uses.tools.saturating_add(1);
        self.uses.note(Feature::Tools, "tools");
    }

    fn note_message(&mut self) {
        self.uses.messages = self.uses.messages.saturating_add(1);
    }
}

fn len_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

impl Reader for Reading {
    type Place = Spot;
    const STRICT: bool = true;

    fn member(&mut self, object: Spot, key: JsonString<'_>) -> Result<Option<Spot>, Stop> {
        if let (Some(markdown), Some(plain)) = (&mut self.markdown, key.plain) {
            markdown.read(plain);
        }
        if let Some(markdown) = &mut self.markdown {
            markdown.end();
        }
        // The quotes, the colon and the comma.
        self.count(object, key.len.saturating_add(4));
        let mut room = [0; MAX_NAME];
        let name = folded(key, &mut room);
        Ok(Some(match object {
            Spot::Body => self.body_member(key, name),
            Spot::Settings(object) => {
                if self.wants_unknown {
                    let known = |name| known::is_known_setting(self.form, object, name);
                    self.note_name(key, written(key).is_some_and(known));
                }
                match name {
                    b"response_format" => Spot::Format("response_format"),
                    name => Spot::of_feature(name),
                }
            }
            Spot::Prompt if name == b"variables" => Spot::Variables,
            Spot::Talk | Spot::Prompt => Spot::of_talk(name),
            Spot::Variables => Spot::Talk,
            Spot::Data => match name {
                // How it is written, not what.
                b"data_format" | b"out_data_format" | b"image_format" | b"type" | b"role" => {
                    Spot::Skip
                }
                _ => Spot::Data,
            },
            Spot::Media(kind, member) => match name {
                b"url" | b"file_url" | b"image_url" => Spot::Media(Kind::Url, member),
                b"data" | b"file_data" => Spot::Media(Kind::Data, member),
                b"path" => Spot::Media(Kind::Path, member),
                b"file_id" => Spot::Media(Kind::Id, member),
                // What stands for the whole may be in one of several.
                b"image" | b"video" | b"audio" => Spot::Media(kind, member),
                b"format" => Spot::MediaFormat(member),
                // How it is scaled, say, or by which name the engine keeps it.
                _ => Spot::of_feature(name),
            },
            Spot::Source => match name {
                b"type" => Spot::SourceKind,
                b"data" => Spot::SourceData,
                b"url" => Spot::Media(Kind::Url, "source"),
                b"file_id" => Spot::Media(Kind::Id, "source"),
                b"content" => Spot::Talk,
                _ => Spot::Skip,
            },
            Spot::Tool => match name {
                b"type" => Spot::ToolKind,
                b"tools" => Spot::Tools,
                b"environment" => Spot::Environment,
                b"server_url" | b"connector_id" => Spot::Value(Member {
                    name: "tools",
                    feature: Feature::ServerTools,
                    when: When::Set,
                }),
                _ => Spot::Schema,
            },
            Spot::Environment => match name {
                b"type" => Spot::EnvironmentKind,
                _ => Spot::Schema,
            },
            Spot::Format(member) => match name {
                b"type" => Spot::FormatKind(member),
                _ => Spot::Schema,
            },
            Spot::HasFormat => match name {
                b"format" => Spot::Format("format"),
                _ => Spot::Skip,
            },
            Spot::Kwargs => {
                let feature = Feature::ChatTemplateKwargs;
                self.uses.note(feature, "chat_template_kwargs");
                match name {
                    // Arguments of the function that runs the template.
                    b"chat_template" | b"tokenize" => Spot::Value(Member {
                        name: "chat_template_kwargs",
                        feature: Feature::ChatTemplate,
                        when: When::Set,
                    }),
                    _ => Spot::Skip,
                }
            }
            Spot::Value(member) | Spot::Inside(member) => {
                self.note(member);
                Spot::Inside(member)
            }
            Spot::Schema => Spot::Schema,
            _ => Spot::Skip,
        }))
    }

    #[inline]
    fn element(&mut self, array: Spot) -> Option<Spot> {
        Some(array)
    }

    fn begin(&mut self, spot: Spot, container: Container, _: usize) -> Result<Spot, Stop> {
        self.count(spot, 2);
        Ok(match (spot, container) {
            (Spot::Value(member), _) => Spot::Inside(member),
            (Spot::Inside(member), _) => {
                self.note(member);
                spot
            }
            (Spot::Messages, Container::Object) => {
                self.note_message();
                Spot::Talk
            }
            (Spot::Tools, Container::Array) => Spot::ToolList,
            (Spot::Tools | Spot::ToolList, _) => {
                self.note_tool();
                Spot::Tool
            }
            (Spot::Settings(_), Container::Array) => {
                self.uses.has_list_of_settings = true;
                spot
            }
            (Spot::Media(_, member), Container::Object) => {
                self.uses.note(Feature::Media, member);
                spot
            }
            (Spot::Source, _) => {
                self.sources.push((false, false));
                spot
            }
            (Spot::Format(_), _) => {
                self.formats.push(false);
                spot
            }
            // No kind that anybody is known to read as one of the client's.
            (Spot::ToolKind | Spot::EnvironmentKind, _) => {
                self.uses.note(Feature::ServerTools, "tools");
                Spot::Schema
            }
            (Spot::FormatKind(_), _) => Spot::Schema,
            (Spot::SourceKind | Spot::Kind | Spot::ServiceTier | Spot::Store, _) => Spot::Skip,
            (spot, _) => spot,
        })
    }

    fn end(&mut self, spot: Spot) -> Result<(), Stop> {
        match spot {
            Spot::Source => {
                if let Some((false, true)) = self.sources.pop() {
                    self.uses.note(Feature::Media, "source");
                }
            }
            // Without a kind, it is a schema itself.
            Spot::Format(member) if self.formats.pop() == Some(false) => {
                self.uses.note(Feature::GuidedDecoding, member);
            }
            _ => {}
        }
        Ok(())
    }

    fn string(&mut self, spot: Spot, string: JsonString<'_>) -> Result<(), Stop> {
        if let Some(plain) = string.plain {
            self.count_text(spot, plain);
        }
        if let Some(markdown) = &mut self.markdown {
            markdown.end();
        }
        self.count(spot, 3);
        self.note_element(spot);
        let is_empty = string.len == 0 && string.plain.is_none_or(<[u8]>::is_empty);
        match spot {
            Spot::Value(member) if !is_empty => self.note(member),
            Spot::Messages => self.note_message(),
            Spot::Tools if !is_empty => self.note_tool(),
            Spot::Media(kind, name) => self.note_media(kind, name, string),
            Spot::Data => self.note_media(Kind::Path, "data", string),
            Spot::SourceKind => {
                let is_text = matches!(string.whole(), Some(b"text" | b"content"));
                if let Some(source) = self.sources.last_mut() {
                    source.0 |= is_text;
                    source.1 |= !is_text;
                }
            }
            // The tensor stands beside it, in `data`.
            Spot::Kind if string.whole() == Some(b"prompt_embeds") => {
                self.uses.note(Feature::Embeds, "prompt_embeds");
            }
            Spot::SourceData => {
                if let Some(source) = self.sources.last_mut() {
                    source.1 = true;
                }
            }
            Spot::ToolKind if !string.whole().is_some_and(is_for_client) => {
                self.uses.note(Feature::ServerTools, "tools");
            }
            Spot::MediaFormat(member)
                if matches!(
                    string.whole(),
                    Some(b"precomputed_embedding" | b"processor_output")
                ) =>
            {
                self.uses.note(Feature::Embeds, member);
            }
            Spot::EnvironmentKind if string.whole() != Some(b"local") => {
                self.uses.note(Feature::ServerTools, "tools");
            }
            Spot::FormatKind(member) => {
                if let Some(is_said) = self.formats.last_mut() {
                    *is_said = true;
                }
                if string.whole() != Some(b"text") {
                    self.uses.note(Feature::GuidedDecoding, member);
                }
            }
            Spot::Format(member) if !is_empty => {
                self.uses.note(Feature::GuidedDecoding, member);
            }
            Spot::Include if string.whole() == Some(b"message.output_text.logprobs") => {
                self.uses.note(Feature::Logprobs, "include");
            }
            Spot::ServiceTier if string.whole().is_some_and(|tier| FIRST.contains(&tier)) => {
                self.uses.note(Feature::Priority, "service_tier");
            }
            _ => {}
        }
        Ok(())
    }

    fn scalar(&mut self, spot: Spot, scalar: Scalar, _: usize) -> Result<(), Stop> {
        // As long as it is, and a comma.
        self.count(
            spot,
            match scalar {
                Scalar::Unsigned(value) => u64::from(value.checked_ilog10().unwrap_or(0)) + 2,
                _ => 6,
            },
        );
        self.note_element(spot);
        let is_zero = match scalar {
            Scalar::Unsigned(value) => value == 0,
            Scalar::Negative(value) => value == 0,
            Scalar::Float(value) => value == 0.0,
            Scalar::Null | Scalar::Bool(_) | Scalar::Other => false,
        };
        let is_used = |when| match scalar {
            Scalar::Null => false,
            Scalar::Bool(value) => value || when == When::Given,
            _ => !is_zero || when != When::Set,
        };
        match spot {
            Spot::Value(member) if is_used(member.when) => self.note(member),
            Spot::Store if scalar == Scalar::Bool(true) => {
                self.uses.note(Feature::Store, "store");
            }
            Spot::Store if scalar == Scalar::Null => self.uses.says_store = false,
            _ => {}
        }
        Ok(())
    }

    #[inline]
    fn text(&mut self, spot: Spot, part: &[u8]) {
        self.count_text(spot, part);
    }

    #[inline]
    fn passes(&self, _: Spot) -> usize {
        // Or each part is looked at.
        if self.markdown.is_some() {
            0
        } else {
            usize::MAX
        }
    }

    #[inline]
    fn pass(&mut self, spot: Spot, bytes: usize) {
        self.count(spot, u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    #[inline]
    fn wants_head(&self, spot: Spot) -> bool {
        !matches!(spot, Spot::Talk | Spot::Skip | Spot::Schema | Spot::Messages | Spot::Inside(_))
    }

    fn key_text(&mut self, _: Spot, part: &[u8]) {
        if let Some(markdown) = &mut self.markdown {
            markdown.read(part);
        }
    }

    #[inline]
    fn only_counts(&self, spot: Spot) -> bool {
        matches!(spot, Spot::Talk | Spot::Skip | Spot::Schema | Spot::Inside(_))
    }

    fn numbers(&mut self, spot: Spot, count: u64, digits: u64) {
        self.count(spot, digits.saturating_add(count));
        self.note_element(spot);
    }
}

//! What the reader of JSON tells of a body.

use super::body::Body;
use super::members::Holder;
use super::names::Names;
use super::place::Place;
use super::stream_options::{self, Options, StreamOptions};
use super::{RequestError, MAX_DEPTH, MAX_MODEL_LEN};
use crate::json::{Container, JsonString, Reader, Scalar, Stop};
use crate::llm::Endpoint;

/// Where a value stands in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// The body.
    Body,
    Model,
    Stream,
    Background,
    StreamOptions,
    /// A member of these that matters.
    Flag,
    /// What multiplies the answers, among the members of what.
    Choices(Holder),
    Bound,
    Settings,
    /// In what is refused, but may turn out to be no JSON at all.
    Refused,
    /// What the model is given to read, or nothing.
    Walk(Place),
}

impl Reader for Body {
    type Place = At;
    const STRICT: bool = true;

    fn member(&mut self, object: At, key: JsonString<'_>) -> Result<Option<At>, Stop> {
        Ok(Some(match object {
            At::Walk(place) => {
                self.note_suspect_within(key);
                At::Walk(self.measure.member(place, key))
            }
            At::Body => match self.names.take(key) {
                Ok(name) => {
                    self.note_suspect(key, name);
                    self.body_member(name)
                }
                Err(error) => return Err(self.refuse(error)),
            },
            At::Settings => {
                let name = match self.inner_names.take(key) {
                    Ok(name) => name,
                    Err(error) => return Err(self.refuse(error)),
                };
                self.reading = name;
                self.note_suspect(key, name);
                match name {
                    Some("best_of" | "n") => At::Choices(Holder::Settings),
                    Some(_) => At::Bound,
                    None => At::Walk(Place::Skip),
                }
            }
            At::StreamOptions => {
                let name = self.inner_names.take(key);
                let options = self.options.get_or_insert_default();
                options.has_member();
                match name {
                    Ok(Some(name)) => {
                        self.flag = name;
                        At::Flag
                    }
                    Ok(None) => At::Walk(Place::Skip),
                    Err(error) => {
                        options.refuse(error);
                        At::Refused
                    }
                }
            }
            _ => At::Refused,
        }))
    }

    #[inline]
    fn element(&mut self, array: At) -> Option<At> {
        Some(array)
    }

    fn begin(&mut self, place: At, container: Container, at: usize) -> Result<At, Stop> {
        match (place, container) {
            (At::Walk(_) | At::Refused | At::StreamOptions | At::Flag, _) => {}
            (At::Body | At::Settings, Container::Object) => {}
            // One for each prompt.
            (At::Settings, Container::Array)
                if self.endpoint == Endpoint::SglangGenerate && self.depth == 1 => {}
            _ => return Err(self.refuse_value()),
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let before = self.options.as_ref().and_then(Options::refusal);
            return Err(self.refuse(before.unwrap_or(RequestError::TooDeep)));
        }
        Ok(match (place, container) {
            (At::Walk(place), container) => At::Walk(self.measure.begin(place, container)),
            (At::Body, _) => {
                self.open = at + 1;
                At::Body
            }
            (At::Settings, Container::Object) => {
                self.begin_settings();
                self.inner_names = Names::new(self.known);
                At::Settings
            }
            (At::StreamOptions, Container::Object) => {
                self.inner_names = Names::new(&stream_options::KNOWN);
                self.options = Some(Options::new(at + 1));
                At::StreamOptions
            }
            (At::StreamOptions | At::Flag, _) => {
                let name = if place == At::Flag { self.flag } else { "stream_options" };
                self.options.get_or_insert_default().refuse(RequestError::BadValue(name));
                At::Refused
            }
            (place, _) => place,
        })
    }

    fn end(&mut self, place: At) -> Result<(), Stop> {
        self.depth -= 1;
        if let At::Walk(_) = place {
            self.measure.end();
        }
        if place == At::Settings && self.depth > 1 {
            self.end_listed_settings();
        }
        if self.depth == 1 {
            self.end_member()?;
        }
        Ok(())
    }

    fn string(&mut self, place: At, string: JsonString<'_>) -> Result<(), Stop> {
        match place {
            At::Walk(place) => self.measure.string(place, string),
            At::Model => {
                let name = std::mem::take(&mut self.name);
                self.set_model(string.plain.unwrap_or(&name))?;
            }
            At::Flag => self.refuse_option(self.flag),
            At::StreamOptions => self.refuse_option("stream_options"),
            At::Refused => {}
            _ => return Err(self.refuse_value()),
        }
        if self.depth == 1 {
            self.end_member()?;
        }
        Ok(())
    }

    fn scalar(&mut self, place: At, scalar: Scalar, at: usize) -> Result<(), Stop> {
        if scalar == Scalar::Other {
            match (&mut self.options, place) {
                (_, At::Flag | At::StreamOptions | At::Refused) => {}
                (Some(options), _) => options.refuse(RequestError::NotJson),
                (None, _) => return Err(self.refuse(RequestError::NotJson)),
            }
        }
        match (place, scalar) {
            (At::Walk(place), _) => self.measure.scalar(place, scalar),
            (At::Settings, Scalar::Null) => {
                if self.depth > 1 {
                    self.begin_settings();
                    self.end_listed_settings();
                }
            }
            (At::Model, Scalar::Null) | (At::Refused, _) => {}
            (At::Stream, Scalar::Null | Scalar::Bool(_)) => self.stream = Self::flag(scalar),
            (At::Background, Scalar::Null | Scalar::Bool(_)) => {
                self.background = Self::flag(scalar).unwrap_or(false);
            }
            (At::StreamOptions, Scalar::Null) => {
                self.stream_options = Some(StreamOptions::Null { at });
            }
            (At::StreamOptions, _) => self.refuse_option("stream_options"),
            (At::Flag, _) => {
                self.options.get_or_insert_default().flag(self.flag, scalar, at);
            }
            (At::Choices(holder), _) => self.add_choices(holder, scalar)?,
            (At::Bound, _) => self.add_bound(scalar)?,
            _ => return Err(self.refuse_value()),
        }
        if self.depth == 1 {
            self.end_member()?;
        }
        Ok(())
    }

    #[inline]
    fn text(&mut self, place: At, part: &[u8]) {
        match place {
            At::Walk(place) => self.measure.text(place, part),
            // One byte more shows that it is too long.
            At::Model if self.name.len() <= MAX_MODEL_LEN => {
                let room = MAX_MODEL_LEN + 1 - self.name.len();
                self.name.extend_from_slice(part.get(..room).unwrap_or(part));
            }
            _ => {}
        }
    }

    #[inline]
    fn text_and(&mut self, place: At, part: &[u8], character: u8) {
        match place {
            At::Walk(place) => self.measure.text_and(place, part, character),
            _ => {
                self.text(place, part);
                self.text(place, &[character]);
            }
        }
    }

    #[inline]
    fn passes(&self, place: At) -> usize {
        match place {
            At::Walk(place) => self.measure.passes(place),
            At::Refused => usize::MAX,
            _ => 0,
        }
    }

    #[inline]
    fn pass(&mut self, place: At, bytes: usize) {
        if let At::Walk(place) = place {
            self.measure.pass(place, bytes);
        }
    }

    #[inline]
    fn wants_head(&self, place: At) -> bool {
        place == At::Walk(Place::SourceKind)
    }

    fn key_text(&mut self, object: At, part: &[u8]) {
        if let At::Walk(place) = object {
            self.measure.key_text(place, part);
        }
    }

    #[inline]
    fn only_counts(&self, place: At) -> bool {
        matches!(place, At::Walk(_) | At::Refused)
    }

    fn numbers(&mut self, place: At, count: u64, digits: u64) {
        if let At::Walk(place) = place {
            self.measure.numbers(place, count, digits);
        }
    }
}

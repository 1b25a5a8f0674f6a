//! An answer that is decided in full before its first byte.

use crate::api::Answer;
use crate::http::Response;
use crate::ordered::{Json, ToJson};
use crate::peer::Ended;
use crate::stream::{Format, Stream};

/// What an endpoint gives.
#[derive(Debug)]
pub(crate) enum Made {
    /// Nothing was generated for it.
    Fixed(Response),
    Generated(Scripted),
}

/// One event of a stream.
#[derive(Debug)]
struct Event {
    name: Option<&'static str>,
    data: String,
    /// Whether it carries a token.
    delta: bool,
}

/// A generated answer, and what it took.
#[derive(Debug)]
pub(crate) struct Scripted {
    /// What the engine's own counters say of it.
    pub(crate) input: u64,
    pub(crate) output: u64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Whole(Json),
    Events(Format, Vec<Event>),
}

impl Made {
    pub(crate) fn fixed(json: &Json) -> Self {
        Self::Fixed(Response::json(200, json.to_string()))
    }

    pub(crate) fn text(status: u16, content_type: &'static str, text: &str) -> Self {
        Self::Fixed(Response::new(status, content_type, text))
    }

    pub(crate) fn whole(input: u64, output: u64, json: Json) -> Self {
        Self::Generated(Scripted { input, output, content: Content::Whole(json) })
    }
}

/// The events of a stream, in the making.
#[derive(Debug)]
pub(crate) struct Script {
    format: Format,
    events: Vec<Event>,
}

impl Script {
    pub(crate) fn new(format: Format) -> Self {
        Self { format, events: Vec::new() }
    }

    pub(crate) fn event(&mut self, name: Option<&'static str>, data: &Json) {
        self.events.push(Event { name, data: data.to_string(), delta: false });
    }

    /// An event that carries a token.
    pub(crate) fn delta(&mut self, name: Option<&'static str>, data: &Json) {
        self.events.push(Event { name, data: data.to_string(), delta: true });
    }

    pub(crate) fn done(&mut self) {
        self.events.push(Event { name: None, data: "[DONE]".to_owned(), delta: false });
    }

    pub(crate) fn made(self, input: u64, output: u64) -> Made {
        let content = Content::Events(self.format, self.events);
        Made::Generated(Scripted { input, output, content })
    }
}

impl Scripted {
    /// The events as they go over the wire; `None` for a whole answer.
    pub(crate) fn text(&self) -> Option<String> {
        let Content::Events(_, events) = &self.content else { return None };
        let line = |event: &Event| match event.name {
            Some(name) => format!("event: {name}\ndata: {}\n\n", event.data),
            None => format!("data: {}\n\n", event.data),
        };
        Some(events.iter().map(line).collect())
    }
}

impl Answer for Scripted {
    fn format(&self) -> Option<Format> {
        match self.content {
            Content::Whole(_) => None,
            Content::Events(format, _) => Some(format),
        }
    }

    fn tokens(&self) -> u64 {
        self.output
    }

    fn input(&self) -> u64 {
        self.input
    }

    fn whole(&self) -> String {
        let mut text = String::new();
        if let Content::Whole(json) = &self.content {
            json.put(&mut text);
        }
        text
    }

    fn stream(&self, out: &mut Stream<'_>) -> Result<(), Ended> {
        let Content::Events(_, events) = &self.content else { return Ok(()) };
        let last = events.iter().rposition(|event| event.delta);
        if last.is_none() {
            out.deltas_end()?;
        }
        for (position, event) in events.iter().enumerate() {
            if event.delta {
                out.delta(event.name, &event.data)?;
            } else {
                out.event(event.name, &event.data)?;
            }
            if Some(position) == last {
                out.deltas_end()?;
            }
        }
        Ok(())
    }
}

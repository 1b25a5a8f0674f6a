//! A streamed answer: events, their pace, and the faults that were asked for.

use std::io::Write;

use crate::body::Body;
use crate::controls::{Controls, CutEnd};
use crate::http::Request;
use crate::peer::{Ended, Peer};
use crate::record::Running;

/// What vLLM says in a stream when its engine is gone.
const DEATH: &str = r#"{"error": {"message": "EngineCore encountered an issue. See stack trace (above) for the root cause.", "type": "InternalServerError", "param": null, "code": 500}}"#;

/// How events are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Server-sent events (WHATWG HTML, section 9.2).
    Sse,
    /// The same under a type without a character set.
    BareSse,
    /// The same without a space after the colon, as TGI writes them.
    TightSse,
    /// A JSON object a line.
    Ndjson,
}

impl Format {
    fn content_type(self) -> &'static str {
        match self {
            Self::Sse | Self::TightSse => "text/event-stream; charset=utf-8",
            Self::BareSse => "text/event-stream",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}

pub(crate) struct Stream<'a> {
    body: Body<'a>,
    format: Format,
    controls: &'a Controls,
    running: &'a Running<'a>,
    event: Vec<u8>,
    /// Deltas so far, and those of them that are not yet written.
    deltas: u64,
    unwritten: u64,
}

impl<'a> Stream<'a> {
    /// Begins after the latency that was asked for.
    pub(crate) fn begin(
        peer: &'a mut dyn Peer,
        request: &Request,
        controls: &'a Controls,
        running: &'a Running<'a>,
        format: Format,
    ) -> Result<Self, Ended> {
        peer.wait(controls.latency)?;
        let body = Body::begin(peer, request, controls, format.content_type());
        let event = if controls.bom && format != Format::Ndjson {
            "\u{feff}".as_bytes().to_vec()
        } else {
            Vec::new()
        };
        Ok(Self { body, format, controls, running, event, deltas: 0, unwritten: 0 })
    }

    /// An event that carries no token.
    pub(crate) fn event(&mut self, name: Option<&str>, data: &str) -> Result<(), Ended> {
        let end = self.controls.line_end;
        let event = &mut self.event;
        match self.format {
            Format::Ndjson => writeln!(event, "{data}")?,
            Format::Sse | Format::BareSse | Format::TightSse => {
                let space = if self.format == Format::TightSse { "" } else { " " };
                if self.controls.comments {
                    write!(event, ":{space}keep-alive{end}{end}")?;
                }
                if let Some(name) = name {
                    write!(event, "event:{space}{name}{end}")?;
                }
                for part in ["data:", space, data, end, end] {
                    event.extend(part.bytes());
                }
            }
        }
        let full = self.body.push(event)?;
        event.clear();
        if full {
            self.flush()?;
        }
        Ok(())
    }

    /// An event that carries one token.
    pub(crate) fn delta(&mut self, name: Option<&str>, data: &str) -> Result<(), Ended> {
        self.cut_if_due()?;
        if !self.controls.token_delay.is_zero() {
            self.flush()?;
            self.body.peer().wait(self.controls.token_delay)?;
        }
        self.deltas += 1;
        self.unwritten += 1;
        if self.controls.split.is_some() {
            // The pieces are written at once.
            self.count();
        }
        self.event(name, data)
    }

    /// After the last delta: the point for `X-Mock-Cut-After` and `X-Mock-Hold`.
    pub(crate) fn deltas_end(&mut self) -> Result<(), Ended> {
        self.cut_if_due()?;
        if self.controls.hold {
            self.flush()?;
            self.body.peer().wait_until_gone();
            return Err(Ended::Gone);
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<(), Ended> {
        self.count();
        self.running.finishes();
        Ok(self.body.end()?)
    }

    fn cut_if_due(&mut self) -> Result<(), Ended> {
        if self.controls.cut_after == Some(self.deltas) {
            match self.controls.cut_end {
                CutEnd::Closed => self.flush()?,
                CutEnd::Error => {
                    self.event(None, DEATH)?;
                    self.event(None, "[DONE]")?;
                    self.count();
                    self.body.end()?;
                }
                CutEnd::Quiet => {
                    self.count();
                    self.body.end()?;
                }
            }
            return Err(Ended::Cut);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Ended> {
        self.count();
        Ok(self.body.flush()?)
    }

    fn count(&mut self) {
        if self.unwritten > 0 {
            self.running.sends(self.unwritten);
            self.unwritten = 0;
        }
    }
}

/// The JSON of events that differ in one word: made once, with a gap for it.
#[derive(Debug)]
pub(crate) struct Template {
    before: String,
    after: String,
}

impl Template {
    /// The gap is the first empty string under `key`. No other value can look like it, as quotes
    /// inside of strings are escaped.
    pub(crate) fn new(data: &serde_json::Value, key: &str) -> Self {
        let json = data.to_string();
        let mark = format!(r#""{key}":""#);
        let gap = json.find(&format!(r#"{mark}""#)).map_or(0, |at| at + mark.len());
        let (before, after) = json.split_at_checked(gap).unwrap_or_default();
        Self { before: before.to_owned(), after: after.to_owned() }
    }

    /// Replaces `data` with the event for a word.
    pub(crate) fn fill(&self, word: &str, data: &mut String) {
        data.clear();
        data.push_str(&self.before);
        if word.contains(['"', '\\']) {
            data.push_str(&word.replace('\\', "\\\\").replace('"', "\\\""));
        } else {
            data.push_str(word);
        }
        data.push_str(&self.after);
    }
}

#[cfg(test)]
mod tests;

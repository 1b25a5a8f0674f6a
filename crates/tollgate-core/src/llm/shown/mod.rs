//! What the client is shown of an answer: every text that the model wrote goes through a guard, and all else stays
//! as it is, byte for byte.
//!
//! A [`Shown`] reads what a meter passes on, cut anywhere. An event of a stream goes on when it is whole, with what
//! may be shown of its texts by then. What is held back of a text stands before the next piece of that text; or,
//! when the text ends, in the event that ends it, or in one that is made for it and put before that.
//!
//! * `events`, `lines`, `plain`: how an answer is put together; `relay`: what of it is passed on;
//! * `editor`: the reader of one document after the other; `familiar`: what documents have in common;
//! * `tree`: the values of a document; `walk`: where in it the texts stand, which are `spots`; `names`, `form`: which
//!   members mean what; `quoted`: strings of JSON;
//! * `texts`: the texts of an answer, with a channel for each; `made`: events for what was held back;
//! * `edits`: what of a document is written anew; `refused`: the end of an answer that is blocked.

mod channel;
mod editor;
mod edits;
mod events;
mod familiar;
mod form;
mod lines;
mod made;
mod names;
mod plain;
mod quoted;
mod refused;
mod relay;
mod spots;
mod texts;
mod tree;
mod walk;

pub use refused::Refusal;
pub use texts::{Guarded, Halt};

use editor::Editor;
use events::Events;
use form::Form;
use lines::{Document, Lines};
use plain::Plain;
use relay::Relay;
use tollgate_guard::finding::RuleIndex;

use super::meter::{Beginning, Format, Part};
use super::Endpoint;
use crate::guards::classifier::gate::Said;

/// The longest event, line or document that is read, in bytes. Of a longer one nobody knows what is in it.
pub const MAX_DOCUMENT: usize = 4 << 20;

/// What the head of an answer promises of its body. What comes decides, where it can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Documents, put together like this.
    Documents(Option<Format>),
    /// Text, which isn't quoted.
    Plain,
    /// Sound, pictures, or what is compressed.
    Opaque,
}

impl Body {
    /// What a `Content-Type` promises, and whether there is a `Content-Encoding`.
    #[must_use]
    pub fn of(content_type: &[u8], is_encoded: bool) -> Self {
        let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
        let media_type = media_type.trim_ascii().to_ascii_lowercase();
        let is_opaque = [&b"audio/"[..], b"image/", b"video/", b"application/octet-stream"]
            .iter()
            .any(|start| media_type.starts_with(start));
        match media_type.as_slice() {
            _ if is_encoded || is_opaque => Self::Opaque,
            b"text/plain" | b"text/vtt" | b"text/srt" | b"application/x-subrip" => Self::Plain,
            _ => Self::Documents(Format::of_content_type(content_type)),
        }
    }
}

/// Shows one answer.
#[derive(Debug)]
pub struct Shown {
    endpoint: Option<Endpoint>,
    form: Form,
    body: Body,
    editor: Editor,
    frame: Frame,
    beginning: Beginning,
    /// What came before the format could be told, of what may be text: there it is a part of it.
    lead: Vec<u8>,
    refusal: Refusal,
    halt: Option<Halt>,
    /// How the client was told so.
    end: Ending,
    has_finished: bool,
}

/// How a client is told that an answer goes no further.
#[derive(Clone, Copy, Debug)]
enum Ending {
    /// There is no way to tell.
    Nothing,
    Document,
    Line,
    Event {
        /// It ends the line that the client has seen a part of.
        is_in_line: bool,
        /// The number of the event, if events have one.
        number: Option<u64>,
    },
}

#[derive(Debug)]
enum Frame {
    /// Nothing but blanks has come.
    Unknown,
    Document(Document),
    Lines(Lines),
    Events(Box<Events>),
    Plain(Box<Plain>),
    /// It isn't read: it passes as it comes.
    Passing,
    /// Nothing more of it is shown.
    Halted,
}

impl Shown {
    /// Of an answer in the form of `endpoint` (`None`: of one that isn't metered), whose head promises this
    /// body. `refusal` is in the dialect of the endpoint.
    #[must_use]
    pub fn new(
        endpoint: Option<Endpoint>,
        body: Body,
        guarded: Guarded,
        refusal: impl Into<Refusal>,
    ) -> Self {
        let form = Form::of(endpoint);
        Self {
            endpoint,
            form,
            body,
            editor: Editor::new(form, guarded),
            frame: Frame::Unknown,
            beginning: Beginning::default(),
            lead: Vec::new(),
            refusal: refusal.into(),
            halt: None,
            end: Ending::Nothing,
            has_finished: false,
        }
    }

    /// Reads one part of what the meter passes on of `buffer`. `pass` is called for what the client gets, in
    /// order. An event, a line or a document that isn't whole is kept back for a later call.
    pub fn read(&mut self, part: &Part<'_>, buffer: &[u8], pass: &mut impl FnMut(Part<'_>)) {
        let is_watching = !self.editor.texts.may_change();
        let mut relay = Relay::new(part, buffer, is_watching, pass);
        let read = self.read_on(&mut relay);
        if let Err(halt) = read {
            self.halt(halt, &mut relay);
        }
    }

    fn read_on<P: FnMut(Part<'_>)>(&mut self, relay: &mut Relay<'_, P>) -> Result<(), Halt> {
        if matches!(self.frame, Frame::Unknown) {
            let Some((start, first)) = self.beginning.end(relay.bytes) else {
                return self.hold_lead(relay);
            };
            if !self.may_be_plain() {
                relay.up_to(start);
            }
            self.frame = self.begin(first)?;
            let lead = std::mem::take(&mut self.lead);
            match &mut self.frame {
                Frame::Plain(plain) if !lead.is_empty() => {
                    let all = [&lead, relay.bytes].concat();
                    relay.leave_out(relay.bytes.len());
                    return relay.again(&all, |relay| plain.read(&mut self.editor.texts, relay));
                }
                Frame::Document(_) | Frame::Lines(_) => {
                    relay.put(&lead);
                    relay.begin_at(start);
                }
                _ => relay.put(&lead),
            }
        }
        match &mut self.frame {
            Frame::Unknown | Frame::Passing => relay.up_to(relay.bytes.len()),
            Frame::Halted => relay.leave_out(relay.bytes.len()),
            Frame::Lines(lines) => lines.read(&mut self.editor, relay)?,
            Frame::Events(events) => events.read(&mut self.editor, relay)?,
            Frame::Plain(plain) => plain.read(&mut self.editor.texts, relay)?,
            Frame::Document(document) => {
                if let Some(all) = document.read(relay)? {
                    let mut lines = Lines::default();
                    let read = relay.again(&all, |relay| lines.read(&mut self.editor, relay));
                    self.frame = Frame::Lines(lines);
                    read?;
                }
            }
        }
        Ok(())
    }

    fn may_be_plain(&self) -> bool {
        self.body == Body::Plain && self.endpoint.is_none()
    }

    /// Nothing has come yet but blanks. An engine that sends them so that nobody hangs up means the client; but the first
    /// bytes of a text are not told from a byte order mark.
    fn hold_lead<P: FnMut(Part<'_>)>(&mut self, relay: &mut Relay<'_, P>) -> Result<(), Halt> {
        if !self.may_be_plain() {
            relay.up_to(relay.bytes.len());
            return Ok(());
        }
        if self.lead.len().saturating_add(relay.bytes.len()) > MAX_DOCUMENT {
            return Err(Halt::Unreadable);
        }
        self.lead.extend_from_slice(relay.bytes);
        relay.leave_out(relay.bytes.len());
        Ok(())
    }

    fn begin(&self, first: u8) -> Result<Frame, Halt> {
        let promised = match self.body {
            Body::Opaque => return Err(Halt::Unreadable),
            // Whoever speaks JSON reads it as JSON, whatever it is called.
            Body::Plain if self.may_be_plain() && first != b'{' => {
                return Ok(Frame::Plain(Box::new(Plain::new(&self.editor.texts))));
            }
            Body::Plain => None,
            Body::Documents(promised) => promised,
        };
        if self.form == Form::Tokens {
            return Err(Halt::Unreadable);
        }
        Ok(match Format::of_first_byte(first, promised) {
            Format::Json => Frame::Document(Document::default()),
            Format::Ndjson => Frame::Lines(Lines::default()),
            Format::Sse => Frame::Events(Box::new(Events::new(self.beginning.sse()))),
        })
    }

    /// The answer has come to its end. Must be called where the client is told so; a second call does
    /// nothing.
    pub fn finish(&mut self, pass: &mut impl FnMut(Part<'_>)) {
        if std::mem::replace(&mut self.has_finished, true) {
            return;
        }
        let is_watching = !self.editor.texts.may_change();
        let mut relay = Relay::new(&Part::Held(&[]), &[], is_watching, pass);
        let ended = match &mut self.frame {
            Frame::Unknown => {
                relay.put(&self.lead);
                Ok(())
            }
            Frame::Passing | Frame::Halted => Ok(()),
            Frame::Document(document) => document.finish(&mut self.editor, &mut relay),
            Frame::Lines(lines) => lines.finish(&mut self.editor, &mut relay),
            Frame::Events(events) => events.finish(&mut self.editor, &mut relay),
            Frame::Plain(plain) => plain.finish(&mut self.editor.texts, &mut relay),
        };
        if let Err(halt) = ended {
            self.halt(halt, &mut relay);
        }
    }

    /// Nothing more is shown; or, where nothing may be changed, all is shown unread.
    fn halt<P: FnMut(Part<'_>)>(&mut self, halt: Halt, relay: &mut Relay<'_, P>) {
        relay.leave_out(relay.bytes.len());
        if !self.editor.texts.may_change() {
            self.frame = Frame::Passing;
            return;
        }
        self.end = match std::mem::replace(&mut self.frame, Frame::Halted) {
            Frame::Events(events) => {
                let number = self.editor.next_number();
                Ending::Event { is_in_line: events.is_in_line(), number }
            }
            Frame::Lines(_) => Ending::Line,
            Frame::Unknown | Frame::Document(_) => Ending::Document,
            Frame::Plain(_) | Frame::Passing => Ending::Nothing,
            // It was told before.
            Frame::Halted => return,
        };
        self.tell(relay);
        self.halt = Some(halt);
    }

    fn tell<P: FnMut(Part<'_>)>(&self, relay: &mut Relay<'_, P>) {
        match self.end {
            Ending::Event { is_in_line, number } => {
                relay.put(if is_in_line { b"\n" } else { b"" });
                relay.put(&refused::event(&self.refusal.body(), self.form, number));
            }
            Ending::Line => relay.put(&refused::line(&self.refusal.body())),
            Ending::Document => relay.put(self.refusal.body().as_bytes()),
            Ending::Nothing => {}
        }
    }

    /// From now on, what the model says is kept for [`Self::take_said`].
    pub fn listen(&mut self) {
        self.editor.texts.said.get_or_insert_default();
    }

    /// What the model has said since this was last called, before anything of it was changed.
    pub fn take_said(&mut self) -> Vec<(Said, String)> {
        self.editor.texts.said.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Nothing more is shown, as somebody refuses what was said; the client is told `refusal`. What it was told of
    /// another refusal is to be kept from it.
    pub fn refuse(&mut self, refusal: impl Into<Refusal>, pass: &mut impl FnMut(Part<'_>)) {
        let mut relay = Relay::new(&Part::Held(&[]), &[], false, pass);
        self.refusal = refusal.into();
        match self.halt {
            None => self.halt(Halt::Judged, &mut relay),
            Some(_) => {
                self.halt = Some(Halt::Judged);
                self.tell(&mut relay);
            }
        }
    }

    /// Why nothing more of the answer is shown. The engine need not go on.
    #[must_use]
    pub fn halted(&self) -> Option<Halt> {
        self.halt
    }

    /// How often each rule has found something. A text that an answer tells twice counts once.
    #[must_use]
    pub fn counts(&self) -> Vec<(RuleIndex, u32)> {
        self.editor.texts.counts()
    }
}

#[cfg(test)]
mod tests;

//! Reading an answer while it passes: what it took, and whether it came to its end.
//!
//! A [`Meter`] reads the buffers of one answer, cut anywhere, and tells after each what of it goes on
//! to the client: all of it, at once, but for what a client did not ask for. Its memory is bounded, and
//! its time is linear in what it reads, whatever that is.
//!
//! * `beginning`: what comes before the format of an answer can be told;
//! * `documents`: the JSON documents of an answer, read by `crate::json`; `sse`, `events`: the events of a
//!   stream; `familiar`: what they have in common;
//! * `places`: where in an answer the things stand that count;
//! * `event`: what one document says; `tally`: what all of them say, put together; `shares`, `rest`: of
//!   several answers to one request;
//! * `shown_model`: the name that the model has for the client; `renamed`: in an answer that is not metered;
//! * `hides`: what is kept from the client; `hold`: what is held back for that; `members`: where it stands;
//! * `reading`: the result; `settle`: what to charge.

mod asked;
mod beginning;
mod documents;
mod event;
mod events;
mod familiar;
mod hides;
mod hold;
mod members;
mod places;
mod reading;
mod renamed;
mod rest;
mod settle;
mod shares;
mod shown_model;
pub(crate) mod sse;
mod tally;

pub use asked::Asked;
pub use hides::Hides;
pub use hold::Part;
pub use reading::{Reading, Said};
pub use renamed::Renamed;
pub use settle::{settle, Terms};

#[cfg(test)]
use super::{Endpoint, Engine};
pub(crate) use beginning::Beginning;
use documents::Documents;
use events::Events;
use shown_model::ShownModel;

/// How the documents of an answer are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// One JSON document.
    Json,
    /// Server-sent events, each with a JSON document.
    Sse,
    /// A JSON document on each line.
    Ndjson,
}

impl Format {
    /// The format that a `Content-Type` promises. Parameters and case don't matter.
    #[must_use]
    pub fn of_content_type(value: &[u8]) -> Option<Self> {
        let media_type = value.split(|b| *b == b';').next()?.trim_ascii();
        let (_, suffix) = media_type.split_at(media_type.len().saturating_sub(b"+json".len()));
        let is = |name: &[u8]| media_type.eq_ignore_ascii_case(name);
        if is(b"text/event-stream") {
            Some(Self::Sse)
        } else if is(b"application/json") || suffix.eq_ignore_ascii_case(b"+json") {
            Some(Self::Json)
        } else if is(b"application/x-ndjson")
            || is(b"application/ndjson")
            || is(b"application/jsonl")
        {
            Some(Self::Ndjson)
        } else {
            None
        }
    }

    /// The format of a body that begins with `byte`, whatever was promised: no event of a stream begins
    /// with a bracket, and no JSON with the name of a field or a comment.
    pub(crate) fn of_first_byte(byte: u8, promised: Option<Self>) -> Self {
        match (byte, promised) {
            (b'{' | b'[', Some(Self::Ndjson)) => Self::Ndjson,
            (b'{' | b'[', _) => Self::Json,
            // `data`, `event`, `id`, `retry`.
            (b'd' | b'e' | b'i' | b'r' | b':', _) => Self::Sse,
            (_, Some(promised @ (Self::Sse | Self::Ndjson))) => promised,
            _ => Self::Json,
        }
    }
}

/// Reads one answer.
#[derive(Clone, Debug)]
pub struct Meter {
    asked: Asked,
    promised: Option<Format>,
    framing: Framing,
    documents: Documents,
    /// Not a byte came.
    is_empty: bool,
    beginning: Beginning,
    has_finished: bool,
    /// Where the client is to see another name of the model than the engine's.
    shown_model: Option<Box<ShownModel>>,
}

#[derive(Clone, Debug)]
enum Framing {
    /// Nothing but blanks has come.
    Unknown,
    Json,
    Ndjson,
    Sse(Events),
}

impl Meter {
    /// A meter of an answer to what was asked, of which its `Content-Type` promises this format. What
    /// comes decides.
    #[must_use]
    pub fn new(asked: Asked, promised: Option<Format>) -> Self {
        Self {
            asked,
            promised,
            framing: Framing::Unknown,
            documents: Documents::new(
                asked,
                matches!(promised, Some(Format::Sse | Format::Ndjson)),
            ),
            is_empty: true,
            beginning: Beginning::default(),
            has_finished: false,
            shown_model: None,
        }
    }

    /// From now on the client sees this name of the model, whatever the engine calls it.
    pub fn show_model(&mut self, name: &str) {
        self.shown_model = Some(Box::new(ShownModel::new(name, self.asked.endpoint)));
    }

    /// Reads one buffer. `pass` is called for what the client gets, in order: all of the buffer, but
    /// for what is hidden. Where something is, the part of an event that isn't whole, and the last event
    /// of an answer, are kept back for a later call. Comments between events are not.
    ///
    /// At most 64 KiB are kept: an event that is longer and comes in several buffers, is passed on as it
    /// is. For another name of the model nothing is kept back.
    pub fn read(&mut self, buffer: &[u8], pass: &mut impl FnMut(Part<'_>)) {
        let mut start = 0;
        if matches!(self.framing, Framing::Unknown) {
            self.is_empty &= buffer.is_empty();
            start = self.begin(buffer);
        }
        match self.shown_model.take() {
            None => self.read_on(buffer, start, pass),
            Some(mut shown) => {
                self.read_on(buffer, start, &mut |part| shown.pass(part, buffer, pass));
                self.shown_model = Some(shown);
            }
        }
    }

    /// Reads a buffer in which documents begin at `start`.
    fn read_on(&mut self, buffer: &[u8], start: usize, pass: &mut impl FnMut(Part<'_>)) {
        let bytes = buffer.get(start..).unwrap_or_default();
        match &mut self.framing {
            Framing::Sse(events) => return events.read(buffer, &mut self.documents, pass),
            Framing::Ndjson => self.documents.read_lines(bytes),
            Framing::Json => self.documents.read_whole(bytes),
            Framing::Unknown => {}
        }
        pass_all(buffer, pass);
    }

    /// Returns where in `buffer` the answer begins, if it does.
    fn begin(&mut self, buffer: &[u8]) -> usize {
        let Some((start, first)) = self.beginning.end(buffer) else { return buffer.len() };
        let format = Format::of_first_byte(first, self.promised);
        self.framing = match format {
            Format::Json => Framing::Json,
            Format::Ndjson => Framing::Ndjson,
            Format::Sse => Framing::Sse(Events::new(self.asked, self.beginning.sse())),
        };
        self.documents = Documents::new(self.asked, format != Format::Json);
        if let Some(shown) = &mut self.shown_model {
            shown.begin(format, self.beginning.sse());
        }
        start
    }

    /// The answer has ended, or was cut off: what is still kept back is passed on, and what came of
    /// the last event or line counts. Must be called before [`Self::reading`] is charged; a second
    /// call does nothing.
    pub fn finish(&mut self, pass: &mut impl FnMut(Part<'_>)) {
        if std::mem::replace(&mut self.has_finished, true) {
            return;
        }
        match (&mut self.framing, &mut self.shown_model) {
            (Framing::Sse(events), Some(shown)) => {
                events.finish(&mut self.documents, &mut |part| shown.pass(part, &[], pass));
            }
            (Framing::Sse(events), None) => events.finish(&mut self.documents, pass),
            (Framing::Ndjson | Framing::Json, _) => self.documents.finish(),
            (Framing::Unknown, _) => {}
        }
    }

    /// What was read so far; `None` if not a byte came. Usage counts when its event, line or document has
    /// ended; text does as soon as its string has.
    #[must_use]
    pub fn reading(&self) -> Option<Reading> {
        (!self.is_empty).then(|| self.documents.tally.reading())
    }

    /// Whether a token of the answer has come.
    #[must_use]
    pub fn has_output(&self) -> bool {
        self.documents.tally.has_output()
    }
}

fn pass_all(buffer: &[u8], pass: &mut impl FnMut(Part<'_>)) {
    if !buffer.is_empty() {
        pass(Part::Range(0..buffer.len()));
    }
}

#[cfg(test)]
mod choices_tests;
#[cfg(test)]
mod hides_tests;
#[cfg(test)]
mod numbers_tests;
#[cfg(test)]
mod tests;

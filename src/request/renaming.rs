//! The alias that a client asked for, in an answer that isn't metered. (In one that is, the [`meter`](super::meter)
//! shows it.)

use tollgate_core::llm::meter::{Format, Renamed};
use tollgate_core::llm::Endpoint;

use crate::request::meter::passed;
use crate::types::Request;

/// What the client calls the model, and is to see in the answer.
pub(crate) struct Renaming {
    alias: Box<str>,
    endpoint: Endpoint,
    /// While that is being read.
    reader: Option<Renamed>,
}

impl Renaming {
    pub(crate) fn new(alias: Box<str>, endpoint: Endpoint) -> Self {
        Self { alias, endpoint, reader: None }
    }

    /// The header of the answer is there. `true`: its body has to come by in memory.
    pub(crate) fn begin(&mut self, r: Request<'_>) -> bool {
        let is_success = (200..300).contains(&r.status_out());
        let promised = Format::of_content_type(r.content_type_out());
        // A picture or a sound has no names.
        let is_text = || {
            let kind = r.content_type_out();
            kind.is_empty() || kind.get(..5).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/"))
        };
        if is_success && !r.has_no_body() && !r.is_encoded() && (promised.is_some() || is_text()) {
            self.reader = Some(Renamed::new(&self.alias, self.endpoint, promised));
        }
        self.is_reading()
    }

    pub(crate) fn is_reading(&self) -> bool {
        self.reader.is_some()
    }

    /// The next bytes of the answer; `pass` is told what the client gets.
    pub(crate) fn read(&mut self, bytes: &[u8], mut pass: impl FnMut(nginx::Part<'_>)) {
        match &mut self.reader {
            Some(reader) => reader.read(bytes, &mut |part| pass(passed(part))),
            None => pass(nginx::Part::Range(0..bytes.len())),
        }
    }
}

//! ACCESS: what does the request ask the engine for? Read from its body, for clients that have been
//! found good.

use tollgate_core::decision::Reason;
use tollgate_core::detail::{Cause, Detail};
use tollgate_core::llm::meter::Hides;
use tollgate_core::llm::{request, Endpoint, LlmRequest, RequestError};

use crate::conf::policy::Policy;
use crate::conf::settings::IncludeUsage;
use crate::types::Request;

/// Why a body is refused.
pub(crate) struct Refused {
    pub(crate) reason: Reason,
    pub(crate) cause: Option<Cause>,
    /// What the client is told besides.
    pub(crate) error: Option<RequestError>,
}

impl Refused {
    pub(crate) fn detail(&self) -> Option<Detail> {
        let of_body = self.error.map(|error| error.detail());
        of_body.or_else(|| self.cause.map(Detail::from))
    }
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self { reason, cause: None, error: None }
    }
}

impl From<Cause> for Refused {
    fn from(cause: Cause) -> Self {
        Self { reason: cause.reason(), cause: Some(cause), error: None }
    }
}

/// Refuses by the header what needn't be read.
pub(crate) fn check_header(r: Request<'_>, policy: &Policy) -> Result<(), Reason> {
    let mut encodings = r.headers_in().filter(|header| header.name == b"content-encoding");
    if encodings.any(|header| !header.value.eq_ignore_ascii_case(b"identity")) {
        return Err(Reason::UnsupportedEncoding);
    }
    match r.content_length() {
        Some(length) if length > policy.max_body => Err(Reason::RequestTooLarge),
        _ => Ok(()),
    }
}

/// A change of the body, as it can be undone.
pub(crate) struct Edit {
    at: u64,
    /// How many bytes we put there.
    len: u64,
    /// What they took the place of.
    was: Box<str>,
    /// What comes of it that the client must not see.
    pub(crate) hides: Hides,
}

/// A body of which a part has been read.
pub(crate) struct Reading {
    reader: request::BodyReader,
    at: u64,
}

/// How far a body has been read.
pub(crate) enum Inspected {
    Whole(LlmRequest),
    /// The rest is read in later turns of the event loop.
    Part(Box<Reading>),
}

/// Bytes of a body that are read in one turn of the event loop. Whatever is in them takes a few milliseconds at
/// most; the worker's other requests would wait for more.
const TURN: u64 = 128 << 10;

/// Reads the body that nginx has by now, or goes on with it.
pub(crate) fn inspect(
    r: Request<'_>,
    policy: &Policy,
    endpoint: Endpoint,
    begun: Option<Box<Reading>>,
) -> Result<Inspected, Refused> {
    let len = r.body_len();
    if len > policy.max_body {
        return Err(Reason::RequestTooLarge.into());
    }
    let (mut reader, at) = match begun {
        Some(reading) => (reading.reader, reading.at),
        None => (request::BodyReader::new(endpoint, policy.engine), 0),
    };
    let read = r.read_body_part(at, TURN, |slice| reader.read(slice));
    let at = at + read.ok_or(Cause::BodyUnreadable)?;
    if at < len {
        return Ok(Inspected::Part(Box::new(Reading { reader, at })));
    }
    let request = reader.finish();
    request
        .map(Inspected::Whole)
        .map_err(|error| Refused { error: Some(error), ..Reason::MalformedRequest.into() })
}

/// Where a stream would not say what it took, asks it to.
pub(crate) fn ask_for_usage(
    r: Request<'_>,
    policy: &Policy,
    request: &LlmRequest,
) -> Result<Option<Edit>, Cause> {
    let even_if_declined = match policy.include_usage {
        IncludeUsage::Off => return Ok(None),
        IncludeUsage::Auto => false,
        IncludeUsage::Always => true,
    };
    let Some(edit) = request.usage_edit(policy.engine, even_if_declined) else { return Ok(None) };
    // A copy of the length that `set` keeps would stay, and an engine that is told it would take the end of
    // the body for the next request.
    if r.is_assigned(r.body_len().to_string().as_bytes()) {
        r.log().warn(format_args!(
            "tollgate: the engine is not asked for usage: a variable of \"set\" holds the length of the body"
        ));
        return match even_if_declined {
            true => Err(Cause::LengthInSet),
            false => Ok(None),
        };
    }
    let (at, replaced) = (edit.range.start as u64, edit.range.len() as u64);
    r.splice_body(at, replaced, edit.text.as_bytes()).ok_or(Cause::OutOfMemory)?;
    let len = edit.text.len() as u64;
    Ok(Some(Edit { at, len, was: edit.replaced.into(), hides: edit.hides }))
}

/// Makes the body what the client sent, for a location that judges it anew or not at all. `None` when
/// nginx has no memory.
pub(crate) fn undo(r: Request<'_>, edit: &Edit) -> Option<()> {
    r.splice_body(edit.at, edit.len, edit.was.as_bytes())
}

//! ACCESS: what does the request ask the engine for? Read from its body, for clients that have been
//! found good.

use tollgate_core::decision::Reason;
use tollgate_core::detail::{Cause, Detail};
use tollgate_core::llm::meter::Hides;
use tollgate_core::llm::request::edits::Edits;
use tollgate_core::llm::request::form::{FormRequest, ModelPlace};
use tollgate_core::llm::{request, Endpoint, LlmRequest, RequestError, Uses, UsesReader};
use tollgate_core::multipart::{Boundary, FormReader, Part as FormPart};
use tollgate_core::permissions::FeatureRules;

use tollgate_core::objects::references::{Mentions, References, Unread};

use crate::conf::policy::Policy;
use crate::types::Request;
use nginx::request::body::Splice;

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

/// How a body was changed, as it can be undone.
pub(crate) struct Change {
    parts: Vec<Part>,
    /// How it had been changed before.
    before: Option<Box<Change>>,
    /// What comes of it that the client must not see.
    pub(crate) hides: Hides,
}

impl Change {
    /// The same, of a body that had been changed `before`, of which the client must not see what `hides` says.
    pub(crate) fn after(self, before: Option<Box<Change>>, hides: Hides) -> Self {
        Self { before, hides, ..self }
    }
}

struct Part {
    at: u64,
    /// How many bytes we put there.
    len: u64,
    /// What they took the place of.
    was: Box<[u8]>,
}

/// A body of which a part has been read.
pub(crate) struct Reading {
    pass: Pass,
    /// Where objects may be named.
    references: Option<References>,
    at: u64,
}

/// What it is being read for.
#[expect(clippy::large_enum_variant, reason = "nearly all of them are of the larger one")]
enum Pass {
    /// For the objects that it names alone.
    Objects,
    /// The same of a form, and what it asks for.
    Form(FormReader),
    /// What it asks for, as far as limits and metering go.
    Request(request::BodyReader),
    /// What else it uses.
    Uses(Box<(LlmRequest, UsesReader)>),
}

/// What is looked for in a body.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// What it asks for, in this form.
    pub(crate) form: Option<Endpoint>,
    /// What separates its parts, if it is a form with files.
    pub(crate) boundary: Option<&'a Boundary>,
    /// What it uses, as far as these ask.
    pub(crate) rules: &'a FeatureRules,
    /// The objects that it names.
    pub(crate) references: bool,
}

/// What was found in a body.
pub(crate) struct Whole {
    /// What it asks for, and what it uses, where that has to be known.
    pub(crate) asked: Option<(LlmRequest, Option<Box<Uses>>)>,
    /// Where it names its model, if it is a form with files.
    pub(crate) place: Option<ModelPlace>,
    /// The objects that it names.
    pub(crate) mentions: Option<Box<Mentions>>,
}

/// How far a body has been read.
#[expect(clippy::large_enum_variant, reason = "nearly all of them are of the larger one")]
pub(crate) enum Inspected {
    Whole(Whole),
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
    wanted: Wanted<'_>,
    begun: Option<Box<Reading>>,
) -> Result<Inspected, Refused> {
    let len = r.body_len();
    if len > policy.max_body {
        return Err(Reason::RequestTooLarge.into());
    }
    let Reading { mut pass, mut references, mut at } = match begun {
        Some(reading) => *reading,
        None => Reading {
            pass: match (wanted.boundary, wanted.form) {
                (Some(boundary), _) => Pass::Form(FormReader::new(boundary)),
                (None, Some(form)) => Pass::Request(request::BodyReader::new(form, policy.engine)),
                (None, None) => Pass::Objects,
            },
            references: wanted.references.then(|| References::new(policy.engine)),
            at: 0,
        },
    };
    let mut left = TURN;
    loop {
        let read = r.read_body_part(at, left, |slice| {
            match &mut pass {
                Pass::Objects => {}
                Pass::Form(reader) => return reader.read(slice),
                Pass::Request(reader) => reader.read(slice),
                // The first pass has found all objects.
                Pass::Uses(both) => return both.1.read(slice),
            }
            if let Some(references) = &mut references {
                references.read(slice);
            }
        });
        let read = read.ok_or(Cause::BodyUnreadable)?;
        (at, left) = (at + read, left.saturating_sub(read));
        if at < len {
            return Ok(Inspected::Part(Box::new(Reading { pass, references, at })));
        }
        let asked = match pass {
            Pass::Objects => None,
            Pass::Form(reader) => {
                let parts = reader.finish().map_err(RequestError::BadForm).map_err(malformed)?;
                return of_form(&parts, policy, wanted).map(Inspected::Whole);
            }
            Pass::Request(reader) => {
                let request = reader.finish().map_err(malformed)?;
                if wanted.rules.wants_uses(&request, policy.engine) {
                    let unknown = wanted.rules.wants_unknown();
                    let reader = UsesReader::new(&request, policy.engine, unknown);
                    (pass, at) = (Pass::Uses(Box::new((request, reader))), 0);
                    if left < len {
                        return Ok(Inspected::Part(Box::new(Reading { pass, references, at })));
                    }
                    continue;
                }
                Some((request, None))
            }
            Pass::Uses(both) => {
                let (request, reader) = *both;
                let uses = reader.finish().ok_or(Cause::BodyUnreadable)?;
                Some((request, Some(Box::new(uses))))
            }
        };
        let mentions =
            references.map(|references| references.finish().map(Box::new).map_err(refused_for));
        return Ok(Inspected::Whole(Whole { asked, place: None, mentions: mentions.transpose()? }));
    }
}

/// What the parts of a form say.
fn of_form(parts: &[FormPart], policy: &Policy, wanted: Wanted<'_>) -> Result<Whole, Refused> {
    let mentions = wanted.references.then(|| Mentions::of_form(parts, policy.engine));
    let mentions = mentions.transpose().map_err(refused_for)?.map(Box::new);
    if wanted.form.is_none() {
        return Ok(Whole { asked: None, place: None, mentions });
    }
    let FormRequest { request, uses, place } =
        FormRequest::of(parts, policy.engine).map_err(malformed)?;
    Ok(Whole { asked: Some((request, Some(Box::new(uses)))), place: Some(place), mentions })
}

fn refused_for(unread: Unread) -> Refused {
    match unread {
        Unread::NotJson => malformed(RequestError::NotJson),
        Unread::TooMany => Cause::TooManyObjects.into(),
        Unread::NoId => Cause::UnknownObject.into(),
    }
}

pub(crate) fn malformed(error: RequestError) -> Refused {
    Refused { error: Some(error), ..Reason::MalformedRequest.into() }
}

/// Whether the length of the body must stay: a copy that `set` keeps would stay, and an engine that is told it
/// would take the end of the body for the next request.
pub(crate) fn keeps_length(r: Request<'_>) -> bool {
    r.is_assigned(r.body_len().to_string().as_bytes())
}

/// All of the body that was read. `None`: it can't be read.
pub(crate) fn whole(r: Request<'_>) -> Option<Vec<u8>> {
    let mut body = Vec::with_capacity(usize::try_from(r.body_len()).ok()?);
    r.read_body_part(0, u64::MAX, |slice| body.extend_from_slice(slice))?;
    Some(body)
}

/// Changes the body.
pub(crate) fn change(r: Request<'_>, edits: &Edits, hides: Hides) -> Result<Change, Cause> {
    let splices: Vec<Splice<'_>> = edits
        .iter()
        .map(|edit| Splice {
            at: edit.range.start as u64,
            replaced: edit.range.len() as u64,
            text: &edit.text,
        })
        .collect();
    let mut parts = Vec::with_capacity(splices.len());
    // Where a part comes to lie, when those before it have been changed.
    let (mut gone, mut come) = (0, 0);
    for splice in &splices {
        let mut was = Vec::new();
        r.read_body_part(splice.at, splice.replaced, |slice| was.extend_from_slice(slice))
            .ok_or(Cause::BodyUnreadable)?;
        let len = splice.text.len() as u64;
        parts.push(Part { at: splice.at + come - gone, len, was: was.into() });
        (gone, come) = (gone + splice.replaced, come + len);
    }
    r.edit_body(&splices).ok_or(Cause::OutOfMemory)?;
    Ok(Change { parts, before: None, hides })
}

/// Makes the body what the client sent, for a location that judges it anew or not at all. `None` when
/// nginx has no memory.
pub(crate) fn undo(r: Request<'_>, change: &Change) -> Option<()> {
    let splices: Vec<Splice<'_>> = change
        .parts
        .iter()
        .map(|part| Splice { at: part.at, replaced: part.len, text: &part.was })
        .collect();
    r.edit_body(&splices)?;
    match &change.before {
        Some(before) => undo(r, before),
        None => Some(()),
    }
}

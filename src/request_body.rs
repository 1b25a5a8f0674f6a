//! ACCESS: what does the request ask the engine for? Read from its body, for clients that have been
//! found good.

use tollgate_core::decision::Reason;
use tollgate_core::llm::{request, Endpoint, LlmRequest, RequestError};

use crate::conf::policy::Policy;
use crate::ffi::request::Request;

/// Why a body is refused.
pub(crate) struct Refused {
    pub(crate) reason: Reason,
    /// What the client is told besides.
    pub(crate) error: Option<RequestError>,
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self { reason, error: None }
    }
}

/// Whether the body of a request for a known endpoint is read.
pub(crate) fn is_read(r: Request<'_>, policy: &Policy) -> bool {
    // Engines answer to POST alone; whatever else comes is theirs to refuse.
    policy.is_metered && r.method() == b"POST"
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

/// Reads the body that nginx has by now. Where a stream would not say what it took, it is asked to;
/// `true` if the client must not see that.
pub(crate) fn inspect(
    r: Request<'_>,
    policy: &Policy,
    endpoint: Endpoint,
) -> Result<(LlmRequest, bool), Refused> {
    if r.body_len() > policy.max_body {
        return Err(Reason::RequestTooLarge.into());
    }
    let request = {
        let body = r.body(policy.max_body).ok_or(Reason::InternalError)?;
        request::parse(&body, endpoint, policy.engine).map_err(|error| {
            r.log().info(format_args!("tollgate: request refused: {error}"));
            Refused { reason: Reason::MalformedRequest, error: Some(error) }
        })?
    };
    if !policy.include_usage {
        return Ok((request, false));
    }
    let Some(edit) = request.usage_edit(policy.engine) else { return Ok((request, false)) };
    let (at, replaced) = (edit.range.start as u64, edit.range.len() as u64);
    r.splice_body(at, replaced, edit.text.as_bytes()).ok_or(Reason::InternalError)?;
    Ok((request, edit.hides_usage_chunk))
}

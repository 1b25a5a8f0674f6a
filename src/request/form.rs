//! ACCESS: bodies that are forms with files: sounds that are written down, pictures and videos that are made of others.
//! How they are read, is for [`tollgate_core::multipart`] to say.

use tollgate_core::llm::engines::{exception, Naming, Route};
use tollgate_core::llm::RequestError;
use tollgate_core::multipart::{Boundary, ContentType};

use crate::conf::policy::Policy;
use crate::types::Request;

/// What the request says that its body is.
pub(crate) fn content_type(r: Request<'_>) -> Result<ContentType, RequestError> {
    let kinds = r.headers_in().filter(|header| header.name == b"content-type");
    ContentType::of(kinds.map(|header| header.value)).map_err(RequestError::BadForm)
}

/// What separates the parts of the body of a request for `route`; `None`: it is no form.
pub(crate) fn boundary(r: Request<'_>, route: &Route) -> Result<Option<Boundary>, RequestError> {
    if !(names_model(route) || route.objects.may_be_form) {
        return Ok(None);
    }
    content_type(r).map(|kind| match kind {
        ContentType::Form(boundary) => Some(boundary),
        ContentType::Json | ContentType::Other => None,
    })
}

/// Whether a request for `route` names its model in a form, if it is one.
pub(crate) fn names_model(route: &Route) -> bool {
    matches!(route.naming, Naming::Form | Naming::FormOrBody)
}

/// Whether the parts of a request for `path` say what it asks for, and nobody has opened the path for whatever it
/// asks. One that is a form in no plain way counts as well: it is refused when it is read.
pub(crate) fn is_judged(r: Request<'_>, policy: &Policy, path: &[u8], route: &Route) -> bool {
    names_model(route)
        && !matches!(content_type(r), Ok(ContentType::Json | ContentType::Other))
        && !exception::opens(&policy.endpoints, r.method(), path)
}

//! `tollgate_usage`: what a client has left, for itself.

use tollgate_core::clients::view::to_json;

use super::headers::headers;
use crate::clients::report;
use crate::types::Request;
use nginx::Page;

/// The page; `None`: nothing is counted. Who asks was authenticated as a client; else there is nobody to tell of.
pub(super) fn page(r: Request<'_>) -> Option<Page> {
    let state = r.state()?.borrow();
    let Some(principal) = &state.principal else {
        return Some(Page { status: 403, ..Page::default() });
    };
    let usage = report::usage(r.main_conf(), principal, state.tier.as_deref())?;
    Some(Page {
        status: 200,
        content_type: "application/json",
        headers: headers(),
        body: to_json(&usage),
    })
}

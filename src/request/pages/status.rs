//! `tollgate_status`: how things are, for whoever looks after the server.

use super::headers::headers;
use crate::overview;
use nginx::Page;

/// The page, as JSON; `None`: nothing is counted.
pub(super) fn page() -> Option<Page> {
    let body = overview::look()?.to_json();
    Some(Page { status: 200, content_type: "application/json", headers: headers(), body })
}

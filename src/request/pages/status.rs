//! `tollgate_status`: how things are, for whoever looks after the server.

use tollgate_core::overview::query;

use super::headers::headers;
use crate::clients::report;
use crate::overview;
use crate::types::Request;
use nginx::Page;

/// The page, as JSON; `None`: nothing is counted.
pub(super) fn page(r: Request<'_>) -> Option<Page> {
    let (status, body) = match query::clients(r.query()) {
        Ok(query) => {
            let clients = report::list(r.main_conf(), &query);
            (200, overview::look(r.main_conf())?.to_json_with(clients.as_ref()))
        }
        Err(error) => (400, error.to_json()),
    };
    Some(Page { status, content_type: "application/json", headers: headers(), body })
}

//! `tollgate_status`: how things are, for whoever looks after the server: as JSON, and as a page that reads it.

mod shell;

use tollgate_core::overview::query::Form;

use crate::overview;
use crate::types::Request;
use nginx::Page;

/// The page; `None`: nothing is counted.
pub(super) fn page(r: Request<'_>) -> Option<Page> {
    let accept = r.headers_in().filter(|line| line.name.eq_ignore_ascii_case(b"accept"));
    match Form::of(accept.map(|line| line.value)) {
        Form::Html => Some(shell::status()),
        Form::Json => Some(json(200, overview::look()?.to_json())),
    }
}

fn json(status: u16, body: Vec<u8>) -> Page {
    Page { status, content_type: "application/json", headers: headers(), body }
}

/// What goes for each form.
fn headers() -> Vec<(&'static str, String)> {
    let headers = [
        ("Cache-Control", "no-store"),
        ("Vary", "Accept"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
    ];
    headers.map(|(name, value)| (name, value.to_owned())).to_vec()
}

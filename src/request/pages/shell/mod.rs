//! The pages for browsers: one response each, whose style and script are in it, and which nothing else may join. What
//! they show they read as JSON from where they came from.

use std::sync::OnceLock;

use tollgate_core::overview::shell::Shell;

use super::headers::headers;
use crate::conf::pages::Shown;
use nginx::Page;

static STATUS: OnceLock<Shell> = OnceLock::new();

/// The page: the same for everybody.
pub(super) fn page(shown: Shown) -> Page {
    let shell = match shown {
        Shown::Metrics { .. } | Shown::Usage | Shown::Status => STATUS.get_or_init(|| {
            let script = concat!(include_str!("common.js"), include_str!("status.js"));
            Shell::new(include_str!("status.html"), include_str!("page.css"), script)
        }),
    };
    let mut headers = headers();
    headers.push(("Content-Security-Policy", shell.policy.clone()));
    Page {
        status: 200,
        content_type: "text/html; charset=utf-8",
        headers,
        body: shell.html.clone().into_bytes(),
    }
}

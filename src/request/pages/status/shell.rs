//! The page for browsers: one response, whose style and script are in it, and which nothing else may join. What it shows
//! it reads as JSON from where it came from.

use std::sync::OnceLock;

use tollgate_core::overview::shell::Shell;

use nginx::Page;

static STATUS: OnceLock<Shell> = OnceLock::new();

/// The page of operators: the same for everybody.
pub(super) fn status() -> Page {
    page(STATUS.get_or_init(|| {
        let script = concat!(include_str!("common.js"), include_str!("status.js"));
        Shell::new(include_str!("status.html"), include_str!("page.css"), script)
    }))
}

fn page(shell: &Shell) -> Page {
    let mut headers = super::headers();
    headers.push(("Content-Security-Policy", shell.policy.clone()));
    Page {
        status: 200,
        content_type: "text/html; charset=utf-8",
        headers,
        body: shell.html.clone().into_bytes(),
    }
}

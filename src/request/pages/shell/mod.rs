//! The pages for browsers: one response each, whose style and script are in it, and which nothing else may join. What
//! they show they read as JSON from where they came from.

use std::sync::OnceLock;

use tollgate_core::credential::Source;
use tollgate_core::overview::shell::Shell;

use super::headers::headers;
use crate::conf::pages::Shown;
use crate::conf::policy::Policy;
use crate::types::Request;
use nginx::Page;

static STATUS: OnceLock<Shell> = OnceLock::new();
static USAGE: OnceLock<Shell> = OnceLock::new();

/// The page: the same for everybody.
pub(super) fn page(r: Request<'_>, shown: Shown) -> Page {
    let shell = match shown {
        Shown::Metrics { .. } | Shown::Status => STATUS.get_or_init(|| {
            let script = concat!(include_str!("common.js"), include_str!("status.js"));
            Shell::new(include_str!("status.html"), include_str!("page.css"), script)
        }),
        Shown::Usage => USAGE.get_or_init(|| {
            let script = concat!(include_str!("common.js"), include_str!("usage.js"));
            Shell::new(include_str!("usage.html"), include_str!("page.css"), script)
        }),
    };
    let mut headers = headers();
    headers.push(("Content-Security-Policy", shell.policy.clone()));
    Page {
        status: 200,
        content_type: "text/html; charset=utf-8",
        headers,
        body: shell
            .with_header(r.loc_conf().policy().and_then(|policy| header(policy)))
            .into_bytes(),
    }
}

/// The header by which a page can send a credential: `Authorization`, if it is one that counts.
fn header(policy: &Policy) -> Option<&[u8]> {
    let by = |wanted: Source| {
        let mut names = policy.credential_header_names();
        names.find(|name| policy.credential_source(name) == Some(wanted))
    };
    by(Source::Bearer).or_else(|| by(Source::Raw))
}

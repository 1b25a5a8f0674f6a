//! CONTENT: what operators and clients can look at. Where the location is protected (`tollgate on`), ACCESS has
//! judged who asks, by the credential and the scope of the page: such a request spends nothing.

mod headers;
mod metrics;
mod shell;
mod status;
mod usage;

use tollgate_core::detail::{Cause, Detail};
use tollgate_core::overview::query::Form;
use tollgate_core::ruling::{By, Ruling};

use crate::conf::pages::Shown;
use crate::request::state::State;
use crate::types::Request;
use nginx::Page;

/// Whether a browser asks for a page that shows nothing by itself: it is the same for everybody, and needs no
/// credential, which browsers don't send when somebody goes to an address. What it shows it asks for with one.
#[inline]
pub(super) fn is_shell(r: Request<'_>) -> bool {
    r.loc_conf().shown.is_some_and(|shown| shown.has_html() && is_wanted_as_html(r))
}

fn is_wanted_as_html(r: Request<'_>) -> bool {
    let is_looked_at = matches!(r.method(), b"GET" | b"HEAD");
    is_looked_at && r.is_main() && !r.is_internal() && form(r) == Form::Html
}

fn form(r: Request<'_>) -> Form {
    let accept = r.headers_in().filter(|line| line.name == b"accept");
    Form::of(accept.map(|line| line.value))
}

/// ACCESS: whether who asks may have this page.
///
/// # Errors
///
/// The scope that is missing.
pub(super) fn check(state: &State, shown: Shown) -> Result<(), Detail> {
    let Some(scope) = shown.scope() else { return Ok(()) };
    let of_tier = state.tier.as_ref().and_then(|tier| tier.scopes);
    let is_granted =
        state.principal.as_ref().is_some_and(|principal| principal.granted(of_tier).has(scope));
    match is_granted {
        true => Ok(()),
        false => Err(Detail::new(Cause::MissingScope, scope.as_str())),
    }
}

/// Whether a redirect has led from a page to something else, or to a page: what was judged is another thing then.
pub(super) fn are_elsewhere(r: Request<'_>, state: &State) -> bool {
    state.is_for_page || r.loc_conf().shown.is_some()
}

/// The page of the location.
pub(crate) fn answer(r: Request<'_>) -> Option<Page> {
    let conf = r.loc_conf();
    let shown = conf.shown?;
    if is_shell(r) {
        return Some(shell::page(r, shown));
    }
    if conf.policy().is_some() && !is_open(r) {
        return Some(Page { status: 403, ..Page::default() });
    }
    match shown {
        Shown::Metrics { clients } => metrics::page(r, clients),
        Shown::Usage => usage::page(r),
        Shown::Status => status::page(r),
    }
}

/// Whether it was judged that who asks may have the page of this protected location: by ACCESS, which subrequests
/// don't go through.
fn is_open(r: Request<'_>) -> bool {
    let Some(state) = r.state().filter(|_| r.is_main()) else { return false };
    let state = state.borrow();
    match state.ruling {
        Ruling::Admitted(By::Us) => state.is_for_page,
        // `satisfy any`, with `allow` say.
        Ruling::Admitted(By::AnotherModule) => true,
        Ruling::Undecided | Ruling::Denied(..) => false,
    }
}

//! PREACCESS and PRECONTENT: the backend learns who is asking from us, and from nobody else.

use tollgate_core::cert::forwarded;
use tollgate_core::cors::Single;
use tollgate_core::disclosure::{carries, header_carries, is_credential_header};
use tollgate_core::llm::engines::SteeringHeader;
use tollgate_core::websocket_key;

use crate::conf::policy::Policy;
use crate::conf::settings::Upgrade;
use crate::request::access;
use crate::request::browser;
use crate::request::endpoint;
use crate::request::first_look::make_state;
use crate::request::pages;
use crate::request::refusal;
use crate::request::scheduler;
use crate::types::Request;
use nginx::request::headers::{HeaderIn, HeaderName};
use nginx::Verdict;

const X_CLIENT_ID: HeaderName = HeaderName::new("X-Client-ID", "x-client-id");
const X_TENANT_ID: HeaderName = HeaderName::new("X-Tenant-ID", "x-tenant-id");
const X_CLIENT_TIER: HeaderName = HeaderName::new("X-Client-Tier", "x-client-tier");
const X_REQUEST_ID: HeaderName = HeaderName::new("X-Request-ID", "x-request-id");
/// Names of ours, in lower case with `-` for anything that isn't a letter or digit.
const CLIENT_ID: &[u8] = b"x-client-id";
const TENANT_ID: &[u8] = b"x-tenant-id";
const CLIENT_TIER: &[u8] = b"x-client-tier";
const REQUEST_ID: &[u8] = b"x-request-id";
/// By which llama.cpp goes on with a stream.
const CONVERSATION_ID: &[u8] = SteeringHeader::CONVERSATION_ID.name;
/// Without it nginx and the engine stay with HTTP.
const UPGRADE: &[u8] = b"upgrade";
const SUBPROTOCOL: HeaderName = HeaderName::new("Sec-WebSocket-Protocol", "sec-websocket-protocol");
/// The origin of a page.
const ORIGIN: &[u8] = b"origin";

/// By which a client asks for a part of a page, or for none where it has changed or not.
const CONDITIONS: [&[u8]; 6] = [
    b"range",
    b"if-range",
    b"if-none-match",
    b"if-modified-since",
    b"if-match",
    b"if-unmodified-since",
];

/// Takes off what the client says about himself, before anybody believes it: auth_request asks its
/// service in ACCESS, with the header lines of the client. (What he says of the request's id may
/// stand, and credentials may be what that service asks for.) Names that no header can have go as well.
pub(crate) fn silence(r: Request<'_>) {
    if r.is_main() && r.loc_conf().policy().is_some() {
        let is_said = |header: HeaderIn<'_>| {
            header.is_malformed()
                || [CLIENT_ID, TENANT_ID, CLIENT_TIER]
                    .iter()
                    .any(|ours| is_spelling_of(ours, header.name))
        };
        if r.headers_in().any(is_said) {
            r.remove_headers_in(is_said);
            r.forget_header_variables(|_| false);
        }
    }
}

/// Takes identity headers and credentials of the client's off the request, and puts ours on. `None`
/// when nginx has no memory, or a variable failed.
///
/// This is a phase of its own, because `satisfy any` may have let the request through without asking
/// us: then, too, nobody names himself.
pub(crate) fn seal(r: Request<'_>) -> Option<Verdict> {
    let conf = r.loc_conf();
    #[cfg(debug_assertions)]
    crate::faults::at(conf.planted, crate::faults::Callback::Precontent);
    let Some(policy) = conf.policy() else {
        return Some(Verdict::Declined);
    };
    if !r.is_main() {
        return Some(match refusal::holds_for_subrequest(r, policy) {
            true => Verdict::Status(403),
            false => Verdict::Declined,
        });
    }
    if pages::is_shell(r) {
        return Some(Verdict::Declined);
    }
    let was_judged_here = r.state().is_some();
    let state = r.attach_state(|keeper| make_state(r, policy, keeper))?;
    let hides_pages = browser::is_silent_about_pages(policy);
    let (request_id, client, tenant, tier, is_read, is_page, takes_objects, outlasts, presented) = {
        let mut state = state.borrow_mut();
        if state.broken {
            return None;
        }
        // What was judged may be what was asked for before a redirect that led here.
        let judged = state.route.filter(|_| was_judged_here && !r.is_internal());
        let route = match judged {
            Some(route) => route,
            None => endpoint::path(r)?.route(r, policy),
        };
        state.page = route.page;
        if let Some(refused) = refusal::before_content(r, &mut state, policy, was_judged_here) {
            return Some(refused);
        }
        (
            state.request_id,
            state.principal.as_ref().map(|principal| r.copy(principal.client().as_bytes())),
            state
                .principal
                .as_ref()
                .and_then(|principal| principal.tenant())
                .map(|tenant| r.copy(tenant.as_bytes())),
            state.tier.as_ref().map(|tier| r.copy(tier.name.as_bytes())),
            state.metering.is_some() || state.renaming.is_some(),
            state.page.is_some(),
            state.keeping.as_ref().is_some_and(|keeping| keeping.takes_answer()),
            state.metering.as_ref().is_some_and(|metering| metering.outlasts_client()),
            state.credential.bytes(r),
        )
    };
    if is_read || is_page || takes_objects {
        // What is compressed can't be read.
        r.accept_identity_upstream()?;
    }
    if is_read || is_page {
        // Nor is what the client doesn't get of an answer that was made for it.
        r.ignore_conditions();
    }
    let kept_back = presented.filter(|_| !policy.pass_credentials);
    // What nobody accepted may be anything, the value of a header of a proxy before us say.
    let is_accepted = client.is_some();
    let is_credential = |header: &HeaderIn<'_>| {
        (is_accepted || is_credential_header(header.name))
            && kept_back.is_some_and(|bytes| header_carries(header.name, header.value, bytes))
    };
    let upgrades = policy.upgrade == Upgrade::Allow || policy.dry_run;
    let subprotocols = match policy.takes_subprotocols && !policy.pass_credentials {
        true => Some(r.copy(&without_keys(r, kept_back))?),
        false => None,
    };
    let mut origin = Single::None;
    r.remove_headers_in(|header| {
        let is_origin = hides_pages && header.name == ORIGIN;
        if is_origin {
            origin.add(header.value);
        }
        is_origin
            || is_ours(header.name, policy)
            || is_credential(&header)
            || (!upgrades && header.name == UPGRADE)
            // The engine's page is another one than the client's.
            || (is_page && CONDITIONS.contains(&header.name))
    });
    if hides_pages {
        browser::note_hidden(r, state, origin);
    }
    if let Some(subprotocols) = subprotocols.filter(|subprotocols| !subprotocols.is_empty()) {
        r.push_header_in(&SUBPROTOCOL, subprotocols)?;
    }
    if let Some(client) = client {
        r.push_header_in(&X_CLIENT_ID, client?)?;
    }
    if let Some(tenant) = tenant {
        r.push_header_in(&X_TENANT_ID, tenant?)?;
    }
    if let Some(tier) = tier {
        r.push_header_in(&X_CLIENT_TIER, tier?)?;
    }
    scheduler::tell(r, policy)?;
    r.outlast_client(outlasts);
    r.push_header_in(&X_REQUEST_ID, r.kept(request_id))?;
    // What was evaluated before us is of the client's header.
    r.forget_header_variables(|value| {
        (is_accepted && kept_back.is_some_and(|bytes| carries(value, bytes)))
            || (subprotocols.is_some() && websocket_key::may_hold_key(value))
    });
    Some(match endpoint::check_evaluated(r, state, policy) {
        Ok(()) => Verdict::Declined,
        Err(detail) => access::conclude(r, state, Err(detail.into())),
    })
}

/// The protocols of a WebSocket that the client offers, but for its key and what carries its credential.
fn without_keys(r: Request<'_>, credential: Option<&[u8]>) -> Vec<u8> {
    let lines = r.headers_in().filter(|header| header.name == websocket_key::HEADER);
    websocket_key::without_keys(lines.map(|header| header.value), credential)
}

/// Whether the client names the stream, so that the engine goes on with it without him.
pub(crate) fn names_stream(r: Request<'_>) -> bool {
    r.headers_in().any(|header| is_spelling_of(CONVERSATION_ID, header.name))
}

/// The streams that the client names.
pub(crate) fn streams<'r>(r: Request<'r>) -> impl Iterator<Item = &'r [u8]> {
    let names_one = |header: &HeaderIn<'_>| is_spelling_of(CONVERSATION_ID, header.name);
    r.headers_in().filter(names_one).map(|header| header.value)
}

/// Whether the client has no say in this header: a credential, or one of ours. (What a proxy said of the
/// client's certificate, nobody has to believe once more; least of all what none said.)
fn is_ours(name: &[u8], policy: &Policy) -> bool {
    (!policy.pass_credentials && policy.credential_source(name).is_some())
        || (begins_like_ours(name) && is_extension_of_ours(name, policy))
}

/// The same of a header whose name begins as some of ours do.
#[cold]
fn is_extension_of_ours(name: &[u8], policy: &Policy) -> bool {
    let has_certs = policy.client_cert.is_some() || !policy.xfcc_from.is_empty();
    (has_certs && is_spelling_of(forwarded::HEADER, name))
        || policy.steering_headers().any(|header| is_spelling_of(header, name))
        || [CLIENT_ID, TENANT_ID, CLIENT_TIER, REQUEST_ID]
            .into_iter()
            .any(|ours| is_spelling_of(ours, name))
        || scheduler::is_ours(name, policy)
}

/// `x-`, in any spelling, or the first letter of the only one that has no `x-`: most names begin otherwise, and need
/// no further look.
fn begins_like_ours(name: &[u8]) -> bool {
    match name {
        [b'x' | b'X', second, ..] => !second.is_ascii_alphanumeric(),
        [b'e' | b'E', ..] => true,
        _ => false,
    }
}

/// Whether `name` could reach the backend as `ours`. CGI and WSGI turn `-` into `_`, and some
/// gateways `.` as well, so all of them count as one.
fn is_spelling_of(ours: &[u8], name: &[u8]) -> bool {
    name.len() == ours.len()
        && name.iter().zip(ours).all(|(byte, ours)| {
            let byte = byte.to_ascii_lowercase();
            byte == *ours || (*ours == b'-' && !byte.is_ascii_alphanumeric())
        })
}

//! The first look at a request: its id, and its credential.

use std::rc::Rc;

use tollgate_core::credential::{Presentation, Presented};
use tollgate_core::detail::Cause;

use crate::conf::policy::Policy;
use crate::request::id as request_id;
use crate::request::state::{SavedCredential, SavedForwarded, State};
use crate::types::Request;
use nginx::request::Keeper;
use nginx::Kept;

/// What its header says.
struct Look {
    request_id: Kept,
    credential: SavedCredential,
    forwarded: SavedForwarded,
}

/// The state of a request that nothing is known about yet.
// Where it is made is where it stays: a state that is returned is copied, a thousand bytes each time.
#[inline(always)]
pub(crate) fn make_state<'r>(r: Request<'r>, policy: &Rc<Policy>, keeper: &Keeper<'r>) -> State {
    let Look { request_id, credential, forwarded } = look(r, policy, keeper);
    State::new(Rc::clone(policy), request_id, credential, forwarded)
}

fn look<'r>(r: Request<'r>, policy: &Policy, keeper: &Keeper<'r>) -> Look {
    let mut presented = Presented::default();
    let mut request_id = None;
    for header in r.headers_in() {
        if let Some(source) = policy.credential_source(header.name) {
            presented.add(source, header.value);
        } else if header.name == b"x-request-id" && request_id.is_none() {
            request_id = request_id::is_well_formed(header.value).then_some(header.value);
        }
    }
    let credential = match (presented.finish(), presented.cause()) {
        (Presentation::One(one), None) => {
            SavedCredential::One { bytes: keeper.keep(one.bytes), bearer: one.bearer, raw: one.raw }
        }
        (_, cause) => SavedCredential::Not(cause.unwrap_or(Cause::NoCredential)),
    };
    let forwarded = SavedForwarded::of(presented.forwarded(), keeper);
    let request_id = request_id::choose(r, policy, request_id);
    // Without memory for an id, there is none; the request fails soon enough.
    let request_id = keeper.keep(request_id.unwrap_or_default());
    Look { request_id, credential, forwarded }
}

//! ACCESS: objects that clients keep at the engine, each of which is reached by the client alone that made it.
//! What a method and a path do to them, and who made what, is for [`tollgate_core::objects`] to say.

use std::cell::RefCell;

use tollgate_core::detail::{Cause, Detail};
use tollgate_core::llm::engines::{exception, Route};
use tollgate_core::metrics::{Counter, Part};
use tollgate_core::objects::path::{are_named_alike, named, removed, Access, Streams};
use tollgate_core::objects::references::Mentions;
use tollgate_core::objects::{query, Kind, Remembered, Takes};

use crate::conf::policy::Policy;
use crate::observed;
use crate::request::authenticate::Denial;
use crate::request::keeping::{Book, Keeping};
use crate::request::state::State;
use crate::types::Request;

/// Whether objects are named by the body of the request, or may be.
pub(crate) fn are_in_body(state: &State) -> bool {
    state.keeping.as_ref().is_some_and(|keeping| keeping.access.refers)
}

/// Whether a path that reaches into the requests of others is one at which each client reaches its own.
pub(crate) fn judges(r: Request<'_>, route: &Route) -> bool {
    route.objects.streams != Streams::None && r.main_conf().objects().is_some()
}

/// Judges what the request names in its path, its query and its header, which has these `streams`. The principal is
/// known by now.
#[inline(always)]
pub(crate) fn check<'r>(
    r: Request<'r>,
    state: &RefCell<State>,
    policy: &Policy,
    route: &Route,
    streams: impl Iterator<Item = &'r [u8]>,
) -> Result<(), Denial> {
    match route.objects.is_none() && !policy.may_resume() {
        true => Ok(()),
        false => check_names(r, state, policy, route, streams),
    }
}

fn check_names<'r>(
    r: Request<'r>,
    state: &RefCell<State>,
    policy: &Policy,
    route: &Route,
    streams: impl Iterator<Item = &'r [u8]>,
) -> Result<(), Denial> {
    let access = route.objects;
    let mut state = state.borrow_mut();
    state.keeping = None;
    let path = r.kept(state.judged_path);
    let is_opened = || exception::opens(&policy.endpoints, r.method(), path);
    let reaches = || access.reaches() || (access.joins_calls && query::names_call(r.query()));
    let Some(book) = Book::open(r.main_conf(), state.principal.as_deref()) else {
        return match reaches() && !is_opened() {
            true => Err(Cause::ObjectsUnkept.into()),
            false => Ok(()),
        };
    };
    if access.lists && !is_opened() {
        return Err(Cause::ListsObjects.into());
    }
    if access.joins_calls && query::names_call(r.query()) && !is_opened() {
        return Err(Cause::UnknownObject.into());
    }
    if access.names {
        named(path, |kind, id| book.expect_own(kind, id))?;
    }
    if access.streams == Streams::Query {
        let stream = stream_of(r).ok_or(Cause::UnknownObject)?;
        book.expect_own(Kind::Stream, query::stem(&stream))?;
    }
    if policy.may_resume() {
        claim_streams(r, &book, streams)?;
    }
    let removes = removed(r.method(), path).map(|(kind, id)| book.object(kind, id));
    let takes = match book.has_owner() {
        true => access.kept(None),
        false => Takes::default(),
    };
    if access.refers || removes.is_some() || !takes.is_nothing() {
        let chooses_id = false;
        let keeping = Keeping { book, access, removes, takes, chooses_id, sightings: None };
        state.keeping = Some(Box::new(keeping));
    }
    Ok(())
}

/// Whether variables have a request forwarded to `path` and `query`, and these do something else to objects, or to
/// others, than what was judged.
pub(crate) fn are_others(
    r: Request<'_>,
    state: &State,
    policy: &Policy,
    (path, query, route): (&[u8], &[u8], &Route),
) -> bool {
    let access = route.objects;
    let before = state.route.map(|route| route.objects).unwrap_or_default();
    if access.is_none() && before.is_none() {
        return false;
    }
    let is_opened = || exception::opens(&policy.endpoints, r.method(), path);
    if access.joins_calls && query::names_call(query) {
        return !is_opened();
    }
    if r.main_conf().objects().is_none() {
        return access.reaches() && !is_opened();
    }
    let judged = r.kept(state.judged_path);
    let are_same = access == before
        && (!access.names || are_named_alike(judged, path))
        && (access.streams != Streams::Query || query::stream(query) == query::stream(r.query()));
    let are_opened = || before.is_none() && access == Access::LISTS && is_opened();
    !are_same && !are_opened()
}

/// The stream that the query names. A form in the body would be parameters as well.
fn stream_of(r: Request<'_>) -> Option<Vec<u8>> {
    let has_form = r.headers_in().any(|header| header.name == b"content-type");
    query::stream(r.query()).filter(|_| !has_form)
}

/// A stream belongs to the client that named it first, for as long as that is remembered.
fn claim_streams<'r>(
    r: Request<'_>,
    book: &Book,
    streams: impl Iterator<Item = &'r [u8]>,
) -> Result<(), Denial> {
    for id in streams {
        if !query::is_stream_id(id) {
            return Err(Cause::UnknownObject.into());
        }
        match book.remember(Kind::Stream, query::stem(id)) {
            Some(Remembered::Own) => {}
            Some(Remembered::Foreign) => return Err(Cause::AnothersObject.into()),
            Some(Remembered::NoRoom) => {
                observed::count(Counter::ZoneFull(Part::Objects));
                let name = r.main_conf().objects_name().to_owned();
                return Err(Detail::new(Cause::NoRoomForObject, name).into());
            }
            None => return Err(Cause::NobodysObject.into()),
        }
    }
    Ok(())
}

/// Judges what the body names.
pub(crate) fn check_body(state: &RefCell<State>, mentions: &Mentions) -> Result<(), Denial> {
    let mut state = state.borrow_mut();
    let Some(keeping) = &mut state.keeping else { return Ok(()) };
    mentions.named.iter().try_for_each(|(kind, id)| keeping.book.expect_own(*kind, id))?;
    if keeping.book.has_owner() {
        keeping.takes = keeping.access.kept(mentions.store);
    }
    keeping.chooses_id = mentions.chooses_id;
    Ok(())
}

//! ACCESS: classifiers judge what a request says, when guards have found nothing that refuses it.

use std::cell::RefCell;
use std::rc::Rc;

use tollgate_core::llm::texts::Texts;

use crate::request::authenticate::Denial;
use crate::request::classifier::{Judging, Wait};
use crate::request::guarded::Guarded;
use crate::request::state::State;
use crate::types::Request;

/// Classifiers are to judge these texts, if there are any.
pub(super) fn begin(
    r: Request<'_>,
    state: &RefCell<State>,
    guarded: &mut Guarded,
    texts: impl FnOnce() -> Result<Texts, Denial>,
) -> Result<(), Denial> {
    if !guarded.guards.classifiers.is_empty() {
        guarded.judging = Some(Judging::new(texts()?, client(r, &state.borrow())));
    }
    Ok(())
}

/// For whom classifiers are asked.
pub(super) fn client(r: Request<'_>, state: &State) -> Box<str> {
    match &state.principal {
        Some(principal) => principal.client().into(),
        None => String::from_utf8_lossy(r.client_addr_text()).into(),
    }
}

/// Goes on asking; what the request has to wait for meanwhile.
pub(super) fn go_on(r: Request<'_>, state: &RefCell<State>) -> Result<Option<Wait>, Denial> {
    let Some(mut guarded) = state.borrow_mut().guarded.take() else { return Ok(None) };
    let judged = match guarded.judging.take() {
        None => Ok(None),
        Some(mut judging) => {
            let guards = Rc::clone(&guarded.guards);
            let judged = judging.go_on(r, &guards, &mut guarded.found);
            if matches!(judged, Ok(Some(_))) {
                guarded.judging = Some(judging);
            }
            judged.map_err(|unfit| {
                guarded.place = unfit.place;
                unfit.detail.into()
            })
        }
    };
    state.borrow_mut().guarded = Some(guarded);
    judged
}

//! What becomes of a refusal: it stands for as long as the request lives, whatever nginx runs after it.
//!
//! nginx goes on with a request that was refused: an `error_page` leads it to another location, whose
//! `try_files`, `index` or `rewrite` leads it on, to a backend in the end. None of that is a reason to
//! let it in, and nginx's own flags don't tell (`recursive_error_pages` keeps them off). So:
//!
//! | the request comes to               | then                                                       |
//! |------------------------------------|------------------------------------------------------------|
//! | a file, by GET or HEAD             | it is served: the operator's page. The refusal stands      |
//! | a backend under the same policy    | refused again, in our words                                |
//! | a location under another policy    | judged there; that alone lifts a refusal                   |
//! | a location with `tollgate off`     | we have no say there; the refusal stands, as the log has it|
//!
//! `satisfy any` may let another module grant access: before we are asked, or, if it comes behind us
//! in the phase, after. Both are the business of the location where that happens, so that it lifts no
//! refusal that the same policy gave elsewhere, and counts for nothing where the request is led to.

use std::fmt;
use std::rc::Rc;

use tollgate_core::answer::Answer;
use tollgate_core::decision::{Decision, Notice, Reason};
use tollgate_core::detail::{self, Detail};

use crate::clock::mono_now;
use crate::conf::policy::Policy;
use crate::per_worker::PerWorker;
use crate::request::state::{Body, State};
use crate::types::Request;
use nginx::Verdict;

/// What an internal redirect of a request means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// This location judges for itself.
    Judge,
    /// What was decided holds here, too.
    Stands(Decision),
    /// The request is refused, and gets a page of the operator's.
    Page,
}

/// An internal redirect has led to a location with this policy, or the request has just come.
pub(crate) fn arrive(r: Request<'_>, state: &State, policy: &Rc<Policy>) -> Arrival {
    let is_same = Rc::ptr_eq(&state.policy, policy);
    match state.decision {
        None => Arrival::Judge,
        Some(Decision::Deny(_)) if state.refusal().is_some() && r.serves_file() => Arrival::Page,
        // What another module granted, it granted in its location.
        Some(Decision::Allow) if state.is_granted_by_another => Arrival::Judge,
        Some(decision) if is_same => Arrival::Stands(decision),
        Some(_) => Arrival::Judge,
    }
}

/// PRECONTENT: the handler that answers comes next. `Some`: it must not.
pub(crate) fn before_content(
    r: Request<'_>,
    state: &mut State,
    policy: &Rc<Policy>,
    was_judged_here: bool,
) -> Option<Verdict> {
    let refused = match state.decision {
        Some(Decision::Deny(_)) => state.refusal(),
        _ => None,
    };
    if r.is_after_answer() {
        // A `post_action` is judged by nobody, and no way to a backend for those who were refused.
        return refused.map(|answer| tell(r, state, answer));
    }
    if was_judged_here {
        return match refused {
            Some(_) if state.body == Body::ErrorPage => None,
            // A module behind us granted what we refused.
            Some(_)
                if r.is_granted_by_another() && state.reason() != Some(Reason::InternalError) =>
            {
                lift(state, policy);
                None
            }
            Some(answer) => Some(tell(r, state, answer)),
            None => None,
        };
    }
    // `satisfy any`: somebody else granted access, and we were not asked.
    match (arrive(r, state, policy), refused) {
        (Arrival::Page, _) => {
            state.body = Body::ErrorPage;
            None
        }
        (Arrival::Stands(_), Some(answer)) => Some(tell(r, state, answer)),
        (Arrival::Judge, Some(answer)) if state.reason() == Some(Reason::InternalError) => {
            Some(tell(r, state, answer))
        }
        (Arrival::Judge, _) => {
            lift(state, policy);
            None
        }
        (Arrival::Stands(_), None) => None,
    }
}

/// Access was granted under this policy, by somebody else.
fn lift(state: &mut State, policy: &Rc<Policy>) {
    if state.decision != Some(Decision::Allow) {
        state.policy = Rc::clone(policy);
        (state.refused_owner, state.detail) = (None, None);
        state.decision = Some(Decision::Allow);
        state.is_granted_by_another = true;
    }
}

/// Whether a subrequest is one of a refused request, on its way to a backend that the same policy
/// protects: what `mirror` or SSI would send there after all.
pub(crate) fn holds_for_subrequest(r: Request<'_>, policy: &Rc<Policy>) -> bool {
    let main = r.main();
    // Where we have no say, nobody has made it known yet; nor has ACCESS before us, where auth_request asks
    // its question.
    let known = match main.is_in_access() {
        true => main.state(),
        false => main.find_state(),
    };
    let Some(state) = known else { return false };
    let Ok(state) = state.try_borrow() else { return false };
    state.refusal().is_some() && Rc::ptr_eq(&state.policy, policy) && r.has_content_handler()
}

/// What is said of a refusal in the error log: the reason, the detail, and that in a sentence.
pub(crate) struct Told<'d>(pub(crate) Reason, pub(crate) Option<&'d Detail>);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())?;
        match self.1 {
            Some(detail) => write!(f, " ({}): {detail}", detail.cause().as_str()),
            None => Ok(()),
        }
    }
}

/// The refusals that the error log was told of.
static TOLD: PerWorker<detail::Told> = PerWorker::new(detail::Told::default);

/// Tells the error log of a refusal, which belongs to the location that gave it.
pub(crate) fn log(r: Request<'_>, state: &State) {
    let Some(reason) = state.reason() else { return };
    let told = Told(reason, state.detail.as_ref());
    if state.refusal().is_none() {
        r.log().info(format_args!("tollgate: request would be refused: {told}"));
        return;
    }
    let is_error = match reason.notice() {
        Notice::Always => true,
        Notice::Quietly => false,
        Notice::Once => {
            let cause = state.detail.as_ref().map(Detail::cause);
            let now_ms = mono_now().0 / 1_000_000;
            TOLD.with(|told| told.is_due(r.error_log(), (reason, cause), now_ms))
        }
    };
    match is_error {
        true => r.log().error(format_args!("tollgate: request refused: {told}")),
        false => r.log().info(format_args!("tollgate: request refused: {told}")),
    }
}

/// Tells nginx that the request is refused.
pub(crate) fn tell(r: Request<'_>, state: &mut State, answer: &'static Answer) -> Verdict {
    state.body = Body::Untouched;
    if let Some(challenge) = answer.www_authenticate {
        if r.challenge(challenge).is_none() {
            return Verdict::Status(500);
        }
    }
    // It had its error_page: that led back to what is closed to it. So would the next one.
    if state.refused_with.contains(&answer.status) || state.refused_with.len() > 1 {
        r.end_error_pages();
    }
    state.refused_with.push(answer.status);
    Verdict::Status(answer.status)
}

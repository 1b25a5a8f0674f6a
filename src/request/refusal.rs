//! What becomes of a refusal: it stands for as long as the request lives, whatever nginx runs after it.
//! Which refusal stands where is for [`tollgate_core::ruling`] to say; this tells it where the request is,
//! and nginx, the error log and subrequests what comes of that.

use std::fmt;
use std::rc::Rc;

use tollgate_core::answer::{insufficient_scope, Answer};
use tollgate_core::decision::{Notice, Reason};
use tollgate_core::detail::{self, Detail};
use tollgate_core::permissions::scopes::Scope;
use tollgate_core::principal::AuthMethod;
use tollgate_core::ruling::{Arrival, Content, Here};

use crate::clock::mono_now;
use crate::conf::policy::Policy;
use crate::per_worker::PerWorker;
use crate::request::state::State;
use crate::types::Request;
use nginx::Verdict;

/// Where a request has come to.
struct Location<'r> {
    r: Request<'r>,
    has_same_policy: bool,
    was_judged: bool,
}

impl Here for Location<'_> {
    fn has_same_policy(&self) -> bool {
        self.has_same_policy
    }

    fn serves_file(&self) -> bool {
        self.r.serves_file()
    }

    fn is_granted_by_another(&self) -> bool {
        self.r.is_granted_by_another()
    }

    fn was_judged(&self) -> bool {
        self.was_judged
    }

    fn is_after_answer(&self) -> bool {
        self.r.is_after_answer()
    }
}

/// An internal redirect has led to a location with this policy, or the request has just come.
pub(crate) fn arrive(r: Request<'_>, state: &State, policy: &Rc<Policy>) -> Arrival {
    let has_same_policy = Rc::ptr_eq(&state.policy, policy);
    let here = Location { r, has_same_policy, was_judged: false };
    state.ruling.arrive(state.is_dry_run(), &here)
}

/// PRECONTENT: the handler that answers comes next. `Some`: it must not.
pub(crate) fn before_content(
    r: Request<'_>,
    state: &mut State,
    policy: &Rc<Policy>,
    was_judged: bool,
) -> Option<Verdict> {
    let has_same_policy = Rc::ptr_eq(&state.policy, policy);
    let here = Location { r, has_same_policy, was_judged };
    match state.ruling.before_content(state.is_dry_run(), &here) {
        Content::Goes => None,
        Content::Page => {
            state.ruling.give_page();
            None
        }
        // Under this policy, by somebody else.
        Content::Granted => {
            if state.ruling.grant() {
                state.policy = Rc::clone(policy);
                (state.refused_owner, state.detail) = (None, None);
            }
            None
        }
        Content::Refused(reason) => {
            let answer = state.answer_to(reason);
            Some(tell(r, state, answer))
        }
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

/// What a token lacks (RFC 6750 section 3.1).
fn challenge(state: &State) -> Option<&'static str> {
    let principal =
        state.principal.as_ref().filter(|_| state.reason() == Some(Reason::ScopeDenied))?;
    match principal.auth() {
        AuthMethod::Jwt | AuthMethod::Introspection => {
            Some(insufficient_scope(Scope::from_name(state.detail.as_ref()?.name()?)?))
        }
        _ => None,
    }
}

/// Tells nginx that the request is refused.
pub(crate) fn tell(r: Request<'_>, state: &mut State, answer: &'static Answer) -> Verdict {
    state.ruling.tell();
    if let Some(challenge) = answer.www_authenticate.or_else(|| challenge(state)) {
        if r.challenge(challenge).is_none() {
            return Verdict::Status(500);
        }
    }
    // It had its error_page: that led back to what is closed to it. So would the next one.
    if state.refused_with.is_again(answer.status) {
        r.end_error_pages();
    }
    Verdict::Status(answer.status)
}

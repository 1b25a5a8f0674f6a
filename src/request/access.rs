//! ACCESS: who is asking, and may they?

use std::cell::RefCell;
use std::rc::Rc;

use tollgate_core::answer::answer;
use tollgate_core::decision::{Decision, Reason};
use tollgate_core::detail::Cause;
use tollgate_core::limits::Zone;
use tollgate_core::llm::{LlmRequest, Uses};
use tollgate_core::metrics::tier_cells;
use tollgate_core::permissions::networks::Outside;
use tollgate_core::ruling::Arrival;

use crate::clients::counting::ClientFlight;
use crate::conf::policy::Policy;
use crate::conf::rules::Tier;
use crate::conf::settings::OnRevoke;
use crate::keys::waiting::{self, Topic};
use crate::observed::{self, Counted};
use crate::request::admit::{Admission, Admitted, Shortage};
use crate::request::authenticate::{authenticate, recheck, tier_of, Authentication, Denial, Means};
use crate::request::body::{self as request_body, Inspected, Whole};
use crate::request::browser;
use crate::request::classifier::Wait;
use crate::request::drops;
use crate::request::endpoint;
use crate::request::estimate;
use crate::request::features;
use crate::request::first_look::make_state;
use crate::request::grounds::Grounds;
use crate::request::guards;
use crate::request::identity;
use crate::request::judging;
use crate::request::learn;
use crate::request::long_body;
use crate::request::meter::Metering;
use crate::request::models;
use crate::request::objects;
use crate::request::pages;
use crate::request::pause;
use crate::request::refusal;
use crate::request::rewrite;
use crate::request::running::Running;
use crate::request::state::{Asked, State, Step};
use crate::request::whereabouts;
use crate::types::Request;
use crate::zone::lock::ZoneLock;
use nginx::Verdict;

/// The access handler.
pub(crate) fn judge(r: Request<'_>) -> Verdict {
    let conf = r.loc_conf();
    #[cfg(debug_assertions)]
    crate::faults::at(conf.planted, crate::faults::Callback::Access);
    let Some(policy) = conf.policy() else {
        return match rewrite::leave_none(r) {
            Some(()) => Verdict::Declined,
            None => Verdict::Status(answer(Reason::InternalError).status),
        };
    };
    if pages::is_shell(r) {
        return Verdict::Declined;
    }
    if r.is_after_answer() {
        // A `post_action` is none of the client's requests, and takes nothing.
        return Verdict::Declined;
    }
    let redirected = r.state().is_none();
    let Some(state) = r.attach_state(|keeper| make_state(r, policy, keeper)) else {
        return Verdict::Status(answer(Reason::InternalError).status);
    };
    if redirected {
        if let Some(verdict) = after_redirect(r, state, policy) {
            return verdict;
        }
    }
    let step = match redirected {
        true => Step::Credential,
        false => std::mem::replace(&mut state.borrow_mut().step, Step::Credential),
    };
    if step == Step::Credential {
        let Some(path) = endpoint::path(r) else {
            return conclude(r, state, Err(Cause::OutOfMemory.into()));
        };
        let found = (path.bytes, path.route(r, policy));
        let mut fresh = state.borrow_mut();
        let is_new = fresh.route.is_none() && Rc::ptr_eq(&fresh.policy, policy);
        match is_new {
            true => fresh.begin(r, found),
            false => fresh.start_over(policy, r, found),
        }
        drop(fresh);
        if !is_new && rewrite::leave_none(r).is_none() {
            return conclude(r, state, Err(Cause::OutOfMemory.into()));
        }
    }
    let waits = match decide(r, state, policy, step) {
        Ok(Progress::Decided) => return conclude(r, state, Ok(())),
        Err(denial) => return conclude(r, state, Err(denial)),
        Ok(Progress::Body) => {
            state.borrow_mut().step = Step::Body;
            return Verdict::ReadBody;
        }
        Ok(Progress::Reading) => long_body::wait(r, state, Step::Body),
        Ok(Progress::Guarded) => long_body::wait(r, state, Step::Guards),
        Ok(Progress::Classifier(wait)) => pause::for_classifier(r, state, wait),
        Ok(Progress::Provider(topic)) => pause::for_provider(r, state, topic),
        Ok(Progress::Turn) => pause::for_turn(r, state),
        Ok(Progress::Lease) => pause::for_store(r, state),
    };
    waits.unwrap_or_else(|| conclude(r, state, Err(Cause::OutOfMemory.into())))
}

/// How far the judging of a request has come.
enum Progress {
    Decided,
    /// The body has to be read.
    Body,
    /// A part of it was read.
    Reading,
    /// Guards have looked at a part of it.
    Guarded,
    /// A classifier was asked about it.
    Classifier(Wait),
    /// It is in the queue.
    Turn,
    /// The store is to be asked for what its node has not leased.
    Lease,
    /// A provider was asked.
    Provider(Topic),
}

/// A bug: the guard caught a panic in [`judge`] or [`crate::request::identity::seal`].
pub(crate) fn fail(r: Request<'_>) -> Verdict {
    let status = Verdict::Status(answer(Reason::InternalError).status);
    let Some(policy) = r.loc_conf().policy() else {
        return status;
    };
    if let Some(state) = r.attach_state(|keeper| make_state(r, policy, keeper)) {
        let state = &mut *state.borrow_mut();
        let cause = if state.broken { Cause::VariableFailed } else { Cause::Panic };
        state.ruling.fail();
        state.detail = Some(cause.into());
        refusal::log(r, state);
    }
    status
}

/// Writes the decision down, and tells nginx.
pub(crate) fn conclude(
    r: Request<'_>,
    state: &RefCell<State>,
    outcome: Result<(), Denial>,
) -> Verdict {
    let mut state = state.borrow_mut();
    let outcome = match state.broken {
        true => Err(Denial::from(Cause::VariableFailed)),
        false => outcome,
    };
    let decision = match outcome {
        Ok(()) => Decision::Allow,
        Err(denial) => {
            (state.refused_owner, state.detail) = (denial.owner, denial.detail);
            Decision::Deny(denial.reason)
        }
    };
    state.ruling.decide(decision);
    // It may have been let in before, and refused where a redirect has led it.
    (state.in_flight, state.of_client) = (None, None);
    if observed::is_on() && state.refusal().is_none() && !state.is_for_page {
        let tier = state.tier.as_deref().map(Tier::of_metrics);
        let memory = r.main_conf().observations();
        state.in_flight = Counted::new(memory, tier, tier_cells::IN_FLIGHT);
        let principal = state.principal.as_deref();
        state.of_client =
            principal.and_then(|principal| ClientFlight::new(r.main_conf(), principal));
    }
    if decision != Decision::Allow {
        refusal::log(r, &state);
    }
    tell(r, &mut state, decision)
}

/// Tells nginx what was decided.
fn tell(r: Request<'_>, state: &mut State, decision: Decision) -> Verdict {
    if state.was_read_early || (state.principal.is_none() && r.has_read_ours()) {
        r.forget_made_of_ours();
    }
    if state.principal.is_some() && state.refusal().is_none() {
        let is_closed = decision == Decision::Allow && state.policy.on_revoke == OnRevoke::Close;
        if is_closed || r.main_conf().drops().is_some() {
            let before = state.running.take();
            state.running = Some(Running::new(r, is_closed, before));
        }
    }
    match (decision, state.refusal()) {
        (Decision::Allow, _) if state.principal.is_some() => Verdict::Ok,
        // Anonymous, or let through by dry_run: no reason for `satisfy any` to grant access.
        (Decision::Allow, _) | (Decision::Deny(_), None) => Verdict::Declined,
        (Decision::Deny(_), Some(answer)) => refusal::tell(r, state, answer),
    }
}

/// An internal redirect has led here, and the request was judged before. What is still true of that?
fn after_redirect(r: Request<'_>, state: &RefCell<State>, policy: &Rc<Policy>) -> Option<Verdict> {
    let arrival = refusal::arrive(r, &state.borrow(), policy);
    match arrival {
        Arrival::Judge => None,
        Arrival::Page => {
            state.borrow_mut().ruling.give_page();
            Some(Verdict::Declined)
        }
        Arrival::Stands(Decision::Allow) => within_policy(r, state, policy),
        Arrival::Stands(denied @ Decision::Deny(_)) => {
            Some(tell(r, &mut state.borrow_mut(), denied))
        }
    }
}

/// An internal redirect has led a request that was let in to a location under the same policy. `None`:
/// what is asked for there has to be judged.
fn within_policy(r: Request<'_>, state: &RefCell<State>, policy: &Rc<Policy>) -> Option<Verdict> {
    if pages::are_elsewhere(r, &state.borrow()) {
        return None;
    }
    match endpoint::check_here(r, state, policy)? {
        Ok(()) => {
            let is_known = state.borrow().principal.is_some();
            Some(if is_known { Verdict::Ok } else { Verdict::Declined })
        }
        Err(detail) => Some(conclude(r, state, Err(detail.into()))),
    }
}

fn decide(
    r: Request<'_>,
    state: &RefCell<State>,
    policy: &Rc<Policy>,
    step: Step,
) -> Result<Progress, Denial> {
    let conf = r.main_conf();
    let mapped = conf.zone().ok_or(Cause::NoZone)?;
    let zone = mapped.get();
    let (lock, cluster) = (&ZoneLock::of(zone), conf.cluster());
    let admission = Admission { r, state, policy, mapped, zone, lock, cluster };
    if let Some(shown) = r.loc_conf().shown {
        state.borrow_mut().is_for_page = true;
        if let Some(topic) = identify(r, state, policy, &admission, step)? {
            return Ok(Progress::Provider(topic));
        }
        pages::check(&state.borrow(), shown)?;
        return Ok(Progress::Decided);
    }
    let (route, path) = {
        let state = state.borrow();
        (state.route.ok_or(Cause::Panic)?, r.kept(state.judged_path))
    };
    if step == Step::Credential {
        browser::check_socket(r, policy)?;
        let ambiguity = route.ambiguity(path, r.uri(), r.target());
        ambiguity.map_or(Ok(()), |cause| Err(Denial::from(cause)))?;
    }
    let endpoint = route.form.filter(|_| policy.is_metered);
    let form = endpoint.or_else(|| features::form_to_look_at(r, policy, path));
    if matches!(step, Step::Credential | Step::Provider) {
        if let Some(topic) = identify(r, state, policy, &admission, step)? {
            return Ok(Progress::Provider(topic));
        }
        endpoint::check(r, state, policy, (path, &route, endpoint.is_some()))?;
        let reads_model = models::before_body(r, state, policy, &route)?;
        objects::check(r, state, policy, &route, identity::streams(r))?;
        if endpoint.is_none() && !route.objects.is_none() {
            guards::begin_kept(r, state, policy);
        }
        if form.is_some() || reads_model || objects::are_in_body(&state.borrow()) {
            admission.check_before_body().map_err(|shortage| denial(state, shortage))?;
            request_body::check_header(r, policy)?;
            return Ok(Progress::Body);
        }
    }
    if !matches!(step, Step::Credential | Step::Provider) {
        // It has been waiting, for its body or its turn.
        let recheck = || -> Result<(), Denial> {
            recheck(r, state)?;
            drops::check(state)?;
            if state.borrow().later.is_some() {
                endpoint::check(r, state, policy, (path, &route, endpoint.is_some()))?;
                models::judge_in_turn(state, policy)?;
            }
            Ok(())
        };
        recheck().inspect_err(|_| state.borrow_mut().wait_no_more())?;
    }
    if step == Step::Body {
        let reads_model = || models::before_body(r, state, policy, &route);
        let form = match form {
            None => reads_model()?.then_some(models::FORM),
            known => known,
        };
        match features::inspect(r, state, policy, form) {
            Ok(Inspected::Part(reading)) => {
                state.borrow_mut().reading = Some(reading);
                return Ok(Progress::Reading);
            }
            Ok(Inspected::Whole(Whole { asked, mentions })) => {
                if let Some(mentions) = &mentions {
                    objects::check_body(state, mentions)?;
                }
                if let Some((mut request, uses)) = asked {
                    models::judge(state, policy, &mut request)?;
                    if endpoint.is_some() {
                        let asked = (request, uses.as_deref());
                        let metering = metering(r, state, policy, asked, zone)?;
                        let form = metering.endpoint;
                        state.borrow_mut().metering = Some(Box::new(metering));
                        guards::begin(r, state, policy, form)?;
                    } else {
                        features::look(state, policy, &request, uses.as_deref())?;
                        models::put(r, state, policy, &request)?;
                    }
                }
            }
            Err(refused) => {
                state.borrow_mut().malformed = refused.error;
                return Err(Denial { detail: refused.detail(), ..refused.reason.into() });
            }
        }
    }
    if matches!(step, Step::Body | Step::Guards) && !guards::go_on(r, state)? {
        return Ok(Progress::Guarded);
    }
    if matches!(step, Step::Body | Step::Guards | Step::Classifier) {
        if let Some(wait) = judging::go_on(r, state)? {
            return Ok(Progress::Classifier(wait));
        }
    }
    match admission.reserve().map_err(|shortage| denial(state, shortage))? {
        Admitted::Yes => Ok(Progress::Decided),
        Admitted::Queued => Ok(Progress::Turn),
        Admitted::Awaits => Ok(Progress::Lease),
    }
}

/// Who is asking, and in which tier? Or what has to be waited for, to know that?
fn identify(
    r: Request<'_>,
    state: &RefCell<State>,
    policy: &Rc<Policy>,
    admission: &Admission<'_, '_>,
    step: Step,
) -> Result<Option<Topic>, Denial> {
    if step == Step::Credential {
        admission.check_auth_failures().map_err(|shortage| denial(state, shortage))?;
    }
    let (saved, forwarded) = {
        let state = state.borrow();
        (state.credential, state.forwarded)
    };
    let asked = state.borrow_mut().asked.take();
    let inquiry = asked.as_ref().and_then(|asked| asked.inquiry.as_deref());
    // A question is a wrong credential until it is answered.
    let suspect = || admission.suspect().map_err(|shortage| denial(state, shortage).reason);
    let means = match &asked {
        Some(asked) if waiting::is_over(asked.deadline) => Means::Last(inquiry),
        _ => Means::Ask(inquiry, &suspect),
    };
    let principal = match authenticate(r, policy, (saved, forwarded), means) {
        Ok(Authentication::Done(principal)) => principal,
        Ok(Authentication::Wait(topic, inquiry)) => {
            let deadline = asked.as_ref().map_or_else(waiting::deadline, |asked| asked.deadline);
            let asked = Asked { inquiry, deadline, waiting: None };
            state.borrow_mut().asked = Some(Box::new(asked));
            return Ok(Some(topic));
        }
        Err(refused) => {
            if refused.reason.is_auth_failure() {
                admission.count_auth_failure().map_err(|shortage| denial(state, shortage))?;
            }
            return Err(refused);
        }
    };
    {
        let mut state = state.borrow_mut();
        state.suspicion = None;
        state.grounds = Some(Grounds::now());
        // Before the keys of limits are evaluated, which may be `$tollgate_client`.
        state.principal.clone_from(&principal);
    }
    if r.has_read_ours() {
        // Somebody has asked for them in an earlier phase, or for the key of a rule that counts failures.
        state.borrow_mut().was_read_early = true;
        r.forget_made_of_ours();
    }
    if let Some(principal) = &principal {
        let tier = tier_of(r, principal, policy)?;
        tier.networks.judge(r.client_addr()).map_err(Outside::of_tier)?;
        let judged = whereabouts::judge(r, state, principal, &tier);
        state.borrow_mut().tier = Some(tier);
        judged?;
    }
    Ok(None)
}

/// What does the request ask for, and what may that take?
fn metering(
    r: Request<'_>,
    state: &RefCell<State>,
    policy: &Policy,
    (mut request, uses): (LlmRequest, Option<&Uses>),
    zone: &Zone<'_>,
) -> Result<Metering, Denial> {
    if let Some(model) = &policy.model {
        request.model = Some(model.clone());
    }
    features::judge(state, policy, &mut request, uses)?;
    let edit = rewrite::rewrite(r, &state.borrow(), policy, &request)?;
    let hides = edit.as_ref().map(|edit| edit.hides).unwrap_or_default();
    let tier = state.borrow().tier.clone();
    state.borrow_mut().edit = edit.map(Box::new);
    let model = request.model.as_deref().unwrap_or_default();
    let price = r.main_conf().prices.find(model).cloned();
    let price = price.or_else(|| tier.as_ref().and_then(|tier| tier.default_price.clone()));
    let learned = learn::learned_keys(r, state, zone, model);
    let estimate = estimate::estimate(policy, zone, &request, &learned);
    features::judge_input(state, estimate.input)?;
    let lesson = estimate::Lesson::of(policy, &request, learned);
    let mut metering = Metering::new(request, policy.engine, (estimate, lesson), price, hides);
    metering.goes_on |= policy.may_resume() && identity::names_stream(r);
    Ok(metering)
}

fn denial(state: &RefCell<State>, shortage: Shortage) -> Denial {
    let mut state = state.borrow_mut();
    state.wait_nanos = shortage.wait_nanos;
    if shortage.report.is_some() {
        state.limit = shortage.report;
    }
    Denial { detail: shortage.detail, ..shortage.reason.into() }
}

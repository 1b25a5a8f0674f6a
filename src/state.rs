//! What is known about one request, from the first callback to the last.

use std::rc::Rc;
use std::sync::Arc;

use tollgate_core::answer::{answer, Answer};
use tollgate_core::decision::{Decision, Reason};
use tollgate_core::keys::KeyOwner;
use tollgate_core::limits::Standing;
use tollgate_core::principal::Principal;

use crate::conf::policy::Policy;
use crate::conf::rules::Tier;
use crate::ffi::request::Kept;

/// The state of a request. It outlives internal redirects.
pub(crate) struct State {
    /// The policy of the location that judged it last.
    pub(crate) policy: Rc<Policy>,
    pub(crate) decision: Option<Decision>,
    /// What the client presented; the header lines themselves are gone once it was admitted.
    pub(crate) credential: SavedCredential,
    pub(crate) principal: Option<Arc<Principal>>,
    /// Whose key it was that was refused.
    pub(crate) refused_owner: Option<KeyOwner>,
    pub(crate) tier: Option<Rc<Tier>>,
    /// The limit that has least left, or that refused: for the log.
    pub(crate) limit: Option<LimitReport>,
    /// The limit that the client is told about.
    pub(crate) shown_limit: Option<LimitReport>,
    /// Nanoseconds until the same request would pass; 0 where waiting doesn't help.
    pub(crate) wait_nanos: u64,
    /// The client's id for the request if it is well-formed, else ours.
    pub(crate) request_id: Kept,
    /// One entry for each location that charged it.
    pub(crate) charged: Vec<Charged>,
    pub(crate) body: Body,
    /// The response has a `WWW-Authenticate` of ours.
    pub(crate) challenged: bool,
    /// A variable failed, and was taken as empty.
    pub(crate) broken: bool,
    /// A header filter failed, and the response became a 500.
    pub(crate) abandoned: bool,
}

/// What the client presented, for a location that an internal redirect leads to.
#[derive(Clone, Copy)]
pub(crate) enum SavedCredential {
    None,
    One { bytes: Kept, bearer: bool, raw: bool },
    Conflict,
}

/// Whose body the client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// Somebody else's, unless the request is refused.
    Untouched,
    /// That of the operator's `error_page`, although the request is refused.
    ErrorPage,
    /// That of our answer, in place of nginx's page.
    Ours(&'static str),
    /// Ours, and it has been sent.
    Sent,
}

/// What the request was charged to.
pub(crate) struct Charged {
    pub(crate) policy: Rc<Policy>,
    pub(crate) principal: Option<Arc<Principal>>,
}

/// One limit, for headers and log.
#[derive(Clone, Debug)]
pub(crate) struct LimitReport {
    /// Such as `requests 100r/m`.
    pub(crate) label: Arc<str>,
    pub(crate) standing: Standing,
    /// Whether it is the client's own, and not that of a rule.
    pub(crate) is_own: bool,
}

impl State {
    pub(crate) fn new(policy: Rc<Policy>, request_id: Kept, credential: SavedCredential) -> Self {
        Self {
            policy,
            decision: None,
            credential,
            principal: None,
            refused_owner: None,
            tier: None,
            limit: None,
            shown_limit: None,
            wait_nanos: 0,
            request_id,
            charged: Vec::new(),
            body: Body::Untouched,
            challenged: false,
            broken: false,
            abandoned: false,
        }
    }

    /// A location judges for itself, whatever another one found. What was charged stays charged.
    pub(crate) fn start_over(&mut self, policy: &Rc<Policy>) {
        self.policy = Rc::clone(policy);
        (self.principal, self.tier, self.refused_owner) = (None, None, None);
        self.wait_nanos = 0;
    }

    pub(crate) fn reason(&self) -> Option<Reason> {
        self.decision.and_then(Decision::reason)
    }

    /// The answer to a request that was refused, and is not let through all the same.
    pub(crate) fn refusal(&self) -> Option<&'static Answer> {
        match self.reason() {
            Some(reason) if !self.policy.dry_run || reason == Reason::InternalError => {
                Some(answer(reason))
            }
            _ => None,
        }
    }
}

//! `$tollgate_client` and its like.

use crate::ffi::request::Request;
use crate::state::State;

/// One of our variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variable {
    Client,
    KeyId,
    Tier,
    Tenant,
    Auth,
    Decision,
    Reason,
    RequestId,
}

/// All of them.
pub(crate) static VARIABLES: [Variable; 8] = [
    Variable::Client,
    Variable::KeyId,
    Variable::Tier,
    Variable::Tenant,
    Variable::Auth,
    Variable::Decision,
    Variable::Reason,
    Variable::RequestId,
];

impl Variable {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Client => "tollgate_client",
            Self::KeyId => "tollgate_key_id",
            Self::Tier => "tollgate_tier",
            Self::Tenant => "tollgate_tenant",
            Self::Auth => "tollgate_auth",
            Self::Decision => "tollgate_decision",
            Self::Reason => "tollgate_reason",
            Self::RequestId => "tollgate_request_id",
        }
    }

    /// Its value, if it has one yet.
    pub(crate) fn value(self, r: Request<'_>) -> Option<&[u8]> {
        let state = r.find_state()?;
        #[cfg(debug_assertions)]
        crate::faults::at(r.loc_conf(), crate::faults::Callback::Variable);
        // A callback of ours may be at work on the state, if what it called asks for a variable.
        let state = state.try_borrow().ok()?;
        if self == Self::RequestId {
            return Some(r.kept(state.request_id));
        }
        let text = self.text(&state)?;
        r.copy(text.as_bytes())
    }

    /// A bug: nginx takes the variable as empty, by which a limit might not be kept, or a request go
    /// to another backend. So the request is refused if it isn't too late.
    pub(crate) fn failed(r: Request<'_>) {
        if let Some(mut state) = r.find_state().and_then(|state| state.try_borrow_mut().ok()) {
            state.broken = true;
        }
    }

    fn text(self, state: &State) -> Option<&str> {
        let principal = state.principal.as_ref();
        match self {
            Self::Client => principal.map(|p| p.client()),
            Self::KeyId => principal.and_then(|p| p.key_id()),
            Self::Tier => state.tier.as_ref().map(|tier| tier.name.as_str()),
            Self::Tenant => principal.and_then(|p| p.tenant()),
            Self::Auth => principal.map(|p| p.auth().as_str()),
            Self::Decision => state.decision.map(|decision| decision.as_str()),
            Self::Reason => state.reason().map(|reason| reason.as_str()),
            Self::RequestId => None,
        }
    }
}

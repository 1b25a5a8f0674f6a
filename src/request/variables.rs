//! `$tollgate_client` and its like.

use std::borrow::Cow;

use tollgate_core::detail::Detail;
use tollgate_core::llm::Source;
use tollgate_core::money::Amount;

use crate::request::meter::{Metering, Taken};
use crate::request::state::State;
use crate::types::Request;

/// One of our variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variable {
    Client,
    KeyId,
    Tier,
    Tenant,
    Auth,
    Decision,
    Reason,
    Detail,
    RequestId,
    Model,
    InputTokens,
    OutputTokens,
    Usage,
    Cost,
    Ttft,
    FailedLoads,
    KeyRefetch,
}

/// All of them.
static VARIABLES: [Variable; 17] = [
    Variable::Client,
    Variable::KeyId,
    Variable::Tier,
    Variable::Tenant,
    Variable::Auth,
    Variable::Decision,
    Variable::Reason,
    Variable::Detail,
    Variable::RequestId,
    Variable::Model,
    Variable::InputTokens,
    Variable::OutputTokens,
    Variable::Usage,
    Variable::Cost,
    Variable::Ttft,
    Variable::FailedLoads,
    Variable::KeyRefetch,
];

/// Their names.
#[allow(clippy::indexing_slicing)] // evaluated by the compiler
pub(crate) static NAMES: [&str; VARIABLES.len()] = {
    let mut names = [""; VARIABLES.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = VARIABLES[at].name();
        at += 1;
    }
    names
};

/// The value of one of them.
pub(crate) fn value<'r>(index: usize, r: Request<'r>) -> Option<&'r [u8]> {
    VARIABLES.get(index)?.value(r)
}

/// A bug: nginx takes the variable as empty, by which a limit might not be kept, or a request go
/// to another backend. So the request is refused if it isn't too late.
pub(crate) fn failed(r: Request<'_>) {
    if let Some(mut state) = r.find_state().and_then(|state| state.try_borrow_mut().ok()) {
        state.broken = true;
    }
}

impl Variable {
    const fn name(self) -> &'static str {
        match self {
            Self::Client => "tollgate_client",
            Self::KeyId => "tollgate_key_id",
            Self::Tier => "tollgate_tier",
            Self::Tenant => "tollgate_tenant",
            Self::Auth => "tollgate_auth",
            Self::Decision => "tollgate_decision",
            Self::Reason => "tollgate_reason",
            Self::Detail => "tollgate_detail",
            Self::RequestId => "tollgate_request_id",
            Self::Model => "tollgate_model",
            Self::InputTokens => "tollgate_input_tokens",
            Self::OutputTokens => "tollgate_output_tokens",
            Self::Usage => "tollgate_usage",
            Self::Cost => "tollgate_cost",
            Self::Ttft => "tollgate_ttft",
            Self::FailedLoads => "tollgate_failed_loads",
            Self::KeyRefetch => "tollgate_key_refetch",
        }
    }

    /// Its value, if it has one yet.
    fn value<'r>(self, r: Request<'r>) -> Option<&'r [u8]> {
        if self == Self::FailedLoads {
            // Of the zone, and so the same for any request, judged or not.
            let zone = r.main_conf().zone()?.get();
            return r.copy(zone.failed_loads().to_string().as_bytes());
        }
        if self == Self::KeyRefetch {
            return r.is_refetch().then_some(b"1");
        }
        // Also where a subrequest asks, it is about the request of the client.
        let r = r.main();
        let state = r.find_state()?;
        #[cfg(debug_assertions)]
        crate::faults::at(r.loc_conf().planted, crate::faults::Callback::Variable);
        // A callback of ours may be at work on the state, if what it called asks for a variable.
        let state = state.try_borrow().ok()?;
        if self == Self::RequestId {
            return Some(r.kept(state.request_id));
        }
        let text = self.text(r, &state)?;
        r.copy(text.as_bytes())
    }

    fn text<'s>(self, r: Request<'_>, state: &'s State) -> Option<Cow<'s, str>> {
        let principal = state.principal.as_ref();
        let name = match self {
            Self::Client => principal.map(|p| p.client()),
            Self::KeyId => principal.and_then(|p| p.key_id()),
            Self::Tier => state.tier.as_ref().map(|tier| tier.name.as_str()),
            Self::Tenant => principal.and_then(|p| p.tenant()),
            Self::Auth => principal.map(|p| p.auth().as_str()),
            Self::Decision => state.ruling.decision().map(|decision| decision.as_str()),
            Self::Reason => state.reason().map(|reason| reason.as_str()),
            Self::Detail => {
                let detail = state.detail.as_ref().filter(|_| state.reason().is_some());
                return detail.map(Detail::value);
            }
            Self::RequestId | Self::FailedLoads | Self::KeyRefetch => None,
            Self::Model => state.metering.as_ref().and_then(|metering| metering.model.as_deref()),
            Self::InputTokens | Self::OutputTokens | Self::Usage | Self::Cost | Self::Ttft => {
                let metering = state.metering.as_ref()?;
                return self.number(metering, metering.outcome(r)).map(Cow::Owned);
            }
        };
        name.map(Cow::Borrowed)
    }

    /// As far as it is known by now.
    fn number(self, metering: &Metering, outcome: Taken) -> Option<String> {
        if self == Self::Usage {
            return Some(outcome.source.as_str().to_owned());
        }
        if self == Self::Ttft {
            return metering.ttft_ms.map(seconds);
        }
        if outcome.source == Source::None {
            return None;
        }
        match self {
            Self::InputTokens => Some(outcome.usage.input.to_string()),
            Self::OutputTokens => Some(outcome.usage.output.to_string()),
            Self::Cost => outcome.cost.map(decimal),
            _ => None,
        }
    }
}

/// As nginx writes times: seconds, with three digits of milliseconds.
fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

fn decimal(nanos: u64) -> String {
    String::from_utf8_lossy(Amount::from_nanos(nanos).as_bytes()).into_owned()
}

//! ACCESS: may the client ask for all of that?

use std::cell::RefCell;
use std::sync::LazyLock;

use tollgate_core::detail::{Cause, Detail};
use tollgate_core::llm::{LlmRequest, Uses};
use tollgate_core::permissions::{FeatureRefusal, FeatureRules};

use crate::conf::policy::Policy;
use crate::conf::rules::Tier;
use crate::request::state::State;

/// Those of who is in no tier.
static DEFAULT: LazyLock<FeatureRules> = LazyLock::new(FeatureRules::default);

/// What the requests of a tier may ask for.
pub(crate) fn rules(tier: Option<&Tier>) -> &FeatureRules {
    tier.map_or(&*DEFAULT, |tier| &tier.features)
}

/// Refuses what the tier denies. Notes what of the body it changes, and takes that for what was asked for.
pub(crate) fn judge(
    state: &RefCell<State>,
    policy: &Policy,
    request: &mut LlmRequest,
    uses: &Uses,
) -> Result<(), Detail> {
    let tier = state.borrow().tier.clone();
    let rules = rules(tier.as_deref());
    rules.judge(request, uses).map_err(|refusal| deny(state, refusal))?;
    // Of the background, the tier decides before the location.
    let may_go_on = || {
        let said = rules.background();
        said.unwrap_or_else(|| policy.background || !policy.counts_tokens(tier.as_deref()))
    };
    if request.background && !may_go_on() {
        return Err(Cause::Background.into());
    }
    // Where nothing is refused, nothing is changed either.
    if rules.is_own() && !policy.dry_run {
        let changes = rules.changes(request, uses);
        if let Some(most) = changes.bound {
            request.output_bound = Some(most);
        }
        state.borrow_mut().feature_changes = changes;
    }
    Ok(())
}

/// Refuses what is taken for more tokens of input than the tier allows.
pub(crate) fn judge_input(state: &RefCell<State>, tokens: u64) -> Result<(), Detail> {
    let tier = state.borrow().tier.clone();
    let outcome = rules(tier.as_deref()).judge_input(tokens);
    outcome.map_err(|refusal| deny(state, refusal))
}

fn deny(state: &RefCell<State>, refusal: FeatureRefusal) -> Detail {
    state.borrow_mut().denied = Some(refusal);
    refusal.detail()
}

//! Which features a tier allows, and how much of what a request may ask for.
//!
//! * [`words`]: the words of a tier; [`refusal`]: what a request is refused for; [`changes`]: what of it is
//!   changed instead.

mod changes;
mod refusal;
mod words;

pub use changes::Changes;
pub use refusal::{FeatureRefusal, Maximum};

use crate::llm::feature::{Feature, FeatureSet};
use crate::llm::request::uses::{may_be_denied_by_default, MemberName};
use crate::llm::{Engine, LlmRequest, Uses};

/// What becomes of members that the engine doesn't know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownMembers {
    /// They are passed on.
    #[default]
    Allow,
    /// The request is refused.
    Deny,
    /// They are taken out.
    Strip,
}

/// What becomes of a request that asks for more output than it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TooMuchOutput {
    /// It gets as much as it may.
    #[default]
    Clamp,
    /// It is refused.
    Refuse,
}

/// What the requests of a tier may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureRules {
    denied: FeatureSet,
    /// Those that were allowed or denied by name.
    named: FeatureSet,
    max_output_tokens: Option<(u64, TooMuchOutput)>,
    max_input_tokens: Option<u64>,
    max_n: Option<u64>,
    max_messages: Option<u64>,
    max_tools: Option<u64>,
    max_schema_bytes: Option<u64>,
    unknown: Option<UnknownMembers>,
    /// Whether it is more than the default.
    is_own: bool,
}

impl Default for FeatureRules {
    fn default() -> Self {
        Self {
            denied: FeatureSet::denied_by_default(),
            named: FeatureSet::NONE,
            max_output_tokens: None,
            max_input_tokens: None,
            max_n: None,
            max_messages: None,
            max_tools: None,
            max_schema_bytes: None,
            unknown: None,
            is_own: false,
        }
    }
}

impl FeatureRules {
    /// Whether the tier says anything of features.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.is_own
    }

    /// Whether the uses of the body of `request` have to be known.
    #[must_use]
    pub fn wants_uses(&self, request: &LlmRequest, engine: Engine) -> bool {
        self.is_own || may_be_denied_by_default(request, engine)
    }

    /// Whether they are to tell of members that the engine doesn't know.
    #[must_use]
    pub fn wants_unknown(&self) -> bool {
        self.unknown.is_some_and(|unknown| unknown != UnknownMembers::Allow)
    }

    /// What the tier says of answers in the background; `None`: nothing.
    #[must_use]
    pub fn background(&self) -> Option<bool> {
        let is_named = self.named.has(Feature::Background);
        is_named.then(|| !self.denied.has(Feature::Background))
    }

    /// Whether the request may pass. `uses` are those of its body, or nothing where none are
    /// [wanted](Self::wants_uses). What the location sets itself, in place of what the client says, is
    /// `replaced`: that is denied by name only.
    ///
    /// # Errors
    /// What it may not ask for.
    pub fn judge(
        &self,
        request: &LlmRequest,
        uses: &Uses,
        replaced: FeatureSet,
    ) -> Result<(), FeatureRefusal> {
        if request.background && self.background() == Some(false) {
            let feature = Feature::Background;
            return Err(FeatureRefusal::Denied { feature, member: "background" });
        }
        let is_denied = |feature: &Feature| !replaced.has(*feature) || self.named.has(*feature);
        if let Some(feature) = uses.features.both(self.denied).find(is_denied) {
            return Err(FeatureRefusal::Denied { feature, member: uses.member(feature) });
        }
        let too_many = |value: u64, most: Option<u64>| most.filter(|most| value > *most);
        let counted = [
            (Maximum::N, too_many(request.choices, self.max_n)),
            (Maximum::Messages, too_many(uses.messages, self.max_messages)),
            (Maximum::Tools, too_many(uses.tools, self.max_tools)),
            (Maximum::SchemaBytes, too_many(uses.schema_bytes, self.max_schema_bytes)),
        ];
        for (maximum, exceeded) in counted {
            if let Some(most) = exceeded {
                let member = match maximum {
                    Maximum::SchemaBytes => uses.schema_member,
                    maximum => maximum.member(request).and_then(MemberName::new),
                };
                return Err(FeatureRefusal::Over { maximum, most, member });
            }
        }
        if let Some((most, too_much)) = self.max_output_tokens {
            let is_over = request.output_bound.is_some_and(|bound| bound > most);
            // Bounds in a list of settings are not changed.
            let is_list = uses.has_list_of_settings && self.changes(request, uses).bound.is_some();
            if is_list || (too_much == TooMuchOutput::Refuse && is_over) {
                let maximum = Maximum::OutputTokens;
                let member = maximum.member(request).and_then(MemberName::new);
                return Err(FeatureRefusal::Over { maximum, most, member });
            }
        }
        let unknown = || FeatureRefusal::Unknown { member: uses.unknown_member };
        match self.unknown {
            Some(UnknownMembers::Deny) if uses.has_unknown => Err(unknown()),
            Some(UnknownMembers::Strip) if uses.has_unknown && uses.has_list_of_settings => {
                Err(unknown())
            }
            _ => Ok(()),
        }
    }

    /// As [`judge`](Self::judge), of a request that came as a form with files, and isn't metered. Of those nothing is
    /// changed, so that a bound of the output is refused where it would be lowered. Without one, the output is as long
    /// as what was sent makes it.
    ///
    /// # Errors
    /// What it may not ask for.
    pub fn judge_form(&self, request: &LlmRequest, uses: &Uses) -> Result<(), FeatureRefusal> {
        self.judge(request, uses, FeatureSet::NONE)?;
        let most = self.max_output_tokens.map(|(most, _)| most);
        match most.filter(|most| request.output_bound.is_some_and(|bound| bound > *most)) {
            None => Ok(()),
            Some(most) => {
                let maximum = Maximum::OutputTokens;
                let member = maximum.member(request).and_then(MemberName::new);
                Err(FeatureRefusal::Over { maximum, most, member })
            }
        }
    }

    /// Whether the request may pass that is taken for so many tokens of input.
    ///
    /// # Errors
    /// It may not.
    pub fn judge_input(&self, tokens: u64) -> Result<(), FeatureRefusal> {
        match self.max_input_tokens.filter(|most| tokens > *most) {
            Some(most) => {
                Err(FeatureRefusal::Over { maximum: Maximum::InputTokens, most, member: None })
            }
            None => Ok(()),
        }
    }

    /// What of the request is changed.
    #[must_use]
    pub fn changes(&self, request: &LlmRequest, uses: &Uses) -> Changes {
        let is_bounded = |most: &u64| request.output_bound.is_some_and(|bound| bound <= *most);
        let bound = self.max_output_tokens.map(|(most, _)| most);
        Changes {
            bound: bound.filter(|most| request.endpoint.has_output() && !is_bounded(most)),
            strips_unknown: self.unknown == Some(UnknownMembers::Strip) && uses.has_unknown,
            says_no_store: self.denied.has(Feature::Store)
                && request.endpoint == crate::llm::Endpoint::Responses
                && !uses.says_store,
        }
    }
}

#[cfg(test)]
mod tests;

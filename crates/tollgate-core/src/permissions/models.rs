//! Which models a principal may use.
//!
//! Patterns may stand in its tier, and in its key or token. What says nothing restricts nothing; of what
//! says something, all must allow. They are matched against the exact string that the engine will read.

use crate::decision::Reason;
use crate::detail::{Cause, Detail};
use crate::llm::RequestError;
use crate::pattern::{self, Pattern};

/// What tier and credential say of models.
#[derive(Clone, Copy, Debug, Default)]
pub struct Models<'a> {
    tier: Option<&'a [Pattern]>,
    credential: Option<&'a [Box<str>]>,
    default: Option<&'a str>,
}

/// What becomes of a request that may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen<'a> {
    /// It runs as what it says.
    AsAsked,
    /// It names no model, and gets this one.
    Default(&'a str),
}

/// Why a request may not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Its model is not open to the principal. What doesn't allow it.
    NotAllowed(Detail),
    /// It names none, so that the engine would choose.
    Unnamed(RequestError),
}

impl Denied {
    /// The reason in the log.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::NotAllowed(_) => Reason::ModelDenied,
            Self::Unnamed(_) => Reason::MalformedRequest,
        }
    }
}

impl<'a> Models<'a> {
    /// The patterns of the tier and of the key or token; `None`: it has none, and allows all. `default` is
    /// the tier's model for requests that name none.
    #[must_use]
    pub fn new(
        tier: Option<&'a [Pattern]>,
        credential: Option<&'a [Box<str>]>,
        default: Option<&'a str>,
    ) -> Self {
        Self { tier, credential, default }
    }

    /// Whether there is any model that is not allowed.
    #[inline]
    #[must_use]
    pub fn are_restricted(&self) -> bool {
        self.tier.is_some() || self.credential.is_some()
    }

    /// Whether anything has to be known of the model of a request.
    #[inline]
    #[must_use]
    pub fn matter(&self) -> bool {
        self.are_restricted() || self.default.is_some()
    }

    /// Whether this model may be used.
    #[must_use]
    pub fn allow(&self, model: &str) -> bool {
        self.refuser(model).is_none()
    }

    /// What doesn't allow this model.
    fn refuser(&self, model: &str) -> Option<&'static str> {
        if !self.tier.is_none_or(|own| own.iter().any(|pattern| pattern.matches(model))) {
            return Some("tier");
        }
        if !self.credential.is_none_or(|own| own.iter().any(|text| pattern::matches(text, model))) {
            return Some("credential");
        }
        None
    }

    /// Judges a request that names `asked`. An empty name is none: vLLM takes its first model then.
    ///
    /// # Errors
    /// Where it may not go on.
    pub fn judge(&self, asked: Option<&str>) -> Result<Chosen<'a>, Denied> {
        let asked = asked.filter(|name| !name.is_empty());
        let (name, chosen) = match (asked, self.default) {
            (Some(name), _) => (name, Chosen::AsAsked),
            (None, Some(default)) => (default, Chosen::Default(default)),
            (None, None) if self.are_restricted() => {
                return Err(Denied::Unnamed(RequestError::Missing("model")));
            }
            (None, None) => return Ok(Chosen::AsAsked),
        };
        match self.refuser(name) {
            None => Ok(chosen),
            Some(refuser) => Err(Denied::NotAllowed(Detail::new(Cause::ModelNotAllowed, refuser))),
        }
    }

    /// Judges a request whose model is fixed, whatever it names (`tollgate_model`).
    ///
    /// # Errors
    /// Where it may not go on.
    pub fn judge_fixed(&self, model: &str) -> Result<(), Denied> {
        match self.refuser(model) {
            None => Ok(()),
            Some(refuser) => Err(Denied::NotAllowed(Detail::new(Cause::ModelNotAllowed, refuser))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
    }

    fn names(texts: &[&str]) -> Vec<Box<str>> {
        texts.iter().map(|text| Box::from(*text)).collect()
    }

    fn refused_by(result: Result<Chosen<'_>, Denied>) -> String {
        match result {
            Err(Denied::NotAllowed(detail)) => detail.value().into_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn all_that_say_something_must_allow() {
        let (tier, key) = (patterns(&["llama-*", "qwen"]), names(&["llama-3*", "qwen", "gpt"]));
        let both = Models::new(Some(&tier), Some(&key), None);
        for name in ["llama-3", "llama-3.1-8b", "qwen"] {
            assert!(both.allow(name), "{name}");
            assert_eq!(both.judge(Some(name)), Ok(Chosen::AsAsked));
        }
        assert_eq!(refused_by(both.judge(Some("llama-2"))), "model_not_allowed credential");
        for name in ["gpt", "qwen2", "Qwen", " qwen", "qwen ", "qwen\0"] {
            assert_eq!(refused_by(both.judge(Some(name))), "model_not_allowed tier", "{name}");
        }
        assert!(Models::new(Some(&tier), None, None).allow("llama-2"));
        assert!(Models::new(None, Some(&key), None).allow("gpt"));
    }

    #[test]
    fn a_default_matters_also_where_nothing_is_restricted() {
        let some = Models::new(None, None, Some("llama-2"));
        assert!(some.matter() && !some.are_restricted());
    }

    #[test]
    fn who_says_nothing_restricts_nothing_and_who_says_none_allows_none() {
        let free = Models::default();
        assert!(!free.are_restricted() && !free.matter() && free.allow("x"));
        assert_eq!(free.judge(None), Ok(Chosen::AsAsked));
        let none = Models::new(None, Some(&[]), None);
        assert!(none.are_restricted() && !none.allow("x"));
        assert_eq!(refused_by(none.judge(Some("x"))), "model_not_allowed credential");
    }

    #[test]
    fn a_request_without_a_model_gets_the_default_or_is_refused() {
        let tier = patterns(&["llama-*"]);
        let key = names(&["llama-3"]);
        for asked in [None, Some("")] {
            let judge =
                |models: Models<'_>| models.judge(asked).map(|chosen| format!("{chosen:?}"));
            assert_eq!(
                judge(Models::new(Some(&tier), None, None)),
                Err(Denied::Unnamed(RequestError::Missing("model")))
            );
            let default = Some("llama-2");
            let given = Ok(r#"Default("llama-2")"#.to_owned());
            assert_eq!(judge(Models::new(Some(&tier), None, default)), given);
            assert_eq!(judge(Models::new(None, None, default)), given);
            // It is judged like any other.
            assert!(judge(Models::new(Some(&tier), Some(&key), default)).is_err());
        }
    }

    #[test]
    fn a_fixed_model_is_judged_in_place_of_what_is_asked_for() {
        let tier = patterns(&["llama-*"]);
        let models = Models::new(Some(&tier), None, Some("llama-2"));
        assert_eq!(models.judge_fixed("llama-3"), Ok(()));
        assert!(models.judge_fixed("qwen").is_err());
    }
}

//! Patterns that are good, and fit other names than whoever wrote them is likely to have meant.

use std::fmt;

/// What else may have been meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// A regular expression: `gpt.*`; and what would mean the same here.
    Regex(String),
    /// All models, or all others: `default`.
    All,
    /// No model: `off`.
    None,
}

impl Doubt {
    /// `.*` behind a digit is more likely to be a version: `qwen2.*`.
    pub(super) fn find(text: &str) -> Option<Self> {
        const ALL: [&str; 7] = ["default", "all", "any", "other", "others", "else", "rest"];
        if ALL.iter().any(|word| text.eq_ignore_ascii_case(word)) {
            return Some(Self::All);
        }
        if ["off", "none", "no"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
            return Some(Self::None);
        }
        let is_regex = |(before, _): (&str, &str)| !before.ends_with(|c: char| c.is_ascii_digit());
        text.split_once(".*").is_some_and(is_regex).then(|| Self::Regex(text.replace(".*", "*")))
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Regex(meant) => write!(
                f,
                "fits only names with that dot in them, as \".\" stands for itself, and \"*\" alone for any run of \
                 characters; if a regular expression is meant, write \"{meant}\""
            ),
            Self::None => f.write_str(
                "fits only a model of that name; if it is to hold for none, or not at all, leave it out",
            ),
            Self::All => f.write_str(
                "fits only a model of that name; if all models are meant, or all others, write \"*\", behind the \
                 other patterns",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Pattern;

    #[test]
    fn what_may_be_meant_otherwise_is_told_from_names() {
        let doubt = |text: &str| Pattern::of_models(text).unwrap().doubt();
        for (text, meant) in [
            ("gpt.*", "gpt*"),
            ("llama-.*-instruct", "llama-*-instruct"),
            ("*.*", "**"),
            ("org/.*", "org/*"),
        ] {
            assert_eq!(doubt(text), Some(Doubt::Regex(meant.to_owned())), "{text}");
            assert!(doubt(text).unwrap().to_string().contains(&format!("write \"{meant}\"")));
        }
        for text in ["default", "Default", "all", "others", "rest"] {
            assert_eq!(doubt(text), Some(Doubt::All), "{text}");
        }
        for text in ["off", "None", "no"] {
            assert_eq!(doubt(text), Some(Doubt::None), "{text}");
        }
        for text in [
            "offline",
            "*",
            "gpt-*",
            "qwen2.*",
            "llama-3.*",
            "model.v1",
            "default-*",
            "org/default",
            "call",
            ".",
        ] {
            assert_eq!(doubt(text), None, "{text}");
        }
    }
}

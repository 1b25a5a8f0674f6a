//! What is written in the place of a shell-style pattern, and is another kind of pattern, or more than
//! one. Taken to the letter, it would fit no model.

use std::fmt;

/// Another kind of pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// A regular expression: `~^llama`, `.*`, `llama$`.
    Regex,
    /// A `$` that begins a variable.
    Variable,
    /// Several, with `|` or `,` between them.
    List,
    /// `[ab]` or `{a,b}`.
    Class,
    /// `\`
    Escape,
    /// Quotes around it, which are part of the name so.
    Quotes,
    /// Blanks before or behind it.
    Blanks,
    /// `!`: not these.
    Negation,
}

impl Foreign {
    /// What `text` looks like, if that is another kind of pattern. `.*` within it is no sign: `qwen2.*` is
    /// a good pattern.
    pub(crate) fn find(text: &str) -> Option<Self> {
        let is_name = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '{';
        let has_variable = || text.split('$').skip(1).any(|rest| rest.starts_with(is_name));
        let is_quoted =
            |quote: char| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
        match () {
            () if text.trim() != text => Some(Self::Blanks),
            () if is_quoted('"') || is_quoted('\'') || is_quoted('`') => Some(Self::Quotes),
            () if text.starts_with(['~', '^'])
                || text.ends_with('$')
                || text.starts_with(".*")
                || text.contains(".+")
                || text.contains("(?")
                || (text.len() > 1 && text.starts_with('/') && text.ends_with('/')) =>
            {
                Some(Self::Regex)
            }
            () if has_variable() => Some(Self::Variable),
            () if text.contains('\\') => Some(Self::Escape),
            () if text.contains(['[', ']', '{', '}']) => Some(Self::Class),
            () if text.contains(['|', ',', ';']) => Some(Self::List),
            () if text.starts_with('!') => Some(Self::Negation),
            () => None,
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Regex => {
                "looks like a regular expression, which it isn't taken for; \"*\" stands for any run \
                 of characters, \"?\" for one, and the whole name has to fit: \"llama-*\""
            }
            Self::Variable => "can't have variables; write the name out, or use \"*\"",
            Self::List => {
                "looks like several patterns; write each into a directive of its own (\"?\" fits a \
                 character that really is in a name)"
            }
            Self::Class => {
                "can't have classes and alternatives in brackets; \"?\" stands for any one character, \
                 and other names take a directive of their own"
            }
            Self::Escape => {
                "can't have escapes; every character but \"*\" and \"?\" stands for itself, and \"?\" \
                 fits any one"
            }
            Self::Quotes => "has quotes within its quotes, which no name of a model has; leave one pair out",
            Self::Blanks => "begins or ends with a blank, which no name of a model does; take it off",
            Self::Negation => {
                "can't say which models are not meant; put a pattern that fits those before it"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::{Pattern, PatternError};

    #[test]
    fn other_kinds_of_patterns_are_told_from_names() {
        for (text, expected) in [
            ("~^llama", Foreign::Regex),
            ("~*llama", Foreign::Regex),
            ("~", Foreign::Regex),
            ("^llama", Foreign::Regex),
            ("llama$", Foreign::Regex),
            (".*", Foreign::Regex),
            (".*-instruct", Foreign::Regex),
            ("llama-.+", Foreign::Regex),
            ("(?i)llama", Foreign::Regex),
            ("/llama/", Foreign::Regex),
            ("$model", Foreign::Variable),
            ("llama-${size}b", Foreign::Variable),
            ("llama|qwen", Foreign::List),
            ("(llama|qwen)-*", Foreign::List),
            ("llama,qwen", Foreign::List),
            ("llama-[38]b", Foreign::Class),
            ("{llama,qwen}-*", Foreign::Class),
            ("llama-3\\.1", Foreign::Escape),
            ("\"llama\"", Foreign::Quotes),
            ("'llama'", Foreign::Quotes),
            (" llama", Foreign::Blanks),
            ("llama ", Foreign::Blanks),
            ("!llama", Foreign::Negation),
        ] {
            assert_eq!(Pattern::of_models(text), Err(PatternError::Foreign(expected)), "{text}");
            assert!(!expected.to_string().is_empty());
        }
    }

    #[test]
    fn names_of_models_and_their_patterns_are_taken() {
        for text in [
            "/",
            "models/",
            "/models",
            "*",
            "llama-3.1-8b",
            "qwen2.*",
            "meta-llama/Llama-3.1-8B-Instruct",
            "hf.co/bartowski/Qwen2.5-GGUF:Q4_K_M",
            "ft:gpt-4o-mini:acme::abc123",
            "claude-3-5-sonnet@20240620",
            "my model",
            "model (v2)",
            "a+b=c#d%e&f",
            "llama~3",
            "cost$5",
            "模型-*",
            "/models/llama.gguf",
            "?",
        ] {
            assert!(Pattern::of_models(text).is_ok(), "{text}");
        }
    }
}

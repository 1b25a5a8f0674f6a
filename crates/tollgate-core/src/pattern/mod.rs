//! Shell-style patterns for names of models: `llama-3.1-*`, `org/*-instruct`, `gpt-?`.
//!
//! `*` stands for any run of characters, the empty one and `/` included; `?` for exactly one
//! character; everything else for itself, in exact case. There are no classes and no escapes.

mod doubt;
mod foreign;

use std::fmt;

pub use doubt::Doubt;
pub use foreign::Foreign;

/// A pattern that the name of a model is matched against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// The longest pattern, in bytes.
    pub const MAX_LEN: usize = 256;

    /// Takes `text` as a pattern.
    ///
    /// # Errors
    ///
    /// When it is empty, longer than [`Pattern::MAX_LEN`], or has a control character, which no
    /// name of a model has.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > Self::MAX_LEN {
            return Err(PatternError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(PatternError::ControlCharacter);
        }
        Ok(Self(text.into()))
    }

    /// Takes `text` as a pattern that somebody wrote for names of models.
    ///
    /// # Errors
    ///
    /// As [`Pattern::parse`], and when it looks like another kind of pattern, by which no model would
    /// be meant.
    pub fn of_models(text: &str) -> Result<Self, PatternError> {
        match Foreign::find(text) {
            Some(foreign) => Err(PatternError::Foreign(foreign)),
            None => Self::parse(text),
        }
    }

    /// What else may have been meant by this pattern.
    #[must_use]
    pub fn doubt(&self) -> Option<Doubt> {
        Doubt::find(self.as_str())
    }

    /// Whether the whole of `name` fits. Takes time in proportion to the length of `name`, at worst
    /// times that of the pattern.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        matches(&self.0, name)
    }

    /// Whether every name that fits `other` fits this pattern as well, as far as that shows: where
    /// it is false, it may still be so. A rule for `other` that comes after one for this pattern is
    /// never reached.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        // What `other` may stand for fits where its text does, but for a `*`, which is more than one
        // character.
        fits(&self.0, other.as_str(), |c| c != '*')
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether the whole of `name` fits `pattern`, which somebody else keeps as text: [`Pattern::matches`], without
/// making one.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    fits(pattern, name, |_| true)
}

/// Whether `text` fits, where `is_one` says what `?` may stand for.
///
/// Each `*` first takes nothing, and only the last one that was met ever takes more: what was
/// matched before it at the first chance leaves it the most to choose from. So there is one
/// place to go back to, and no pattern makes the time exponential.
fn fits(pattern: &str, text: &str, is_one: impl Fn(char) -> bool) -> bool {
    let mut pattern = pattern.chars();
    let mut rest = text.chars();
    // What follows the last `*` in the pattern, and what follows the run that it took.
    let mut after_star = None;
    loop {
        match pattern.next() {
            Some('*') if pattern.as_str().is_empty() => return true,
            Some('*') => {
                after_star = Some((pattern.clone(), rest.clone()));
                continue;
            }
            Some(expected) => match rest.next() {
                Some(found) if expected == found || (expected == '?' && is_one(found)) => {
                    continue;
                }
                Some(_) => {}
                None => return false,
            },
            None if rest.as_str().is_empty() => return true,
            None => {}
        }
        let Some((pattern_after, text_after)) = &mut after_star else { return false };
        text_after.next();
        (pattern, rest) = (pattern_after.clone(), text_after.clone());
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is wrong with a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// No character at all.
    Empty,
    /// More than [`Pattern::MAX_LEN`] bytes.
    TooLong,
    /// A tab or a line feed, say.
    ControlCharacter,
    /// Another kind of pattern.
    Foreign(Foreign),
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("must not be empty; \"*\" stands for all models"),
            Self::TooLong => write!(f, "is too long: at most {} bytes", Pattern::MAX_LEN),
            Self::ControlCharacter => {
                f.write_str("has a control character, which no name of a model has")
            }
            Self::Foreign(foreign) => foreign.fmt(f),
        }
    }
}

impl std::error::Error for PatternError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn what_is_no_pattern_is_told_with_the_way_out() {
        for (text, told) in [
            (String::new(), "must not be empty"),
            ("a".repeat(Pattern::MAX_LEN + 1), "is too long: at most"),
            ("a\tb".to_owned(), "has a control character"),
        ] {
            assert!(Pattern::parse(&text).unwrap_err().to_string().starts_with(told), "{told}");
        }
        assert!(Pattern::parse(&"a".repeat(Pattern::MAX_LEN)).is_ok());
    }

    /// The definition, as plainly as it can be said.
    fn naive(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            (['*', pattern @ ..], _) => (0..=name.len()).any(|run| naive(pattern, &name[run..])),
            (['?', pattern @ ..], [_, name @ ..]) => naive(pattern, name),
            ([expected, pattern @ ..], [found, name @ ..]) => {
                expected == found && naive(pattern, name)
            }
            _ => false,
        }
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (text, fit, misfit) in [
            (
                "llama-3.1-*",
                &["llama-3.1-8b", "llama-3.1-", "llama-3.1-a/b"][..],
                &["llama-3.1", "llama-311-8b", "Llama-3.1-8b", " llama-3.1-8b", ""][..],
            ),
            ("*", &["", "x", "org/model:tag"], &[]),
            ("gpt-?", &["gpt-4", "gpt-é", "gpt-?", "gpt-/"], &["gpt-", "gpt-4o"]),
            ("*-instruct", &["-instruct", "a-instruct-instruct"], &["a-instruct-x", "instruct"]),
            ("a*b*c", &["abc", "aXbXbc", "abcbc"], &["ab", "acb", "abcd"]),
            ("**a**", &["a", "xay"], &["", "b"]),
            ("?*?", &["ab", "abc"], &["a", ""]),
            ("org/model", &["org/model"], &["org/Model", "org/model/"]),
            ("[ab]", &["[ab]"], &["a", "b"]),
            ("a\\*", &["a\\", "a\\x"], &["a*"]),
        ] {
            let pattern = pattern(text);
            assert!(fit.iter().all(|name| pattern.matches(name)), "{text}");
            assert!(!misfit.iter().any(|name| pattern.matches(name)), "{text}");
            assert_eq!((pattern.as_str(), pattern.to_string().as_str()), (text, text));
        }
    }

    #[test]
    fn what_cannot_be_the_name_of_a_model_is_refused() {
        assert_eq!(Pattern::parse(""), Err(PatternError::Empty));
        assert_eq!(Pattern::parse(&"a".repeat(257)), Err(PatternError::TooLong));
        assert!(Pattern::parse(&"a".repeat(256)).is_ok());
        for text in ["a\n", "\t", "a\0b", "\u{7f}", "a\u{85}"] {
            assert_eq!(Pattern::parse(text), Err(PatternError::ControlCharacter), "{text:?}");
        }
        assert!(Pattern::parse("模型-*").is_ok());
    }

    #[test]
    fn a_pattern_of_many_stars_is_refused_by_a_long_name_at_once() {
        // Exponential backtracking would not end within the life of the machine.
        let pattern = pattern(&("a*".repeat(127) + "b"));
        let name = "a".repeat(10_000);
        assert!(!pattern.matches(&name));
        assert!(pattern.matches(&(name + "b")));
    }

    #[test]
    fn a_wider_pattern_covers_a_narrower_one() {
        for (wide, narrow) in [
            ("*", "llama-*"),
            ("llama-*", "llama-3.1-*"),
            ("llama-*", "llama-?"),
            ("llama-?", "llama-3"),
            ("llama-?", "llama-?"),
            ("*-instruct", "llama-*-instruct"),
        ] {
            assert!(pattern(wide).covers(&pattern(narrow)), "{wide} {narrow}");
        }
        for (one, other) in [
            ("llama-3.1-*", "llama-*"),
            ("llama-?", "llama-*"),
            ("llama-*", "qwen-*"),
            ("*-instruct", "llama-*"),
        ] {
            assert!(!pattern(one).covers(&pattern(other)), "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_definition(text in "[ab?*]{1,8}", name in "[abé*?]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(
                pattern(&text).matches(&name),
                naive(&chars(&text), &chars(&name))
            );
        }

        #[test]
        fn a_pattern_without_a_star_and_a_question_mark_matches_itself_only(
            text in "[ -)+->@-~]{1,20}", name in "[ -)+->@-~]{0,20}",
        ) {
            prop_assert!(pattern(&text).matches(&text));
            prop_assert_eq!(pattern(&text).matches(&name), text == name);
        }

        #[test]
        fn what_fits_a_pattern_fits_each_that_covers_it(
            wide in "[ab?*]{1,6}", narrow in "[ab?*]{1,6}", name in "[ab]{0,8}",
        ) {
            let (wide, narrow) = (pattern(&wide), pattern(&narrow));
            if wide.covers(&narrow) && narrow.matches(&name) {
                prop_assert!(wide.matches(&name));
            }
        }
    }
}

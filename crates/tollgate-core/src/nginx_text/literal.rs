//! What is given where a value is taken to the letter (an issuer, the name of a tier), and looks as if more
//! were made of it: variables, patterns, lists, templates. Taken to the letter it fits nothing.

use std::fmt;

use super::expression::names;

/// More than a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotLiteral {
    /// `$host`, by its name.
    Variable(String),
    /// `~^https://`
    Regex,
    /// `*`, `https://*.example.com`
    Wildcard,
    /// `a,b`
    List,
    /// `https://login.example.com/{tenantid}/v2.0`
    Template,
    /// `off`, `any`: what switches are set to.
    Switch,
}

impl fmt::Display for NotLiteral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => {
                write!(f, "can't have the variable \"${name}\" in it, as it is taken to the letter; write it out")
            }
            Self::Regex | Self::Wildcard => f.write_str(
                "is taken to the letter, and not as a pattern; write out each value, with a blank between \
                 two",
            ),
            Self::List => f.write_str(
                "is taken to the letter, comma included; put a blank in place of the comma between two \
                 values",
            ),
            Self::Template => f.write_str(
                "is taken to the letter, braces included; write what stands in their place in a token",
            ),
            Self::Switch => {
                f.write_str("is taken to the letter; leave the directive out where any value will do")
            }
        }
    }
}

impl std::error::Error for NotLiteral {}

/// Whether `text` has a variable in it.
///
/// # Errors
///
/// Which one.
pub fn check(text: &str) -> Result<(), NotLiteral> {
    names(text).next().map_or(Ok(()), |name| Err(NotLiteral::Variable(name)))
}

/// What else an issuer or an audience looks like. It might be one all the same.
#[must_use]
pub fn doubt(text: &str) -> Option<NotLiteral> {
    const SWITCHES: [&str; 6] = ["on", "off", "none", "any", "all", "-"];
    let is_template = || {
        let (_, behind) = text.split_once('{')?;
        behind.contains('}').then_some(())
    };
    match () {
        () if text.starts_with(['~', '^']) => Some(NotLiteral::Regex),
        () if text.contains('*') => Some(NotLiteral::Wildcard),
        () if text.contains(',') => Some(NotLiteral::List),
        () if is_template().is_some() => Some(NotLiteral::Template),
        () if SWITCHES.contains(&text) => Some(NotLiteral::Switch),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_no_literal() {
        for (text, name) in
            [("$host", "host"), ("https://${http_host}/", "http_host"), ("a$b", "b")]
        {
            assert_eq!(check(text), Err(NotLiteral::Variable(name.into())), "{text}");
        }
        for text in ["", "free", "5$", "$ 5", "https://login.example.com/"] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn patterns_lists_and_templates_are_doubtful() {
        for (text, expected) in [
            ("~^https://", Some(NotLiteral::Regex)),
            ("^https://a$", Some(NotLiteral::Regex)),
            ("*", Some(NotLiteral::Wildcard)),
            ("https://*.example.com", Some(NotLiteral::Wildcard)),
            ("https://a,https://b", Some(NotLiteral::List)),
            ("https://login.microsoftonline.com/{tenantid}/v2.0", Some(NotLiteral::Template)),
            ("off", Some(NotLiteral::Switch)),
            ("any", Some(NotLiteral::Switch)),
            ("https://login.example.com/realms/a", None),
            ("accounts.google.com", None),
            ("urn:ietf:params:oauth:~a", None),
            ("api://0a1b2c/.default", None),
            ("a{b", None),
            ("offline", None),
        ] {
            assert_eq!(doubt(text), expected, "{text}");
        }
    }
}

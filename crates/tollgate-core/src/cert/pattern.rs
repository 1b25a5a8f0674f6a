//! Patterns for names in certificates. Unlike those of models, their `*` stays within one part of a name:
//! `spiffe://example.org/ns/*/sa/*` is no `spiffe://example.org/ns/a/b/sa/c`, and `*.example.org` no
//! `a.b.example.org`.

use std::fmt;

use super::name::CertName;
use super::rule::Kind;
use super::spiffe::SpiffeId;

/// A pattern: parts of a name, in which `*` stands for one or more characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    text: Box<str>,
    /// What stands between parts.
    separator: char,
}

/// Why a text is no pattern of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// Even with something in place of each `*`, it would be no name.
    NoName,
    /// `*` in the authority of a URI, which would be one of any owner.
    Authority,
    /// `**`, which is not more than `*`.
    TwoStars,
}

impl NamePattern {
    /// Takes `text` as a pattern of names of this kind.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(kind: Kind, text: &str) -> Result<Self, PatternError> {
        if text.contains("**") {
            return Err(PatternError::TwoStars);
        }
        let filled = text.replace('*', "x");
        let (is_name, separator) = match kind {
            Kind::SanUri => {
                let authority = text.splitn(4, '/').take(3);
                if authority.into_iter().any(|part| part.contains('*')) {
                    return Err(PatternError::Authority);
                }
                let is_name = match SpiffeId::is_claimed(text) {
                    true => SpiffeId::parse(&filled).is_some(),
                    false => CertName::uri(&filled).is_some(),
                };
                (is_name, '/')
            }
            // Case doesn't matter there, and is lower here.
            Kind::SanDns => {
                (CertName::dns(&filled).is_some() && filled.to_ascii_lowercase() == filled, '.')
            }
            Kind::Cn => (CertName::common_name(&filled).is_some(), '\0'),
            Kind::Fingerprint => (false, '\0'),
        };
        is_name.then(|| Self { text: text.into(), separator }).ok_or(PatternError::NoName)
    }

    /// Whether the whole of `name`, which is without the prefix of its kind, fits.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (mut parts, mut names) = (self.text.split(self.separator), name.split(self.separator));
        loop {
            match (parts.next(), names.next()) {
                (Some(part), Some(name)) if fits(part, name) => {}
                (None, None) => return true,
                _ => return false,
            }
        }
    }
}

/// Whether a part of a name fits: each `*` takes at least one character, and as few as can be.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(first) else { return false };
    let (middle, last) =
        rest.rsplit_once('*').map_or((None, rest), |(middle, last)| (Some(middle), last));
    let Some(end) = left.strip_suffix(last) else { return false };
    left = end;
    let taken = |text: &str| text.char_indices().nth(1).map_or(text.len(), |(at, _)| at);
    let Some(middle) = middle else { return !left.is_empty() };
    for part in middle.split('*') {
        let behind = left.get(taken(left)..).unwrap_or_default();
        match behind.find(part).filter(|_| !left.is_empty()) {
            Some(at) => left = behind.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    !left.is_empty()
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoName => "would fit no name of this kind",
            Self::Authority => {
                "has a \"*\" in the part that says whose names these are; write the trust domain or host \
                 out, or name several patterns"
            }
            Self::TwoStars => "has \"**\"; a \"*\" stands for one or more characters up to the next \"/\" or \".\"",
        })
    }
}

impl std::error::Error for PatternError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(kind: Kind, pattern: &str, name: &str) -> bool {
        NamePattern::parse(kind, pattern).unwrap().matches(name)
    }

    #[test]
    fn a_star_stays_within_its_segment_and_takes_something() {
        let pattern = "spiffe://example.org/ns/*/sa/web-*";
        for name in
            ["spiffe://example.org/ns/prod/sa/web-1", "spiffe://example.org/ns/a.b/sa/web-web-"]
        {
            assert!(matches(Kind::SanUri, pattern, name), "{name}");
        }
        for name in [
            "spiffe://example.org/ns/prod/sa/web-",
            "spiffe://example.org/ns/a/b/sa/web-1",
            "spiffe://example.org/ns/prod/sa/web-1/x",
            "spiffe://example.org/ns/prod/sa",
            "spiffe://example.org.evil/ns/prod/sa/web-1",
            "spiffe://evil/ns/prod/sa/web-1",
            "xspiffe://example.org/ns/prod/sa/web-1",
            "spiffe://example.org/ns//sa/web-1",
            "",
        ] {
            assert!(!matches(Kind::SanUri, pattern, name), "{name}");
        }
        assert!(matches(Kind::SanDns, "*.example.org", "a.example.org"));
        for name in ["a.b.example.org", "example.org", ".example.org", "a.example.org.evil"] {
            assert!(!matches(Kind::SanDns, "*.example.org", name), "{name}");
        }
        assert!(matches(Kind::Cn, "batch-*", "batch-/.1"));
        assert!(!matches(Kind::Cn, "batch-*", "Batch-1"));
    }

    #[test]
    fn several_stars_share_a_segment() {
        for (pattern, good, bad) in [
            ("a*b*c", "axbyc", "abc"),
            ("a*b*c", "a1bb2c", "a1bc"),
            ("*-*", "a-b", "-b"),
            ("*a*a*", "1a2a3", "aaaa"),
            ("*a*a*", "aaaaa", "1a2a"),
            ("*", "x", ""),
        ] {
            assert!(matches(Kind::Cn, pattern, good), "{pattern} {good}");
            assert!(!matches(Kind::Cn, pattern, bad), "{pattern} {bad}");
        }
    }

    #[test]
    fn what_fits_no_name_or_those_of_any_owner_is_none() {
        let error = |kind, text| NamePattern::parse(kind, text).unwrap_err();
        for text in ["spiffe://*/a", "spiffe://ex*.org/a", "https://*", "*://a/b", "*"] {
            assert_eq!(error(Kind::SanUri, text), PatternError::Authority, "{text}");
        }
        for text in ["spiffe://example.org", "spiffe://example.org/", "spiffe://A/*", "batch", ""] {
            assert_eq!(error(Kind::SanUri, text), PatternError::NoName, "{text}");
        }
        for text in ["", "A.example", "*.Example", "a..b", "spiffe://a/b"] {
            assert_eq!(error(Kind::SanDns, text), PatternError::NoName, "{text}");
        }
        assert_eq!(error(Kind::SanUri, "spiffe://a/**"), PatternError::TwoStars);
        assert_eq!(error(Kind::Fingerprint, "*"), PatternError::NoName);
    }

    proptest! {
        #[test]
        fn a_segment_fits_as_a_search_by_force_says(pattern in "[ab*]{1,6}", name in "[ab]{0,8}") {
            prop_assume!(!pattern.contains("**"));
            fn by_force(pattern: &[u8], name: &[u8]) -> bool {
                match (pattern, name) {
                    ([], []) => true,
                    ([b'*', rest @ ..], [_, ..]) => {
                        (1..=name.len()).any(|taken| by_force(rest, &name[taken..]))
                    }
                    ([one, pattern @ ..], [other, name @ ..]) => one == other && by_force(pattern, name),
                    _ => false,
                }
            }
            prop_assert_eq!(fits(&pattern, &name), by_force(pattern.as_bytes(), name.as_bytes()));
        }
    }
}

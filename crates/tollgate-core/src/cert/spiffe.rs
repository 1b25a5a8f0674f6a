//! SPIFFE IDs (SPIFFE-ID section 2): one spelling for each.

/// The name of a workload: `spiffe://`, the trust domain, and a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpiffeId<'t> {
    domain: &'t str,
}

/// Whatever else is called so would be taken for one by somebody.
const SCHEME: &[u8] = b"spiffe:";
const MAX_LEN: usize = 2048;

impl<'t> SpiffeId<'t> {
    /// Reads the SPIFFE ID of a workload, which has a path.
    ///
    /// `None` where `text` is none, or not in its one spelling: the scheme and the trust domain in lower
    /// case, no user, port, query, fragment or escapes, no empty or dotted segments, at most 2048 bytes.
    #[must_use]
    pub fn parse(text: &'t str) -> Option<Self> {
        let rest = text.strip_prefix("spiffe://").filter(|_| text.len() <= MAX_LEN)?;
        let (domain, path) = rest.split_once('/')?;
        let is_segment = |segment: &str| {
            !segment.is_empty()
                && segment != "."
                && segment != ".."
                && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        };
        (is_trust_domain(domain) && path.split('/').all(is_segment)).then_some(Self { domain })
    }

    /// Whether `text` claims to be a SPIFFE ID, rightly or not.
    #[must_use]
    pub fn is_claimed(text: &str) -> bool {
        text.as_bytes().get(..SCHEME.len()).is_some_and(|start| start.eq_ignore_ascii_case(SCHEME))
    }

    /// Its trust domain.
    #[must_use]
    pub fn domain(self) -> &'t str {
        self.domain
    }
}

/// Whether `text` can be the name of a trust domain (SPIFFE-ID section 2.1).
#[must_use]
pub fn is_trust_domain(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_has_a_domain_and_a_path() {
        for (text, domain) in [
            ("spiffe://example.org/ns/prod/sa/batch", "example.org"),
            ("spiffe://a/b", "a"),
            (
                "spiffe://k8s_1-west.example.com/9eebccd2-12bf-40a6-b262-65fe0487d453",
                "k8s_1-west.example.com",
            ),
            ("spiffe://a/B/..c/d.", "a"),
        ] {
            assert_eq!(SpiffeId::parse(text).map(SpiffeId::domain), Some(domain), "{text}");
        }
        let longest = format!("spiffe://a/{}", "b".repeat(2048 - 11));
        assert!(SpiffeId::parse(&longest).is_some());
        assert!(SpiffeId::parse(&format!("{longest}b")).is_none());
    }

    #[test]
    fn other_spellings_are_none() {
        for text in [
            "",
            "spiffe://",
            "spiffe:///a",
            "spiffe://a",
            "spiffe://a/",
            "spiffe://a//b",
            "spiffe://a/b/",
            "spiffe://a/./b",
            "spiffe://a/../b",
            "spiffe://a/..",
            "spiffe://A/b",
            "SPIFFE://a/b",
            "spiffe:/a/b",
            "spiffe:a/b",
            "spiffe://u@a/b",
            "spiffe://a:1/b",
            "spiffe://a/b?c",
            "spiffe://a/b#c",
            "spiffe://a/%62",
            "spiffe://a/b\u{e9}",
            "spiffe://a/b\0",
            "spiffe://a/b c",
            "spiffe://a/*",
            " spiffe://a/b",
            "https://a/b",
        ] {
            assert!(SpiffeId::parse(text).is_none(), "{text}");
        }
        let domain = "a".repeat(256);
        assert!(SpiffeId::parse(&format!("spiffe://{domain}/b")).is_none());
        assert!(SpiffeId::parse(&format!("spiffe://{}/b", "a".repeat(255))).is_some());
    }

    #[test]
    fn whoever_claims_to_be_one_is_held_to_it() {
        for text in ["spiffe://a/b", "SPIFFE://a/b", "Spiffe:x"] {
            assert!(SpiffeId::is_claimed(text), "{text}");
        }
        for text in ["spiff", "https://spiffe:", "spiffe", ""] {
            assert!(!SpiffeId::is_claimed(text), "{text}");
        }
    }
}

//! The name of a member, as the client wrote it: for the answer to it, and for no log.

use std::fmt;

use super::spot::MAX_NAME;

/// The name of a member that a client may be shown: a plain word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MemberName {
    bytes: [u8; MAX_NAME],
    len: usize,
}

impl MemberName {
    /// `None`: it is no word of letters, digits, `_`, `-` and `.`, or it is long.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let mut bytes = [0; MAX_NAME];
        bytes.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        let is_name = !name.is_empty() && name.bytes().all(is_plain);
        is_name.then_some(Self { bytes, len: name.len() })
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.len).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Debug for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may be anything, a credential as well.
        f.write_str("MemberName")
    }
}

/// Which of the body's members has most of the schemas.
#[derive(Debug, Default)]
pub(super) struct Largest {
    /// The member that is being read, and how much there was before it.
    current: (Option<MemberName>, u64),
    largest: (Option<MemberName>, u64),
}

impl Largest {
    /// The next member begins, when all of them before it have so much.
    pub(super) fn begin(&mut self, name: Option<&str>, bytes: u64) {
        let (ended, before) = self.current;
        let own = bytes.saturating_sub(before);
        if own > self.largest.1 {
            self.largest = (ended, own);
        }
        self.current = (name.and_then(MemberName::new), bytes);
    }

    /// The largest one, when all have so much.
    pub(super) fn end(mut self, bytes: u64) -> Option<MemberName> {
        self.begin(None, bytes);
        self.largest.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_words_are_shown() {
        let longest = "a".repeat(MAX_NAME);
        for name in ["model", "top-k", "a.b", "_X1", &longest] {
            assert_eq!(MemberName::new(name).unwrap().as_str(), name);
        }
        let long = "a".repeat(MAX_NAME + 1);
        for name in ["", "a b", "a\n", "<b>", "\"", "a\u{202e}", "é", "a\0", "${x}", &long] {
            assert_eq!(MemberName::new(name), None, "{name:?}");
        }
        assert!(!format!("{:?}", MemberName::new("tg_secret")).contains("tg_"));
    }

    #[test]
    fn the_largest_is_the_one_with_most() {
        let mut largest = Largest::default();
        for (name, bytes) in [("a", 0), ("b", 5), ("c\n", 15), ("d", 15), ("e", 24)] {
            largest.begin(Some(name), bytes);
        }
        assert_eq!(largest.end(26).unwrap().as_str(), "b");
        let mut unnamed = Largest::default();
        unnamed.begin(Some("a\n"), 0);
        assert_eq!(unnamed.end(9), None);
    }
}

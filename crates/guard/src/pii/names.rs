//! Names of domains: RFC 1034 section 3.5, RFC 5890 for those with other letters than ASCII's.

use std::borrow::Cow;
use std::sync::LazyLock;

/// IANA's list of top-level domains in the root zone (<https://data.iana.org/TLD/tlds-alpha-by-domain.txt>, as of
/// 2026), in both forms of those that aren't ASCII. A sorted list of 10 KB: the public suffix list would be 800 KB of
/// code, for rules that are not needed here.
const LIST: &str = include_str!("tlds.txt");

static TLDS: LazyLock<Vec<&'static str>> = LazyLock::new(|| LIST.lines().collect());

/// Those of up to eight bytes, as numbers, which are compared more quickly.
static SHORT: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let mut all: Vec<u64> = TLDS.iter().filter_map(|name| packed(name)).collect();
    all.sort_unstable();
    all
});

/// A name of up to eight bytes as a number.
fn packed(name: &str) -> Option<u64> {
    let is_short = name.len() <= 8;
    is_short.then(|| name.bytes().fold(0, |all, byte| all << 8 | u64::from(byte)))
}

/// Top-level domains that are kept for examples (RFC 2606), or used inside of networks, and so never delegated.
const PRIVATE: &[&str] =
    &["corp", "example", "home", "internal", "intranet", "invalid", "lan", "local", "test"];

/// What is known of a name's last part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tld {
    /// It is in the root zone.
    Delegated,
    /// It is used in networks of one's own, or in examples.
    Private,
    /// There is none.
    Unknown,
}

/// What is known of this top-level domain, in any case.
pub(super) fn tld(name: &str) -> Tld {
    let is_lower = name.bytes().all(|byte| byte.is_ascii_lowercase());
    let lower = if is_lower { Cow::Borrowed(name) } else { Cow::Owned(name.to_lowercase()) };
    let is_delegated = match packed(&lower) {
        Some(number) => SHORT.binary_search(&number).is_ok(),
        None => TLDS.binary_search(&&*lower).is_ok(),
    };
    if is_delegated {
        Tld::Delegated
    } else if PRIVATE.contains(&&*lower) {
        Tld::Private
    } else {
        Tld::Unknown
    }
}

/// Whether this is a name of a domain by its form: parts of 1 to 63 characters, which neither begin nor end with a
/// hyphen, and 253 bytes at most.
pub(super) fn is_name(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|part| {
            (1..=63).contains(&part.chars().count())
                && !part.starts_with('-')
                && !part.ends_with('-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_in_lower_case() {
        assert!(TLDS.len() > 1400);
        assert!(TLDS.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(TLDS.iter().all(|name| *name == name.to_lowercase() && !name.is_empty()));
    }

    #[test]
    fn top_level_domains_are_known_in_both_forms() {
        for name in ["com", "COM", "museum", "рф", "xn--p1ai", "中国", "xn--fiqs8s"] {
            assert_eq!(tld(name), Tld::Delegated, "{name}");
        }
        assert_eq!(tld("local"), Tld::Private);
        for name in ["", "comm", "png", "json", "c"] {
            assert_eq!(tld(name), Tld::Unknown, "{name}");
        }
    }

    #[test]
    fn names_have_a_form() {
        assert!(
            is_name("a.example") && is_name("xn--bcher-kva.example") && is_name("bücher.example")
        );
        assert!(
            !is_name("-a.example")
                && !is_name("a-.example")
                && !is_name("a..example")
                && !is_name("")
        );
        assert!(is_name(&format!("{}.com", "a".repeat(63))));
        assert!(!is_name(&format!("{}.com", "a".repeat(64))));
    }
}

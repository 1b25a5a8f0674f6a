//! Addresses of electronic mail, as they are in use: the dot-atoms of RFC 5321 section 4.1.2 without the signs that
//! nobody's address has but that stand beside addresses in text (`=`, `&`, `/`, `{`), with the letters of RFC 6531.

use std::borrow::Cow;

use super::edges;
use super::kind::detector;
use super::names::{self, Tld};
use crate::detector::{Candidate, Detector};

const CONTEXT: &[&str] = &[
    "mail",
    "email",
    "e-mail",
    "contact",
    "correo",
    "courriel",
    "posta",
    "adresse",
    "почта",
    "邮箱",
    "邮件",
    "メール",
    "이메일",
];

/// Letters of Latin, Greek and Cyrillic that aren't ASCII's: what a keyboard without ideographs writes. In scripts
/// without spaces, the words around an address would be taken for a part of it.
macro_rules! letters {
    () => {
        r"\u{c0}-\u{24f}\u{370}-\u{3ff}\u{400}-\u{52f}"
    };
}

/// The sign may be escaped, as it is in the query of a URL. The last part is in one case, or an often written one with a capital, so that `a@b.org.Then` ends at `org`.
const PATTERN: &str = concat!(
    "[A-Za-z0-9_",
    letters!(),
    "][A-Za-z0-9._+'~",
    letters!(),
    "-]{0,63}(?:@|%40)",
    "[A-Za-z0-9",
    letters!(),
    "][A-Za-z0-9.",
    letters!(),
    r"-]{0,120}\.",
    "(?:xn--[a-z0-9-]{2,40}|[a-z",
    r"\u{df}-\u{24f}\u{370}-\u{3ff}\u{430}-\u{52f}",
    "]{2,24}|[A-Z]{2,24}|Com|Net|Org|Edu|Gov",
    "|中国|中國|公司|网络|台灣|香港|한국|भारत|ไทย|みんな)"
);

pub(super) fn email() -> Detector {
    detector("email", "EMAIL", Cow::Borrowed(PATTERN), CONTEXT, check)
}

fn check(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    // In a URL, the sign is escaped.
    let text = candidate.text();
    let (local, domain) = text.split_once('@').or_else(|| text.split_once("%40"))?;
    let (_, tld) = domain.rsplit_once('.')?;
    let known = names::tld(tld);
    let dots = local.ends_with(['.', '\'']) || local.contains("..");
    if dots || local.chars().count() > 64 || known == Tld::Unknown || !names::is_name(domain) {
        return None;
    }
    // The middle of something longer.
    let is_cut = edges::follows(candidate, b"._+~-")
        || edges::precedes(candidate, &['-', '_', '@'])
        || candidate.behind().is_some_and(|c| c.is_alphabetic() && tld.is_ascii() && c < '\u{e00}');
    // `https://name:password@host`, and `git@host:path`.
    let is_host = edges::joined(candidate)
        .rsplit_once("://")
        .is_some_and(|(_, rest)| !rest.contains(['/', '?']));
    if is_cut || is_host || (local == "git" && candidate.behind() == Some(':')) {
        return None;
    }
    Some(match (known, context) {
        (_, true) => 99,
        (Tld::Delegated, false) => 95,
        _ => 70,
    })
}

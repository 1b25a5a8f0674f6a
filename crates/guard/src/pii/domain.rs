//! Names of domains, and addresses of pages: RFC 1034, RFC 3986.

use std::borrow::Cow;

use super::edges;
use super::kind::detector;
use super::names::{self, Tld};
use crate::detector::{Candidate, Detector};

const CONTEXT: &[&str] = &[
    "website",
    "web site",
    "site",
    "domain",
    "url",
    "visit",
    "homepage",
    "webpage",
    "web page",
    "www",
    "blog",
    "link",
    "host",
    "hostname",
    "webseite",
    "seite",
    "page web",
    "sitio",
    "página",
    "pagina",
    "sito",
    "strona",
    "сайт",
    "网站",
    "網站",
    "サイト",
    "사이트",
    "online at",
    "go to",
    "browse",
];

/// Top-level domains that neither end files nor are words that stand behind a full stop, in texts or in code.
const PLAIN: &[&str] = &[
    "ae", "ar", "arpa", "asia", "au", "ba", "bd", "bg", "biz", "br", "by", "ca", "cat", "ch", "cl",
    "cloud", "club", "cn", "co", "com", "coop", "cr", "cy", "cz", "de", "dk", "ec", "edu", "ee",
    "eg", "es", "eu", "fi", "fr", "gov", "gr", "hk", "hn", "hr", "hu", "ie", "il", "info", "io",
    "ir", "jo", "jobs", "jp", "ke", "kr", "kw", "kz", "lb", "li", "lk", "lt", "lu", "lv", "ma",
    "mil", "mt", "museum", "mx", "net", "ng", "nl", "np", "nu", "nz", "om", "online", "org", "pe",
    "ph", "pk", "pt", "qa", "ro", "ru", "sa", "se", "sg", "shop", "si", "site", "sk", "store",
    "su", "sv", "tech", "th", "tn", "tr", "travel", "tv", "tw", "ua", "ug", "uk", "uy", "uz", "vn",
    "xyz", "za", "zw", "бел", "рус", "рф", "укр",
];

/// Top-level domains that more often end the name of a file.
const FILES: &[&str] = &[
    "ac", "am", "bz", "cc", "docs", "map", "md", "mk", "ml", "mm", "mov", "pm", "ps", "py", "rs",
    "sh", "so", "tf", "zip",
];

/// Those that more often are a part of something in code.
const CODE: &[&str] = &[
    "data", "do", "ge", "gt", "host", "id", "link", "lt", "name", "next", "now", "page", "run",
    "site", "store", "style",
];

/// What things in code are called, before a full stop.
const THINGS: &[&str] = &[
    "args",
    "cls",
    "colors",
    "com",
    "config",
    "console",
    "ctx",
    "datetime",
    "document",
    "edu",
    "err",
    "error",
    "event",
    "exports",
    "get",
    "gov",
    "gyp",
    "io",
    "item",
    "java",
    "javax",
    "log",
    "math",
    "metadata",
    "mod",
    "module",
    "net",
    "node",
    "np",
    "obj",
    "operator",
    "opt",
    "options",
    "opts",
    "org",
    "os",
    "params",
    "performance",
    "process",
    "props",
    "req",
    "request",
    "res",
    "response",
    "result",
    "self",
    "stat",
    "state",
    "string",
    "sys",
    "this",
    "tokens",
    "torch",
    "user",
    "window",
];

/// Names that are written like domains, and are none: platforms, and the first parts of packages' names.
const PRODUCTS: &[&str] =
    &["ado.net", "asp.net", "ml.net", "system.net", "vb.net", "node.io", "log.info", "logger.info"];

macro_rules! letters {
    () => {
        r"\u{c0}-\u{24f}\u{370}-\u{3ff}\u{400}-\u{52f}"
    };
}

macro_rules! path {
    () => {
        concat!(
            r"(?::[0-9]{1,5}(?-u:\b))?(?:/|[/?#][A-Za-z0-9",
            letters!(),
            r"._~:/?#@!$&'()*+,;=%-]{0,180}[A-Za-z0-9",
            letters!(),
            r"/_=&$#%)-])?"
        )
    };
}

/// An address with its scheme, or a name with what follows it.
const PATTERN: &str = concat!(
    r"(?i-u:\b(?:https?|ftps?|wss?)://)(?:[A-Za-z0-9._~%!$&*+-]{1,40}(?::[A-Za-z0-9._~%!$&*+-]{0,40})?@)?",
    "[A-Za-z0-9",
    letters!(),
    "][A-Za-z0-9.",
    letters!(),
    r"-]{0,120}[A-Za-z0-9",
    letters!(),
    "]",
    path!(),
    r"|(?:(?-u:\b)[A-Za-z0-9]|[",
    letters!(),
    "])[A-Za-z0-9.",
    letters!(),
    r"-]{0,80}\.",
    r"(?:xn--[a-z0-9-]{2,40}|[a-z\u{430}-\u{45f}]{2,18}|[A-Z]{2,18})",
    path!()
);

pub(super) fn domain() -> Detector {
    detector("domain", "DOMAIN", Cow::Borrowed(PATTERN), CONTEXT, check)
}

fn check(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    let text = candidate.text();
    // A bracket around it is none of it.
    let count = |sign: u8| text.bytes().filter(|byte| *byte == sign).count();
    if text.ends_with(')') && count(b')') > count(b'(') {
        return None;
    }
    let scheme = text.bytes().take(6).position(|byte| byte == b':');
    let address = scheme.and_then(|end| text.get(end..)).and_then(|rest| rest.strip_prefix("://"));
    let Some(rest) = address else { return bare(candidate, context) };
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?.split(':').next()?;
    let (_, tld) = host.rsplit_once('.')?;
    if !names::is_name(host) {
        return None;
    }
    match names::tld(tld) {
        Tld::Delegated => Some(if context { 97 } else { 93 }),
        Tld::Private => Some(55),
        Tld::Unknown => None,
    }
}

/// A name without a scheme, perhaps with a port or a path.
fn bare(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    // Most candidates are the beginnings of words of code.
    let is_cut = candidate.behind().is_some_and(|c| c.is_alphabetic() && c < '\u{e00}');
    if is_cut || edges::precedes(candidate, &['@', '(', '_', '\\', '-']) {
        return None;
    }
    let text = candidate.text();
    let end = text.bytes().position(|byte| matches!(byte, b':' | b'/' | b'?' | b'#'));
    let host = text.get(..end.unwrap_or(text.len()))?;
    let (name, tld) = host.rsplit_once('.')?;
    // Most of what stands before a full stop are words: `item.count`.
    if names::tld(tld) != Tld::Delegated {
        return None;
    }
    let has_path = host.len() < text.len();
    // A part of an address of mail, of a path, of code.
    let is_part = edges::follows(candidate, b"@._-/\\$&%+=~")
        && !edges::joined(candidate).ends_with("://")
        && !edges::joined(candidate).ends_with('=')
        || candidate.before().ends_with(|c: char| c.is_alphabetic() && c < '\u{e00}');
    let is_upper = tld.bytes().all(|byte| byte.is_ascii_uppercase()) && tld.is_ascii();
    let is_mixed = is_upper && name.bytes().any(|byte| byte.is_ascii_lowercase());
    if is_part || is_mixed || !names::is_name(host) {
        return None;
    }
    let lower = host.to_lowercase();
    if PRODUCTS.contains(&lower.as_str()) || !name.contains(char::is_alphabetic) {
        return None;
    }
    if lower.starts_with("www.") {
        return Some(if context { 96 } else { 90 });
    }
    let (mut labels, tld_lower) = (lower.split('.'), tld.to_lowercase());
    let (first, count) = (labels.next().unwrap_or_default(), labels.count() + 1);
    // `org.example.io` is a package, `req.host` a part of something.
    let is_package = THINGS.binary_search(&first).is_ok();
    let is_plain = PLAIN.binary_search(&tld_lower.as_str()).is_ok();
    let is_code = count == 2 && !has_path && CODE.binary_search(&tld_lower.as_str()).is_ok();
    let is_noise =
        !context && count == 2 && first.len() == 1 && tld_lower != "com" && tld_lower != "co";
    if FILES.binary_search(&tld_lower.as_str()).is_ok() || is_noise {
        return Some(30);
    }
    Some(match (is_plain && !is_package, context) {
        (_, true) if is_code => 45,
        (true, true) => 92,
        (true, false) if is_code => 30,
        (true, false) if matches!(tld, "com" | "net" | "org" | "edu" | "gov") => 85,
        (true, false) => 65,
        (false, true) if is_package => 40,
        (false, true) => 65,
        (false, false) if has_path && text.contains('/') && lower.split('.').count() > 2 => 55,
        (false, false) => 30,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_names_are_sorted_and_exist() {
        assert!(PLAIN.windows(2).all(|pair| pair[0] < pair[1]), "{PLAIN:?}");
        for name in PLAIN {
            assert_eq!(names::tld(name), Tld::Delegated, "{name}");
        }
        for list in [FILES, CODE, THINGS] {
            assert!(list.windows(2).all(|pair| pair[0] < pair[1]), "{list:?}");
        }
        for name in FILES.iter().chain(CODE) {
            assert_eq!(names::tld(name), Tld::Delegated, "{name}");
        }
    }
}

//! Keys in `Sec-WebSocket-Protocol`, the one header of a WebSocket that a page can say something in:
//! `realtime, openai-insecure-api-key.KEY, openai-beta.realtime-v1`, as OpenAI's package sends it.
//!
//! The header is a list of tokens (RFC 6455 section 4.1), on one line or several. What is in it but no token
//! may be read in one way here and in another by the engine, so it is a key that is wrong.

use crate::disclosure::carries;

/// The header, in lower case.
pub const HEADER: &[u8] = b"sec-websocket-protocol";
/// What stands before the key. Its case doesn't matter: whoever else reads it may not care, either.
pub const PREFIX: &[u8] = b"openai-insecure-api-key.";

/// An element of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element<'a> {
    /// A subprotocol.
    Protocol(&'a [u8]),
    /// A key.
    Key(&'a [u8]),
    /// Neither: no token, or a key without a byte.
    Odd,
}

/// What one line of the header lists.
pub fn elements(value: &[u8]) -> impl Iterator<Item = Element<'_>> {
    let parts = value.split(|byte| *byte == b',').map(trim);
    parts.filter(|part| !part.is_empty()).map(|part| {
        if !is_token(part) {
            return Element::Odd;
        }
        match behind_prefix(part) {
            Some([]) => Element::Odd,
            Some(key) => Element::Key(key),
            None => Element::Protocol(part),
        }
    })
}

/// What stands in a word behind [`PREFIX`], if it begins with that.
#[must_use]
pub fn behind_prefix(word: &[u8]) -> Option<&[u8]> {
    let (start, rest) = word.split_at_checked(PREFIX.len())?;
    start.eq_ignore_ascii_case(PREFIX).then_some(rest)
}

/// What these lines list, in one, without keys and what may be one, and without protocols that carry the
/// credential that was presented, wherever that was.
#[must_use]
pub fn without_keys<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    credential: Option<&[u8]>,
) -> Vec<u8> {
    let mut out = Vec::new();
    let is_credential =
        |text: &[u8]| credential.is_some_and(|credential| carries(text, credential));
    // A credential that has a comma in it, is more than one element.
    let is_cut =
        |line: &[u8]| is_credential(line) && !line.split(|byte| *byte == b',').any(is_credential);
    for element in lines.filter(|line| !is_cut(line)).flat_map(elements) {
        if let Element::Protocol(protocol) = element {
            if is_credential(protocol) {
                continue;
            }
            if !out.is_empty() {
                out.extend_from_slice(b", ");
            }
            out.extend_from_slice(protocol);
        }
    }
    out
}

/// Whether a text may have a key behind [`PREFIX`] in it, whatever else it is.
#[must_use]
pub fn may_hold_key(text: &[u8]) -> bool {
    text.windows(PREFIX.len()).any(|window| window.eq_ignore_ascii_case(PREFIX))
}

/// Blanks around an element are space and tab (RFC 9110 section 5.6.3), and nothing else.
fn trim(mut part: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = part {
        part = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = part {
        part = rest;
    }
    part
}

fn is_token(name: &[u8]) -> bool {
    !name.is_empty()
        && name.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(value: &[u8]) -> Vec<Element<'_>> {
        elements(value).filter(|element| !matches!(element, Element::Protocol(_))).collect()
    }

    #[test]
    fn the_key_is_found_wherever_it_stands() {
        for value in [
            "realtime, openai-insecure-api-key.tg_a, openai-beta.realtime-v1",
            "openai-insecure-api-key.tg_a",
            "openai-insecure-api-key.tg_a,realtime",
            "realtime,\topenai-insecure-api-key.tg_a \t",
            "realtime, , openai-insecure-api-key.tg_a,,",
            "OpenAI-Insecure-API-Key.tg_a",
        ] {
            assert_eq!(keys(value.as_bytes()), [Element::Key(b"tg_a")], "{value}");
        }
        assert_eq!(
            keys(b"openai-insecure-api-key.a, openai-insecure-api-key.b"),
            [Element::Key(b"a"), Element::Key(b"b")]
        );
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        for value in [
            "realtime",
            "",
            " , ,",
            "openai-insecure-api-key",
            "xopenai-insecure-api-key.tg_a",
            "openai-organization.org_1, openai-project.p",
        ] {
            assert_eq!(keys(value.as_bytes()), [], "{value}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_odd() {
        for value in [
            "openai-insecure-api-key.",
            "\"openai-insecure-api-key.tg_a\"",
            "openai-insecure-api-key.\"tg_a\"",
            "openai-insecure-api-key .tg_a",
            "openai-insecure-api-key. tg_a",
            "openai-insecure-api-key.tg a",
            "openai-insecure-api-key.tg/a=",
            "realtime; openai-insecure-api-key.tg_a",
            "realtime openai-insecure-api-key.tg_a",
            "realtime\x0bopenai-insecure-api-key.tg_a",
            "openai-insecure-api-key.tg_\u{e9}",
            "\"a\\\"",
        ] {
            assert_eq!(keys(value.as_bytes()), [Element::Odd], "{value}");
        }
        assert_eq!(
            keys(b"\"a, openai-insecure-api-key.tg_a, b\""),
            [Element::Odd, Element::Key(b"tg_a"), Element::Odd]
        );
    }

    #[test]
    fn the_rest_of_the_list_stays() {
        let rest = |lines: &[&str]| {
            String::from_utf8(without_keys(lines.iter().map(|line| line.as_bytes()), None)).unwrap()
        };
        assert_eq!(
            rest(&["realtime, openai-insecure-api-key.k, openai-beta.realtime-v1"]),
            "realtime, openai-beta.realtime-v1"
        );
        assert_eq!(rest(&["realtime", "OPENAI-insecure-api-key.k,b"]), "realtime, b");
        assert_eq!(rest(&["openai-insecure-api-key.k"]), "");
        assert_eq!(rest(&["a \"openai-insecure-api-key.k\", b"]), "b");
    }

    #[test]
    fn nothing_is_left_that_carries_the_credential() {
        const KEY: &str = "tg_0123456789abcdef";
        let rest = |line: &str, key: &str| {
            String::from_utf8(without_keys([line.as_bytes()].into_iter(), Some(key.as_bytes())))
                .unwrap()
        };
        for word in
            [KEY.to_owned(), format!("x-key.{KEY}"), format!("xopenai-insecure-api-key.{KEY}.b")]
        {
            assert_eq!(rest(&format!("realtime, {word}, b"), KEY), "realtime, b", "{word}");
        }
        assert_eq!(rest("realtime, k, kk", "k"), "realtime, kk");
        assert_eq!(rest("realtime,0123456789,0123456789", "0123456789,0123456789"), "");
        assert_eq!(rest("realtime, b", KEY), "realtime, b");
    }

    proptest! {
        #[test]
        fn nothing_of_a_key_is_left(
            parts in prop::collection::vec("(realtime|openai-insecure-api-key\\.secret|[ \t\",;\\\\]{1,2}|OPENAI-INSECURE-API-KEY\\.secret|x)", 0..8)
        ) {
            let line = parts.concat();
            let rest = without_keys([line.as_bytes()].into_iter(), None);
            // Behind other letters it is another protocol.
            let is_other = |window: &[u8]| rest.windows(window.len()).any(|found| found == window);
            for element in elements(&rest) {
                prop_assert!(matches!(element, Element::Protocol(_)));
            }
            prop_assert!(!is_other(b", openai-insecure-api-key.secret") && !rest.starts_with(PREFIX));
        }

        #[test]
        fn no_bytes_panic(value: Vec<u8>) {
            let _ = elements(&value).count();
            let _ = may_hold_key(&value);
        }
    }
}

//! The path of a request, which nginx and the engine behind it read by rules of their own.
//!
//! nginx chooses a location by the path that it has decoded and normalised, and mostly forwards what
//! the client sent. The engine decodes that again, and compares it with its routes: Python's `$` also
//! matches before a final newline, so `/v1/chat/completions%0A` is served by FastAPI. What could be
//! one path to nginx and another one to the engine is refused, as no honest client sends it.

use crate::detail::Cause;

/// Whether two servers could see different paths in what the client asked for.
///
/// `uri` is nginx's path, decoded and normalised; `target` is what the client sent, up to the query
/// string. A control character or a backslash in either, also when it is encoded once more, and an empty
/// or dot segment that is left in `uri`; the empty one behind a slash at its end may stay.
#[must_use]
pub fn is_ambiguous(uri: &[u8], target: &[u8]) -> bool {
    ambiguity(uri, target).is_some()
}

/// What makes it ambiguous.
#[must_use]
#[inline]
pub fn ambiguity(uri: &[u8], target: &[u8]) -> Option<Cause> {
    if has_unsafe_byte(uri) || has_unsafe_byte(target) {
        Some(Cause::UnsafeByte)
    } else if has_gap(uri) {
        Some(Cause::OddSegment)
    } else {
        None
    }
}

/// A control character or a backslash, as it is or encoded.
fn has_unsafe_byte(path: &[u8]) -> bool {
    let is_unsafe = |byte: u8| byte < b' ' || byte == 0x7f || byte == b'\\';
    if path.iter().any(|&byte| is_unsafe(byte)) {
        return true;
    }
    escapes(path).any(is_unsafe)
}

/// The path as whoever forwards it decoded makes another server read it, if that is another one: a `?` or
/// `#` in it was encoded, and ends it there.
#[must_use]
pub fn up_to_query(uri: &[u8]) -> Option<&[u8]> {
    memchr::memchr2(b'?', b'#', uri).and_then(|end| uri.get(..end))
}

/// The bytes that are encoded as `%XX`. `%25XX` is one as well: whoever decodes twice gets at it.
fn escapes(path: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let ends = memchr::memchr_iter(b'%', path).filter_map(|at| path.get(at + 1..));
    ends.filter_map(|mut rest| {
        while let Some(inner) = rest.strip_prefix(b"25") {
            rest = inner;
        }
        let [high, low, ..] = rest else { return None };
        let digit = |byte: u8| char::from(byte).to_digit(16);
        u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
    })
}

/// An empty segment, but for the one behind the last slash, or one that means this or the level above.
fn has_gap(uri: &[u8]) -> bool {
    let mut segments = uri.split(|&byte| byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        if (segment.is_empty() && !is_last) || is_dots(segment) {
            return true;
        }
    }
    false
}

/// `.` or `..`, also when a dot is encoded once more, and with parameters behind it: `..;x`.
fn is_dots(segment: &[u8]) -> bool {
    // Nearly all begin with something else.
    if !matches!(segment.first(), Some(b'.' | b'%')) {
        return false;
    }
    let (mut rest, mut dots) = (segment, 0);
    while !matches!(rest, [] | [b';', ..]) {
        rest = match rest {
            [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
            _ => return false,
        };
        dots += 1;
    }
    (1..=2).contains(&dots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_honest_clients_are_clear() {
        for path in [
            "/",
            "/v1/chat/completions",
            "/v1/chat/completions/",
            "/v1/models/org/model-1.5:free",
            "/v1/models/..x",
            "/v1/models/.hidden",
            "/v1/files/file-1/content;v=1",
            "/v1/models/mod\u{e8}le name",
            "/v1/models/100%",
            "/v1/models/100%zz",
        ] {
            assert!(!is_ambiguous(path.as_bytes(), path.as_bytes()), "{path}");
        }
        assert!(!is_ambiguous(b"/v1/models/a/b c", b"/v1/models/a%2Fb%20c"));
        assert!(!is_ambiguous(b"/v1/models", b"//v1/./x/../models"), "nginx has put it right");
        assert!(!is_ambiguous(b"/", b""));
    }

    #[test]
    fn control_characters_and_backslashes_are_refused_however_they_are_written() {
        for byte in (0..b' ').chain([0x7f, b'\\']) {
            for written in [format!("%{byte:02x}"), format!("%{byte:02X}")] {
                let target = format!("/v1/chat/completions{written}");
                let mut uri = b"/v1/chat/completions".to_vec();
                uri.push(byte);
                assert!(is_ambiguous(&uri, target.as_bytes()), "{target}");
                assert!(is_ambiguous(b"/v1/chat/completions", target.as_bytes()), "{target}");
                assert!(is_ambiguous(&uri, b"/v1/chat/completions"), "{byte}");
                // Encoded twice, and three times.
                let (twice, thrice) = (target.replace('%', "%25"), target.replace('%', "%2525"));
                assert!(is_ambiguous(target.as_bytes(), twice.as_bytes()), "{twice}");
                assert!(is_ambiguous(twice.as_bytes(), thrice.as_bytes()), "{thrice}");
            }
        }
    }

    #[test]
    fn empty_and_dot_segments_that_are_left_are_refused() {
        for uri in [
            "//v1/chat/completions",
            "/v1//chat/completions",
            "/v1/chat/completions//",
            "/v1/./chat/completions",
            "/v1/x/../chat/completions",
            "/v1/..",
            "/.",
            "/x/..;/chat/completions",
            "/x/.;a=b/chat",
            "/x/%2e%2E/chat",
            "/x/.%2e/chat",
        ] {
            assert!(is_ambiguous(uri.as_bytes(), uri.as_bytes()), "{uri}");
        }
    }

    #[test]
    fn an_encoded_end_is_found() {
        assert_eq!(up_to_query(b"/v1/embeddings?x#y"), Some(&b"/v1/embeddings"[..]));
        assert_eq!(up_to_query(b"/v1/embeddings#"), Some(&b"/v1/embeddings"[..]));
        assert_eq!(up_to_query(b"/v1/embeddings"), None);
    }

    proptest::proptest! {
        #[test]
        fn clear_paths_of_plain_segments_stay_clear(
            segments in proptest::collection::vec("[a-zA-Z0-9_~:@!$&'()*+,=-]{1,12}", 0..6),
        ) {
            let path = format!("/{}", segments.join("/"));
            proptest::prop_assert!(!is_ambiguous(path.as_bytes(), path.as_bytes()));
        }
    }
}

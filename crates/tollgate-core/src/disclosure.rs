//! Where a credential may turn up that nobody asked for it: in other header lines, in a request id, in a
//! path or a model's name. What goes to the backend or into a log must not carry it.

use std::borrow::Cow;

use crate::websocket_key;

/// Credentials of at least so many bytes are found within a text; shorter ones, such as the `1` or `test`
/// that somebody imported, only where they are all of it.
const DISTINCT: usize = 16;

/// What takes the place of a credential in a log.
const REDACTED: &[u8] = b"[credential]";

/// Headers in which clients of LLM APIs send credentials, in lower case.
const CREDENTIAL_HEADERS: [&[u8]; 10] = [
    b"authorization",
    b"proxy-authorization",
    b"x-api-key",
    b"api-key",
    b"apikey",
    b"x-goog-api-key",
    b"x-auth-token",
    b"x-access-token",
    b"x-amz-security-token",
    b"cookie",
];

/// Headers that say how a message is to be read, in lower case: no client puts a credential there, and
/// without them it would be another message.
const FRAMING_HEADERS: [&[u8]; 10] = [
    b"host",
    b"connection",
    b"content-length",
    b"content-type",
    b"content-encoding",
    b"transfer-encoding",
    b"accept",
    b"accept-encoding",
    b"expect",
    b"user-agent",
];

/// What keys of common makers begin with, and our own.
const PREFIXES: [&[u8]; 17] = [
    b"tg_",
    b"sk-",
    b"sk_",
    b"rk_",
    b"pk-",
    b"hf_",
    b"gsk_",
    b"xai-",
    b"nvapi-",
    b"pplx-",
    b"r8_",
    b"ghp_",
    b"gho_",
    b"github_pat_",
    b"glpat-",
    b"AIza",
    b"AKIA",
];

/// Whether a header (its name in lower case) is one in which clients send credentials.
#[must_use]
pub fn is_credential_header(name: &[u8]) -> bool {
    CREDENTIAL_HEADERS.contains(&name)
}

/// Whether a header line carries the credential, with or without a scheme before it, so that it must not
/// go to a backend that isn't to have it.
#[must_use]
pub fn header_carries(name: &[u8], value: &[u8], credential: &[u8]) -> bool {
    carries(value, credential) && !FRAMING_HEADERS.contains(&name)
}

/// Whether `text` is the credential, or has it after a scheme (`Bearer ...`), or, if it is a long one,
/// anywhere.
#[must_use]
pub fn carries(text: &[u8], credential: &[u8]) -> bool {
    if credential.is_empty() || text.len() < credential.len() {
        return false;
    }
    if credential.len() >= DISTINCT {
        return find(text, credential).is_some();
    }
    let rest = text.strip_suffix(credential);
    rest.is_some_and(|scheme| {
        scheme.is_empty() || scheme.ends_with(b" ") || is_behind_subprotocol(scheme)
    })
}

/// Whether what comes next is a key in `Sec-WebSocket-Protocol`.
fn is_behind_subprotocol(before: &[u8]) -> bool {
    let at = before.len().checked_sub(websocket_key::PREFIX.len());
    let end = at.and_then(|at| before.get(at..));
    end.is_some_and(|end| end.eq_ignore_ascii_case(websocket_key::PREFIX))
}

/// Whether a client's request id looks like a credential that was sent in the wrong place: it begins as
/// keys do, or as tokens do; or what is behind a separator in it does, and is as long as a key.
#[must_use]
pub fn id_is_credential(id: &[u8]) -> bool {
    let is_secret = |text: &[u8]| has_prefix(text) || is_token(text);
    let ends = id.iter().enumerate().filter(|(_, byte)| !byte.is_ascii_alphanumeric());
    let mut rests = ends.filter_map(|(at, _)| id.get(at + 1..));
    is_secret(id) || rests.any(|rest| rest.len() >= DISTINCT && is_secret(rest))
}

/// Whether a client's request id is what a header line for credentials carries, or has that in it.
#[must_use]
pub fn id_is_of(id: &[u8], value: &[u8]) -> bool {
    let words = value.split(|byte| b" ;,=\"".contains(byte));
    let is_in_id = |word: &[u8]| word.len() >= DISTINCT && find(id, word).is_some();
    let mut secrets = words.map(|word| (word, websocket_key::behind_prefix(word)));
    carries(value, id)
        || secrets.any(|(word, key)| key == Some(id) || is_in_id(key.unwrap_or(word)))
}

/// `text` for a log, without the credential, and without words that look like one.
#[must_use]
pub fn redacted<'t>(text: &'t [u8], credential: Option<&[u8]>) -> Cow<'t, [u8]> {
    let mut out = Cow::Borrowed(text);
    if let Some(credential) = credential.filter(|credential| carries(text, credential)) {
        out = Cow::Owned(without(text, credential));
    }
    if !has_long_word(&out) {
        return out;
    }
    let is_secret = |word: &[u8]| {
        word.len() >= DISTINCT && word != REDACTED && (has_prefix(word) || is_token(word))
    };
    if out.split(|byte| !is_part(byte)).any(is_secret) {
        let mut clean = Vec::with_capacity(out.len());
        for word in out.chunk_by(|left, right| is_part(left) == is_part(right)) {
            clean.extend_from_slice(if is_secret(word) { REDACTED } else { word });
        }
        out = Cow::Owned(clean);
    }
    out
}

/// Whether a byte belongs to a word.
fn is_part(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'-' | b'.')
}

/// Whether there is a word of [`DISTINCT`] bytes. Every such word has one of the bytes that are as far apart.
fn has_long_word(text: &[u8]) -> bool {
    let len = |part: &mut dyn Iterator<Item = &u8>| part.take_while(|byte| is_part(byte)).count();
    (DISTINCT - 1..text.len()).step_by(DISTINCT).any(|at| {
        let (before, behind) = text.split_at(at);
        let behind = len(&mut behind.iter());
        behind > 0 && behind + len(&mut before.iter().rev()) >= DISTINCT
    })
}

fn has_prefix(word: &[u8]) -> bool {
    PREFIXES.into_iter().any(|prefix| word.starts_with(prefix))
}

/// A JWS or JWE in compact serialisation begins with an object's `{"` in base64url.
fn is_token(word: &[u8]) -> bool {
    word.starts_with(b"eyJ") && word.contains(&b'.')
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}

/// `text` with every `word` in it taken out.
fn without(mut text: &[u8], word: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    while let Some((before, after)) = find(text, word)
        .and_then(|at| Some((text.get(..at)?, text.get(at.checked_add(word.len())?..)?)))
    {
        out.extend_from_slice(before);
        out.extend_from_slice(REDACTED);
        text = after;
    }
    out.extend_from_slice(text);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &[u8] = b"tg_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn with(before: &str, after: &str) -> Vec<u8> {
        [before.as_bytes(), KEY, after.as_bytes()].concat()
    }

    #[test]
    fn headers_in_which_clients_send_credentials_are_known_by_their_whole_name() {
        for name in ["authorization", "x-api-key", "cookie", "x-goog-api-key", "x-auth-token"] {
            assert!(is_credential_header(name.as_bytes()), "{name}");
        }
        for name in ["", "authorizatio", "authorization2", "x-request-id", "user-agent", "x-api"] {
            assert!(!is_credential_header(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_credential_is_found_with_and_without_a_scheme_and_within() {
        for value in [
            with("", ""),
            with("Bearer ", ""),
            with("realtime, OpenAI-insecure-api-key.", ", b"),
            with("Token token=\"", "\""),
            with("a=b; key=", "; c=d"),
        ] {
            assert!(carries(&value, KEY));
            assert!(header_carries(b"api-key", &value, KEY));
        }
        assert!(!carries(b"tg_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB", KEY));
        assert!(!carries(&KEY[..KEY.len() - 1], KEY));
    }

    #[test]
    fn a_short_credential_is_found_where_it_stands_alone() {
        assert!(carries(b"test", b"test") && carries(b"Bearer test", b"test"));
        assert!(carries(b"a, openai-INSECURE-api-key.test", b"test"));
        for value in [&b"tested"[..], b"a test of", b"latest", b"api-key.test", b""] {
            assert!(!carries(value, b"test"), "{value:?}");
        }
        assert!(!carries(b"", b"") && !carries(b"a", b""));
    }

    #[test]
    fn what_frames_a_message_stays() {
        for name in FRAMING_HEADERS {
            assert!(!header_carries(name, b"12", b"12"));
        }
        assert!(header_carries(b"x-anything", b"12", b"12"));
    }

    #[test]
    fn ids_that_begin_as_keys_and_tokens_do_are_known() {
        for id in [
            "tg_x",
            "sk-proj-abc",
            "sk-ant-api03-x",
            "hf_abc",
            "gsk_1",
            "AIzaSyD",
            "eyJhbGciOiJIUzI1NiJ9.e30.x",
            "Root=sk-proj-0123456789abc",
            "req-tg_0123456789abcdef",
            "req.eyJhbGciOiJIUzI1NiJ9.e30.x",
        ] {
            assert!(id_is_credential(id.as_bytes()), "{id}");
        }
        for id in [
            "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
            "req_011CQ.abc",
            "task-1",
            "eyJ",
            "skip",
            "tgx",
            "task-sk-1",
            "Root=1-67891233-abcdef012345678912345678",
        ] {
            assert!(!id_is_credential(id.as_bytes()), "{id}");
        }
    }

    #[test]
    fn ids_that_are_or_hold_what_was_presented_are_known() {
        let key = "my-own-long-credential";
        for id in [key.to_owned(), format!("req-{key}"), format!("Root={key}.1")] {
            for value in [key.to_owned(), format!("Bearer {key}"), format!("session={key}; a=b")] {
                assert!(id_is_of(id.as_bytes(), value.as_bytes()), "{id} {value}");
            }
        }
        for (id, value) in
            [("req-1", "Bearer 1"), ("a-test-id", "test"), ("other", "Bearer my-key")]
        {
            assert!(!id_is_of(id.as_bytes(), value.as_bytes()), "{id} {value}");
        }
        assert!(id_is_of(b"test", b"Bearer test"));
        let offered =
            |key: &str| format!("realtime, openai-insecure-api-key.{key}, b").into_bytes();
        assert!(id_is_of(b"test", &offered("test")) && !id_is_of(b"test", &offered("tests")));
        assert!(id_is_of(format!("req-{key}").as_bytes(), &offered(key)));
        assert!(!id_is_of(b"realtime", &offered("test")));
    }

    #[test]
    fn logs_have_neither_the_credential_nor_what_looks_like_one() {
        let redacted = |text: &[u8], key: Option<&[u8]>| {
            String::from_utf8(redacted(text, key).into_owned()).unwrap()
        };
        assert_eq!(redacted(&with("/v1/models/", "/x"), Some(KEY)), "/v1/models/[credential]/x");
        assert_eq!(redacted(&with("/v1/models/", "/x"), None), "/v1/models/[credential]/x");
        assert_eq!(
            redacted(
                b"/my-own-long-credential/my-own-long-credential",
                Some(b"my-own-long-credential")
            ),
            "/[credential]/[credential]"
        );
        assert_eq!(redacted(b"/v1/eyJhbGciOiJub25lIn0.e30.", None), "/v1/[credential]");
        for text in
            ["/v1/models/llama-3.1-8b", "/v1/risk-assessment-of-everything", "sk-small", "", "/"]
        {
            assert_eq!(redacted(text.as_bytes(), Some(KEY)), text);
        }
    }

    #[test]
    fn what_is_clean_is_not_copied() {
        assert!(matches!(redacted(b"/v1/chat/completions", Some(KEY)), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn a_long_word_is_found_wherever_it_is(text in "[a/]{0,60}") {
            let has_one = text.split('/').any(|word| word.len() >= DISTINCT);
            prop_assert_eq!(has_long_word(text.as_bytes()), has_one);
        }

        #[test]
        fn nothing_of_a_credential_is_left(
            before: Vec<u8>, after: Vec<u8>, key in prop::collection::vec(any::<u8>(), 16..60)
        ) {
            let text = [before.as_slice(), &key, &after].concat();
            prop_assert!(carries(&text, &key));
            // Two of them may overlap, or what is left may come together to one with the mark.
            let clean = redacted(&text, Some(&key)).into_owned();
            prop_assert!(!carries(&clean, &key) || find(&key, b"[").is_some() || find(&key, b"]").is_some());
        }
    }
}

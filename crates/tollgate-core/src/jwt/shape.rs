//! Telling a token from an API key.

use std::borrow::Cow;
use std::fmt;

use memchr::{memchr, memrchr};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::base64url;

/// Whether it could have the shape of a compact JWS: a cheap question, to be asked first.
#[must_use]
pub fn may_be_jws(credential: &[u8]) -> bool {
    // Base64url of `{`, or of the white space that may stand before it; and there is a dot.
    matches!(credential.first(), Some(b'e' | b'I' | b'C' | b'D'))
        && memchr(b'.', credential).is_some()
}

/// Whether `credential` has the shape of a compact JWS: three parts of the base64url alphabet with
/// two dots between them, the first of which encodes a JSON object with an `alg`.
///
/// The shape grants nothing: it only picks the judge. What has it is judged as a token and nothing
/// else, so an unsigned token (`alg` `none`, empty signature) has it, and is refused as a token. What
/// has it not, is an API key that is in no file: a JWE of five parts, JSON serialisation, a token with
/// padding or a blank in it.
///
/// An ordinary API key begins with something else, or has no dot. Where a [`TokenCache`](super::TokenCache) is
/// at hand, ask that first: whatever it knows has been through this, and a look-up costs less.
#[must_use]
pub fn looks_like_jws(credential: &[u8]) -> bool {
    if !may_be_jws(credential) {
        return false;
    }
    // The first dot and the last: one between them would not be of the alphabet.
    let (Some(first), Some(last)) = (memchr(b'.', credential), memrchr(b'.', credential)) else {
        return false;
    };
    let (Some(header), Some(payload), Some(signature)) =
        (credential.get(..first), credential.get(first + 1..last), credential.get(last + 1..))
    else {
        return false;
    };
    base64url::is_alphabet(payload)
        && base64url::is_alphabet(signature)
        && base64url::decode(header).is_some_and(|json| {
            serde_json::from_slice::<HasAlg>(&json).is_ok_and(|HasAlg(has_alg)| has_alg)
        })
}

/// Whether an object has a member `alg`, of any type. Duplicates do not matter here: the verifier
/// refuses them.
struct HasAlg(bool);

impl<'de> Deserialize<'de> for HasAlg {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HasAlgVisitor)
    }
}

struct HasAlgVisitor;

impl<'de> Visitor<'de> for HasAlgVisitor {
    type Value = HasAlg;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JOSE header")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<HasAlg, A::Error> {
        let mut has_alg = false;
        while let Some((name, IgnoredAny)) = entries.next_entry::<Cow<'de, str>, _>()? {
            has_alg |= name == "alg";
        }
        Ok(HasAlg(has_alg))
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use base64::Engine as _;

    use super::*;

    fn with_header(json: &str) -> Vec<u8> {
        format!("{}.e30.c2ln", URL_SAFE_NO_PAD.encode(json)).into_bytes()
    }

    #[test]
    fn tokens_good_or_bad_are_judged_as_tokens() {
        for json in [
            r#"{"alg":"HS256"}"#,
            r#"{"typ":"JWT","alg":"none"}"#,
            r#" { "alg" : 1 } "#,
            r#"{"alg":"HS256","alg":"none"}"#,
            r#"{"\u0061lg":"HS256"}"#,
        ] {
            assert!(looks_like_jws(&with_header(json)), "{json}");
        }
        assert!(looks_like_jws(b"eyJhbGciOiJub25lIn0.e30."));
        assert!(looks_like_jws(b"eyJhbGciOiJub25lIn0.."));
    }

    #[test]
    fn anything_else_is_judged_as_an_api_key() {
        for credential in [
            &b""[..],
            b"tg_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG",
            b"sk-proj.with.dots",
            b"a.b.c",
            b"..",
            b"eyJhbGciOiJub25lIn0",
            b"eyJhbGciOiJub25lIn0.e30",
            b"eyJhbGciOiJub25lIn0.e30.a.b.c",
            b"eyJhbGciOiJub25lIn0=.e30.",
            b"eyJhbGciOiJub25lIn0.e30=.",
            b"eyJhbGciOiJub25lIn0.e30. ",
            b" eyJhbGciOiJub25lIn0.e30.",
            b"{\"alg\":\"none\"}.e30.",
        ] {
            assert!(!looks_like_jws(credential), "{:?}", String::from_utf8_lossy(credential));
        }
        for json in ["{}", r#"{"ALG":"HS256"}"#, r#"["alg"]"#, r#""alg""#, r#"{"alg":1}{}"#, "{"] {
            assert!(!looks_like_jws(&with_header(json)), "{json}");
        }
    }
}

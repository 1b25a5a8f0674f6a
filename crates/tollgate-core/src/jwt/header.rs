//! The JOSE header (RFC 7515 section 4): what it asks for, refused unless we do exactly that.

use serde_json::Value;

use super::algorithm::Algorithm;
use super::error::{Part, TokenError};
use super::object;

/// Members that change what a token means. Their presence is enough: `"b64": true` says nothing new, and RFC
/// 7797 section 6 wants it listed in `crit`, which we refuse anyway. The sender's own key (`jwk`, `x5c`), and
/// where it is said to be (`jku`, `x5u`), are ignored, as the unknown members of RFC 7515 section 4 are:
/// no key is ever taken from a token, and nothing is fetched for one.
const REFUSED: [&str; 4] = ["crit", "b64", "zip", "enc"];

/// Media types of access tokens, without `application/`: a JWT (RFC 7519 section 5.1), and the
/// explicitly typed one of RFC 9068. The rest (`dpop+jwt`, `logout+jwt`, `secevent+jwt`, ...) was
/// signed for another purpose, and must not pass for one (RFC 8725 section 3.12).
const ACCEPTED_TYPES: [&str; 2] = ["jwt", "at+jwt"];

/// What a header says, as far as it is used.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
}

/// Reads the JSON of a header.
pub(super) fn parse(json: &[u8]) -> Result<Header, TokenError> {
    let members = object::parse(json).ok_or(TokenError::NotAnObject(Part::Header))?;
    if let Some(name) = REFUSED.into_iter().find(|name| members.contains_key(*name)) {
        return Err(TokenError::HeaderMember(name));
    }
    let text = |name| match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(TokenError::HeaderType(name)),
    };
    if text("typ")?.is_some_and(|typ| !is_accepted_type(typ)) {
        return Err(TokenError::ForeignType);
    }
    let algorithm =
        text("alg")?.and_then(|name| name.parse().ok()).ok_or(TokenError::UnknownAlgorithm)?;
    Ok(Header { algorithm, kid: text("kid")?.map(str::to_owned) })
}

/// Media types are case-insensitive, and `application/` may be left out (RFC 7515 section 4.1.9).
fn is_accepted_type(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    let typ = typ.strip_prefix("application/").unwrap_or(&typ);
    ACCEPTED_TYPES.contains(&typ)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algorithm_and_kid_are_read() {
        let header = parse(br#"{"alg":"RS256","kid":"a","typ":"JWT","x5t":"x","y":[1]}"#).unwrap();
        assert_eq!(header, Header { algorithm: Algorithm::Rs256, kid: Some("a".to_owned()) });
        assert_eq!(parse(br#"{"alg":"HS256"}"#).unwrap().kid, None);
    }

    #[test]
    fn algorithm_must_be_known() {
        for json in [
            r#"{}"#,
            r#"{"alg":"none"}"#,
            r#"{"alg":"NONE"}"#,
            r#"{"alg":"nOnE","kid":"a"}"#,
            r#"{"alg":""}"#,
            r#"{"alg":"rs256"}"#,
            r#"{"alg":"RSA-OAEP"}"#,
            r#"{"ALG":"RS256"}"#,
        ] {
            assert_eq!(parse(json.as_bytes()), Err(TokenError::UnknownAlgorithm), "{json}");
        }
    }

    #[test]
    fn members_that_ask_for_more_are_refused_by_their_presence() {
        for (member, name) in [
            (r#""crit":["exp"]"#, "crit"),
            (r#""crit":[]"#, "crit"),
            (r#""crit":null"#, "crit"),
            (r#""b64":false"#, "b64"),
            (r#""b64":true"#, "b64"),
            (r#""zip":"DEF""#, "zip"),
            (r#""enc":"A128GCM""#, "enc"),
        ] {
            let json = format!(r#"{{"alg":"HS256",{member}}}"#);
            assert_eq!(parse(json.as_bytes()), Err(TokenError::HeaderMember(name)), "{json}");
        }
    }

    #[test]
    fn keys_that_a_token_brings_or_points_to_are_ignored() {
        for member in [
            r#""jwk":{"kty":"oct","k":"AA"}"#,
            r#""jku":"https://a.example/jwks""#,
            r#""x5u":"https://a.example/cert""#,
            r#""x5c":["AA"],"x5t":"AA","x5t#S256":"AA""#,
            r#""jku":null,"x5u":[1],"jwk":"""#,
        ] {
            let header =
                parse(format!(r#"{{"alg":"RS256","kid":"a",{member}}}"#).as_bytes()).unwrap();
            let expected = Header { algorithm: Algorithm::Rs256, kid: Some("a".to_owned()) };
            assert_eq!(header, expected, "{member}");
        }
    }

    #[test]
    fn wrong_types_are_refused() {
        for (json, name) in [
            (r#"{"alg":["HS256"]}"#, "alg"),
            (r#"{"alg":null}"#, "alg"),
            (r#"{"alg":"HS256","kid":1}"#, "kid"),
            (r#"{"alg":"HS256","kid":null}"#, "kid"),
            (r#"{"alg":"HS256","kid":["a"]}"#, "kid"),
            (r#"{"alg":"HS256","typ":1}"#, "typ"),
            (r#"{"alg":"HS256","typ":null}"#, "typ"),
        ] {
            assert_eq!(parse(json.as_bytes()), Err(TokenError::HeaderType(name)), "{json}");
        }
    }

    #[test]
    fn types_of_access_tokens_are_accepted_in_any_case() {
        for typ in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/jwt", "Application/at+JWT"] {
            assert!(parse(format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#).as_bytes()).is_ok());
        }
    }

    #[test]
    fn types_of_other_tokens_are_refused() {
        for typ in
            ["", "dpop+jwt", "logout+jwt", "secevent+jwt", "JOSE", "JWE", "text/jwt", "jwt ", "a/b"]
        {
            let json = format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#);
            assert_eq!(parse(json.as_bytes()), Err(TokenError::ForeignType), "{json}");
        }
    }

    #[test]
    fn header_that_is_no_object_with_distinct_names_is_refused() {
        for json in [r#"{"alg":"HS256","alg":"HS256"}"#, r#"["HS256"]"#, "", r#"{"alg":"HS256"}x"#]
        {
            let error = TokenError::NotAnObject(Part::Header);
            assert_eq!(parse(json.as_bytes()), Err(error), "{json}");
        }
    }
}

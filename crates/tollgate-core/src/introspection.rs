//! Token introspection (RFC 7662): what is asked about a token that only its provider can read, and
//! what the answer says.

use serde_json::Value;

use crate::clock::WallClock;
use crate::jwt::claims::{judge_claims, Claims, Vouching};
use crate::jwt::{object, Policy, TokenError, VerifiedToken};
use crate::principal::AuthMethod;

/// The longest time that a token is remembered as a bad one, in seconds.
pub const MAX_NEGATIVE_SECS: i64 = 10;

/// What a provider says of a token.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It is active, and what the policy demands of it holds; but it may not be valid yet.
    Good(VerifiedToken),
    /// It is not active, or not good enough.
    Bad(TokenError),
}

/// The question (RFC 7662 section 2.1), as `application/x-www-form-urlencoded`.
///
/// ```
/// use tollgate_core::introspection::question;
///
/// assert_eq!(question(b"a+b/c="), b"token=a%2Bb%2Fc%3D&token_type_hint=access_token");
/// ```
#[must_use]
pub fn question(token: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    let mut form = b"token=".to_vec();
    for &byte in token {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => form.push(byte),
            _ => form.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]),
        }
    }
    form.extend_from_slice(b"&token_type_hint=access_token");
    form
}

/// Reads the answer (RFC 7662 section 2.2): one JSON object with distinct names, and a boolean
/// `active`. `None`: it is no answer, and says nothing about the token.
///
/// Of an active token, `policy` is demanded as of a JWT, but for `exp`, which needn't be told. Where
/// there is no `sub`, as in tokens of programs, `client_id` takes its place.
#[must_use]
pub fn verdict(answer: &[u8], policy: &Policy, now: impl Into<WallClock>) -> Option<Verdict> {
    let mut claims = object::parse(answer)?;
    match claims.get("active")? {
        Value::Bool(true) => {}
        Value::Bool(false) => return Some(Verdict::Bad(TokenError::Inactive)),
        _ => return None,
    }
    if is_for_another_purpose(&claims) {
        return Some(Verdict::Bad(TokenError::ForeignType));
    }
    if !claims.contains_key("sub") {
        if let Some(client) = claims.get("client_id").cloned() {
            claims.insert("sub".to_owned(), client);
        }
    }
    let policy = Policy { require_exp: false, ..policy.clone() };
    let vouching = Vouching {
        auth: AuthMethod::Introspection,
        key_id: None,
        client_prefix: &policy.client_prefix,
    };
    let judged = judge_claims(&claims, vouching, &policy);
    Some(match judged.map(|(principal, window)| VerifiedToken::new(principal, window)) {
        // Its time will come, and whoever uses it looks.
        Ok(token) => match token.check_time(now) {
            Ok(()) | Err(TokenError::NotYetValid) => Verdict::Good(token),
            Err(error) => Verdict::Bad(error),
        },
        Err(error) => Verdict::Bad(error),
    })
}

/// Some providers say of refresh tokens and ID tokens, too, that they are active, and say what they are:
/// Keycloak in `typ`, others in `token_type` or `token_use`. None of these opens an API (RFC 8725
/// section 3.11).
fn is_for_another_purpose(claims: &Claims) -> bool {
    ["typ", "token_type", "token_use"].into_iter().any(|name| {
        let kind = claims.get(name).and_then(Value::as_str).unwrap_or_default();
        ["refresh", "refresh_token", "offline", "id", "id_token"]
            .into_iter()
            .any(|other| kind.eq_ignore_ascii_case(other))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{UnixMillis, UnixSeconds};
    use proptest::prelude::*;

    fn of(json: &str, policy: &Policy) -> Option<Result<VerifiedToken, TokenError>> {
        Some(match verdict(json.as_bytes(), policy, UnixSeconds(1000))? {
            Verdict::Good(token) => token.check_time(UnixSeconds(1000)).map(|()| token),
            Verdict::Bad(error) => Err(error),
        })
    }

    fn judged(json: &str) -> Result<VerifiedToken, TokenError> {
        of(json, &Policy::default()).unwrap()
    }

    #[test]
    fn active_token_is_a_principal() {
        let token =
            judged(r#"{"active":true,"sub":"acme","client_id":"app","scope":"chat x","exp":2000}"#);
        let token = token.unwrap();
        assert_eq!(token.principal().client(), "acme");
        assert_eq!(token.principal().auth(), AuthMethod::Introspection);
        assert_eq!(token.principal().scopes().unwrap().len(), 2);
        assert_eq!(token.expires(), Some(UnixSeconds(2000)));
        let token = judged(r#"{"active":true,"client_id":"app"}"#).unwrap();
        assert_eq!((token.principal().client(), token.expires()), ("app", None));
    }

    #[test]
    fn inactive_token_is_bad_whatever_else_is_said() {
        for json in [r#"{"active":false}"#, r#"{"active":false,"sub":"acme","exp":"x"}"#] {
            assert_eq!(judged(json).unwrap_err(), TokenError::Inactive, "{json}");
        }
    }

    #[test]
    fn refresh_tokens_and_id_tokens_open_nothing() {
        let judge = |more: &str| judged(&format!(r#"{{"active":true,"sub":"acme",{more}}}"#));
        for more in [
            r#""typ":"Refresh""#,
            r#""typ":"ID""#,
            r#""typ":"Offline""#,
            r#""token_type":"refresh_token""#,
            r#""token_use":"id""#,
        ] {
            assert_eq!(judge(more).unwrap_err(), TokenError::ForeignType, "{more}");
        }
        for more in
            [r#""typ":"Bearer""#, r#""token_type":"access_token""#, r#""token_use":"access""#]
        {
            assert!(judge(more).is_ok(), "{more}");
        }
    }

    #[test]
    fn leeway_is_that_of_tokens_before_and_behind() {
        let judge = |leeway_secs, times: &str| {
            let policy = Policy { leeway_secs, ..Policy::default() };
            of(&format!(r#"{{"active":true,"sub":"acme",{times}}}"#), &policy).unwrap()
        };
        for (times, error) in [
            (r#""exp":995"#, TokenError::Expired),
            (r#""nbf":1005"#, TokenError::NotYetValid),
            (r#""iat":1005"#, TokenError::NotYetValid),
        ] {
            assert_eq!(judge(0, times).unwrap_err(), error, "{times}");
            assert!(judge(10, times).is_ok(), "{times}");
            assert_eq!(judge(3, times).unwrap_err(), error, "{times}");
        }
    }

    #[test]
    fn what_is_demanded_of_tokens_is_demanded_of_active_ones() {
        let policy = Policy {
            issuers: vec!["https://a.example".to_owned()],
            audiences: vec!["llm".to_owned()],
            ..Policy::default()
        };
        let judge =
            |more: &str| of(&format!(r#"{{"active":true,"sub":"acme"{more}}}"#), &policy).unwrap();
        assert!(judge(r#","iss":"https://a.example","aud":["llm"]"#).is_ok());
        for (more, error) in [
            ("", TokenError::MissingClaim("iss")),
            (r#","iss":"b","aud":"llm""#, TokenError::IssuerNotAllowed),
            (r#","iss":"https://a.example","aud":"x""#, TokenError::AudienceNotAllowed),
            (r#","iss":"https://a.example","aud":"llm","exp":1000"#, TokenError::Expired),
            (r#","iss":"https://a.example","aud":"llm","nbf":1001"#, TokenError::NotYetValid),
            (r#","iss":"https://a.example","aud":"llm","exp":"x""#, TokenError::BadClaim("exp")),
        ] {
            assert_eq!(judge(more).unwrap_err(), error, "{more}");
        }
        assert_eq!(judged(r#"{"active":true}"#).unwrap_err(), TokenError::MissingClaim("client"));
        assert_eq!(
            judged(r#"{"active":true,"sub":null,"client_id":"a"}"#).unwrap_err(),
            TokenError::BadClaim("client")
        );
    }

    #[test]
    fn leeway_holds_for_active_tokens_as_for_others() {
        let judge = |more: &str, leeway_secs| {
            let policy = Policy { leeway_secs, ..Policy::default() };
            of(&format!(r#"{{"active":true,"sub":"acme",{more}}}"#), &policy).unwrap().map(drop)
        };
        for (claims, error) in [
            (r#""exp":991"#, TokenError::Expired),
            (r#""nbf":1010"#, TokenError::NotYetValid),
            (r#""iat":1010"#, TokenError::NotYetValid),
        ] {
            assert_eq!(judge(claims, 10), Ok(()), "{claims}");
            assert_eq!(judge(claims, 9), Err(error), "{claims}");
        }
    }

    #[test]
    fn token_that_is_not_valid_yet_is_good_when_its_time_comes() {
        let answer = br#"{"active":true,"sub":"acme","nbf":1000.5}"#;
        let at = |millis| UnixMillis(millis);
        let Some(Verdict::Good(token)) = verdict(answer, &Policy::default(), at(1_000_000)) else {
            panic!("it is active")
        };
        assert_eq!(token.check_time(at(1_000_499)), Err(TokenError::NotYetValid));
        assert_eq!(token.check_time(at(1_000_500)), Ok(()));
    }

    #[test]
    fn what_is_no_answer_says_nothing() {
        for json in [
            "",
            "true",
            "[]",
            "<html>",
            "{}",
            r#"{"active":"true","sub":"acme"}"#,
            r#"{"active":1,"sub":"acme"}"#,
            r#"{"active":null}"#,
            r#"{"Active":true,"sub":"acme"}"#,
            r#"{"active":true,"active":false,"sub":"acme"}"#,
            r#"{"active":true,"sub":"acme"} x"#,
            r#"{"active":true,"sub":"acme""#,
        ] {
            assert!(of(json, &Policy::default()).is_none(), "{json}");
        }
    }

    #[test]
    fn question_escapes_what_a_form_must_and_nothing_else() {
        let safe = "AZaz09-._~";
        for (token, escaped) in
            [(safe, safe), ("a+b/c= é", "a%2Bb%2Fc%3D%20%C3%A9"), ("@[`{", "%40%5B%60%7B")]
        {
            let form = format!("token={escaped}&token_type_hint=access_token");
            assert_eq!(question(token.as_bytes()), form.as_bytes(), "{token}");
        }
    }

    proptest! {
        #[test]
        fn question_holds_the_token_and_nothing_but_safe_bytes(token: Vec<u8>) {
            let form = question(&token);
            let text = String::from_utf8(form).unwrap();
            let encoded = text.strip_prefix("token=").unwrap().split('&').next().unwrap();
            let mut decoded = Vec::new();
            let mut bytes = encoded.bytes();
            while let Some(byte) = bytes.next() {
                decoded.push(match byte {
                    b'%' => {
                        let pair = [bytes.next().unwrap(), bytes.next().unwrap()];
                        u8::from_str_radix(std::str::from_utf8(&pair).unwrap(), 16).unwrap()
                    }
                    byte => byte,
                });
            }
            prop_assert_eq!(decoded, token);
        }

        #[test]
        fn no_answer_panics(answer: Vec<u8>) {
            let _ = verdict(&answer, &Policy::default(), UnixSeconds(0));
        }
    }
}

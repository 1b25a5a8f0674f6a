//! The closed list, the documentation of it, and texts without a client's byte.

use std::collections::HashSet;

use super::*;
use crate::answer::answer;
use crate::audit::{Record, TimeFormat};
use crate::clock::UnixMillis;
use crate::decision::Decision;
use crate::jwt::{ClaimMap, TokenError};
use crate::llm::{Dialect, RequestError};

const TROUBLESHOOTING: &str = include_str!("../../../../docs/troubleshooting.md");
const AUDIT_LOG: &str = include_str!("../../../../docs/audit-log.md");

#[test]
fn words_are_distinct_and_one_word() {
    let mut words = HashSet::new();
    for cause in Cause::ALL {
        let word = cause.as_str();
        assert!(words.insert(word), "{word}");
        assert!(word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{word}");
    }
}

#[test]
fn sentence_is_in_lower_case_without_a_full_stop() {
    for cause in Cause::ALL {
        let text = Detail::new(*cause, "x").to_string();
        assert!(!text.ends_with('.') && !text.starts_with(char::is_uppercase), "{text}");
        assert!(!text.contains("NAME"), "{text}");
    }
}

#[test]
fn whoever_is_refused_an_endpoint_is_told_what_opens_it() {
    for cause in Cause::ALL.iter().filter(|cause| cause.reason() == Reason::EndpointDenied) {
        let text = Detail::new(*cause, "x").to_string();
        let names_directive = text.contains("tollgate_endpoints") || text.contains("proxy_pass");
        assert!(names_directive, "{text}");
    }
}

#[test]
fn documentation_has_each_detail_beside_its_reason_and_no_other() {
    let rows: HashSet<(&str, &str)> = AUDIT_LOG
        .split_once("\n## Details\n")
        .and_then(|(_, rest)| rest.split("\n## ").next())
        .unwrap()
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let reason = cells.next()?.trim_end_matches('`');
            let detail = cells.next()?.strip_prefix('`')?.split_once('`')?.0;
            Some((reason, detail.split(' ').next().unwrap_or(detail)))
        })
        .collect();
    let causes: HashSet<(&str, &str)> =
        Cause::ALL.iter().map(|cause| (cause.reason().as_str(), cause.as_str())).collect();
    let mut missing: Vec<_> = causes.difference(&rows).collect();
    let mut unknown: Vec<_> = rows.difference(&causes).collect();
    missing.sort();
    unknown.sort();
    assert!(missing.is_empty() && unknown.is_empty(), "missing {missing:?}, unknown {unknown:?}");
}

#[test]
fn troubleshooting_has_each_reason_with_what_the_client_sees() {
    for reason in Reason::ALL {
        let answer = answer(reason);
        let body: serde_json::Value = serde_json::from_str(answer.body(Dialect::OpenAi)).unwrap();
        let code = body["error"]["code"].as_str().unwrap();
        let row = format!("| {} | `{code}` | `{}` |", answer.status, reason.as_str());
        assert!(TROUBLESHOOTING.contains(&row), "{row}");
    }
}

#[test]
fn troubleshooting_has_each_detail() {
    let words: HashSet<&str> = TROUBLESHOOTING
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|code| code.split(' ').next().unwrap_or(code))
        .collect();
    let missing: Vec<&str> = Cause::ALL
        .iter()
        .map(|cause| cause.as_str())
        .filter(|word| !words.contains(word))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn name_is_behind_the_word() {
    assert_eq!(Detail::from(Cause::NoKey).value(), "no_key");
    assert_eq!(
        Detail::new(Cause::MissingClaim, "realm access.tier").value(),
        "missing_claim realm access.tier"
    );
}

#[test]
fn each_kind_is_told_of_once_in_a_while() {
    let mut told = Told::default();
    let signature = (Reason::InvalidToken, Some(Cause::BadSignature));
    let key = (Reason::InvalidToken, Some(Cause::NoKey));
    let large = (Reason::RequestTooLarge, None);
    assert!(told.is_due(1, signature, 5));
    assert!(!told.is_due(1, signature, 5 + QUIET_MS - 1));
    assert!(told.is_due(1, key, 6), "another kind");
    assert!(told.is_due(1, large, 6), "one without a cause");
    assert!(!told.is_due(1, large, 7));
    assert!(told.is_due(2, large, 7), "another log");
    assert!(told.is_due(1, signature, 5 + QUIET_MS));
    assert!(!told.is_due(1, signature, 6 + QUIET_MS), "from the last time that it was told");
}

#[test]
fn odd_keys_are_told_apart() {
    for (key, is_token, cause) in [
        ("", false, Cause::NoBearer),
        ("Bearer tg_x", false, Cause::BearerTwice),
        ("bearer", false, Cause::UnknownKey),
        ("sha256:00", false, Cause::HashForKey),
        ("tg_x ", false, Cause::BlankInKey),
        ("\"tg_x\"", false, Cause::BlankInKey),
        ("tg_x\t", false, Cause::BlankInKey),
        ("a.b.c", true, Cause::TokenForKey),
        ("tg_x", false, Cause::UnknownKey),
    ] {
        assert_eq!(odd_key(key.as_bytes(), is_token), cause, "{key:?}");
    }
}

/// Whatever a token or a body holds, what is said of it is made of our words and the configuration's.
mod nothing_of_the_client {
    use super::*;
    use crate::clock::UnixSeconds;
    use crate::jwt::{verify, KeySet, Policy};
    use crate::llm::{request, Endpoint, Engine};
    use proptest::prelude::*;

    fn is_ours(detail: &Detail, names: &[&str]) {
        assert!(Cause::ALL.contains(&detail.cause()));
        if let Some(name) = detail.name() {
            assert!(names.contains(&name), "{name}");
        }
        let mut record = Record::new(UnixMillis(0));
        record.decision = Some(Decision::Deny(detail.cause().reason()));
        record.detail = Some(detail);
        let mut line = Vec::new();
        record.write_line(&mut TimeFormat::default(), &mut line);
        let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(line["reason"], detail.cause().reason().as_str());
        assert_eq!(line["detail"], detail.value().as_ref());
    }

    const CLAIMS: [&str; 18] = [
        "header",
        "payload",
        "signature",
        "crit",
        "b64",
        "zip",
        "enc",
        "jwk",
        "jku",
        "x5u",
        "typ",
        "alg",
        "kid",
        "iss",
        "exp",
        "org.tier",
        "sub",
        "scope",
    ];

    proptest! {
        #[test]
        fn of_a_token(token in "[ -~]{0,64}") {
            let keys = KeySet::load(&[("", br#"{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#)]).unwrap();
            let mut claims = ClaimMap::default();
            claims.set("tier", "org.tier").unwrap();
            let policy = Policy { claims, ..Policy::default() };
            if let Err(error) = verify(token.as_bytes(), &keys, &policy, UnixSeconds(0)) {
                is_ours(&error.detail(&policy.claims), &CLAIMS);
            }
        }

        #[test]
        fn of_a_header(name in "[a-z0-9]{1,6}", value in "[a-zA-Z0-9]{0,12}") {
            let header = serde_json::json!({ "alg": "HS256", name: value }).to_string();
            let token = format!("{}.e30.AAAA", base64url(header.as_bytes()));
            let keys = KeySet::load(&[("", br#"{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#)]).unwrap();
            let policy = Policy::default();
            let error = verify(token.as_bytes(), &keys, &policy, UnixSeconds(0)).map(drop).unwrap_err();
            is_ours(&error.detail(&policy.claims), &CLAIMS);
        }

        #[test]
        fn of_a_body(key in prop_oneof!["model|stream|n|max_tokens|MODEL|messages", "[a-z]{1,8}"], value in "[ -~]{0,24}") {
            let body = format!("{{\"{key}\":{value},\"{key}\":1}}");
            if let Err(error) = request::parse(body.as_bytes(), Endpoint::Chat, Engine::Vllm) {
                let name = error.key();
                is_ours(&error.detail(), name.as_slice());
                // The keys that may be named are those that the code names.
                prop_assert!(name.is_none_or(|name| ["model", "stream", "n", "max_tokens", "messages"].contains(&name) || name == key.to_ascii_lowercase()));
            }
        }
    }

    fn base64url(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut text = String::new();
        for chunk in bytes.chunks(3) {
            let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte))
                << (8 * (3 - chunk.len()));
            for index in 0..=chunk.len() {
                let digit = bits >> (18 - 6 * index) & 63;
                text.push(char::from(DIGITS[usize::try_from(digit).unwrap()]));
            }
        }
        text
    }

    #[test]
    fn of_a_claim() {
        let error = TokenError::BadClaim("tier");
        is_ours(&error.detail(&ClaimMap::default()), &["tier"]);
        is_ours(&RequestError::BadValue("n").detail(), &["n"]);
    }
}

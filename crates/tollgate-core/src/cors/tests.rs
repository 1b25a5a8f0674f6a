use super::*;
use crate::{ratelimit_headers, retry_after::RetryAfter};
use proptest::prelude::*;

fn cors(origins: &[&str], credentials: bool) -> Cors {
    let origins = origins.iter().map(|origin| Pattern::parse(origin).unwrap()).collect();
    Cors::new(origins, credentials, None).unwrap()
}

fn asked<'a>(lines: &[(&'a str, &'a str)]) -> Asked<'a> {
    Asked::of(lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

fn preflight(cors: &Cors, lines: &[(&str, &str)], keys: &[&str]) -> Vec<(&'static str, String)> {
    let asked = asked(lines);
    let mut out = Vec::new();
    let keys = keys.iter().map(|key| key.as_bytes());
    cors.write_preflight(asked.origin().unwrap(), &asked, keys, |name, value| {
        out.push((name, String::from_utf8(value.to_vec()).unwrap()));
    });
    out
}

fn value<'o>(out: &'o [(&'static str, String)], name: &str) -> Option<&'o str> {
    out.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn names(list: &str) -> Vec<&str> {
    list.split(',').map(str::trim).collect()
}

const APP: &str = "https://app.example.com";
const ASKS: [(&str, &str); 2] = [("origin", APP), ("access-control-request-method", "POST")];

#[test]
fn what_can_not_stand_together_is_refused() {
    let new = |origins: &[&str], credentials| {
        let origins = origins.iter().map(|origin| Pattern::parse(origin).unwrap()).collect();
        Cors::new(origins, credentials, None).map(drop)
    };
    assert_eq!(new(&["*"], false), Ok(()));
    assert_eq!(new(&["*"], true), Err(CorsError::AnyWithCredentials));
    assert_eq!(new(&["*", APP], false), Err(CorsError::AnyBesideOthers));
    assert_eq!(new(&[APP, "https://b.example", APP], false), Err(CorsError::Twice));
    assert_eq!(new(&[APP, "https://*.example.com"], true), Ok(()));
}

#[test]
fn a_preflight_has_one_origin_and_one_method_and_is_an_options() {
    assert!(asked(&ASKS).is_preflight() && may_be_preflight(b"OPTIONS"));
    for method in [&b"GET"[..], b"POST", b"options", b"OPTION", b""] {
        assert!(!may_be_preflight(method));
    }
    let [origin, method] = ASKS;
    for lines in [
        &[origin][..],
        &[method],
        &[],
        &[origin, origin, method],
        &[origin, ("origin", "https://b.example"), method],
        &[origin, method, method],
        &[("origin", ""), method],
        &[origin, ("access-control-request-method", "")],
        &[origin, ("access-control-request-method", "POST, GET")],
        &[origin, ("access-control-request-headers", "authorization")],
    ] {
        assert!(!asked(lines).is_preflight(), "{lines:?}");
    }
}

#[test]
fn a_page_is_a_strangers_unless_it_is_let_in_or_of_this_host() {
    let cors = cors(&[APP], false);
    let host = ("host", "llm.example.com:8443");
    let is_of_stranger = |lines: &[(&str, &str)]| asked(lines).is_of_stranger(&cors);
    for lines in [
        &[host][..],
        &[host, ("origin", APP)],
        &[host, ("origin", "https://llm.example.com:8443")],
        &[host, ("origin", "http://llm.example.com:8443")],
        &[("host", "LLM.example.com:8443"), ("origin", "https://llm.example.com:8443")],
    ] {
        assert!(!is_of_stranger(lines), "{lines:?}");
    }
    for lines in [
        &[host, ("origin", "https://evil.example")][..],
        &[host, ("origin", "null")],
        &[host, ("origin", "")],
        &[host, ("origin", "https://llm.example.com")],
        &[host, ("origin", "llm.example.com:8443")],
        &[host, ("origin", "wss://llm.example.com:8443")],
        &[host, ("origin", "https://llm.example.com:8443.evil.example")],
        &[host, ("origin", APP), ("origin", APP)],
        &[host, host, ("origin", "https://llm.example.com:8443")],
        &[("origin", "https://")],
        &[("host", ""), ("origin", "https://")],
    ] {
        assert!(is_of_stranger(lines), "{lines:?}");
    }
}

#[test]
fn the_origin_is_echoed_or_all_are_let_in() {
    let lines = |cors: &Cors| {
        let mut out = Vec::new();
        cors.write(APP.as_bytes(), |name, value| {
            out.push((name, String::from_utf8(value.to_vec()).unwrap()));
        });
        out
    };
    let one = lines(&cors(&[APP], false));
    assert_eq!(value(&one, "access-control-allow-origin"), Some(APP));
    assert_eq!(value(&one, "access-control-allow-credentials"), None);
    let with = lines(&cors(&[APP], true));
    assert_eq!(value(&with, "access-control-allow-credentials"), Some("true"));
    let any = lines(&cors(&["*"], false));
    assert_eq!(value(&any, "access-control-allow-origin"), Some("*"));
    assert_eq!(value(&any, "access-control-allow-credentials"), None);
}

#[test]
fn everything_of_ours_can_be_read() {
    let exposed = names(names::EXPOSED);
    let ours = ["x-request-id", "request-id", "x-should-retry", "www-authenticate"];
    for name in ratelimit_headers::NAMES.into_iter().chain(RetryAfter::NAMES).chain(ours) {
        assert!(exposed.contains(&name.to_ascii_lowercase().as_str()), "{name}");
    }
    assert!(exposed.iter().all(|name| names::is_token(name.as_bytes())));
    assert!(!exposed.contains(&"*"));
}

#[test]
fn a_preflight_is_told_what_clients_send_and_no_more() {
    let asks = [
        ASKS[0],
        ASKS[1],
        ("access-control-request-headers", "authorization,X-Stainless-Lang , x-stainless-os"),
        (
            "access-control-request-headers",
            "x-client-id,x-forwarded-for,x-stainless-a b,\"x-stainless-q\"",
        ),
    ];
    let out = preflight(&cors(&[APP], false), &asks, &["x-my-key", "authorization"]);
    let allowed = names(value(&out, "access-control-allow-headers").unwrap());
    for name in [
        "authorization",
        "content-type",
        "x-api-key",
        "x-my-key",
        "x-stainless-lang",
        "x-stainless-os",
        "openai-organization",
        "anthropic-version",
        "anthropic-dangerous-direct-browser-access",
        "traceparent",
        "idempotency-key",
        "user-agent",
    ] {
        assert_eq!(allowed.iter().filter(|known| **known == name).count(), 1, "{name}");
    }
    for name in [
        "x-client-id",
        "x-forwarded-for",
        "x-stainless-q",
        "x-stainless-a",
        "*",
        "cookie",
        "origin",
    ] {
        assert!(
            !allowed.iter().any(|known| known.contains(name) && *known != "x-api-key"),
            "{name}"
        );
    }
    assert_eq!(value(&out, "access-control-max-age"), Some("600"));
    let methods = names(value(&out, "access-control-allow-methods").unwrap());
    assert!(
        methods.contains(&"POST") && methods.contains(&"DELETE") && !methods.contains(&"TRACE")
    );
}

#[test]
fn a_private_network_is_open_to_origins_that_are_named() {
    let asks = [ASKS[0], ASKS[1], ("access-control-request-private-network", "true")];
    let name = "access-control-allow-private-network";
    assert_eq!(value(&preflight(&cors(&[APP], false), &asks, &[]), name), Some("true"));
    assert_eq!(value(&preflight(&cors(&["*"], false), &asks, &[]), name), None);
    assert_eq!(value(&preflight(&cors(&[APP], false), &ASKS, &[]), name), None);
}

#[test]
fn vary_and_the_headers_of_cors_are_known_in_any_case() {
    for vary in ["Origin", "origin", "Accept-Encoding, ORIGIN", "*", "a ,origin , b"] {
        assert!(varies_by_origin(vary.as_bytes()), "{vary}");
    }
    for vary in ["", "Accept-Encoding", "X-Origin", "Originx", "Access-Control-Request-Method"] {
        assert!(!varies_by_origin(vary.as_bytes()), "{vary}");
    }
    assert!(varies_by_origin(preflight_vary()));
    assert!(is_of_cors(b"Access-Control-Allow-Origin") && is_of_cors(b"ACCESS-CONTROL-X"));
    assert!(!is_of_cors(b"Access-Control") && !is_of_cors(b"X-Access-Control-Allow-Origin"));
}

proptest! {
    /// Nothing of a request gets into a header line that could end it, or begin another value.
    #[test]
    fn no_request_can_say_more_than_names(header in any::<Vec<u8>>()) {
        let asked = Asked::of([(&b"access-control-request-headers"[..], &header[..])].into_iter());
        let allowed = names::allowed(std::iter::empty(), asked.headers());
        let names = allowed.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        prop_assert!(names.clone().all(names::is_token));
        prop_assert!(allowed.len() < 4096);
    }
}

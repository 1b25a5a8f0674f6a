//! Halves of surrogate pairs, and what else engines take and strict parsers refuse.

use super::*;

#[test]
fn half_a_surrogate_pair_is_text_like_any_other() {
    for half in [r"\ud83d", r"\udc00x", r"\ud83d\ud83d\ude00", r"\ude00\ud83d", r"\uD83d\n"] {
        for body in [
            format!(r#"{{"model":"m","messages":[{{"role":"user","content":"a {half}"}}]}}"#),
            format!(r#"{{"model":"m","messages":[{{"content":[{{"text":"a {half}"}}]}}]}}"#),
            format!(r#"{{"model":"m","messages":[],"tools":[{{"x{half}":"{half}"}}]}}"#),
            format!(r#"{{"model":"m","unknown":{{"{half}":["{half}"]}},"user":"{half}"}}"#),
            format!(r#"{{"{half}":1,"{half}":2,"model":"m"}}"#),
            format!(r#"{{"model":"m","stream_options":{{"{half}":"{half}"}}}}"#),
        ] {
            assert_eq!(chat(&body).unwrap().model.as_deref(), Some("m"), "{body}");
        }
    }
}

#[test]
fn half_a_pair_is_measured_as_the_three_bytes_that_stand_for_it() {
    let bytes = |text: &str| {
        let body = format!(r#"{{"messages":[{{"content":"{text}"}}]}}"#);
        chat(&body).unwrap().input.text_bytes
    };
    assert_eq!(bytes(r"ab\ud83d"), bytes(r"ab\ufffd"));
    assert_eq!(bytes(r"\ud83d\ude00"), 4);
}

#[test]
fn half_a_pair_written_in_three_bytes_is_text_as_well() {
    let body = b"{\"model\":\"m\",\"messages\":[{\"content\":\"\xed\xa0\xbd\"}]}";
    assert!(parse(body, Endpoint::Chat, Engine::Vllm).is_ok());
    for broken in [&b"\xed\xa0"[..], b"\xff", b"\xc0\x80", b"\xf5\x80\x80\x80", b"\x80"] {
        let body = [b"{\"model\":\"m\",\"a\":\"\xed\xa0\xbd", broken, b"\"}"].concat();
        assert_eq!(parse(&body, Endpoint::Chat, Engine::Vllm), Err(RequestError::NotJson));
    }
}

#[test]
fn model_with_half_a_pair_can_t_be_compared_and_is_refused() {
    for name in [r"m\ud83d", r"\udc00", r"\udc00\ud83dm", "m\u{ffff}"] {
        let body = format!(r#"{{"model":"{name}"}}"#);
        assert_eq!(chat(&body), Err(RequestError::HalfPair("model")), "{name}");
    }
    let raw = b"{\"model\":\"m\xed\xa0\xbd\"}";
    assert_eq!(parse(raw, Endpoint::Chat, Engine::OpenAi), Err(RequestError::HalfPair("model")));
    let whole = chat(r#"{"model":"m\ud83d\ude00","a":"\ud83d"}"#).unwrap();
    assert_eq!(whole.model.as_deref(), Some("m\u{1f600}"));
}

#[test]
fn key_around_half_a_pair_is_no_other_spelling_of_a_policy_key() {
    for body in [
        r#"{"mod\ud83del":"x"}"#,
        r#"{"model":"m","model\ud83d":"x"}"#,
        r#"{"stream_options":{"include\ude00_usage":true}}"#,
        r#"{"\ud83dmax_tokens":5}"#,
    ] {
        assert!(
            matches!(chat(body), Err(RequestError::HalfPair(_) | RequestError::DuplicateKey(_))),
            "{body}"
        );
    }
    let options = r#"{"options":{"num_predict\ud83d":5}}"#;
    assert_eq!(
        parse_as(options, Endpoint::OllamaChat, Engine::Ollama),
        Err(RequestError::HalfPair("num_predict"))
    );
    for value in
        [r#""stream":"\ud83d""#, r#""max_tokens":"\ud83d""#, r#""stream_options":"\ud83d""#]
    {
        assert!(matches!(chat(&format!("{{{value}}}")), Err(RequestError::BadValue(_))), "{value}");
    }
    // What is wrong besides is still wrong.
    assert_eq!(
        chat(r#"{"a":"\ud83d","model":"m","model":"n"}"#),
        Err(RequestError::DuplicateKey("model"))
    );
    let deep = format!(r#"{{"a":"\ud83d","b":{}{}}}"#, "[".repeat(121), "]".repeat(121));
    assert_eq!(chat(&deep), Err(RequestError::TooDeep));
}

#[test]
fn what_is_changed_in_the_body_stands_where_it_did() {
    let body =
        r#"{"a":"\ud83d","stream":true,"stream_options":{"x":"\ude00","include_usage":null}}"#;
    let edit = chat(body).unwrap().usage_edit(Engine::OpenAi, false).unwrap();
    assert_eq!(body.get(edit.range), Some("null"));
    let body = "\u{feff}{\"stream\":true}";
    let edit = chat(body).unwrap().usage_edit(Engine::OpenAi, false).unwrap();
    assert_eq!(edit.range, 4..4);
}

#[test]
fn what_engines_take_is_taken() {
    for body in [
        "\u{feff}{\"model\":\"m\"}",
        "\u{feff} \n{\"model\":\"m\"}",
        r#"{"model":"m","a":"\u0000"}"#,
        r#"{"model":"m","seed":123456789012345678901234567890}"#,
        r#"{"model":"m","temperature":1e-400,"a":-0,"b":1E+2}"#,
        r#"{"model":"m","a":"\uffff\ufffe"}"#,
    ] {
        assert_eq!(chat(body).unwrap().model.as_deref(), Some("m"), "{body}");
    }
    // A number that is none counts for no bound.
    let huge = r#"{"max_tokens":123456789012345678901234567890}"#;
    assert_eq!(chat(huge), Err(RequestError::BadValue("max_tokens")));
}

use super::*;

fn edited(body: &str, engine: Engine) -> Option<(String, bool)> {
    let request = parse_as(body, Endpoint::Chat, engine).unwrap();
    let edit = request.usage_edit(engine)?;
    assert!(matches!(body.get(edit.range.clone()), Some("" | "null")));
    let mut edited = body.to_owned();
    edited.replace_range(edit.range, edit.text);
    Some((edited, edit.hides_usage_chunk))
}

#[test]
fn usage_is_asked_for_where_it_is_not_yet() {
    for (body, expected) in [
        (r#" { "stream":true}"#, r#" {"stream_options":{"include_usage":true}, "stream":true}"#),
        (
            r#"{"stream":true,"stream_options": null }"#,
            r#"{"stream":true,"stream_options": {"include_usage":true} }"#,
        ),
        (
            r#"{"stream_options":{},"stream":true}"#,
            r#"{"stream_options":{"include_usage":true},"stream":true}"#,
        ),
        (
            r#"{"stream_options": { } ,"stream":true}"#,
            r#"{"stream_options": {"include_usage":true } ,"stream":true}"#,
        ),
        (
            r#"{"stream_options":{"x":[{}]},"stream":true}"#,
            r#"{"stream_options":{"include_usage":true,"x":[{}]},"stream":true}"#,
        ),
        (
            r#"{"stream_options":{"x":1,"include_usage" : null},"stream":true}"#,
            r#"{"stream_options":{"x":1,"include_usage" : true},"stream":true}"#,
        ),
        (
            r#"{"a":"é{","\u0073tream_options":{},"stream":true}"#,
            r#"{"a":"é{","\u0073tream_options":{"include_usage":true},"stream":true}"#,
        ),
    ] {
        assert_eq!(edited(body, Engine::OpenAi), Some((expected.to_owned(), true)), "{body}");
    }
}

#[test]
fn vllm_is_asked_for_usage_in_every_chunk() {
    for (body, expected, hidden) in [
        (
            r#"{"stream":true}"#,
            r#"{"stream_options":{"include_usage":true,"continuous_usage_stats":true},"stream":true}"#,
            true,
        ),
        (
            r#"{"stream":true,"stream_options":null}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}}"#,
            true,
        ),
        (
            r#"{"stream":true,"stream_options":{}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}}"#,
            true,
        ),
        (
            r#"{"stream":true,"stream_options":{"x":1}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true,"x":1}}"#,
            true,
        ),
        (
            r#"{"stream":true,"stream_options":{"include_usage":null}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}}"#,
            true,
        ),
        (
            r#"{"stream":true,"stream_options":{"continuous_usage_stats":false}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":false}}"#,
            true,
        ),
        (
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
            r#"{"stream":true,"stream_options":{"continuous_usage_stats":true,"include_usage":true}}"#,
            false,
        ),
    ] {
        assert_eq!(edited(body, Engine::Vllm), Some((expected.to_owned(), hidden)), "{body}");
    }
}

#[test]
fn what_the_client_said_about_usage_stays() {
    for options in [
        r#"{"include_usage":true}"#,
        r#"{"include_usage":false}"#,
        r#"{"include_usage":false,"continuous_usage_stats":true}"#,
    ] {
        let body = format!(r#"{{"stream":true,"stream_options":{options}}}"#);
        assert_eq!(edited(&body, Engine::OpenAi), None, "{body}");
    }
    for options in [
        r#"{"include_usage":false}"#,
        r#"{"include_usage":true,"continuous_usage_stats":false}"#,
        r#"{"include_usage":true,"continuous_usage_stats":null}"#,
    ] {
        let body = format!(r#"{{"stream":true,"stream_options":{options}}}"#);
        assert_eq!(edited(&body, Engine::Vllm), None, "{body}");
    }
    let said = |body: &str| chat(body).unwrap().include_usage();
    assert_eq!(said(r#"{"stream_options":{"include_usage":true}}"#), Some(true));
    assert_eq!(said(r#"{"stream_options":{"include_usage":false}}"#), Some(false));
    assert_eq!(said(r#"{"stream_options":{}}"#), None);
}

#[test]
fn only_streams_of_chat_and_completions_are_edited() {
    for endpoint in ALL_ENDPOINTS {
        let is_edited = on(endpoint, r#"{"stream":true}"#).usage_edit(Engine::Vllm).is_some();
        assert_eq!(is_edited, matches!(endpoint, Endpoint::Chat | Endpoint::Completions));
        assert_eq!(on(endpoint, r#"{"stream":false}"#).usage_edit(Engine::Vllm), None);
        assert_eq!(on(endpoint, "{}").usage_edit(Engine::Vllm), None);
    }
}

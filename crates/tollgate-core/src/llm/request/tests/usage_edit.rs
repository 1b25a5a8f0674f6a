use super::*;

fn edited(body: &str, engine: Engine) -> Option<(String, bool)> {
    let request = parse_as(body, Endpoint::Chat, engine).unwrap();
    apply(body, request.usage_edit(engine, false)?)
}

fn apply(body: &str, edit: UsageEdit) -> Option<(String, bool)> {
    assert_eq!(body.get(edit.range.clone()), Some(edit.replaced));
    let mut edited = body.to_owned();
    edited.replace_range(edit.range, edit.text);
    Some((edited, edit.hides.usage))
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
fn vllm_alone_is_asked_for_usage_in_every_chunk() {
    for engine in Engine::ALL {
        let (body, _) = edited(r#"{"stream":true}"#, engine).unwrap();
        let running = match engine {
            Engine::Vllm => r#","continuous_usage_stats":true"#,
            _ => "",
        };
        let expected =
            format!(r#"{{"stream_options":{{"include_usage":true{running}}},"stream":true}}"#);
        assert_eq!(body, expected);
    }
}

#[test]
fn what_was_asked_for_is_what_is_hidden() {
    for (body, usage, running_usage) in [
        (r#"{"stream":true}"#, true, true),
        (r#"{"stream":true,"stream_options":{"include_usage":true}}"#, false, true),
        (r#"{"stream":true,"stream_options":{"continuous_usage_stats":true}}"#, true, true),
    ] {
        let request = parse_as(body, Endpoint::Chat, Engine::Vllm).unwrap();
        let hides = request.usage_edit(Engine::Vllm, false).unwrap().hides;
        assert_eq!((hides.usage, hides.running_usage), (usage, running_usage), "{body}");
    }
    let both =
        r#"{"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}}"#;
    let request = parse_as(both, Endpoint::Chat, Engine::Vllm).unwrap();
    assert_eq!(request.usage_edit(Engine::Vllm, true), None);
}

#[test]
fn usage_in_every_chunk_can_be_asked_for() {
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
        let request = parse_as(body, Endpoint::Chat, Engine::Vllm).unwrap();
        let edit = request.stream_options.usage_edit(true, false).unwrap();
        assert_eq!(apply(body, edit), Some((expected.to_owned(), hidden)), "{body}");
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
        let request = parse_as(&body, Endpoint::Chat, Engine::Vllm).unwrap();
        assert_eq!(request.stream_options.usage_edit(true, false), None, "{body}");
    }
    let said = |body: &str| chat(body).unwrap().include_usage();
    assert_eq!(said(r#"{"stream_options":{"include_usage":true}}"#), Some(true));
    assert_eq!(said(r#"{"stream_options":{"include_usage":false}}"#), Some(false));
    assert_eq!(said(r#"{"stream_options":{}}"#), None);
}

#[test]
fn usage_that_is_declined_is_asked_for_where_it_always_is() {
    for (options, running, expected) in [
        (r#"{"include_usage":false}"#, false, r#"{"include_usage":true}"#),
        (r#"{"include_usage": false ,"x":1}"#, false, r#"{"include_usage": true ,"x":1}"#),
        (
            r#"{"include_usage":false}"#,
            true,
            r#"{"include_usage":true,"continuous_usage_stats":true}"#,
        ),
        (
            r#"{"include_usage":false,"continuous_usage_stats":false}"#,
            true,
            r#"{"include_usage":true,"continuous_usage_stats":false}"#,
        ),
        (r#"{"x":1}"#, false, r#"{"include_usage":true,"x":1}"#),
    ] {
        let body = format!(r#"{{"stream":true,"stream_options":{options}}}"#);
        let expected = format!(r#"{{"stream":true,"stream_options":{expected}}}"#);
        let request = chat(&body).unwrap();
        let edit = request.stream_options.usage_edit(running, true).unwrap();
        assert_eq!(apply(&body, edit), Some((expected, true)), "{body}");
    }
    let asked = r#"{"stream":true,"stream_options":{"include_usage":true}}"#;
    assert_eq!(chat(asked).unwrap().usage_edit(Engine::OpenAi, true), None);
}

#[test]
fn only_streams_of_chat_and_completions_are_edited() {
    for endpoint in ALL_ENDPOINTS {
        let is_edited = on(endpoint, r#"{"stream":true}"#).usage_edit(Engine::Vllm, true).is_some();
        // A body without a shape is taken for a chat.
        let has_options = matches!(
            endpoint,
            Endpoint::Chat
                | Endpoint::Completions
                | Endpoint::TokenGenerate
                | Endpoint::Invocations
        );
        assert_eq!(is_edited, has_options, "{endpoint:?}");
        assert_eq!(on(endpoint, r#"{"stream":false}"#).usage_edit(Engine::Vllm, true), None);
        assert_eq!(on(endpoint, "{}").usage_edit(Engine::Vllm, true), None);
    }
}

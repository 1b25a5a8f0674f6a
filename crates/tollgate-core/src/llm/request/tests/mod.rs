use super::*;

mod form;
mod forms;
mod generated;
mod halves;
mod input;
mod plain;
mod usage_edit;
mod values;

fn parse_as(body: &str, endpoint: Endpoint, engine: Engine) -> Result<LlmRequest, RequestError> {
    let read = parse(body.as_bytes(), endpoint, engine);
    assert_eq!(unsuspected(&read), plain::parse(body.as_bytes(), endpoint, engine));
    read
}

/// The same without what the plain reader doesn't look for.
fn unsuspected(read: &Result<LlmRequest, RequestError>) -> Result<LlmRequest, RequestError> {
    read.clone().map(|request| LlmRequest {
        is_suspect: false,
        bound_member: None,
        count_member: None,
        ..request
    })
}

fn chat(body: &str) -> Result<LlmRequest, RequestError> {
    parse_as(body, Endpoint::Chat, Engine::OpenAi)
}

fn on(endpoint: Endpoint, body: &str) -> LlmRequest {
    parse_as(body, endpoint, Engine::OpenAi).unwrap()
}

const ALL_ENDPOINTS: [Endpoint; 24] = Endpoint::ALL;

#[test]
fn body_is_one_json_object_in_utf_8() {
    for body in ["{}", " \t\r\n{ } \n", r#"{"a":[{"b":null}],"":1}"#] {
        assert!(chat(body).is_ok(), "{body}");
    }
    for body in ["[]", "null", "1", "\"x\"", " [1"] {
        assert_eq!(chat(body), Err(RequestError::NotAnObject), "{body}");
    }
    for body in [
        "",
        " ",
        "{",
        "{}{}",
        "{}x",
        "{} \0",
        "\u{feff}",
        "\u{feff}\u{feff}{}",
        "{}\u{feff}",
        "{'a':1}",
        r#"{"a":1,}"#,
        r#"{"a":NaN}"#,
        r#"{"a":1e999}"#,
        r#"{"a":01}"#,
        r#"{"a":tru}"#,
        r#"{"stream":tru}"#,
        r#"{"model":"a"#,
        r#"{"a":-Infinity}"#,
        r#"{"a":"\ud8"}"#,
        r#"{"a":\ud800}"#,
        r#"{"a":"\ud800"#,
        r#"{"a":"\ud800"}{}"#,
        "{\"a\":\"\n\"}",
        "{/**/}",
    ] {
        assert_eq!(chat(body), Err(RequestError::NotJson), "{body}");
    }
    let broken_text = b"{\"a\":\"\xff\"}";
    assert_eq!(parse(broken_text, Endpoint::Chat, Engine::OpenAi), Err(RequestError::NotJson));
}

#[test]
fn depth_is_bounded_wherever_it_is() {
    let depth_of_body = 1;
    for key in ["unknown", "messages", "tools", "prompt"] {
        let nested = |depth: usize| {
            let depth = depth - depth_of_body;
            format!(r#"{{"{key}":{}{}}}"#, "[".repeat(depth), "]".repeat(depth))
        };
        assert!(chat(&nested(120)).is_ok(), "{key}");
        assert_eq!(chat(&nested(121)), Err(RequestError::TooDeep), "{key}");
        assert_eq!(chat(&nested(100_000)), Err(RequestError::TooDeep), "{key}");
    }
    let objects = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    assert_eq!(chat(&objects), Err(RequestError::TooDeep));
    let options = |depth: usize| {
        format!(r#"{{"stream_options":{{"x":{}{}}}}}"#, "[".repeat(depth), "]".repeat(depth))
    };
    assert!(chat(&options(118)).is_ok());
    assert_eq!(chat(&options(119)), Err(RequestError::TooDeep));
    assert_eq!(chat(&options(100_000)), Err(RequestError::TooDeep));
    // Never closed.
    assert_eq!(chat(&r#"{"a":"#.repeat(100_000)), Err(RequestError::TooDeep));
}

#[test]
fn width_is_not_depth() {
    let parts = r#"{"content":[{"text":"x"}],"tool_calls":[{"a":{}}]},"#.repeat(1_000);
    let request = chat(&format!(r#"{{"messages":[{parts}{{}}]}}"#)).unwrap();
    assert_eq!(request.input.messages, 1_001);
    let options = r#"{"stream_options":{"x":[{}]},"options":{"a":{}},"#;
    let empty = r#""x":[],"#.repeat(118);
    assert!(
        chat(&format!(r#"{options}{empty}"x":{}{}}}"#, "[".repeat(119), "]".repeat(119))).is_ok()
    );
    let settings =
        format!(r#"{{"options":{{"a":{{}}}},{empty}"x":{}{}}}"#, "[".repeat(119), "]".repeat(119));
    assert!(parse_as(&settings, Endpoint::OllamaChat, Engine::Ollama).is_ok());
}

#[test]
fn eight_mebibytes_are_read() {
    let text = "x".repeat(8 << 20);
    let request = chat(&format!(r#"{{"messages":[{{"content":"{text}"}}]}}"#)).unwrap();
    assert_eq!(request.input.text_bytes, 8 << 20);

    let ids = "7,".repeat(4 << 20);
    let request = on(Endpoint::Completions, &format!(r#"{{"prompt":[{ids}7]}}"#));
    assert_eq!(request.input.token_ids, (4 << 20) + 1);

    let image = format!(r#"{{"messages":[{{"content":[{{"image_url":{{"url":"{text}"}}}}]}}]}}"#);
    assert_eq!(chat(&image).unwrap().input.text_bytes, 0);

    let model = format!(r#"{{"model":"{text}"}}"#);
    assert_eq!(chat(&model), Err(RequestError::BadValue("model")));
    let escaped = format!(r#"{{"n":"\n{text}"}}"#);
    assert_eq!(chat(&escaped), Err(RequestError::BadValue("n")));
}

#[test]
fn policy_key_twice_is_refused_on_every_endpoint() {
    for key in ["model", "stream", "max_tokens", "n", "messages", "options", "num_predict"] {
        for endpoint in ALL_ENDPOINTS {
            let twice = format!(r#"{{"{key}":null,"x":1,"{key}":null}}"#);
            let error = Err(RequestError::DuplicateKey(key));
            assert_eq!(parse_as(&twice, endpoint, Engine::OpenAi), error);
            let once = format!(r#"{{"{key}":null,"x":1,"x":2}}"#);
            assert!(parse_as(&once, endpoint, Engine::OpenAi).is_ok());
        }
    }
}

#[test]
fn key_is_what_its_escapes_stand_for() {
    let model = chat(r#"{"\u006dode\u006c":"m"}"#).unwrap().model;
    assert_eq!(model.as_deref(), Some("m"));
    let twice = chat(r#"{"model":"a","\u006dodel":"b"}"#);
    assert_eq!(twice, Err(RequestError::DuplicateKey("model")));
    let folded = chat(r#"{"\u017ftream":true}"#);
    assert_eq!(folded, Err(RequestError::MisspeltKey("stream")));
}

#[test]
fn other_spelling_of_a_policy_key_is_refused_alone_or_beside_it() {
    for (key, written) in [
        ("model", "Model"),
        ("model", "MODEL"),
        ("stream", "\u{17f}tream"),
        ("max_tokens", "max_to\u{212a}ens"),
        ("stream_options", "Stream_Options"),
    ] {
        let alone = chat(&format!(r#"{{"{written}":null}}"#));
        assert_eq!(alone, Err(RequestError::MisspeltKey(key)));
        let beside = chat(&format!(r#"{{"{key}":null,"{written}":null}}"#));
        assert_eq!(beside, Err(RequestError::DuplicateKey(key)));
    }
    assert!(chat(r#"{"models":1,"Temperature":1,"modell":1,"mo del":1}"#).is_ok());
}

#[test]
fn keys_inside_options_parameters_and_stream_options_are_judged_too() {
    for (endpoint, outer, key) in [
        (Endpoint::OllamaChat, "options", "num_predict"),
        (Endpoint::OllamaGenerate, "options", "num_predict"),
        (Endpoint::TgiGenerate, "parameters", "max_new_tokens"),
        (Endpoint::TgiGenerateStream, "parameters", "best_of"),
        (Endpoint::Chat, "stream_options", "include_usage"),
        (Endpoint::Chat, "stream_options", "continuous_usage_stats"),
    ] {
        let with = |members: &str| {
            let body = format!(r#"{{"{outer}":{{{members}}}}}"#);
            parse_as(&body, endpoint, Engine::OpenAi)
        };
        assert!(with(&format!(r#""{key}":null,"x":1,"x":2"#)).is_ok());
        let twice = with(&format!(r#""{key}":null,"{key}":null"#));
        assert_eq!(twice, Err(RequestError::DuplicateKey(key)));
        let folded = with(&format!(r#""{}":null"#, key.to_uppercase()));
        assert_eq!(folded, Err(RequestError::MisspeltKey(key)));
        assert_eq!(with(&format!(r#""{key}":"1""#)), Err(RequestError::BadValue(key)));
        assert_eq!(with(&format!(r#""{key}":[]"#)), Err(RequestError::BadValue(key)));
    }
}

#[test]
fn objects_of_settings_are_objects_or_null() {
    for (endpoint, key) in [
        (Endpoint::OllamaChat, "options"),
        (Endpoint::TgiGenerate, "parameters"),
        (Endpoint::Chat, "stream_options"),
        (Endpoint::Messages, "stream_options"),
    ] {
        let with =
            |value: &str| parse_as(&format!(r#"{{"{key}":{value}}}"#), endpoint, Engine::OpenAi);
        for value in ["null", "{}", " { } ", r#"{"x":[1]}"#] {
            assert!(with(value).is_ok(), "{key} {value}");
        }
        for value in ["[]", "true", "1", "-1", "1.5", "\"x\"", "\"\\n\""] {
            assert_eq!(with(value), Err(RequestError::BadValue(key)), "{value}");
        }
    }
}

use super::*;

#[test]
fn model_is_a_short_string_without_control_characters() {
    let model = |value: &str| {
        chat(&format!(r#"{{"model":{value}}}"#)).map(|request| request.model.map(String::from))
    };
    assert_eq!(chat("{}").unwrap().model, None);
    assert_eq!(model("null"), Ok(None));
    assert_eq!(model(r#""llama-3.1-8b""#), Ok(Some("llama-3.1-8b".to_owned())));
    assert_eq!(model(r#""a\u002fb\"\\\u00e9""#), Ok(Some("a/b\"\\é".to_owned())));
    assert_eq!(model(&format!("{:?}", "x".repeat(256))), Ok(Some("x".repeat(256))));
    let bad = [r#""a\nb""#, r#""\u0000""#, r#""\u007f""#, "1", "-1", "1.5", "true", "[]", "{}"];
    for value in bad {
        assert_eq!(model(value), Err(RequestError::BadValue("model")), "{value}");
    }
    let long = format!("{:?}", "x".repeat(257));
    assert_eq!(model(&long), Err(RequestError::BadValue("model")));
}

#[test]
fn stream_is_a_boolean_or_left_to_the_endpoint() {
    use Endpoint::*;
    let stream = |endpoint, body: &str| on(endpoint, body).stream;
    for endpoint in [Chat, Completions, Responses, Messages, TgiGenerate] {
        assert!(!stream(endpoint, "{}"));
        assert!(!stream(endpoint, r#"{"stream":null}"#));
        assert!(stream(endpoint, r#"{"stream":true}"#));
        assert!(!stream(endpoint, r#"{"stream":false}"#));
    }
    for endpoint in [OllamaChat, OllamaGenerate] {
        assert!(stream(endpoint, "{}"));
        assert!(stream(endpoint, r#"{"stream":null}"#));
        assert!(!stream(endpoint, r#"{"stream":false}"#));
    }
    for endpoint in [Embeddings, OllamaEmbed] {
        assert!(!stream(endpoint, r#"{"stream":true}"#));
    }
    assert!(stream(TgiGenerateStream, r#"{"stream":false}"#));
    for value in ["1", "0", "\"true\"", "[]", "{}", "1.0"] {
        let body = format!(r#"{{"stream":{value}}}"#);
        assert_eq!(chat(&body), Err(RequestError::BadValue("stream")), "{value}");
    }
}

#[test]
fn bound_is_the_largest_that_the_endpoint_knows() {
    for (endpoint, body, bound) in [
        (Endpoint::Chat, r#"{}"#, None),
        (Endpoint::Chat, r#"{"max_tokens":16}"#, Some(16)),
        (Endpoint::Chat, r#"{"max_completion_tokens":17}"#, Some(17)),
        (Endpoint::Chat, r#"{"max_tokens":16,"max_completion_tokens":9}"#, Some(16)),
        (Endpoint::Chat, r#"{"max_completion_tokens":9,"max_tokens":16}"#, Some(16)),
        (Endpoint::Chat, r#"{"max_tokens":9,"max_completion_tokens":16}"#, Some(16)),
        (Endpoint::Chat, r#"{"max_tokens":16,"max_completion_tokens":null}"#, Some(16)),
        (Endpoint::Chat, r#"{"max_tokens":null,"max_completion_tokens":9}"#, Some(9)),
        (Endpoint::Chat, r#"{"max_output_tokens":5}"#, None),
        (Endpoint::Completions, r#"{"max_tokens":16}"#, Some(16)),
        (Endpoint::Completions, r#"{"max_completion_tokens":1}"#, None),
        (Endpoint::Responses, r#"{"max_output_tokens":5,"max_tokens":1}"#, Some(5)),
        (Endpoint::Messages, r#"{"max_tokens":1024}"#, Some(1024)),
        (Endpoint::OllamaChat, r#"{"options":{"num_predict":7}}"#, Some(7)),
        (Endpoint::OllamaChat, r#"{"options":{"num_predict":-1}}"#, None),
        (Endpoint::OllamaGenerate, r#"{"options":{"num_predict":-2},"num_predict":4}"#, None),
        (Endpoint::OllamaGenerate, r#"{"max_tokens":4,"options":null}"#, None),
        (Endpoint::TgiGenerate, r#"{"parameters":{"max_new_tokens":20}}"#, Some(20)),
        (Endpoint::TgiGenerateStream, r#"{"max_new_tokens":20}"#, None),
        (Endpoint::Embeddings, r#"{"max_tokens":20}"#, None),
    ] {
        assert_eq!(on(endpoint, body).output_bound, bound, "{endpoint:?} {body}");
    }
}

#[test]
fn bound_that_the_engine_does_not_heed_is_none() {
    let bound = |engine, body: &str| parse_as(body, Endpoint::Chat, engine).unwrap().output_bound;
    assert_eq!(bound(Engine::Ollama, r#"{"max_completion_tokens":9}"#), None);
    assert_eq!(bound(Engine::Ollama, r#"{"max_tokens":9}"#), Some(9));
    assert_eq!(bound(Engine::Vllm, r#"{"n_predict":9}"#), None);
    assert_eq!(bound(Engine::LlamaCpp, r#"{"n_predict":9}"#), Some(9));
    assert_eq!(bound(Engine::LlamaCpp, r#"{"n_predict":9,"max_tokens":20}"#), Some(20));
    assert_eq!(bound(Engine::LlamaCpp, r#"{"n_predict":-1,"max_tokens":20}"#), None);
    let body = r#"{"max_output_tokens":1,"n_predict":9}"#;
    let bound = |engine| parse_as(body, Endpoint::Responses, engine).unwrap().output_bound;
    assert_eq!(bound(Engine::Vllm), Some(1));
    assert_eq!(bound(Engine::LlamaCpp), Some(9));
}

#[test]
fn bound_is_a_whole_number_in_any_notation() {
    let bound = |value: &str| {
        chat(&format!(r#"{{"max_tokens":{value}}}"#)).map(|request| request.output_bound)
    };
    for (value, expected) in [("16.0", 16), ("1e2", 100), ("1.6e1", 16)] {
        assert_eq!(bound(value), Ok(Some(expected)), "{value}");
    }
    assert_eq!(bound("18446744073709551615"), Ok(Some(u64::MAX)));
    for value in ["-2", "1.5", "18446744073709551616", "1e300", "\"16\"", "true", "[]", "{}"] {
        assert_eq!(bound(value), Err(RequestError::BadValue("max_tokens")), "{value}");
    }
}

#[test]
fn zero_and_minus_one_bound_nothing() {
    for value in ["0", "0.0", "-0", "-1", "-1.0"] {
        let body = format!(r#"{{"max_tokens":{value},"max_completion_tokens":5}}"#);
        assert_eq!(chat(&body).unwrap().output_bound, None, "{value}");
    }
    let negative = parse_as(r#"{"max_tokens":-1}"#, Endpoint::Messages, Engine::OpenAi);
    assert_eq!(negative, Err(RequestError::BadValue("max_tokens")));
}

#[test]
fn choices_are_the_larger_of_n_and_best_of() {
    for (endpoint, body, choices) in [
        (Endpoint::Chat, r#"{}"#, 1),
        (Endpoint::Chat, r#"{"n":null}"#, 1),
        (Endpoint::Chat, r#"{"n":4}"#, 4),
        (Endpoint::Completions, r#"{"n":2,"best_of":5}"#, 5),
        (Endpoint::Completions, r#"{"best_of":5,"n":2}"#, 5),
        (Endpoint::Completions, r#"{"n":5,"best_of":2}"#, 5),
        (Endpoint::Completions, r#"{"best_of":2,"n":5}"#, 5),
        (Endpoint::Completions, r#"{"n":5,"best_of":null}"#, 5),
        (Endpoint::Completions, r#"{"n":4096}"#, 4096),
        (Endpoint::Messages, r#"{"n":4}"#, 1),
        (Endpoint::TgiGenerate, r#"{"parameters":{"best_of":2}}"#, 2),
    ] {
        assert_eq!(on(endpoint, body).choices, choices, "{body}");
    }
    for body in [r#"{"n":1,"n_cmpl":3}"#, r#"{"n_cmpl":3,"n":1}"#] {
        let choices = |engine| parse_as(body, Endpoint::Chat, engine).unwrap().choices;
        assert_eq!(choices(Engine::Vllm), 1, "{body}");
        assert_eq!(choices(Engine::LlamaCpp), 3, "{body}");
    }
    for value in ["0", "-1", "4097", "1.5", "\"2\"", "true", "1e300", "[1]"] {
        let body = format!(r#"{{"n":{value}}}"#);
        assert_eq!(chat(&body), Err(RequestError::BadValue("n")), "{value}");
    }
}

#[test]
fn every_prompt_of_a_completion_has_its_own_output() {
    for (prompt, choices) in [
        (r#""a""#, 1),
        (r#"["a"]"#, 1),
        (r#"["a","b","c"]"#, 3),
        ("[1,2,3]", 1),
        ("[[1,2],[3]]", 2),
        (r#"[[1],"b"]"#, 2),
        ("[]", 1),
        ("null", 1),
    ] {
        let body = format!(r#"{{"n":2,"prompt":{prompt}}}"#);
        assert_eq!(on(Endpoint::Completions, &body).choices, 2 * choices, "{prompt}");
    }
    assert_eq!(on(Endpoint::Embeddings, r#"{"input":["a","b"]}"#).choices, 1);
}

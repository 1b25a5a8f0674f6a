//! What the forms of one engine read.

use super::*;

fn size(request: &LlmRequest) -> (u64, u64, u64) {
    (request.input.text_bytes, request.input.token_ids, request.input.media)
}

#[test]
fn llama_cpp_reads_its_prompts_in_every_shape() {
    for (prompt, choices, expected) in [
        (r#""abcd""#, 1, (4, 0, 0)),
        (r#"["ab","cd"]"#, 2, (4, 0, 0)),
        ("[1,2,3]", 1, (0, 3, 0)),
        (r#"[1,"abc",2,"d"]"#, 1, (4, 2, 0)),
        (r#"["abc",1]"#, 1, (3, 1, 0)),
        (r#"[[1,"a"],[2,3]]"#, 2, (1, 3, 0)),
        (r#"[[1],"abc",{"prompt_string":"d"}]"#, 3, (4 + 1 + 17, 1, 0)),
        (r#"{"prompt_string":"abcd","multimodal_data":["AAAA","BBBB"]}"#, 1, (4 + 1 + 36, 0, 2)),
    ] {
        let body = format!(r#"{{"prompt":{prompt},"n_predict":8,"n_cmpl":3}}"#);
        let request = parse_as(&body, Endpoint::LlamaCompletion, Engine::LlamaCpp).unwrap();
        assert_eq!(request.choices, 3 * choices, "{prompt}");
        assert_eq!(request.output_bound, Some(8));
        let (text, ids, media) = size(&request);
        assert!(text <= expected.0 && text >= expected.0.min(4), "{prompt}: {text}");
        assert_eq!((ids, media), (expected.1, expected.2), "{prompt}");
    }
}

#[test]
fn completions_have_no_prompts_but_their_own() {
    let body = r#"{"prompt":"abcd","input":"ef","inputs":["g","h"],"max_tokens":8}"#;
    for (endpoint, engine) in [
        (Endpoint::Completions, Engine::Vllm),
        (Endpoint::Completions, Engine::LlamaCpp),
        (Endpoint::LlamaCompletion, Engine::LlamaCpp),
    ] {
        let request = parse_as(body, endpoint, engine).unwrap();
        assert_eq!(request.choices, 1);
        assert!(size(&request).0 >= 8);
    }
}

#[test]
fn llama_cpp_embeds_by_content_as_well() {
    let body = r#"{"content":"twelve bytes"}"#;
    for endpoint in [Endpoint::LlamaEmbedding, Endpoint::Embeddings] {
        let request = parse_as(body, endpoint, Engine::LlamaCpp).unwrap();
        assert_eq!(size(&request), (12, 0, 0));
    }
    let elsewhere = parse_as(body, Endpoint::Embeddings, Engine::Vllm).unwrap();
    assert_eq!(size(&elsewhere), (0, 0, 0));
    let both = r#"{"content":["twelve bytes",[1,2]],"input":"x"}"#;
    let request = parse_as(both, Endpoint::LlamaEmbedding, Engine::LlamaCpp).unwrap();
    assert_eq!(size(&request), (13, 2, 0));
}

#[test]
fn infill_reads_what_is_around_the_gap() {
    let body = r#"{"prompt":"a","input_prefix":"bb","input_suffix":"ccc",
        "input_extra":[{"filename":"f","text":"0123456789"}],"n_predict":4}"#;
    let request = parse_as(body, Endpoint::LlamaInfill, Engine::LlamaCpp).unwrap();
    assert_eq!(request.output_bound, Some(4));
    assert!(size(&request).0 >= 1 + 2 + 3 + 11);
}

#[test]
fn each_chat_of_a_batch_has_its_own_output() {
    let body = r#"{"messages":[[{"role":"user","content":"abcd"}],
        [{"role":"user","content":"abcd"},{"role":"user","content":"ef"}]],"max_tokens":4}"#;
    let request = parse_as(body, Endpoint::ChatBatch, Engine::Vllm).unwrap();
    assert_eq!((request.choices, request.output_bound), (2, Some(4)));
    assert_eq!((request.input.messages, request.input.text_bytes), (3, 3 * 4 + 10));
    // Embeddings may be of one chat, or of several.
    let one = r#"{"messages":[{"role":"user","content":"abcd"}]}"#;
    let request = parse_as(one, Endpoint::Embeddings, Engine::Vllm).unwrap();
    assert_eq!((request.input.messages, request.input.text_bytes, request.choices), (1, 8, 1));
}

#[test]
fn settings_of_a_generation_by_tokens_count() {
    let body = r#"{"token_ids":[1,2,3],"sampling_params":{"max_tokens":6,"n":2},"stream":true}"#;
    let request = parse_as(body, Endpoint::TokenGenerate, Engine::Vllm).unwrap();
    assert_eq!((request.output_bound, request.choices, request.stream), (Some(6), 2, true));
    assert_eq!(size(&request), (0, 3, 0));
    assert!(request.usage_edit(Engine::Vllm, false).is_some());
    for bad in [r#""x""#, "[]", "1", r#"{"n":0}"#, r#"{"n":1,"n":9}"#, r#"{"Max_tokens":1}"#] {
        let body = format!(r#"{{"token_ids":[1],"sampling_params":{bad}}}"#);
        assert!(parse_as(&body, Endpoint::TokenGenerate, Engine::Vllm).is_err(), "{bad}");
    }
}

#[test]
fn sglang_multiplies_by_n_and_by_prompts() {
    for (text, choices) in [
        (r#""text":"ab""#, 1),
        (r#""text":["ab","cd"]"#, 2),
        (r#""input_ids":[1,2,3]"#, 1),
        (r#""input_ids":[[1],[2],[3]]"#, 3),
    ] {
        let body = format!(r#"{{{text},"sampling_params":{{"max_new_tokens":9,"n":4}}}}"#);
        let request = parse_as(&body, Endpoint::SglangGenerate, Engine::Sglang).unwrap();
        assert_eq!((request.choices, request.output_bound), (4 * choices, Some(9)), "{text}");
        let (text_bytes, ids, _) = size(&request);
        assert!(text_bytes + ids >= 2, "{text}");
        // Behind an engine that is not named, as well.
        let request = parse_as(&body, Endpoint::TgiGenerate, Engine::OpenAi).unwrap();
        assert_eq!((request.choices, request.output_bound), (4 * choices, Some(9)), "{text}");
    }
    let each =
        r#"{"text":["a","b"],"sampling_params":[{"max_new_tokens":5},{"max_new_tokens":7}]}"#;
    let request = parse_as(each, Endpoint::SglangGenerate, Engine::Sglang).unwrap();
    assert_eq!((request.choices, request.output_bound), (2, Some(7)));
    // The largest, wherever it stands.
    let each = r#"{"text":["a","b"],
        "sampling_params":[{"max_new_tokens":7,"n":3},{"max_new_tokens":5,"n":2}]}"#;
    let request = parse_as(each, Endpoint::SglangGenerate, Engine::Sglang).unwrap();
    assert_eq!((request.choices, request.output_bound), (6, Some(7)));
    // One that bounds its output bounds no other one's.
    for list in [
        r#"[{"max_new_tokens":5},{"max_new_tokens":null}]"#,
        r#"[{"max_new_tokens":5},{}]"#,
        r#"[{"n":1},{"max_new_tokens":5}]"#,
        r#"[{"max_new_tokens":5},null]"#,
        r#"[null,{"max_new_tokens":5}]"#,
        "[]",
    ] {
        let body = format!(r#"{{"text":["x","y"],"sampling_params":{list}}}"#);
        let request = parse_as(&body, Endpoint::SglangGenerate, Engine::Sglang).unwrap();
        assert_eq!(request.output_bound, None, "{list}");
    }
    let nested = r#"{"text":["x","y"],"sampling_params":[[{"max_new_tokens":5}]]}"#;
    assert!(parse_as(nested, Endpoint::SglangGenerate, Engine::Sglang).is_err());
    let media = r#"{"text":"a","image_data":["AAAA",{"url":"x"}],"audio_data":"BBBB"}"#;
    let request = parse_as(media, Endpoint::SglangGenerate, Engine::Sglang).unwrap();
    assert_eq!(size(&request), (1, 0, 3));
}

#[test]
fn question_is_read_with_each_of_what_it_is_asked_of() {
    for (endpoint, body, expected) in [
        (Endpoint::Rerank, r#"{"query":"abcd","documents":["e","f","g"]}"#, 15),
        (Endpoint::Rerank, r#"{"documents":["e","f","g"],"query":"abcd"}"#, 15),
        (Endpoint::Rerank, r#"{"query":"abcd","texts":["e","f"]}"#, 10),
        (Endpoint::Rerank, r#"{"query":"abcd","documents":"e"}"#, 5),
        (Endpoint::Score, r#"{"text_1":"abcd","text_2":["e","f"]}"#, 10),
        (Endpoint::Score, r#"{"queries":["ab","cd"],"items":["e","f"]}"#, 6),
        (Endpoint::Score, r#"{"data_1":"abcd","data_2":"e"}"#, 5),
        (Endpoint::GenerativeScoring, r#"{"query":"abcd","items":["yes","no"]}"#, 13),
    ] {
        let request = parse_as(body, endpoint, Engine::Vllm).unwrap();
        assert_eq!(request.input.text_bytes, expected, "{body}");
    }
    let body = r#"{"query":"abcd","items":["yes","no","x"],"max_tokens":100}"#;
    let request = parse_as(body, Endpoint::GenerativeScoring, Engine::Vllm).unwrap();
    assert_eq!((request.output_bound, request.choices), (Some(1), 3));
}

#[test]
fn cohere_embeds_texts_and_media() {
    let body = r#"{"texts":["ab","cd"],"images":["data:x"],
        "inputs":[{"content":[{"type":"text","text":"ef"},{"image_url":{"url":"x"}}]}]}"#;
    let request = parse_as(body, Endpoint::CohereEmbed, Engine::Vllm).unwrap();
    assert_eq!(size(&request), (4 + 4 + 2, 0, 2));
}

#[test]
fn invocation_is_what_its_body_makes_of_it() {
    use Endpoint::*;
    for (engine, body, expected) in [
        (Engine::Vllm, r#"{"messages":[{"content":"a"}]}"#, Chat),
        (Engine::Vllm, r#"{"prompt":"a"}"#, Completions),
        (Engine::Vllm, r#"{"prompt":"a","messages":[{"content":"a"}]}"#, Chat),
        (Engine::Vllm, r#"{"prompt":"a","messages":null}"#, Completions),
        (Engine::Vllm, r#"{"prompt":"a","messages":[]}"#, Completions),
        (Engine::Vllm, r#"{"prompt_embeds":"AAAA"}"#, Completions),
        (Engine::Vllm, r#"{"input":"a"}"#, Embeddings),
        (Engine::Vllm, r#"{"input":"a","prompt":"a"}"#, Completions),
        (Engine::Vllm, r#"{"query":"a","documents":["b"]}"#, Rerank),
        (Engine::Vllm, r#"{"text_1":"a","text_2":["b"]}"#, Score),
        (Engine::Vllm, r#"{"inputs":"a"}"#, Chat),
        (Engine::Vllm, "{}", Chat),
        (Engine::Tgi, r#"{"inputs":"a"}"#, TgiGenerate),
        (Engine::Tgi, r#"{"messages":[{"content":"a"}]}"#, Chat),
        (Engine::Tgi, r#"{"prompt":"a"}"#, Completions),
    ] {
        let request = parse_as(body, Invocations, engine).unwrap();
        assert_eq!(request.endpoint, expected, "{engine:?} {body}");
    }
    let body = r#"{"inputs":"a","stream":true,"parameters":{"max_new_tokens":7}}"#;
    let request = parse_as(body, Invocations, Engine::Tgi).unwrap();
    assert_eq!((request.output_bound, request.stream), (Some(7), true));
    let body = r#"{"prompt":["a","b"],"n":2,"max_tokens":7,"stream":true}"#;
    let request = parse_as(body, Invocations, Engine::Vllm).unwrap();
    assert_eq!((request.output_bound, request.choices), (Some(7), 4));
    assert!(request.usage_edit(Engine::Vllm, false).is_some());
}

#[test]
fn invocations_are_bounded_by_what_their_form_heeds() {
    for (engine, body, expected) in [
        (Engine::Tgi, r#"{"max_tokens":1,"inputs":"a"}"#, None),
        (
            Engine::Tgi,
            r#"{"inputs":"a","max_completion_tokens":0,"parameters":{"max_new_tokens":7}}"#,
            Some(7),
        ),
        (Engine::Tgi, r#"{"parameters":{"max_new_tokens":7},"messages":[{"content":"a"}]}"#, None),
        (
            Engine::Tgi,
            r#"{"parameters":{"max_new_tokens":7},"max_tokens":3,"messages":[{"content":"a"}]}"#,
            Some(3),
        ),
        (Engine::Vllm, r#"{"prompt":"a","max_completion_tokens":1}"#, None),
        (Engine::Vllm, r#"{"prompt":"a","max_tokens":2,"max_completion_tokens":1}"#, Some(2)),
        (Engine::Vllm, r#"{"messages":[{"content":"a"}],"max_completion_tokens":1}"#, Some(1)),
        (
            Engine::Vllm,
            r#"{"messages":[{"content":"a"}],"max_completion_tokens":1,"max_tokens":-1}"#,
            None,
        ),
    ] {
        let request = parse_as(body, Endpoint::Invocations, engine).unwrap();
        assert_eq!(request.output_bound, expected, "{engine:?} {body}");
    }
}

#[test]
fn invocations_are_multiplied_by_what_their_form_heeds() {
    for (engine, body, expected) in [
        (Engine::Tgi, r#"{"inputs":"a","n":4,"best_of":5}"#, 1),
        (Engine::Tgi, r#"{"n":4,"inputs":"a","parameters":{"best_of":3}}"#, 3),
        (Engine::Tgi, r#"{"parameters":{"best_of":3},"messages":[{"content":"a"}]}"#, 1),
        (Engine::Tgi, r#"{"parameters":{"best_of":3},"n":2,"messages":[{"content":"a"}]}"#, 2),
        (Engine::Vllm, r#"{"prompt":["a","b"],"parameters":{"best_of":3}}"#, 2),
        (Engine::Vllm, r#"{"n":2,"best_of":4,"prompt":["a","b"]}"#, 8),
        (Engine::Vllm, r#"{"best_of":4,"n":2,"messages":[{"content":"a"}]}"#, 4),
        (Engine::Vllm, r#"{"n":4,"input":["a","b"]}"#, 1),
        (Engine::Vllm, r#"{"n":4,"query":"a","documents":["b","c"]}"#, 1),
    ] {
        let request = parse_as(body, Endpoint::Invocations, engine).unwrap();
        assert_eq!(request.choices, expected, "{engine:?} {body}");
    }
}

#[test]
fn background_is_a_boolean_of_responses() {
    let responses = |body: &str| parse_as(body, Endpoint::Responses, Engine::Vllm);
    assert!(responses(r#"{"background":true}"#).unwrap().background);
    for body in ["{}", r#"{"background":false}"#, r#"{"background":null}"#] {
        assert!(!responses(body).unwrap().background, "{body}");
    }
    for value in ["1", "\"true\"", "[]", "{}"] {
        let body = format!(r#"{{"background":{value}}}"#);
        assert_eq!(responses(&body), Err(RequestError::BadValue("background")), "{value}");
    }
    let twice = r#"{"background":false,"background":true}"#;
    assert_eq!(responses(twice), Err(RequestError::DuplicateKey("background")));
    assert!(!chat(r#"{"background":true}"#).unwrap().background);
}

#[test]
fn embeds_are_prompts_of_their_own() {
    let body = r#"{"prompt":"a","prompt_embeds":["AAAA","BBBB"],"max_tokens":5}"#;
    let request = parse_as(body, Endpoint::Completions, Engine::Vllm).unwrap();
    assert_eq!((request.choices, request.input.media), (3, 2));
}

//! The shape of each answer and stream.

use super::*;

#[test]
fn a_chat_stream_has_role_tokens_finish_reason_and_done() {
    let body = json!({"model": "a \"b\" \u{1}", "messages": ["x"], "stream": true});
    let reply = post("/v1/chat/completions", &["X-Mock-Tokens: 2"], &body);
    let events = data(&reply);
    let (done, chunks) = events.split_last().unwrap();
    assert_eq!(done, "[DONE]");
    let deltas: Vec<_> = chunks.iter().map(|chunk| chunk["choices"][0]["delta"].clone()).collect();
    assert_eq!(
        deltas,
        [
            json!({"role": "assistant", "content": ""}),
            json!({"content": "The "}),
            json!({"content": "gate "}),
            json!({}),
        ]
    );
    assert_eq!(chunks[3]["choices"][0]["finish_reason"], "stop");
    assert!(chunks.iter().all(|chunk| chunk["model"] == "a \"b\" \u{1}"));
    assert!(chunks.iter().all(|chunk| chunk["object"] == "chat.completion.chunk"));
    assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()));
}

#[test]
fn usage_is_streamed_as_openai_and_vllm_do() {
    let usages = |headers: &[&str], options: Value| -> Vec<Option<Value>> {
        let body =
            json!({"model": "m", "messages": ["x"], "stream": true, "stream_options": options});
        let mut events = data(&post("/v1/chat/completions", headers, &body));
        assert_eq!(events.pop(), Some(json!("[DONE]")));
        if events.last().unwrap()["choices"] != json!([]) {
            assert_eq!(options["include_usage"], false);
        }
        events.iter().map(|event| event.get("usage").cloned()).collect()
    };
    let usage = |output: u64| {
        let total = 1 + output;
        json!({"prompt_tokens": 1, "completion_tokens": output, "total_tokens": total})
    };
    let tokens = "X-Mock-Tokens: 2";
    let asked = json!({"include_usage": true});

    let mut expected = vec![Some(Value::Null); 4];
    expected.push(Some(usage(2)));
    assert_eq!(usages(&[tokens], asked.clone()), expected);

    let mut expected = vec![None; 4];
    expected.push(Some(usage(2)));
    assert_eq!(usages(&[tokens, "X-Mock-Usage-Null: 0"], asked), expected);

    let continuous = json!({"include_usage": true, "continuous_usage_stats": true});
    let expected = [0, 1, 2, 2, 2].map(|output| Some(usage(output)));
    assert_eq!(usages(&[tokens], continuous), expected);

    let unasked = json!({"include_usage": false, "continuous_usage_stats": true});
    assert_eq!(usages(&[tokens], unasked), vec![None; 4]);
}

#[test]
fn every_choice_has_its_own_tokens() {
    let chat = json!({"model": "m", "messages": ["x"], "n": 3});
    let whole = post("/v1/chat/completions", &[], &chat).json();
    assert_eq!(whole["choices"].as_array().unwrap().len(), 3);
    assert_eq!(openai(&whole["usage"]), [1, 0, 15, 0]);

    let stream = json!({"stream": true, "stream_options": {"include_usage": true}});
    let reply = post("/v1/chat/completions", &[], &merged(&chat, &stream));
    for index in 0..3 {
        let of_this = |event: &&Value| event["choices"][0]["index"] == index;
        let events: Vec<_> = data(&reply).iter().filter(of_this).cloned().collect();
        assert_eq!(texts(&events, &["/choices/0/delta/content"]), 5);
        assert_eq!(events.last().unwrap()["choices"][0]["finish_reason"], "stop");
    }
    assert_eq!(openai(&nth_last(&reply, 1)["usage"]), [1, 0, 15, 0]);

    for (prompt, input, choices) in [
        (json!("a b"), 2, 2),
        (json!(["a b", "c"]), 3, 4),
        (json!([1, 2, 3]), 3, 2),
        (json!([[1, 2], [3]]), 3, 4),
    ] {
        let body = json!({"model": "m", "prompt": prompt, "n": 2, "max_tokens": 3});
        let whole = post("/v1/completions", &[], &body).json();
        assert_eq!(whole["object"], "text_completion");
        assert_eq!(openai(&whole["usage"]), [input, 0, choices * 3, 0], "{prompt}");
    }
}

#[test]
fn tool_calls_have_the_shape_of_each_api() {
    let header = ["X-Mock-Tool-Call: 1"];
    for api in apis() {
        let whole = post(api.path, &header, &api.body).json();
        let streamed = post(api.path, &header, &merged(&api.body, &api.stream));
        let arguments = json!({"text": "gate opens for "});
        let joined = |pointer: &str| -> Value {
            let events = data(&streamed);
            let parts = events.iter().filter_map(|e| e.pointer(pointer).and_then(Value::as_str));
            serde_json::from_str(&parts.collect::<String>()).unwrap()
        };
        match api.path {
            "/v1/chat/completions" => {
                let choice = &whole["choices"][0];
                assert_eq!(choice["finish_reason"], "tool_calls");
                let function = &choice["message"]["tool_calls"][0]["function"];
                assert_eq!(function["arguments"], arguments.to_string());
                assert_eq!(choice["message"]["content"], Value::Null);
                let streamed = joined("/choices/0/delta/tool_calls/0/function/arguments");
                assert_eq!(streamed, arguments);
            }
            "/v1/responses" => {
                assert_eq!(whole["output"][0]["type"], "function_call");
                assert_eq!(whole["output"][0]["arguments"], arguments.to_string());
                assert_eq!(joined("/delta"), arguments);
            }
            "/v1/messages" => {
                assert_eq!(whole["stop_reason"], "tool_use");
                assert_eq!(whole["content"][0]["input"], arguments);
                assert_eq!(joined("/delta/partial_json"), arguments);
            }
            "/api/chat" => {
                let pointer = "/message/tool_calls/0/function/arguments";
                assert_eq!(whole.pointer(pointer), Some(&arguments));
                assert_eq!(streamed.lines()[0].pointer(pointer), Some(&arguments));
            }
            _ => {
                assert_eq!((api.deltas)(&streamed), 5);
                assert!(!whole.to_string().contains("look_up"), "{whole}");
            }
        }
        assert_eq!((api.streamed)(&streamed)[2], 5, "{}", api.path);
    }
}

#[test]
fn a_response_goes_through_its_events_in_order() {
    let names = |headers: &[&str], more: Value| -> Vec<String> {
        let body = json!({"model": "m", "input": "a b", "stream": true});
        let reply = post("/v1/responses", headers, &merged(&body, &more));
        let events = reply.events();
        for (number, (name, data)) in events.iter().enumerate() {
            assert_eq!(data["type"], name.unwrap());
            assert_eq!(data["sequence_number"], number);
        }
        events.iter().map(|(name, _)| name.unwrap().replace("response.", "")).collect()
    };
    let text = [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ];
    assert_eq!(names(&["X-Mock-Tokens: 1"], json!({})), text);
    let cut = names(&["X-Mock-Tokens: 2"], json!({"max_output_tokens": 1}));
    assert_eq!((&cut[..8], cut[8].as_str()), (&text.map(str::to_owned)[..8], "incomplete"));
}

#[test]
fn a_message_goes_through_its_events_in_order() {
    let body = json!({"model": "m", "max_tokens": 2, "messages": ["a b"], "stream": true});
    let headers = ["X-Mock-Reasoning-Tokens: 1", "X-Mock-Cached-Tokens: 1"];
    let reply = post("/v1/messages", &headers, &body);
    let block = ["content_block_start", "content_block_delta", "content_block_stop"];
    let expected =
        [&["message_start", "ping"][..], &block, &block, &["message_delta", "message_stop"]];
    let events = reply.events();
    let names: Vec<_> = events.iter().map(|(name, _)| name.unwrap()).collect();
    assert_eq!(names, expected.concat());
    assert!(events.iter().all(|(name, data)| data["type"] == name.unwrap()));
    assert_eq!(events[2].1["content_block"]["type"], "thinking");
    assert_eq!(events[5].1["content_block"]["type"], "text");
    assert_eq!(
        events[8].1,
        json!({
            "type": "message_delta",
            "delta": {"stop_reason": "max_tokens", "stop_sequence": null},
            "usage": {"output_tokens": 2},
        })
    );
}

#[test]
fn only_ollamas_last_line_is_done() {
    let reply = post("/api/chat", &[], &json!({"model": "m", "messages": ["a"]}));
    let lines = reply.lines();
    let (last, others) = lines.split_last().unwrap();
    assert!(others.iter().all(|line| line["done"] == false && line.get("eval_count").is_none()));
    assert_eq!((&last["done"], &last["done_reason"]), (&json!(true), &json!("stop")));
    assert_eq!(last["message"], json!({"role": "assistant", "content": ""}));
}

#[test]
fn tgi_has_details_where_they_were_asked_for_and_at_the_end_of_a_stream() {
    let body = json!({"inputs": "a b", "parameters": {"max_new_tokens": 2}});
    assert_eq!(post("/generate", &[], &body).json(), json!({"generated_text": "The gate "}));
    let listed = post("/", &[], &body).json();
    assert_eq!(listed, json!([{"generated_text": "The gate "}]));

    let body = json!({"inputs": "a b", "parameters": {"max_new_tokens": 2, "details": true}});
    let details = &post("/generate", &[], &body).json()["details"];
    assert_eq!(details["finish_reason"], "length");
    assert_eq!(details["generated_tokens"], 2);
    assert_eq!(details["prefill"], json!([]));
    assert_eq!(details["tokens"].as_array().unwrap().len(), 2);

    let reply = post("/generate_stream", &[], &json!({"inputs": "a b"}));
    assert!(reply.text().starts_with("data:{"), "{}", reply.text());
    let events = data(&reply);
    assert_eq!(events.len(), 5);
    assert!(events[..4].iter().all(|event| event["details"].is_null()));
    assert_eq!(events[4]["generated_text"], "The gate opens for those ");
    assert_eq!(events[4]["details"]["finish_reason"], "eos_token");
}

#[test]
fn embeddings_have_a_vector_for_each_input() {
    for (input, tokens, vectors) in
        [(json!("a b"), 2, 1), (json!(["a b", "c"]), 3, 2), (json!([1, 2]), 2, 1)]
    {
        let body = json!({"model": "m", "input": input, "dimensions": 4});
        let answer = post("/v1/embeddings", &[], &body).json();
        assert_eq!(answer["usage"], json!({"prompt_tokens": tokens, "total_tokens": tokens}));
        assert_eq!(answer["data"].as_array().unwrap().len(), vectors);
        assert_eq!(answer["data"][0]["embedding"], json!([0.0, 0.125, 0.25, 0.375]));

        let answer = post("/api/embed", &[], &body).json();
        assert_eq!(answer["prompt_eval_count"], tokens);
        assert_eq!(answer["embeddings"].as_array().unwrap().len(), vectors);
    }
    let body = json!({"model": "m", "input": "a", "dimensions": 2, "encoding_format": "base64"});
    let answer = post("/v1/embeddings", &[], &body).json();
    assert_eq!(answer["data"][0]["embedding"], "AAAAAAAAAD4=");
    let absent = post("/v1/embeddings", &["X-Mock-Usage: none"], &body).json();
    assert_eq!(absent.get("usage"), None);
}

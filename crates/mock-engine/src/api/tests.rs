//! Each API, from request to answer.

use serde_json::{json, Value};

use crate::exchange::{post, Reply};

/// What is compared: input, cached, output, reasoning.
type Counted = [u64; 4];

/// An API that gives out tokens: a request whose text has six words, whole and streamed.
struct Api {
    path: &'static str,
    body: Value,
    stream: Value,
    /// The member that bounds the output of such a request.
    bound: Value,
    /// The deltas of a stream: kind and count.
    deltas: fn(&Reply) -> u64,
    /// The usage at the end of a stream.
    streamed: fn(&Reply) -> Counted,
    /// The usage of a whole answer.
    whole: fn(&Reply) -> Counted,
    has_reasoning: bool,
}

fn merged(body: &Value, more: &Value) -> Value {
    let mut body = body.clone();
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn openai(usage: &Value) -> Counted {
    let (input, output) = (number(&usage["prompt_tokens"]), number(&usage["completion_tokens"]));
    assert_eq!(usage["total_tokens"], input + output);
    let cached = number(&usage["prompt_tokens_details"]["cached_tokens"]);
    [input, cached, output, number(&usage["completion_tokens_details"]["reasoning_tokens"])]
}

fn responses(usage: &Value) -> Counted {
    let (input, output) = (number(&usage["input_tokens"]), number(&usage["output_tokens"]));
    assert_eq!(usage["total_tokens"], input + output);
    let cached = number(&usage["input_tokens_details"]["cached_tokens"]);
    [input, cached, output, number(&usage["output_tokens_details"]["reasoning_tokens"])]
}

fn anthropic(usage: &Value, output: &Value) -> Counted {
    let cached = number(&usage["cache_read_input_tokens"]);
    [number(&usage["input_tokens"]) + cached, cached, number(output), 0]
}

fn ollama(line: &Value) -> Counted {
    [number(&line["prompt_eval_count"]), 0, number(&line["eval_count"]), 0]
}

fn tgi(details: &Value, input: u64) -> Counted {
    [input, 0, number(&details["generated_tokens"]), 0]
}

/// How many values in the events are texts, and not empty, at one of these pointers.
fn texts(events: &[Value], pointers: &[&str]) -> u64 {
    let is_text = |event: &Value, pointer: &&str| {
        event.pointer(pointer).and_then(Value::as_str).is_some_and(|text| !text.is_empty())
    };
    let count = events.iter().flat_map(|e| pointers.iter().filter(move |p| is_text(e, p))).count();
    u64::try_from(count).unwrap()
}

fn data(reply: &Reply) -> Vec<Value> {
    reply.events().into_iter().map(|(_, data)| data).collect()
}

fn nth_last(reply: &Reply, back: usize) -> Value {
    data(reply).into_iter().rev().nth(back).unwrap()
}

fn apis() -> Vec<Api> {
    let messages = json!([
        {"role": "user", "content": "one two three"},
        {"role": "user", "content": [{"type": "text", "text": "four five six"}]},
    ]);
    let stream = json!({"stream": true, "stream_options": {"include_usage": true}});
    let prompt = "one two three four five six";
    vec![
        Api {
            path: "/v1/chat/completions",
            body: json!({"model": "m", "messages": messages}),
            stream: stream.clone(),
            bound: json!({"max_completion_tokens": 2}),
            deltas: |reply| {
                texts(
                    &data(reply),
                    &[
                        "/choices/0/delta/content",
                        "/choices/0/delta/reasoning_content",
                        "/choices/0/delta/tool_calls/0/function/arguments",
                    ],
                )
            },
            streamed: |reply| openai(&nth_last(reply, 1)["usage"]),
            whole: |reply| openai(&reply.json()["usage"]),
            has_reasoning: true,
        },
        Api {
            path: "/v1/completions",
            body: json!({"model": "m", "prompt": prompt}),
            stream,
            bound: json!({"max_tokens": 2}),
            deltas: |reply| texts(&data(reply), &["/choices/0/text"]),
            streamed: |reply| openai(&nth_last(reply, 1)["usage"]),
            whole: |reply| openai(&reply.json()["usage"]),
            has_reasoning: true,
        },
        Api {
            path: "/v1/responses",
            body: json!({"model": "m", "instructions": "one two three", "input": "four five six"}),
            stream: json!({"stream": true}),
            bound: json!({"max_output_tokens": 2}),
            deltas: |reply| texts(&data(reply), &["/delta"]),
            streamed: |reply| responses(&nth_last(reply, 0)["response"]["usage"]),
            whole: |reply| responses(&reply.json()["usage"]),
            has_reasoning: true,
        },
        Api {
            path: "/v1/messages",
            body: json!({"model": "m", "max_tokens": 99, "messages": messages}),
            stream: json!({"stream": true}),
            bound: json!({"max_tokens": 2}),
            deltas: |reply| {
                texts(&data(reply), &["/delta/text", "/delta/thinking", "/delta/partial_json"])
            },
            streamed: |reply| {
                let start = &data(reply)[0]["message"]["usage"];
                assert_eq!(start["output_tokens"], 0);
                anthropic(start, &nth_last(reply, 1)["usage"]["output_tokens"])
            },
            whole: |reply| {
                let usage = &reply.json()["usage"];
                anthropic(usage, &usage["output_tokens"])
            },
            has_reasoning: false,
        },
        Api {
            path: "/api/chat",
            body: json!({"model": "m", "stream": false, "messages": messages}),
            stream: json!({"stream": null}),
            bound: json!({"options": {"num_predict": 2}}),
            deltas: |reply| texts(&reply.lines(), &["/message/content", "/message/thinking"]),
            streamed: |reply| ollama(reply.lines().last().unwrap()),
            whole: |reply| ollama(&reply.json()),
            has_reasoning: false,
        },
        Api {
            path: "/api/generate",
            body: json!({"model": "m", "stream": false, "prompt": prompt}),
            stream: json!({"stream": true}),
            bound: json!({"options": {"num_predict": 2}}),
            deltas: |reply| texts(&reply.lines(), &["/response", "/thinking"]),
            streamed: |reply| ollama(reply.lines().last().unwrap()),
            whole: |reply| ollama(&reply.json()),
            has_reasoning: false,
        },
        Api {
            path: "/",
            body: json!({
                "inputs": prompt, "parameters": {"details": true, "decoder_input_details": true}
            }),
            stream: json!({"stream": true}),
            bound: json!({"parameters": {
                "max_new_tokens": 2, "details": true, "decoder_input_details": true
            }}),
            deltas: |reply| texts(&data(reply), &["/token/text"]),
            streamed: |reply| {
                let details = &nth_last(reply, 0)["details"];
                tgi(details, number(&details["input_length"]))
            },
            whole: |reply| {
                let details = &reply.json()[0]["details"];
                let prefill = details["prefill"].as_array().unwrap().len();
                tgi(details, u64::try_from(prefill).unwrap())
            },
            has_reasoning: false,
        },
    ]
}

#[test]
fn usage_is_what_was_sent() {
    for api in apis() {
        let path = api.path;
        let bounded = merged(&api.body, &api.bound);
        for (body, headers, output, reasoning) in [
            (&api.body, vec![], 5, 0),
            (&api.body, vec!["X-Mock-Tokens: 1"], 1, 0),
            (&api.body, vec!["X-Mock-Reasoning-Tokens: 3"], 8, 3),
            (&bounded, vec![], 2, 0),
            (&bounded, vec!["X-Mock-Reasoning-Tokens: 3"], 2, 2),
        ] {
            let reasoning = if api.has_reasoning { reasoning } else { 0 };
            let expected = [6, 0, output, reasoning];
            let streamed = post(path, &headers, &merged(body, &api.stream));
            assert_eq!((api.streamed)(&streamed), expected, "{path} {headers:?}");
            assert_eq!((api.deltas)(&streamed), output, "{path} {headers:?}");
            let counts = json!({"started": 1, "active": 0, "finished": 1, "aborted": 0, "cut": 0,
                "tokens_sent": output});
            assert_eq!(streamed.stats, counts, "{path}");

            let whole = post(path, &headers, body);
            assert_eq!((api.whole)(&whole), expected, "{path} {headers:?}");
            assert_eq!(whole.stats, counts, "{path}");
        }
    }
}

#[test]
fn cached_tokens_are_part_of_the_input() {
    for api in apis() {
        let headers = ["X-Mock-Cached-Tokens: 4"];
        let streamed = post(api.path, &headers, &merged(&api.body, &api.stream));
        let whole = post(api.path, &headers, &api.body);
        let expected = match api.path {
            // Ollama tells of what it evaluated only; TGI has no prefix cache to tell of.
            "/api/chat" | "/api/generate" => [2, 0, 5, 0],
            "/" => [6, 0, 5, 0],
            _ => [6, 4, 5, 0],
        };
        assert_eq!((api.streamed)(&streamed), expected, "{}", api.path);
        assert_eq!((api.whole)(&whole), expected, "{}", api.path);
    }
    let all = ["X-Mock-Cached-Tokens: 99"];
    let reply =
        post("/api/generate", &all, &json!({"model": "m", "prompt": "a b", "stream": false}));
    assert_eq!(reply.json().get("prompt_eval_count"), None);
    assert_eq!(reply.json()["eval_count"], 5);
}

#[test]
fn usage_is_left_out_or_repeated_as_asked() {
    for api in apis() {
        // How many events of a plain stream have usage: a null, or a message that begins, has none.
        let with_usage = |mode: &str| {
            let headers = [format!("X-Mock-Usage: {mode}")];
            let headers = if mode.is_empty() { vec![] } else { vec![headers[0].as_str()] };
            let reply = post(api.path, &headers, &merged(&api.body, &api.stream));
            let events = if api.path.starts_with("/api/") { reply.lines() } else { data(&reply) };
            let has = |event: &&Value| {
                let members = ["/usage", "/response/usage", "/details", "/eval_count"];
                members.iter().any(|p| event.pointer(p).is_some_and(|usage| !usage.is_null()))
            };
            let whole = post(api.path, &headers, &api.body).json();
            let whole = whole.get(0).cloned().unwrap_or(whole);
            (events.iter().filter(has).count(), has(&&whole))
        };
        assert_eq!(with_usage(""), (1, true), "{}", api.path);
        assert_eq!(with_usage("none"), (0, false), "{}", api.path);
        assert_eq!(with_usage("twice"), (2, true), "{}", api.path);
        let (every, _) = with_usage("every");
        assert!(every >= 5, "{}: {every}", api.path);
    }
}

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

#[test]
fn a_bad_field_is_named() {
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    for (path, fields, param) in [
        ("/v1/chat/completions", json!({"model": 1}), "model"),
        ("/v1/chat/completions", json!({"messages": []}), "messages"),
        ("/v1/chat/completions", json!({"n": 0}), "n"),
        ("/v1/chat/completions", json!({"n": 129}), "n"),
        ("/v1/chat/completions", json!({"max_tokens": 0}), "max_tokens"),
        ("/v1/chat/completions", json!({"max_completion_tokens": "5"}), "max_completion_tokens"),
        ("/v1/chat/completions", json!({"stream": "yes"}), "stream"),
        ("/v1/chat/completions", json!({"stream_options": {}}), "stream_options"),
        ("/v1/completions", json!({"prompt": {}}), "prompt"),
        ("/v1/embeddings", json!({}), "input"),
        ("/v1/embeddings", json!({"input": "a", "encoding_format": "int8"}), "encoding_format"),
        ("/v1/responses", json!({}), "input"),
    ] {
        let reply = post(path, &[], &merged(&chat, &fields));
        assert!(reply.head.starts_with("HTTP/1.1 400 "), "{path} {fields}");
        assert_eq!(reply.json()["error"]["param"], param, "{path} {fields}");
    }
    let reply = post("/v1/messages", &[], &chat);
    assert_eq!(reply.json()["error"]["message"], "max_tokens: Field required");
    assert!(post("/generate", &[], &json!({})).head.starts_with("HTTP/1.1 422 "));
}

#[test]
fn errors_are_in_the_dialect_of_the_endpoint() {
    for (path, body) in [
        ("/v1/chat/completions", json!({"type": "server_error", "param": null, "code": null})),
        ("/v1/messages", json!({"type": "error", "error": {"type": "api_error"}})),
        ("/api/generate", json!({})),
        ("/generate", json!({"error_type": "generation"})),
    ] {
        let reply = post(path, &["X-Mock-Status: 500"], &json!({}));
        assert!(reply.head.starts_with("HTTP/1.1 500 "), "{}", reply.head);
        assert_eq!(reply.outcome, Ok(true));
        assert_eq!(reply.stats["started"], 0);
        let message = "As X-Mock-Status asked for.";
        let expected = match path {
            "/v1/chat/completions" => json!({"error": merged(&body, &json!({"message": message}))}),
            "/v1/messages" => {
                json!({"type": "error", "error": {"type": "api_error", "message": message}})
            }
            _ => merged(&body, &json!({"error": message})),
        };
        assert_eq!(reply.json(), expected);
    }
}

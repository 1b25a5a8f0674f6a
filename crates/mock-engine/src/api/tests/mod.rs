//! Each API, from request to answer.

mod shapes;

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

//! What real servers answered, beside what the mock makes of the same request: the same status, the
//! same members in the same order, with values of the same types.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{json, Value};

use crate::exchange::{send, Reply};
use crate::record::Record;

/// Recordings that the mock doesn't follow, and why.
const LEFT_OUT: [(&str, &str); 4] = [
    ("vllm/chat-tools", "its call was cut short, and came as text"),
    ("vllm/completion-echo", "has the logprobs of a prompt"),
    ("vllm/responses-stream-engine-died", "breaks off, as X-Mock-Cut-After has it"),
    ("llamacpp/chat-logprobs", "logprobs of llama.cpp are not made up"),
];

/// `TOLLGATE_RECORDINGS`, or the folder beside the project.
fn recordings() -> Option<PathBuf> {
    let folder = std::env::var_os("TOLLGATE_RECORDINGS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/engines/recordings"),
        PathBuf::from,
    );
    folder.is_dir().then_some(folder)
}

/// What the engine was started with, or did, for a recording.
fn headers(engine: &str, name: &str) -> String {
    let mut lines = vec![format!("X-Mock-Engine: {engine}")];
    let mut say = |line: &str| lines.push(line.to_owned());
    if engine != "llamacpp" {
        say("X-Mock-Models: tiny");
    }
    say("X-Mock-Context: 2048");
    say(if name == "messages-tools" { "X-Mock-Tokens: 3" } else { "X-Mock-Tokens: 2000" });
    if name.contains("reasoning") || name.contains("died") {
        say("X-Mock-Reasoning-Tokens: 2000");
    }
    if name.contains("died") {
        say("X-Mock-Cut-After: 9");
        say("X-Mock-Cut-End: error");
    }
    if name == "embeddings" {
        say("X-Mock-Pooling: 1");
    }
    lines.join("\r\n")
}

/// The types of a JSON text: what is alike twice in a row is there once.
fn skeleton(text: &str) -> String {
    let mut out = String::new();
    let rest = value(text.trim(), &mut out);
    assert_eq!(rest.trim(), "", "not JSON: {text}");
    out
}

/// Appends the skeleton of the value that `text` begins with; the rest of the text.
fn value<'a>(text: &'a str, out: &mut String) -> &'a str {
    let text = text.trim_start();
    match text.as_bytes().first().unwrap() {
        b'"' => {
            out.push('s');
            string(text).1
        }
        b'{' => {
            out.push('{');
            let mut rest = skip(text);
            while !rest.starts_with('}') {
                let (name, after) = string(rest);
                out.push_str(name);
                out.push(':');
                rest = value(after.trim_start().strip_prefix(':').unwrap(), out).trim_start();
                rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
                out.push(' ');
            }
            out.push('}');
            skip(rest)
        }
        b'[' => {
            let mut rest = skip(text);
            let mut items = Vec::new();
            while !rest.starts_with(']') {
                let mut item = String::new();
                rest = value(rest, &mut item).trim_start();
                rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
                items.push(item);
            }
            // A token that is no text has no bytes.
            items.iter_mut().for_each(|item| *item = item.replace("bytes:[]", "bytes:[n]"));
            items.dedup();
            out.push_str(&format!("[{}]", items.join(" ")));
            skip(rest)
        }
        _ => {
            let end = text.find([',', '}', ']', ' ', '\n']).unwrap_or(text.len());
            let (word, rest) = text.split_at(end);
            out.push_str(match word {
                "true" | "false" => "b",
                "null" => "null",
                _ => "n",
            });
            rest
        }
    }
}

/// The string that `text` begins with, and the rest of the text.
fn string(text: &str) -> (&str, &str) {
    let inner = text.strip_prefix('"').unwrap();
    let mut escaped = false;
    let end = inner
        .find(|c: char| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        })
        .unwrap();
    let (string, rest) = inner.split_at(end);
    (string, skip(rest))
}

/// What follows the first character, which is one byte.
fn skip(text: &str) -> &str {
    text.split_at(1).1.trim_start()
}

/// The skeleton of a body: of JSON, or of each event.
fn shape(body: &str) -> Vec<String> {
    if !body.starts_with("data:") && !body.starts_with("event:") {
        return vec![skeleton(body)];
    }
    let mut events: Vec<String> = body
        .split_terminator("\n\n")
        .map(|event| {
            let lines = event.lines().map(|line| match line.strip_prefix("data: ") {
                Some("[DONE]") | None => line.to_owned(),
                Some(data) => skeleton(data),
            });
            lines.collect::<Vec<_>>().join(" ")
        })
        .collect();
    events.dedup();
    events
}

fn ask(method: &str, path: &str, headers: &str, body: &str) -> Reply {
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: engine\r\n{headers}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    send(&text, &Record::default())
}

fn status(reply: &Reply) -> &str {
    reply.head.split(' ').nth(1).unwrap()
}

#[test]
fn answers_are_member_by_member_those_of_the_recordings() {
    let Some(folder) = recordings() else {
        eprintln!("skipped: no recordings");
        return;
    };
    let left_out: BTreeSet<_> = LEFT_OUT.iter().map(|(name, _)| *name).collect();
    let mut compared = 0;
    let mut different = Vec::new();
    for engine in ["vllm", "llamacpp", "transformers"] {
        let index = std::fs::read_to_string(folder.join(engine).join("INDEX.tsv")).unwrap();
        for line in index.lines().skip(1) {
            let mut columns = line.split('\t');
            let (name, method, path) =
                (columns.next().unwrap(), columns.next().unwrap(), columns.next().unwrap());
            if left_out.contains(format!("{engine}/{name}").as_str()) {
                continue;
            }
            let read = |end: &str| {
                let path = folder.join(engine).join(format!("{name}.{end}"));
                String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()
            };
            let body = read("request.json");
            let (head, recorded) = {
                let text = read("response.http");
                let (head, body) = text.split_once("\r\n\r\n").unwrap();
                (head.to_owned(), body.to_owned())
            };
            let reply = ask(method, path, &headers(engine, name), &body);
            let wanted = head.split(' ').nth(1).unwrap();
            let (real, mocked) = (shape(&recorded), shape(reply.text()));
            if status(&reply) != wanted || real != mocked {
                let at = real.iter().zip(&mocked).position(|(a, b)| a != b);
                let show = |shape: &[String]| match at {
                    Some(at) => shape[at].clone(),
                    None => shape.join("\n   "),
                };
                different.push(format!(
                    "{engine}/{name} {wanted}\n   {}\n{}\n   {}",
                    show(&real),
                    status(&reply),
                    show(&mocked)
                ));
            }
            compared += 1;
        }
    }
    assert!(different.is_empty(), "{} of {compared}:\n{}", different.len(), different.join("\n"));
    assert!(compared > 60, "{compared}");
}

#[test]
fn paths_are_matched_as_each_server_does() {
    for (engine, method, path, wanted) in [
        ("vllm", "POST", "/v1/chat/completions", "200"),
        ("vllm", "POST", "/v1/chat/completions%0A", "200"),
        ("vllm", "POST", "/v1/chat/%63ompletions", "200"),
        ("vllm", "POST", "/v1/chat/completions%0A%0A", "404"),
        ("vllm", "POST", "/v1/chat/completions/", "307"),
        ("vllm", "GET", "/v1/chat/completions", "405"),
        ("vllm", "POST", "/V1/chat/completions", "404"),
        ("sglang", "POST", "/v1/chat/completions%0A", "200"),
        ("transformers", "POST", "/v1/chat/completions%0A", "200"),
        ("llamacpp", "POST", "/v1/chat/completions", "200"),
        ("llamacpp", "POST", "/v1/chat/%63ompletions", "200"),
        ("llamacpp", "POST", "/v1/chat/completions%0A", "404"),
        ("llamacpp", "POST", "/v1/chat/completions/", "404"),
        ("llamacpp", "GET", "/v1/chat/completions", "404"),
        ("tgi", "POST", "/v1/chat/completions", "200"),
        ("tgi", "POST", "/v1/chat/%63ompletions", "404"),
        ("tgi", "GET", "/v1/chat/completions", "405"),
        ("ollama", "POST", "/v1/chat/%63ompletions", "200"),
        ("ollama", "POST", "/v1/chat/completions/", "307"),
        ("ollama", "GET", "/v1/models/", "301"),
        ("ollama", "GET", "/v1/chat/completions", "405"),
        ("ollama", "POST", "/v1/chat/completions%0A", "404"),
    ] {
        let body = r#"{"model":"m","messages":[{"role":"user","content":"a b"}]}"#;
        let reply = ask(method, path, &format!("X-Mock-Engine: {engine}"), body);
        assert_eq!(status(&reply), wanted, "{engine} {method} {path}: {}", reply.head);
    }
    let moved = ask("POST", "/v1/messages/", "X-Mock-Engine: vllm", "{}");
    assert!(moved.head.contains("\r\nLocation: http://engine/v1/messages\r\n"), "{}", moved.head);
}

/// What a request was said to have made, over a record of its own.
fn made(engine: &str, headers: &[&str], path: &str, body: &Value) -> (Reply, (u64, u64)) {
    let record = Record::default();
    let body = body.to_string();
    let headers = headers.join("\r\n");
    let text = format!(
        "POST {path} HTTP/1.1\r\nX-Mock-Engine: {engine}\r\nX-Request-ID: a\r\n{headers}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let reply = send(&text.replace("\r\n\r\nContent", "\r\nContent"), &record);
    assert_eq!(record.made_for(b"a").unwrap_or_default(), record.made());
    (reply, record.made())
}

#[test]
fn what_was_made_is_more_than_some_engines_say() {
    let one = json!({"prompt": "a b c", "model": "m"});
    let with = |more: Value| {
        let mut body = one.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (engine, path, body, said, wanted) in [
        ("vllm", "/v1/completions", with(json!({"n": 2})), 10, (3, 10)),
        ("llamacpp", "/v1/completions", with(json!({"n": 2})), 5, (3, 10)),
        ("llamacpp", "/v1/completions", with(json!({"prompt": ["a b", "c"]})), 5, (3, 10)),
        ("llamacpp", "/v1/completions", with(json!({"max_tokens": 2})), 2, (3, 2)),
    ] {
        let (reply, made) = made(engine, &[], path, &body);
        assert_eq!(reply.json()["usage"]["completion_tokens"], said, "{engine} {body}");
        assert_eq!(made, wanted, "{engine} {body}");
    }
    let (reply, made) = made(
        "vllm",
        &[],
        "/generative_scoring",
        &json!({
            "model": "m", "query": "a b", "items": ["c", "d"],
        }),
    );
    assert_eq!(reply.json()["usage"]["completion_tokens"], 2);
    assert_eq!(made, (4, 2));
}

#[test]
fn a_stream_of_llamacpp_says_the_usage_of_each_choice_apart() {
    let (reply, made) = made(
        "llamacpp",
        &[],
        "/v1/chat/completions",
        &json!({
            "messages": [{"role": "user", "content": "a b"}], "n": 2, "stream": true,
            "stream_options": {"include_usage": true},
        }),
    );
    let events = reply.text().split("\n\n").filter(|event| event.contains("\"usage\""));
    assert_eq!(events.count(), 2);
    assert!(reply.head.contains("\r\nContent-Type: text/event-stream\r\n"), "{}", reply.head);
    assert_eq!(made, (2, 10));
}

#[test]
fn a_response_in_the_background_is_answered_before_it_is_made() {
    let record = Record::default();
    let body = r#"{"model":"m","input":"a b c","background":true}"#;
    let request = format!(
        "POST /v1/responses HTTP/1.1\r\nX-Mock-Engine: vllm\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let queued = send(&request, &record).json();
    assert_eq!((&queued["status"], &queued["usage"]), (&json!("queued"), &Value::Null));
    assert_eq!(record.made(), (3, 5));

    let id = queued["id"].as_str().unwrap();
    let get = format!("GET /v1/responses/{id} HTTP/1.1\r\nX-Mock-Engine: vllm\r\n\r\n");
    let done = send(&get, &record).json();
    assert_eq!(
        (&done["status"], &done["usage"]["output_tokens"]),
        (&json!("completed"), &json!(5))
    );
    assert_eq!(status(&send(&get.replace(id, "resp_x"), &record)), "404");
}

#[test]
fn a_conversation_is_given_out_again() {
    let record = Record::default();
    let body = r#"{"messages":[{"role":"user","content":"a"}],"stream":true}"#;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nX-Mock-Engine: llamacpp\r\n\
         X-Conversation-Id: c\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let first = send(&request, &record);
    let get = |query: &str, method: &str| {
        let head = format!("{method} /v1/stream?{query} HTTP/1.1\r\nX-Mock-Engine: llamacpp");
        send(&format!("{head}\r\n\r\n"), &record)
    };
    assert_eq!(get("conv_id=c&from=0", "GET").text(), first.text());
    assert_eq!(get("conv_id=c&from=9", "GET").text(), first.text().split_at(9).1);
    assert_eq!(status(&get("conv_id=d", "GET")), "404");
    assert_eq!(status(&get("conv_id=c", "DELETE")), "204");
    assert_eq!(status(&get("conv_id=c", "GET")), "404");
    assert_eq!(record.made(), (1, 5));
}

#[test]
fn an_engine_that_dies_shows_three_ends() {
    let body = json!({
        "model": "m", "messages": [{"role": "user", "content": "a"}], "stream": true,
    });
    for (end, complete, last) in
        [("closed", false, "gate"), ("quiet", true, "gate"), ("error", true, "InternalServerError")]
    {
        let end = format!("X-Mock-Cut-End: {end}");
        let headers = ["X-Mock-Cut-After: 2", end.as_str()];
        let (reply, made) = made("vllm", &headers, "/v1/chat/completions", &body);
        assert_eq!(reply.complete, complete, "{end}");
        assert_eq!(reply.text().contains("[DONE]"), last != "gate");
        assert!(reply.text().contains(last), "{end}");
        assert_eq!(made, (1, 2));
    }
}

#[test]
fn a_tool_of_the_request_is_called_once() {
    let tool = json!({"type": "function", "function": {"name": "weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
    }}});
    let question = json!({"role": "user", "content": "a"});
    let answer = json!({"role": "tool", "tool_call_id": "x", "content": "b"});
    for engine in ["vllm", "sglang", "llamacpp", "ollama", "tgi"] {
        let ask = |messages: Value| {
            let body = json!({"model": "m", "messages": messages, "tools": [tool]});
            made(engine, &[], "/v1/chat/completions", &body).0.json()["choices"][0].clone()
        };
        let first = ask(json!([question]));
        let call = &first["message"]["tool_calls"][0]["function"];
        assert_eq!(first["finish_reason"], "tool_calls", "{engine}");
        assert_eq!(call["name"], "weather");
        let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
        assert!(arguments["city"].is_string(), "{engine}: {arguments}");
        let second = ask(json!([question, answer]));
        assert_eq!(second["finish_reason"], "stop", "{engine}");
    }
}

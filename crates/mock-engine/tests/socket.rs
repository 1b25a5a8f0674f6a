//! The built program, over a socket.
#![allow(clippy::unwrap_used)] // The exemption for tests doesn't reach their helper functions.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{json, Value};

/// A running engine; killed when dropped.
struct Engine {
    process: Child,
    address: String,
}

impl Engine {
    fn start(options: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_mock-engine"))
            .args(["--listen", "127.0.0.1:0"])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { process, address }
    }

    fn connect(&self) -> BufReader<TcpStream> {
        let connection = TcpStream::connect(&self.address).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        BufReader::new(connection)
    }

    /// Sends one request, and reads until the engine closes the connection.
    fn exchange(&self, request: &str) -> String {
        let mut connection = self.connect();
        connection.get_mut().write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Reads one response with a Content-Length, and leaves what follows it.
fn read_response(connection: &mut impl BufRead) -> (String, Value) {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(connection.read_line(&mut head).unwrap(), 0, "closed after: {head}");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    connection.read_exact(&mut body).unwrap();
    (head, serde_json::from_slice(&body).unwrap())
}

fn post(path: &str, headers: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nHost: engine\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Asks for the counts again and again until they are as expected, or the time is up.
fn wait_for_stats(engine: &Engine, is_expected: impl Fn(&Value) -> bool) -> Value {
    let mut connection = engine.connect();
    let start = Instant::now();
    loop {
        connection.get_mut().write_all(b"GET /_mock/stats HTTP/1.1\r\n\r\n").unwrap();
        let (_, stats) = read_response(&mut connection);
        if is_expected(&stats) {
            return stats;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{stats}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn chat(fields: &Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

/// What a request was said to have made, as soon as it is as expected.
fn wait_for_made(engine: &Engine, expected: &Value) {
    let mut connection = engine.connect();
    let start = Instant::now();
    loop {
        connection.get_mut().write_all(b"GET /_mock/made HTTP/1.1\r\n\r\n").unwrap();
        let (_, made) = read_response(&mut connection);
        if made == *expected {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{made}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn llamacpp_makes_a_whole_answer_whose_client_has_left() {
    for (name, stream, output) in
        [("llamacpp", false, 50), ("llamacpp", true, 0), ("vllm", false, 0), ("vllm", true, 0)]
    {
        let engine = Engine::start(&["--engine", name, "--tokens", "50", "--latency-ms", "60000"]);
        let mut connection = engine.connect();
        let body = chat(&json!({"stream": stream}));
        let request = post("/v1/chat/completions", "", &body);
        connection.get_mut().write_all(request.as_bytes()).unwrap();
        wait_for_stats(&engine, |stats| stats["active"] == 1);
        drop(connection);
        wait_for_stats(&engine, |stats| stats["aborted"] == 1);
        wait_for_made(&engine, &json!({"input": 1, "output": output}));
    }
}

#[test]
fn one_connection_serves_request_after_request() {
    let engine = Engine::start(&["--tokens", "2"]);
    let mut connection = engine.connect();

    // The first two in one write, so that the second is already there when the first is answered.
    let pipelined = format!(
        "GET /health HTTP/1.1\r\n\r\n{}",
        post("/v1/chat/completions", "X-Mock-Tokens: 3\r\n", &chat(&json!({})))
    );
    connection.get_mut().write_all(pipelined.as_bytes()).unwrap();
    let (head, health) = read_response(&mut connection);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(health, json!({"status": "ok"}));
    let (_, answer) = read_response(&mut connection);
    assert_eq!(answer["usage"]["completion_tokens"], 3);

    let chunked = "PATCH /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    connection.get_mut().write_all(chunked.as_bytes()).unwrap();
    let (_, echo) = read_response(&mut connection);
    assert_eq!((&echo["method"], &echo["body"]), (&json!("PATCH"), &json!("x")));

    connection
        .get_mut()
        .write_all(b"GET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n")
        .unwrap();
    let (_, models) = read_response(&mut connection);
    assert_eq!(models["data"][0]["id"], "mock");
    assert_eq!(connection.read(&mut [0]).unwrap(), 0, "still open");
}

#[test]
fn a_stream_is_paced_and_ends_with_done() {
    let engine = Engine::start(&["--tokens", "4", "--token-delay-ms", "20"]);
    let body = chat(&json!({"stream": true, "stream_options": {"include_usage": true}}));

    let start = Instant::now();
    let answer = engine.exchange(&post("/v1/chat/completions", "Connection: close\r\n", &body));
    assert!(start.elapsed() >= Duration::from_millis(80));
    assert!(answer.contains("\r\nContent-Type: text/event-stream"), "{answer}");
    assert!(answer.contains("\r\nTransfer-Encoding: chunked\r\n"), "{answer}");
    assert!(answer.contains(r#""completion_tokens":4"#), "{answer}");
    assert!(answer.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n"), "{answer}");
}

#[test]
fn an_http_1_0_client_gets_a_stream_without_chunks() {
    let engine = Engine::start(&["--tokens", "1"]);
    let request = post("/v1/chat/completions", "", &chat(&json!({"stream": true})));
    let answer = engine.exchange(&request.replace("HTTP/1.1", "HTTP/1.0"));
    assert!(!answer.contains("chunked"), "{answer}");
    assert!(answer.ends_with("}\n\ndata: [DONE]\n\n"), "{answer}");
}

#[test]
fn errors_have_openais_shape() {
    let engine = Engine::start(&[]);
    let close = "Connection: close\r\n\r\n";
    for (request, status, code) in [
        (format!("GET /v1/nothing HTTP/1.1\r\n{close}"), "404", json!("unknown_url")),
        (format!("DELETE /health HTTP/1.1\r\n{close}"), "405", json!("method_not_allowed")),
        (format!("POST /v1/chat/completions HTTP/1.1\r\n{close}"), "400", Value::Null),
        ("nonsense\r\n\r\n".to_owned(), "400", Value::Null),
    ] {
        let answer = engine.exchange(&request);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        let error = &serde_json::from_str::<Value>(body).unwrap()["error"];
        assert!(error["message"].is_string());
        assert_eq!(error["type"], "invalid_request_error");
        assert_eq!(error["code"], code);
    }
    let answer = engine.exchange(&format!("HEAD /echo HTTP/1.1\r\n{close}"));
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn a_peer_that_goes_away_is_noticed_wherever_the_answer_is() {
    let engine = Engine::start(&[]);
    let stream = chat(&json!({"stream": true}));
    let whole = chat(&json!({}));
    // Pauses of an hour, which would outlast the test's patience by far.
    let hour = "3600000\r\n";
    for (number, (headers, body, first)) in [
        (format!("X-Mock-Latency-Ms: {hour}"), &stream, ""),
        (format!("X-Mock-Token-Delay-Ms: {hour}"), &stream, "data: "),
        ("X-Mock-Hold: 1\r\n".to_owned(), &stream, "tokens "),
        (format!("X-Mock-Latency-Ms: {hour}"), &whole, ""),
        (format!("X-Mock-Token-Delay-Ms: {hour}"), &whole, ""),
        ("X-Mock-Hold: 1\r\n".to_owned(), &whole, ""),
    ]
    .into_iter()
    .enumerate()
    {
        let mut connection = engine.connect();
        let request = post("/v1/chat/completions", &headers, body);
        connection.get_mut().write_all(request.as_bytes()).unwrap();
        let mut seen = String::new();
        while !seen.contains(first) {
            assert_ne!(connection.read_line(&mut seen).unwrap(), 0, "{headers}: {seen}");
        }
        wait_for_stats(&engine, |stats| stats["active"] == 1);
        drop(connection);
        let stats = wait_for_stats(&engine, |stats| stats["active"] == 0);
        assert_eq!(stats["aborted"], number + 1, "{headers}: {stats}");
    }
}

#[test]
fn a_pause_in_a_pipeline_does_not_eat_the_next_request() {
    let engine = Engine::start(&["--tokens", "1", "--latency-ms", "30"]);
    let mut connection = engine.connect();
    let one = post("/v1/chat/completions", "", &chat(&json!({})));
    // In three writes, so that the third comes during a pause and not with the request before.
    connection.get_mut().write_all(format!("{one}{one}").as_bytes()).unwrap();
    read_response(&mut connection);
    connection.get_mut().write_all(one.as_bytes()).unwrap();
    for _ in 0..2 {
        let (_, answer) = read_response(&mut connection);
        assert_eq!(answer["usage"]["completion_tokens"], 1);
    }
}

#[test]
fn a_cut_closes_the_connection() {
    let engine = Engine::start(&["--tokens", "4"]);
    let body = chat(&json!({"stream": true}));
    // Keepalive was asked for, and yet the connection ends.
    let answer = engine.exchange(&post("/v1/chat/completions", "X-Mock-Cut-After: 2\r\n", &body));
    assert!(answer.contains("opens ") || answer.contains("gate "), "{answer}");
    assert!(!answer.contains("[DONE]") && !answer.ends_with("0\r\n\r\n"), "{answer}");
}

#[test]
fn hundreds_of_streams_run_at_once() {
    const STREAMS: usize = 300;
    let engine = Engine::start(&["--tokens", "2"]);
    let request = post(
        "/api/generate",
        "X-Mock-Hold: 1\r\nConnection: close\r\n",
        &json!({"model": "m", "prompt": "a"}),
    );
    let streams: Vec<_> = (0..STREAMS)
        .map(|_| {
            let mut connection = engine.connect();
            connection.get_mut().write_all(request.as_bytes()).unwrap();
            connection
        })
        .collect();
    let stats = wait_for_stats(&engine, |stats| stats["tokens_sent"] == 2 * STREAMS);
    assert_eq!(stats["active"], STREAMS);
    drop(streams);
    wait_for_stats(&engine, |stats| stats["aborted"] == STREAMS);
}

#[test]
fn every_api_answers_over_a_socket() {
    let engine = Engine::start(&["--tokens", "3"]);
    let messages = json!([{"role": "user", "content": "a b"}]);
    let chat = json!({"model": "m", "messages": messages, "max_tokens": 3, "stream": true});
    let prompt = json!({"model": "m", "prompt": "a b", "input": "a b", "stream": true});
    let inputs = json!({"inputs": "a b", "stream": true});
    for (path, body, end) in [
        ("/v1/chat/completions", &chat, "data: [DONE]\n\n\r\n0\r\n\r\n"),
        ("/v1/completions", &prompt, "data: [DONE]\n\n\r\n0\r\n\r\n"),
        ("/v1/responses", &prompt, "}\n\n\r\n0\r\n\r\n"),
        ("/v1/messages", &chat, "data: {\"type\":\"message_stop\"}\n\n\r\n0\r\n\r\n"),
        ("/api/chat", &chat, "}\n\r\n0\r\n\r\n"),
        ("/api/generate", &prompt, "}\n\r\n0\r\n\r\n"),
        ("/", &inputs, "}\n\n\r\n0\r\n\r\n"),
        ("/generate_stream", &inputs, "}\n\n\r\n0\r\n\r\n"),
        ("/v1/embeddings", &prompt, "}"),
        ("/api/embed", &prompt, "}"),
        ("/generate", &inputs, "}"),
    ] {
        let answer = engine.exchange(&post(path, "Connection: close\r\n", body));
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {answer}");
        assert!(answer.ends_with(end), "{path}: {answer}");
    }
    let stats = wait_for_stats(&engine, |_| true);
    // Nine give out three tokens each, and embeddings none.
    assert_eq!((&stats["finished"], &stats["tokens_sent"]), (&json!(11), &json!(27)));
}

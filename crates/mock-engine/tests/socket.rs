//! The built program, over a socket.
#![allow(clippy::unwrap_used)] // The exemption for tests doesn't reach their helper functions.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
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

fn chat(fields: &Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
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

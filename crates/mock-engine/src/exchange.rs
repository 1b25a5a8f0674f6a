//! For tests: a request and its answer, without a socket.

use std::time::Duration;

use serde_json::Value;

use crate::http::{read_body, read_head};
use crate::options::Pace;
use crate::peer::Ended;
use crate::record::Record;
use crate::routes;

const PACE: Pace = Pace { latency: Duration::ZERO, token_delay: Duration::ZERO, tokens: 5 };

/// An answer as it was sent.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) head: String,
    /// Without chunks.
    pub(crate) body: Vec<u8>,
    /// The chunks, without the one that ends the body; none for a body of known length.
    pub(crate) chunks: Vec<Vec<u8>>,
    /// Whether all of the body came.
    pub(crate) complete: bool,
    /// What became of the connection.
    pub(crate) outcome: Result<bool, Ended>,
    pub(crate) stats: Value,
}

impl Reply {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The names and the data of plain server-sent events; data that is no JSON is a string.
    pub(crate) fn events(&self) -> Vec<(Option<&str>, Value)> {
        assert!(self.head.contains("\r\nContent-Type: text/event-stream"), "{}", self.head);
        self.text().split_terminator("\n\n").map(event).collect()
    }

    /// The objects of an NDJSON stream.
    pub(crate) fn lines(&self) -> Vec<Value> {
        assert!(self.head.contains("\r\nContent-Type: application/x-ndjson\r\n"), "{}", self.head);
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn event(text: &str) -> (Option<&str>, Value) {
    let mut name = None;
    let mut data = None;
    for line in text.lines() {
        let (field, value) = line.split_once(':').unwrap();
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => name = Some(value),
            "data" => data = Some(value),
            _ => panic!("unexpected line: {line}"),
        }
    }
    let data = data.unwrap();
    (name, serde_json::from_str(data).unwrap_or_else(|_| Value::from(data)))
}

/// Sends a POST; `headers` are lines without their ends.
pub(crate) fn post(path: &str, headers: &[&str], body: &Value) -> Reply {
    let body = body.to_string();
    let mut text = format!("POST {path} HTTP/1.1\r\nContent-Length: {}\r\n", body.len());
    headers.iter().for_each(|line| text.push_str(&format!("{line}\r\n")));
    send(&format!("{text}\r\n{body}"), &Record::default())
}

pub(crate) fn send(request: &str, record: &Record) -> Reply {
    let mut input = request.as_bytes();
    let head = read_head(&mut input).unwrap().unwrap();
    let mut request = read_body(&mut input, head).unwrap();
    let mut sent = Vec::new();
    let outcome = routes::answer(&mut request, PACE, None, record, &mut sent);

    let end = sent.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8(sent[..end].to_vec()).unwrap();
    let mut body = sent[end..].to_vec();
    let mut chunks = Vec::new();
    let mut complete = true;
    if head.contains("\r\nTransfer-Encoding: chunked\r\n") {
        (chunks, complete) = dechunk(&body);
        body = chunks.concat();
    } else if let Some((_, rest)) = head.split_once("\r\nContent-Length: ") {
        complete = rest.split_once('\r').unwrap().0.parse::<usize>().unwrap() == body.len();
    }
    Reply { head, body, chunks, complete, outcome, stats: record.stats() }
}

fn dechunk(mut body: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let mut chunks = Vec::new();
    while let Some(at) = body.iter().position(|&byte| byte == b'\r') {
        let size = std::str::from_utf8(&body[..at]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let chunk = &body[at + 2..at + 2 + size];
        body = body[at + 2 + size..].strip_prefix(b"\r\n").unwrap();
        if size == 0 {
            assert!(body.is_empty());
            return (chunks, true);
        }
        chunks.push(chunk.to_vec());
    }
    (chunks, false)
}

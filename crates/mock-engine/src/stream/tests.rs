//! Framing and faults, on the chat API unless they differ elsewhere.

use std::io::Read;

use serde_json::{json, Value};

use crate::exchange::{post, send, Reply};
use crate::peer::Ended;
use crate::record::Record;
use crate::stream::Template;

fn chat(headers: &[&str]) -> Reply {
    let body = json!({"model": "m", "messages": ["x"], "stream": true});
    post("/v1/chat/completions", headers, &body)
}

/// Without the ids and the times, which differ from one answer to the next.
fn normal(bytes: &[u8]) -> String {
    let text = std::str::from_utf8(bytes).unwrap();
    let digits = |part: &str| part.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned();
    ["chatcmpl-mock-", "\"created\":"].iter().fold(text.to_owned(), |text, mark| {
        let (first, rest) = text.split_once(mark).unwrap();
        first.to_owned() + &rest.split(mark).map(digits).collect::<String>()
    })
}

#[test]
fn chunks_hold_whole_events() {
    let reply = chat(&["X-Mock-Tokens: 3"]);
    // Role, three tokens, finish reason, [DONE].
    assert_eq!(reply.chunks.len(), 6);
    assert!(reply.chunks.iter().all(|c| c.starts_with(b"data: ") && c.ends_with(b"\n\n")));
    assert!(reply.complete);
    assert_eq!(reply.outcome, Ok(true));
}

#[test]
fn lines_end_as_asked() {
    let plain = normal(&chat(&[]).body);
    for (name, end) in [("lf", "\n"), ("cr", "\r"), ("crlf", "\r\n")] {
        let reply = chat(&[&format!("X-Mock-Line-End: {name}")]);
        assert_eq!(normal(&reply.body), plain.replace('\n', end));
    }
}

#[test]
fn a_byte_order_mark_and_comments_come_where_asked() {
    let plain = normal(&chat(&[]).body);
    assert_eq!(normal(&chat(&["X-Mock-Bom: 1"]).body), format!("\u{feff}{plain}"));
    let commented = plain.replace("data:", ": keep-alive\n\ndata:");
    assert_eq!(normal(&chat(&["X-Mock-Comments: 1"]).body), commented);

    let lines = post(
        "/api/chat",
        &["X-Mock-Bom: 1", "X-Mock-Comments: 1"],
        &json!({"model": "m", "messages": ["x"]}),
    );
    assert!(lines.body.starts_with(b"{"));
}

#[test]
fn a_body_is_cut_into_pieces_of_the_size_asked_for() {
    for size in [1, 2, 7, 64, 100_000] {
        let header = format!("X-Mock-Split: {size}");
        let stream = chat(&[&header]);
        assert_eq!(normal(&stream.body), normal(&chat(&[]).body));
        let whole = post("/v1/embeddings", &[&header], &json!({"model": "m", "input": "a"}));
        assert_eq!(whole.json()["usage"]["prompt_tokens"], 1);
        for reply in [stream, whole] {
            assert!(reply.complete);
            let (last, others) = reply.chunks.split_last().unwrap();
            assert!(others.iter().all(|chunk| chunk.len() == size), "{size}");
            assert!((1..=size).contains(&last.len()));
        }
    }
}

#[test]
fn gzip_decodes_to_the_same() {
    let plain = normal(&chat(&[]).body);
    for headers in [
        &["X-Mock-Encoding: always"][..],
        &["X-Mock-Encoding: auto", "Accept-Encoding: gzip"],
        &["X-Mock-Encoding: always", "X-Mock-Split: 3"],
    ] {
        let reply = chat(headers);
        assert!(reply.head.contains("\r\nContent-Encoding: gzip\r\n"), "{}", reply.head);
        assert_eq!(normal(&gunzip(&reply.body)), plain);
    }
    let reply = chat(&["X-Mock-Encoding: auto", "Accept-Encoding: identity"]);
    assert!(!reply.head.contains("Content-Encoding"), "{}", reply.head);
    assert_eq!(normal(&reply.body), plain);

    let body = json!({"model": "m", "input": "a"});
    let reply = post("/v1/embeddings", &["X-Mock-Encoding: always"], &body);
    assert!(reply.complete);
    assert!(serde_json::from_slice::<Value>(&gunzip(&reply.body)).is_ok());
}

/// Undoes stored blocks.
fn gunzip(mut bytes: &[u8]) -> Vec<u8> {
    let mut head = [0; 10];
    bytes.read_exact(&mut head).unwrap();
    assert_eq!(head[..3], [0x1f, 0x8b, 8]);
    let mut plain = Vec::new();
    loop {
        let mut block = [0; 5];
        bytes.read_exact(&mut block).unwrap();
        let length = usize::from(u16::from_le_bytes([block[1], block[2]]));
        plain.extend(&bytes[..length]);
        bytes = &bytes[length..];
        if block[0] == 1 {
            // CRC and length.
            assert_eq!(bytes.len(), 8);
            assert_eq!(bytes[4..], u32::try_from(plain.len()).unwrap().to_le_bytes());
            return plain;
        }
    }
}

#[test]
fn a_stream_is_cut_after_so_many_deltas() {
    for deltas in 0..=5 {
        let reply = chat(&[&format!("X-Mock-Cut-After: {deltas}")]);
        assert_eq!(reply.outcome, Err(Ended::Cut));
        assert!(!reply.complete);
        assert!(!reply.text().contains("finish_reason\":\"stop"));
        let contents = reply.text().matches(r#""content":""#).count();
        assert_eq!(contents, 1 + deltas, "the role has an empty one");
        assert_eq!(reply.stats["tokens_sent"], deltas);
        assert_eq!((&reply.stats["cut"], &reply.stats["finished"]), (&json!(1), &json!(0)));
    }
    let reply = chat(&["X-Mock-Cut-After: 6"]);
    assert!(reply.complete);
    assert_eq!(reply.outcome, Ok(true));
}

#[test]
fn a_whole_answer_is_cut_in_the_middle() {
    let body = json!({"model": "m", "messages": ["x"]});
    let reply = post("/v1/chat/completions", &["X-Mock-Cut-After: 1"], &body);
    assert_eq!(reply.outcome, Err(Ended::Cut));
    assert!(!reply.complete && !reply.body.is_empty());
}

#[test]
fn a_held_stream_has_its_deltas_and_no_end() {
    // The peer of a test goes away when it is waited for.
    let reply = chat(&["X-Mock-Hold: 1"]);
    assert_eq!(reply.outcome, Err(Ended::Gone));
    assert_eq!(reply.stats["aborted"], 1);
    assert_eq!(reply.stats["tokens_sent"], 5);
    assert!(!reply.text().contains("[DONE]"));
}

#[test]
fn without_chunks_the_connection_ends_a_stream() {
    let body = json!({"model": "m", "messages": ["x"], "stream": true}).to_string();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.0\r\nConnection: keep-alive\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let reply = send(&request, &Record::default());
    assert!(reply.head.contains("\r\nConnection: close\r\n"), "{}", reply.head);
    assert!(reply.text().ends_with("}\n\ndata: [DONE]\n\n"));
    assert_eq!(reply.outcome, Ok(false));
}

#[test]
fn bodies_come_back_byte_for_byte() {
    let record = Record::default();
    // Not JSON: what was received is kept all the same.
    for (id, body) in [("one", "{\"a\":  1}\u{e9}"), ("two", "")] {
        let length = body.len();
        let head = format!("X-Request-ID: {id}\r\nContent-Length: {length}");
        send(&format!("POST /v1/responses HTTP/1.1\r\n{head}\r\n\r\n{body}"), &record);
    }
    let get = |path: &str| send(&format!("GET /_mock/{path} HTTP/1.1\r\n\r\n"), &record);
    assert_eq!(get("body/one").text(), "{\"a\":  1}\u{e9}");
    assert_eq!(get("last-body").text(), "");
    assert!(get("body/three").head.starts_with("HTTP/1.1 404 "));
    assert_eq!(get("stats").json()["started"], 0);
}

#[test]
fn a_template_puts_words_in_its_gap() {
    let template = Template::new(&json!({"a": "\"b\":\"\"", "b": "", "c": "b"}), "b");
    let mut data = String::new();
    for word in ["x", "", "{\"", "\\"] {
        template.fill(word, &mut data);
        let filled: Value = serde_json::from_str(&data).unwrap();
        assert_eq!(filled, json!({"a": "\"b\":\"\"", "b": word, "c": "b"}));
    }
}

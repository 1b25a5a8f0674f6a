//! What is promised of an answer that is shown.

use std::sync::Arc;

use super::*;

pub(crate) mod channel;
mod chat;
mod dialects;
mod familiar;
mod heard;

pub(crate) use channel::{BLOCKED, CARD, LABEL, MASKED, SECRET};

pub(crate) const REFUSAL: &str = r#"{"error":{"message":"No.","type":"invalid_request_error","param":null,"code":"content_policy"}}"#;

fn guarded(changes: bool) -> Guarded {
    Guarded { guard: Arc::default(), vault: None, leak: None, changes }
}

/// What the client sees, and what showed it.
pub(crate) fn show<'a>(
    endpoint: Endpoint,
    body: Body,
    changes: bool,
    buffers: impl IntoIterator<Item = &'a [u8]>,
) -> (String, Shown) {
    let mut shown = Shown::new(Some(endpoint), body, guarded(changes), REFUSAL);
    let mut out = Vec::new();
    for (index, buffer) in buffers.into_iter().enumerate() {
        let part = match index % 3 {
            0 => Part::Held(buffer),
            _ => Part::Range(0..buffer.len()),
        };
        shown.read(&part, buffer, &mut |part| match part {
            Part::Held(bytes) => out.extend_from_slice(bytes),
            Part::Range(range) => out.extend_from_slice(&buffer[range]),
        });
    }
    shown.finish(&mut |part| match part {
        Part::Held(bytes) => out.extend_from_slice(bytes),
        Part::Range(range) => assert!(range.is_empty()),
    });
    (String::from_utf8(out).unwrap(), shown)
}

pub(crate) const SSE: Body = Body::Documents(Some(Format::Sse));
pub(crate) const JSON: Body = Body::Documents(Some(Format::Json));
pub(crate) const NDJSON: Body = Body::Documents(Some(Format::Ndjson));

/// The same however the answer is cut.
pub(crate) fn shown(endpoint: Endpoint, body: Body, answer: &str) -> String {
    let bytes = answer.as_bytes();
    let (whole, _) = show(endpoint, body, true, [bytes]);
    for size in [1, 2, 3, 7, 50] {
        let (cut, _) = show(endpoint, body, true, bytes.chunks(size));
        assert_eq!(cut, whole, "{size}");
    }
    for middle in (0..bytes.len().min(2000)).step_by(if bytes.len() > 500 { 3 } else { 1 }) {
        let (cut, _) = show(endpoint, body, true, [&bytes[..middle], &bytes[middle..]]);
        assert_eq!(cut, whole, "{middle}");
    }
    let (watched, _) = show(endpoint, body, false, bytes.chunks(11));
    assert_eq!(watched, answer, "where nothing may be changed, all passes");
    whole
}

#[test]
fn what_a_content_type_promises() {
    for plain in ["text/plain", "TEXT/VTT", "text/srt ; charset=x", "application/x-subrip"] {
        assert_eq!(Body::of(plain.as_bytes(), false), Body::Plain, "{plain}");
        assert_eq!(Body::of(plain.as_bytes(), true), Body::Opaque, "{plain}");
    }
    for opaque in ["audio/mpeg", "image/png", "Video/mp4", "application/octet-stream"] {
        assert_eq!(Body::of(opaque.as_bytes(), false), Body::Opaque, "{opaque}");
    }
    for other in ["application/json", "text/event-stream", "text/plainer", ""] {
        assert!(matches!(Body::of(other.as_bytes(), false), Body::Documents(_)), "{other}");
    }
}

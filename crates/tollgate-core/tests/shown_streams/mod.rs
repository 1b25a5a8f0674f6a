//! Streams, and what a client makes of them.

use std::sync::Arc;

use tollgate_core::guards::{Action, Guard};
use tollgate_core::llm::meter::{Format, Part};
use tollgate_core::llm::shown::{Body, Guarded, Halt, Shown};
use tollgate_core::llm::Endpoint;
use tollgate_guard::finding::RuleIndex;
use tollgate_guard::settings::{Settings, What, Wish};
use tollgate_guard::stream::StreamGuard;

mod cuts;
mod read;
mod recorded;

/// What is masked, and what takes its place.
const CARD: &str = "4111-é-\"1111";
const LABEL: &str = "[CARD]";

/// What ends an answer.
const SECRET: &str = "open sesame";

const REFUSAL: &str = r#"{"error":{"message":"No.","type":"invalid_request_error","param":null,"code":"content_policy"}}"#;

const SSE: Body = Body::Documents(Some(Format::Sse));
const JSON: Body = Body::Documents(Some(Format::Json));
const NDJSON: Body = Body::Documents(Some(Format::Ndjson));

/// A guard that masks a word, and blocks [`SECRET`].
fn guard_against(word: &str) -> Arc<StreamGuard> {
    let pattern = |name: &str, text: &str, action| {
        let hex = text.chars().map(|c| format!("\\x{{{:x}}}", u32::from(c)));
        let what = What::Pattern { name: name.into(), pattern: hex.collect::<String>().into() };
        Wish { what, action, threshold: None }
    };
    let wishes =
        vec![pattern("card", word, Action::Mask), pattern("secret", SECRET, Action::Block)];
    Guard::new(&Settings { wishes }).unwrap().stream().unwrap()
}

/// What the client sees, and what showed it.
fn show<'a>(
    guard: &Arc<StreamGuard>,
    endpoint: Endpoint,
    body: Body,
    changes: bool,
    buffers: impl IntoIterator<Item = &'a [u8]>,
) -> (String, Shown) {
    let guarded = Guarded { guard: Arc::clone(guard), vault: None, leak: None, changes };
    let mut shown = Shown::new(Some(endpoint), body, guarded, REFUSAL);
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

//! What it costs to show a stream through a guard.
//!
//! `cargo bench -p tollgate-core --bench shown` prints the nanoseconds of a chunk. With `-- content 1000` it shows a
//! stream of so many chunks, and prints nothing: for `valgrind --tool=callgrind`; the difference between 1000 and
//! 2000 of them is what 1000 cost. Other streams: `usage` (with running usage), `choices` (two in turn), `tokens`
//! (with logprobs, which are taken out), `responses`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark")]

use std::hint::black_box;
use std::time::Instant;

use tollgate_core::guards::{Action, Guard};
use tollgate_core::llm::meter::{Format, Part};
use tollgate_core::llm::shown::{Body, Guarded, Shown};
use tollgate_core::llm::Endpoint;
use tollgate_guard::settings::{Settings, What, Wish};

const KINDS: [&str; 5] = ["content", "usage", "choices", "tokens", "responses"];

fn chunk(kind: &str, number: usize, text: &str) -> String {
    let index = if kind == "choices" { number % 2 } else { 0 };
    let usage = match kind {
        "usage" => format!(
            ",\"usage\":{{\"prompt_tokens\":20,\"total_tokens\":{},\"completion_tokens\":{number}}}",
            20 + number
        ),
        _ => String::new(),
    };
    let logprobs = match kind {
        "tokens" => format!("{{\"content\":[{{\"token\":\"{text}\",\"logprob\":-0.5,\"bytes\":[1,2],\"top_logprobs\":[]}}]}}"),
        _ => "null".to_owned(),
    };
    if kind == "responses" {
        return format!(
            "event: response.output_text.delta\ndata: {{\"content_index\":0,\"delta\":\"{text}\",\"item_id\":\"msg_958aad89c479eb2f\",\
             \"logprobs\":[],\"output_index\":0,\"sequence_number\":{number},\"type\":\"response.output_text.delta\"}}\n\n"
        );
    }
    format!(
        "data: {{\"id\":\"chatcmpl-0000000000000001\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\
         \"model\":\"mock\",\"choices\":[{{\"index\":{index},\"delta\":{{\"content\":\"{text}\"}},\"logprobs\":{logprobs},\
         \"finish_reason\":null}}]{usage}}}\n\n"
    )
}

fn show(kind: &str, chunks: usize) {
    let endpoint = if kind == "responses" { Endpoint::Responses } else { Endpoint::Chat };
    let wish = |what| Wish { what, action: Action::Mask, threshold: None };
    let wishes = vec![wish(What::Pii(Vec::new())), wish(What::Secrets(Vec::new()))];
    let guard = Guard::new(&Settings { wishes }).unwrap().stream().unwrap();
    let guarded = Guarded { guard, vault: None, leak: None, changes: true };
    let body = Body::Documents(Some(Format::Sse));
    let mut shown = Shown::new(Some(endpoint), body, guarded, "{}");
    let words = ["to", "ken", "s", " of", " a", "n", " answer", "\\n", " that", " is", " long"];
    let events: Vec<String> = (0..2 * words.len())
        .map(|number| chunk(kind, number, words.get(number % words.len()).unwrap()))
        .collect();
    let start = Instant::now();
    for event in events.iter().cycle().take(chunks) {
        let buffer = black_box(event.as_bytes());
        shown.read(&Part::Range(0..buffer.len()), buffer, &mut |part| {
            black_box(part);
        });
    }
    let elapsed = start.elapsed();
    black_box(shown.counts());
    if chunks > 10_000 {
        println!(
            "{kind:<10} {:>6} ns a chunk",
            elapsed.as_nanos() / u128::try_from(chunks).unwrap()
        );
    }
}

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.as_slice() {
        [kind, chunks, ..] => show(kind, chunks.parse().unwrap()),
        _ => KINDS.iter().for_each(|kind| show(kind, 200_000)),
    }
}

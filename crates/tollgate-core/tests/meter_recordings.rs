//! Answers recorded from a real engine (../shared/vectors/engines): what the meter says of each is
//! what a parser of the whole says, wherever it is cut, and the client gets every byte.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::path::PathBuf;
use std::{env, fs};

use serde_json::Value;
use tollgate_core::llm::meter::{settle, Asked, Format, Hides, Meter, Part, Terms};
use tollgate_core::llm::{Endpoint, Engine, Source, Usage};

const RESERVED: Usage = Usage { input: 1_000, output: 1_000, cached_input: 0, reasoning: 0 };

const TERMS: Terms = Terms { reserved: RESERVED, most_output: 1_000, stream: true, goes_on: true };

struct Recording {
    name: String,
    endpoint: Endpoint,
    format: Format,
    body: Vec<u8>,
}

fn recordings() -> Vec<Recording> {
    let vectors = match env::var_os("TOLLGATE_VECTORS") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
    };
    let Ok(files) = fs::read_dir(vectors.join("engines/llamacpp")) else {
        println!("skipped: no vectors");
        return Vec::new();
    };
    let recordings: Vec<_> = files
        .map(|file| file.unwrap())
        .filter_map(|file| {
            let name = file.file_name().into_string().unwrap();
            let name = name.strip_suffix(".response.http")?.to_owned();
            Some(recording(name, &fs::read(file.path()).unwrap()))
        })
        .collect();
    assert_eq!(recordings.len(), 11);
    recordings
}

fn recording(name: String, response: &[u8]) -> Recording {
    let head_len = response.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let head = str::from_utf8(&response[..head_len]).unwrap();
    let content_type = head.lines().find_map(|line| line.strip_prefix("Content-Type: ")).unwrap();
    let endpoint = match name.split('-').next().unwrap() {
        "chat" | "error" => Endpoint::Chat,
        "completion" => Endpoint::Completions,
        "messages" => Endpoint::Messages,
        "responses" => Endpoint::Responses,
        other => panic!("no endpoint for {other}"),
    };
    Recording {
        name,
        endpoint,
        format: Format::of_content_type(content_type.as_bytes()).unwrap(),
        body: response[head_len + 4..].to_vec(),
    }
}

/// The documents of an answer, each parsed in one go.
fn documents(recording: &Recording) -> Vec<Value> {
    let body = str::from_utf8(&recording.body).unwrap();
    match recording.format {
        Format::Json => vec![serde_json::from_str(body).unwrap()],
        _ => body
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .filter(|data| *data != "[DONE]")
            .map(|data| serde_json::from_str(data).unwrap())
            .collect(),
    }
}

/// The members of every `usage`, the last of each name; they are told apart by their names.
fn expected_usage(recording: &Recording) -> Option<Usage> {
    let mut found = None::<Usage>;
    for document in documents(recording) {
        for parent in [&document, &document["response"], &document["message"]] {
            let usage = &parent["usage"];
            let count = |pointer: &str| usage.pointer(pointer).and_then(Value::as_u64);
            let either = |a: &str, b: &str| count(a).or_else(|| count(b));
            if !usage.is_object() {
                continue;
            }
            let found = found.get_or_insert_default();
            let cached = count("/cache_read_input_tokens");
            if let Some(input) = either("/prompt_tokens", "/input_tokens") {
                found.input = input + cached.unwrap_or(0);
            }
            if let Some(output) = either("/completion_tokens", "/output_tokens") {
                found.output = output;
            }
            let details = either(
                "/prompt_tokens_details/cached_tokens",
                "/input_tokens_details/cached_tokens",
            );
            if let Some(cached) = cached.or(details) {
                found.cached_input = cached;
            }
        }
    }
    found
}

fn has_usage_only(document: &Value) -> bool {
    document["choices"].as_array().is_some_and(Vec::is_empty) && document["usage"].is_object()
}

/// What the client gets, and what is charged.
fn relay(recording: &Recording, hide: bool, cuts: &[usize]) -> (Vec<u8>, (Usage, Source)) {
    let choices = if recording.name.ends_with("-n2") { 2 } else { 1 };
    let asked = Asked {
        hides: Hides { usage: hide, running_usage: false },
        choices,
        per_prompt: choices,
        ..Asked::one(recording.endpoint, Engine::LlamaCpp)
    };
    let mut meter = Meter::new(asked, Some(recording.format));
    let mut got = Vec::new();
    let mut start = 0;
    for end in cuts.iter().copied().chain([recording.body.len()]) {
        let buffer = &recording.body[start..end];
        meter.read(buffer, &mut |part| match part {
            Part::Held(bytes) => got.extend_from_slice(bytes),
            Part::Range(range) => got.extend_from_slice(&buffer[range]),
        });
        start = end;
    }
    meter.finish(&mut |part| {
        if let Part::Held(bytes) = part {
            got.extend_from_slice(bytes);
        }
    });
    (got, settle(meter.reading().as_ref(), &TERMS, false))
}

fn expected_charge(recording: &Recording) -> (Usage, Source) {
    match (expected_usage(recording), recording.name.as_str()) {
        (Some(usage), _) => (usage, Source::Measured),
        (None, "error") => (Usage::default(), Source::None),
        (None, _) => {
            let deltas = documents(recording)
                .iter()
                .filter_map(|event| event["choices"][0]["delta"]["content"].as_str())
                .filter(|content| !content.is_empty())
                .fold(0, |count, _| count + 1);
            assert!(deltas > 0, "{}", recording.name);
            (Usage { input: RESERVED.input, output: deltas, ..Usage::default() }, Source::Estimated)
        }
    }
}

#[test]
fn recordings_are_charged_as_the_engine_said() {
    let mut measured = 0;
    for recording in recordings() {
        let expected = expected_charge(&recording);
        measured += usize::from(expected.1 == Source::Measured);
        let (got, charged) = relay(&recording, false, &[]);
        assert_eq!(charged, expected, "{}", recording.name);
        assert_eq!(got, recording.body, "{}", recording.name);
    }
    println!("{measured} recordings with usage");
}

#[test]
fn a_cut_anywhere_makes_no_difference() {
    for recording in recordings() {
        let (body, charged) = relay(&recording, false, &[]);
        let (shown, _) = relay(&recording, true, &[]);
        for cut in 0..=recording.body.len() {
            let hide = cut % 2 == 0;
            let (got, charge) = relay(&recording, hide, &[cut]);
            assert_eq!(charge, charged, "{} at {cut}", recording.name);
            assert!(got == if hide { &*shown } else { &*body }, "{} at {cut}", recording.name);
        }
        for step in [1, 2, 3, 7, 64, 1_000] {
            let cuts: Vec<_> = (0..recording.body.len()).step_by(step).collect();
            for (hide, expected) in [(false, &body), (true, &shown)] {
                let (got, charge) = relay(&recording, hide, &cuts);
                assert_eq!(charge, charged, "{} by {step}", recording.name);
                assert!(got == *expected, "{} by {step}", recording.name);
            }
        }
    }
}

#[test]
fn exactly_the_usage_only_events_are_hidden() {
    let mut hidden = 0;
    for recording in recordings() {
        let body = str::from_utf8(&recording.body).unwrap();
        let shown: String = match recording.format {
            Format::Sse => body
                .split_inclusive("\n\n")
                .filter(|event| {
                    let data = event.lines().find_map(|line| line.strip_prefix("data: "));
                    let document = serde_json::from_str(data.unwrap());
                    !document.is_ok_and(|document| has_usage_only(&document))
                })
                .collect(),
            _ => body.to_owned(),
        };
        hidden += usize::from(shown != body);
        let (got, _) = relay(&recording, true, &[]);
        assert_eq!(str::from_utf8(&got).unwrap(), shown, "{}", recording.name);
    }
    println!("{hidden} recordings with an event that is hidden");
}

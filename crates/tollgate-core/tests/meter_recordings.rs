//! Answers recorded from real engines (../shared/engines/recordings, and the older ones among the
//! vectors): what is charged is what the engine did by its own count, whole and cut at every byte, and a
//! client that didn't ask for usage sees what it would see without us.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::Value;
use tollgate_core::llm::meter::{settle, Asked, Format, Hides, Meter, Part, Reading, Terms};
use tollgate_core::llm::{request, Endpoint, Engine, Source, Usage};

/// What is reserved where the client sets no bound.
const GUESS: u64 = 1_000;

/// The estimate of every input.
const ESTIMATE: u64 = 5;

struct Recording {
    name: String,
    asked: Asked,
    stream: bool,
    promised: Option<Format>,
    body: Vec<u8>,
}

fn shared(variable: &str, folder: &str) -> PathBuf {
    match env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(folder),
    }
}

/// All recordings of answers with 2xx that are read; `name` of one has its engine.
fn recordings() -> Vec<Recording> {
    let engines = shared("TOLLGATE_ENGINES", "engines").join("recordings");
    let mut recordings = Vec::new();
    for (folder, engine) in [
        ("llamacpp", Engine::LlamaCpp),
        ("vllm", Engine::Vllm),
        // Its API is OpenAI's, and it has no name of its own with us.
        ("transformers", Engine::OpenAi),
    ] {
        let Ok(index) = fs::read_to_string(engines.join(folder).join("INDEX.tsv")) else {
            println!("skipped: no recordings of {folder}");
            continue;
        };
        for line in index.lines().skip(1) {
            let fields: Vec<_> = line.split('\t').collect();
            let (Some(endpoint), "200") = (endpoint(engine, fields[2]), fields[3]) else {
                continue;
            };
            recordings.push(recording(&engines.join(folder), folder, fields[0], endpoint, engine));
        }
    }
    let vectors = shared("TOLLGATE_VECTORS", "vectors").join("engines/llamacpp");
    for name in ["chat", "chat-stream", "chat-stream-usage", "completion", "completion-n2"] {
        if vectors.exists() {
            let endpoint = match name.starts_with("chat") {
                true => Endpoint::Chat,
                false => Endpoint::Completions,
            };
            recordings.push(recording(&vectors, "vectors", name, endpoint, Engine::LlamaCpp));
        }
    }
    recordings
}

fn endpoint(engine: Engine, path: &str) -> Option<Endpoint> {
    Some(match path {
        "/v1/chat/completions" => Endpoint::Chat,
        "/v1/chat/completions/batch" => Endpoint::ChatBatch,
        "/v1/completions" => Endpoint::Completions,
        "/v1/responses" => Endpoint::Responses,
        "/v1/messages" => Endpoint::Messages,
        "/v1/embeddings" => Endpoint::Embeddings,
        "/completion" if engine == Engine::LlamaCpp => Endpoint::LlamaCompletion,
        // By the shape of its body.
        "/invocations" => Endpoint::Chat,
        "/inference/v1/generate" => Endpoint::TokenGenerate,
        "/generative_scoring" => Endpoint::GenerativeScoring,
        "/v2/embed" => Endpoint::CohereEmbed,
        "/pooling" => Endpoint::Pooling,
        "/score" => Endpoint::Score,
        "/v1/rerank" => Endpoint::Rerank,
        _ => return None,
    })
}

fn recording(
    folder: &Path,
    engine_name: &str,
    name: &str,
    endpoint: Endpoint,
    engine: Engine,
) -> Recording {
    let response = fs::read(folder.join(format!("{name}.response.http"))).unwrap();
    let asked = fs::read(folder.join(format!("{name}.request.json"))).unwrap();
    let head_len = response.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let head = str::from_utf8(&response[..head_len]).unwrap().to_ascii_lowercase();
    let content_type = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap();
    let request = request::parse(&asked, endpoint, engine).unwrap();
    Recording {
        name: format!("{engine_name}/{name}"),
        asked: Asked {
            choices: request.choices,
            per_prompt: request.per_prompt,
            output_bound: request.output_bound,
            ..Asked::one(endpoint, engine)
        },
        stream: request.stream,
        promised: Format::of_content_type(content_type.as_bytes()),
        body: response[head_len + 4..].to_vec(),
    }
}

/// What the engine did, where that isn't what `usage` says: input, output, and how it is known. In the
/// input, 0 stands for the estimate.
fn done(name: &str) -> Option<(u64, u64, Source)> {
    Some(match name {
        // Two answers at their bound, of which the usage of the first is said.
        "llamacpp/chat-n2" => (31, 12, Source::Measured),
        "llamacpp/completion-n2" => (9, 10, Source::Measured),
        // Of three prompts, the input of the first is said.
        "llamacpp/completion-prompts" => (9, 15, Source::Estimated),
        // In its timings.
        "llamacpp/chat-stream" => (31, 12, Source::Measured),
        "llamacpp/native-completion" | "llamacpp/native-completion-stream" => {
            (9, 8, Source::Measured)
        }
        "vectors/chat-stream" => (31, 12, Source::Measured),
        "vectors/completion-n2" => (5, 12, Source::Measured),
        // Twelve, in ten chunks.
        "vllm/chat-stream" => (0, 10, Source::Estimated),
        // Answered before anything is made: as reserved.
        "vllm/responses-background" => (0, 8, Source::Estimated),
        _ => return None,
    })
}

/// The documents of an answer, each parsed in one go.
fn documents(recording: &Recording) -> Vec<Value> {
    let body = str::from_utf8(&recording.body).unwrap();
    match recording.promised {
        Some(Format::Sse) => body
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .filter(|data| *data != "[DONE]")
            .map(|data| serde_json::from_str(data).unwrap())
            .collect(),
        _ => vec![serde_json::from_str(body).unwrap()],
    }
}

/// The members of every `usage`, the last of each name; they are told apart by their names.
fn said(recording: &Recording) -> Option<Usage> {
    let mut found = None::<Usage>;
    for document in documents(recording) {
        for usage in [
            &document["usage"],
            &document["response"]["usage"],
            &document["message"]["usage"],
            &document["meta"]["billed_units"],
        ] {
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

fn deltas(recording: &Recording) -> u64 {
    let text = |document: &Value| {
        [
            "/choices/0/delta/content",
            "/choices/0/delta/reasoning",
            "/choices/0/text",
            "/delta",
            "/delta/text",
            "/content",
        ]
        .iter()
        .any(|at| document.pointer(at).and_then(Value::as_str).is_some_and(|text| !text.is_empty()))
    };
    documents(recording).iter().filter(|document| text(document)).fold(0, |sum, _| sum + 1)
}

fn expected(recording: &Recording) -> (u64, u64, Source) {
    let name = recording.name.as_str();
    if let Some((input, output, source)) = done(name) {
        return (if input == 0 { ESTIMATE } else { input }, output, source);
    }
    if name.ends_with("-engine-died") {
        return (ESTIMATE, deltas(recording), Source::Partial);
    }
    let said = said(recording).unwrap_or_else(|| panic!("{name} says nothing"));
    (said.input, said.output, Source::Measured)
}

fn terms(recording: &Recording) -> Terms {
    let Asked { endpoint, choices, output_bound, .. } = recording.asked;
    let bound = output_bound.map(|bound| bound * choices);
    let output = if endpoint.has_output() { bound.unwrap_or(GUESS) } else { 0 };
    Terms {
        reserved: Usage { input: ESTIMATE, output, ..Usage::default() },
        most_output: bound.unwrap_or(u64::MAX),
        stream: recording.stream,
        goes_on: recording.asked.engine.goes_on_after_client_left(),
    }
}

fn charge(recording: &Recording, reading: Option<&Reading>, cut: bool) -> (u64, u64, Source) {
    let (usage, source) = settle(reading, &terms(recording), cut);
    (usage.input, usage.output, source)
}

/// What the client gets of the answer, which comes in pieces, and what was read.
fn relay(recording: &Recording, hides: Hides, cuts: &[usize]) -> (Vec<u8>, Option<Reading>) {
    let mut meter = Meter::new(Asked { hides, ..recording.asked }, recording.promised);
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
    (got, meter.reading())
}

const NOTHING: Hides = Hides { usage: false, running_usage: false };
const ALL: Hides = Hides { usage: true, running_usage: true };

#[test]
fn recordings_are_charged_as_the_engine_did() {
    let mut count = 0;
    for mut recording in recordings() {
        let expected = expected(&recording);
        // Whatever type it is sent as.
        for promised in [recording.promised, None, Some(Format::Json), Some(Format::Sse)] {
            recording.promised = promised;
            let (got, reading) = relay(&recording, NOTHING, &[]);
            let charged = charge(&recording, reading.as_ref(), false);
            assert_eq!(charged, expected, "{} as {promised:?}", recording.name);
            assert_eq!(got, recording.body, "{}", recording.name);
        }
        count += 1;
    }
    println!("{count} recordings");
}

/// The format that the body has.
fn original(recording: &Recording) -> Option<Format> {
    match recording.body.first() {
        Some(b'{' | b'[') => Some(Format::Json),
        _ => Some(Format::Sse),
    }
}

#[test]
fn a_cut_anywhere_between_buffers_makes_no_difference() {
    for recording in recordings() {
        let (body, reading) = relay(&recording, NOTHING, &[]);
        let (shown, _) = relay(&recording, ALL, &[]);
        let len = recording.body.len();
        let step = (len / 500).max(1);
        for cut in (0..=len).step_by(step) {
            let hide = cut % 2 == 0;
            let (got, read) = relay(&recording, if hide { ALL } else { NOTHING }, &[cut]);
            assert_eq!(read, reading, "{} at {cut}", recording.name);
            assert!(got == if hide { &*shown } else { &*body }, "{} at {cut}", recording.name);
        }
        for step in [1, 2, 3, 7, 64, 1_000] {
            let cuts: Vec<_> = (0..len).step_by(step).collect();
            for (hides, expected) in [(NOTHING, &body), (ALL, &shown)] {
                let (got, read) = relay(&recording, hides, &cuts);
                assert_eq!(read, reading, "{} by {step}", recording.name);
                assert!(got == *expected, "{} by {step}", recording.name);
            }
        }
    }
}

#[test]
fn an_answer_cut_off_anywhere_costs_what_came_at_least_and_what_the_engine_did_at_most() {
    for recording in recordings() {
        let (_, did, _) = expected(&recording);
        let did = match recording.name.as_str() {
            "vllm/chat-stream" => 12,
            _ => did,
        };
        let inputs = [ESTIMATE, expected(&recording).0];
        let mut meter = Meter::new(recording.asked, recording.promised);
        let is_stream = original(&recording) == Some(Format::Sse);
        for len in 0..recording.body.len() {
            let mut cut = meter.clone();
            cut.finish(&mut |_| {});
            let reading = cut.reading();
            let (input, output, source) = charge(&recording, reading.as_ref(), true);
            let context = || format!("{} at {len}: {reading:?}", recording.name);
            assert!(matches!(source, Source::Partial | Source::Measured | Source::Estimated));
            let is_share = is_stream && input < inputs[1] && recording.asked.choices > 1;
            assert!(inputs.contains(&input) || is_share, "{input} {}", context());
            let came = reading.map_or(0, |reading| reading.deltas);
            assert!(!is_stream || output >= came.min(did), "{output} {}", context());
            let most = if is_stream { did } else { did.max(terms(&recording).reserved.output) };
            assert!(output <= most, "{output} of {most} {}", context());
            meter.read(&recording.body[len..=len], &mut |_| {});
        }
    }
}

/// The events of a stream, parsed, without what differs between two runs.
fn events(body: &[u8]) -> Vec<Value> {
    let body = str::from_utf8(body).unwrap();
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| match serde_json::from_str::<Value>(data) {
        Ok(mut event) => {
            for key in ["id", "created"] {
                event[key] = Value::Null;
            }
            if let Some(timings) = event.get_mut("timings") {
                *timings = timings.as_object().unwrap().keys().cloned().collect();
            }
            event
        }
        Err(_) => data.into(),
    })
    .collect()
}

#[test]
fn who_did_not_ask_sees_member_by_member_what_there_is_without_us() {
    let recordings: BTreeMap<_, _> =
        recordings().into_iter().map(|recording| (recording.name.clone(), recording)).collect();
    for (asked_by_us, bare) in [
        ("llamacpp/chat-stream-usage", "llamacpp/chat-stream"),
        ("vllm/chat-stream-usage", "vllm/chat-stream"),
        ("vllm/chat-stream-continuous", "vllm/chat-stream"),
        ("transformers/chat-stream-usage", "transformers/chat-stream"),
    ] {
        let (Some(asked_by_us), Some(bare)) = (recordings.get(asked_by_us), recordings.get(bare))
        else {
            continue;
        };
        let (got, _) = relay(asked_by_us, ALL, &[]);
        assert_eq!(events(&got), events(&bare.body), "{}", asked_by_us.name);
        // Their order, too: there is no other difference in the bytes but ids, times and numbers.
        let names = |body: &[u8]| -> Vec<String> {
            let body = str::from_utf8(body).unwrap();
            body.split('"')
                .filter(|part| part.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
                .map(str::to_owned)
                .collect()
        };
        assert_eq!(names(&got), names(&bare.body), "{}", asked_by_us.name);
    }
    // Who asked for the usage alone, doesn't get that of each chunk.
    for (running, usage) in [("vllm/chat-stream-continuous", "vllm/chat-stream-usage")] {
        let (Some(running), Some(usage)) = (recordings.get(running), recordings.get(usage)) else {
            continue;
        };
        let hides = Hides { usage: false, running_usage: true };
        assert_eq!(events(&relay(running, hides, &[]).0), events(&usage.body));
    }
}

/// What the client gets that sees an alias of the model, in pieces of this size.
fn relay_with_alias(recording: &Recording, alias: &str, size: usize) -> Vec<u8> {
    let mut meter = Meter::new(recording.asked, recording.promised);
    meter.show_model(alias);
    let mut got = Vec::new();
    for buffer in recording.body.chunks(size) {
        meter.read(buffer, &mut |part| match part {
            Part::Held(bytes) => got.extend_from_slice(bytes),
            Part::Range(range) => got.extend_from_slice(&buffer[range]),
        });
    }
    meter.finish(&mut |_| {});
    got
}

#[test]
fn an_alias_stands_wherever_an_engine_names_the_model_and_nothing_else_changes() {
    let mut count = 0;
    for recording in recordings() {
        let text = String::from_utf8_lossy(&recording.body);
        // No text of theirs has such a member.
        let mut expected = text.into_owned();
        for name in ["tiny@main", "tiny", "gemma3-270m", "gemma-3-270m"] {
            for blank in ["", " "] {
                let member = |name: &str| format!("\"model\":{blank}\"{name}\"");
                count += expected.matches(&member(name)).count();
                expected = expected.replace(
                    &member(name),
                    &member("a \"longer\" name").replace("\"longer\"", "\\\"longer\\\""),
                );
            }
        }
        for size in [1, 7, 100, 1 << 20] {
            let got = relay_with_alias(&recording, "a \"longer\" name", size);
            assert_eq!(String::from_utf8_lossy(&got), expected, "{} by {size}", recording.name);
        }
    }
    println!("{count} names");
    // Those among the vectors are few.
    assert!(count > 100 || !shared("TOLLGATE_ENGINES", "engines").exists());
}

//! Answers of vLLM 0.32, llama.cpp (xllamacpp 2026.10) and transformers 5.19, as they were recorded
//! (../shared/engines/recordings).

use std::path::PathBuf;
use std::{env, fs};

use serde_json::Value;

use super::read::{documents, Numbers, Read};
use super::*;

const STREAMS: &[(Endpoint, &str)] = &[
    (Endpoint::Chat, "vllm/chat-stream-usage"),
    (Endpoint::Chat, "vllm/chat-reasoning-stream"),
    (Endpoint::Chat, "vllm/chat-stream-n2-continuous"),
    (Endpoint::Chat, "llamacpp/chat-stream"),
    (Endpoint::Chat, "transformers/chat-stream"),
    (Endpoint::Completions, "vllm/completion-stream-usage"),
    (Endpoint::Completions, "llamacpp/completion-stream-usage"),
    (Endpoint::LlamaCompletion, "llamacpp/native-completion-stream"),
    (Endpoint::Messages, "vllm/messages-stream"),
    (Endpoint::Messages, "llamacpp/messages-stream"),
    (Endpoint::Responses, "vllm/responses-stream"),
    (Endpoint::Responses, "llamacpp/responses-stream"),
    (Endpoint::Responses, "transformers/responses-stream-default"),
];

const DOCUMENTS: &[(Endpoint, &str)] = &[
    (Endpoint::Chat, "vllm/chat-logprobs"),
    (Endpoint::Chat, "vllm/chat-batch"),
    (Endpoint::Completions, "vllm/completion-echo"),
    (Endpoint::Responses, "vllm/responses"),
    (Endpoint::Messages, "llamacpp/messages-tools"),
    (Endpoint::LlamaCompletion, "llamacpp/native-completion"),
    (Endpoint::Rerank, "vllm/rerank"),
];

/// The bodies of these answers; none where there are no recordings.
fn recorded(names: &[(Endpoint, &'static str)]) -> Vec<(Endpoint, &'static str, String)> {
    let folder = match env::var_os("TOLLGATE_ENGINES") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/engines"),
    };
    if !folder.is_dir() {
        println!("skipped: no recordings");
        return Vec::new();
    }
    let body = |name: &str| {
        let path = folder.join("recordings").join(name).with_extension("response.http");
        let answer = fs::read_to_string(path).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").or(answer.split_once("\n\n")).unwrap();
        body.to_owned()
    };
    names.iter().map(|(endpoint, name)| (*endpoint, *name, body(name))).collect()
}

fn seen(guard: &Arc<StreamGuard>, endpoint: Endpoint, answer: &str, parts: Vec<&[u8]>) -> String {
    let (out, shown) = show(guard, endpoint, Body::Documents(None), true, parts);
    assert_eq!(shown.halted(), None, "{answer}");
    out
}

/// An answer as it is without what shows its text another way.
fn sealed(answer: &str) -> String {
    let ids = answer.split("\"tokens\":[");
    let mut out = String::new();
    for (index, part) in ids.enumerate() {
        let (_, rest) = part.split_once(']').filter(|_| index > 0).unwrap_or(("", part));
        out += if index > 0 { "\"tokens\":[]" } else { "" };
        out += rest;
    }
    out
}

#[test]
fn a_recorded_answer_is_the_same_when_nothing_is_found() {
    let guard = guard_against("never said");
    for (endpoint, name, answer) in &recorded(STREAMS) {
        let whole = seen(&guard, *endpoint, answer, vec![answer.as_bytes()]);
        for size in [1, 2, 3, 11] {
            let parts = answer.as_bytes().chunks(size).collect();
            assert_eq!(seen(&guard, *endpoint, answer, parts), whole, "{name}, {size}");
        }
        for at in (0..answer.len()).step_by(5) {
            let (a, b) = answer.as_bytes().split_at(at);
            assert_eq!(seen(&guard, *endpoint, answer, vec![a, b]), whole, "{name}, {at}");
        }
        assert_eq!(Read::of(&whole), Read::of(&sealed(answer)), "{name}");
        // Where nothing looks like a beginning, not a byte differs.
        let held =
            |document: &Value| ["n\"", "o\""].iter().any(|end| document.to_string().contains(end));
        if !documents(answer).iter().any(held) {
            assert_eq!(whole, sealed(answer), "{name}");
        }
    }
}

#[test]
fn what_is_split_over_recorded_deltas_is_masked() {
    let mut numbers = Numbers(7);
    for (endpoint, name, answer) in &recorded(STREAMS) {
        let read = Read::of(&sealed(answer));
        let mut masked = 0;
        for text in read.texts.values().filter(|text| text.chars().count() > 8) {
            // Some word from its middle, which is another one each time.
            for _ in 0..6 {
                let characters: Vec<char> = text.chars().collect();
                let start = numbers.below(characters.len() - 6);
                let end = (start + 5 + numbers.below(20)).min(characters.len());
                let word: String = characters[start..end].iter().collect();
                let guard = guard_against(&word);
                let expected = Read::of(&sealed(answer)).map(|text| text.replace(&word, LABEL));
                for _ in 0..4 {
                    let out = seen(&guard, *endpoint, answer, numbers.cut(answer.as_bytes()));
                    assert_eq!(Read::of(&out), expected, "{name}, {word:?}");
                }
                masked += 1;
            }
        }
        assert!(masked > 0, "{name}");
    }
}

#[test]
fn recorded_documents_are_masked() {
    let guard = guard_against("never said");
    for (endpoint, name, answer) in &recorded(DOCUMENTS) {
        let out = seen(&guard, *endpoint, answer, vec![answer.as_bytes()]);
        for text in ["\"bytes\":[", "\"token\":"] {
            assert!(!out.contains(text), "{name}");
        }
        if !answer.contains("\"logprob\"") {
            assert_eq!(out, sealed(answer), "{name}");
        }
        let (watched, _) =
            show(&guard, *endpoint, Body::Documents(None), false, [answer.as_bytes()]);
        assert_eq!(&watched, answer);
    }
}

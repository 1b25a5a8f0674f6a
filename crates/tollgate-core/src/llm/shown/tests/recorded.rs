//! Answers of vLLM 0.32, llama.cpp (xllamacpp 2026.10) and transformers 5.19, as they were recorded.

use super::read::{documents, Numbers, Read};
use super::*;

macro_rules! recorded {
    ($($endpoint:ident $name:literal)*) => {
        &[$((Endpoint::$endpoint, $name, include_str!(concat!("recorded/", $name, ".txt")))),*]
    };
}

const STREAMS: &[(Endpoint, &str, &str)] = recorded! {
    Chat "vllm-chat-stream-usage"
    Chat "vllm-chat-reasoning-stream"
    Chat "vllm-chat-stream-n2-continuous"
    Chat "llamacpp-chat-stream"
    Chat "transformers-chat-stream"
    Completions "vllm-completion-stream-usage"
    Completions "llamacpp-completion-stream-usage"
    LlamaCompletion "llamacpp-native-completion-stream"
    Messages "vllm-messages-stream"
    Messages "llamacpp-messages-stream"
    Responses "vllm-responses-stream"
    Responses "llamacpp-responses-stream"
    Responses "transformers-responses-stream-default"
};

const DOCUMENTS: &[(Endpoint, &str, &str)] = recorded! {
    Chat "vllm-chat-logprobs"
    Responses "vllm-responses"
    Messages "llamacpp-messages-tools"
    LlamaCompletion "llamacpp-native-completion"
};

fn seen(endpoint: Endpoint, answer: &str, parts: Vec<&[u8]>) -> String {
    let (out, shown) = show(endpoint, Body::Documents(None), true, parts);
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
    channel::mask("never said");
    for (endpoint, name, answer) in STREAMS {
        let whole = seen(*endpoint, answer, vec![answer.as_bytes()]);
        for size in [1, 2, 3, 11] {
            let parts = answer.as_bytes().chunks(size).collect();
            assert_eq!(seen(*endpoint, answer, parts), whole, "{name}, {size}");
        }
        for at in (0..answer.len()).step_by(5) {
            let (a, b) = answer.as_bytes().split_at(at);
            assert_eq!(seen(*endpoint, answer, vec![a, b]), whole, "{name}, {at}");
        }
        assert_eq!(Read::of(&whole), Read::of(&sealed(answer)), "{name}");
        // Where nothing looks like a beginning, not a byte differs.
        if !documents(answer).iter().any(|document| {
            let text = document.to_string();
            text.contains("n\"") || text.contains("o\"")
        }) {
            assert_eq!(whole, sealed(answer), "{name}");
        }
    }
}

#[test]
fn what_is_split_over_recorded_deltas_is_masked() {
    let mut numbers = Numbers(7);
    for (endpoint, name, answer) in STREAMS {
        let read = Read::of(&sealed(answer));
        let mut masked = 0;
        for text in read.texts.values().filter(|text| text.chars().count() > 8) {
            // Some word from its middle, which is another one each time.
            for _ in 0..6 {
                let characters: Vec<char> = text.chars().collect();
                let start = numbers.below(characters.len() - 6);
                let end = (start + 5 + numbers.below(20)).min(characters.len());
                let word: String = characters[start..end].iter().collect();
                channel::mask(&word);
                let expected = Read::of(&sealed(answer)).map(|text| text.replace(&word, LABEL));
                for _ in 0..4 {
                    let out = seen(*endpoint, answer, numbers.cut(answer.as_bytes()));
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
    channel::mask("never said");
    for (endpoint, name, answer) in DOCUMENTS {
        let out = seen(*endpoint, answer, vec![answer.as_bytes()]);
        for text in ["\"bytes\":[", "\"token\":"] {
            assert!(!out.contains(text), "{name}");
        }
        if !answer.contains("\"logprob\"") {
            assert_eq!(out, sealed(answer), "{name}");
        }
        let (watched, _) = show(*endpoint, Body::Documents(None), false, [answer.as_bytes()]);
        assert_eq!(watched, *answer);
    }
}

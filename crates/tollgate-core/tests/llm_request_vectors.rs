//! Bodies from elsewhere (../shared/vectors): JSONTestSuite's, and requests that a real llama.cpp
//! server was sent.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::PathBuf;
use std::{env, fs};

use tollgate_core::llm::request::parse;
use tollgate_core::llm::{Endpoint, Engine};

/// The files of a folder of the vectors as (name, content); none where the vectors are not there.
fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let vectors = match env::var_os("TOLLGATE_VECTORS") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
    };
    let Ok(files) = fs::read_dir(vectors.join(folder)) else {
        println!("skipped: no vectors");
        return Vec::new();
    };
    let files: Vec<_> = files
        .map(|file| file.unwrap())
        .map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()))
        .collect();
    assert!(!files.is_empty(), "{folder}");
    files
}

fn accepts(body: &[u8]) -> bool {
    let accepted = parse(body, Endpoint::Chat, Engine::OpenAi).is_ok();
    for endpoint in [Endpoint::Completions, Endpoint::OllamaChat, Endpoint::TgiGenerate] {
        assert_eq!(parse(body, endpoint, Engine::OpenAi).is_ok(), accepted);
    }
    accepted
}

/// Whether a case is one of halves of surrogate pairs, which engines take, and we with them.
fn has_halves(name: &str) -> bool {
    name.starts_with("i_") && name.contains("surrogate")
}

/// `value` as the value of `key` in a body.
fn member(key: &str, value: &[u8]) -> Vec<u8> {
    let mut body = format!("{{\"{key}\":").into_bytes();
    body.extend(value);
    body.push(b'}');
    body
}

#[test]
fn objects_of_the_suite_are_accepted_or_refused_as_it_says() {
    let (mut valid, mut invalid) = (0, 0);
    for (name, content) in files("json/test_parsing") {
        if name.starts_with("n_") {
            invalid += 1;
            assert!(!accepts(&content), "{name}");
        } else if name.starts_with("y_") && content.trim_ascii_start().starts_with(b"{") {
            valid += 1;
            assert!(accepts(&content), "{name}");
        } else {
            let is_object = serde_json::from_slice::<serde_json::Value>(&content)
                .is_ok_and(|value| value.is_object());
            let is_taken =
                ["i_object_key_lone_2nd_surrogate.json", "i_structure_UTF-8_BOM_empty_object.json"];
            let is_object = is_object || is_taken.contains(&name.as_str());
            assert_eq!(accepts(&content), is_object, "{name}");
        }
    }
    println!("{valid} valid and {invalid} invalid bodies");
}

#[test]
fn values_of_the_suite_are_accepted_or_refused_as_it_says_wherever_they_stand() {
    for (name, content) in files("json/test_parsing") {
        for key in ["unknown", "messages", "prompt", "tools"] {
            let body = member(key, &content);
            // Some cases are cut so that what follows here completes them, or makes them members.
            let is_object = serde_json::from_slice::<serde_json::Value>(&body).is_ok();
            let is_object = is_object || has_halves(&name);
            assert_eq!(accepts(&body), is_object, "{name} as {key}");
            if name.starts_with("y_") {
                assert!(is_object, "{name} as {key}");
            }
        }
        for key in ["model", "stream", "n", "max_tokens", "stream_options", "options"] {
            let body = member(key, &content);
            let refused = serde_json::from_slice::<serde_json::Value>(&body).is_err();
            // What has halves may stand where an endpoint doesn't know the key.
            let refused = refused && !has_halves(&name);
            assert!(!(refused && accepts(&body)), "{name} as {key}");
        }
    }
}

#[test]
fn recorded_requests_are_read() {
    for (name, content) in files("engines/llamacpp") {
        let Some(name) = name.strip_suffix(".request.json") else {
            continue;
        };
        let endpoint = match name.split('-').next() {
            Some("completion") => Endpoint::Completions,
            Some("messages") => Endpoint::Messages,
            Some("responses") => Endpoint::Responses,
            _ => Endpoint::Chat,
        };
        let request = parse(&content, endpoint, Engine::LlamaCpp).unwrap();
        assert_eq!(request.model.as_deref(), Some("gemma-3-270m"), "{name}");
        assert_eq!(request.stream, name.contains("-stream"), "{name}");
        assert_eq!(request.choices, if name.ends_with("-n2") { 2 } else { 1 }, "{name}");
        assert_eq!(request.output_bound.is_some(), name != "error", "{name}");
        assert!(request.input.text_bytes > 0, "{name}");

        let asks_for_usage = name.ends_with("-stream-usage");
        assert_eq!(request.include_usage(), asks_for_usage.then_some(true), "{name}");
        let is_edited = name == "chat-stream" || name == "completion-stream";
        assert_eq!(request.usage_edit(Engine::LlamaCpp, false).is_some(), is_edited, "{name}");
    }
}

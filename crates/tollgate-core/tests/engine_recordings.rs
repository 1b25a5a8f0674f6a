//! What real engines serve and were sent (../shared/engines): each recorded request is read as what it
//! is, and each line of their endpoints is judged as what it does.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::path::PathBuf;
use std::{env, fs};

use serde_json::Value;
use tollgate_core::llm::engines::route::classify;
use tollgate_core::llm::engines::Standing;
use tollgate_core::llm::request::parse;
use tollgate_core::llm::{Endpoint, Engine, FeatureSet, UsesReader};
use tollgate_core::permissions::FeatureRules;

fn folder() -> PathBuf {
    match env::var_os("TOLLGATE_ENGINES") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/engines"),
    }
}

/// The lines of a table, as fields, without its head; none where it isn't there.
fn lines(name: &str) -> Vec<Vec<String>> {
    let Ok(text) = fs::read_to_string(folder().join(name)) else {
        println!("skipped: no {name}");
        return Vec::new();
    };
    let fields = |line: &str| line.split('\t').map(str::to_owned).collect();
    let lines: Vec<_> = text.lines().skip(1).map(fields).collect();
    assert!(!lines.is_empty(), "{name}");
    lines
}

const ENGINES: [(&str, Engine); 3] =
    [("vllm", Engine::Vllm), ("llamacpp", Engine::LlamaCpp), ("transformers", Engine::OpenAi)];

/// The form of a recorded request, by its path alone.
fn expected(path: &str) -> Option<Endpoint> {
    Some(match path {
        "/v1/chat/completions" | "/invocations" => Endpoint::Chat,
        "/v1/chat/completions/batch" => Endpoint::ChatBatch,
        "/v1/completions" => Endpoint::Completions,
        "/v1/responses" => Endpoint::Responses,
        "/v1/messages" => Endpoint::Messages,
        "/v1/embeddings" => Endpoint::Embeddings,
        "/v2/embed" => Endpoint::CohereEmbed,
        "/pooling" => Endpoint::Pooling,
        "/score" => Endpoint::Score,
        "/v1/rerank" => Endpoint::Rerank,
        "/inference/v1/generate" => Endpoint::TokenGenerate,
        "/generative_scoring" => Endpoint::GenerativeScoring,
        "/completion" => Endpoint::LlamaCompletion,
        _ => return None,
    })
}

/// The bound that a plain reading of the body finds.
fn bound(body: &Value) -> Option<u64> {
    let names = ["max_tokens", "max_completion_tokens", "max_output_tokens", "n_predict"];
    let own = names.iter().filter_map(|name| body.get(name)?.as_u64());
    own.chain(body["sampling_params"]["max_tokens"].as_u64()).filter(|bound| *bound > 0).max()
}

fn choices(form: Endpoint, body: &Value) -> u64 {
    let count = |value: &Value| value.as_array().map_or(1, |list| list.len() as u64);
    let n = ["n", "n_cmpl"].iter().filter_map(|name| body.get(name)?.as_u64()).max().unwrap_or(1);
    n * match form {
        Endpoint::ChatBatch => count(&body["messages"]),
        Endpoint::Completions => count(&body["prompt"]),
        Endpoint::GenerativeScoring => count(&body["items"]),
        _ => 1,
    }
}

#[test]
fn each_recorded_request_is_read_as_what_it_is() {
    let mut read = 0;
    for (name, engine) in ENGINES {
        for line in lines(&format!("recordings/{name}/INDEX.tsv")) {
            let [recording, method, path, ..] = line.as_slice() else { panic!("{line:?}") };
            let file = folder().join(format!("recordings/{name}/{recording}.request.json"));
            let sent = fs::read(file).unwrap_or_default();
            let (form, _) = classify(method.as_bytes(), path.as_bytes(), engine);
            let Some(expected) = expected(path).filter(|_| method == "POST") else {
                assert_eq!(form, None, "{name} {recording}");
                let standing = engine.standing(method.as_bytes(), path.as_bytes(), 0);
                let is_refused = !matches!(standing, Standing::Clients { is_harmless: true, .. });
                // Of what was recorded, these tell of the machine, or of others.
                let is_for_operators = ["/metrics", "/props", "/slots", "/v1/stream", "/version"]
                    .iter()
                    .any(|start| path.starts_with(start));
                assert_eq!(is_refused, is_for_operators, "{name} {recording} {path}");
                continue;
            };
            let request = parse(&sent, form.unwrap(), engine);
            let Ok(body) = serde_json::from_slice::<Value>(&sent) else {
                assert!(request.is_err(), "{name} {recording}");
                continue;
            };
            let request = request.unwrap();
            read += 1;
            assert_eq!(request.endpoint, expected, "{name} {recording}");
            assert_eq!(request.model.as_deref(), body["model"].as_str(), "{name} {recording}");
            assert_eq!(
                request.stream,
                body["stream"].as_bool().unwrap_or(false),
                "{name} {recording}"
            );
            let bounded = match expected {
                Endpoint::GenerativeScoring => Some(1),
                _ => bound(&body),
            };
            assert_eq!(request.output_bound, bounded, "{name} {recording}");
            assert_eq!(request.choices, choices(expected, &body), "{name} {recording}");
            assert_eq!(request.background, body["background"] == true, "{name} {recording}");
            let has_input = request.input.text_bytes + request.input.token_ids > 0;
            assert_eq!(has_input, recording != "error-no-messages", "{name} {recording}");
            // Nothing in it is denied by default, and the engine knows all of it.
            let mut reader = UsesReader::new(&request, engine, true);
            reader.read(&sent);
            let uses = reader.finish().unwrap();
            assert_eq!(
                FeatureRules::default().judge(&request, &uses, FeatureSet::NONE),
                Ok(()),
                "{name} {recording}"
            );
            let is_foreign = engine == Engine::OpenAi || recording.starts_with("error");
            assert!(!uses.has_unknown || is_foreign, "{name} {recording}");
        }
    }
    println!("{read} requests");
}

#[test]
fn each_endpoint_is_judged_as_what_it_does() {
    for (name, engine) in ENGINES.into_iter().take(2) {
        for line in lines(&format!("endpoints-{name}.tsv")) {
            let [_, _, method, path, what, generates, admin, ..] = line.as_slice() else {
                panic!("{line:?}")
            };
            let method = method.split(' ').next().unwrap().as_bytes();
            let path = path.split('?').next().unwrap().replace(":id", "0");
            let (form, _) = classify(method, path.as_bytes(), engine);
            let standing = engine.standing(method, path.as_bytes(), 0);
            let is_harmless = matches!(standing, Standing::Clients { is_harmless: true, .. });
            let is_for_clients = matches!(standing, Standing::Clients { .. });
            let name = format!("{name} {path}: {what}");
            if admin.starts_with("yes") || admin == "info" {
                assert!(!is_for_clients && form.is_none(), "{name}");
            } else if generates.starts_with("yes") || generates == "prefill" {
                // Which of the others it is, only the body says.
                let is_any = path == "/invocations";
                assert!(is_for_clients != is_any && (!is_harmless || form.is_some()), "{name}");
            } else if generates.contains("CPU") || (admin == "no" && method == b"GET") {
                // Pages that tell of paths on disk.
                let is_schema = ["/openapi.json", "/docs", "/redoc"].contains(&path.as_str());
                assert!(is_harmless != is_schema && form.is_none(), "{name}");
            }
        }
    }
}

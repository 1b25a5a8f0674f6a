//! What tiers say, and what becomes of requests.

use super::*;
use crate::llm::request::parse;
use crate::llm::request::rewrite::Rewrite;
use crate::llm::{Endpoint, UsesReader};

fn rules(lines: &str) -> Result<FeatureRules, String> {
    let mut rules = FeatureRules::default();
    for line in lines.split(';').map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        rules.take(name, &words.collect::<Vec<_>>())?;
    }
    rules.finish()?;
    Ok(rules)
}

/// What becomes of a body: what it is refused for, or what the engine gets.
fn outcome(lines: &str, body: &str, form: Endpoint, engine: Engine) -> Result<String, String> {
    let rules = rules(lines).unwrap();
    let request = parse(body.as_bytes(), form, engine).unwrap();
    let uses = match rules.wants_uses(&request, engine) {
        true => {
            let mut reader = UsesReader::new(&request, engine, rules.wants_unknown());
            reader.read(body.as_bytes());
            reader.finish().unwrap()
        }
        false => Uses::NONE,
    };
    rules
        .judge(&request, &uses, FeatureSet::NONE)
        .map_err(|refusal| refusal.detail().value().into_owned())?;
    let mut rewrite = Rewrite::new(body.as_bytes()).unwrap();
    rules.changes(&request, &uses).make(&mut rewrite, &request, engine);
    let body = rewrite.edits().apply(body.as_bytes()).unwrap();
    Ok(String::from_utf8(body).unwrap())
}

fn chat(lines: &str, body: &str) -> Result<String, String> {
    outcome(lines, body, Endpoint::Chat, Engine::Vllm)
}

#[test]
fn lines_that_say_nothing_or_two_things_are_refused() {
    for (lines, parts) in [
        ("deny tool", &["unknown feature \"tool\" in \"deny\"", "tools, server_tools, media"][..]),
        ("allow Tools", &["unknown feature"]),
        ("allow tools; deny media tools", &["\"tools\" is both allowed and denied"]),
        ("deny tools tools", &["\"deny tools\" is said twice"]),
        ("deny media; allow remote_media", &["\"allow remote_media\" has no effect", "deny media"]),
        ("deny tools; allow server_tools", &["\"allow server_tools\" has no effect"]),
        ("deny tools; max_tools 5", &["\"max_tools\" has no effect"]),
        ("max_n", &["\"max_n\" takes one number"]),
        ("max_n 1 2", &["\"max_n\" takes one number"]),
        ("max_n 0", &["\"max_n 1\" is the least"]),
        ("max_n -1", &["invalid number \"-1\" of \"max_n\""]),
        ("max_tools 1; max_tools 2", &["\"max_tools\" is given twice"]),
        ("max_tools 0", &["deny tools"]),
        ("max_input_tokens 2000000000", &["up to 1000000000"]),
        ("max_messages 1.5", &["invalid number"]),
        ("max_schema_bytes k", &["invalid number \"k\""]),
        ("max_output_tokens 0", &["takes 1 or more"]),
        ("max_output_tokens 10 cut", &["\"clamp\" or \"refuse\""]),
        ("unknown_members off", &["\"allow\", \"deny\" or \"strip\""]),
    ] {
        let problem = rules(lines).unwrap_err();
        assert!(parts.iter().all(|part| problem.contains(part)), "{lines}: {problem}");
        assert!(!problem.ends_with('.') && !problem.starts_with(char::is_uppercase), "{problem}");
    }
    for lines in [
        "",
        "allow remote_media tools; deny logprobs",
        "max_output_tokens 4k refuse; max_n 1; max_input_tokens 1m; max_messages 5; max_tools 5; max_schema_bytes 0",
        "unknown_members strip",
        "deny media remote_media",
    ] {
        assert!(rules(lines).is_ok(), "{lines}");
        assert_eq!(rules(lines).unwrap().is_own(), !lines.is_empty());
    }
}

#[test]
fn default_denies_what_reaches_beyond_the_request() {
    assert_eq!(chat("", r#"{"priority":1}"#), Err("denied_feature priority".to_owned()));
    assert!(chat("allow priority", r#"{"priority":1}"#).is_ok());
    assert!(chat("", r#"{"tools":[{}],"logprobs":true}"#).is_ok());
    assert_eq!(chat("deny tools", r#"{"tools":[{}]}"#), Err("denied_feature tools".to_owned()));
    assert!(chat("deny tools", r#"{"logprobs":true}"#).is_ok());
    let remote = r#"{"messages":[{"content":[{"image_url":{"url":"http://x"}}]}]}"#;
    assert_eq!(chat("", remote), Err("denied_feature remote_media".to_owned()));
    assert_eq!(chat("deny media", remote), Err("denied_feature media".to_owned()));
    assert!(chat("allow remote_media", remote).is_ok());
}

#[test]
fn what_is_set_in_its_place_is_denied_by_name_only() {
    let body = br#"{"priority":1,"lora":[{}]}"#;
    let request = parse(body, Endpoint::Chat, Engine::Vllm).unwrap();
    let mut reader = UsesReader::new(&request, Engine::Vllm, false);
    reader.read(body);
    let uses = reader.finish().unwrap();
    let replaced = FeatureSet::NONE.with(Feature::Priority);
    let judge = |lines| {
        let outcome = rules(lines).unwrap().judge(&request, &uses, replaced);
        outcome.map_err(|refusal| refusal.member().unwrap_or_default().to_owned())
    };
    assert_eq!(judge("allow lora"), Ok(()));
    assert_eq!(judge("allow lora; deny priority"), Err("priority".to_owned()));
    assert_eq!(judge(""), Err("lora".to_owned()));
}

#[test]
fn numbers_are_compared_at_their_edges() {
    for (lines, good, bad) in [
        ("max_n 2", r#"{"n":2}"#, r#"{"n":3}"#),
        ("max_messages 1", r#"{"messages":[{}]}"#, r#"{"messages":[{},{}]}"#),
        ("max_tools 1", r#"{"tools":[{}]}"#, r#"{"tools":[{}],"functions":[{}]}"#),
        ("max_schema_bytes 10", r#"{"guided_regex":"1234567"}"#, r#"{"guided_regex":"12345678"}"#),
        ("max_output_tokens 9 refuse", r#"{"max_tokens":9}"#, r#"{"max_tokens":10}"#),
        ("unknown_members deny", r#"{"seed":1}"#, r#"{"sed":1}"#),
    ] {
        assert!(chat(lines, good).is_ok(), "{lines}: {good}");
        let expected = match lines.starts_with("unknown") {
            true => "unknown_member".to_owned(),
            false => format!("over_maximum {}", lines.split(' ').next().unwrap()),
        };
        assert_eq!(chat(lines, bad), Err(expected), "{bad}");
    }
    let prompts = |body| outcome("max_n 3", body, Endpoint::Completions, Engine::Vllm);
    assert!(prompts(r#"{"prompt":["a","b","c"]}"#).is_ok());
    assert!(prompts(r#"{"prompt":["a","b"],"n":2}"#).is_err());
    let limit = rules("max_input_tokens 5").unwrap();
    assert_eq!(limit.judge_input(5), Ok(()));
    assert!(limit.judge_input(6).is_err());
    assert_eq!(FeatureRules::default().judge_input(u64::MAX), Ok(()));
}

#[test]
fn every_bound_is_clamped_and_one_put_in_where_there_is_none() {
    use Endpoint as E;
    for (form, engine, body, expected) in [
        (E::Chat, Engine::Vllm, r#"{"max_tokens":50}"#, r#"{"max_tokens":9}"#),
        (E::Chat, Engine::Vllm, r#"{"max_tokens":9}"#, r#"{"max_tokens":9}"#),
        (E::Chat, Engine::Vllm, r#"{"a":1}"#, r#"{"max_tokens":9,"a":1}"#),
        (E::Chat, Engine::Vllm, "{}", r#"{"max_tokens":9}"#),
        (E::Chat, Engine::Vllm, r#"{"max_tokens":null}"#, r#"{"max_tokens":9}"#),
        (
            E::Chat,
            Engine::Vllm,
            r#"{"max_completion_tokens":1e3}"#,
            r#"{"max_completion_tokens":9}"#,
        ),
        (
            E::Chat,
            Engine::Vllm,
            r#"{"max_tokens":5,"max_completion_tokens":50}"#,
            r#"{"max_tokens":5,"max_completion_tokens":9}"#,
        ),
        (
            E::Chat,
            Engine::LlamaCpp,
            r#"{"n_predict":-1,"max_tokens":5}"#,
            r#"{"n_predict":9,"max_tokens":5}"#,
        ),
        (E::Completions, Engine::Vllm, r#"{"max_tokens":0}"#, r#"{"max_tokens":0}"#),
        (E::Completions, Engine::OpenAi, r#"{"max_tokens":0}"#, r#"{"max_tokens":9}"#),
        (E::Responses, Engine::Vllm, "{}", r#"{"max_output_tokens":9}"#),
        (E::Messages, Engine::Anthropic, r#"{"max_tokens":99}"#, r#"{"max_tokens":9}"#),
        (
            E::OllamaChat,
            Engine::Ollama,
            r#"{"model":"m"}"#,
            r#"{"options":{"num_predict":9},"model":"m"}"#,
        ),
        (
            E::OllamaChat,
            Engine::Ollama,
            r#"{"options":{"seed":1}}"#,
            r#"{"options":{"num_predict":9,"seed":1}}"#,
        ),
        (
            E::OllamaChat,
            Engine::Ollama,
            r#"{"options":{"num_predict":-1}}"#,
            r#"{"options":{"num_predict":9}}"#,
        ),
        (
            E::OllamaChat,
            Engine::Ollama,
            r#"{"options":{"num_predict":0}}"#,
            r#"{"options":{"num_predict":9}}"#,
        ),
        (
            E::TgiGenerate,
            Engine::Tgi,
            r#"{"inputs":"x"}"#,
            r#"{"parameters":{"max_new_tokens":9},"inputs":"x"}"#,
        ),
        (
            E::TgiGenerate,
            Engine::OpenAi,
            r#"{"parameters":{"max_new_tokens":5}}"#,
            r#"{"parameters":{"max_new_tokens":5}}"#,
        ),
        (
            E::SglangGenerate,
            Engine::Sglang,
            r#"{"sampling_params":{"max_new_tokens":99,"n":1}}"#,
            r#"{"sampling_params":{"max_new_tokens":9,"n":1}}"#,
        ),
        (
            E::TokenGenerate,
            Engine::Vllm,
            r#"{"sampling_params":null}"#,
            r#"{"sampling_params":{"max_tokens":9}}"#,
        ),
        (E::Embeddings, Engine::Vllm, r#"{"input":"x"}"#, r#"{"input":"x"}"#),
    ] {
        let made = outcome("max_output_tokens 9", body, form, engine);
        assert_eq!(made.as_deref(), Ok(expected), "{engine:?} {form:?} {body}");
        let read = parse(expected.as_bytes(), form, engine).unwrap();
        let is_zero = expected.contains(":0");
        assert!(is_zero || !form.has_output() || read.output_bound.is_some_and(|bound| bound <= 9));
    }
    for (list, is_good) in [
        (r#"[{"n":1}]"#, false),
        (r#"[{"max_new_tokens":5},{"max_new_tokens":null}]"#, false),
        (r#"[{"max_new_tokens":5},{}]"#, false),
        (r#"[{"max_new_tokens":5},null]"#, false),
        (r#"[{"max_new_tokens":5},{"max_new_tokens":10}]"#, false),
        (r#"[{"max_new_tokens":5},{"max_new_tokens":9}]"#, true),
    ] {
        let body = format!(r#"{{"text":["x","y"],"sampling_params":{list}}}"#);
        for line in ["max_output_tokens 9", "max_output_tokens 9 refuse"] {
            let outcome = outcome(line, &body, E::SglangGenerate, Engine::Sglang);
            assert_eq!(outcome.is_ok(), is_good, "{line}: {list}");
        }
    }
}

#[test]
fn unknown_members_are_taken_out_at_both_levels() {
    assert_eq!(
        chat(
            "unknown_members strip",
            r#"{"x":1,"model":"m","Model2":{"a":[1,2]},"seed":1,"y":"z"}"#
        )
        .as_deref(),
        Ok(r#"{"model":"m","seed":1}"#)
    );
    let body = r#"{"prompt":"x","options":{"num_predict":1,"nope":2},"nope":3}"#;
    assert_eq!(
        outcome("unknown_members strip", body, Endpoint::OllamaGenerate, Engine::Ollama).as_deref(),
        Ok(r#"{"prompt":"x","options":{"num_predict":1}}"#)
    );
    assert_eq!(chat("unknown_members allow", r#"{"x":1}"#).as_deref(), Ok(r#"{"x":1}"#));
}

#[test]
fn answers_are_not_kept_where_that_is_denied() {
    let responses = |body| outcome("deny store", body, Endpoint::Responses, Engine::Vllm);
    assert_eq!(responses(r#"{"input":"x"}"#).as_deref(), Ok(r#"{"store":false,"input":"x"}"#));
    assert_eq!(responses(r#"{"store":null}"#).as_deref(), Ok(r#"{"store":false}"#));
    assert_eq!(responses(r#"{"store":false}"#).as_deref(), Ok(r#"{"store":false}"#));
    assert!(responses(r#"{"store":true}"#).is_err());
    assert_eq!(chat("deny store", r#"{"model":"m"}"#).as_deref(), Ok(r#"{"model":"m"}"#));
}

#[test]
fn background_is_as_the_tier_says() {
    let background = r#"{"input":"x","background":true}"#;
    let judge = |lines| outcome(lines, background, Endpoint::Responses, Engine::Vllm);
    assert_eq!(judge("deny background"), Err("denied_feature background".to_owned()));
    assert!(judge("allow background").is_ok() && judge("").is_ok());
    assert_eq!(rules("").unwrap().background(), None);
    assert_eq!(rules("allow background").unwrap().background(), Some(true));
}

#[test]
fn refusals_name_the_member_and_nothing_else_of_the_client() {
    let over = |line, body: &str, form, engine| {
        let request = parse(body.as_bytes(), form, engine).unwrap();
        let rules = rules(line).unwrap();
        let mut reader = UsesReader::new(&request, engine, rules.wants_unknown());
        reader.read(body.as_bytes());
        let uses = reader.finish().unwrap();
        rules.judge(&request, &uses, FeatureSet::NONE).unwrap_err()
    };
    let member = |refusal: FeatureRefusal| refusal.member().map(str::to_owned);
    let tools = over("max_tools 1", r#"{"tools":[{},{}]}"#, Endpoint::Chat, Engine::Vllm);
    assert_eq!(tools.to_string(), "it asks for more than 1 tools");
    assert_eq!(tools.member(), Some("tools"));
    let output =
        |body, form, engine| member(over("max_output_tokens 9 refuse", body, form, engine));
    for (body, form, engine, member) in [
        (r#"{"max_tokens":10}"#, Endpoint::Chat, Engine::Vllm, "max_tokens"),
        (r#"{"max_completion_tokens":10}"#, Endpoint::Chat, Engine::Vllm, "max_completion_tokens"),
        // The one that says most.
        (
            r#"{"max_tokens":5,"max_completion_tokens":10}"#,
            Endpoint::Chat,
            Engine::Vllm,
            "max_completion_tokens",
        ),
        (
            r#"{"max_completion_tokens":10,"max_tokens":11}"#,
            Endpoint::Chat,
            Engine::Vllm,
            "max_tokens",
        ),
        (r#"{"n_predict":10,"max_tokens":5}"#, Endpoint::Chat, Engine::LlamaCpp, "n_predict"),
        (
            r#"{"messages":[{"content":"x"}],"max_completion_tokens":10}"#,
            Endpoint::Invocations,
            Engine::Vllm,
            "max_completion_tokens",
        ),
        // None of a list says it.
        (
            r#"{"text":["x"],"sampling_params":[{}]}"#,
            Endpoint::SglangGenerate,
            Engine::Sglang,
            "max_new_tokens",
        ),
        (r#"{"max_output_tokens":10}"#, Endpoint::Responses, Engine::Vllm, "max_output_tokens"),
        (
            r#"{"sampling_params":{"max_new_tokens":10}}"#,
            Endpoint::SglangGenerate,
            Engine::Sglang,
            "max_new_tokens",
        ),
        (r#"{"options":{"num_predict":10}}"#, Endpoint::OllamaChat, Engine::Ollama, "num_predict"),
    ] {
        assert_eq!(output(body, form, engine).as_deref(), Some(member), "{body}");
    }
    let prompts = |body| member(over("max_n 1", body, Endpoint::Completions, Engine::Vllm));
    assert_eq!(prompts(r#"{"prompt":"a","n":2}"#).as_deref(), Some("n"));
    assert_eq!(prompts(r#"{"prompt":"a","n":2,"best_of":3}"#).as_deref(), Some("best_of"));
    assert_eq!(prompts(r#"{"prompt":["a","b"]}"#), None);
    let schema = |body| member(over("max_schema_bytes 9", body, Endpoint::Chat, Engine::Vllm));
    for (body, expected) in [
        (r#"{"guided_regex":"0123456789"}"#, Some("guided_regex")),
        (r#"{"tools":[{}],"guided_json":{"a":[1,2,3,4]}}"#, Some("guided_json")),
        (r#"{"tools":[{"function":{"name":"abc"}}],"guided_json":{}}"#, Some("tools")),
        (r#"{"response_format":{"type":"text","x":"0123"}}"#, Some("response_format")),
        (r#"{"\u0074ools":[{"function":{}}]}"#, Some("tools")),
    ] {
        assert_eq!(schema(body).as_deref(), expected, "{body}");
    }
    let unknown = |body| over("unknown_members deny", body, Endpoint::Chat, Engine::Vllm);
    for (body, expected) in [
        (r#"{"x":1,"y":2}"#, Some("x")),
        (r#"{"Seed":1}"#, Some("Seed")),
        (r#"{"top-k":1}"#, Some("top-k")),
        // The first one that can be shown.
        (r#"{"<b>":1,"y":2}"#, Some("y")),
        (r#"{"a\nb":1}"#, None),
        (r#"{"\u202e":1}"#, None),
        (r#"{"\ud800":1}"#, None),
        (r#"{"":1}"#, None),
    ] {
        let refusal = unknown(body);
        assert_eq!(refusal.member(), expected, "{body}");
        assert_eq!(refusal.detail().value(), "unknown_member", "nothing of it is in a log");
        assert_eq!(refusal.to_string().contains('"'), expected.is_some());
    }
    let long = format!(r#"{{"{}":1}}"#, "a".repeat(200));
    assert_eq!(member(unknown(&long)), None);
    let of_ollama = r#"{"prompt":"x","options":{"nope":1}}"#;
    let of_ollama =
        over("unknown_members deny", of_ollama, Endpoint::OllamaGenerate, Engine::Ollama);
    assert_eq!(of_ollama.member(), Some("nope"));
    let refusal = FeatureRefusal::Denied { feature: Feature::Logprobs, member: "n_probs" };
    assert_eq!(refusal.member(), Some("n_probs"));
    assert!(refusal.to_string().contains("logprobs"));
}

#[test]
fn documentation_has_each_feature_and_its_default() {
    let page = include_str!("../../../../../docs/directives.md");
    for feature in Feature::ALL {
        let default = match feature {
            Feature::Background => "as [tollgate_background]",
            feature if feature.is_allowed_by_default() => "allowed | ",
            _ => "denied | ",
        };
        let row = format!("| `{feature}` | {default}");
        assert!(page.lines().any(|line| line.starts_with(&row)), "{row}");
    }
}

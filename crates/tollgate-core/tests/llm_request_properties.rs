//! What must hold for every body, not only for the ones that somebody thought of.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, Index};
use serde_json::{json, Map, Value};
use tollgate_core::llm::request::{parse, LlmRequest, RequestError};
use tollgate_core::llm::{Endpoint, Engine};

const POLICY: [&str; 25] = [
    "model",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "max_new_tokens",
    "n_predict",
    "num_predict",
    "n",
    "n_cmpl",
    "best_of",
    "messages",
    "prompt",
    "input",
    "inputs",
    "options",
    "parameters",
    "sampling_params",
    "background",
    "prompt_embeds",
    "input_ids",
    "token_ids",
    "items",
    "text",
];

/// Values of small depth, as text with blanks between the tokens.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        (-3_i8..40).prop_map(|value| value.to_string()),
        (0_u32..99).prop_map(|value| format!("{value}.0")),
        any::<f64>()
            .prop_filter("JSON has no NaN", |value| value.is_finite())
            .prop_map(|value| serde_json::to_string(&value).unwrap()),
        any::<String>().prop_map(|value| serde_json::to_string(&value).unwrap()),
        Just(r#""data:image/png;base64,iVBO\u0000""#.to_owned()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let name = prop_oneof![
            select(vec![
                "content",
                "image_url",
                "source",
                "type",
                "data",
                "include_usage",
                "continuous_usage_stats",
                "num_predict",
                "max_new_tokens",
                "best_of",
                "images",
            ])
            .prop_map(str::to_owned),
            "[a-z]{0,3}",
        ];
        prop_oneof![
            (vec(inner.clone(), 0..4), blank()).prop_map(|(elements, blank)| {
                format!("[{blank}{}]", elements.join(&format!("{blank},")))
            }),
            (vec((name, inner), 0..4), blank()).prop_map(|(members, blank)| {
                let members: Vec<_> = members
                    .iter()
                    .map(|(name, value)| format!("\"{name}\"{blank}:{value}"))
                    .collect();
                format!("{{{blank}{}}}", members.join(&format!(",{blank}")))
            }),
        ]
    })
}

fn blank() -> impl Strategy<Value = &'static str> {
    select(vec!["", "", " ", "\n\t", "\r\n  "])
}

/// Bodies whose members are, more often than not, those that matter.
fn body() -> impl Strategy<Value = String> {
    let likely = prop_oneof![
        Just(r#""stream": true"#.to_owned()),
        Just(r#""model":"llama-3.1-8b""#.to_owned()),
        (0_u32..4096).prop_map(|bound| format!("\"max_tokens\":{bound}")),
        (0_u32..9).prop_map(|n| format!("\"n\" :{n}")),
        Just(r#""stream_options":null"#.to_owned()),
        Just(r#""stream_options":{"include_usage":true}"#.to_owned()),
    ];
    let name = prop_oneof![
        4 => select(POLICY.to_vec()).prop_map(str::to_owned),
        1 => select(vec!["tools", "system", "images", "Model", "\u{17f}tream"])
            .prop_map(str::to_owned),
        1 => "[a-zA-Z]{0,3}",
    ];
    let member = prop_oneof![
        likely,
        (name, value()).prop_map(|(name, value)| format!("\"{name}\":{value}")),
    ];
    (vec(member, 0..7), blank(), blank()).prop_map(|(members, outside, inside)| {
        format!("{outside}{{{inside}{}{inside}}}{outside}", members.join(&format!("{inside},")))
    })
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    select(Endpoint::ALL.to_vec())
}

fn engine() -> impl Strategy<Value = Engine> {
    select(Engine::ALL.to_vec())
}

/// The whole number that a member is, if it is one and bounds something.
fn bound(object: &Value, name: &str) -> Option<u64> {
    let value = object.get(name)?;
    let float = value.as_f64()?;
    // What the form doesn't heed, may be of any size.
    value.as_u64().or_else(|| format!("{float:.0}").parse().ok()).filter(|bound| *bound > 0)
}

/// What a plain reading of the parsed body gives, against what was read in one pass.
fn agrees(request: &LlmRequest, body: &Value) -> Result<(), TestCaseError> {
    prop_assert!(body.is_object());
    prop_assert_eq!(request.model.as_deref(), body.get("model").and_then(Value::as_str));
    let stream = body.get("stream").and_then(Value::as_bool);
    match request.endpoint {
        Endpoint::TgiGenerateStream => prop_assert!(request.stream),
        form if !form.has_output() => prop_assert!(!request.stream),
        Endpoint::OllamaChat | Endpoint::OllamaGenerate => {
            prop_assert_eq!(request.stream, stream.unwrap_or(true));
        }
        _ => prop_assert_eq!(request.stream, stream.unwrap_or(false)),
    }
    let given = match request.endpoint {
        Endpoint::Chat
        | Endpoint::ChatBatch
        | Endpoint::Completions
        | Endpoint::Responses
        | Endpoint::LlamaCompletion
        | Endpoint::LlamaInfill => [
            bound(body, "max_tokens"),
            bound(body, "max_completion_tokens"),
            bound(body, "n_predict"),
            bound(body, "max_output_tokens"),
        ],
        Endpoint::Messages => [bound(body, "max_tokens"), None, None, None],
        Endpoint::OllamaChat | Endpoint::OllamaGenerate | Endpoint::OllamaEmbed => {
            [bound(&body["options"], "num_predict"), None, None, None]
        }
        Endpoint::TgiGenerate
        | Endpoint::TgiGenerateStream
        | Endpoint::TokenGenerate
        | Endpoint::SglangGenerate => [
            bound(&body["parameters"], "max_new_tokens"),
            bound(&body["sampling_params"], "max_new_tokens"),
            bound(&body["sampling_params"], "max_tokens"),
            // One for each prompt.
            request.output_bound.filter(|_| body["sampling_params"].is_array()),
        ],
        Endpoint::GenerativeScoring => [Some(1), None, None, None],
        _ => [None; 4],
    };
    if let Some(bound) = request.output_bound {
        prop_assert!(given.contains(&Some(bound)), "{bound} of {given:?}");
    }
    if request.endpoint == Endpoint::Messages {
        prop_assert_eq!(request.output_bound, given[0]);
    }
    let include_usage = body.get("stream_options").and_then(|options| options.get("include_usage"));
    prop_assert_eq!(request.include_usage(), include_usage.and_then(Value::as_bool));
    Ok(())
}

/// The edit keeps every byte but the `null` that it replaces, and adds what it says, nothing else.
fn edit_adds_usage_only(
    request: &LlmRequest,
    body: &str,
    endpoint: Endpoint,
    engine: Engine,
) -> Result<(), TestCaseError> {
    let Some(edit) = request.usage_edit(engine, false) else {
        return Ok(());
    };
    prop_assert!(matches!(
        request.endpoint,
        Endpoint::Chat | Endpoint::Completions | Endpoint::TokenGenerate
    ));
    prop_assert!(matches!(body.get(edit.range.clone()), Some("" | "null")));
    let mut edited = body.to_owned();
    edited.replace_range(edit.range.clone(), edit.text);

    let mut expected: Map<String, Value> = serde_json::from_str(body).unwrap();
    let options = expected.entry("stream_options").or_insert(Value::Null);
    if options.is_null() {
        *options = json!({});
    }
    prop_assert_eq!(edit.hides.usage, options["include_usage"] != json!(true));
    prop_assert_eq!(edit.hides.running_usage, engine == Engine::Vllm);
    options["include_usage"] = json!(true);
    if engine == Engine::Vllm && options.get("continuous_usage_stats").is_none() {
        options["continuous_usage_stats"] = json!(true);
    }
    let found: Map<String, Value> = serde_json::from_str(&edited).unwrap();
    prop_assert_eq!(found, expected);

    let again = parse(edited.as_bytes(), endpoint, engine).unwrap();
    prop_assert_eq!(again.include_usage(), Some(true));
    prop_assert_eq!(again.usage_edit(engine, false), None);
    prop_assert_eq!((again.input, again.output_bound), (request.input, request.output_bound));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn accepted_bodies_mean_what_they_mean_to_a_plain_parser(
        body in body(), endpoint in endpoint(), engine in engine(),
    ) {
        if let Ok(request) = parse(body.as_bytes(), endpoint, engine) {
            agrees(&request, &serde_json::from_str(&body).unwrap())?;
            edit_adds_usage_only(&request, &body, endpoint, engine)?;
        }
    }

    #[test]
    fn mutated_bodies_are_refused_or_mean_what_they_mean_to_a_plain_parser(
        body in body(),
        changes in vec((any::<Index>(), any::<u8>(), 0_u8..3), 1..4),
        endpoint in endpoint(),
        engine in engine(),
    ) {
        let mut body = body.into_bytes();
        for (position, byte, kind) in changes {
            let position = position.index(body.len());
            match kind {
                0 => body[position] = byte,
                1 => body.insert(position, byte),
                _ => { body.truncate(position + 1); }
            }
        }
        if let Ok(request) = parse(&body, endpoint, engine) {
            let body = String::from_utf8(body).unwrap();
            agrees(&request, &serde_json::from_str(&body).unwrap())?;
            edit_adds_usage_only(&request, &body, endpoint, engine)?;
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        body in vec(any::<u8>(), 0..200), endpoint in endpoint(), engine in engine(),
    ) {
        let _ = parse(&body, endpoint, engine);
    }

    #[test]
    fn streams_get_the_edit_wherever_blanks_and_siblings_stand(
        blanks in vec(blank(), 6),
        options in prop_oneof![
            Just(None),
            Just(Some("null".to_owned())),
            vec(
                prop_oneof![
                    Just(r#""include_usage":null"#.to_owned()),
                    Just(r#""continuous_usage_stats":null"#.to_owned()),
                    Just(r#""continuous_usage_stats":true"#.to_owned()),
                    value().prop_map(|value| format!("\"sibling\":{value}")),
                ],
                0..3,
            ).prop_map(|members| Some(format!("{{ {}\t}}", members.join(" , ")))),
        ],
        is_first: bool,
        endpoint in select(vec![Endpoint::Chat, Endpoint::Completions]),
        engine in engine(),
    ) {
        let stream = format!("\"stream\"{}:{}true", blanks[0], blanks[1]);
        let mut members = vec![stream];
        if let Some(options) = options {
            let options = format!("\"stream_options\"{}:{}{options}", blanks[2], blanks[3]);
            members.insert(usize::from(!is_first), options);
        }
        let members = members.join(&format!("{},", blanks[5]));
        let body = format!("{}{{{}{members}{}}}", blanks[4], blanks[5], blanks[4]);
        match parse(body.as_bytes(), endpoint, engine) {
            Ok(request) => {
                prop_assert!(request.usage_edit(engine, false).is_some());
                edit_adds_usage_only(&request, &body, endpoint, engine)?;
            }
            // The generator may have drawn the same member twice.
            Err(error) => prop_assert!(matches!(error, RequestError::DuplicateKey(_)), "{error}"),
        }
    }

    #[test]
    fn policy_key_is_refused_twice_and_in_other_spellings_however_it_is_escaped(
        key in select(POLICY.to_vec()),
        spelling in vec(0_u8..4, 24),
        endpoint in endpoint(),
    ) {
        let mut is_exact = true;
        let written: String = key.chars().zip(&spelling).map(|(character, how)| {
            let character = match (how, character) {
                (1, _) => character.to_ascii_uppercase(),
                (2, 's') => '\u{17f}',
                (2, 'k') => '\u{212a}',
                _ => character,
            };
            is_exact &= key.contains(character);
            if *how == 0 { character.to_string() } else { format!("\\u{:04x}", u32::from(character)) }
        }).collect();

        let alone = parse(format!("{{\"{written}\":null}}").as_bytes(), endpoint, Engine::OpenAi);
        let beside = format!("{{\"{key}\":null,\"x\":[],\"{written}\":null}}");
        let beside = parse(beside.as_bytes(), endpoint, Engine::OpenAi);
        prop_assert_eq!(alone.map(|_| ()), if is_exact {
            Ok(())
        } else {
            Err(RequestError::MisspeltKey(key))
        });
        prop_assert_eq!(beside, Err(RequestError::DuplicateKey(key)));
    }
}

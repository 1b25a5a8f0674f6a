//! What of bodies is a use of a feature, in each dialect; and that neither the order of members, nor where a
//! body is cut, nor how names are written changes that.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

mod cases;

use cases::CASES;

use super::*;
use crate::llm::request::parse;

fn uses_of(body: &str, form: Endpoint, engine: Engine) -> Uses {
    let request =
        parse(body.as_bytes(), form, engine).unwrap_or_else(|error| panic!("{error}: {body}"));
    let mut reader = UsesReader::new(&request, engine, true);
    reader.read(body.as_bytes());
    reader.finish().unwrap()
}

fn names(uses: &Uses) -> Vec<&'static str> {
    Feature::ALL.iter().filter(|one| uses.features.has(**one)).map(|one| one.as_str()).collect()
}

fn engine_of(form: Endpoint) -> Engine {
    match form {
        Endpoint::OllamaChat | Endpoint::OllamaGenerate => Engine::Ollama,
        Endpoint::SglangGenerate => Engine::Sglang,
        Endpoint::TgiGenerate => Engine::Tgi,
        Endpoint::LlamaCompletion => Engine::LlamaCpp,
        _ => Engine::Vllm,
    }
}

#[test]
fn features_are_found_in_each_dialect() {
    for (form, body, expected) in CASES {
        assert_eq!(names(&uses_of(body, *form, engine_of(*form))).join(" "), *expected, "{body}");
    }
}

#[test]
fn what_is_denied_by_default_is_always_looked_for() {
    let denied = FeatureSet::denied_by_default();
    for (form, body, _) in CASES {
        for engine in [engine_of(*form), Engine::OpenAi] {
            let Ok(request) = parse(body.as_bytes(), *form, engine) else { continue };
            let uses = uses_of(body, *form, engine);
            if uses.features.both(denied).next().is_some() {
                assert!(may_be_denied_by_default(&request, engine), "{engine:?} {body}");
            }
        }
    }
    // And most bodies need not be read for it.
    for body in [
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":1,"stream":true}"#,
        r#"{"messages":[{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]}],"tool_choice":"auto","logprobs":true}"#,
    ] {
        let request = parse(body.as_bytes(), Endpoint::Chat, Engine::Vllm).unwrap();
        assert!(!may_be_denied_by_default(&request, Engine::Vllm), "{body}");
    }
}

/// A body that isn't read again passes.
#[test]
fn what_is_denied_is_looked_for_in_each_form_wherever_it_stands() {
    let denied = FeatureSet::denied_by_default();
    for body in [
        r#"{"tools":[{"type":"mcp","server_url":"http://x/"}]}"#,
        r#"{"functions":[{"type":"mcp"}]}"#,
        r#"{"messages":[{"role":"developer","content":"x","tools":[{"type":"mcp"}]}]}"#,
        r#"{"messages":[{"role":"user","images":["http://x/"]}]}"#,
        r#"{"messages":[{"content":[{"multimodal_data":["http://x/"]}]}]}"#,
        r#"{"messages":[{"content":[{"image_url":"http://x/"}]}]}"#,
        r#"{"messages":[{"content":[{"IMAGE_url":"http://x/"}]}]}"#,
        r#"{"messages":[{"content":[{"image_\u0075rl":"http://x/"}]}]}"#,
        r#"{"messages":[{"content":[{"image_embeds":"AA"}]}]}"#,
        r#"{"messages":[{"content":[{"image_url":null,"uuid":"x"}]}]}"#,
        r#"{"messages":[{"content":[{"type":"prompt_embeds","data":"AA"}]}]}"#,
        r#"{"messages":[{"content":[{"image_url":{"url":"data:,","content_hash":"x"}}]}]}"#,
        r#"{"prompt":{"variables":{"input":{"image_url":"http://x/"}}}}"#,
        r#"{"input":[{"image_url":"http://x/"}]}"#,
        r#"{"input":{"content":[{"image_url":"http://x/"}]}}"#,
        r#"{"prompt":[{"prompt_string":"x","multimodal_data":["http://x/"]}]}"#,
        r#"{"query":{"content":[{"video_url":{"url":"http://x/"}}]}}"#,
        r#"{"documents":[{"image":"http://x/"}]}"#,
        r#"{"image_data":"/etc/passwd"}"#,
        r#"{"images":["http://x/"]}"#,
        r#"{"data":{"image":"http://x/"}}"#,
        r#"{"data":"http://x/"}"#,
        r#"{"text":[{"image":"http://x/"}]}"#,
        r#"{"texts":[{"image_url":"http://x/"}]}"#,
        r#"{"items":[{"video":"http://x/"}]}"#,
        r#"{"text_1":[{"image_url":"http://x/"}]}"#,
        r#"{"data_2":{"content":[{"image_url":"http://x/"}]}}"#,
        r#"{"content":[{"prompt_string":"x","multimodal_data":["http://x/"]}]}"#,
        r#"{"inputs":[{"content":[{"type":"image_url","image_url":"http://x/"}]}]}"#,
        r#"{"content_parts":[{"image_url":"http://x/"}]}"#,
        r#"{"system":[{"source":{"url":"http://x/"}}]}"#,
        r#"{"instructions":[{"image_url":"http://x/"}]}"#,
        r#"{"prediction":{"content":[{"image_url":"http://x/"}]}}"#,
        r#"{"previous_response":{"output":[{"image_url":"http://x/"}]}}"#,
        r#"{"previous_input_messages":[{"content":[{"image_url":"http://x/"}]}]}"#,
        r#"{"query":{"image":"http://x/"}}"#,
        r#"{"queries":[{"image":"http://x/"}]}"#,
        r#"{"chat_template_kwargs":{"chat_template":"x"}}"#,
        r#"{"sampling_params":{"custom_params":{"a":1}}}"#,
        r#"{"sampling_params":[{"custom_params":{"a":1}}]}"#,
        r#"{"parameters":{"adapter_id":"x"}}"#,
        r#"{"options":{"logits_processors":["x"]}}"#,
        r#"{"sampling_params":{"extra_args":{"a":1}}}"#,
        r#"{"image_data":[{"format":"processor_output"}]}"#,
        r#"{"tools":[{"type":"function"},{"type":"namespace","tools":[{"type":"mcp"}]}]}"#,
        r#"{"service_tier":"priority"}"#,
        r#"{"store":true}"#,
    ] {
        for form in Endpoint::ALL {
            let serves =
                |engine: &Engine| engine.table().rows.iter().any(|row| row.form == Some(form));
            for engine in Engine::ALL.into_iter().filter(serves) {
                let Ok(request) = parse(body.as_bytes(), form, engine) else { continue };
                let uses = uses_of(body, form, engine);
                if uses.features.both(denied).next().is_some() {
                    assert!(
                        may_be_denied_by_default(&request, engine),
                        "{engine:?} {form:?} {body}"
                    );
                }
            }
        }
    }
}

#[test]
fn other_spellings_are_found_as_well() {
    for name in ["RID", "Rid", "\\u0072id", "ri\\u0064", "r\\ud800id"] {
        let body = format!("{{\"{name}\":5}}");
        assert_eq!(names(&uses_of(&body, Endpoint::Chat, Engine::Vllm)), ["request_ids"], "{name}");
        let request = parse(body.as_bytes(), Endpoint::Chat, Engine::Vllm).unwrap();
        assert!(may_be_denied_by_default(&request, Engine::Vllm), "{name}");
    }
    let kelvin = "{\"\u{212a}eep_alive\":0,\"\u{17f}tore\":true}";
    assert_eq!(names(&uses_of(kelvin, Endpoint::Chat, Engine::Vllm)), ["store", "load_options"]);
    let body = r#"{"messages":[{"content":[{"IMAGE_URL":{"Url":"http://x"}}]}]}"#;
    assert_eq!(names(&uses_of(body, Endpoint::Chat, Engine::Ollama)), ["media", "remote_media"]);
}

#[test]
fn members_are_named() {
    let uses = uses_of(
        r#"{"guided_json":{"a":1},"response_format":{"type":"x"}}"#,
        Endpoint::Chat,
        Engine::Vllm,
    );
    assert_eq!(uses.member(Feature::GuidedDecoding), "guided_json");
    assert_eq!(uses.member(Feature::Tools), "");
}

#[test]
fn messages_tools_and_schemas_are_counted() {
    let uses = |body: &str, form| {
        let uses = uses_of(body, form, Engine::Vllm);
        (uses.messages, uses.tools)
    };
    assert_eq!(uses(r#"{"messages":[{},{"content":[{},{}]},{}]}"#, Endpoint::Chat), (3, 0));
    assert_eq!(uses(r#"{"messages":[[{},{}],[{}]]}"#, Endpoint::ChatBatch), (3, 0));
    assert_eq!(uses(r#"{"input":[{},"x"]}"#, Endpoint::Responses), (2, 0));
    assert_eq!(uses(r#"{"input":"x"}"#, Endpoint::Responses), (1, 0));
    assert_eq!(uses(r#"{"input":["x","y"]}"#, Endpoint::Embeddings), (0, 0));
    assert_eq!(uses(r#"{"tools":[{},{"tools":[{}]}],"functions":[{}]}"#, Endpoint::Chat), (0, 4));
    // About as long as it is written.
    let schema = r#"{"type":"object","properties":{"a":{"enum":[1,2,3],"pattern":"^[a-z\n]+$"}}}"#;
    for body in [
        format!(r#"{{"guided_json":{schema}}}"#),
        format!(r#"{{"response_format":{{"type":"json_schema","json_schema":{schema}}}}}"#),
        format!(r#"{{"tools":[{{"function":{schema}}}]}}"#),
    ] {
        let bytes = uses_of(&body, Endpoint::Chat, Engine::Vllm).schema_bytes;
        let written = u64::try_from(schema.len()).unwrap();
        assert!((written * 9 / 10..written * 2).contains(&bytes), "{bytes} of {written}: {body}");
    }
    let long = format!(r#"{{"guided_regex":"{}"}}"#, "a\\n".repeat(1_000));
    assert_eq!(uses_of(&long, Endpoint::Chat, Engine::Vllm).schema_bytes, 2_003);
}

#[test]
fn unknown_members_are_noticed_at_both_levels() {
    let unknown = |body: &str, form, engine| uses_of(body, form, engine).has_unknown;
    assert!(!unknown(
        r#"{"model":"m","messages":[],"top_k":5,"seed":1}"#,
        Endpoint::Chat,
        Engine::Vllm
    ));
    assert!(unknown(r#"{"model":"m","messages":[],"top_k":5}"#, Endpoint::Chat, Engine::OpenAi));
    assert!(unknown(r#"{"Seed":1}"#, Endpoint::Chat, Engine::Vllm));
    assert!(unknown(r#"{"x":1}"#, Endpoint::Chat, Engine::Vllm));
    assert!(!unknown(
        r#"{"prompt":"x","options":{"num_ctx":1}}"#,
        Endpoint::OllamaGenerate,
        Engine::Ollama
    ));
    assert!(unknown(
        r#"{"prompt":"x","options":{"num_cty":1}}"#,
        Endpoint::OllamaGenerate,
        Engine::Ollama
    ));
    assert!(!unknown(r#"{"messages":[{"x":1}]}"#, Endpoint::Chat, Engine::Vllm));
}

/// Members of chats, each a whole one.
const MEMBERS: [&str; 14] = [
    r#""model":"m""#,
    r#""messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"http:\/\/x"}},{"text":"\u00e9\n"}]}]"#,
    r#""tools":[{"type":"function","function":{"parameters":{"a":[1,2,-3.5e2,null,true],"b":"\"x\""}}}]"#,
    r#""response_format":{"type":"json_schema","json_schema":{"schema":{}}}"#,
    r#""logprobs":true"#,
    r#""priority":7"#,
    r#""chat_template_kwargs":{"chat_template":"x"}"#,
    r#""guided_regex":"a\\b\u0041""#,
    r#""lora":[{"id":1}]"#,
    r#""include":["message.output_text.logprobs"]"#,
    r#""kv_transfer_params":{"a":{"b":[]}}"#,
    r#""temperature":0.25"#,
    r#""nobody_knows":[{"x":"y"}]"#,
    r#""logit_bias":{"5":1}"#,
];

proptest! {
    /// Whatever the order of members, and wherever a body is cut.
    #[test]
    fn order_and_slices_do_not_matter(
        members in subsequence(&MEMBERS[..], 0..=MEMBERS.len()).prop_shuffle(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        mark in any::<bool>(),
    ) {
        let plain = format!("{{{}}}", members.join(","));
        let body = format!("{}{plain}", if mark { "\u{feff}" } else { "" });
        let request = parse(body.as_bytes(), Endpoint::Chat, Engine::Vllm).unwrap();
        let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(body.len())).collect();
        places.extend([0, body.len()]);
        places.sort_unstable();
        let mut reader = UsesReader::new(&request, Engine::Vllm, true);
        for pair in places.windows(2) {
            reader.read(&body.as_bytes()[pair[0]..pair[1]]);
        }
        let uses = reader.finish().unwrap();
        let mut sorted = members.clone();
        sorted.sort_unstable();
        let expected = uses_of(&format!("{{{}}}", sorted.join(",")), Endpoint::Chat, Engine::Vllm);
        prop_assert_eq!(names(&uses), names(&expected));
        prop_assert_eq!(
            (uses.messages, uses.tools, uses.schema_bytes, uses.has_unknown),
            (expected.messages, expected.tools, expected.schema_bytes, expected.has_unknown)
        );
        let whole = uses_of(&plain, Endpoint::Chat, Engine::Vllm);
        prop_assert_eq!(
            (uses.schema_member, uses.unknown_member), (whole.schema_member, whole.unknown_member)
        );
        // And each member alone says what it says beside others.
        for member in &members {
            let alone = uses_of(&format!("{{{member}}}"), Endpoint::Chat, Engine::Vllm);
            prop_assert!(names(&alone).iter().all(|name| names(&uses).contains(name)));
        }
    }

    /// A member that is denied is found wherever it stands among others, however often it comes.
    #[test]
    fn a_second_member_hides_no_first_one(
        first in select(vec!["5", "0", "null", "false"]), second in select(vec!["5", "0", "null"]),
    ) {
        let body = format!(r#"{{"top_logprobs":{first},"x":[],"top_logprobs":{second}}}"#);
        let is_used = first == "5" || second == "5";
        prop_assert_eq!(!names(&uses_of(&body, Endpoint::Chat, Engine::Vllm)).is_empty(), is_used);
    }
}

//! What of bodies is a use of a feature, in each dialect; and that neither the order of members, nor where a
//! body is cut, nor how names are written changes that.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

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

/// Bodies of a form, and what they use.
const CASES: &[(Endpoint, &str, &str)] = &[
    (
        Endpoint::Chat,
        r#"{"messages":[{"role":"user","content":"hi"}],"temperature":0.5,"stop":["a"]}"#,
        "",
    ),
    // What says nothing is no use.
    (
        Endpoint::Chat,
        r#"{"tools":null,"functions":[],"logprobs":false,"top_logprobs":0,"response_format":null}"#,
        "",
    ),
    (
        Endpoint::Chat,
        r#"{"response_format":{"type":"text"},"chat_template":"","priority":0,"store":false}"#,
        "",
    ),
    (
        Endpoint::Chat,
        r#"{"logit_bias":{},"min_tokens":0,"ignore_eos":false,"kv_transfer_params":null,"lora":[]}"#,
        "",
    ),
    (Endpoint::Chat, r#"{"tools":[{"type":"function","function":{"name":"f"}}]}"#, "tools"),
    (Endpoint::Chat, r#"{"functions":[{"name":"f"}]}"#, "tools"),
    (Endpoint::Chat, r#"{"messages":[{"role":"system","tools":[{"function":{}}]}]}"#, "tools"),
    (Endpoint::Chat, r#"{"web_search_options":{"search_context_size":"low"}}"#, "server_tools"),
    (
        Endpoint::Responses,
        r#"{"input":"x","tools":[{"type":"function","name":"f"},{"type":"custom"}]}"#,
        "tools",
    ),
    (
        Endpoint::Responses,
        r#"{"tools":[{"type":"mcp","server_url":"http://10.0.0.1/"}]}"#,
        "tools server_tools",
    ),
    (Endpoint::Responses, r#"{"tools":[{"type":"web_search_preview"}]}"#, "tools server_tools"),
    (
        Endpoint::Responses,
        r#"{"tools":[{"type":"namespace","tools":[{"type":"file_search"}]}]}"#,
        "tools server_tools",
    ),
    (Endpoint::Messages, r#"{"tools":[{"name":"f","input_schema":{"type":"object"}}]}"#, "tools"),
    (Endpoint::Messages, r#"{"tools":[{"type":"bash_20250124","name":"bash"}]}"#, "tools"),
    (
        Endpoint::Messages,
        r#"{"tools":[{"type":"web_fetch_20250910","name":"web_fetch"}]}"#,
        "tools server_tools",
    ),
    (Endpoint::Messages, r#"{"mcp_servers":[{"type":"url","url":"http://x"}]}"#, "server_tools"),
    // Media, and what has to be fetched.
    (
        Endpoint::Chat,
        r#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]}]}"#,
        "media",
    ),
    (
        Endpoint::Chat,
        r#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"http://169.254.169.254/"}}]}]}"#,
        "media remote_media",
    ),
    (
        Endpoint::Chat,
        r#"{"messages":[{"content":[{"image_url":"file:///etc/passwd"}]}]}"#,
        "media remote_media",
    ),
    (Endpoint::Chat, r#"{"messages":[{"content":[{"image_url":null,"uuid":"abc"}]}]}"#, "sessions"),
    (
        Endpoint::Chat,
        r#"{"messages":[{"content":[{"video_url":{"url":"https://x/v.mp4"}}]}]}"#,
        "media remote_media",
    ),
    (
        Endpoint::Chat,
        r#"{"messages":[{"content":[{"audio_url":{"url":"ftp://x/"}}]}]}"#,
        "media remote_media",
    ),
    (
        Endpoint::Chat,
        r#"{"messages":[{"content":[{"input_audio":{"data":"UklGR","format":"wav"}}]}]}"#,
        "media",
    ),
    (Endpoint::Chat, r#"{"messages":[{"content":[{"file":{"file_id":"file-1"}}]}]}"#, "media"),
    (
        Endpoint::Chat,
        r#"{"messages":[{"content":[{"file":{"file_data":"data:;base64,AA"}}]}]}"#,
        "media",
    ),
    (
        Endpoint::Chat,
        r#"{"messages":[{"content":[{"type":"image_embeds","image_embeds":"AA"}]}]}"#,
        "embeds",
    ),
    // What a tool was called with, is no medium.
    (
        Endpoint::Messages,
        r#"{"messages":[{"content":[{"type":"tool_use","input":{"image_url":"http://x"}}]}]}"#,
        "",
    ),
    (
        Endpoint::Messages,
        r#"{"messages":[{"content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA"}}]}]}"#,
        "media",
    ),
    (
        Endpoint::Messages,
        r#"{"messages":[{"content":[{"type":"tool_result","content":[{"source":{"url":"http://x","type":"url"}}]}]}]}"#,
        "media remote_media",
    ),
    (
        Endpoint::Messages,
        r#"{"messages":[{"content":[{"type":"document","source":{"data":"some text","type":"text"}}]}]}"#,
        "",
    ),
    (
        Endpoint::Messages,
        r#"{"messages":[{"content":[{"source":{"type":"file","file_id":"f"}}]}]}"#,
        "media",
    ),
    (
        Endpoint::Responses,
        r#"{"input":[{"role":"user","content":[{"type":"input_image","image_url":"https://x/"}]}]}"#,
        "media remote_media",
    ),
    (
        Endpoint::Responses,
        r#"{"input":[{"role":"user","content":[{"type":"input_file","file_url":"https://x/a.pdf"}]}]}"#,
        "media remote_media",
    ),
    (
        Endpoint::Responses,
        r#"{"input":[{"type":"computer_call_output","output":{"image_url":"http://x"}}]}"#,
        "media remote_media",
    ),
    (
        Endpoint::Responses,
        r#"{"input":[{"content":[{"type":"output_text","annotations":[{"type":"url_citation","url":"http://x"}]}]}]}"#,
        "",
    ),
    (
        Endpoint::OllamaChat,
        r#"{"messages":[{"role":"user","content":"x","images":["iVBO"]}]}"#,
        "media",
    ),
    (Endpoint::OllamaGenerate, r#"{"prompt":"x","images":[]}"#, ""),
    (
        Endpoint::SglangGenerate,
        r#"{"text":"x","image_data":"/etc/passwd.png"}"#,
        "media remote_media",
    ),
    (
        Endpoint::SglangGenerate,
        r#"{"text":"x","image_data":["data:image/png;base64,AA"]}"#,
        "media",
    ),
    (
        Endpoint::SglangGenerate,
        r#"{"text":"x","video_data":[["http://x/"]]}"#,
        "media remote_media",
    ),
    (Endpoint::Embeddings, r#"{"input":[{"text":"x","image":"http://x/"}]}"#, "media remote_media"),
    (
        Endpoint::Score,
        r#"{"data_1":{"content":[{"image_url":{"url":"http://x"}}]}}"#,
        "media remote_media",
    ),
    (Endpoint::Pooling, r#"{"data":"https://x/a.tiff"}"#, "media remote_media"),
    (
        Endpoint::LlamaCompletion,
        r#"{"prompt":{"prompt_string":"x","multimodal_data":["iVBO"]}}"#,
        "media",
    ),
    (Endpoint::TgiGenerate, r#"{"inputs":"![](http://169.254.169.254/)x"}"#, "media remote_media"),
    (Endpoint::TgiGenerate, r#"{"inputs":"![](data:image/png;base64,AA)x"}"#, ""),
    (Endpoint::TgiGenerate, r#"{"inputs":"!\u005b](http\u003a//x)"}"#, "media remote_media"),
    // The output.
    (Endpoint::Chat, r#"{"logprobs":true}"#, "logprobs"),
    (Endpoint::Completions, r#"{"prompt":"x","logprobs":0}"#, "logprobs"),
    (Endpoint::Completions, r#"{"prompt":"x","echo":true,"prompt_logprobs":0}"#, "logprobs echo"),
    (Endpoint::LlamaCompletion, r#"{"prompt":"x","n_probs":3}"#, "logprobs"),
    (Endpoint::Responses, r#"{"include":["message.output_text.logprobs"]}"#, "logprobs"),
    (Endpoint::Responses, r#"{"include":["reasoning.encrypted_content"]}"#, ""),
    (Endpoint::TgiGenerate, r#"{"inputs":"x","parameters":{"top_n_tokens":5}}"#, "logprobs"),
    (Endpoint::TgiGenerate, r#"{"inputs":"x","parameters":{"return_full_text":true}}"#, "echo"),
    (Endpoint::SglangGenerate, r#"{"text":"x","return_logprob":[true]}"#, "logprobs"),
    (Endpoint::SglangGenerate, r#"{"text":"x","return_hidden_states":true}"#, "hidden_states"),
    (Endpoint::Chat, r#"{"response_format":{"type":"json_object"}}"#, "guided_decoding"),
    // Go reads either, and Python the last one.
    (
        Endpoint::Chat,
        r#"{"response_format":{"type":"text","TYPE":"json_schema"}}"#,
        "guided_decoding",
    ),
    (
        Endpoint::Chat,
        r#"{"response_format":{"type":"json_schema","type":"text"}}"#,
        "guided_decoding",
    ),
    (Endpoint::Chat, r#"{"response_format":{"schema":{}}}"#, "guided_decoding"),
    (Endpoint::Chat, r#"{"guided_regex":"(a+)+"}"#, "guided_decoding"),
    (Endpoint::Chat, r#"{"structured_outputs":{"json":{}}}"#, "guided_decoding"),
    (Endpoint::LlamaCompletion, r#"{"prompt":"x","grammar":"root ::= x"}"#, "guided_decoding"),
    (Endpoint::Responses, r#"{"text":{"format":{"type":"json_schema"}}}"#, "guided_decoding"),
    (Endpoint::Responses, r#"{"text":{"format":{"type":"text"},"verbosity":"low"}}"#, ""),
    (
        Endpoint::Messages,
        r#"{"output_config":{"format":{"type":"json_schema"}}}"#,
        "guided_decoding",
    ),
    (Endpoint::OllamaChat, r#"{"format":"json"}"#, "guided_decoding"),
    (Endpoint::OllamaChat, r#"{"format":"","options":{"num_predict":5}}"#, ""),
    (
        Endpoint::TgiGenerate,
        r#"{"parameters":{"grammar":{"type":"regex","value":"a"}}}"#,
        "guided_decoding",
    ),
    (Endpoint::SglangGenerate, r#"{"sampling_params":{"regex":"a"}}"#, "guided_decoding"),
    (Endpoint::SglangGenerate, r#"{"sampling_params":[{"json_schema":"{}"}]}"#, "guided_decoding"),
    (
        Endpoint::TokenGenerate,
        r#"{"sampling_params":{"structured_outputs":{"regex":"a"}}}"#,
        "guided_decoding",
    ),
    (Endpoint::Chat, r#"{"logit_bias":{"1":5}}"#, "logit_bias"),
    (Endpoint::SglangGenerate, r#"{"custom_logit_processor":"80049"}"#, "logits_processors"),
    (Endpoint::Chat, r#"{"use_beam_search":true,"ignore_eos":true}"#, "beam_search forced_output"),
    // The engine.
    (
        Endpoint::Chat,
        r#"{"chat_template_kwargs":{"enable_thinking":false}}"#,
        "chat_template_kwargs",
    ),
    (
        Endpoint::Chat,
        r#"{"chat_template_kwargs":{"tokenize":true}}"#,
        "chat_template_kwargs chat_template",
    ),
    (Endpoint::Chat, r#"{"chat_template":"{{ 1 }}"}"#, "chat_template"),
    (Endpoint::OllamaGenerate, r#"{"prompt":"x","template":"{{ .Prompt }}"}"#, "chat_template"),
    (Endpoint::TgiGenerate, r#"{"parameters":{"adapter_id":"x"}}"#, "lora"),
    (Endpoint::Chat, r#"{"lora":[{"id":0,"scale":1}]}"#, "lora"),
    (Endpoint::Chat, r#"{"priority":-1}"#, "priority"),
    (Endpoint::Chat, r#"{"service_tier":"auto"}"#, ""),
    (Endpoint::Chat, r#"{"service_tier":"priority"}"#, "priority"),
    (Endpoint::Responses, r#"{"store":true}"#, "store"),
    (Endpoint::Responses, r#"{"previous_response_id":"r"}"#, "store"),
    (Endpoint::SglangGenerate, r#"{"session_params":{"id":"x"}}"#, "sessions"),
    (Endpoint::Chat, r#"{"request_id":"x"}"#, "request_ids"),
    (Endpoint::LlamaCompletion, r#"{"prompt":"x","id_slot":0}"#, "slots"),
    (Endpoint::OllamaChat, r#"{"keep_alive":0}"#, "load_options"),
    (Endpoint::OllamaChat, r#"{"options":{"num_ctx":100000}}"#, "load_options"),
    (Endpoint::Chat, r#"{"kv_transfer_params":{"remote_host":"x"}}"#, "internals"),
    (Endpoint::SglangGenerate, r#"{"bootstrap_host":"10.0.0.1"}"#, "internals"),
    (Endpoint::Completions, r#"{"prompt_embeds":"AA"}"#, "embeds"),
];

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
        r#"{"messages":[],"tools":[{"type":"function"}],"tool_choice":"auto","logprobs":true}"#,
    ] {
        let request = parse(body.as_bytes(), Endpoint::Chat, Engine::Vllm).unwrap();
        assert!(!may_be_denied_by_default(&request, Engine::Vllm), "{body}");
    }
}

#[test]
fn other_spellings_are_found_as_well() {
    for name in ["PRIORITY", "Priority", "\\u0070riority", "priorit\\u0079", "p\\ud800riority"] {
        let body = format!("{{\"{name}\":5}}");
        assert_eq!(names(&uses_of(&body, Endpoint::Chat, Engine::Vllm)), ["priority"], "{name}");
        let request = parse(body.as_bytes(), Endpoint::Chat, Engine::Vllm).unwrap();
        assert!(may_be_denied_by_default(&request, Engine::Vllm), "{name}");
    }
    let kelvin = "{\"\u{212a}eep_alive\":0,\"\u{17f}tore\":true}";
    assert_eq!(names(&uses_of(kelvin, Endpoint::Chat, Engine::Vllm)), ["store", "load_options"]);
    for body in [r#"{"messages":[{"content":[{"IMAGE_URL":{"Url":"http://x"}}]}]}"#] {
        assert_eq!(
            names(&uses_of(body, Endpoint::Chat, Engine::Ollama)),
            ["media", "remote_media"]
        );
    }
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
        let body = format!(r#"{{"priority":{first},"x":[],"priority":{second}}}"#);
        let is_used = first == "5" || second == "5";
        prop_assert_eq!(!names(&uses_of(&body, Endpoint::Chat, Engine::Vllm)).is_empty(), is_used);
    }
}

use proptest::prelude::*;

use super::*;
use crate::llm::Endpoint;

/// Each text, with who says it and where it stands.
fn told(body: &str, form: Endpoint) -> Vec<String> {
    let texts = Texts::of(body.into(), form).unwrap();
    let line = |text: &Text| {
        let Text { role, place, .. } = text;
        format!("{} {place} {}", role.name(), texts.said(text))
    };
    texts.iter().map(line).collect()
}

fn chat(body: &str) -> Vec<String> {
    told(body, Endpoint::Chat)
}

#[test]
fn a_chat_has_what_each_role_says() {
    let body = r#"{"model":"m","user":"u","messages":[
        {"role":"system","content":"be kind"},
        {"content":"early \"role\"","role":"user"},
        {"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function",
            "function":{"name":"f","arguments":"{\"city\":\"Rome\"}"}}]},
        {"role":"tool","tool_call_id":"c1","content":[{"type":"text","text":"sunny"}]},
        {"role":"wizard","content":"spell"}]}"#;
    assert_eq!(
        chat(body),
        [
            "system messages[0] be kind",
            "user messages[1] early \"role\"",
            "assistant messages[2] id",
            "assistant messages[2] c1",
            "assistant messages[2] type",
            "assistant messages[2] function",
            "assistant messages[2] function",
            "assistant messages[2] name",
            "assistant messages[2] f",
            "assistant messages[2] arguments",
            "assistant messages[2] {\"city\":\"Rome\"}",
            "tool messages[3] c1",
            "tool messages[3] sunny",
            "any messages[4] wizard",
            "any messages[4] spell",
        ]
    );
}

#[test]
fn two_roles_are_none() {
    let body = r#"{"messages":[{"role":"assistant","content":"x","role":"user"}]}"#;
    assert_eq!(chat(body), ["any messages[0] x"]);
    let body = r#"{"messages":[{"role":"user","content":"x","role":"user"}]}"#;
    assert_eq!(chat(body), ["user messages[0] x"]);
    let body = r#"{"messages":[{"\u0072ole":"tool","content":"x"}]}"#;
    assert_eq!(chat(body), ["tool messages[0] x"]);
    let body = r#"{"messages":[{"content":"x"}]}"#;
    assert_eq!(chat(body), ["any messages[0] x"]);
}

#[test]
fn what_a_tool_returned_is_not_its_messengers() {
    let body = r#"{"system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":[
        {"tool_use_id":"t","content":[{"type":"text","text":"page"}],"type":"tool_result"},
        {"type":"document","source":{"type":"text","media_type":"text/plain","data":"paper"}},
        {"type":"text","text":"question"}]}]}"#;
    assert_eq!(
        told(body, Endpoint::Messages),
        [
            "system system[0] s",
            "tool messages[0] t",
            "tool messages[0] page",
            "tool messages[0] paper",
            "user messages[0] question",
        ]
    );
}

#[test]
fn items_of_responses_have_their_speakers() {
    let body = r#"{"model":"m","instructions":"i","input":[{"role":"user","content":[{"type":"input_text","text":"q"}]},
        {"type":"function_call_output","call_id":"c","output":"42"},
        {"type":"function_call","name":"f","arguments":"{}","call_id":"c"}]}"#;
    assert_eq!(
        told(body, Endpoint::Responses),
        [
            "system instructions i",
            "user input[0] q",
            "tool input[1] c",
            "tool input[1] 42",
            "assistant input[2] f",
            "assistant input[2] {}",
            "assistant input[2] c",
        ]
    );
    assert_eq!(told(r#"{"input":"q"}"#, Endpoint::Responses), ["user input q"]);
}

#[test]
fn tools_and_members_that_nobody_knows_are_texts() {
    let body = r#"{"tools":[{"type":"function","function":{"name":"f","parameters":{"properties":{"secret name":{}}}}}],
        "new_member":{"a":["deep"]}}"#;
    let told = chat(body);
    assert!(told.contains(&"system tools[0] secret name".to_owned()), "{told:?}");
    assert!(told.contains(&"any body deep".to_owned()), "{told:?}");
    assert!(told.contains(&"any body new_member".to_owned()), "{told:?}");
}

#[test]
fn prompts_of_all_forms_are_read() {
    let completions = |body| told(body, Endpoint::Completions);
    assert_eq!(completions(r#"{"prompt":"p","suffix":"s"}"#), ["user prompt p", "user suffix s"]);
    assert_eq!(completions(r#"{"prompt":["a","b"]}"#), ["user prompt[0] a", "user prompt[1] b"]);
    let llama = r#"{"prompt":{"prompt_string":"a","multimodal_data":["Zm9v"]}}"#;
    assert_eq!(told(llama, Endpoint::LlamaCompletion), ["user prompt a", "user prompt Zm9v"]);
    assert_eq!(
        told(r#"{"system":"s","prompt":"p","template":"t"}"#, Endpoint::OllamaGenerate),
        ["system system s", "user prompt p", "any body template", "any body t"]
    );
}

#[test]
fn ids_of_tokens_are_unseen() {
    for (body, form, unseen) in [
        (r#"{"prompt":[1,2]}"#, Endpoint::Completions, Some("prompt")),
        (r#"{"prompt":[[1],"a"]}"#, Endpoint::Completions, Some("prompt")),
        (r#"{"prompt":["a",7]}"#, Endpoint::LlamaCompletion, Some("prompt")),
        (r#"{"prompt":"7","max_tokens":7}"#, Endpoint::Completions, None),
        (r#"{"input_ids":[[1]]}"#, Endpoint::SglangGenerate, Some("input_ids")),
        (r#"{"prompt_embeds":"gAAB"}"#, Endpoint::Completions, Some("prompt_embeds")),
        (r#"{"prompt_embeds":null,"prompt":"a"}"#, Endpoint::Completions, None),
        (r#"{"context":[1],"prompt":"a"}"#, Endpoint::OllamaGenerate, Some("context")),
        (r#"{"input":[1]}"#, Endpoint::Embeddings, Some("input")),
    ] {
        let texts = Texts::of(body.into(), form).unwrap();
        assert_eq!(texts.unseen, unseen, "{body}");
    }
}

#[test]
fn files_are_no_texts_and_texts_no_files() {
    let long = "QUFB".repeat(100);
    let image = |url: &str| {
        format!(
            r#"{{"messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"{url}"}}}}]}}]}}"#
        )
    };
    assert!(chat(&image(&format!("data:image/png;base64,{long}"))).is_empty());
    assert!(chat(&image("https://example.com/a.png")).is_empty());
    assert!(chat(&image(&long)).is_empty());
    for text in ["ignore that", "https://example.com/ ignore that", "data:text/plain,ignore"] {
        assert_eq!(chat(&image(text)), [format!("user messages[0] {text}")]);
    }
}

#[test]
fn what_is_no_object_in_utf8_is_nothing() {
    for body in [&b""[..], b"{", b"{\"a\"", b"{\"a\":\"\xff\"}", b"{\"a\":1,}"] {
        assert!(Texts::of(body.to_vec(), Endpoint::Chat).is_none());
    }
    let marked = "\u{feff}{\"prompt\":\"p\"}";
    assert_eq!(told(marked, Endpoint::Completions), ["user prompt p"]);
}

#[test]
fn a_debugged_text_shows_nothing() {
    let body = r#"{"prompt":"hush"}"#;
    let texts = Texts::of(body.into(), Endpoint::Completions).unwrap();
    assert!(!format!("{texts:?}").contains("hush"));
}

/// A text as JSON, with some of its characters as escapes.
fn written(text: &str, escapes: &[bool]) -> String {
    let mut units = [0; 2];
    let mut out = String::from("\"");
    for (index, character) in text.chars().enumerate() {
        if escapes.get(index % escapes.len().max(1)).copied().unwrap_or_default() {
            for unit in character.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04X}"));
            }
        } else {
            let quoted = serde_json::Value::from(character.to_string()).to_string();
            let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            out.push_str(inner.unwrap());
        }
    }
    out.push('"');
    out
}

/// All strings of a value, but for names.
fn strings(value: &serde_json::Value, out: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) if !text.is_empty() => out.push(text.clone()),
        serde_json::Value::Number(number) if number.to_string().len() >= 4 => {
            out.push(number.to_string());
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| strings(value, out)),
        serde_json::Value::Object(members) => {
            for (name, value) in members {
                if !name.is_empty() {
                    out.push(name.clone());
                }
                strings(value, out);
            }
        }
        _ => {}
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<i64>().prop_map(serde_json::Value::from),
        ".{0,12}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::vec((".{0,6}", inner), 0..4)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn the_text_is_what_a_reader_of_json_says(text in ".{0,40}", escapes in prop::collection::vec(any::<bool>(), 1..8)) {
        let body = format!("{{\"prompt\":{}}}", written(&text, &escapes));
        let texts = Texts::of(body.into(), Endpoint::Completions).unwrap();
        let said: Vec<&str> = texts.iter().map(|text| texts.said(text)).collect();
        prop_assert_eq!(said, if text.is_empty() { vec![] } else { vec![&*text] });
    }

    #[test]
    fn nothing_in_an_unknown_member_is_missed(value in json()) {
        let body = serde_json::json!({ "unknown": value }).to_string();
        let mut expected = vec!["unknown".to_owned()];
        strings(&value, &mut expected);
        if value.is_number() {
            expected.truncate(1);
        }
        let texts = Texts::of(body.into(), Endpoint::Chat).unwrap();
        let mut found: Vec<String> = texts.iter().map(|text| texts.said(text).to_owned()).collect();
        found.sort();
        expected.sort();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_change_of_the_text_changes_the_body(
        parts in prop::collection::vec(("[^\u{0}]{0,6}", ".{0,6}"), 0..6),
        escapes in prop::collection::vec(any::<bool>(), 1..8),
    ) {
        let mut text = String::new();
        let mut changes = Vec::new();
        let mut expected = String::new();
        for (part, replacement) in &parts {
            text.push('-');
            expected.push('-');
            let start = text.len();
            text.push_str(part);
            expected.push_str(replacement);
            changes.push((start..text.len(), replacement.as_str()));
        }
        prop_assume!(!text.is_empty());
        let body = format!("{{\"prompt\" : {} , \"n\":1}}", written(&text, &escapes));
        let texts = Texts::of(body.clone().into(), Endpoint::Completions).unwrap();
        let mut edits = Edits::default();
        texts.edit(texts.get(0).unwrap(), changes.into_iter(), &mut edits);
        let changed = edits.apply(body.as_bytes()).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&changed).unwrap();
        prop_assert_eq!(&value["prompt"], &serde_json::Value::from(expected));
        prop_assert_eq!(&value["n"], 1);
    }
}

#[test]
fn whatever_a_document_has_is_shown() {
    let body = r#"{"documents":[{"id":"a","detail":"b","type":"c","key":{"url":"https://d"},"text":"e"}]}"#;
    assert_eq!(
        chat(body),
        [
            "tool documents[0] id",
            "tool documents[0] a",
            "tool documents[0] detail",
            "tool documents[0] b",
            "tool documents[0] type",
            "tool documents[0] c",
            "tool documents[0] key",
            "tool documents[0] url",
            "tool documents[0] https://d",
            "tool documents[0] text",
            "tool documents[0] e",
        ]
    );
}

#[test]
fn ids_of_calls_are_shown() {
    let body = r#"{"messages":[{"role":"tool","tool_call_id":"a","content":"x"},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"b","content":"y"}]},
        {"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":{}}]}]}"#;
    assert_eq!(
        told(body, Endpoint::Messages),
        [
            "tool messages[0] a",
            "tool messages[0] x",
            "tool messages[1] b",
            "tool messages[1] y",
            "assistant messages[2] c",
            "assistant messages[2] f",
        ]
    );
    assert_eq!(
        told(
            r#"{"input":[{"type":"function_call_output","call_id":"a","output":"x"}]}"#,
            Endpoint::Responses
        ),
        ["tool input[0] a", "tool input[0] x"]
    );
}

#[test]
fn what_says_that_it_is_text_is_no_file() {
    let long = "aWdub3Jl".repeat(64);
    for data in ["https://a.example/jo@example.com", r"https://a\nignore\tall", &long] {
        for source in [
            format!(r#"{{"type":"text","media_type":"text/plain","data":"{data}"}}"#),
            format!(r#"{{"data":"{data}","media_type":"text/plain","type":"text"}}"#),
        ] {
            let body = format!(
                r#"{{"messages":[{{"role":"user","content":[{{"type":"document","title":"t","source":{source},"context":"c"}},
                {{"type":"text","text":"q"}}]}}]}}"#
            );
            let said = data.replace(r"\n", "\n").replace(r"\t", "\t");
            assert_eq!(
                told(&body, Endpoint::Messages),
                [
                    "tool messages[0] t".to_owned(),
                    format!("tool messages[0] {said}"),
                    "tool messages[0] c".to_owned(),
                    "user messages[0] q".to_owned(),
                ],
                "{source}"
            );
        }
    }
    let body = format!(
        r#"{{"messages":[{{"role":"user","content":[{{"type":"image","source":{{"type":"base64","data":"{long}"}}}},
        {{"type":"image","source":{{"type":"url","url":"https://a"}}}},{{"type":"text","text":"q"}}]}}]}}"#
    );
    assert_eq!(told(&body, Endpoint::Messages), ["user messages[0] q"]);
}

#[test]
fn a_text_is_as_a_parser_reads_it_whatever_is_escaped() {
    let body = r#"{"messages":[{"role":"user","content":"a\b\f\n\r\t\/\"\\\u0041\u00e9b"}]}"#;
    assert_eq!(chat(body), ["user messages[0] a\u{8}\u{c}\n\r\t/\"\\Aéb"]);
}

use super::super::{Asked, Hides, Meter};
use super::*;
use crate::llm::Engine;
use proptest::prelude::*;

fn asked(endpoint: Endpoint, hides: Hides) -> Asked {
    Asked { endpoint, engine: Engine::OpenAi, choices: 1, per_prompt: 1, output_bound: None, hides }
}

/// What the client gets of an answer that comes in these buffers.
fn shown<'a>(
    endpoint: Endpoint,
    promised: Format,
    alias: &str,
    buffers: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<u8> {
    let mut meter = Meter::new(asked(endpoint, Hides::default()), Some(promised));
    meter.show_model(alias);
    client_gets(meter, buffers)
}

fn client_gets<'a>(mut meter: Meter, buffers: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut got = Vec::new();
    for buffer in buffers {
        meter.read(buffer, &mut |part| match part {
            Part::Held(bytes) => {
                assert!(!bytes.is_empty());
                got.extend_from_slice(bytes);
            }
            Part::Range(range) => {
                assert!(!range.is_empty());
                got.extend_from_slice(&buffer[range]);
            }
        });
    }
    meter.finish(&mut |part| match part {
        Part::Held(bytes) => got.extend_from_slice(bytes),
        Part::Range(_) => panic!("there is no buffer"),
    });
    got
}

/// Answers, in which `#` is the value that is to be changed.
const ANSWERS: [(Endpoint, Format, &str); 17] = [
    (
        Endpoint::Chat,
        Format::Json,
        "{\"id\":\"x\",\"object\":\"chat.completion\",\"model\":#,\"choices\":[{\"message\":{\"content\":\
         \"the \\\"model\\\":\\\"real\\\" of {\\\"model\\\":\\\"x\\\\\\\"\",\"model\":\"inner\",\"tool_calls\":\
         [{\"function\":{\"arguments\":\"{\\\"model\\\": \\\"a\\\"}\"}}]},\"model\":\"choice\"}],\
         \"usage\":{\"model\":\"usage\",\"prompt_tokens\":5,\"completion_tokens\":1},\"models\":\"x\",\
         \"MODEL\":\"y\",\"a\":[\"model\",\"b\"],\"mod\":\"model\"}",
    ),
    (Endpoint::Chat, Format::Json, " \r\n{ \"model\" \t:\n # , \"x\" : { } , \"model\":null,\"model\":7}\n"),
    (Endpoint::Chat, Format::Json, "{\"message\":{\"model\":\"x\"},\"response\":{\"model\":\"y\"},\"model\":#}"),
    (Endpoint::Chat, Format::Json, "{\"model\":#,\"a\":[[{\"model\":\"no\"}]],\"b\":{\"c\":{}},\"model\":#}"),
    (Endpoint::Chat, Format::Json, "[{\"model\":\"no\"}]"),
    (
        Endpoint::Chat,
        Format::Sse,
        "data: {\"model\":#,\"choices\":[{\"delta\":{\"content\":\"\\\"model\\\":\\\"x\\\"\"}}]}\n\n\
         : {\"model\":\"a comment\"}\n\nevent: {\"model\":\"y\"}\ndata: {\"x\":1,\ndata: \"model\": #}\n\n\
         data: {\"choices\":[],\"model\":#,\"usage\":{\"prompt_tokens\":5}}\n\ndata: [DONE]\n\n",
    ),
    (Endpoint::Chat, Format::Sse, "\u{feff}data:{\"model\":#}\r\n\r\ndata: {\"model\": #}\r\rdata: {\"model\":#}"),
    // Broken events don't spoil those after them.
    (Endpoint::Chat, Format::Sse, "data: {\"model\":#}]]}\n\ndata: {\"a\n\ndata: {{{\n\ndata: {\"model\":#}\n\n"),
    (Endpoint::Completions, Format::Sse, "data: \"model\"\n\ndata: null\n\ndata: {\"model\":#,\"x\":\"\\\\\"}\n\n"),
    (Endpoint::Embeddings, Format::Json, "{\"data\":[{\"embedding\":[0.1],\"model\":\"x\"}],\"model\":#}"),
    (
        Endpoint::Responses,
        Format::Sse,
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"model\":#,\"output\":\
         [{\"model\":\"x\"}],\"text\":{\"model\":\"y\"}},\"model\":#}\n\n\
         data: {\"type\":\"x.delta\",\"delta\":\"\\\"response\\\":{\\\"model\\\":\\\"z\\\"\",\
         \"item\":{\"model\":\"q\"},\"message\":{\"model\":\"r\"}}\n\n",
    ),
    (Endpoint::Responses, Format::Json, "{\"response\":[{\"model\":\"x\"}],\"model\":#,\"response\":\"model\"}"),
    (
        Endpoint::Messages,
        Format::Sse,
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":#,\
         \"content\":[]}}\n\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"model\":\"x\"}}\n\n",
    ),
    (Endpoint::Messages, Format::Json, "{\"type\":\"message\",\"model\":#,\"content\":[{\"model\":\"x\"}]}"),
    (
        Endpoint::OllamaChat,
        Format::Ndjson,
        "{\"model\":#,\"message\":{\"content\":\"a\",\"model\":\"x\"},\"done\":false}\n\
         {\"model\":#,\"message\":{\"conte\n{\"model\":#,\"done\":true}\n",
    ),
    (Endpoint::LlamaCompletion, Format::Json, "[{\"model\":#,\"content\":\"\"},{\"a\":{\"model\":\"x\"},\"model\":#}]"),
    (Endpoint::OllamaChat, Format::Json, "{\"model\":#,\"x\":1}\n{\"model\":#,\"done\":true}\n"),
];

/// The text with the value in its places, and how often.
fn with(text: &str, value: &str) -> Vec<u8> {
    text.replace('#', &serde_json::Value::from(value).to_string()).into_bytes()
}

#[test]
fn the_alias_takes_the_place_of_the_name_wherever_the_answer_is_cut() {
    for (endpoint, format, text) in ANSWERS {
        let answer = with(text, "meta/Llama-3.1 \"8b\\\" \u{e9}");
        let expected = with(text, "chat-default");
        let get =
            |buffers: &[&[u8]]| shown(endpoint, format, "chat-default", buffers.iter().copied());
        for at in 0..=answer.len() {
            let (a, b) = answer.split_at(at);
            let got = get(&[a, b]);
            assert_eq!(
                String::from_utf8_lossy(&got),
                String::from_utf8_lossy(&expected),
                "cut at {at}: {text}"
            );
        }
        let single: Vec<_> = answer.chunks(1).collect();
        assert_eq!(String::from_utf8_lossy(&get(&single)), String::from_utf8_lossy(&expected));
    }
}

#[test]
fn an_alias_is_written_as_json_writes_it() {
    let got = shown(Endpoint::Chat, Format::Json, "a\"b\\c\u{e9}", [&b"{\"model\":\"x\"}"[..]]);
    assert_eq!(String::from_utf8_lossy(&got), "{\"model\":\"a\\\"b\\\\c\u{e9}\"}");
}

#[test]
fn a_key_with_an_escape_in_it_is_another_one() {
    let text = r#"{"mo\"del":"x","\/model":"x","model\n":"x","model":#}"#;
    for at in 0..text.len() {
        let (a, b) = text.as_bytes().split_at(at);
        let (real, alias) = (with("#", "real"), with(text, "alias"));
        let answer = [a, b].map(|part| {
            let part = std::str::from_utf8(part).unwrap();
            part.replace('#', std::str::from_utf8(&real).unwrap()).into_bytes()
        });
        let buffers = answer.iter().map(Vec::as_slice);
        let got = shown(Endpoint::Chat, Format::Json, "alias", buffers);
        assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(&alias), "cut at {at}");
    }
}

#[test]
fn nothing_is_held_back() {
    let answer = b"data: {\"id\":\"x\",\"model\":\"a long name\",\"choices\":[]}\n\n";
    let name = answer.windows(6).position(|bytes| bytes == b"a long").unwrap();
    let mut meter = Meter::new(asked(Endpoint::Chat, Hides::default()), Some(Format::Sse));
    meter.show_model("m");
    let mut passed = 0;
    for (at, byte) in answer.iter().enumerate() {
        let mut now = 0;
        meter.read(std::slice::from_ref(byte), &mut |part| match part {
            Part::Held(bytes) => now += bytes.len(),
            Part::Range(range) => now += range.len(),
        });
        let is_in_name = (name..=name + "a long name".len()).contains(&at);
        assert_eq!(now > 0, !is_in_name, "{at}");
        passed += now;
    }
    assert_eq!(passed, answer.len() - "a long name".len() + 1);
}

#[test]
fn what_is_hidden_stays_hidden() {
    let stream = "data: {\"model\":\"real\",\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\n\
                  data: {\"model\":\"real\",\"choices\":[],\"usage\":{\"prompt_tokens\":5,\
                  \"completion_tokens\":1}}\n\ndata: [DONE]\n\n";
    let expected = "data: {\"model\":\"alias\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n\
                    data: [DONE]\n\n";
    for at in 0..=stream.len() {
        let hides = Hides { usage: true, running_usage: false };
        let mut meter = Meter::new(asked(Endpoint::Chat, hides), Some(Format::Sse));
        meter.show_model("alias");
        let (a, b) = stream.as_bytes().split_at(at);
        let got = client_gets(meter, [a, b]);
        assert_eq!(String::from_utf8_lossy(&got), expected, "cut at {at}");
    }
}

#[test]
fn the_reading_is_that_of_the_answer_as_it_came() {
    for (endpoint, format, text) in ANSWERS {
        let answer = with(text, "real");
        let read = |alias: Option<&str>| {
            let mut meter = Meter::new(asked(endpoint, Hides::default()), Some(format));
            alias.into_iter().for_each(|alias| meter.show_model(alias));
            answer.chunks(7).for_each(|chunk| meter.read(chunk, &mut |_| {}));
            meter.finish(&mut |_| {});
            meter.reading()
        };
        assert_eq!(read(Some("alias")), read(None), "{text}");
    }
}

/// A document, in which `#` is the value that is to be changed if it is the outermost one.
fn any_object() -> impl Strategy<Value = String> {
    let text = "[a-z\"\\\\{}:, é\u{1f600}]{0,6}"
        .prop_map(|text| serde_json::Value::from(text).to_string());
    let key = prop_oneof![
        Just("\"model\"".to_owned()),
        Just("\"message\"".to_owned()),
        Just("\"response\"".to_owned()),
        Just("\"modell\"".to_owned()),
        text.clone(),
    ];
    let scalar = prop_oneof![
        text,
        Just("null".to_owned()),
        Just("-1.5e3".to_owned()),
        Just("\"model\"".to_owned())
    ];
    let value = scalar.prop_recursive(3, 24, 4, move |inner| {
        let key = prop_oneof![Just("\"model\"".to_owned()), Just("\"x\"".to_owned())];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|all| format!("[{}]", all.join(", "))),
            prop::collection::vec((key, inner), 0..4).prop_map(|all| {
                let all: Vec<_> =
                    all.into_iter().map(|(key, value)| format!("{key}:{value}")).collect();
                format!("{{{}}}", all.join(","))
            }),
        ]
    });
    let blank = prop_oneof![Just(""), Just(" "), Just("\t ")];
    prop::collection::vec((key, value, blank), 0..6).prop_map(|members| {
        let members: Vec<_> = members
            .into_iter()
            .map(|(key, value, blank)| {
                let is_name = key == "\"model\"" && value.starts_with('"');
                let value = if is_name { "#" } else { value.as_str() };
                format!("{blank}{key}{blank}:{blank}{value}{blank}")
            })
            .collect();
        format!("{{{}}}", members.join(","))
    })
}

#[test]
fn a_key_of_a_document_that_was_broken_off_is_not_that_of_the_next() {
    let text = "{\"model\n{data: \"x\"";
    for format in [Format::Json, Format::Sse, Format::Ndjson] {
        let got = shown(Endpoint::Chat, format, "alias", [text.as_bytes()]);
        assert_eq!(String::from_utf8_lossy(&got), text);
    }
}

proptest! {
    #[test]
    fn all_else_stays_as_it_is(
        documents in prop::collection::vec(any_object(), 1..4), is_stream: bool, size in 1_usize..40,
        name in "[a-z\"\\\\é/]{0,9}",
    ) {
        let (format, text) = match is_stream {
            true => (Format::Sse, documents.iter().map(|one| format!("data: {one}\n\n")).collect::<String>()),
            false => (Format::Ndjson, documents.iter().map(|one| format!("{one}\n")).collect()),
        };
        let got = shown(Endpoint::Chat, format, "alias", with(&text, &name).chunks(size));
        let expected = with(&text, "alias");
        prop_assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(&expected));
    }

    #[test]
    fn no_bytes_get_lost(bytes in "([\"{}\\[\\]:,\\\\ \n\r]|model|data: |a){0,40}", size in 1_usize..9) {
        // With a name that the answer doesn't have, all but the strings of the places is there.
        let without = |bytes: &[u8]| bytes.iter().filter(|byte| b"{}[]\n".contains(byte)).count();
        for format in [Format::Json, Format::Sse, Format::Ndjson] {
            let got = shown(Endpoint::Chat, format, "", bytes.as_bytes().chunks(size));
            if !bytes.contains("\"model\"") {
                prop_assert_eq!(String::from_utf8_lossy(&got), bytes.as_str());
            }
            prop_assert!(without(&got) <= without(bytes.as_bytes()));
            // However it is cut.
            let whole = shown(Endpoint::Chat, format, "", [bytes.as_bytes()]);
            prop_assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(&whole));
        }
    }
}

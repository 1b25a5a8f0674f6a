use super::super::{Asked, Format, Hides, Meter, Part};
use super::*;
use crate::llm::{Endpoint, Engine};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Lines that begin and go on like each other, of an endpoint each.
const CHAT: &[&str] = &[
    r#"{"id":"x","choices":[{"index":0,"delta":{"content":"TEXT"},"finish_reason":null}]}"#,
    r#"{"id":"x","choices":[{"index":0,"delta":{"content":"TEXT"},"finish_reason":null}],"usage":null}"#,
    r#"{"id":"x","choices":[{"index":0,"delta":{"content":"TEXT"},"usage":{"prompt_tokens":NUMBER}}]}"#,
    r#"{"id":"x","choices":[{"index":0,"delta":{"content":"TEXT"},"finish_reason":null}],"usage":{"prompt_tokens":NUMBER,"completion_tokens":NUMBER}}"#,
    r#"{"id":"x","choices":[{"index":0,"delta":{"content":"TEXT"}}],"usage":{"prompt_tokens":NUMBER},"usage":null}"#,
    r#"{"id":"x","choices":[{"index":0,"delta":{"content":"TEXT"}}],"usage":{"prompt_tokens":NUMBER},"usage":{"prompt_tokens":NUMBER}}"#,
    r#"{"id":"x","choices":[{"index":0,"delta":{"content":"TEXT","reasoning":"TEXT"}}],"usage":null}"#,
    r#"{"id":"x","choices":[{"index":0,"delta":{"content":null,"refusal":["TEXT"]}}]}"#,
    r#"{"id":"x","choices":[{"index":0,"delta":{"tool_calls":[{"function":{"arguments":"TEXT"}}]}}]}"#,
    r#"{"id":"x","choices":[{"index":0,"delta":{"content":"TEXT"},"finish_reason":null}]} "TEXT""#,
    r#"{"id":"x","choices":[{"index":0,"delta":{"content":"TEXT"},"finish_reason":null}}"#,
    r#"{"id": "x", "choices": [{"index": 0, "delta": {"content": "TEXT"}}], "usage": {"#,
    r#"{"id":"x","choices":[],"usage":{"prompt_tokens":NUMBER,"completion_tokens":7},"obfuscation":"TEXT"}"#,
    r#"{"id":"x","choices":[],"error":{"message":"TEXT"}}"#,
    r#"{"id":"x","choices":[],"error":"TEXT"}"#,
];
const RESPONSES: &[&str] = &[
    r#"{"type":"response.output_text.delta","delta":"TEXT","sequence_number":1}"#,
    r#"{"type":"response.output_text.delta","delta":"TEXT","sequence_number":2}"#,
    r#"{"delta":"TEXT","type":"response.output_text.delta"}"#,
    r#"{"delta":"TEXT","type":"response.audio.delta","obfuscation":"TEXT"}"#,
    r#"{"delta":"TEXT","type":"response.completed","response":{"usage":{"input_tokens":NUMBER}}}"#,
    r#"{"type":"response.failed","response":{"error":null,"usage":{"output_tokens":6}}}"#,
];
const OLLAMA: &[&str] = &[
    r#"{"model":"m","created_at":"TEXT","message":{"role":"assistant","content":"TEXT"},"done":false}"#,
    r#"{"model":"m","created_at":"TEXT","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"TEXT","arguments":{"a":"TEXT","b":["TEXT",1,"TEXT"]}}}]},"done":false}"#,
    r#"{"model":"m","created_at":"TEXT","response":"TEXT","done":true,"eval_count":NUMBER}"#,
    r#"{"model":"m","created_at":"TEXT","done":true,"prompt_eval_count":NUMBER}"#,
];

fn streams() -> impl Strategy<Value = (Endpoint, Vec<String>)> {
    select(vec![
        (Endpoint::Chat, CHAT),
        (Endpoint::Responses, RESPONSES),
        (Endpoint::OllamaChat, OLLAMA),
    ])
    .prop_flat_map(|(endpoint, lines)| {
        let text =
            select(vec!["", "a", "some words", "a\\nb", "\\u00e9", "é", "\",\"content\":\"b"]);
        let number =
            select(vec!["0", "1", "12", "12.0", "999999999999", "1e3", "-1", "null", "01"]);
        let line = (select(lines), text, number)
            .prop_map(|(line, text, number)| line.replace("TEXT", text).replace("NUMBER", number));
        let times = (line, 1_usize..4).prop_map(|(line, times)| vec![line; times]);
        (Just(endpoint), vec(times, 0..30).prop_map(|lines| lines.concat()))
    })
}

/// What is read of a stream, and what the client gets of it.
fn read<'a>(
    asked: Asked,
    format: Format,
    buffers: impl Iterator<Item = &'a [u8]>,
) -> (Option<super::super::Reading>, Vec<u8>) {
    let (mut meter, mut got) = (Meter::new(asked, Some(format)), Vec::new());
    for buffer in buffers {
        meter.read(buffer, &mut |part| match part {
            Part::Held(bytes) => got.extend_from_slice(bytes),
            Part::Range(range) => got.extend_from_slice(&buffer[range]),
        });
    }
    meter.finish(&mut |part| {
        if let Part::Held(bytes) = part {
            got.extend_from_slice(bytes);
        }
    });
    (meter.reading(), got)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Of an event that comes byte by byte, nothing is ever whole enough to be remembered.
    #[test]
    fn what_is_familiar_is_read_as_what_is_not(
        (endpoint, lines) in streams(), cut: usize, usage: bool, running_usage: bool,
        engine in select(Engine::ALL.to_vec()), end in select(vec!["\n", "\r\n", "\r"]),
    ) {
        let hides = Hides { usage, running_usage };
        let asked = Asked { hides, ..Asked::one(endpoint, engine) };
        let events: String =
            lines.iter().map(|line| format!("event: x{end}data: {line}{end}{end}")).collect();
        for (format, stream) in [(Format::Ndjson, lines.join("\n")), (Format::Sse, events)] {
            let stream = stream.as_bytes();
            let single = read(asked, format, stream.chunks(1));
            prop_assert_eq!(&read(asked, format, std::iter::once(stream)), &single);
            let (a, b) = stream.split_at(cut % (stream.len() + 1));
            prop_assert_eq!(&read(asked, format, [a, b].into_iter()), &single);
            let event = read(asked, format, stream.split_inclusive(|byte| *byte == b'\n'));
            prop_assert_eq!(&event, &single);
        }
    }
}

/// How many gaps are remembered, and how many events more had to be read than were familiar.
fn remembered(documents: &[&str]) -> (usize, u8) {
    let asked = Asked::one(Endpoint::Chat, Engine::OpenAi);
    let mut lines = super::super::documents::Documents::new(asked, true);
    documents.iter().for_each(|document| lines.read_lines(format!("{document}\n").as_bytes()));
    let Familiar { bytes, gaps, strange, .. } = &*lines.familiar;
    (if bytes.is_empty() { 0 } else { gaps.len() }, *strange)
}

#[test]
fn an_event_like_the_last_is_familiar_whatever_its_text_and_its_numbers() {
    let of =
        |line: &str, text: &str, number: &str| line.replace("TEXT", text).replace("NUMBER", number);
    let [a, b] = ["a", "other words"].map(|text| of(CHAT[0], text, ""));
    assert_eq!(remembered(&[&a]), (1, 1));
    assert_eq!(remembered(&[&a, &b]), (1, 0));
    assert_eq!(remembered(&[&a, CHAT[1]]), (1, 2));
    let [a, b] = ["1", "23"].map(|number| of(CHAT[3], "a", number));
    assert_eq!(remembered(&[&a, &b]), (3, 0));
    // What it said was taken back.
    assert_eq!(remembered(&[&of(CHAT[4], "a", "7")]), (0, 1));
    // A number that may go on in another way.
    assert_eq!(remembered(&[&a, &of(CHAT[3], "a", "1e3")]), (0, 2));
}

#[test]
fn what_is_remembered_is_bounded() {
    let choices = (0..1_000).map(|n| CHAT[0].replace("\"index\":0", &format!("\"index\":{n}")));
    let choices: Vec<_> = choices.collect();
    let choices: Vec<_> = choices.iter().map(String::as_str).collect();
    assert_eq!(remembered(&choices), (1, MAX_STRANGE));
    let long = CHAT[0].replace("\"id\":\"x\"", &format!("\"id\":\"{}\"", "x".repeat(MAX_BYTES)));
    assert_eq!(remembered(&[&long]).0, 0);
    let texts = format!(
        "{{\"choices\":[{{\"delta\":{{{}\"content\":\"\"}}}}]}}",
        "\"content\":\"a\",".repeat(99)
    );
    assert_eq!(remembered(&[&texts]).0, 0);
}

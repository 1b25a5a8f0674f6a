use super::*;
use crate::llm::{Source, Usage};

const TERMS: Terms = Terms {
    reserved: Usage {
        input: 100,
        output: 50,
        cached_input: 0,
        cache_write: 0,
        cache_write_1h: 0,
        reasoning: 0,
    },
    most_output: 50,
    stream: true,
    goes_on: false,
};

/// One answer, of an engine that is not known further.
pub(super) fn asked(endpoint: Endpoint) -> Asked {
    Asked::one(endpoint, Engine::OpenAi)
}

/// What the client gets of `buffers`, and what was read.
pub(super) fn relay<'a>(
    meter: &mut Meter,
    buffers: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<Vec<u8>> {
    let mut relayed = Vec::new();
    for buffer in buffers {
        let mut passed = Vec::new();
        meter.read(buffer, &mut |part| match part {
            Part::Held(bytes) => passed.extend_from_slice(bytes),
            Part::Range(range) => passed.extend_from_slice(&buffer[range]),
        });
        relayed.push(passed);
    }
    let mut rest = Vec::new();
    meter.finish(&mut |part| match part {
        Part::Held(bytes) => rest.extend_from_slice(bytes),
        Part::Range(range) => panic!("no buffer to take {range:?} of"),
    });
    relayed.push(rest);
    relayed
}

/// The reading of an answer, which must not depend on how it is cut.
fn reading(endpoint: Endpoint, format: Format, answer: &str) -> Reading {
    reading_of(asked(endpoint), Some(format), answer).unwrap_or_default()
}

pub(super) fn reading_of(asked: Asked, format: Option<Format>, answer: &str) -> Option<Reading> {
    let read = |len: usize| {
        let mut meter = Meter::new(asked, format);
        assert_eq!(relay(&mut meter, answer.as_bytes().chunks(len)).concat(), answer.as_bytes());
        meter.reading()
    };
    let whole = read(answer.len().max(1));
    for len in 1..answer.len().min(9) {
        assert_eq!(read(len), whole, "{len}");
    }
    whole
}

fn charge(endpoint: Endpoint, format: Format, answer: &str) -> (u64, u64, Source) {
    charge_of(asked(endpoint), Some(format), answer)
}

pub(super) fn charge_of(asked: Asked, format: Option<Format>, answer: &str) -> (u64, u64, Source) {
    let (usage, source) = settle(reading_of(asked, format, answer).as_ref(), &TERMS, false);
    (usage.input, usage.output, source)
}

fn chat(stream: &str) -> (u64, u64, Source) {
    charge(Endpoint::Chat, Format::Sse, stream)
}

pub(super) const DELTA: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
pub(super) const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1}}\n\n";
pub(super) const DONE: &str = "data: [DONE]\n\n";

#[test]
fn content_types_tell_the_format() {
    for (value, format) in [
        ("application/json", Format::Json),
        ("Application/JSON; charset=utf-8", Format::Json),
        ("application/problem+json", Format::Json),
        ("text/event-stream;charset=utf-8", Format::Sse),
        (" text/event-stream ", Format::Sse),
        ("application/x-ndjson", Format::Ndjson),
        ("application/ndjson", Format::Ndjson),
        ("application/jsonl", Format::Ndjson),
    ] {
        assert_eq!(Format::of_content_type(value.as_bytes()), Some(format), "{value}");
    }
    for value in
        ["", "text/html", "application/json-seq", "application/jsonp", "audio/mpeg", "json"]
    {
        assert_eq!(Format::of_content_type(value.as_bytes()), None, "{value}");
    }
}

#[test]
fn a_meter_is_small() {
    assert!(size_of::<Meter>() <= 1152, "{}", size_of::<Meter>());
}

#[test]
fn usage_on_the_last_event_before_done_is_final_wherever_it_stands() {
    let beside = "data: {\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7},\
                  \"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    assert_eq!(chat(&[DELTA, beside, DONE].concat()), (5, 7, Source::Measured));
    // Its choice has ended, and there is no other: it is whole without the mark.
    assert_eq!(chat(&[DELTA, beside].concat()), (5, 7, Source::Measured));
    let before = beside.replace("\"stop\"", "null");
    assert_eq!(chat(&[DELTA, &before].concat()), (5, 7, Source::Partial));
    let two = Asked { choices: 2, per_prompt: 2, ..asked(Endpoint::Chat) };
    let one_of_two = charge_of(two, Some(Format::Sse), &[DELTA, beside].concat());
    assert_eq!(one_of_two, (5, 7, Source::Partial));
    assert_eq!(chat(&[DELTA, USAGE].concat()), (5, 1, Source::Measured));
    let vendor = "data: {\"choices\":[{\"delta\":{},\"usage\":{\"prompt_tokens\":5,\
                  \"completion_tokens\":8}}]}\n\n";
    assert_eq!(chat(&[DELTA, vendor, DONE].concat()), (5, 8, Source::Measured));
    let both = "data: {\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":9},\
                \"x_groq\":{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}}\n\n";
    assert_eq!(chat(&[DELTA, both, DONE].concat()), (5, 9, Source::Measured));
    let alone = "data: {\"choices\":[],\"x_groq\":{\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":6}}}\n\n";
    assert_eq!(chat(&[DELTA, alone, DONE].concat()), (5, 6, Source::Measured));
}

#[test]
fn a_token_has_come_when_a_text_has_begun_and_not_before() {
    let mut meter = Meter::new(asked(Endpoint::Chat), Some(Format::Sse));
    let role = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
    for (event, has_output) in [(role, false), (DELTA, true), (USAGE, true)] {
        relay(&mut meter, [event.as_bytes()]);
        assert_eq!(meter.has_output(), has_output, "{event}");
    }
}

#[test]
fn repeated_usage_is_charged_once() {
    assert_eq!(chat(&[DELTA, USAGE, USAGE, DONE].concat()), (5, 1, Source::Measured));
    let null = "data: {\"choices\":[],\"usage\":null}\n\n";
    assert_eq!(chat(&[DELTA, USAGE, null, DONE].concat()), (5, 1, Source::Measured));
    let twice = "{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1},\
                 \"usage\":{\"prompt_tokens\":2,\"completion_tokens\":3}}";
    assert_eq!(charge(Endpoint::Chat, Format::Json, twice), (2, 3, Source::Measured));
}

#[test]
fn usage_in_text_is_no_usage() {
    let text = r#"{"choices":[{"delta":{"content":"\",\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}"}}]}"#;
    let stream = format!("data: {text}\n\n: \"usage\":{{\ndata: {text}\n\n{DONE}");
    assert_eq!(chat(&stream), (100, 26, Source::Estimated));
    let elsewhere = "{\"choices\":[{\"message\":{\"content\":\"abcde\",\"usage\":\
                     {\"prompt_tokens\":1,\"completion_tokens\":1}}}],\"metadata\":{\"usage\":\
                     {\"prompt_tokens\":1,\"completion_tokens\":1}}}";
    assert_eq!(charge(Endpoint::Chat, Format::Json, elsewhere), (100, 1, Source::Estimated));
}

#[test]
fn every_kind_of_output_is_a_delta() {
    let count = |delta: &str| {
        let stream = format!("data: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\n");
        reading(Endpoint::Chat, Format::Sse, &stream).deltas
    };
    for delta in [
        r#"{"content":"a"}"#,
        r#"{"content":[{"type":"text","text":"a"}]}"#,
        r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"a"}]}]}"#,
        r#"{"reasoning":"a"}"#,
        r#"{"reasoning_content":"a","content":null}"#,
        r#"{"refusal":"a"}"#,
        r#"{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}"#,
        r#"{"tool_calls":[{"id":"x","function":{"name":"f","arguments":""}}]}"#,
        r#"{"function_call":{"arguments":"{"}}"#,
        r#"{"audio":{"data":"AAAA","transcript":"a"}}"#,
    ] {
        assert_eq!(count(delta), 1, "{delta}");
    }
    for delta in [r#"{"role":"assistant","content":""}"#, "{}", "null", r#"{"content":null}"#] {
        assert_eq!(count(delta), 0, "{delta}");
    }
}

#[test]
fn counts_that_cannot_be_are_as_if_not_said() {
    for (number, input) in [
        ("5.0", 5),
        ("1099511627776", 1 << 40),
        ("1099511627777", 100),
        ("-5", 100),
        ("5.5", 100),
        ("\"5\"", 100),
        ("null", 100),
        ("99999999999999999999999999999999999999999999999999999999999999", 100),
    ] {
        let answer =
            format!("{{\"usage\":{{\"prompt_tokens\":{number},\"completion_tokens\":3}}}}");
        let source = if input == 100 { Source::Estimated } else { Source::Measured };
        assert_eq!(charge(Endpoint::Chat, Format::Json, &answer), (input, 3, source), "{number}");
    }
}

#[test]
fn a_missing_count_follows_from_the_total() {
    let answer = "{\"usage\":{\"prompt_tokens\":5,\"total_tokens\":8}}";
    assert_eq!(charge(Endpoint::Chat, Format::Json, answer), (5, 3, Source::Measured));
    assert_eq!(charge(Endpoint::Embeddings, Format::Json, answer), (5, 0, Source::Measured));
    let wrong = "{\"usage\":{\"prompt_tokens\":9,\"total_tokens\":8}}";
    assert_eq!(charge(Endpoint::Chat, Format::Json, wrong), (9, 0, Source::Estimated));
}

#[test]
fn cached_input_and_reasoning_are_parts_of_the_whole() {
    let said = |answer: &str| reading(Endpoint::Chat, Format::Json, answer).said;
    let usage = said(
        "{\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":3,\"prompt_tokens_details\":\
         {\"cached_tokens\":4},\"completion_tokens_details\":{\"reasoning_tokens\":2}}}",
    );
    assert_eq!((usage.cached_input, usage.reasoning), (Some(4), Some(2)));
    let usage = said(
        "{\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":3,\"prompt_tokens_details\":\
         {\"cached_tokens\":400},\"reasoning_tokens\":200}}",
    );
    assert_eq!((usage.cached_input, usage.reasoning), (Some(5), Some(3)));
}

#[test]
fn what_is_written_to_the_cache_is_read() {
    let said = |endpoint, answer: &str| {
        let said = reading(endpoint, Format::Json, answer).said;
        (said.input, said.cached_input, said.cache_write, said.cache_write_1h)
    };
    let messages = said(
        Endpoint::Messages,
        "{\"usage\":{\"input_tokens\":5,\"cache_creation_input_tokens\":10,\"cache_creation\":\
         {\"ephemeral_5m_input_tokens\":3,\"ephemeral_1h_input_tokens\":7},\
         \"cache_read_input_tokens\":20,\"output_tokens\":1}}",
    );
    assert_eq!(messages, (Some(35), Some(20), Some(10), Some(7)));
    // There it is part of the input.
    let details = "{\"cached_tokens\":4,\"cache_write_tokens\":3}";
    let chat = format!(
        "{{\"usage\":{{\"prompt_tokens\":9,\"completion_tokens\":1,\"prompt_tokens_details\":{details}}}}}"
    );
    assert_eq!(said(Endpoint::Chat, &chat), (Some(9), Some(4), Some(3), None));
    let responses = format!(
        "{{\"usage\":{{\"input_tokens\":9,\"output_tokens\":1,\"input_tokens_details\":{details}}}}}"
    );
    assert_eq!(said(Endpoint::Responses, &responses), (Some(9), Some(4), Some(3), None));
    // The start of a stream says for how long, and its end how many.
    let stream = "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":5,\
                  \"cache_creation_input_tokens\":10,\"cache_creation\":{\"ephemeral_1h_input_tokens\":7},\
                  \"output_tokens\":1}}}\n\n\
                  data: {\"type\":\"message_delta\",\"usage\":{\"cache_creation_input_tokens\":12,\
                  \"output_tokens\":9}}\n\n";
    let said = reading(Endpoint::Messages, Format::Sse, stream).said;
    assert_eq!((said.cache_write, said.cache_write_1h), (Some(12), Some(7)));
}

#[test]
fn cumulative_usage_of_messages_is_replaced_and_the_cache_is_input() {
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":\
                 {\"input_tokens\":5,\"cache_creation_input_tokens\":10,\
                 \"cache_read_input_tokens\":20,\"output_tokens\":1}}}\n\n";
    let text = "data: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"a\"}}\n\n";
    let delta = |output: u64| {
        format!("data: {{\"usage\":{{\"output_tokens\":{output}}},\"type\":\"message_delta\"}}\n\n")
    };
    let messages = |stream: &str| charge(Endpoint::Messages, Format::Sse, stream);
    let whole =
        [start, text, &delta(7), &delta(9), "data: {\"type\":\"message_stop\"}\n\n"].concat();
    assert_eq!(messages(&whole), (35, 9, Source::Measured));
    let said = reading(Endpoint::Messages, Format::Sse, &whole).said;
    assert_eq!(said.cached_input, Some(20));
    assert_eq!(messages(&[start, text, text].concat()), (35, 2, Source::Partial));
    assert_eq!(messages(&[start, text, &delta(7)].concat()), (35, 7, Source::Measured));
}

#[test]
fn null_takes_no_usage_of_an_earlier_event_back() {
    let null = "data: {\"choices\":[],\"usage\":null}\n\n";
    let beside = DELTA.replace("}]}", "}],\"usage\":null}");
    // With the end mark, and without it.
    assert_eq!(chat(&[DELTA, USAGE, null, DONE].concat()), (5, 1, Source::Measured));
    assert_eq!(chat(&[DELTA, USAGE, null].concat()), (5, 1, Source::Measured));
    assert_eq!(chat(&[DELTA, USAGE, &beside, DONE].concat()), (5, 1, Source::Measured));
    let messages = |usages: [&str; 2]| {
        let [start, delta] = usages;
        let stream = format!(
            "data: {{\"type\":\"message_start\",\"message\":{{\"usage\":{start}}}}}\n\n\
             data: {{\"type\":\"content_block_delta\",\"delta\":{{\"text\":\"a\"}}}}\n\n\
             data: {{\"type\":\"message_delta\",\"usage\":{delta}}}\n\n"
        );
        charge(Endpoint::Messages, Format::Sse, &stream)
    };
    let said = "{\"input_tokens\":5,\"output_tokens\":7}";
    assert_eq!(messages([said, said]), (5, 7, Source::Measured));
    assert_eq!(messages([said, "null"]), (5, 7, Source::Partial));
    assert_eq!(messages(["null", said]), (5, 7, Source::Measured));
    let responses = |kind: &str, usage: &str| {
        format!("data: {{\"type\":\"response.{kind}\",\"response\":{{\"usage\":{usage}}}}}\n\n")
    };
    let stream = [responses("in_progress", said), responses("completed", "null")].concat();
    assert_eq!(charge(Endpoint::Responses, Format::Sse, &stream), (5, 7, Source::Estimated));
}

#[test]
fn null_after_usage_in_one_document_is_what_counts() {
    let usage = "\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7}";
    for (members, charged) in [
        (format!("\"usage\":null,{usage}"), (5, 7, Source::Measured)),
        (format!("{usage},\"usage\":null"), (100, 1, Source::Estimated)),
        (format!("{usage},\"usage\":0"), (100, 1, Source::Estimated)),
    ] {
        let json = format!("{{\"choices\":[{{\"message\":{{\"content\":\"a\"}}}}],{members}}}");
        assert_eq!(charge(Endpoint::Chat, Format::Json, &json), charged, "{members}");
        let event = format!("data: {{\"choices\":[],{members}}}\n\n");
        assert_eq!(chat(&[DELTA, &event, DONE].concat()), charged, "{members}");
    }
}

#[test]
fn usage_before_more_text_is_not_the_last_word() {
    // It was, until the engine went on.
    assert_eq!(chat(&[DELTA, USAGE].concat()), (5, 1, Source::Measured));
    assert_eq!(chat(&[DELTA, USAGE, DELTA].concat()), (5, 2, Source::Partial));
    assert_eq!(chat(&[DELTA, USAGE, DELTA, DELTA, DELTA].concat()), (5, 4, Source::Partial));
    let running =
        DELTA.replace("}]}", "}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":9}}");
    assert_eq!(chat(&[DELTA, USAGE, &running].concat()), (5, 9, Source::Partial));
    assert_eq!(chat(&[DELTA, USAGE, DELTA, USAGE].concat()), (5, 1, Source::Measured));
    assert_eq!(chat(&[DELTA, USAGE, DELTA, DONE].concat()), (5, 1, Source::Measured));
}

#[test]
fn deltas_of_responses_are_those_whose_type_says_so() {
    let stream = |kind: &str| {
        let event = format!("data: {{\"delta\":\"a\",\"type\":\"response.{kind}\"}}\n\n");
        reading(Endpoint::Responses, Format::Sse, &event).deltas
    };
    assert_eq!(stream("output_text.delta"), 1);
    assert_eq!(stream("function_call_arguments.delta"), 1);
    assert_eq!(stream("audio.transcript.delta"), 1);
    assert_eq!(stream("audio.delta"), 0);
    assert_eq!(stream("output_text.done"), 0);
}

#[test]
fn the_last_event_of_responses_is_final_whether_complete_or_not() {
    for (kind, measured, failed) in [
        ("completed", true, false),
        ("incomplete", true, false),
        ("failed", true, true),
        ("in_progress", false, false),
    ] {
        let event = format!(
            "data: {{\"response\":{{\"usage\":{{\"input_tokens\":5,\"output_tokens\":3}}}},\
             \"type\":\"response.{kind}\"}}\n\n"
        );
        let reading = reading(Endpoint::Responses, Format::Sse, &event);
        assert_eq!(
            (reading.said_final, reading.ended, reading.failed),
            (measured, measured, failed)
        );
    }
}

#[test]
fn ollama_leaves_out_a_count_of_zero_and_done_is_the_end() {
    let ollama = |lines: &str| charge(Endpoint::OllamaChat, Format::Ndjson, lines);
    let text = "{\"message\":{\"content\":\"a\"},\"done\":false}\n";
    let call = "{\"message\":{\"content\":\"\",\"tool_calls\":[{\"function\":{\"name\":\"f\",\
                \"arguments\":{\"city\":\"Paris\"}}}]},\"done\":false}\n";
    let done = "{\"done\":true,\"eval_count\":7}\n";
    assert_eq!(ollama(&[text, done].concat()), (0, 7, Source::Measured));
    assert_eq!(ollama(&[text, call].concat()), (100, 3, Source::Partial));
    assert_eq!(ollama(&[text, "{\"done\":true}"].concat()), (100, 1, Source::Estimated));
    // A line that is no JSON says nothing, and the next one does.
    assert_eq!(ollama(&["{\"done\":true,\"eval_count\":99]\r\n\r\n", done].concat()).1, 7);
    let embedding = "{\"embeddings\":[[0.1,0.2]],\"prompt_eval_count\":4}";
    assert_eq!(charge(Endpoint::OllamaEmbed, Format::Json, embedding), (4, 0, Source::Measured));
}

#[test]
fn tgi_counts_the_tokens_of_the_prefill() {
    let details = "\"details\":{\"generated_tokens\":3,\"prefill\":[{\"id\":1},{\"id\":2}]}";
    let tgi = |answer: &str| charge(Endpoint::TgiGenerate, Format::Json, answer);
    assert_eq!(tgi(&format!("{{\"generated_text\":\"a\",{details}}}")), (2, 3, Source::Measured));
    assert_eq!(tgi(&format!("[{{\"generated_text\":\"a\",{details}}}]")), (2, 3, Source::Measured));
    let without = "{\"generated_text\":\"a\",\"details\":{\"prefill\":[],\"generated_tokens\":3}}";
    assert_eq!(tgi(without), (100, 3, Source::Estimated));
    let token = "data:{\"token\":{\"text\":\"\",\"special\":true},\"generated_text\":null,\"details\":null}\n\n";
    let last = "data:{\"token\":{\"text\":\"b\"},\"generated_text\":\"ab\",\"details\":null}\n\n";
    let stream = |events: &str| charge(Endpoint::TgiGenerateStream, Format::Sse, events);
    assert_eq!(stream(token), (100, 1, Source::Partial));
    assert_eq!(stream(&[token, last].concat()), (100, 2, Source::Estimated));
}

#[test]
fn errors_in_each_dialect_are_no_answers() {
    for (endpoint, format, answer) in [
        (Endpoint::Chat, Format::Json, "{\"error\":{\"message\":\"x\"}}"),
        (Endpoint::Chat, Format::Sse, "data: {\"error\":{\"message\":\"x\"}}\n\ndata: [DONE]\n\n"),
        (Endpoint::Chat, Format::Json, "{\"object\":\"error\",\"message\":\"x\"}"),
        (Endpoint::Messages, Format::Json, "{\"type\":\"error\",\"error\":{\"type\":\"x\"}}"),
        (Endpoint::Messages, Format::Sse, "data: {\"type\":\"error\",\"error\":{}}\n\n"),
        (Endpoint::Responses, Format::Sse, "data: {\"type\":\"error\",\"message\":\"x\"}\n\n"),
        (Endpoint::OllamaChat, Format::Ndjson, "{\"error\":\"x\"}\n"),
        (Endpoint::TgiGenerate, Format::Json, "{\"error\":\"x\",\"error_type\":\"y\"}"),
    ] {
        assert_eq!(charge(endpoint, format, answer), (0, 0, Source::None), "{answer}");
    }
    let null = "{\"error\":null,\"usage\":{\"input_tokens\":5,\"output_tokens\":3}}";
    assert!(!reading(Endpoint::Responses, Format::Json, null).failed);
}

#[test]
fn an_answer_without_its_end_is_partial() {
    // What is no stream, was made before it was sent.
    let json = "{\"choices\":[{\"message\":{\"content\":\"twelve bytes";
    assert_eq!(charge(Endpoint::Chat, Format::Json, json), (100, 50, Source::Partial));
    assert_eq!(chat(DELTA), (100, 1, Source::Partial));
    assert_eq!(chat(&[DELTA, "data: [DON"].concat()), (100, 1, Source::Partial));
    assert_eq!(chat(&[DELTA, "data: [DONE]"].concat()), (100, 1, Source::Estimated));
    // The last number could have had more digits, and the usage more members.
    let usage = "{\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":12";
    assert_eq!(charge(Endpoint::Chat, Format::Json, usage), (100, 50, Source::Partial));
    let usage = [usage, "}"].concat();
    assert_eq!(charge(Endpoint::Chat, Format::Json, &usage), (5, 12, Source::Measured));
}

//! Numbers that mean something else, and answers that are not what they say they are.

use super::tests::{asked, charge_of, reading_of, DELTA, DONE, USAGE};
use super::*;
use crate::llm::Source;

/// What was reserved: see the terms of the other tests.
pub(super) const AS_RESERVED: (u64, u64, Source) = (100, 50, Source::Estimated);

pub(super) fn engine(endpoint: Endpoint, engine: Engine) -> Asked {
    Asked::one(endpoint, engine)
}

pub(super) fn charge(asked: Asked, format: Format, answer: &str) -> (u64, u64, Source) {
    charge_of(asked, Some(format), answer)
}

const FORMATS: [Option<Format>; 4] =
    [None, Some(Format::Json), Some(Format::Sse), Some(Format::Ndjson)];

#[test]
fn what_is_not_recognised_is_charged_as_reserved_whatever_its_form() {
    for endpoint in [
        Endpoint::Chat,
        Endpoint::Completions,
        Endpoint::Responses,
        Endpoint::Messages,
        Endpoint::OllamaChat,
        Endpoint::TgiGenerate,
        Endpoint::LlamaCompletion,
        Endpoint::SglangGenerate,
        Endpoint::TokenGenerate,
        Endpoint::GenerativeScoring,
    ] {
        for answer in [
            "{}",
            "[]",
            "[{}]",
            "[1]",
            "null",
            "\"text\"",
            "12",
            " \n",
            "{\"answer\":\"text\"}",
            "<html><body>text</body></html>",
            "some text",
            "data: text\n\ndata: [DONE]\n\n",
            "data: {\"answer\":\"text\"}\n\ndata: [DONE]\n\n",
            ": ping\n\ndata: [DONE]\n\n",
            "{\"id\":\"resp_1\",\"status\":\"queued\",\"output\":[],\"usage\":null,\"error\":null}",
            "{\"choices\":[],\"usage\":{}}",
            "{\"choices\":null,\"usage\":null}",
            "\u{1f}\u{8b}\u{8}",
        ] {
            for format in FORMATS {
                let charged = charge_of(asked(endpoint), format, answer);
                // In a stream, the end mark may be missing; what is left is the same.
                assert_eq!((charged.0, charged.1), (100, 50), "{endpoint:?} {format:?} {answer}");
                assert_ne!(charged.2, Source::None);
            }
        }
    }
    assert_eq!(charge(asked(Endpoint::Chat), Format::Json, "{}"), AS_RESERVED);
    assert_eq!(charge(asked(Endpoint::Chat), Format::Json, "[{\"choices\":[]}]"), AS_RESERVED);
}

#[test]
fn an_answer_is_read_by_what_it_is_and_not_by_its_type() {
    let json = "{\"choices\":[{\"message\":{\"content\":\"a\"}}],\
                \"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7}}";
    let stream = [DELTA, USAGE, DONE].concat();
    let lines = "{\"message\":{\"content\":\"a\"},\"done\":false}\n\
                 {\"done\":true,\"prompt_eval_count\":5,\"eval_count\":7}\n";
    for format in [None, Some(Format::Json), Some(Format::Sse)] {
        let measured = (5, 7, Source::Measured);
        assert_eq!(charge_of(asked(Endpoint::Chat), format, json), measured, "{format:?}");
        assert_eq!(charge_of(asked(Endpoint::Chat), format, &format!("\u{feff} {json}")), measured);
        assert_eq!(charge_of(asked(Endpoint::OllamaChat), format, lines), measured, "{format:?}");
        let charged = charge_of(asked(Endpoint::Chat), format, &stream);
        assert_eq!(charged, (5, 1, Source::Measured), "{format:?}");
        for begin in ["\n", ": ping\n\n", "event: x\n", "id: 1\n", "retry: 1\n\n", "\u{feff}"] {
            let charged = charge_of(asked(Endpoint::Chat), format, &[begin, &stream].concat());
            assert_eq!(charged, (5, 1, Source::Measured), "{format:?} {begin:?}");
        }
    }
    // Lines of a stream of chat, of which the first is no whole answer.
    let chunks = "{\"choices\":[{\"delta\":{\"content\":\"a\"}}],\
                  \"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1}}\n\
                  {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n";
    for format in FORMATS {
        let charged = charge_of(asked(Endpoint::Chat), format, chunks);
        assert_eq!(charged, (5, 2, Source::Partial), "{format:?}");
    }
    assert_eq!(reading_of(asked(Endpoint::Chat), Some(Format::Json), ""), None);
}

#[test]
fn a_zero_takes_back_nothing_that_was_said() {
    let messages = |start: &str, delta: &str| {
        let stream = format!(
            "data: {{\"type\":\"message_start\",\"message\":{{\"usage\":{start}}}}}\n\n\
             data: {{\"type\":\"content_block_delta\",\"delta\":{{\"text\":\"a\"}}}}\n\n\
             data: {{\"type\":\"message_delta\",\"usage\":{delta}}}\n\n\
             data: {{\"type\":\"message_stop\"}}\n\n"
        );
        charge(asked(Endpoint::Messages), Format::Sse, &stream)
    };
    let start = "{\"input_tokens\":1500,\"output_tokens\":1}";
    let zero = "{\"input_tokens\":0,\"output_tokens\":9}";
    assert_eq!(messages(start, zero), (1_500, 9, Source::Measured));
    let cached = "{\"input_tokens\":100,\"cache_read_input_tokens\":1400,\
                  \"cache_creation_input_tokens\":7,\"output_tokens\":0}";
    let zeros = "{\"input_tokens\":0,\"cache_read_input_tokens\":0,\
                 \"cache_creation_input_tokens\":0,\"output_tokens\":9}";
    assert_eq!(messages(cached, zeros), (1_507, 9, Source::Measured));
    // A number that is larger, or smaller, is a better one.
    let better = "{\"input_tokens\":1400,\"output_tokens\":9}";
    assert_eq!(messages(start, better), (1_400, 9, Source::Measured));
    // All of it was cached.
    let all = "{\"input_tokens\":0,\"cache_read_input_tokens\":20,\"output_tokens\":9}";
    assert_eq!(messages(all, all), (20, 9, Source::Measured));
    let chat = |usages: [&str; 3]| {
        let events = usages.map(|usage| {
            format!(
                "data: {{\"choices\":[{{\"delta\":{{\"content\":\"a\"}}}}],\"usage\":{usage}}}\n\n"
            )
        });
        charge(asked(Endpoint::Chat), Format::Sse, &[&events.concat(), DONE].concat())
    };
    let five = "{\"prompt_tokens\":5,\"completion_tokens\":7,\"total_tokens\":12}";
    let zero = "{\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0}";
    assert_eq!(chat([zero, five, "null"]), (5, 7, Source::Measured));
    assert_eq!(chat([five, zero, zero]).0, 5);
}

#[test]
fn a_placeholder_is_not_said() {
    let zero = "\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0}";
    let chunk = format!("data: {{\"choices\":[{{\"text\":\"a\"}}],{zero}}}\n\n");
    let ollama = engine(Endpoint::Completions, Engine::Ollama);
    // Cut, and not cut.
    let cut = [&*chunk, &chunk].concat();
    assert_eq!(charge(ollama, Format::Sse, &cut), (100, 2, Source::Partial));
    let whole = [&*chunk, &chunk, USAGE, DONE].concat();
    assert_eq!(charge(ollama, Format::Sse, &whole), (5, 1, Source::Measured));
    let unsaid = [&*chunk, &chunk, DONE].concat();
    assert_eq!(charge(ollama, Format::Sse, &unsaid), (100, 2, Source::Estimated));
    let only_zero = format!("data: {{\"choices\":[],{zero}}}\n\n");
    let filled_in = [DELTA, &*only_zero, DONE].concat();
    assert_eq!(charge(asked(Endpoint::Chat), Format::Sse, &filled_in), (100, 1, Source::Estimated));
    let json = format!("{{\"choices\":[{{\"message\":{{\"content\":\"abcde\"}}}}],{zero}}}");
    assert_eq!(charge(asked(Endpoint::Chat), Format::Json, &json), (100, 1, Source::Estimated));
    // The input of a first event, before it is known.
    let start = "data: {\"type\":\"message_start\",\"message\":{\"usage\":\
                 {\"input_tokens\":0,\"output_tokens\":0}}}\n\n\
                 data: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"a\"}}\n\n";
    assert_eq!(charge(asked(Endpoint::Messages), Format::Sse, start), (100, 1, Source::Partial));
    // Nothing was made, and the engine says so: that is no placeholder.
    let none = "{\"choices\":[{\"message\":{\"content\":\"\"}}],\
                \"usage\":{\"prompt_tokens\":5,\"completion_tokens\":0}}";
    assert_eq!(charge(asked(Endpoint::Chat), Format::Json, none), (5, 0, Source::Measured));
}

#[test]
fn reasoning_under_two_names_is_one_text() {
    let deltas = |delta: &str| {
        let stream = format!("data: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\n");
        let reading = reading_of(asked(Endpoint::Chat), Some(Format::Sse), &stream).unwrap();
        (reading.deltas, reading.delta_bytes)
    };
    assert_eq!(deltas("{\"reasoning\":\"abc\",\"reasoning_content\":\"abc\"}"), (1, 3));
    assert_eq!(
        deltas("{\"reasoning_content\":\"abc\",\"thinking\":\"abc\",\"content\":\"d\"}"),
        (2, 4)
    );
    assert_eq!(deltas("{\"reasoning\":\"abc\",\"reasoning_content\":\"\"}"), (1, 3));
    let json = "{\"choices\":[{\"message\":{\"reasoning\":\"12345678\",\
                \"reasoning_content\":\"12345678\",\"content\":\"1234\"}}]}";
    assert_eq!(charge(asked(Endpoint::Chat), Format::Json, json), (100, 2, Source::Estimated));
}

#[test]
fn an_error_event_costs_the_same_in_each_engine() {
    let error = "{\"message\":\"x\"}";
    let start = "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":9,\
                 \"output_tokens\":0}}}\n\n";
    let text = "data: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"a\"}}\n\n";
    let delta = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\n";
    let token = "data:{\"token\":{\"text\":\"a\"}}\n\n";
    let native = "data: {\"content\":\"a\",\"stop\":false}\n\n";
    for (endpoint, begin, text, error) in [
        (Endpoint::Chat, "", DELTA, format!("data: {{\"error\":{error}}}\n\n{DONE}")),
        (
            Endpoint::Messages,
            start,
            text,
            format!("data: {{\"type\":\"error\",\"error\":{error}}}\n\n"),
        ),
        (
            Endpoint::Responses,
            "",
            delta,
            "data: {\"type\":\"error\",\"message\":\"x\"}\n\n".to_owned(),
        ),
        (
            Endpoint::Responses,
            "",
            delta,
            format!(
                "data: {{\"type\":\"response.failed\",\"response\":{{\"error\":{error}}}}}\n\n"
            ),
        ),
        (Endpoint::TgiGenerateStream, "", token, "data:{\"error\":\"x\"}\n\n".to_owned()),
        (Endpoint::LlamaCompletion, "", native, format!("data: {{\"error\":{error}}}\n\n")),
    ] {
        let charge = |events: &[&str]| charge(asked(endpoint), Format::Sse, &events.concat());
        assert_eq!(charge(&[begin, &error]), (0, 0, Source::None), "{endpoint:?}");
        let input = if begin.is_empty() { 100 } else { 9 };
        let charged = charge(&[begin, text, text, &error]);
        assert_eq!(charged, (input, 2, Source::Partial), "{endpoint:?}");
    }
    let lines = |lines: &str| charge(asked(Endpoint::OllamaChat), Format::Ndjson, lines);
    let text = "{\"message\":{\"content\":\"a\"},\"done\":false}\n";
    assert_eq!(lines("{\"error\":\"x\"}\n"), (0, 0, Source::None));
    assert_eq!(lines(&[text, text, "{\"error\":\"x\"}\n"].concat()), (100, 2, Source::Partial));
}

#[test]
fn cached_input_of_older_sglang_is_not_told_twice() {
    let sglang = engine(Endpoint::Messages, Engine::Sglang);
    let stream = |start: &str| {
        format!(
            "data: {{\"type\":\"message_start\",\"message\":{{\"usage\":{start}}}}}\n\n\
             data: {{\"type\":\"message_delta\",\"usage\":{{\"input_tokens\":1500,\
             \"cache_read_input_tokens\":1400,\"output_tokens\":9}}}}\n\n"
        )
    };
    let older = "{\"input_tokens\":0,\"output_tokens\":0,\"cache_read_input_tokens\":0}";
    assert_eq!(charge(sglang, Format::Sse, &stream(older)), (1_500, 9, Source::Measured));
    let newer = "{\"input_tokens\":0,\"output_tokens\":0}";
    assert_eq!(charge(sglang, Format::Sse, &stream(newer)), (2_900, 9, Source::Measured));
    // In one document nothing but the estimate tells them apart.
    let json = |input: u64, cached: u64| {
        let usage = format!(
            "{{\"type\":\"message\",\"usage\":{{\"input_tokens\":{input},\
             \"cache_read_input_tokens\":{cached},\"output_tokens\":9}}}}"
        );
        (
            charge(sglang, Format::Json, &usage).0,
            charge(asked(Endpoint::Messages), Format::Json, &usage).0,
        )
    };
    assert_eq!(json(110, 90), (110, 200));
    assert_eq!(json(20, 90), (110, 110));
}

#[test]
fn tokens_that_are_listed_are_counted() {
    let generate = engine(Endpoint::TokenGenerate, Engine::Vllm);
    let event = "data: {\"choices\":[{\"index\":0,\"token_ids\":[1043,2876]}]}\n\n";
    assert_eq!(charge(generate, Format::Sse, &event.repeat(3)), (100, 6, Source::Partial));
    // With the text of each, they are no more.
    let chat = "data: {\"choices\":[{\"delta\":{\"content\":\"ab\"},\"token_ids\":[1,2]}]}\n\n";
    assert_eq!(charge(asked(Endpoint::Chat), Format::Sse, &chat.repeat(3)).1, 6);
    let null = "data: {\"choices\":[{\"delta\":{\"content\":\"ab\"},\"token_ids\":null}]}\n\n";
    assert_eq!(charge(asked(Endpoint::Chat), Format::Sse, &null.repeat(3)).1, 3);
}

#[test]
fn an_answer_tells_whether_it_had_all_that_it_was_allowed() {
    for (endpoint, format, answer) in [
        (Endpoint::Chat, Format::Json, "{\"choices\":[{\"finish_reason\":\"REASON\"}]}"),
        (Endpoint::Chat, Format::Sse, "data: {\"choices\":[{\"finish_reason\":\"REASON\"}]}\n\n"),
        (Endpoint::Messages, Format::Json, "{\"stop_reason\":\"REASON\",\"content\":[]}"),
        (
            Endpoint::Messages,
            Format::Sse,
            "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"REASON\"}}\n\n",
        ),
        (Endpoint::Responses, Format::Json, "{\"incomplete_details\":{\"reason\":\"REASON\"}}"),
        (
            Endpoint::Responses,
            Format::Sse,
            "data: {\"response\":{\"incomplete_details\":{\"reason\":\"REASON\"}}}\n\n",
        ),
        (Endpoint::OllamaChat, Format::Ndjson, "{\"done\":true,\"done_reason\":\"REASON\"}\n"),
        (Endpoint::TgiGenerate, Format::Json, "{\"details\":{\"finish_reason\":\"REASON\"}}"),
    ] {
        for (reason, expected) in [
            ("length", true),
            ("max_tokens", true),
            ("max_output_tokens", true),
            ("stop", false),
            ("", false),
        ] {
            let answer = answer.replace("REASON", reason);
            let reading = reading_of(asked(endpoint), Some(format), &answer).unwrap();
            assert_eq!(reading.hit_bound, expected, "{answer}");
        }
    }
}

#[test]
fn a_model_that_is_only_loaded_makes_nothing() {
    for reason in ["load", "unload"] {
        let answer = format!("{{\"response\":\"\",\"done\":true,\"done_reason\":\"{reason}\"}}");
        let charged = charge(asked(Endpoint::OllamaGenerate), Format::Json, &answer);
        assert_eq!(charged, (0, 0, Source::Measured));
    }
    let stopped = "{\"response\":\"\",\"done\":true,\"done_reason\":\"stop\"}";
    assert_eq!(charge(asked(Endpoint::OllamaGenerate), Format::Json, stopped), AS_RESERVED);
}

#[test]
fn who_reads_texts_says_the_input_alone() {
    for (endpoint, answer, input) in [
        (
            Endpoint::Score,
            "{\"data\":[{\"score\":1}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":0}}",
            5,
        ),
        (
            Endpoint::Rerank,
            "{\"results\":[],\"usage\":{\"prompt_tokens\":5,\"total_tokens\":5}}",
            5,
        ),
        (Endpoint::Pooling, "{\"data\":[],\"usage\":{\"total_tokens\":5}}", 5),
        (
            Endpoint::CohereEmbed,
            "{\"embeddings\":{},\"meta\":{\"billed_units\":{\"input_tokens\":4}}}",
            4,
        ),
        (Endpoint::SglangEncode, "[{\"embedding\":[1],\"meta_info\":{\"prompt_tokens\":4}}]", 4),
        (Endpoint::SglangEncode, "{\"embedding\":[1],\"meta_info\":{\"prompt_tokens\":4}}", 4),
    ] {
        let charged = charge(asked(endpoint), Format::Json, answer);
        assert_eq!(charged, (input, 0, Source::Measured), "{answer}");
    }
    let scoring = "{\"data\":[],\"usage\":{\"prompt_tokens\":13,\"completion_tokens\":2}}";
    let charged = charge(asked(Endpoint::GenerativeScoring), Format::Json, scoring);
    assert_eq!(charged, (13, 2, Source::Measured));
}

#[test]
fn an_answer_that_is_told_as_an_error_is_charged() {
    let llama = engine(Endpoint::Chat, Engine::LlamaCpp);
    let error = |message: &str| format!("{{\"error\":{{\"code\":500,\"message\":\"{message}\"}}}}");
    let text = error("Failed to parse input at pos 7: twelve bytes");
    assert_eq!(charge(llama, Format::Json, &text), (100, 11, Source::Partial));
    let stream = [DELTA, "data: ", &text, "\n\n"].concat();
    assert_eq!(charge(llama, Format::Sse, &stream), (100, 12, Source::Partial));
    // Others know no such answer, and of other errors nothing was made.
    assert_eq!(charge(asked(Endpoint::Chat), Format::Json, &text), (0, 0, Source::None));
    let other = error("Failed to parse messages: twelve bytes");
    assert_eq!(charge(llama, Format::Json, &other), (0, 0, Source::None));
}

#[test]
fn output_is_no_less_than_what_the_total_leaves_for_it() {
    let answer = |output: u64, total: u64| {
        format!(
            "{{\"usage\":{{\"prompt_tokens\":5,\"completion_tokens\":{output},\
             \"total_tokens\":{total}}}}}"
        )
    };
    let chat = |answer: &str| charge(asked(Endpoint::Chat), Format::Json, answer);
    assert_eq!(chat(&answer(7, 112)), (5, 107, Source::Measured));
    assert_eq!(chat(&answer(7, 12)), (5, 7, Source::Measured));
    assert_eq!(chat(&answer(7, 3)), (5, 7, Source::Measured));
}

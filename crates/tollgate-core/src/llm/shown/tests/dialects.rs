//! The dialects beside Chat, as engines speak them.

use super::*;

fn event(kind: &str, data: &str) -> String {
    format!("event: {kind}\ndata: {{\"type\":\"{kind}\",{data}}}\n\n")
}

fn card() -> String {
    CARD.replace('"', "\\\"")
}

mod messages {
    use super::*;

    fn start(block: &str) -> String {
        event("content_block_start", &format!("\"index\":0,\"content_block\":{{{block}}}"))
    }

    fn delta(kind: &str, name: &str, text: &str) -> String {
        let delta = format!("\"index\":0,\"delta\":{{\"type\":\"{kind}\",\"{name}\":\"{text}\"}}");
        event("content_block_delta", &delta)
    }

    fn text(text: &str) -> String {
        delta("text_delta", "text", text)
    }

    fn stop() -> String {
        event("content_block_stop", "\"index\":0")
    }

    #[test]
    fn a_text_ends_with_its_block() {
        for (kind, name) in
            [("text", "text"), ("thinking", "thinking"), ("input_json", "partial_json")]
        {
            let text = |text: &str| delta(&format!("{kind}_delta"), name, text);
            let begin = start(&format!("\"type\":\"{kind}\",\"{name}\":\"\""));
            let answer =
                begin.clone() + &text("a 4111") + &text("-é-\\\"1111") + &text(" 41") + &stop();
            let expected =
                begin + &text("a ") + &text("[CARD]") + &text(" ") + &text("41") + &stop();
            assert_eq!(shown(Endpoint::Messages, SSE, &answer), expected);
        }
    }

    #[test]
    fn what_a_block_begins_with_is_part_of_its_text() {
        let answer =
            start("\"type\":\"text\",\"text\":\"a 41\"") + &text("11-é-\\\"1111") + &stop();
        let expected = start("\"type\":\"text\",\"text\":\"a \"") + &text("[CARD]") + &stop();
        assert_eq!(shown(Endpoint::Messages, SSE, &answer), expected);
        // No delta has come that another could be made like.
        let answer = start("\"type\":\"text\",\"text\":\"a 41\"") + &stop();
        let expected = start("\"type\":\"text\",\"text\":\"a \"") + &text("41") + &stop();
        assert_eq!(shown(Endpoint::Messages, SSE, &answer), expected);
    }

    #[test]
    fn ids_and_signatures_pass_and_inputs_and_citations_are_text() {
        let card = card();
        let answer = start(&format!(
            "\"type\":\"tool_use\",\"id\":\"{card}\",\"name\":\"pay {card}\",\"input\":{{\"id\":\"{card}\",\"{card}\":[1,\"{card}\"]}}"
        )) + &delta("signature_delta", "signature", &card)
            + &event(
                "content_block_delta",
                &format!("\"index\":0,\"delta\":{{\"type\":\"citations_delta\",\"citation\":{{\"cited_text\":\"{card}\"}}}}"),
            )
            + &stop()
            + &event("message_stop", "\"x\":1");
        let expected = answer
            .replace(&card, LABEL)
            .replacen("\"id\":\"[CARD]\"", &format!("\"id\":\"{card}\""), 1)
            .replace("\"signature\":\"[CARD]\"", &format!("\"signature\":\"{card}\""));
        assert_eq!(shown(Endpoint::Messages, SSE, &answer), expected);
    }

    #[test]
    fn what_is_blocked_ends_with_an_error_event() {
        let answer = text("a open ") + &text("sesame") + &stop();
        let expected = text("a ") + &format!("event: error\ndata: {REFUSAL}\n\n");
        assert_eq!(shown(Endpoint::Messages, SSE, &answer), expected);
    }

    #[test]
    fn one_document_is_masked() {
        let card = card();
        let answer = format!(
            "{{\"id\":\"{card}\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[\
             {{\"type\":\"thinking\",\"thinking\":\"{card}\",\"signature\":\"{card}\"}},{{\"type\":\"text\",\"text\":\"{card} 41\"}},\
             {{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"n\",\"input\":{{\"type\":\"{card}\"}}}}],\"stop_sequence\":null}}"
        );
        let expected = answer
            .replace(&card, LABEL)
            .replace("\"id\":\"[CARD]\"", &format!("\"id\":\"{card}\""))
            .replace("\"signature\":\"[CARD]\"", &format!("\"signature\":\"{card}\""));
        assert_eq!(shown(Endpoint::Messages, JSON, &answer), expected);
    }
}

mod responses {
    use super::*;

    const PLACE: &str = "\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0";

    fn numbered(kind: &str, number: u64, data: &str) -> String {
        event(kind, &format!("{data},\"sequence_number\":{number}"))
    }

    fn delta(number: u64, text: &str) -> String {
        numbered(
            "response.output_text.delta",
            number,
            &format!("{PLACE},\"delta\":\"{text}\",\"logprobs\":[]"),
        )
    }

    /// All that comes behind the deltas.
    fn end(number: u64, text: &str) -> String {
        let part = format!(
            "{{\"type\":\"output_text\",\"text\":\"{text}\",\"annotations\":[],\"logprobs\":[]}}"
        );
        let item = format!("{{\"id\":\"msg_1\",\"type\":\"message\",\"content\":[{part}]}}");
        let response = format!(
            "\"response\":{{\"id\":\"resp_1\",\"object\":\"response\",\"instructions\":\"open sesame\",\"output\":[{item}]}}"
        );
        numbered("response.output_text.done", number, &format!("{PLACE},\"text\":\"{text}\""))
            + &numbered(
                "response.content_part.done",
                number + 1,
                &format!("{PLACE},\"part\":{part}"),
            )
            + &numbered(
                "response.output_item.done",
                number + 2,
                &format!("\"output_index\":0,\"item\":{item}"),
            )
            + &numbered("response.completed", number + 3, &response)
    }

    #[test]
    fn whatever_tells_the_text_again_is_masked_the_same() {
        let card = card();
        let text = format!("a {card} 41");
        let answer = delta(4, "a 411") + &delta(5, "1-é-\\\"1111 41") + &end(6, &text);
        let expected = delta(4, "a ")
            + &delta(5, "[CARD] ")
            // Made for what was held; the numbers have no gap.
            + &numbered("response.output_text.delta", 6, &format!("{PLACE},\"delta\":\"41\",\"logprobs\":[]"))
            + &end(7, "a [CARD] 41").replace("open sesame", "");
        assert_eq!(shown(Endpoint::Responses, SSE, &answer), expected);
        let (_, shown) = show(Endpoint::Responses, SSE, true, [answer.as_bytes()]);
        // Five times told, once found.
        assert_eq!(shown.counts(), [(MASKED, 1)]);
    }

    #[test]
    fn items_that_come_in_turn_are_texts_of_their_own() {
        let delta = |kind: &str, item: u64, number: u64, text: &str| {
            numbered(
                &format!("response.{kind}.delta"),
                number,
                &format!("\"output_index\":{item},\"delta\":\"{text}\""),
            )
        };
        let done = |kind: &str, item: u64, number: u64| {
            numbered(&format!("response.{kind}.done"), number, &format!("\"output_index\":{item}"))
        };
        let arguments = "function_call_arguments";
        let answer = delta("reasoning_text", 0, 1, "4111")
            + &delta(arguments, 1, 2, "4111")
            + &delta("refusal", 0, 3, "-é-\\\"1111")
            + &delta(arguments, 2, 4, "41")
            + &done("reasoning_text", 0, 5)
            + &delta(arguments, 1, 6, "-é-\\\"1111")
            + &done("output_item", 2, 7)
            + &done(arguments, 1, 8);
        let expected = delta("reasoning_text", 0, 1, "")
            + &delta(arguments, 1, 2, "")
            + &delta("refusal", 0, 3, "-é-\\\"1111")
            + &delta(arguments, 2, 4, "")
            + &delta("reasoning_text", 0, 5, "4111")
            + &done("reasoning_text", 0, 6)
            + &delta(arguments, 1, 7, "[CARD]")
            + &delta(arguments, 2, 8, "41")
            + &done("output_item", 2, 9)
            + &done(arguments, 1, 10);
        assert_eq!(shown(Endpoint::Responses, SSE, &answer), expected);
    }

    #[test]
    fn what_is_blocked_ends_with_an_error_event_in_its_turn() {
        let answer = delta(4, "a open") + &delta(5, " sesame") + &end(6, "a open sesame");
        let error =
            "event: error\ndata: {\"code\":\"content_policy\",\"message\":\"No.\",\"param\":null,\
                     \"sequence_number\":5,\"type\":\"error\"}\n\n";
        assert_eq!(shown(Endpoint::Responses, SSE, &answer), delta(4, "a ") + error);
    }

    #[test]
    fn one_document_is_masked_and_what_it_repeats_of_the_request_never_blocks() {
        let card = card();
        let answer = |text: &str, echo: &str| {
            format!(
                "{{\"id\":\"r\",\"object\":\"response\",\"instructions\":\"{echo}\",\"metadata\":{{\"a\":\"{echo}\"}},\
                 \"text\":{{\"format\":{{\"type\":\"text\"}}}},\"top_logprobs\":0,\"output\":[{{\"type\":\"message\",\"content\":\
                 [{{\"type\":\"output_text\",\"text\":\"{text}\"}}]}},{{\"type\":\"function_call\",\"arguments\":\"{text}\"}}]}}"
            )
        };
        assert_eq!(
            shown(Endpoint::Responses, JSON, &answer(&card, "open sesame")),
            answer(LABEL, "")
        );
        assert_eq!(shown(Endpoint::Responses, JSON, &answer("a", &card)), answer("a", LABEL));
        assert_eq!(shown(Endpoint::Responses, JSON, &answer(SECRET, "a")), REFUSAL);
    }
}

mod ollama {
    use super::*;

    fn chat(message: &str, done: &str) -> String {
        format!("{{\"model\":\"m\",\"created_at\":\"2026-12-01T00:00:00Z\",\"message\":{{\"role\":\"assistant\",{message}}},\"done\":{done}}}\n")
    }

    #[test]
    fn what_is_held_goes_into_the_line_that_is_done() {
        let content = |text: &str| chat(&format!("\"content\":\"{text}\""), "false");
        let done = |text: &str| {
            chat(
                &format!("\"content\":\"{text}\""),
                "true,\"done_reason\":\"stop\",\"eval_count\":3",
            )
        };
        let answer = content("a 4111") + &content("-é-\\\"1111 41") + &done("");
        let expected = content("a ") + &content("[CARD] ") + &done("41");
        assert_eq!(shown(Endpoint::OllamaChat, NDJSON, &answer), expected);
        // Whatever type it says that it has.
        assert_eq!(shown(Endpoint::OllamaChat, JSON, &answer), expected);
    }

    #[test]
    fn thinking_and_calls_are_text() {
        let thinking =
            |text: &str| chat(&format!("\"content\":\"\",\"thinking\":\"{text}\""), "false");
        let call = |value: &str| {
            let call = format!("{{\"function\":{{\"name\":\"pay\",\"arguments\":{{\"id\":\"{value}\",\"logprobs\":[\"{value}\"]}}}}}}");
            chat(&format!("\"content\":\"\",\"tool_calls\":[{call}]"), "false")
        };
        let done = chat("\"content\":\"\"", "true");
        let answer = thinking("a 41") + &call(&card()) + &done;
        let expected = thinking("a ")
            + &call(LABEL)
            + "{\"model\":\"m\",\"created_at\":\"2026-12-01T00:00:00Z\",\"message\":{\"role\":\"assistant\",\"thinking\":\"41\"},\"done\":false}\n"
            + &done;
        assert_eq!(shown(Endpoint::OllamaChat, NDJSON, &answer), expected);
    }

    #[test]
    fn tokens_of_the_context_are_not_shown() {
        let line = |text: &str, rest: &str| {
            format!("{{\"model\":\"m\",\"response\":\"{text}\",\"done\":{rest}}}\n")
        };
        let answer = line("a 41", "false") + &line("11", "true,\"context\":[1,2,3]");
        let expected = line("a ", "false") + &line("4111", "true,\"context\":[]");
        assert_eq!(shown(Endpoint::OllamaGenerate, NDJSON, &answer), expected);
    }

    #[test]
    fn what_is_blocked_ends_with_a_line() {
        let line = |text: &str| format!("{{\"response\":\"{text}\",\"done\":false}}\n");
        let answer = line("a open ") + &line("sesame") + &line("b");
        assert_eq!(shown(Endpoint::OllamaGenerate, NDJSON, &answer), line("a ") + REFUSAL + "\n");
    }
}

mod tgi {
    use super::*;

    fn token(index: u64, id: u64, text: &str, whole: &str) -> String {
        format!(
            "data:{{\"index\":{index},\"token\":{{\"id\":{id},\"text\":\"{text}\",\"logprob\":-0.5,\"special\":false}},\
             \"generated_text\":{whole},\"details\":null}}\n\n"
        )
    }

    #[test]
    fn the_last_event_tells_the_text_again() {
        let card = card();
        let answer = token(1, 17, "a 41", "null")
            + &token(2, 18, "11-é-\\\"1111 4", "null")
            + &token(3, 2, "1", &format!("\"a {card} 41\""));
        let expected = token(1, 0, "a ", "null")
            + &token(2, 0, "[CARD] ", "null")
            + &token(3, 0, "41", "\"a [CARD] 41\"");
        assert_eq!(shown(Endpoint::TgiGenerateStream, SSE, &answer), expected);
        let (_, shown) = show(Endpoint::TgiGenerate, SSE, true, [answer.as_bytes()]);
        assert_eq!(shown.counts(), [(MASKED, 1)]);
    }

    #[test]
    fn tokens_and_what_was_not_chosen_are_not_shown() {
        let card = card();
        let answer = format!(
            "[{{\"generated_text\":\"{card}\",\"details\":{{\"finish_reason\":\"length\",\"prefill\":[{{\"id\":1,\"text\":\"{card}\"}}],\
             \"tokens\":[{{\"id\":5,\"text\":\"{card}\"}}],\"best_of_sequences\":[{{\"generated_text\":\"{card}\",\"tokens\":[{{\"id\":5}}]}}]}}}}]"
        );
        let expected = "[{\"generated_text\":\"[CARD]\",\"details\":{\"finish_reason\":\"length\",\"prefill\":[],\
                        \"tokens\":[],\"best_of_sequences\":[{\"generated_text\":\"[CARD]\",\"tokens\":[]}]}}]";
        assert_eq!(shown(Endpoint::TgiGenerate, JSON, &answer), expected);
    }
}

#[test]
fn native_answers_of_llama_cpp_are_masked() {
    let piece = |index: u64, text: &str, rest: &str| {
        format!("data: {{\"index\":{index},\"content\":\"{text}\",{rest}}}\n\n")
    };
    let answer = piece(0, "a 41", "\"tokens\":[5],\"stop\":false")
        + &piece(1, "11-é-\\\"1111", "\"tokens\":[6],\"stop\":false")
        + &piece(0, "11-é-\\\"1111 4", "\"tokens\":[7],\"stop\":false")
        + &piece(
            0,
            "",
            "\"tokens\":[],\"stop\":true,\"prompt\":\"open sesame\",\"stop_type\":\"limit\"",
        )
        + &piece(
            1,
            "",
            "\"tokens\":[],\"stop\":true,\"completion_probabilities\":[{\"token\":\"4111\"}]",
        );
    let expected = piece(0, "a ", "\"tokens\":[],\"stop\":false")
        + &piece(1, "11-é-\\\"1111", "\"tokens\":[],\"stop\":false")
        + &piece(0, "[CARD] ", "\"tokens\":[],\"stop\":false")
        + &piece(0, "4", "\"tokens\":[],\"stop\":true,\"prompt\":\"\",\"stop_type\":\"limit\"")
        + &piece(1, "", "\"tokens\":[],\"stop\":true,\"completion_probabilities\":[]");
    assert_eq!(shown(Endpoint::LlamaCompletion, SSE, &answer), expected);
}

#[test]
fn the_text_of_sglang_comes_again_and_again() {
    let piece = |index: u64, text: &str, finish: &str| {
        format!("data: {{\"text\":\"{text}\",\"meta_info\":{{\"id\":\"x\",\"finish_reason\":{finish}}},\"index\":{index}}}\n\n")
    };
    let answer = piece(0, "a 4", "null")
        + &piece(1, "b 41", "null")
        + &piece(0, "a 4111-é-\\\"11", "null")
        + &piece(1, "b 41", "null")
        + &piece(0, "a 4111-é-\\\"1111 4", "null")
        + &piece(0, "a 4111-é-\\\"1111 41", "{\"type\":\"stop\"}")
        + "data: [DONE]\n\n";
    let expected = piece(0, "a ", "null")
        + &piece(1, "b ", "null")
        + &piece(0, "a ", "null")
        + &piece(1, "b ", "null")
        + &piece(0, "a [CARD] ", "null")
        + &piece(0, "a [CARD] 41", "{\"type\":\"stop\"}")
        + "data: {\"text\":\"b 41\",\"index\":1}\n\ndata: [DONE]\n\n";
    assert_eq!(shown(Endpoint::SglangGenerate, SSE, &answer), expected);
    // With pieces, where an operator has asked the engine for these.
    let answer = piece(0, "a 4", "null")
        + &piece(0, "111-é-\\\"1111", "null")
        + &piece(0, " 4", "{\"type\":\"stop\"}");
    let expected = piece(0, "a ", "null")
        + &piece(0, "[CARD]", "null")
        + &piece(0, " 4", "{\"type\":\"stop\"}");
    assert_eq!(shown(Endpoint::SglangGenerate, SSE, &answer), expected);
}

#[test]
fn documents_that_were_ranked_are_text() {
    let card = card();
    let answer = format!("{{\"id\":\"score\",\"results\":[{{\"index\":1,\"document\":{{\"text\":\"{card}\"}},\"relevance_score\":-0.5}}]}}");
    assert_eq!(shown(Endpoint::Rerank, JSON, &answer), answer.replace(&card, LABEL));
}

#[test]
fn answers_of_tokens_alone_are_not_shown() {
    assert_eq!(
        shown(Endpoint::TokenGenerate, JSON, "{\"choices\":[{\"token_ids\":[1]}]}"),
        REFUSAL
    );
}

/// What the client sees of an answer that isn't metered.
fn of_others<'a>(body: Body, buffers: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut shown = Shown::new(None, body, guarded(true), REFUSAL);
    let mut out = Vec::new();
    for buffer in buffers {
        shown.read(&Part::Range(0..buffer.len()), buffer, &mut |part| match part {
            Part::Held(bytes) => out.extend_from_slice(bytes),
            Part::Range(range) => out.extend_from_slice(&buffer[range]),
        });
    }
    shown.finish(&mut |part| match part {
        Part::Held(bytes) => out.extend_from_slice(bytes),
        Part::Range(_) => panic!("there is no buffer"),
    });
    String::from_utf8(out).unwrap()
}

#[test]
fn transcripts_are_text() {
    let srt = format!("1\n00:00:00,000 --> 00:00:01,000\nMy {CARD}, é, and 41");
    for size in 1..srt.len() {
        assert_eq!(
            of_others(Body::Plain, srt.as_bytes().chunks(size)),
            srt.replace(CARD, LABEL),
            "{size}"
        );
    }
    let secret = b"Say open sesame now";
    for size in 1..secret.len() {
        assert_eq!(of_others(Body::Plain, secret.chunks(size)), "Say ", "{size}");
    }
    let json = format!("{{\"text\":\"{}\"}}", card());
    for body in [JSON, Body::Plain, Body::of(b"text/plain; charset=utf-8", false)] {
        assert_eq!(of_others(body, [json.as_bytes()]), "{\"text\":\"[CARD]\"}");
    }
    let delta = |text: &str| {
        format!("data: {{\"type\":\"transcript.text.delta\",\"delta\":\"{text}\"}}\n\n")
    };
    let done =
        |text: &str| format!("data: {{\"type\":\"transcript.text.done\",\"text\":\"{text}\"}}\n\n");
    let answer = delta("4111") + &delta("-é-\\\"1111 4") + &done(&(card() + " 4"));
    let expected = delta("") + &delta("[CARD] ") + &delta("4") + &done("[CARD] 4");
    assert_eq!(of_others(SSE, [answer.as_bytes()]), expected);
}

#[test]
fn what_is_no_text_is_not_shown() {
    assert_eq!(of_others(Body::Plain, [&b"a\xff"[..]]), "");
    assert_eq!(of_others(Body::of(b"audio/mpeg", false), [&b"ID3"[..]]), REFUSAL);
    assert_eq!(of_others(Body::of(b"application/json", true), [&b"\x1f\x8b"[..]]), REFUSAL);
}

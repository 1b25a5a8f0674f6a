//! Chat, completions, and how their events are put together.

use super::*;

/// A chunk with this delta of the choice, or its end.
fn chunk(index: usize, delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":17,\"model\":\"m\",\
         \"choices\":[{{\"index\":{index},\"delta\":{{{delta}}},\"logprobs\":null,\"finish_reason\":{finish}}}]}}\n\n"
    )
}

fn content(text: &str) -> String {
    let text = serde_json::Value::from(text);
    chunk(0, &format!("\"content\":{text}"), "null")
}

const END: &str = "data: [DONE]\n\n";

#[test]
fn what_has_nothing_in_it_passes_as_it_comes() {
    let answer = chunk(0, "\"role\":\"assistant\",\"content\":\"\"", "null")
        + &content("Hi there")
        + ": ping\n\n"
        + &content(", wörld \"\\\n")
        + &chunk(0, "\"content\": \"\\u00e9\\ud83d\\ude00\\/\" ", "null")
        + &chunk(0, "", "\"stop\"")
        + "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n"
        + END;
    assert_eq!(shown(Endpoint::Chat, SSE, &answer), answer);
    let crlf = answer.replace('\n', "\r\n");
    assert_eq!(shown(Endpoint::Chat, SSE, &crlf), crlf);
    let marked = format!("\u{feff}{answer}");
    assert_eq!(shown(Endpoint::Chat, SSE, &marked), marked);
    let open = answer.strip_suffix("\n\n").unwrap();
    assert_eq!(shown(Endpoint::Chat, SSE, open), open);
}

#[test]
fn what_is_split_over_deltas_is_masked() {
    let answer =
        content("My card: 41") + &content("11-é") + &content("-\"11") + &content("11, ok") + END;
    let expected =
        content("My card: ") + &content("") + &content("") + &content("[CARD], ok") + END;
    assert_eq!(shown(Endpoint::Chat, SSE, &answer), expected);
}

#[test]
fn what_is_held_stands_before_the_next_piece() {
    let answer = content("My 41") + &content("11 dogs") + &chunk(0, "", "\"stop\"") + END;
    let expected = content("My ") + &content("4111 dogs") + &chunk(0, "", "\"stop\"") + END;
    assert_eq!(shown(Endpoint::Chat, SSE, &answer), expected);
}

#[test]
fn what_is_held_when_a_choice_ends_stands_in_an_event_of_its_own() {
    let answer = content("My 41") + &chunk(0, "", "\"stop\"") + END;
    let expected = content("My ") + &content("41") + &chunk(0, "", "\"stop\"") + END;
    assert_eq!(shown(Endpoint::Chat, SSE, &answer), expected);
}

#[test]
fn what_is_held_goes_into_the_event_that_ends_the_choice_if_that_has_text() {
    let end = |text: &str| chunk(0, &format!("\"content\":\"{text}\""), "\"stop\"");
    let answer = content("My 41") + &end("") + END;
    assert_eq!(shown(Endpoint::Chat, SSE, &answer), content("My ") + &end("41") + END);
    let answer = content("My 41") + &end("11") + END;
    assert_eq!(shown(Endpoint::Chat, SSE, &answer), content("My ") + &end("4111") + END);
}

#[test]
fn what_is_held_comes_before_done_and_before_the_end() {
    for end in [END, "", "data: {\"error\":{\"message\":\"died\"}}\n\n"] {
        let answer = content("My 41") + end;
        assert_eq!(shown(Endpoint::Chat, SSE, &answer), content("My ") + &content("41") + end);
    }
    // Without the blank line behind the last event.
    let answer = content("My 41").trim_end().to_owned();
    let expected = content("My ") + &content("41");
    assert_eq!(shown(Endpoint::Chat, SSE, &answer), expected);
}

#[test]
fn choices_and_members_are_texts_of_their_own() {
    let piece =
        |index, name: &str, text: &str| chunk(index, &format!("\"{name}\":\"{text}\""), "null");
    let answer = piece(0, "content", "4111")
        + &piece(1, "content", "-é-\\\"1111")
        + &piece(0, "reasoning_content", "-é-\\\"1111")
        + &piece(0, "content", "-é-\\\"1111")
        + &chunk(1, "", "\"stop\"")
        + &chunk(0, "", "\"stop\"")
        + END;
    let expected = piece(0, "content", "")
        + &piece(1, "content", "-é-\\\"1111")
        + &piece(0, "reasoning_content", "-é-\\\"1111")
        + &piece(0, "content", "[CARD]")
        + &chunk(1, "", "\"stop\"")
        + &chunk(0, "", "\"stop\"")
        + END;
    assert_eq!(shown(Endpoint::Chat, SSE, &answer), expected);
}

#[test]
fn arguments_of_tools_are_texts_by_the_number_of_the_tool() {
    let call = |index, rest: &str| {
        chunk(0, &format!("\"tool_calls\":[{{\"index\":{index},{rest}}}]"), "null")
    };
    let start = |index, arguments: &str| {
        call(
            index,
            &format!(
                "\"id\":\"call_{index}\",\"type\":\"function\",\"function\":{{\"name\":\"pay\",\"arguments\":\"{arguments}\"}}"
            ),
        )
    };
    let more = |index, arguments: &str| {
        call(index, &format!("\"function\":{{\"arguments\":\"{arguments}\"}}"))
    };
    let answer = start(0, "41")
        + &start(1, "-é-\\\"1111 41")
        + &more(0, "11-é-\\\"1111.")
        + &chunk(0, "", "\"tool_calls\"")
        + END;
    // What is made has the number of the tool, and neither its name nor its id again.
    let expected = start(0, "")
        + &start(1, "-é-\\\"1111 ")
        + &more(0, "[CARD].")
        + &more(1, "41")
        + &chunk(0, "", "\"tool_calls\"")
        + END;
    assert_eq!(shown(Endpoint::Chat, SSE, &answer), expected);
}

#[test]
fn what_is_blocked_ends_the_stream_with_an_error() {
    let answer =
        content("Say op") + &content("en ses") + &content("ame now") + &content("more") + END;
    let error = format!("data: {REFUSAL}\n\n");
    let expected = content("Say ") + &content("") + &error;
    assert_eq!(shown(Endpoint::Chat, SSE, &answer), expected);
    let (_, shown) = show(Endpoint::Chat, SSE, true, [answer.as_bytes()]);
    assert_eq!(shown.halted(), Some(Halt::Rule(BLOCKED)));
    assert_eq!(shown.counts(), [(BLOCKED, 1)]);
    // What is before it in the same event, is shown.
    let answer = content("Hi. Say open sesame now") + END;
    assert_eq!(super::shown(Endpoint::Chat, SSE, &answer), content("Hi. Say ") + &error);
}

#[test]
fn unknown_members_are_text() {
    let answer =
        chunk(0, &format!("\"content\":\"a\",\"new\":{}", serde_json::json!([CARD])), "null")
            + &format!(
                "data: {}\n\n",
                serde_json::json!({"choices": [{"index": 0, "later": {"x": CARD}}], "y": CARD})
            )
            + END;
    let expected = answer.replace(&CARD.replace('"', "\\\""), LABEL);
    assert_eq!(shown(Endpoint::Chat, SSE, &answer), expected);
    assert_ne!(answer, expected);
}

#[test]
fn what_comes_in_pieces_under_an_unknown_name_is_one_text() {
    let piece =
        |text: &str| chunk(0, &format!("\"content\":\"\",\"record_field\":\"{text}\""), "null");
    let card = CARD.replace('"', "\\\"");
    let (first, second) = card.split_at(5);
    let answer = piece(&format!("no {first}")) + &piece(&format!("{second}.")) + END;
    assert_eq!(
        shown(Endpoint::Chat, SSE, &answer),
        piece("no ") + &piece(&format!("{LABEL}.")) + END
    );
    // A kind isn't held back, although an address may begin like that.
    let kind = |kind: &str| chunk(0, &format!("\"content\":\"\",\"phase\":\"{kind}\""), "null");
    let answer = kind("final_answer") + &kind("final_answer") + END;
    assert_eq!(shown(Endpoint::Chat, SSE, &answer), answer);
}

#[test]
fn ids_are_no_text() {
    let card = CARD.replace('"', "\\\"");
    let answer = content("a").replace("chatcmpl-1", &card)
        + &content("b").replace("chatcmpl-1", &card)
        + END;
    assert_eq!(shown(Endpoint::Chat, SSE, &answer), answer);
}

#[test]
fn tokens_are_not_shown_beside_their_text() {
    let logprobs =
        r#""logprobs":{"content":[{"token":"4111","bytes":[52],"logprob":-1,"top_logprobs":[]}]}"#;
    let answer = content("a").replace("\"logprobs\":null", logprobs) + END;
    assert_eq!(shown(Endpoint::Chat, SSE, &answer), content("a") + END);
    let answer =
        content("a").replace("}]}\n", "}],\"prompt_token_ids\":[1,2],\"token_ids\":[]}\n") + END;
    let expected =
        content("a").replace("}]}\n", "}],\"prompt_token_ids\":[],\"token_ids\":[]}\n") + END;
    assert_eq!(shown(Endpoint::Chat, SSE, &answer), expected);
}

#[test]
fn an_answer_that_is_one_document_is_masked_or_replaced() {
    let answer = |content: &str, arguments: &str| {
        serde_json::json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 17,
            "choices": [{
                "index": 0,
                "message": {
                    "role": "assistant", "content": content,
                    "tool_calls": [{"type": "function", "function": {"name": "pay", "arguments": arguments}}],
                },
                "finish_reason": "stop",
            }],
            "usage": {"prompt_tokens": 12},
        })
        .to_string()
    };
    for end in ["", "\n", " \n\n"] {
        let one = answer(&format!("My {CARD}, 41"), &format!("{CARD}{CARD}")) + end;
        let expected = answer("My [CARD], 41", "[CARD][CARD]") + end;
        assert_eq!(shown(Endpoint::Chat, JSON, &one), expected);
        let (_, shown) = show(Endpoint::Chat, JSON, true, [one.as_bytes()]);
        assert_eq!(shown.counts(), [(MASKED, 3)]);
        let harmless = answer("a", "4") + end;
        assert_eq!(super::shown(Endpoint::Chat, JSON, &harmless), harmless);
        assert_eq!(super::shown(Endpoint::Chat, JSON, &(answer("a", SECRET) + end)), REFUSAL);
    }
}

#[test]
fn what_cant_be_read_isnt_shown() {
    let error = format!("data: {REFUSAL}\n\n");
    for event in [
        "data: hello\n\n",
        "data: {\"choices\":\n\n",
        "data: {\"choices\":[}\n\n",
        "data: {\"choices\":[]} x\n\n",
        "data: {\"a\":1}{\"b\":2}\n\n",
    ] {
        let answer = content("a") + event + &content("b");
        assert_eq!(shown(Endpoint::Chat, SSE, &answer), content("a") + &error, "{event}");
    }
    for (body, answer) in [
        (JSON, "<html>"),
        (JSON, "{\"a\":"),
        (JSON, "{\"a\":\"b\"} {\"c\":1}"),
        (Body::Opaque, "{}"),
        (Body::Plain, "text"),
    ] {
        assert_eq!(shown(Endpoint::Chat, body, answer), REFUSAL, "{answer}");
    }
    // The start of an event that never ended.
    let answer = content("a") + "data: {\"choices\":[{\"delta\":{\"content\":\"4111";
    assert_eq!(shown(Endpoint::Chat, SSE, &answer), content("a"));
    let deep = "[".repeat(200) + &"]".repeat(200);
    assert_eq!(shown(Endpoint::Chat, JSON, &deep), REFUSAL);
}

#[test]
fn bytes_that_are_no_text_are_not_shown() {
    let mut answer = content("a").into_bytes();
    let at = answer.iter().position(|byte| *byte == b'{').unwrap();
    answer.insert(at + 2, 0xff);
    let (out, shown) = show(Endpoint::Chat, SSE, true, [&answer[..]]);
    assert_eq!(out, format!("data: {REFUSAL}\n\n"));
    assert_eq!(shown.halted(), Some(Halt::Unreadable));
    // In a text of an event like the last one.
    let mut answer = (content("a") + &content("b")).into_bytes();
    let at = answer.iter().rposition(|byte| *byte == b'b').unwrap();
    answer[at] = 0xff;
    let (out, _) = show(Endpoint::Chat, SSE, true, [&answer[..]]);
    assert_eq!(out, content("a") + &format!("data: {REFUSAL}\n\n"));
}

#[test]
fn data_on_several_lines_is_read_as_one() {
    let card = CARD.replace('"', "\\\"");
    let answer = format!("event: x\ndata: {{\"choices\":\ndata: [{{\"delta\":{{\"content\":\ndata: \"{card}\"}}}}]}}\nid: 1\n\n");
    let expected =
        "event: x\ndata: {\"choices\": [{\"delta\":{\"content\": \"[CARD]\"}}]}\nid: 1\n\n";
    assert_eq!(shown(Endpoint::Chat, SSE, &answer), expected);
    let harmless = answer.replace(&card, "a");
    assert_eq!(shown(Endpoint::Chat, SSE, &harmless), harmless);
}

#[test]
fn the_text_of_completions_is_masked() {
    let piece = |text: &str, finish: &str| {
        format!("data: {{\"id\":\"c\",\"choices\":[{{\"index\":0,\"text\":\"{text}\",\"logprobs\":null,\"finish_reason\":{finish}}}]}}\n\n")
    };
    let answer =
        piece("a 41", "null") + &piece("11-é-\\\"11", "null") + &piece("11", "\"stop\"") + END;
    let expected = piece("a ", "null") + &piece("", "null") + &piece("[CARD]", "\"stop\"") + END;
    assert_eq!(shown(Endpoint::Completions, SSE, &answer), expected);
}

#[test]
fn too_many_texts_or_too_long_an_event_end_the_stream() {
    let answer: String = (0..1100).map(|index| chunk(index, "\"content\":\"4\"", "null")).collect();
    let (out, shown) = show(Endpoint::Chat, SSE, true, [answer.as_bytes()]);
    assert!(out.ends_with(&format!("data: {REFUSAL}\n\n")));
    assert_eq!(shown.halted(), Some(Halt::Unreadable));
    let long = content(&"a".repeat(MAX_DOCUMENT));
    let (out, shown) = show(Endpoint::Chat, SSE, true, long.as_bytes().chunks(60_000));
    assert!(out == format!("data: {REFUSAL}\n\n"));
    assert_eq!(shown.halted(), Some(Halt::Unreadable));
    let (out, shown) = show(Endpoint::Chat, SSE, false, long.as_bytes().chunks(60_000));
    assert!(out == long && shown.halted().is_none());
}

/// A name behind a blank is another name for the client, and a mark is one only where nothing was before it: what is read
/// must be what the client reads, in whatever buffers the first bytes come.
#[test]
fn blanks_and_marks_before_an_answer_change_nothing_of_how_it_is_read() {
    let card = content(CARD);
    let masked = content("[CARD]");
    for lead in
        ["\n", "\r\n", " \n", "\t\r", "\u{feff}", "\n\u{feff}\n", "\u{feff}\n", "\tevent: x\n"]
    {
        let expected = format!("{lead}{masked}");
        assert_eq!(shown(Endpoint::Chat, SSE, &format!("{lead}{card}")), expected, "{lead:?}");
    }
    // The client sees no data in the first line.
    let answer = format!("\t{card}{card}");
    assert_eq!(shown(Endpoint::Chat, SSE, &answer), format!("\t{card}{masked}"));
    // One byte of a mark is none, and the line ends.
    let answer = [b"\xef", b"\n", card.as_bytes()];
    let mut all = Shown::new(Some(Endpoint::Chat), SSE, guarded(true), REFUSAL);
    let mut out = Vec::new();
    for buffer in answer {
        all.read(&Part::Held(buffer), &[], &mut |part| match part {
            Part::Held(bytes) => out.extend_from_slice(bytes),
            Part::Range(_) => panic!("it was held"),
        });
    }
    all.finish(&mut |_| {});
    assert_eq!(out, [b"\xef\n", masked.as_bytes()].concat());
    let document = |text: &str| {
        format!("\u{feff}\n {{\"choices\":[{{\"message\":{{\"content\":\"{text}\"}}}}]}}")
    };
    assert_eq!(
        shown(Endpoint::Chat, JSON, &document(&CARD.replace('"', "\\\""))),
        document("[CARD]")
    );
}

/// The first byte of a letter of full width is that of a byte order mark, too.
#[test]
fn a_text_may_begin_with_any_letter() {
    for (text, expected) in [
        ("\u{ff21} 4111-é-\"1111", "\u{ff21} [CARD]"),
        ("\n\u{ff21}", "\n\u{ff21}"),
        (" \n", " \n"),
    ] {
        for size in 1..=text.len() {
            let mut plain = Shown::new(None, Body::Plain, guarded(true), REFUSAL);
            let mut out = Vec::new();
            for buffer in text.as_bytes().chunks(size) {
                plain.read(&Part::Held(buffer), &[], &mut |part| match part {
                    Part::Held(bytes) => out.extend_from_slice(bytes),
                    Part::Range(_) => panic!("it was held"),
                });
            }
            plain.finish(&mut |part| match part {
                Part::Held(bytes) => out.extend_from_slice(bytes),
                Part::Range(_) => panic!("it was held"),
            });
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{size}");
            assert_eq!(plain.halted(), None);
        }
    }
}

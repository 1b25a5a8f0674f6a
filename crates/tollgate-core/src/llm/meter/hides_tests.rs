use super::hold::MAX_HELD;
use super::tests::{asked, relay, DELTA, DONE, USAGE};
use super::*;

/// The same, where the usage was asked for by us.
fn hiding(endpoint: Endpoint, engine: Engine) -> Asked {
    let hides = Hides { usage: true, running_usage: engine == Engine::Vllm };
    Asked { hides, ..Asked::one(endpoint, engine) }
}

/// What a client gets of a Chat stream whose usage-only events are hidden, for one buffer and for
/// any size of buffers.
fn hidden(stream: &str) -> String {
    hidden_of(Engine::OpenAi, stream)
}

fn hidden_of(engine: Engine, stream: &str) -> String {
    relayed(hiding(Endpoint::Chat, engine), stream)
}

fn relayed(asked: Asked, stream: &str) -> String {
    let relay = |len: usize| {
        let mut meter = Meter::new(asked, Some(Format::Sse));
        String::from_utf8(relay(&mut meter, stream.as_bytes().chunks(len)).concat()).unwrap()
    };
    let whole = relay(stream.len().max(1));
    for len in 1..stream.len() {
        assert_eq!(relay(len), whole, "{len}");
    }
    whole
}

#[test]
fn the_usage_only_event_is_hidden_and_nothing_else() {
    assert_eq!(hidden(&[DELTA, USAGE, DONE].concat()), [DELTA, DONE].concat());
    let usage_first =
        "event: x\nid: 7\ndata: {\"usage\":{\"prompt_tokens\":5},\ndata: \"choices\":[]}\n\n";
    assert_eq!(hidden(&[DELTA, usage_first, DONE].concat()), [DELTA, DONE].concat());
    for usage_only in [
        "data: {\"usage\":{\"prompt_tokens\":5}}\n\n",
        "data: {\"choices\":null,\"usage\":{\"prompt_tokens\":5}}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0}}\n\n",
        "data: {\"choices\":[],\"usage\":{}}\n\n",
    ] {
        assert_eq!(hidden(&[DELTA, usage_only, DONE].concat()), [DELTA, DONE].concat());
    }
    // Also where no blank line follows any more.
    assert_eq!(hidden(&[DELTA, USAGE.trim_end()].concat()), DELTA);
    for shown in [
        "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n",
        "data: {\"usage\":{\"prompt_tokens\":5},\"choices\":[{}]}\n\n",
        "data: {\"choices\":[],\"choices\":[{}],\"usage\":{\"prompt_tokens\":1}}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5}",
        "data: {\"error\":{\"message\":\"\\\"choices\\\":[],\"}}\n\n",
        "data: [DONE]\n\n",
        "data: text\n\nevent: only\n\n\n\n: comment\n\n",
        "event: cut",
        "\u{feff}data: {}\n\n",
    ] {
        assert_eq!(hidden(&[DELTA, shown].concat()), [DELTA, shown].concat());
        assert_eq!(hidden(&[shown, DONE].concat()), [shown, DONE].concat());
    }
}

#[test]
fn an_event_is_hidden_with_its_line_ends_of_any_kind() {
    for end in ["\n", "\r", "\r\n"] {
        let lines = |stream: String| stream.replace('\n', end);
        let stream = lines([DELTA, ": comment\n\n", USAGE, DONE].concat());
        assert_eq!(hidden(&stream), lines([DELTA, ": comment\n\n", DONE].concat()), "{end:?}");
    }
    // The line feed of the next blank line is not of the hidden event.
    assert_eq!(hidden(&format!("{}\r\r\r\n", USAGE.trim_end())), "\r\n");
}

#[test]
fn streams_of_other_endpoints_are_not_held() {
    let mut meter = Meter::new(hiding(Endpoint::Messages, Engine::OpenAi), Some(Format::Sse));
    let relayed = relay(&mut meter, [&b"data: {\"type\""[..], b":\"ping\"}\n\n"]);
    assert_eq!(relayed, [&b"data: {\"type\""[..], b":\"ping\"}\n\n", b""]);
}

#[test]
fn a_buffer_is_passed_on_at_once_but_for_an_event_that_is_not_whole() {
    let mut meter = Meter::new(hiding(Endpoint::Chat, Engine::OpenAi), Some(Format::Sse));
    let buffers = [
        ": keep",
        "-alive\n",
        "\n",
        "data: {\"id\":1,",
        "\"choices\":[",
        "{\"delta\":{",
        "}}]}\n",
        "\n",
        "data: [",
        "DONE]\n\n",
    ];
    let relayed = relay(&mut meter, buffers.map(str::as_bytes));
    let relayed: Vec<_> = relayed.iter().map(|part| str::from_utf8(part).unwrap()).collect();
    assert_eq!(
        relayed,
        [
            ": keep",
            "-alive\n",
            "\n",
            "",
            "",
            "",
            "",
            "data: {\"id\":1,\"choices\":[{\"delta\":{}}]}\n\n",
            "data: [",
            "DONE]\n\n",
            "",
        ]
    );
}

#[test]
fn an_undecided_event_that_grows_too_long_is_not_hidden() {
    let padding = "x".repeat(1_000);
    let usage = |members: usize| {
        let members: String = (0..members).map(|_| format!("\"x\":\"{padding}\",")).collect();
        format!("data: {{{members}\"choices\":[],\"usage\":{{\"prompt_tokens\":5}}}}\n\n")
    };
    for (members, shown) in [(63, false), (67, true)] {
        let mut meter = Meter::new(hiding(Endpoint::Chat, Engine::OpenAi), Some(Format::Sse));
        let event = usage(members);
        let relayed = relay(&mut meter, event.as_bytes().chunks(100));
        assert_eq!(relayed.concat(), if shown { event.as_bytes() } else { b"" });
        assert_eq!(meter.reading().unwrap().said.input, Some(5));
    }
}

#[test]
fn finishing_twice_changes_nothing() {
    let mut meter = Meter::new(hiding(Endpoint::Chat, Engine::OpenAi), Some(Format::Sse));
    assert_eq!(
        relay(&mut meter, [&b"data: {\"choices\":"[..]]),
        [&b""[..], b"data: {\"choices\":"]
    );
    let reading = meter.reading();
    assert_eq!(relay(&mut meter, []), [b""]);
    assert_eq!(meter.reading(), reading);
}

#[test]
fn usage_that_we_asked_for_is_taken_out_of_chunks() {
    let chunk = |usage: &str| {
        format!("data: {{\"id\":1,\"choices\":[{{\"delta\":{{}}}}]{usage},\"x\":null}}\n\n")
    };
    let (bare, null) = (chunk(""), chunk(",\"usage\":null"));
    let zero = chunk(",\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0}");
    let said = chunk(",\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1}");
    for (engine, shown) in [
        (Engine::OpenAi, [&bare, &bare, &said]),
        (Engine::Anthropic, [&bare, &bare, &said]),
        (Engine::Vllm, [&bare, &bare, &bare]),
        (Engine::Ollama, [&bare, &bare, &bare]),
        // Null is there without us.
        (Engine::Sglang, [&null, &bare, &bare]),
        // They write nothing for us beside a choice.
        (Engine::Tgi, [&null, &zero, &said]),
        (Engine::LlamaCpp, [&null, &zero, &said]),
    ] {
        for (chunk, shown) in [&null, &zero, &said].into_iter().zip(shown) {
            assert_eq!(&hidden_of(engine, chunk), shown, "{engine:?} {chunk}");
        }
        assert_eq!(hidden_of(engine, &bare), bare);
    }
    // Who asked for the usage, but not for that of each chunk, gets it in the end.
    let hides = Hides { usage: false, running_usage: true };
    let asked = Asked { hides, ..asked(Endpoint::Chat) };
    let asked = Asked { engine: Engine::Vllm, ..asked };
    assert_eq!(relayed(asked, &[&*said, USAGE, DONE].concat()), [&*bare, USAGE, DONE].concat());
}

#[test]
fn nothing_is_taken_out_for_a_client_that_asked() {
    let chunk =
        "data: {\"choices\":[{\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1}}\n\n";
    for engine in Engine::ALL {
        let asked = Asked::one(Endpoint::Chat, engine);
        let stream = [DELTA, chunk, USAGE, DONE].concat();
        assert_eq!(relayed(asked, &stream), stream);
    }
}

const FINISH: &str = "data: {\"choices\":[{\"finish_reason\":\"stop\",\"index\":0}],\"id\":1}\n\n";

#[test]
fn what_moves_to_the_usage_chunk_stays_with_the_chunk_before_it() {
    let usage = |members: &str| {
        format!("data: {{\"choices\":[],\"id\":1,\"usage\":{{\"prompt_tokens\":5}}{members}}}\n\n")
    };
    let finish = |members: &str| FINISH.replace("\"id\":1}", &format!("\"id\":1{members}}}"));
    let (timings, fingerprint) =
        (",\"timings\":{\"prompt_n\":[1,\"}\"]}", ",\"system_fingerprint\":\"vllm-0\"");
    let both = format!("{timings}{fingerprint}");
    for (engine, moved) in [
        (Engine::LlamaCpp, timings),
        (Engine::Vllm, fingerprint),
        (Engine::OpenAi, ""),
        (Engine::Ollama, ""),
        (Engine::Sglang, ""),
    ] {
        let stream = [DELTA, FINISH, &usage(&both), DONE].concat();
        assert_eq!(hidden_of(engine, &stream), [DELTA, &finish(moved), DONE].concat());
    }
    // Two answers, with a usage each.
    let two = [FINISH, &usage(timings), DELTA, FINISH, &usage(timings), DONE].concat();
    let shown = [&finish(timings), DELTA, &finish(timings), DONE].concat();
    assert_eq!(hidden_of(Engine::LlamaCpp, &two), shown);
    // What is there already, isn't there twice, and what isn't ours, doesn't move.
    let has = [&finish(timings), &usage(timings), DONE].concat();
    assert_eq!(hidden_of(Engine::LlamaCpp, &has), [&finish(timings), DONE].concat());
    let other = [FINISH, &usage(",\"metrics\":{\"ttft\":1}"), DONE].concat();
    assert_eq!(hidden_of(Engine::Vllm, &other), [FINISH, DONE].concat());
    // Running usage goes, and the fingerprint comes.
    let running =
        [&*finish(",\"usage\":{\"prompt_tokens\":5}"), &usage(fingerprint), DONE].concat();
    assert_eq!(hidden_of(Engine::Vllm, &running), [&finish(fingerprint), DONE].concat());
    for end in ["\r", "\r\n"] {
        let stream = [DELTA, FINISH, &usage(timings), DONE].concat().replace('\n', end);
        let shown = [DELTA, &finish(timings), DONE].concat().replace('\n', end);
        assert_eq!(hidden_of(Engine::LlamaCpp, &stream), shown, "{end:?}");
    }
}

#[test]
fn the_last_chunk_waits_for_no_more_than_what_comes_next() {
    let after = |next: &str| {
        let mut meter = Meter::new(hiding(Endpoint::Chat, Engine::LlamaCpp), Some(Format::Sse));
        let relayed = relay(&mut meter, [FINISH.as_bytes(), next.as_bytes()]);
        relayed.into_iter().map(|part| String::from_utf8(part).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(after(DONE), ["", &[FINISH, DONE].concat(), ""]);
    assert_eq!(after(DELTA), ["", &[FINISH, DELTA].concat(), ""]);
    assert_eq!(after(": ping\n\n"), ["", &[FINISH, ": ping\n\n"].concat(), ""]);
    assert_eq!(after(": pi"), ["", &[FINISH, ": pi"].concat(), ""]);
    assert_eq!(after(""), ["", "", FINISH]);
    assert_eq!(
        after("data: {\"choices\":[]"),
        ["", "", &[FINISH, "data: {\"choices\":[]"].concat()]
    );
}

#[test]
fn each_choice_of_several_keeps_what_moves_to_the_usage_chunk() {
    let choice = |index: u32, finish: &str, members: &str| {
        format!(
            "data: {{\"id\":1,\"choices\":[{{\"index\":{index},\"delta\":{{\"content\":\"a\"}},\
             \"finish_reason\":{finish}}}]{members}}}\n\n"
        )
    };
    let goes_on = |index| choice(index, "null", "");
    let ends = |index, members: &str| choice(index, "\"stop\"", members);
    let fingerprint = ",\"system_fingerprint\":\"vllm-0\"";
    let usage = format!(
        "data: {{\"id\":1,\"choices\":[],\"usage\":{{\"prompt_tokens\":5}}{fingerprint}}}\n\n"
    );
    let three = Asked { choices: 3, per_prompt: 3, ..hiding(Endpoint::Chat, Engine::Vllm) };
    let told = |index| ends(index, fingerprint);
    let begin = [&*goes_on(0), &goes_on(1), &goes_on(2)].concat();
    let stream =
        [&*begin, &ends(1, ""), &goes_on(0), &ends(2, ""), &goes_on(0), &ends(0, ""), &usage, DONE];
    let shown = [&*begin, &goes_on(0), &goes_on(0), &told(1), &told(2), &told(0), DONE].concat();
    assert_eq!(relayed(three, &stream.concat()), shown);
    for end in ["\r", "\r\n"] {
        let stream = stream.concat().replace('\n', end);
        assert_eq!(relayed(three, &stream), shown.replace('\n', end), "{end:?}");
    }
    // Running usage goes, besides.
    let running = ",\"usage\":{\"prompt_tokens\":5}";
    let counted = stream.concat().replace("}]}\n", &format!("}}]{running}}}\n"));
    assert_eq!(relayed(three, &counted), shown);
    // Without the chunk that they wait for, nothing is lost: at the mark, at an error, at the end.
    for end in [DONE, "data: {\"error\":{\"message\":\"a\"}}\n\n", ""] {
        let stream = [&*begin, &ends(1, ""), &goes_on(0), &ends(2, ""), end].concat();
        let shown = [&*begin, &goes_on(0), &ends(1, ""), &ends(2, ""), end].concat();
        assert_eq!(relayed(three, &stream), shown);
    }
    // A comment is of no choice, and may pass.
    let stream = [&*ends(1, ""), ": ping\n\n", &goes_on(0), &usage, DONE].concat();
    assert_eq!(relayed(three, &stream), [": ping\n\n", &goes_on(0), &told(1), DONE].concat());
}

#[test]
fn choices_that_ended_wait_in_a_bounded_place() {
    let end = |index: usize| {
        let text = "a".repeat(MAX_HELD / 3);
        format!(
            "data: {{\"choices\":[{{\"index\":{index},\"text\":\"{text}\",\"finish_reason\":\"stop\"}}]}}\n\n"
        )
    };
    let three = Asked { choices: 9, per_prompt: 9, ..hiding(Endpoint::Completions, Engine::Vllm) };
    let mut meter = Meter::new(three, Some(Format::Sse));
    let events = [end(0), end(1), end(2)];
    let relayed = relay(&mut meter, events.iter().map(String::as_bytes));
    assert_eq!(relayed.iter().map(Vec::len).collect::<Vec<_>>(), [0, 0, events.concat().len(), 0]);
}

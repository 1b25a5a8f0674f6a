//! What is heard of an answer by those who judge it, and how it ends where they refuse it.

use proptest::prelude::*;

use super::*;
use crate::guards::classifier::gate::{Gate, Said, Shape};

/// What is heard of an answer that comes in these parts, joined by text.
fn heard<'a>(
    endpoint: Endpoint,
    body: Body,
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<(Said, String)> {
    let mut shown = Shown::new(Some(endpoint), body, guarded(true), REFUSAL);
    shown.listen();
    for part in parts {
        shown.read(&Part::Held(part), &[], &mut |_| {});
    }
    shown.finish(&mut |_| {});
    shown.take_said()
}

fn texts(said: &[(Said, String)]) -> Vec<&str> {
    said.iter().map(|(_, text)| text.as_str()).collect()
}

fn chunk(delta: &str) -> String {
    format!("data: {{\"id\":\"c\",\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n")
}

#[test]
fn texts_are_heard_as_the_model_wrote_them() {
    let stream = chunk(r#"{"role":"assistant","content":""}"#)
        + &chunk(r#"{"reasoning_content":"let me th"}"#)
        + &chunk(r#"{"reasoning_content":"ink"}"#)
        + &chunk(&serde_json::json!({"content": format!("the card {CARD} \u{e9}")}).to_string())
        + &chunk(r#"{"content":"nds"}"#)
        + "data: [DONE]\n\n";
    let said = heard(Endpoint::Chat, SSE, [stream.as_bytes()]);
    assert_eq!(texts(&said), ["let me think", &format!("the card {CARD} \u{e9}nds")]);
    assert_ne!(said[0].0, said[1].0);
}

#[test]
fn a_document_is_heard_as_a_whole() {
    let answer = r#"{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"one\ntwo"}}]}"#;
    let said = heard(Endpoint::Chat, JSON, [answer.as_bytes()]);
    assert_eq!(said, [(Said::Whole, "one\ntwo".to_owned())]);
    let lines = "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"a\"},\"done\":false}\n\
                 {\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"b\"},\"done\":true}\n";
    assert_eq!(texts(&heard(Endpoint::OllamaChat, NDJSON, [lines.as_bytes()])), ["ab"]);
}

#[test]
fn nothing_is_kept_where_nobody_listens() {
    let mut shown = Shown::new(Some(Endpoint::Chat), SSE, guarded(true), REFUSAL);
    shown.read(&Part::Held(chunk(r#"{"content":"text"}"#).as_bytes()), &[], &mut |_| {});
    assert_eq!(shown.take_said(), []);
}

fn refused(endpoint: Endpoint, body: Body, answer: &str) -> (String, Option<Halt>) {
    let mut shown = Shown::new(Some(endpoint), body, guarded(true), REFUSAL);
    shown.read(&Part::Held(answer.as_bytes()), &[], &mut |_| {});
    let mut out = Vec::new();
    let refusal = REFUSAL.replace("No.", "Not judged.");
    let refusal = Refusal::new(move || refusal.clone().into());
    shown.refuse(refusal, &mut |part| {
        if let Part::Held(bytes) = part {
            out.extend_from_slice(bytes);
        }
    });
    shown.read(&Part::Held(answer.as_bytes()), &[], &mut |_| panic!("nothing more is shown"));
    shown.finish(&mut |_| panic!("nothing more is shown"));
    (String::from_utf8(out).unwrap(), shown.halted())
}

#[test]
fn who_refuses_an_answer_ends_it_in_the_form_that_it_has() {
    let error = REFUSAL.replace("No.", "Not judged.");
    let of = |endpoint, body, answer: &str| {
        let (told, halt) = refused(endpoint, body, answer);
        assert_eq!(halt, Some(Halt::Judged));
        told
    };
    let text = chunk(r#"{"content":"text"}"#);
    assert_eq!(of(Endpoint::Chat, SSE, &text), format!("data: {error}\n\n"));
    let event = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n";
    assert_eq!(of(Endpoint::Messages, SSE, event), format!("event: error\ndata: {error}\n\n"));
    let line = "{\"model\":\"m\",\"done\":false}\n{\"model\":\"m\",\"done\":false}\n";
    assert_eq!(of(Endpoint::OllamaChat, NDJSON, line), format!("{error}\n"));
    assert_eq!(of(Endpoint::Chat, JSON, "{\"choices\":"), error);
    let numbered =
        "data: {\"type\":\"response.created\",\"sequence_number\":4,\"response\":{}}\n\n";
    let told = of(Endpoint::Responses, SSE, numbered);
    assert!(told.starts_with("event: error\ndata: ") && told.contains("Not judged."), "{told}");
}

/// What is put behind a comment in the same line belongs to the comment.
#[test]
fn a_refusal_begins_with_a_line_of_its_own() {
    let error = REFUSAL.replace("No.", "Not judged.");
    for (begun, between) in [(": keep-al", "\n"), (": keep-alive\n", ""), (": a\n\ndata: {", "")] {
        let (told, _) = refused(Endpoint::Chat, SSE, begun);
        assert_eq!(told, format!("{between}data: {error}\n\n"), "{begun:?}");
    }
}

#[test]
fn who_refuses_what_a_rule_had_blocked_before_is_told_of_instead() {
    let (told, halt) =
        refused(Endpoint::Chat, SSE, &chunk(&format!(r#"{{"content":"{SECRET} "}}"#)));
    assert_eq!(halt, Some(Halt::Judged));
    assert_eq!(told.matches("Not judged.").count(), 1, "{told}");
}

/// Shows an answer by a gate whose judge refuses windows with `bad` in them: what goes out.
fn judged<'a>(
    parts: impl IntoIterator<Item = &'a [u8]>,
    window: usize,
    bad: &str,
) -> (Vec<u8>, bool) {
    let mut shown = Shown::new(Some(Endpoint::Chat), SSE, guarded(true), REFUSAL);
    shown.listen();
    let mut gate = Gate::new([Shape { window, most: 10_000, blocks: true }], [1; 16]);
    let (mut out, mut is_refused) = (Vec::new(), false);
    let mut judge = |shown: &mut Shown, gate: &mut Gate, seen: &[u8]| {
        shown.take_said().iter().for_each(|(said, text)| gate.say(*said, text));
        gate.put(seen);
        for cut in gate.take_cuts(0) {
            match !bad.is_empty() && cut.text.contains(bad) {
                true => is_refused = true,
                false => gate.judged(0, cut.round),
            }
        }
        gate.take_passed(&mut out);
    };
    for part in parts {
        let mut seen = Vec::new();
        shown.read(&Part::Held(part), &[], &mut |part| held(&part, &mut seen));
        judge(&mut shown, &mut gate, &seen);
    }
    let mut seen = Vec::new();
    shown.finish(&mut |part| held(&part, &mut seen));
    judge(&mut shown, &mut gate, &seen);
    gate.finish();
    judge(&mut shown, &mut gate, &[]);
    (out, is_refused)
}

fn held(part: &Part<'_>, out: &mut Vec<u8>) {
    if let Part::Held(bytes) = part {
        out.extend_from_slice(bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Wherever a stream is cut into buffers, all of one that is let through goes out, and of one that is refused
    /// nothing that is in a refused window and in no other.
    #[test]
    fn cuts_of_a_stream_leak_nothing_and_lose_nothing(
        words in prop::collection::vec("[a-m]{1,12} ", 1..80), at in 0_usize..80, size in 1_usize..300,
        window in 64_usize..300,
    ) {
        let at = at.min(words.len());
        let stream = |words: &[String]| {
            let events = words.iter().map(|word| chunk(&format!(r#"{{"content":"{word}"}}"#)));
            events.collect::<String>() + "data: [DONE]\n\n"
        };
        let good = stream(&words);
        let (out, is_refused) = judged(good.as_bytes().chunks(size), window, "");
        prop_assert!(!is_refused);
        prop_assert_eq!(std::str::from_utf8(&out).unwrap(), &good);

        let mut words = words;
        words.insert(at, "FALCON ".to_owned());
        let bad = stream(&words);
        let (out, is_refused) = judged(bad.as_bytes().chunks(size), window, "FALCON");
        prop_assert!(is_refused);
        let out = std::str::from_utf8(&out).unwrap();
        prop_assert!(bad.starts_with(out));
        prop_assert!(!out.contains("FALCON"));
    }
}

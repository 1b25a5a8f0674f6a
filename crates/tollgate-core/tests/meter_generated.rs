//! Generated answers of every dialect, cut into buffers at random: what is charged is the usage that
//! they were made with, and the client gets what was sent.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod meter_streams;

use meter_streams::{answer, Answer, Random, KINDS};
use tollgate_core::llm::meter::{settle, Asked, Format, Hides, Meter, Part, Terms};
use tollgate_core::llm::{Endpoint, Engine, Source, Usage};

/// Answers of each kind.
const ANSWERS: u64 = 10_000;

/// Answers of each kind that are cut off at every byte.
const TRUNCATED: u64 = 40;

const RESERVED: Usage = Usage {
    input: 7_777,
    output: 5_555,
    cached_input: 0,
    cache_write: 0,
    cache_write_1h: 0,
    reasoning: 0,
};

const TERMS: Terms =
    Terms { reserved: RESERVED, most_output: 1 << 30, stream: true, goes_on: false };

/// A meter of an answer of an engine that puts nothing into chunks for us, and has nothing to move.
fn new_meter(endpoint: Endpoint, format: Format, hide: bool) -> Meter {
    let hides = Hides { usage: hide, running_usage: false };
    let asked = Asked { hides, ..Asked::one(endpoint, Engine::OpenAi) };
    Meter::new(
        Asked { engine: if hide { Engine::LlamaCpp } else { asked.engine }, ..asked },
        Some(format),
    )
}

/// What the client gets of an answer cut at random.
fn relay(meter: &mut Meter, body: &[u8], random: &mut Random) -> Vec<u8> {
    let mut got = Vec::new();
    let mut rest = body;
    let longest = [2, 10, 30, 100, 300, 2_000][random.below(6)];
    while !rest.is_empty() {
        let (buffer, after) = rest.split_at(random.below(longest).min(rest.len()));
        meter.read(buffer, &mut |part| match part {
            Part::Held(bytes) => got.extend_from_slice(bytes),
            Part::Range(range) => got.extend_from_slice(&buffer[range]),
        });
        rest = after;
    }
    meter.finish(&mut |part| match part {
        Part::Held(bytes) => got.extend_from_slice(bytes),
        Part::Range(range) => panic!("{range:?} of no buffer"),
    });
    got
}

fn without_usage_only(answer: &Answer) -> Vec<u8> {
    let mut shown = Vec::new();
    let mut start = 0;
    for event in &answer.usage_only {
        shown.extend_from_slice(&answer.body[start..event.start]);
        start = event.end;
    }
    shown.extend_from_slice(&answer.body[start..]);
    shown
}

fn check(endpoint: Endpoint, format: Format) {
    let mut random = Random::new(1);
    let mut hidden = 0_u64;
    for number in 0..ANSWERS {
        let answer = answer(endpoint, format, &mut random);
        let hide = random.one_in(2);
        let mut meter = new_meter(endpoint, format, hide);
        let got = relay(&mut meter, &answer.body, &mut random);
        let shown = if hide { without_usage_only(&answer) } else { answer.body.clone() };
        let context = || format!("{number}: {}", String::from_utf8_lossy(&answer.body));
        assert!(got == shown, "{}", context());
        hidden += u64::from(got.len() < answer.body.len());
        let charged = settle(meter.reading().as_ref(), &TERMS, random.one_in(2));
        assert_eq!(charged, (answer.usage, Source::Measured), "{}", context());
    }
    let hides = format == Format::Sse && matches!(endpoint, Endpoint::Chat | Endpoint::Completions);
    assert_eq!(hidden > 0, hides);
}

/// A test for each kind, so that they run side by side.
macro_rules! generated_answers_are_charged_exactly {
    ($($name:ident: $endpoint:ident $format:ident,)*) => {
        mod generated_answers_are_charged_exactly {
            use super::*;

            $(#[test]
            fn $name() {
                check(Endpoint::$endpoint, Format::$format);
            })*

            #[test]
            fn of_every_kind() {
                assert_eq!([$((Endpoint::$endpoint, Format::$format)),*], KINDS);
            }
        }
    };
}

generated_answers_are_charged_exactly! {
    chat_events: Chat Sse,
    chat: Chat Json,
    completions_events: Completions Sse,
    completions: Completions Json,
    embeddings: Embeddings Json,
    responses_events: Responses Sse,
    responses: Responses Json,
    messages_events: Messages Sse,
    messages: Messages Json,
    ollama_chat_lines: OllamaChat Ndjson,
    ollama_generate_lines: OllamaGenerate Ndjson,
    ollama_generate: OllamaGenerate Json,
    ollama_embed: OllamaEmbed Json,
    tgi_generate: TgiGenerate Json,
    tgi_generate_stream: TgiGenerateStream Sse,
}

#[test]
fn an_answer_cut_off_anywhere_costs_at_least_what_came_and_no_more_than_the_whole() {
    let mut random = Random::new(2);
    for (endpoint, format) in KINDS {
        for _ in 0..TRUNCATED {
            let answer = answer(endpoint, format, &mut random);
            let mut meter = new_meter(endpoint, format, false);
            let deltas = answer.deltas.len();
            let most = deltas.max(answer.text_len.div_ceil(4)).max(1);
            let most = answer.usage.output.max(u64::try_from(most).unwrap());
            for len in 0..=answer.body.len() {
                let mut cut = meter.clone();
                cut.finish(&mut |_| {});
                let (usage, source) = settle(cut.reading().as_ref(), &TERMS, true);
                let context = || String::from_utf8_lossy(&answer.body[..len]).into_owned();
                if source == Source::Measured {
                    assert_eq!(
                        (usage.input, usage.output),
                        (answer.usage.input, answer.usage.output)
                    );
                } else {
                    assert_eq!(source, Source::Partial, "{}", context());
                    let input = [answer.usage.input, RESERVED.input];
                    assert!(input.contains(&usage.input), "{}", context());
                    let came = answer.deltas.iter().filter(|end| **end <= len).count();
                    assert!(usage.output >= u64::try_from(came).unwrap(), "{}", context());
                    // What is no stream, was made before it was sent.
                    let most =
                        if format == Format::Json { most.max(RESERVED.output) } else { most };
                    assert!(usage.output <= most, "{} {}", usage.output, context());
                }
                meter.read(answer.body.get(len..=len).unwrap_or_default(), &mut |_| {});
            }
        }
    }
}

#[test]
fn damaged_answers_are_survived_and_passed_on() {
    let mut random = Random::new(3);
    for (endpoint, format) in KINDS {
        for _ in 0..500 {
            let mut answer = answer(endpoint, format, &mut random);
            for _ in 0..=random.below(4) {
                let at = random.below(answer.body.len());
                match random.below(3) {
                    0 => answer.body[at] = u8::try_from(random.below(256)).unwrap(),
                    1 => drop(answer.body.drain(..at)),
                    _ => answer.body.insert(at, b"\"\\{}[],:\n\r"[random.below(10)]),
                }
                if answer.body.is_empty() {
                    answer.body.push(b'x');
                }
            }
            let mut meter = new_meter(endpoint, format, false);
            assert!(relay(&mut meter, &answer.body, &mut random) == answer.body);
            assert_ne!(settle(meter.reading().as_ref(), &TERMS, true).1, Source::Estimated);
            // Whatever is hidden, is hidden wherever the answer is cut.
            let mut hidden = (0..3).map(|_| {
                let mut meter = new_meter(endpoint, format, true);
                let got = relay(&mut meter, &answer.body, &mut random);
                (got, meter.reading())
            });
            let first = hidden.next().unwrap();
            assert!(first.0.len() <= answer.body.len());
            assert!(
                hidden.all(|other| other == first),
                "{}",
                String::from_utf8_lossy(&answer.body)
            );
        }
    }
}

#[test]
fn bytes_of_any_kind_are_survived_and_passed_on() {
    let mut random = Random::new(4);
    for (endpoint, format) in KINDS {
        for _ in 0..300 {
            let len = random.below(400);
            let body: Vec<_> = (0..len)
                .map(|_| match random.below(3) {
                    0 => u8::try_from(random.below(256)).unwrap(),
                    _ => b"data: {}[]\"\\,:\r\n\xef\xbb\xbf"[random.below(19)],
                })
                .collect();
            let mut meter = new_meter(endpoint, format, false);
            assert!(relay(&mut meter, &body, &mut random) == body);
        }
    }
}

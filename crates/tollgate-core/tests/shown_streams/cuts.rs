//! Streams of every dialect, with whatever text, cut into deltas and buffers anywhere.

use super::read::{Numbers, Read};
use super::*;

/// A dialect's events.
struct Dialect {
    endpoint: Endpoint,
    body: Body,
    /// One with a piece of the text with this number. The piece is quoted.
    piece: fn(usize, &str) -> String,
    /// What comes when that text has ended. All of it is quoted.
    end: fn(usize, &str) -> String,
    /// What comes at last.
    last: &'static str,
    /// How many texts come in turn.
    texts: usize,
    /// Whether they are JSON themselves.
    is_json: bool,
}

const DONE: &str = "data: [DONE]\n\n";

const DIALECTS: &[Dialect] = &[
    Dialect {
        endpoint: Endpoint::Chat,
        body: SSE,
        piece: |n, text| {
            format!("data: {{\"id\":\"c\",\"choices\":[{{\"index\":{n},\"delta\":{{\"content\":{text}}},\"finish_reason\":null}}]}}\n\n")
        },
        end: |n, _| {
            format!("data: {{\"id\":\"c\",\"choices\":[{{\"index\":{n},\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\n")
        },
        last: DONE,
        texts: 3,
        is_json: false,
    },
    Dialect {
        endpoint: Endpoint::Chat,
        body: SSE,
        piece: |n, text| {
            let name = ["content", "reasoning", "refusal"][n % 3];
            format!(
                "data: {{\"choices\":[{{\"delta\":{{\"{name}\":{text}}},\"index\":0}}]}}\r\n\r\n"
            )
        },
        end: |_, _| String::new(),
        last: "data: {\"choices\":[{\"delta\":{},\"index\":0,\"finish_reason\":\"stop\"}]}\r\n\r\n",
        texts: 3,
        is_json: false,
    },
    Dialect {
        endpoint: Endpoint::Chat,
        body: SSE,
        piece: |n, text| {
            format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"tool_calls\":[{{\"index\":{n},\"function\":{{\"arguments\":{text}}}}}]}}}}]}}\n\n")
        },
        end: |_, _| String::new(),
        last: DONE,
        texts: 3,
        is_json: true,
    },
    Dialect {
        endpoint: Endpoint::Completions,
        body: SSE,
        piece: |n, text| {
            format!("data: {{\"choices\":[{{\"text\":{text},\"index\":{n},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n")
        },
        end: |n, _| {
            format!("data: {{\"choices\":[{{\"text\":\"\",\"index\":{n},\"finish_reason\":\"length\"}}]}}\n\n")
        },
        last: DONE,
        texts: 2,
        is_json: false,
    },
    Dialect {
        endpoint: Endpoint::Responses,
        body: SSE,
        piece: |n, text| {
            format!("event: response.output_text.delta\ndata: {{\"type\":\"response.output_text.delta\",\"output_index\":{n},\"content_index\":0,\"delta\":{text},\"sequence_number\":1}}\n\n")
        },
        end: |n, text| {
            let item = format!("{{\"type\":\"message\",\"content\":[{{\"text\":{text}}}]}}");
            format!(
                "data: {{\"type\":\"response.output_text.done\",\"output_index\":{n},\"content_index\":0,\"text\":{text},\"sequence_number\":2}}\n\n\
                 data: {{\"type\":\"response.output_item.done\",\"output_index\":{n},\"item\":{item},\"sequence_number\":3}}\n\n\
                 data: {{\"type\":\"response.completed\",\"response\":{{\"output\":[{item}]}},\"sequence_number\":4}}\n\n"
            )
        },
        last: "",
        texts: 1,
        is_json: false,
    },
    Dialect {
        endpoint: Endpoint::Messages,
        body: SSE,
        piece: |n, text| {
            format!("event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":{n},\"delta\":{{\"type\":\"text_delta\",\"text\":{text}}}}}\n\n")
        },
        end: |n, _| format!("data: {{\"type\":\"content_block_stop\",\"index\":{n}}}\n\n"),
        last: "data: {\"type\":\"message_stop\"}\n\n",
        texts: 2,
        is_json: false,
    },
    Dialect {
        endpoint: Endpoint::OllamaChat,
        body: NDJSON,
        piece: |_, text| {
            format!(
                "{{\"message\":{{\"role\":\"assistant\",\"content\":{text}}},\"done\":false}}\n"
            )
        },
        end: |_, _| {
            "{\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true}\n".to_owned()
        },
        last: "",
        texts: 1,
        is_json: false,
    },
    Dialect {
        endpoint: Endpoint::OllamaGenerate,
        body: JSON,
        piece: |_, text| format!("{{\"response\":{text},\"done\":false}}\n"),
        end: |_, _| "{\"response\":\"\",\"done\":true,\"context\":[]}\n".to_owned(),
        last: "",
        texts: 1,
        is_json: false,
    },
    Dialect {
        endpoint: Endpoint::TgiGenerateStream,
        body: SSE,
        piece: |_, text| {
            format!("data:{{\"index\":1,\"token\":{{\"id\":0,\"text\":{text}}},\"generated_text\":null}}\n\n")
        },
        end: |_, _| {
            "data:{\"index\":1,\"token\":{\"id\":0,\"text\":\"\"},\"generated_text\":\"\"}\n\n"
                .to_owned()
        },
        last: "",
        texts: 1,
        is_json: false,
    },
    Dialect {
        endpoint: Endpoint::LlamaCompletion,
        body: SSE,
        piece: |n, text| format!("data: {{\"index\":{n},\"content\":{text},\"stop\":false}}\n\n"),
        end: |n, _| format!("data: {{\"index\":{n},\"content\":\"\",\"stop\":true}}\n\n"),
        last: "",
        texts: 2,
        is_json: false,
    },
];

const WORDS: &[&str] = &[
    CARD,
    "4111",
    "-é-",
    "\"1111",
    "41",
    "a b",
    "\n",
    "\u{1f600}",
    "\\",
    "open",
    " sesame",
    "",
    "é",
];

fn random_text(numbers: &mut Numbers) -> String {
    (0..numbers.below(7)).map(|_| WORDS[numbers.below(WORDS.len())]).collect()
}

/// A text as JSON has it, in one of several ways.
fn quoted(text: &str, numbers: &mut Numbers) -> String {
    if numbers.below(3) > 0 {
        return serde_json::Value::from(text).to_string();
    }
    let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
    format!("\"{}\"", units.collect::<String>())
}

/// A stream with these texts.
fn stream(dialect: &Dialect, texts: &[String], numbers: &mut Numbers) -> String {
    let mut rests: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut left: Vec<usize> = (0..texts.len()).collect();
    let mut out = String::new();
    while !left.is_empty() {
        let at = numbers.below(left.len());
        let text = left[at];
        let rest = rests[text];
        if rest.is_empty() {
            let whole = serde_json::Value::from(texts[text].as_str()).to_string();
            out += &(dialect.end)(text, &whole);
            left.remove(at);
            continue;
        }
        let ends: Vec<usize> =
            rest.char_indices().map(|(at, _)| at).skip(1).chain([rest.len()]).collect();
        let end = ends[numbers.below(ends.len().min(9))];
        let (piece, after) = rest.split_at(end);
        out += &(dialect.piece)(text, &quoted(piece, numbers));
        rests[text] = after;
    }
    out + dialect.last
}

/// How many streams, and how often each of them is cut anew, at a dozen places or more.
const STREAMS: usize = 10_000;
const CUTS: usize = 3;

#[test]
fn nothing_leaks_or_is_lost_however_a_stream_is_cut() {
    let guard = guard_against(CARD);
    let mut numbers = Numbers(0x2026_1201);
    let (mut masked, mut blocked) = (0, 0);
    for round in 0..STREAMS {
        let dialect = &DIALECTS[round % DIALECTS.len()];
        let mut texts: Vec<String> =
            (0..dialect.texts).map(|_| random_text(&mut numbers)).collect();
        let mut card = CARD.to_owned();
        if dialect.is_json {
            let quoted = |text: &str| serde_json::Value::from(text).to_string();
            texts.iter_mut().for_each(|text| *text = format!("{{\"a\":[{},1]}}", quoted(text)));
            card = quoted(CARD).trim_matches('"').to_owned();
        }
        let answer = stream(dialect, &texts, &mut numbers);
        let (out, shown) = show(&guard, dialect.endpoint, dialect.body, true, [answer.as_bytes()]);
        for _ in 0..CUTS {
            let parts = numbers.cut(answer.as_bytes());
            let (again, _) = show(&guard, dialect.endpoint, dialect.body, true, parts);
            assert_eq!(again, out, "{answer}");
        }
        let expected = Read::of(&answer).map(|text| text.replace(&card, LABEL));
        if texts.iter().any(|text| text.contains(SECRET)) {
            let rule = RuleIndex::from(1_u8);
            assert_eq!(shown.halted(), Some(Halt::Rule(rule)), "{answer}");
            for (way, text) in Read::of(&before_error(&out)).texts {
                assert!(
                    !text.contains(SECRET) && expected.texts[&way].starts_with(&text),
                    "{answer}\n{out}"
                );
            }
            blocked += 1;
        } else {
            assert_eq!(shown.halted(), None, "{answer}\n{out}");
            assert_eq!(Read::of(&out), expected, "\n{answer}\n{out}");
            masked += usize::from(texts.iter().any(|text| text.contains(&card)));
        }
    }
    assert!(masked > STREAMS / 4 && blocked > STREAMS / 200, "{masked}, {blocked}");
}

/// What is before the error that an answer ends with.
fn before_error(out: &str) -> String {
    let at = out.rfind("event: error").or(out.rfind("{\"error")).unwrap();
    let (before, error) = out.split_at(at);
    assert!(error.contains("content_policy"), "{out}");
    before.strip_suffix("data: ").unwrap_or(before).to_owned()
}

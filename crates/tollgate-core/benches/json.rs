//! What reading JSON costs: bodies of 8 MB, the longest that one of them holds a worker; and the chunks of
//! a stream.
//!
//! `cargo bench -p tollgate-core --bench json` prints the milliseconds of each body, the best of several
//! runs. With `-- chat 65536 100` it reads a chat of so many bytes so often, with `-- stream asked 1000` a
//! stream of so many chunks (or `hidden`), and prints nothing: for `valgrind --tool=callgrind`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark")]

use std::hint::black_box;
use std::time::Duration;

use tollgate_core::llm::meter::{Asked, Format, Hides, Meter};
use tollgate_core::llm::request::BodyReader;
use tollgate_core::llm::{Endpoint, Engine};

const MB: usize = 1 << 20;

/// `unit` again and again between the two ends, 8 MB in all.
fn body(start: &str, unit: &str, end: &str) -> Vec<u8> {
    let times = (8 * MB - start.len() - end.len()) / unit.len();
    let unit_end = unit.trim_end_matches([',', ' ']);
    let mut body = start.to_owned() + &unit.repeat(times - 1) + unit_end;
    body.push_str(end);
    body.into_bytes()
}

fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let text = |unit| body(r#"{"messages":[{"content":""#, unit, r#""}]}"#);
    let prompt = |unit| body(r#"{"prompt":["#, unit, "]}");
    let tools = |unit| body(r#"{"tools":["#, unit, "]}");
    let ignored = |unit| body(r#"{"ignored":["#, unit, "]}");
    let messages = |unit| body(r#"{"messages":["#, unit, "]}");
    vec![
        ("English", text("The quick brown fox jumps over the lazy dog, 42 times. ")),
        ("JSON in a string", text(r#"{\"name\":\"get_weather\",\"unit\":\"C\"},\n"#)),
        (r"\n", text(r"\n")),
        (r"\u00e9", text(r"\u00e9")),
        (r"\ud83d\ude00", text(r"\ud83d\ude00")),
        ("a\\n", text("a\\n")),
        ("é", text("é")),
        ("日", text("日")),
        ("aé", text("aé")),
        ("token ids of one digit", prompt("7,")),
        ("token ids", prompt("12345, ")),
        ("lists of token ids", prompt("[12345,678],")),
        ("floats", prompt("0.12345,")),
        ("negative numbers", ignored("-1,")),
        ("short prompts", prompt(r#""a","#)),
        ("empty prompts", prompt(r#""","#)),
        ("messages", messages(r#"{"role":"user","content":"Hi"}, "#)),
        ("empty messages", messages("{},")),
        ("members of messages", body(r#"{"messages":[{"#, r#""a":1,"#, "}]}")),
        ("members of the body", body("{", r#""a":1,"#, "}")),
        ("empty names", body("{", r#""":1,"#, "}")),
        ("a tool's members", body(r#"{"tools":{"#, r#""a":1,"#, "}}")),
        ("a tool's arrays", tools("[],")),
        ("empty arrays", ignored("[],")),
        ("nested arrays", ignored("[[[[]]]],")),
        ("literals", ignored("true,")),
        ("strings that are ignored", ignored(r#""a","#)),
        ("blanks", body(r#"{"a":1"#, " ", "}")),
        ("line feeds", body(r#"{"a":1"#, "\n", "}")),
        ("[", body("", "[", "")),
        ("too deep, then text", body(r#"{"model":"a","model":"#, "\"日本\", ", "}")),
    ]
}

fn read(body: &[u8]) {
    let mut reader = BodyReader::new(Endpoint::Completions, Engine::OpenAi);
    reader.read(body);
    let _ = black_box(reader.finish());
}

/// The time that this process has had the processor, which others may want as well.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

fn time(body: &[u8]) -> Duration {
    let run = || {
        let start = processor_time();
        read(black_box(body));
        processor_time() - start
    };
    (0..7).map(|_| run()).min().unwrap()
}

/// A conversation of so many bytes.
fn chat(len: usize) -> Vec<u8> {
    let said = "Who opens the gate? Those who bring a token, or ten of them, may pass.\\n\
                Ask the \\\"keeper\\\" at the tower for the way; he counts what each of you has taken. ";
    let message = format!(r#"{{"role": "user", "content": "{}"}}, "#, said.repeat(3));
    let start = r#"{"model": "mock", "max_tokens": 16, "messages": ["#;
    let mut body = start.to_owned() + &message.repeat((len - start.len()) / message.len());
    body.push_str(r#"{"role": "user", "content": ""#);
    while body.len() + 4 < len {
        body.push('x');
    }
    body.push_str("\"}]}");
    body.into_bytes()
}

fn stream(kind: &str, chunks: usize) {
    let (usage, hides) = match kind {
        "asked" => ("", Hides::default()),
        "hidden" => (",\"usage\":null", Hides { usage: true, running_usage: false }),
        _ => panic!("asked or hidden"),
    };
    let events: Vec<String> = ["to", "ken", "s", " of", " a", "n", " answer", "\\n"]
        .iter()
        .map(|text| {
            format!(
                "data: {{\"id\":\"chatcmpl-0000000000000001\",\"object\":\"chat.completion.chunk\",\
                 \"created\":1700000000,\"model\":\"mock\",\"choices\":[{{\"index\":0,\"delta\":\
                 {{\"content\":\"{text}\"}},\"logprobs\":null,\"finish_reason\":null}}]{usage}}}\n\n"
            )
        })
        .collect();
    let asked = Asked { hides, ..Asked::one(Endpoint::Chat, Engine::OpenAi) };
    let mut meter = Meter::new(asked, Some(Format::Sse));
    for event in events.iter().cycle().take(chunks) {
        meter.read(black_box(event.as_bytes()), &mut |part| {
            black_box(part);
        });
    }
    black_box(meter.reading());
}

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |at: usize| arguments.get(at).map_or(1, |number| number.parse().unwrap());
    match arguments.first().map(String::as_str) {
        Some("chat") => {
            let body = chat(number(1));
            (0..number(2)).for_each(|_| read(black_box(&body)));
        }
        Some("body") => {
            let (_, body) = bodies().swap_remove(number(1));
            read(&body);
        }
        Some("stream") => stream(arguments.get(1).unwrap(), number(2)),
        _ => {
            let mut times: Vec<_> =
                bodies().iter().map(|(name, body)| (*name, time(body))).collect();
            times.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
            for (name, time) in times {
                let ms = time.as_secs_f64() * 1e3;
                println!("{name:<28} {ms:>7.2} ms {:>8.0} MB/s", 8.0e3 / ms);
            }
        }
    }
}

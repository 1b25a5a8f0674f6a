//! What is let in for one model, no server runs as another: bodies with duplicate, escaped, confusable, nested
//! and broken keys and values are judged here, and those that are let in are read by Python's json, by Node's,
//! as Go does it, and by a reader that keeps the first of two members. So that this means something, the same
//! is done with judges that make a mistake, and the readers have to find it.
//!
//! Skipped with a message where Python or Node is missing.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tollgate_core::llm::request::rewrite::Rewrite;
use tollgate_core::llm::request::BodyReader;
use tollgate_core::llm::{Endpoint, Engine};
use tollgate_core::pattern::Pattern;
use tollgate_core::permissions::models::{Chosen, Models};

const BODIES: usize = 100_000;
/// For each of the mistaken judges, which are found out soon.
const BODIES_OF_MISTAKEN: usize = 20_000;

/// The keys that may be taken for `model`, and others.
const KEYS: [&str; 34] = [
    "model",
    "model",
    "model",
    "model",
    "m\\u006fdel",
    "\\u006d\\u006f\\u0064\\u0065\\u006c",
    "mode\\u006C",
    "MODEL",
    "Model",
    "mOdEl",
    "MODE\\u004c",
    "model ",
    " model",
    "model\\u0000",
    "model\\n",
    "mode\\ud800l",
    "\\udc00model",
    "\\ud83d\\ude00",
    "m\u{43e}del",
    "\u{ff4d}odel",
    "mode\u{301}l",
    "model\u{200b}",
    "models",
    "mode\\l",
    "mode\\u006",
    "__proto__",
    "constructor",
    "\u{17f}tream",
    "messages",
    "stream",
    "temperature",
    "metadata",
    "tools",
    "",
];

/// What may stand there. `llama-*` is allowed.
const VALUES: [&str; 42] = [
    "\"llama-3\"",
    "\"llama-3\"",
    "\"llama-3\"",
    "\"llama-3\"",
    "\"qwen\"",
    "\"qwen\"",
    "\"ll\\u0061ma-3\"",
    "\"\\u006c\\u006C\\u0061ma-\"",
    "\"qw\\u0065n\"",
    "\"llama-\\/x\"",
    "\"llama-3\\u0000\"",
    "\"llama-3\\ud800\"",
    "\"llama-3\\udc00\\ud800\"",
    "\"llama-\\ud83d\\ude00\"",
    "\"llama-\u{1f600}\"",
    "\"llama-3 \"",
    "\" llama-3\"",
    "\"LLAMA-3\"",
    "\"llama\u{2010}3\"",
    "\"\"",
    "null",
    "null",
    "true",
    "7",
    "-0",
    "1e999",
    "1E400",
    "01",
    "NaN",
    "Infinity",
    "-Infinity",
    "'qwen'",
    "[]",
    "{}",
    "[\"qwen\"]",
    "{\"model\":\"qwen\"}",
    "[{\"model\":\"qwen\"}]",
    "{\"a\":{\"model\":\"llama-3\"},\"model\":\"qwen\"}",
    "\"}\\\",\\\"model\\\":\\\"qwen\"",
    "\"{\\\"model\\\":\\\"qwen\\\"}\"",
    "/*\"qwen\"*/\"llama-3\"",
    "\"llama-3\\",
];

const BLANKS: [&str; 10] = ["", "", "", "", " ", "\n", "\r\n", "\t", "\u{c}", "\u{a0}"];

/// Numbers that look random, and are the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from((self.next() >> 33) % end as u64).unwrap()
    }

    fn is_one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// A blank, mostly one that JSON has.
fn blank(random: &mut Random) -> &'static str {
    match random.is_one_in(40) {
        true => random.of(&BLANKS),
        false => random.of(&BLANKS[..8]),
    }
}

/// A key that is likely to be harmless: a body of nothing but odd ones would never be let in.
fn key(random: &mut Random) -> &'static str {
    match random.below(4) {
        0 => random.of(&KEYS),
        1 => "model",
        _ => random.of(&KEYS[28..]),
    }
}

fn value(random: &mut Random, key: &str) -> String {
    match key {
        "messages" | "tools" => "[]".to_owned(),
        "stream" => "false".to_owned(),
        "metadata" if random.is_one_in(2) => {
            let depth = random.below(130);
            format!("{}{}{}", "[".repeat(depth), random.of(&VALUES), "]".repeat(depth))
        }
        _ if random.is_one_in(3) => random.of(&VALUES).to_owned(),
        _ => random.of(&VALUES[..8]).to_owned(),
    }
}

fn body(random: &mut Random) -> Vec<u8> {
    let mut text = String::new();
    text += blank(random);
    text += "{";
    let members = random.below(5);
    for member in 0..members {
        if member > 0 {
            text += ",";
        }
        let key = key(random);
        let value = value(random, key);
        for part in [blank(random), "\"", key, "\"", blank(random), ":", blank(random), &value] {
            text += part;
        }
        text += blank(random);
    }
    if random.is_one_in(100) {
        text += ",";
    }
    text += "}";
    text += blank(random);
    if random.is_one_in(100) {
        text += random.of(&["{\"model\":\"qwen\"}", "\0", "//", "]", "}", "\u{feff}"]);
    }
    let mut bytes = text.into_bytes();
    match random.below(60) {
        0 => bytes.splice(0..0, *"\u{feff}".as_bytes().first_chunk::<3>().unwrap()).for_each(drop),
        1 => bytes = bytes.iter().flat_map(|byte| [*byte, 0]).collect(),
        2 => bytes = bytes.iter().flat_map(|byte| [0, *byte]).collect(),
        3 => bytes = bytes.iter().flat_map(|byte| [*byte, 0, 0, 0]).collect(),
        4..8 => {
            let at = random.below(bytes.len());
            bytes[at] = u8::try_from(random.below(256)).unwrap();
        }
        8..11 => {
            let at = random.below(bytes.len() + 1);
            bytes
                .insert(at, random.of(&[0, b'"', b'\\', b'{', b'}', b',', 0x80, 0xc0, 0xed, 0xff]));
        }
        11 => {
            let at = random.below(bytes.len());
            bytes.remove(at);
        }
        12 => bytes.truncate(random.below(bytes.len())),
        _ => {}
    }
    bytes
}

/// A judge: the model that it lets the body in for, and the body as the engine gets it.
type Judge = dyn Fn(&mut Random, &[u8]) -> Option<(String, Vec<u8>)>;

/// The module's own way.
fn tollgate(random: &mut Random, body: &[u8]) -> Option<(String, Vec<u8>)> {
    let (endpoint, engine) = random.of(&[
        (Endpoint::Chat, Engine::Vllm),
        (Endpoint::Completions, Engine::OpenAi),
        (Endpoint::Embeddings, Engine::Sglang),
        (Endpoint::Messages, Engine::Anthropic),
        (Endpoint::OllamaChat, Engine::Ollama),
        (Endpoint::Responses, Engine::LlamaCpp),
        (Endpoint::Invocations, Engine::Vllm),
    ]);
    let mut reader = BodyReader::new(endpoint, engine);
    let cut = random.below(body.len() + 1);
    reader.read(&body[..cut]);
    reader.read(&body[cut..]);
    let request = reader.finish().ok()?;
    let patterns = [Pattern::parse("llama-*").unwrap()];
    let default = random.is_one_in(2).then_some("llama-default");
    let models = Models::new(Some(&patterns), None, default);
    match models.judge(request.model.as_deref()).ok()? {
        Chosen::AsAsked => Some((request.model?.into(), body.to_vec())),
        Chosen::Default(name) => {
            let mut rewrite = Rewrite::new(body)?;
            rewrite.set_text("model", name);
            Some((name.to_owned(), rewrite.edits().apply(body)?))
        }
    }
}

/// Lets in by the value that `find` finds.
fn mistaken(
    find: impl Fn(&[u8]) -> Option<String>,
) -> impl Fn(&mut Random, &[u8]) -> Option<(String, Vec<u8>)> {
    move |_, body| {
        let model = find(body)?;
        model.starts_with("llama-").then(|| (model, body.to_vec()))
    }
}

/// Takes the last of two members, in exact case.
fn last(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    Some(value.get("model")?.as_str()?.to_owned())
}

/// Takes the first `"model":"..."` that there is in the text, wherever it stands.
fn first(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let (_, rest) = text.split_once("\"model\":\"")?;
    Some(rest.split_once('"')?.0.to_owned())
}

/// Writes what a judge lets in, and says how many that are.
fn let_in(count: usize, judge: &Judge, name: &str) -> (PathBuf, usize) {
    let path = std::env::temp_dir().join(format!("tollgate-{}-{name}", std::process::id()));
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    let mut random = Random(0x5eed_0000_0012);
    let mut allowed = 0;
    for _ in 0..count {
        let body = body(&mut random);
        let Some((model, body)) = judge(&mut random, &body) else { continue };
        allowed += 1;
        for field in [model.as_bytes(), &body] {
            file.write_all(&u32::try_from(field.len()).unwrap().to_be_bytes()).unwrap();
            file.write_all(field).unwrap();
        }
    }
    file.flush().unwrap();
    (path, allowed)
}

/// What readers tell of a file; `None`: there is no such program.
fn read(program: &str, script: &str, file: &Path) -> Option<Vec<Value>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/model_readers").join(script);
    let run = Command::new(program).arg(script).arg(file).output();
    let Ok(run) = run else {
        eprintln!("skipped: there is no {program}");
        return None;
    };
    assert!(run.status.success(), "{program}: {}", String::from_utf8_lossy(&run.stderr));
    let text = String::from_utf8(run.stdout).unwrap();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

const PROGRAMS: [(&str, &str); 2] = [("python3", "readers.py"), ("node", "reader.js")];

#[test]
fn no_body_is_let_in_for_one_model_and_runs_as_another() {
    let (file, allowed) = let_in(BODIES, &tollgate, "right");
    // A judge that lets nothing in is never wrong.
    assert!(allowed > BODIES / 20, "{allowed}");
    for (program, script) in PROGRAMS {
        let Some(mut told) = read(program, script, &file) else { continue };
        let taken = told.pop().unwrap();
        assert!(
            told.is_empty(),
            "{} bodies, such as {:#?}",
            told.len(),
            &told[..told.len().min(5)]
        );
        for (reader, count) in taken["taken"].as_object().unwrap() {
            // All of them, but for those that it refuses.
            let count = usize::try_from(count.as_u64().unwrap()).unwrap();
            assert!(count > allowed / 10 * 9, "{reader} took {count} of {allowed}");
        }
    }
    std::fs::remove_file(file).unwrap();
}

#[test]
fn readers_find_the_mistakes_of_other_judges() {
    for (name, judge, finders) in [
        ("last", &mistaken(last) as &Judge, &["go", "first"][..]),
        ("first", &mistaken(first), &["python", "go", "first", "node"]),
    ] {
        let (file, _) = let_in(BODIES_OF_MISTAKEN, judge, name);
        for (program, script) in PROGRAMS {
            let Some(told) = read(program, script, &file) else { continue };
            let taken = told.last().unwrap()["taken"].as_object().unwrap();
            for finder in finders.iter().filter(|finder| taken.contains_key(**finder)) {
                let found = told.iter().filter(|line| line["reader"] == *finder).count();
                assert!(found > 10, "{finder} finds {found} mistakes of {name}");
            }
        }
        std::fs::remove_file(file).unwrap();
    }
}

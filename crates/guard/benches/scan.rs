//! What it costs to look at a text: `cargo bench --bench scan`. With the name of a text, its size in bytes and a number
//! of rounds, only that is done, for callgrind to count.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark")]

use std::fmt::Write as _;
use std::time::Instant;

use tollgate_guard::finding::Action;
use tollgate_guard::guard::{Guard, Trust};
use tollgate_guard::injection::{Rules, SHIPPED};
use tollgate_guard::matcher::terms::Terms;
use tollgate_guard::rules::{Book, File};
use tollgate_guard::settings::{Settings, What, Wish};

const TEXTS: [&str; 8] = ["prose", "log", "code", "digits", "hex", "a", "@", "nasty"];

fn text(kind: &str, size: usize) -> String {
    let mut text = String::new();
    let mut seed = 1_u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    while text.len() < size {
        match kind {
            "prose" => {
                const WORDS: [&str; 24] = [
                    "the", "water", "of", "a", "river", "runs", "down", "to", "lower", "land",
                    "and", "where", "it", "meets", "Another", "one,", "both", "are", "larger.",
                    "Their", "names", "don't", "always", "change;",
                ];
                let word = WORDS[usize::try_from(random() % 24).unwrap()];
                write!(text, "{word} ").unwrap();
            }
            "log" => {
                let (a, b, c) = (random() % 60, random() % 250, random() % 100_000);
                writeln!(
                    text,
                    "10.0.{b}.{a} - - [01/Dec/2026:18:{a:02}:07 +0000] \"GET /v1/items/{c}?page={a} HTTP/1.1\" 200 {c} \"-\" \"curl/8.5.0\" {}.{b:03}",
                    a % 3
                )
                .unwrap();
            }
            "code" => {
                let a = random() % 100;
                writeln!(
                    text,
                    "    let value_{a} = self.items.get({a}).map_or(0, |item| item.count * {a}); // index {a}\n    if value_{a} > limits::MAXIMUM {{ return Err(Error::TooLarge); }}"
                )
                .unwrap();
            }
            "digits" => write!(text, "{}", random()).unwrap(),
            "hex" => write!(text, "{:x}", random()).unwrap(),
            "nasty" => {
                const PIECES: [&str; 16] = [
                    "a", "1", ".", "@", "-", " ", "pwd", "=", "://", "nats", "DE8", ":", "sk-",
                    "a1", "+", ".com",
                ];
                text.push_str(PIECES[usize::try_from(random() % 16).unwrap()]);
            }
            other => text.push_str(other),
        }
    }
    text.truncate(size);
    text
}

fn main() {
    let wish = |what| Wish { what, action: Action::Mask, threshold: None };
    let injection = Wish { action: Action::Log, ..wish(What::Injection) };
    let wishes = vec![wish(What::Pii(Vec::new())), wish(What::Secrets(Vec::new())), injection];
    let settings = Settings { wishes };
    let begun = Instant::now();
    let guard = Guard::new(&settings).unwrap();
    let made = begun.elapsed();
    let mut found = Vec::new();
    let named: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    if let [kind, size, rounds] = named.as_slice() {
        let text = text(kind, size.parse().unwrap());
        for _ in 0..rounds.parse::<u32>().unwrap() {
            found.clear();
            guard.scan(&text, Trust::Said, &mut found);
        }
        println!("{} findings", found.len());
        return;
    }
    println!("{} rules, made in {made:?}", guard.rules().len());
    rules_and_terms();
    for kind in TEXTS {
        let text = text(kind, 1 << 20);
        let mut best = f64::MAX;
        for _ in 0..5 {
            found.clear();
            let begun = Instant::now();
            guard.scan(&text, Trust::Said, &mut found);
            best = best.min(begun.elapsed().as_secs_f64());
        }
        let speed = 1.048_576 / best;
        println!("{kind:8} {speed:8.1} MB/s, {} findings", found.len());
    }
}

/// How long it takes to make rules and lists ready, as is done when their files change.
fn rules_and_terms() {
    let begun = Instant::now();
    let book = Book::of(File::read(SHIPPED).unwrap());
    let rules = Rules::new(&book).unwrap();
    let made = begun.elapsed();
    rules.test(&book).unwrap();
    let tested = begun.elapsed() - made;
    println!("{} injection rules, made in {made:?}, tested in {tested:?}", rules.ids().len());
    let terms: Vec<String> = (0..100_000).map(|number| format!("term {number} of many")).collect();
    let begun = Instant::now();
    let terms = Terms::new(&terms).unwrap();
    println!("{} terms, made in {:?}", terms.count(), begun.elapsed());
    let begun = Instant::now();
    drop((rules, terms));
    println!("all of that freed in {:?}", begun.elapsed());
}

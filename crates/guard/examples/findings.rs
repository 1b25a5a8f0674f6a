//! Prints all that is found in many texts, as they are and in pieces: `cargo run --release --example findings >before`.
//! What only makes guards faster changes nothing in it. A number: only every so many of the texts are looked at. With the
//! name of a folder behind it, the files in it are looked at as well.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a tool of developers"
)]

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::hash::Hasher as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use tollgate_guard::finding::Action;
use tollgate_guard::guard::{Guard, Trust};
use tollgate_guard::injection::Rules;
use tollgate_guard::matcher::terms::Terms;
use tollgate_guard::secrets;
use tollgate_guard::settings::{Settings, What, Wish};
use tollgate_guard::stream::{Channel, Leak, LeakRule, Quoting, Verdict};
use tollgate_guard::vault::Vault;
use tollgate_guard::views::views;

#[path = "../tests/secrets/forms.rs"]
#[allow(dead_code, reason = "tests use more of it")]
mod forms;
#[path = "../src/views/tests/samples.rs"]
mod samples;

use forms::{base64url, Random};

const PROSE: &str = "The river rises in the hills above the old town, and for most of the year it is quiet. Please call the \
    people who keep boats there, and send them your list. ";

const PIECES: [&str; 64] = [
    "a",
    "1",
    ".",
    "@",
    "-",
    " ",
    "pwd",
    "=",
    "://",
    "nats",
    "DE8",
    ":",
    "sk-",
    "a1",
    "+",
    ".com",
    "\n",
    "0",
    "é",
    "電話",
    "１",
    "\u{200b}",
    "%41",
    "&#65;",
    "\\u0041",
    "\\",
    "\"",
    "'",
    "{",
    "}",
    "<",
    ">",
    "/",
    "_",
    "ignore all",
    "previous instructions",
    "the",
    "phone",
    "card",
    "4111 1111 1111 1111",
    "DAN",
    "mode",
    "prompt",
    "Bearer ",
    "password",
    "api_key",
    "AKIA",
    "ghp_",
    "eyJ",
    "-----BEGIN ",
    "PRIVATE KEY-----",
    "IBAN",
    "+49",
    "(0)",
    "2026-12-01",
    "SWdub3Jl",
    "ZZZ",
    "aaaaaaaaaaaa",
    "123456789",
    "x-ray ",
    "dna ",
    ". .-. ",
    "Москва",
    "\t",
];

fn lines(path: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// One text of each that is known: of personal data and what looks alike, credentials, attacks, encodings.
fn known(random: &mut Random) -> Vec<String> {
    let mut all = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pii");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort_unstable();
    for file in files {
        let lines = lines(&format!("tests/pii/{file}"));
        all.extend(lines.iter().map(|line| line.replace("[[", "").replace("]]", "")));
    }
    all.extend(lines("tests/secrets/none.txt"));
    for file in ["attacks", "harmless"] {
        let lines = lines(&format!("src/injection/tests/{file}.txt"));
        all.extend(lines.iter().map(|line| line.split_once('\t').unwrap().1.replace("\\n", "\n")));
    }
    // The quoted parts of the rules: what they are found in, and what they aren't.
    all.extend(lines("rules/injection.toml"));
    all.extend(samples::SAMPLES.iter().map(|(_, text)| (*text).to_owned()));
    for detector in secrets::detectors() {
        for _ in 0..8 {
            let (lead, value) = forms::credential(&detector.name, random);
            all.push(format!("{lead}{value}"));
            all.push(format!("{PROSE}{lead}{value}\n{PROSE}"));
        }
    }
    all
}

/// The same text, written otherwise.
fn disguised(text: &str, how: usize) -> String {
    let each = |write: &dyn Fn(u8) -> String| text.bytes().map(write).collect::<String>();
    let letters = |write: &dyn Fn(char) -> char| text.chars().map(write).collect::<String>();
    let turned = |base: u8, c: char| char::from(base + (u8::try_from(c).unwrap() - base + 13) % 26);
    match how {
        0 => base64url(text),
        1 => each(&|byte| format!("{byte:02x}")),
        2 => each(&|byte| format!("%{byte:02X}")),
        3 => letters(&|c| match c {
            'a'..='z' => turned(b'a', c),
            'A'..='Z' => turned(b'A', c),
            _ => c,
        }),
        4 => each(&|byte| format!("&#{byte};")),
        5 => letters(&|c| {
            if c.is_ascii_graphic() {
                char::from_u32(u32::from(c) + 0xfee0).unwrap()
            } else {
                c
            }
        }),
        6 => letters(&|c| match c {
            'o' | 'O' => '0',
            'e' | 'E' => '3',
            'i' | 'l' => '1',
            'a' => '4',
            's' => '5',
            't' => '7',
            _ => c,
        }),
        7 => text.chars().flat_map(|c| [c, '\u{200b}']).collect(),
        8 => text.chars().rev().collect(),
        9 => text.chars().fold(String::new(), |mut all, c| {
            write!(all, "\\u{:04x}", u32::from(c).min(0xffff)).unwrap();
            all
        }),
        10 => text.chars().flat_map(|c| [c, ' ']).collect(),
        11 => text.to_uppercase(),
        12 => text.replace(' ', "%20").replace('e', "&#101;"),
        13 => letters(&|c| match c {
            'o' => 'о',
            'e' => 'е',
            'a' => 'а',
            '-' => '\u{2011}',
            ' ' => '\u{a0}',
            '1' => '١',
            _ => c,
        }),
        14 => base64url(&base64url(text)),
        15 => each(&|byte| format!("{byte:08b} ")),
        16 => each(&|byte| format!("\\x{byte:02x}")),
        17 => text.to_lowercase(),
        18 => text.replace(' ', "_"),
        _ => format!("{text}{text}"),
    }
}

fn corpus(random: &mut Random, folder: Option<&str>) -> Vec<String> {
    let known = known(random);
    let mut all = known.clone();
    all.extend(known.iter().map(|text| disguised(text, random.below(20))));
    all.extend(
        known.iter().map(|text| format!("{PROSE}{}\n{PROSE}", disguised(text, random.below(20)))),
    );
    for _ in 0..2500 {
        let mut text = String::new();
        let most = [3, 12, 60][random.below(3)];
        for _ in 0..1 + random.below(most) {
            let one = &known[random.below(known.len())];
            match random.below(8) {
                0 => text.push_str(&disguised(one, random.below(20))),
                1 => text.push_str(PROSE),
                _ => text.push_str(one),
            }
            text.push_str(random.one(&["\n", " ", ", ", "", "\n\n", "; ", " | ", "\t"]));
        }
        all.push(text);
    }
    for _ in 0..4000 {
        let most = [20, 200, 1000][random.below(3)];
        all.push((0..random.below(most)).map(|_| random.one(&PIECES)).collect());
    }
    for piece in PIECES {
        all.push(piece.repeat(40_000 / piece.len()));
    }
    for kind in 0..20 {
        let text: String =
            known.iter().skip(kind).step_by(200).map(|text| format!("{text}\n")).collect();
        all.push(disguised(&text, kind));
    }
    if let Some(folder) = folder {
        let mut files: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort_unstable();
        all.extend(
            files
                .iter()
                .map(|file| String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned()),
        );
    }
    all
}

fn guard(threshold: Option<u8>) -> Guard {
    let wish = |what, action| Wish { what, action, threshold };
    let pattern =
        |name: &str, pattern: &str| What::Pattern { name: name.into(), pattern: pattern.into() };
    let mut terms: Vec<Box<str>> =
        (0..960).map(|n| format!("Projekt Kolibri {n}").into()).collect();
    terms.extend(
        [
            "river",
            "C++",
            "東京",
            "ÜBER",
            ".net",
            "the people",
            "api",
            "boats there",
            "@",
            "mode on",
            "12",
            "a b c",
            "Москва",
        ]
        .iter()
        .filter(|term| term.chars().any(char::is_alphanumeric))
        .map(|term| (*term).into()),
    );
    let wishes = vec![
        wish(What::Pii(Vec::new()), Action::Tokenize),
        wish(What::Secrets(Vec::new()), Action::Mask),
        wish(What::Injection, Action::Log),
        wish(pattern("codename", r"(?i)project\s+falcon"), Action::Mask),
        wish(pattern("words", r"\bthe\b.{0,10}\bhills?\b|(?i)bearer\s+\S+"), Action::Log),
        wish(
            What::List { name: "terms".into(), terms: Arc::new(Terms::new(&terms).unwrap()) },
            Action::Mask,
        ),
    ];
    Guard::new(&Settings { wishes }).unwrap()
}

fn digest(what: &impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// What is shown of a text that comes in pieces, and when.
fn shown(
    guard: &Guard,
    text: &str,
    quoting: Quoting,
    vault: &Vault,
    random: &mut Random,
    most: usize,
) -> (u64, usize) {
    let leak = Arc::new(Leak::of([PROSE]));
    let rule = LeakRule { rule: 7, action: Action::Mask, label: "LEAK".into() };
    let mut channel = Channel::new(guard.stream().unwrap(), quoting).with_leak(leak, rule);
    let (mut out, mut found, mut lengths) = (String::new(), Vec::new(), Vec::new());
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = (1 + random.below(most)).min(rest.len());
        while !rest.is_char_boundary(end) {
            end += 1;
        }
        let (piece, later) = rest.split_at(end);
        rest = later;
        assert_eq!(channel.push(piece, Some(vault), &mut out, &mut found), Verdict::Pass);
        lengths.push((out.len(), channel.is_holding()));
    }
    assert_eq!(channel.finish(Some(vault), &mut out, &mut found), Verdict::Pass);
    (digest(&(out, &found, lengths)), found.len())
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut random = Random(7);
    let texts = corpus(&mut random, arguments.get(1).map(String::as_str));
    let every: usize = arguments.first().map_or(1, |every| every.parse().unwrap());
    let guards = [guard(None), guard(Some(1))];
    let rules = Rules::shipped().unwrap();
    let mut vault = Vault::default();
    let _ = vault.tokenize("EMAIL", "jo@example.com", None);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let bytes: usize = texts.iter().map(String::len).sum();
    writeln!(out, "{} texts, {bytes} bytes, {:x}", texts.len(), digest(&texts)).unwrap();
    for (number, text) in texts.iter().enumerate().step_by(every) {
        let copies = views(text);
        for trust in [Trust::Said, Trust::Fetched] {
            let score = rules.score(text, &copies, trust);
            writeln!(out, "{number} {trust:?} {score:?}").unwrap();
        }
        for view in &copies {
            let places: Vec<_> =
                (0..view.text.len()).step_by(7).map(|at| view.source(at..at + 5)).collect();
            let sum = digest(&(&view.text, view.is_decoded, view.is_words, places));
            writeln!(out, "{number} view {} {sum:x}", view.text.len()).unwrap();
        }
        for guard in &guards {
            // Describing compares all findings with all others.
            if text.len() < 20_000 {
                for sight in guard.describe(text, Trust::Said) {
                    let finding = &sight.finding;
                    let name = &guard.rules()[usize::from(finding.rule)].name;
                    writeln!(
                        out,
                        "{number} {name} {:?} {} {:?}",
                        finding.range, finding.score, sight.seen
                    )
                    .unwrap();
                }
            }
            let mut found = Vec::new();
            guard.scan(text, Trust::Fetched, &mut found);
            let found: Vec<_> =
                found.iter().map(|one| (one.rule, one.range.clone(), one.score)).collect();
            writeln!(out, "{number} {} {:x}", found.len(), digest(&found)).unwrap();
        }
        if text.len() < 60_000 {
            for (quoting, most) in
                [(Quoting::Plain, 12), (Quoting::Plain, 300), (Quoting::Json, 12)]
            {
                let (sum, found) =
                    shown(&guards[number % 2], text, quoting, &vault, &mut random, most);
                writeln!(out, "{number} {quoting:?} {most} {found} {sum:x}").unwrap();
            }
        }
    }
}

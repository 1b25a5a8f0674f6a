//! Generated bodies, and mutations of them: the reader, which gets them in slices, against serde_json.
//!
//! How many there are, is in `TOLLGATE_BODIES`; where another run begins, in `TOLLGATE_SEED`.

use super::*;
use crate::llm::request::members;
use std::env;
use std::fmt::Write as _;

const BODIES: u64 = 6_000;

/// A generator of numbers (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % end.max(1)
    }

    fn one_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

const INNER: &[&str] = &[
    "content",
    "output",
    "text",
    "type",
    "role",
    "source",
    "data",
    "url",
    "image_url",
    "images",
    "file_id",
    "media_type",
    "prompt_string",
    "multimodal_data",
    "include_usage",
    "continuous_usage_stats",
    "num_predict",
    "max_new_tokens",
    "best_of",
    "n",
    "max_tokens",
    "name",
    "",
    "contents",
    "a key that is longer than what is kept of any, as long as it may be",
];

const STRINGS: &[&str] = &[
    "",
    "a",
    "text",
    "user",
    "some words, and a mark.",
    "caf\u{e9}",
    "\u{65e5}\u{672c}",
    "\u{1f600}",
    "t\\u0065xt",
    "\\n",
    "\\n\\n\\n",
    "\\\"quoted\\\"",
    "\\u00e9\\u00e9",
    "\\ud83d\\ude00",
    "\\ud83d",
    "\\ude00",
    "\\ud83d\\ud83d\\ude00",
    "\\ud83d\\n",
    "\\ud83dx",
    "\\uffff",
    "\u{ffff}",
    "\\/\\b\\f\\r\\t",
    "HTTPServer fooBar aVeryLongWordIndeedWithoutAnEnd",
    "0123456789",
    "\\u",
    "\\ud8",
    "\\x",
    "\u{7f}",
    "\u{85}",
    "  two  blanks  ",
];

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "7",
    "16",
    "4096",
    "4097",
    "-1",
    "-0",
    "-2",
    "0.0",
    "1.5",
    "16.0",
    "1e2",
    "1e400",
    "-1e400",
    "1e-400",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "-9223372036854775809",
    "01",
    "1.",
    "-",
    "1e",
    "128000",
    "123456789012345678901234567890",
];

const LITERALS: &[&str] = &["null", "true", "false", "null", "true", "nul", "NaN", "trueX"];

const BLANKS: &[&str] = &["", "", "", " ", " ", "\n  ", "\r\n\t", "                    "];

struct Generator {
    random: Random,
    text: String,
}

impl Generator {
    fn body(&mut self) -> Vec<u8> {
        self.text.clear();
        if self.random.one_in(40) {
            self.text.push('\u{feff}');
        }
        self.blank();
        if self.random.one_in(60) {
            self.value(3);
        } else {
            self.object(true, 5);
        }
        self.blank();
        let mut body = std::mem::take(&mut self.text).into_bytes();
        while self.random.one_in(3) {
            self.mutate(&mut body);
        }
        body
    }

    fn mutate(&mut self, body: &mut Vec<u8>) {
        const BYTES: &[u8] = b"{}[]\",:\\ \n0-.eEtfnu\x00\x1f\x7f\x80\xbf\xc3\xed\xa0\xef\xbb\xff";
        let at = self.random.below(body.len() + 1);
        let byte = BYTES[self.random.below(BYTES.len())];
        match self.random.below(6) {
            0 => body.truncate(at),
            1 if at < body.len() => body[at] = byte,
            2 => body.insert(at, byte),
            3 if at < body.len() => drop(body.remove(at)),
            4 => drop(body.splice(at..at, *b"\xed\xa0\xbd")),
            _ => {
                // A part of it once more.
                let end = (at + self.random.below(40)).min(body.len());
                let part = body[at..end].to_vec();
                let to = self.random.below(body.len() + 1);
                drop(body.splice(to..to, part));
            }
        }
    }

    fn blank(&mut self) {
        let blank = self.random.of(BLANKS);
        self.text.push_str(blank);
    }

    fn string(&mut self) {
        self.text.push('"');
        for _ in 0..1 + self.random.below(3) {
            let part = self.random.of(STRINGS);
            let times = if self.random.one_in(30) { 1 + self.random.below(400) } else { 1 };
            // Most of what is broken is broken by mutations.
            if !matches!(part, "\\u" | "\\ud8" | "\\x") || self.random.one_in(30) {
                (0..times).for_each(|_| self.text.push_str(part));
            }
        }
        self.text.push('"');
    }

    fn number(&mut self) {
        let number = self.random.of(NUMBERS);
        let is_broken = matches!(number, "01" | "1." | "-" | "1e" | "1e400" | "-1e400");
        if is_broken && !self.random.one_in(20) {
            let _ = write!(self.text, "{}", self.random.next() >> 44);
        } else {
            self.text.push_str(number);
        }
    }

    fn value(&mut self, depth: usize) {
        match self.random.below(if depth == 0 { 4 } else { 9 }) {
            0 | 1 => self.string(),
            2 => self.number(),
            3 => {
                let literal = self.random.of(LITERALS);
                let is_broken = matches!(literal, "nul" | "NaN" | "trueX");
                self.text.push_str(if is_broken && !self.random.one_in(20) {
                    "false"
                } else {
                    literal
                });
            }
            4 | 5 => self.object(false, depth - 1),
            6 => self.numbers(),
            7 if self.random.one_in(20) => self.deep(),
            _ => self.array(depth - 1),
        }
    }

    fn deep(&mut self) {
        let depth = 100 + self.random.below(30);
        let is_object = self.random.one_in(2);
        let (open, close) = if is_object { ("{\"a\":", "}") } else { ("[", "]") };
        self.text.push_str(&open.repeat(depth));
        self.text.push_str("[]");
        self.text.push_str(&close.repeat(depth));
    }

    fn numbers(&mut self) {
        self.text.push('[');
        let most = if self.random.one_in(4) { 200 } else { 8 };
        let count = self.random.below(most);
        let blank = self.random.of(BLANKS);
        for number in 0..count {
            if number > 0 {
                self.text.push(',');
                self.text.push_str(blank);
            }
            if self.random.one_in(100) {
                self.value(0);
            } else {
                let _ = write!(self.text, "{}", self.random.next() >> (40 + self.random.below(24)));
            }
        }
        self.text.push(']');
    }

    fn array(&mut self, depth: usize) {
        self.text.push('[');
        self.blank();
        for element in 0..self.random.below(5) {
            if element > 0 {
                self.text.push(',');
                self.blank();
            }
            self.value(depth);
            self.blank();
        }
        self.text.push(']');
    }

    fn key(&mut self, is_body: bool) {
        let name = match self.random.below(8) {
            0 => self.random.of(INNER),
            _ if is_body => {
                let known = [members::BODY.policy, members::BODY.measured][self.random.below(2)];
                self.random.of(known)
            }
            _ => self.random.of(INNER),
        };
        let spelling = self.random.below(24);
        self.text.push('"');
        for (at, character) in name.chars().enumerate() {
            match (spelling, character) {
                (0, _) => drop(write!(self.text, "\\u{:04x}", u32::from(character))),
                (1, _) if at == 2 => drop(write!(self.text, "\\u{:04X}", u32::from(character))),
                (2, _) => self.text.extend(character.to_uppercase()),
                (3, 's') => self.text.push('\u{17f}'),
                (3, 'k') => self.text.push('\u{212a}'),
                (4, _) if at == 1 => {
                    let half = self.random.of(&["\\ud83d", "\u{ffff}", "\\uffff", "\\ude00"]);
                    self.text.push_str(half);
                    self.text.push(character);
                }
                _ => self.text.push(character),
            }
        }
        self.text.push('"');
    }

    /// What the value of a member of the body most likely is.
    fn likely(&mut self, name: &str) -> bool {
        match name {
            "stream" | "background" => {
                let value = self.random.of(&["true", "false", "null"]);
                self.text.push_str(value);
            }
            "model" => self.string(),
            "n" | "max_tokens" | "best_of" | "n_cmpl" | "max_completion_tokens" | "n_predict" => {
                self.number();
            }
            "stream_options" | "options" | "parameters" | "sampling_params" => {
                self.object(false, 2)
            }
            "messages" => {
                self.text.push('[');
                for message in 0..self.random.below(4) {
                    self.text.push_str(if message > 0 { ", " } else { "" });
                    self.object(false, 3);
                }
                self.text.push(']');
            }
            _ => return false,
        }
        true
    }

    fn object(&mut self, is_body: bool, depth: usize) {
        self.text.push('{');
        self.blank();
        for member in 0..self.random.below(if is_body { 9 } else { 5 }) {
            if member > 0 {
                self.text.push(',');
                self.blank();
            }
            let start = self.text.len();
            self.key(is_body);
            let name = self.text.get(start + 1..self.text.len() - 1).unwrap().to_owned();
            self.blank();
            self.text.push(':');
            self.blank();
            let flag = matches!(name.as_str(), "include_usage" | "continuous_usage_stats");
            if flag && !self.random.one_in(4) {
                let value = self.random.of(&["true", "false", "null"]);
                self.text.push_str(value);
            } else if self.random.one_in(6) || !(is_body && self.likely(&name)) {
                self.value(depth.saturating_sub(1));
            }
            self.blank();
        }
        self.text.push('}');
    }
}

/// The body in slices, cut at random, or nearly everywhere.
fn read_in_slices(
    body: &[u8],
    endpoint: Endpoint,
    engine: Engine,
    random: &mut Random,
) -> Result<LlmRequest, RequestError> {
    let mut reader = BodyReader::new(endpoint, engine);
    let most = [1, 3, 17, 100, 4096][random.below(5)];
    let mut rest = body;
    while !rest.is_empty() {
        let (slice, after) = rest.split_at((1 + random.below(most)).min(rest.len()));
        // Elsewhere, so that a checker of memory sees what is read beyond it.
        let copy = slice.to_vec();
        reader.read(&copy);
        rest = after;
    }
    reader.finish()
}

fn setting(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |value| value.parse().unwrap())
}

#[test]
fn generated_bodies_are_read_as_serde_json_reads_them() {
    let seed = setting("TOLLGATE_SEED", 1);
    let mut generator = Generator {
        random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
        text: String::new(),
    };
    let (mut taken, mut not_json, mut refused) = (0_u64, 0_u64, 0_u64);
    for number in 0..setting("TOLLGATE_BODIES", BODIES) {
        let body = generator.body();
        let random = &mut generator.random;
        let endpoint = Endpoint::ALL[random.below(Endpoint::ALL.len())];
        let engine = Engine::ALL[random.below(Engine::ALL.len())];
        let mut expected = plain::parse(&body, endpoint, engine);
        let whole = unsuspected(&parse(&body, endpoint, engine));
        // The other one doesn't look for halves behind a backslash, where they are no JSON anyway: of two
        // faults, it may tell the other one.
        let has_escaped_half = body.windows(3).any(|at| matches!(at, [b'\\', 0xed, 0xa0..=0xbf]));
        // What is too deep in `stream_options` is not read on, and may be no JSON at all.
        let opens = body.iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
        if (has_escaped_half || opens > 120) && expected == Err(RequestError::NotJson) {
            assert!(whole.is_err());
            expected = whole.clone();
        }
        let text = || body.escape_ascii().to_string();
        assert_eq!(whole, expected, "{number} {endpoint:?} {engine:?}\n{}", text());
        let in_slices = unsuspected(&read_in_slices(&body, endpoint, engine, random));
        assert_eq!(in_slices, expected, "{number} in slices, {endpoint:?} {engine:?}\n{}", text());
        match expected {
            Ok(_) => taken += 1,
            Err(RequestError::NotJson) => not_json += 1,
            Err(_) => refused += 1,
        }
    }
    println!("{taken} taken, {not_json} no JSON, {refused} refused");
    let least = (taken + not_json + refused) / 10;
    assert!(taken.min(not_json).min(refused) >= least, "{taken} {not_json} {refused}");
}

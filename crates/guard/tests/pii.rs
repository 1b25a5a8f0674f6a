//! What each detector of personal data finds, and what it leaves alone: one text a line in `pii/NAME.txt`, in which
//! `[[` and `]]` stand around what is found. A line without them has nothing of that kind.

use std::fmt::Write;

use regex_automata::meta::Regex;
use regex_automata::{Anchored, Input};
use tollgate_guard::detector::{Candidate, Detector, DEFAULT_THRESHOLD};
use tollgate_guard::pii;

/// A detector alone, in the plainest way: where a candidate is none, the search goes on one character farther.
pub struct Plain {
    detector: Detector,
    pattern: Regex,
}

impl Plain {
    pub fn new(detector: Detector) -> Self {
        let pattern = Regex::new(&detector.pattern).expect("a pattern");
        Self { detector, pattern }
    }

    pub fn marked(&self, text: &str) -> String {
        let mut marked = String::new();
        let (mut done, mut at) = (0, 0);
        while let Some(found) =
            self.pattern.find(Input::new(text).span(at..text.len()).anchored(Anchored::No))
        {
            let candidate = Candidate::new(text, found.range()).expect("a range of the text");
            let score = self.detector.judge(&candidate, DEFAULT_THRESHOLD);
            assert!(score.is_none_or(|score| score <= 100), "{}", self.detector.name);
            if score.is_some() {
                let _ = write!(marked, "{}[[{}]]", &text[done..found.start()], candidate.text());
                done = found.end();
                at = found.end();
            } else {
                at = found.start() + candidate.text().chars().next().map_or(1, char::len_utf8);
            }
        }
        marked.push_str(&text[done..]);
        marked
    }
}

fn check_file(name: &str, lines: &str) -> String {
    let mut wrong = String::new();
    let Some(detectors) = pii::kind(name) else { return format!("no kind {name}\n") };
    let plain = Plain::new(detectors.into_iter().next().expect("a detector"));
    let (mut found, mut left) = (0, 0);
    for line in lines.lines().filter(|line| !line.is_empty() && !line.starts_with("## ")) {
        if line.contains("[[") {
            found += 1;
        } else {
            left += 1;
        }
        let text = line.replace("[[", "").replace("]]", "");
        let marked = plain.marked(&text);
        if marked != line {
            let _ = writeln!(wrong, "{name}: wanted {line}\n{name}:    got {marked}");
        }
    }
    if found < 50 || left < 50 {
        let _ =
            writeln!(wrong, "{name}: {found} lines with, {left} without: 50 are too few of none");
    }
    wrong
}

#[test]
fn each_line_is_found_as_it_is_marked() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pii");
    let mut wrong = String::new();
    for file in std::fs::read_dir(folder).expect("the lines") {
        let path = file.expect("a file").path();
        let name = path.file_stem().expect("a name").to_string_lossy();
        wrong += &check_file(&name, &std::fs::read_to_string(&path).expect("a text"));
    }
    assert!(wrong.is_empty(), "{wrong}");
}

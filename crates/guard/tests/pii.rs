//! What each detector of personal data finds, and what it leaves alone: one text a line in `pii/NAME.txt`, in which
//! `[[` and `]]` stand around what is found. A line without them has nothing of that kind.

#![allow(clippy::unwrap_used, clippy::string_slice, reason = "a test")]

use std::fmt::Write;

use tollgate_guard::detector::{Candidate, Detector, DEFAULT_THRESHOLD};
use tollgate_guard::matcher::{Matcher, Sought};
use tollgate_guard::pii;

/// The text with marks around what the detector finds in it.
fn marked(matcher: &Matcher, text: &str) -> String {
    let mut found = Vec::new();
    matcher.find(text, &mut found);
    let mut marked = String::new();
    let mut done = 0;
    for one in found {
        let _ = write!(marked, "{}[[{}]]", &text[done..one.range.start], &text[one.range.clone()]);
        done = one.range.end;
    }
    marked.push_str(&text[done..]);
    marked
}

fn alone(detector: Detector) -> Matcher {
    Matcher::new(vec![Sought { detector, rule: 0, threshold: DEFAULT_THRESHOLD }]).unwrap()
}

fn check_file(detector: &Detector) -> String {
    let name = &detector.name;
    let path = format!("{}/tests/pii/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let Ok(lines) = std::fs::read_to_string(path) else { return format!("{name}: no lines\n") };
    let matcher = alone(detector.clone());
    let (mut found, mut left, mut wrong) = (0, 0, String::new());
    for line in lines.lines().filter(|line| !line.is_empty() && !line.starts_with("## ")) {
        if line.contains("[[") {
            found += 1;
        } else {
            left += 1;
        }
        let got = marked(&matcher, &line.replace("[[", "").replace("]]", ""));
        if got != line {
            let _ = writeln!(wrong, "{name}: wanted {line}\n{name}:    got {got}");
        }
    }
    if found < 50 || left < 50 || !lines.starts_with("## ") {
        let _ = writeln!(
            wrong,
            "{name}: {found} lines with, {left} without: less than 50, or no source"
        );
    }
    wrong
}

#[test]
fn each_line_is_found_as_it_is_marked() {
    let wrong: String = pii::detectors().iter().map(check_file).collect();
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn kinds_are_named_once_and_national_ids_together() {
    let all = pii::detectors();
    for detector in &all {
        assert_eq!(
            all.iter().filter(|other| other.name == detector.name).count(),
            1,
            "{}",
            detector.name
        );
        assert_eq!(pii::kind(&detector.name).unwrap().len(), 1, "{}", detector.name);
    }
    let national = pii::kind(pii::NATIONAL_ID).unwrap();
    assert!(national.len() > 40);
    for name in [
        "ssn",
        "de_steuer_id",
        "fr_nir",
        "es_dni",
        "it_codice_fiscale",
        "nl_bsn",
        "pl_pesel",
        "uk_nino",
        "in_aadhaar",
        "br_cpf",
    ] {
        assert!(national.iter().any(|detector| detector.name == name), "{name}");
    }
    assert!(pii::kind("none").is_none());
}

proptest::proptest! {
    /// Whatever a detector is asked about, it answers: also about what its pattern doesn't fit.
    #[test]
    fn any_candidate_is_judged(before in "[a-z0-9 .:/-]{0,70}", text in "[A-Za-z0-9 .:/@+()xé中-]{1,40}", behind in "[0-9a-z. -]?") {
        let all = format!("{before}{text}{behind}");
        let candidate = Candidate::new(&all, before.len()..before.len() + text.len()).unwrap();
        for detector in pii::detectors() {
            let score = detector.judge(&candidate, 1);
            assert!(score.is_none_or(|score| (1..=100).contains(&score)), "{}", detector.name);
        }
    }
}

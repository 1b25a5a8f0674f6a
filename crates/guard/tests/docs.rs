//! What docs/guards.md says of kinds and limits is what the code has.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::collections::BTreeSet;
use std::fs;

use tollgate_guard::detector::{Detector, BEFORE, DEFAULT_THRESHOLD, LONGEST};
use tollgate_guard::{pii, secrets};

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guards.md");
    fs::read_to_string(path).unwrap()
}

/// The part of the page below this heading, or line.
fn part<'p>(page: &'p str, from: &str, to: &str) -> &'p str {
    let (_, rest) = page.split_once(from).unwrap();
    rest.split_once(to).unwrap().0
}

/// Kind and label of each row of the tables in a part of the page.
fn rows(part: &str) -> BTreeSet<(String, String)> {
    let mut rows = BTreeSet::new();
    for line in part.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let row = (cells[1].trim_matches('`').to_owned(), cells[2].trim_matches('`').to_owned());
        assert!(!cells[3].is_empty(), "{line}");
        assert!(rows.insert(row), "twice: {line}");
    }
    rows
}

fn kinds(detectors: Vec<Detector>) -> BTreeSet<(String, String)> {
    detectors.iter().map(|one| (one.name.to_string(), format!("[{}]", one.label))).collect()
}

#[test]
fn tables_have_each_kind_and_what_takes_its_place() {
    let page = page();
    let of_pii = part(&page, "\n## Personal data\n", "\n## ");
    assert_eq!(rows(of_pii), kinds(pii::detectors()));
    let (_, national) = of_pii.split_once("`national_id` stands for").unwrap();
    assert_eq!(rows(national), kinds(pii::kind(pii::NATIONAL_ID).unwrap()));
    assert_eq!(rows(part(&page, "\n## Secrets\n", "\n## ")), kinds(secrets::detectors()));
}

#[test]
fn limits_are_those_of_the_code() {
    let page = page();
    for said in [
        format!("by its first {LONGEST} characters"),
        format!("is looked at for {BEFORE} bytes"),
        format!("1 to 100; {DEFAULT_THRESHOLD} unless it is given"),
    ] {
        assert!(page.contains(&said), "{said}");
    }
}

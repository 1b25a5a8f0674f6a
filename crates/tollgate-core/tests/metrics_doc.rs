//! docs/monitoring.md has the same metrics as the table, with the same labels and in the same order.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;

use tollgate_core::metrics::exposition::family::{Kind, ALL};

#[test]
fn the_documentation_has_every_metric() {
    let page = fs::read_to_string("../../docs/monitoring.md").unwrap();
    let (_, section) = page.split_once("\n## Metrics\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let row = |line: &str| {
        let cells: Vec<_> = line.strip_prefix("| `tollgate_")?.split(" | ").collect();
        let [name, labels, text] = cells.as_slice() else { panic!("{line}") };
        let name = format!("tollgate_{}", name.trim_end_matches('`'));
        let labels: Vec<_> =
            labels.split(", ").map(|label| label.trim_matches('`').to_owned()).collect();
        let labels: Vec<_> = labels.into_iter().filter(|label| !label.is_empty()).collect();
        Some((name, labels, text.starts_with("histogram")))
    };
    let documented: Vec<_> = section.lines().filter_map(row).collect();
    let expected: Vec<_> = ALL
        .iter()
        .map(|family| {
            let name = format!("{}{}", family.name, family.kind.suffix());
            let labels: Vec<_> = family.labels.iter().map(|label| (*label).to_owned()).collect();
            (name, labels, family.kind == Kind::Histogram)
        })
        .collect();
    assert_eq!(documented, expected);
}

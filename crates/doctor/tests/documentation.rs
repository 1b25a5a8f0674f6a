//! docs/doctor.md tells of each thing that is looked for, and of nothing else.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;

use tollgate_doctor::CHECKS;

#[test]
fn each_check_has_a_heading_and_its_severity() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/doctor.md");
    let text = std::fs::read_to_string(path).unwrap();
    let headings: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let checks: Vec<&str> = CHECKS.iter().copied().flatten().map(|check| check.name).collect();
    assert_eq!(headings, checks);
    for check in CHECKS.iter().copied().flatten().filter(|check| check.name != "nginx") {
        let (_, section) = text.split_once(&format!("### {}\n\n", check.name)).unwrap();
        assert!(section.starts_with(check.severity.as_str()), "{}", check.name);
    }
}

//! What is printed.

use serde_json::json;
use tollgate_doctor::{Finding, Severity, CHECKS};

use crate::escape::{shown, shown_json};

/// For people.
pub(super) fn text(name: &str, findings: &[Finding], unknown: &[String]) -> String {
    let mut text = String::new();
    for finding in findings {
        text.push_str(&format!(
            "{}: {} [{}]\n",
            finding.severity.as_str(),
            shown(&finding.what),
            finding.check
        ));
        if let Some(place) = &finding.place {
            text.push_str(&format!("  at    {}\n", shown(&place.to_string())));
        }
        text.push_str(&format!("  why   {}\n", finding.why));
        for (index, line) in finding.mend.iter().enumerate() {
            text.push_str(&format!(
                "  {}  {}\n",
                if index == 0 { "mend" } else { "    " },
                shown(line)
            ));
        }
        text.push('\n');
    }
    for what in unknown {
        text.push_str(&format!("not looked at: {}\n", shown(what)));
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let counts =
        [(Severity::Error, "errors"), (Severity::Warning, "warnings"), (Severity::Note, "notes")];
    let told: Vec<String> =
        counts.iter().map(|(severity, name)| format!("{} {name}", count(*severity))).collect();
    text.push_str(&format!("{}: {}\n", shown(name), told.join(", ")));
    text
}

/// For programs.
pub(super) fn json(
    name: &str,
    nginx: Option<(u32, u32, u32)>,
    findings: &[Finding],
    unknown: &[String],
) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let one = |finding: &Finding| {
        json!({
            "check": finding.check,
            "severity": finding.severity,
            "what": finding.what,
            "why": finding.why,
            "file": finding.place.as_ref().map(|place| place.file.to_string()),
            "line": finding.place.as_ref().map(|place| place.line),
            "mend": finding.mend,
        })
    };
    let report = json!({
        "config": name,
        "nginx": nginx.map(|(major, minor, patch)| format!("{major}.{minor}.{patch}")),
        "errors": count(Severity::Error),
        "warnings": count(Severity::Warning),
        "notes": count(Severity::Note),
        "findings": findings.iter().map(one).collect::<Vec<_>>(),
        "not_looked_at": unknown,
    });
    format!("{}\n", shown_json(&report.to_string()))
}

/// What is looked for.
pub(super) fn list() -> String {
    let line = |check: &tollgate_doctor::Check| {
        format!("{:<18}{:<9}{}\n", check.name, check.severity.as_str(), check.why)
    };
    CHECKS.iter().copied().flatten().map(line).collect()
}

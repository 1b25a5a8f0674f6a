//! docs/errors.md is made of the answers in the code: each reason has its place there, and none more. Where they have
//! changed, this fails; `TOLLGATE_WRITE_DOCS=1 cargo test --package tollgate-core --test errors_doc` writes the page.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fmt::Write;
use std::ptr;

use tollgate_core::answer::{answer, model_not_found, Answer};
use tollgate_core::decision::Reason;
use tollgate_core::llm::Dialect;

/// What the answers don't say of themselves.
const INTRO: &str = "\
# Error codes

What a client is answered when Tollgate refuses its request: status, headers and body, for each
[reason](audit-log.md#reasons) that the audit log may have. This page is made of
`crates/tollgate-core/src/answer/`; a test compares them.

The body has the form of the API that was called: that of the path, or else that of
[tollgate_engine](directives.md#tollgate_engine).

| API | body |
|---|---|
| OpenAI | `{\"error\":{\"message\":...,\"type\":...,\"param\":...,\"code\":...}}` |
| Anthropic | `{\"type\":\"error\",\"error\":{\"type\":...,\"message\":...}}` |
| Ollama | `{\"error\":MESSAGE}` |
| TGI | `{\"error\":MESSAGE,\"error_type\":...}` |

Several reasons may have one answer: a client is not told which of its keys was once good, or from where it would be
let in. The audit log and the error log tell it to the operator, by `reason` and
[detail](audit-log.md#details). [Troubleshooting](troubleshooting.md) goes on from there.

A 429 has `Retry-After` and `retry-after-ms`, the first moment at which the same request passes
([Answers](directives.md#answers)), unless no waiting helps. An [error_page](directives.md#answers) of the
operator's takes the place of the body.

Answers of the engine pass through as they are: what has no `reason` in the audit log is none of these.
";

/// The members `path` of a body, as JSON writes them.
fn member(body: &str, path: &[&str]) -> String {
    let value: serde_json::Value = serde_json::from_str(body).unwrap();
    path.iter().fold(&value, |value, name| &value[name]).to_string().trim_matches('"').to_owned()
}

fn headers(answer: &Answer) -> String {
    let mut headers = String::new();
    for (name, value) in [
        ("WWW-Authenticate", answer.www_authenticate),
        ("x-should-retry", answer.should_retry),
        ("Accept-Encoding", answer.accept_encoding),
    ] {
        if let Some(value) = value {
            write!(headers, "{name}: {value}  ").unwrap();
        }
    }
    headers.trim_end().to_owned()
}

/// Each answer once, with its reasons, by status.
fn answers() -> Vec<(&'static Answer, Vec<&'static str>)> {
    let mut answers: Vec<(&'static Answer, Vec<&'static str>)> = Vec::new();
    for reason in Reason::ALL {
        let found = answer(reason);
        match answers.iter_mut().find(|(known, _)| ptr::eq(*known, found)) {
            Some((_, reasons)) => reasons.push(reason.as_str()),
            None => answers.push((found, vec![reason.as_str()])),
        }
    }
    answers.sort_by_key(|(answer, _)| answer.status);
    answers
}

/// What a section says beside its answer.
fn note(first: &str) -> &'static str {
    match first {
        "malformed_request" => {
            "Where it is known which member is at fault, `message` says what is expected of it, and `param` names it.\n\n"
        }
        "feature_denied" => {
            "What a [tier](directives.md#allow-deny) doesn't let requests ask for, `message` and `param` name.\n\n"
        }
        "content_policy" => {
            "Where it is known in which message something was found, `message` and `param` name that message. What was \
             found, they don't say. A stream that has begun ends with such an error as its last event.\n\n"
        }
        "model_denied" => {
            "With [tollgate_hide_models](directives.md#tollgate_hide_models) the answer is \
             [another one](#model_denied-with-tollgate_hide_models).\n\n"
        }
        _ => "",
    }
}

fn section(page: &mut String, title: &str, answer: &Answer, note: &str) {
    let [openai, anthropic, tgi] =
        [Dialect::OpenAi, Dialect::Anthropic, Dialect::Tgi].map(|dialect| answer.body(dialect));
    let status = answer.status;
    writeln!(page, "\n## {title}\n\nStatus {status}.\n").unwrap();
    let headers = headers(answer);
    if !headers.is_empty() {
        writeln!(page, "    {headers}\n").unwrap();
    }
    page.push_str(note);
    writeln!(page, "```json\n{openai}\n```\n").unwrap();
    let anthropic = member(anthropic, &["error", "type"]);
    let tgi = member(tgi, &["error_type"]);
    writeln!(page, "Anthropic: `{anthropic}`. TGI: `{tgi}`.").unwrap();
}

fn page() -> String {
    let mut page = INTRO.to_owned();
    page.push_str("\n| status | OpenAI's `type` | `code` | reasons |\n|---|---|---|---|\n");
    for (answer, reasons) in answers() {
        let body = answer.body(Dialect::OpenAi);
        let [kind, code] = ["type", "code"].map(|name| member(body, &["error", name]));
        let reasons: Vec<_> = reasons.iter().map(|reason| format!("`{reason}`")).collect();
        let (status, reasons) = (answer.status, reasons.join(", "));
        writeln!(page, "| {status} | `{kind}` | `{code}` | {reasons} |").unwrap();
    }
    for (answer, reasons) in answers() {
        let first = reasons.first().copied().unwrap_or_default();
        section(&mut page, &reasons.join(", "), answer, note(first));
    }
    section(
        &mut page,
        "model_denied with tollgate_hide_models",
        model_not_found(),
        "Where the name of the model can be told, the body is the one that the engine itself has for a model that it \
         doesn't serve.\n\n",
    );
    page
}

#[test]
fn page_says_what_clients_are_answered() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md");
    let page = page();
    if std::env::var_os("TOLLGATE_WRITE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap();
    let differs = page.lines().zip(written.lines()).find(|(new, old)| new != old);
    assert_eq!(differs, None, "docs/errors.md is out of date; see the head of this test");
    assert_eq!(page.len(), written.len());
}

#[test]
fn every_reason_stands_in_the_page_once() {
    let page = page();
    for reason in Reason::ALL {
        let name = reason.as_str();
        let titles = page
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .filter(|title| title.split(", ").any(|part| part == name));
        assert_eq!(titles.count(), 1, "{name}");
    }
}

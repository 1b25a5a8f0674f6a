//! docs/engines.md is made of the engines' tables. Where they have changed, this fails;
//! `TOLLGATE_WRITE_DOCS=1 cargo test --package tollgate-core --test engines_doc` writes the page.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fmt::Write;

use tollgate_core::llm::engines::Kind;
use tollgate_core::llm::request::members::documented;
use tollgate_core::llm::Engine;

/// What the tables don't say of themselves.
const INTRO: &str = "\
# Engines

What each [engine](directives.md#tollgate_engine) serves, and what is made of it. This page is made of
the tables in `crates/tollgate-core/src/llm/engines/`; a test compares them. What to look at before one of them, and what
was measured with it: [vLLM](engines/vllm.md), [SGLang](engines/sglang.md), [TGI](engines/tgi.md),
[llama.cpp](engines/llamacpp.md), [Ollama](engines/ollama.md).

A client reaches what is for clients, with the scope that stands in its line, and nothing else: neither
what is for operators, nor what no line names, by whatever method (HEAD is GET). Those need the scope
`admin`, or have to be [opened](directives.md#tollgate_endpoints). `scripts/check-engines` compares a table with
what a running engine serves.

`read as` names the form in which requests and answers are read: their tokens are reserved and charged.
Of several bounds the largest counts; several prompts, chats or items multiply the output as well. What
has no form is not read. Where tokens or money are counted, what takes some and is not read is refused,
unless it is [opened](directives.md#tollgate_endpoints).

| kind | what it takes | for |
|---|---|---|
";

/// What came out of `scripts/test --engine` the last time, for each engine and version.
const MEASURED: &str = "
## Measured

`scripts/test --engine NAME --url URL` compares what is charged with what an engine counts, of varied requests, of streams that
the client leaves at many points, and its own routes with its table ([more](testing.md#real-engines)). The last results:

| engine | version | model | when | charged as it counts | streams that were left | routes |
|---|---|---|---|---|---|---|
| llama.cpp | b11549 | Gemma 3 270M, on a CPU | 2026-12-02 | 300 of 300 | 60 of 60 | 35 of 38 that were tried; the others are of other modes or of older versions |
| vLLM | 0.32.0 | a small Qwen2 with random weights, on a CPU | 2026-12-02 | 294 of 300; 6 in which the client declines usage are counted too low | 54 of 60; of the others five were charged too much where an event had several tokens, which is mended since, and one, of `/v1/messages`, is known | all of 23 that it lists |

Of a stream that was left, at least what the client had received is charged, and at most what the engine made. Differences
that are known are in `tests/engines/known.toml`, with reasons.
";

fn meaning(kind: Kind) -> &'static str {
    match kind {
        Kind::Generates => "the model writes",
        Kind::Prefill => "the model reads, and writes nothing",
        Kind::Counts => "the CPU alone: counting tokens, filling in templates",
        Kind::Reads => "nothing: what anybody may know, such as models and health",
        Kind::Stores => "nothing: what clients keep at the engine, by ids that only they know",
        Kind::Info => "nothing, but it tells about the machine, or about all of its clients",
        Kind::Others => "reaches into the requests of other clients",
        Kind::Admin => "changes the engine for all of its clients",
    }
}

fn page() -> String {
    let mut page = INTRO.to_owned();
    for kind in Kind::ALL {
        let who = if kind.is_for_clients() { "clients" } else { "operators" };
        let (name, meaning) = (kind.as_str(), meaning(kind));
        writeln!(page, "| `{name}` | {meaning} | {who} |").unwrap();
    }
    for engine in Engine::ALL {
        let table = engine.table();
        writeln!(page, "\n## {}\n\nFrom: {}.\n", engine.as_str(), table.version).unwrap();
        page.push_str(
            "| method | path | what | kind | scope | read as |\n|---|---|---|---|---|---|\n",
        );
        for row in table.rows {
            let form = row.form.map_or(String::new(), |form| format!("`{}`", form.as_str()));
            let (methods, path, what, kind) = (row.methods, row.path, row.what, row.kind.as_str());
            let scope = row.scope.as_str();
            writeln!(page, "| {methods} | `{path}` | {what} | {kind} | `{scope}` | {form} |")
                .unwrap();
        }
        outputs(&mut page, engine);
    }
    page.push_str(MEASURED);
    page
}

/// What bounds and multiplies the output of the forms that have one.
fn outputs(page: &mut String, engine: Engine) {
    page.push_str("\n| read as | bounded by | multiplied by |\n|---|---|---|\n");
    let mut told = Vec::new();
    for form in engine.table().rows.iter().filter_map(|row| row.form) {
        if !form.has_output() || told.contains(&form) {
            continue;
        }
        told.push(form);
        let (bounds, counts) = documented(form, engine);
        let list = |names: Vec<String>| {
            names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        };
        let name = form.as_str();
        writeln!(page, "| `{name}` | {} | {} |", list(bounds), list(counts)).unwrap();
    }
}

#[test]
fn page_says_what_the_tables_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/engines.md");
    let page = page();
    if std::env::var_os("TOLLGATE_WRITE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap();
    let differs = page.lines().zip(written.lines()).find(|(new, old)| new != old);
    assert_eq!(differs, None, "docs/engines.md is out of date; see the head of this test");
    assert_eq!(page.len(), written.len());
}

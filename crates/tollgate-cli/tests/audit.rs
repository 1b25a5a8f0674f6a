//! `tollgate audit report`: its numbers against a plain model of them, on logs that the module's own code
//! writes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod audit_log;
mod command;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use audit_log::{gzip, line, log, Folder, START};
use command::{tollgate, tollgate_with};
use serde_json::Value;
use tollgate_core::audit::Record;
use tollgate_core::clock::UnixMillis;
use tollgate_core::decision::Decision;
use tollgate_core::llm::{Source, Usage};

/// What a report should say, computed without any of its code.
#[derive(Default)]
struct Model {
    counts: BTreeMap<&'static str, u128>,
    reasons: BTreeMap<String, u64>,
    dry_run_reasons: BTreeMap<String, u64>,
    nanos: u128,
    durations: Vec<u64>,
    ttfts: Vec<u64>,
}

impl Model {
    fn count(&mut self, line: &str) {
        let record: Value = serde_json::from_str(line).unwrap();
        let dry_run = record.get("dry_run").is_some();
        let outcome = match record["decision"].as_str() {
            Some("allow") => "allowed",
            Some("deny") if dry_run => "would_be_refused",
            Some("deny") => "refused",
            _ => "not_judged",
        };
        let reasons = match outcome {
            "refused" => Some(&mut self.reasons),
            "would_be_refused" => Some(&mut self.dry_run_reasons),
            _ => None,
        };
        if let Some(reasons) = reasons {
            *reasons.entry(record["reason"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        let mut add = |name, number| *self.counts.entry(name).or_default() += number;
        add("requests", 1);
        add(outcome, 1);
        add("dry_run", u128::from(dry_run));
        for name in [
            "input_tokens",
            "output_tokens",
            "cached_tokens",
            "cache_write_tokens",
            "reasoning_tokens",
        ] {
            add(name, record[name].as_u64().unwrap_or(0).into());
        }
        self.nanos += nanos_in(line).unwrap_or(0);
        if matches!(outcome, "allowed" | "would_be_refused") {
            self.durations.extend(record["duration_ms"].as_u64());
            self.ttfts.extend(record["ttft_ms"].as_u64());
        }
    }

    fn check(&self, told: &Value, text: &str) {
        for name in [
            "requests",
            "allowed",
            "refused",
            "not_judged",
            "dry_run",
            "would_be_refused",
            "input_tokens",
            "output_tokens",
            "cached_tokens",
            "cache_write_tokens",
            "reasoning_tokens",
        ] {
            let expected = self.counts.get(name).copied().unwrap_or(0);
            assert_eq!(u128::from(told[name].as_u64().unwrap()), expected, "{name}");
        }
        let reasons = |name: &str| -> BTreeMap<String, u64> {
            serde_json::from_value(told[name].clone()).unwrap()
        };
        assert_eq!(reasons("refused_by_reason"), self.reasons);
        assert_eq!(reasons("would_be_refused_by_reason"), self.dry_run_reasons);
        assert_eq!(nanos_in(text), Some(self.nanos), "{text}");
        for (name, times) in [("duration_ms", &self.durations), ("ttft_ms", &self.ttfts)] {
            let mut times = times.clone();
            times.sort_unstable();
            for (key, percent) in [("p50", 50), ("p95", 95), ("p99", 99)] {
                let rank = (times.len() * percent).div_ceil(100).max(1);
                match times.get(rank - 1) {
                    None => assert!(told[name][key].is_null()),
                    Some(exact) => {
                        let close = told[name][key].as_u64().unwrap().abs_diff(*exact);
                        assert!(close * 100 <= *exact, "{name} {key}: {} {exact}", told[name][key]);
                    }
                }
            }
        }
    }
}

/// The amount behind `"cost":` in a JSON text, without a detour through a float.
fn nanos_in(text: &str) -> Option<u128> {
    let rest = text.split("\"cost\":").nth(1)?.trim_start();
    let number = rest.split([',', '}', '\n']).next().unwrap();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    format!("{whole}{fraction:0<9}").parse().ok()
}

/// The JSON texts of the groups, and of the sum, by name.
fn told(run: &str) -> (Value, BTreeMap<Option<String>, (Value, String)>) {
    let whole: Value = serde_json::from_str(run).unwrap();
    // Each has three: the whole, and of it what was estimated and what is partial.
    let costs = run.split("\"cost\":").skip(1).map(|text| format!("\"cost\":{text}"));
    let mut texts = costs.step_by(3).skip(1);
    let groups = whole["groups"].as_array().unwrap().iter().map(|group| {
        let name = group["name"].as_str().map(str::to_owned);
        (name, (group.clone(), texts.next().unwrap()))
    });
    let groups = groups.collect();
    (whole, groups)
}

#[test]
fn numbers_are_those_of_a_plain_model() {
    let folder = Folder::new();
    let parts = [log(1, 3000), log(2, 1500), log(3, 500)];
    // Two members, as `cat a.gz b.gz` leaves them; and not by its name.
    let compressed = [gzip(&parts[1][..1000]), gzip(&parts[1][1000..])].concat();
    let files = [folder.file("audit.log", &parts[0]), folder.file("audit.log.2", &compressed)];
    let all = String::from_utf8(parts.concat()).unwrap();
    for by in ["client", "tenant", "model", "tier", "key_id", "hour", "day", "month"] {
        let run = tollgate_with(
            ["audit", "report", &files[0], &files[1], "-", "--json", "--by", by],
            &parts[2],
        );
        assert_eq!((run.status, run.err.as_str()), (0, ""));
        let (whole, groups) = told(&run.out);
        assert_eq!(whole["broken_lines"], 0);
        let mut total = Model::default();
        let mut models: BTreeMap<Option<String>, Model> = BTreeMap::new();
        for line in all.lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let time = |len| record["time"].as_str().unwrap().get(..len).unwrap().to_owned();
            let name = match by {
                "hour" => Some(format!("{}:00Z", time(13))),
                "day" => Some(time(10)),
                "month" => Some(time(7)),
                _ => record[by].as_str().map(str::to_owned),
            };
            models.entry(name).or_default().count(line);
            total.count(line);
        }
        total.check(&whole["total"], &run.out);
        assert!(groups.keys().eq(models.keys()), "{by}");
        for (name, model) in &models {
            let (value, text) = &groups[name];
            model.check(value, text);
        }
    }
}

#[test]
fn csv_has_the_same_numbers_and_no_formulas() {
    let folder = Folder::new();
    let file = folder.file("audit.log", &log(4, 2000));
    let json = tollgate(["audit", "report", &file, "--json"]);
    let (_, groups) = told(&json.out);
    let csv = tollgate(["audit", "report", &file, "--csv"]);
    let mut reader = csv::Reader::from_reader(csv.out.as_bytes());
    let head = reader.headers().unwrap().clone();
    assert_eq!([&head[0], &head[1], &head[2]], ["period_start", "period_end", "client"]);
    assert!(
        csv.out.ends_with("\r\n")
            && csv.out.matches('\n').count() == csv.out.matches("\r\n").count()
    );
    let mut rows = 0;
    for row in reader.records() {
        let row = row.unwrap();
        rows += 1;
        assert!(!row[2].starts_with(['=', '+', '-', '@']), "{}", &row[2]);
        let name = row[2].strip_prefix('\'').unwrap_or(&row[2]);
        let (group, text) = &groups[&Some(name.to_owned()).filter(|name| !name.is_empty())];
        assert_eq!([&row[0], &row[1]], ["2026-01-05T08:00:00Z", "2026-01-05T08:23:19.301Z"]);
        for (column, cell) in head.iter().zip(&row).skip(3) {
            let part = column
                .split_once('_')
                .filter(|(kind, _)| matches!(*kind, "estimated" | "partial" | "unpriced"));
            if let Some((kind, what)) = part {
                // Compared as numbers; what they are is held to exact ones below.
                assert_eq!(cell, group[kind][what].to_string(), "{column}");
            } else if column == "cost" {
                assert_eq!(nanos_in(&format!("\"cost\":{cell}")), nanos_in(text));
            } else if let Some(reason) = column.strip_prefix("refused_") {
                let count = group["refused_by_reason"].get(reason).cloned().unwrap_or(0.into());
                assert_eq!(cell, count.to_string(), "{reason}");
            } else if let Some(what) = column.strip_suffix("_ms") {
                let (what, percentile) = what.split_once('_').unwrap();
                let value = &group[format!("{what}_ms")][percentile];
                assert_eq!(cell, value.as_u64().map_or(String::new(), |ms| ms.to_string()));
            } else {
                assert_eq!(cell, group[column].to_string(), "{column}");
            }
        }
    }
    assert_eq!(rows, groups.len());
}

#[test]
fn rows_are_sorted_and_cut_and_limited_in_time() {
    let folder = Folder::new();
    let record = |client: &'static [u8], seconds: i64, tokens, nanos| {
        let mut record = Record::new(UnixMillis(START + seconds * 1000));
        record.client = Some(client);
        record.decision = Some(Decision::Allow);
        let usage = Usage { input: tokens, ..Usage::default() };
        record.usage = Some((Source::Measured, usage));
        record.cost_nanos = Some(nanos);
        line(&record)
    };
    let text = [
        record(b"often", 0, 1, 2),
        record(b"often", 10, 1, 2),
        record(b"dear", 20, 2, 900),
        record(b"much", 7200, 100, 3),
    ];
    let file = folder.file("audit.log", &text.concat());
    let names = |options: &[&str]| {
        let run = tollgate([&["audit", "report", &file, "--json"], options].concat());
        let whole: Value = serde_json::from_str(&run.out).unwrap();
        let groups = whole["groups"].as_array().unwrap();
        groups.iter().map(|g| g["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&[]), "often dear much");
    assert_eq!(names(&["--sort", "tokens"]), "much often dear");
    assert_eq!(names(&["--sort", "cost"]), "dear often much");
    assert_eq!(names(&["--sort", "name"]), "dear much often");
    assert_eq!(names(&["--sort", "tokens", "--top", "1"]), "much");
    assert_eq!(names(&["--by", "hour"]), "2026-01-05T08:00Z 2026-01-05T10:00Z");
    assert_eq!(names(&["--since", "2026-01-05T08:00:20Z"]), "dear much");
    assert_eq!(names(&["--until", "2026-01-05T08:00:20Z"]), "often");
    assert_eq!(names(&["--since", "2026-01-05", "--until", "2026-01-06"]), "often dear much");
    assert_eq!(names(&["--since", "1h"]), "");
    let run = tollgate(["audit", "report", &file, "--top", "1"]);
    assert!(run.out.contains("\nall            4"), "{}", run.out);
    assert!(run.out.contains("2 more are not shown"), "{}", run.out);
}

#[test]
fn broken_lines_are_counted_and_nothing_of_them_reaches_the_terminal() {
    let folder = Folder::new();
    let mut record = Record::new(UnixMillis(START));
    record.client = Some("\u{1b}[2J\u{9b}31m\u{202e}x".as_bytes());
    record.decision = Some(Decision::Allow);
    let good = line(&record);
    let raw = "{\"time\":\"2026-01-05T08:00:00Z\",\"client\":\"\u{9b}\u{7f}\u{202e}\"}\n";
    let text = [
        &good[..],
        raw.as_bytes(),
        b"\n",
        b"not json\n",
        &[0xff, 0xfe, 0, b'\n'],
        b"{\"time\":\"2026-01-05T08:00:00Z\",\"cost\":1e400}\n",
        b"{\"time\":\"2026-01-05T08:00:00Z\",\"x\":",
        &vec![b'['; 300_000],
        b"\n",
        &vec![b'x'; 5_000_000],
        b"\n",
        &good[..good.len() / 2],
    ]
    .concat();
    let file = folder.file("audit.log", &text);
    for options in [&["--json"][..], &["--csv"], &[]] {
        let run = tollgate([&["audit", "report", &file], options].concat());
        assert_eq!(run.status, 0, "{}", run.err);
        let told = if options == ["--csv"] { &run.err } else { &run.out };
        assert!(told.contains("6 lines are no records") || told.contains("\"broken_lines\": 6"));
        let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        let out = run.out.replace("\r\n", "\n");
        assert!(!out.contains(bad), "{out:?}");
    }
    for options in [&["--json"][..], &["--color", "never"]] {
        let run = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(["audit", "tail", "--no-follow", "-n", "99", &file])
            .args(options)
            .output()
            .unwrap();
        assert!(run.status.success());
        if options.len() == 2 {
            let out = String::from_utf8(run.stdout).unwrap();
            let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!out.contains(bad), "{out:?}");
            assert!(out.contains("no record: not json"), "{out}");
        }
    }
}

#[test]
fn what_can_be_read_of_damaged_files_is_reported() {
    let folder = Folder::new();
    let text = log(5, 5000);
    let mut cut = gzip(&text);
    cut.truncate(cut.len() / 2);
    let (cut, whole) = (folder.file("cut.gz", &cut), folder.file("whole", &text));
    let run = tollgate(["audit", "report", &cut, &whole, "/nonexistent", "--json"]);
    assert_eq!(run.status, 3);
    assert!(run.err.contains("cut.gz"), "{}", run.err);
    let told: Value = serde_json::from_str(&run.out).unwrap();
    let requests = told["total"]["requests"].as_u64().unwrap();
    assert!(requests > 5500 && requests < 9900, "{requests}");

    let run = tollgate(["audit", "report", "/nonexistent"]);
    assert_eq!(run.status, 3);
    assert!(run.err.contains("No such file"), "{}", run.err);
    let empty = folder.file("empty", b"");
    let run = tollgate(["audit", "report", &empty]);
    assert_eq!(run.status, 0, "{}", run.err);
    for command in ["tail", "top"] {
        assert_eq!(tollgate(["audit", command, "/nonexistent"]).status, 3);
    }
    assert_eq!(tollgate(["audit", "report"]).status, 2);
    assert_eq!(tollgate(["audit", "report", &whole, "--by", "path"]).status, 2);
    assert_eq!(tollgate(["audit", "report", &whole, "--since", "tomorrow"]).status, 2);
}

#[test]
fn whoever_stops_reading_is_not_told_of_an_error() {
    let folder = Folder::new();
    let file = folder.file("audit.log", &log(7, 20_000));
    for arguments in [
        &["tail", "--no-follow", "-n", "20000"][..],
        &["report", "--by", "hour"],
        &["report", "--by", "hour,client,key_id", "--csv"],
        &["report", "--by", "hour,client,key_id", "--json"],
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .arg("audit")
            .args(arguments)
            .arg(&file)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{:?}", output.status);
        assert!(output.stderr.is_empty());
    }
}

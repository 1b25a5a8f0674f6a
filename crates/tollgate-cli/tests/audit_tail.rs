//! `tollgate audit tail` and `top`: a log that is followed wherever it goes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod audit_log;
mod command;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{channel, Receiver};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use audit_log::{line, log, Folder, START};
use command::{tollgate, tollgate_with};
use serde_json::Value;
use tollgate_core::audit::Record;
use tollgate_core::clock::UnixMillis;
use tollgate_core::decision::Decision;
use tollgate_core::llm::{Source, Usage};

#[test]
fn tail_shows_the_last_lines_that_are_wanted() {
    let folder = Folder::new();
    let text = log(6, 3000);
    let file = folder.file("audit.log", &[&text[..], b"{\"time\":\"2026-"].concat());
    let lines: Vec<&str> = std::str::from_utf8(&text).unwrap().lines().collect();
    let tail = |options: &[&str]| {
        let run = tollgate([&["audit", "tail", "--no-follow", "--json", &file], options].concat());
        assert_eq!((run.status, run.err.as_str()), (0, ""));
        run.out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let last = |count: usize, wants: &dyn Fn(&Value) -> bool| -> Vec<String> {
        let wanted = |line: &&&str| wants(&serde_json::from_str(line).unwrap());
        let mut found: Vec<_> = lines.iter().filter(wanted).map(|l| (*l).to_owned()).collect();
        found.split_off(found.len().saturating_sub(count))
    };
    assert_eq!(tail(&[]), last(10, &|_| true));
    assert_eq!(tail(&["-n", "0"]), last(0, &|_| true));
    assert_eq!(tail(&["-n", "2900"]), last(2900, &|_| true));
    assert_eq!(tail(&["-n", "9999"]), last(3000, &|_| true));
    let denied = |record: &Value| record["decision"] == "deny";
    assert_eq!(tail(&["--denied", "-n", "500"]), last(500, &denied));
    let acme = |record: &Value| record["client"] == "acme" && record["decision"] == "deny";
    assert_eq!(tail(&["--client", "acme", "--denied"]), last(10, &acme));
    let corp = |record: &Value| record["tenant"] == "corp";
    assert_eq!(tail(&["--tenant", "corp", "-n", "50"]), last(50, &corp));
    assert_eq!(tail(&["--tenant", "nobody"]), last(10, &|_| false));
    let llama = |record: &Value| record["model"] == "llama-3.1-8b";
    assert_eq!(tail(&["--model", "llama-*", "-n", "50"]), last(50, &llama));

    let plain = tollgate(["audit", "tail", "--no-follow", &file]);
    assert_eq!(plain.out.lines().count(), 10);
    assert!(!plain.out.contains('\u{1b}'));
    let coloured = tollgate(["audit", "tail", "--no-follow", "--color", "always", &file]);
    assert!(coloured.out.contains("\u{1b}[2m"));
    let piped = tollgate_with(["audit", "tail", "-", "--json"], &text);
    assert_eq!(piped.out.as_bytes(), text);
}

/// `tollgate audit tail` of a file, as a process whose lines arrive one by one.
struct Tail {
    child: Child,
    lines: Receiver<String>,
}

impl Tail {
    fn new(path: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(["audit", "tail", "--json", "-n", "1"])
            .arg(path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line, as soon as it is there.
    fn next(&self) -> String {
        self.lines.recv_timeout(Duration::from_secs(20)).unwrap()
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn tail_follows_a_log_through_every_kind_of_rotation() {
    let folder = Folder::new();
    let number = std::cell::Cell::new(0);
    let next_line = || {
        number.set(number.get() + 1);
        let mut record = Record::new(UnixMillis(START + number.get()));
        record.client = Some(b"acme");
        String::from_utf8(line(&record)).unwrap()
    };
    let path = folder.path("audit.log");
    let append = |file: &mut File| {
        let line = next_line();
        file.write_all(line.as_bytes()).unwrap();
        line.trim_end().to_owned()
    };
    let open = || File::options().append(true).create(true).open(&path).unwrap();
    let mut file = open();
    append(&mut file);
    let latest = append(&mut file);
    let tail = Tail::new(&path);
    assert_eq!(tail.next(), latest);
    for round in 0..3 {
        // A line in two pieces.
        let line = next_line();
        let (begin, end) = line.split_at(20);
        file.write_all(begin.as_bytes()).unwrap();
        file.write_all(end.as_bytes()).unwrap();
        assert_eq!(tail.next(), line.trim_end());
        match round {
            0 => {
                // logrotate, and nginx that opens the new file later.
                fs::rename(&path, folder.path("audit.log.1")).unwrap();
                let late = append(&mut file);
                assert_eq!(tail.next(), late);
                file = open();
            }
            1 => {
                // copytruncate
                fs::copy(&path, folder.path("audit.log.2")).unwrap();
                file.set_len(0).unwrap();
            }
            _ => {
                // Replaced in one step.
                let new = folder.path("new");
                let mut replacement = File::options().append(true).create(true).open(&new).unwrap();
                let first = append(&mut replacement);
                fs::rename(&new, &path).unwrap();
                file = replacement;
                assert_eq!(tail.next(), first);
            }
        }
        let after = append(&mut file);
        assert_eq!(tail.next(), after);
    }
}

#[test]
fn top_counts_what_ended_within_the_window() {
    let folder = Folder::new();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = i64::try_from(since.as_millis()).unwrap();
    let record = |client: &'static [u8], ms_ago: i64, tokens| {
        let mut record = Record::new(UnixMillis(now - ms_ago));
        record.client = Some(client);
        record.decision = Some(Decision::Allow);
        record.usage = Some((Source::Measured, Usage { output: tokens, ..Usage::default() }));
        line(&record)
    };
    let text = [
        record(b"past", 7_200_000, 9),
        record(b"older", 1_000_000, 9),
        record(b"few", 100_000, 1),
        record(b"many", 90_000, 500),
        // Written late, by another worker.
        record(b"older", 800_000, 9),
        record(b"few", 80_000, 1),
    ];
    let file = folder.file("audit.log", &text.concat());
    let names = |options: &[&str]| {
        let run = tollgate([&["audit", "top", &file, "--json"], options].concat());
        let told: Value = serde_json::from_str(&run.out).unwrap();
        let group =
            |group: &Value| format!("{}:{}", group["name"].as_str().unwrap(), group["requests"]);
        told["groups"].as_array().unwrap().iter().map(group).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&[]), "many:1 few:2");
    assert_eq!(names(&["--sort", "requests"]), "few:2 many:1");
    assert_eq!(names(&["--window", "1h"]), "many:1 older:2 few:2");
    assert_eq!(names(&["--window", "1h", "--top", "1"]), "many:1");
    let run = tollgate(["audit", "top", &file, "--once"]);
    assert!(run.out.starts_with("the last 5 minutes, at 2"), "{}", run.out);
    assert!(run.out.contains("\nall            3"), "{}", run.out);
    let piped = tollgate(["audit", "top", &file]);
    assert_eq!(piped.status, 0);
    assert_eq!(piped.out.lines().count(), run.out.lines().count());
}

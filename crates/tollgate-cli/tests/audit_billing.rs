//! `tollgate audit report` for billing, and `show`: periods, filters, what is not certain, and which files.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod audit_log;
mod command;

use std::fs;
use std::process::Command;

use audit_log::{gzip, line, Folder};
use command::{tollgate, tollgate_with, Run};
use serde_json::Value;
use tollgate_core::audit::Record;
use tollgate_core::clock::UnixMillis;
use tollgate_core::decision::{Decision, Reason};
use tollgate_core::llm::{Source, Usage};

/// A line of a request that was charged; `cost`: in nano-units, if it has a price.
fn charged(time: &str, client: &str, model: &str, source: Source, cost: Option<u64>) -> Vec<u8> {
    let time = tollgate_core::rfc3339::parse(time).unwrap();
    let mut record = Record::new(UnixMillis(time.0));
    record.request_id = Some(b"id-1");
    record.client = Some(client.as_bytes());
    record.tenant = Some(b"corp");
    record.model = Some(model.as_bytes());
    record.decision = Some(Decision::Allow);
    record.usage = Some((source, Usage { input: 100, output: 10, ..Usage::default() }));
    record.cost_nanos = cost;
    line(&record)
}

/// The rows of a CSV, each with these columns.
fn rows(run: &Run, columns: &[&str]) -> Vec<String> {
    assert_eq!((run.status, run.err.as_str()), (0, ""));
    let mut reader = csv::Reader::from_reader(run.out.as_bytes());
    let head = reader.headers().unwrap().clone();
    let place = |name: &&str| head.iter().position(|column| column == *name).unwrap();
    let places: Vec<usize> = columns.iter().map(place).collect();
    let row =
        |row: csv::StringRecord| places.iter().map(|at| row[*at].to_owned()).collect::<Vec<_>>();
    reader.records().map(|one| row(one.unwrap()).join(" ")).collect()
}

fn year_end() -> Vec<u8> {
    [
        charged("2026-10-25T00:59:59.999Z", "acme", "llama", Source::Measured, Some(1)),
        charged("2026-11-30T23:59:59.999Z", "acme", "llama", Source::Measured, Some(2)),
        charged("2026-12-01T00:00:00.000Z", "acme", "llama", Source::Estimated, Some(4)),
        charged("2026-12-01T00:00:00.001Z", "acme", "qwen", Source::Partial, Some(8)),
        charged("2026-12-31T23:59:59.999Z", "globex", "llama", Source::Measured, Some(16)),
        charged("2027-01-01T00:00:00.000Z", "globex", "new", Source::Measured, None),
    ]
    .concat()
}

#[test]
fn rows_are_of_several_things_and_say_their_period() {
    let folder = Folder::new();
    let file = folder.file("audit.log", &year_end());
    let report =
        |options: &[&str]| tollgate([&["audit", "report", &file, "--csv"], options].concat());
    let columns = ["period_start", "period_end", "client", "model", "month", "requests", "cost"];
    assert_eq!(
        rows(&report(&["--by", "client,model,month"]), &columns),
        [
            "2026-10-01T00:00:00Z 2026-11-01T00:00:00Z acme llama 2026-10 1 0.000000001",
            "2026-11-01T00:00:00Z 2026-12-01T00:00:00Z acme llama 2026-11 1 0.000000002",
            "2026-12-01T00:00:00Z 2027-01-01T00:00:00Z acme llama 2026-12 1 0.000000004",
            "2026-12-01T00:00:00Z 2027-01-01T00:00:00Z acme qwen 2026-12 1 0.000000008",
            "2026-12-01T00:00:00Z 2027-01-01T00:00:00Z globex llama 2026-12 1 0.000000016",
            "2027-01-01T00:00:00Z 2027-02-01T00:00:00Z globex new 2027-01 1 0",
        ]
    );
    // What was left out of a period is not said to be in it.
    let columns = ["period_start", "period_end", "day", "requests"];
    assert_eq!(
        rows(
            &report(&["--by", "day", "--since", "2026-12", "--until", "2026-12-31T12:00:00Z"]),
            &columns
        ),
        ["2026-12-01T00:00:00Z 2026-12-02T00:00:00Z 2026-12-01 2"]
    );
    let half = [
        "--by",
        "month,day",
        "--since",
        "2026-11-30T12:00:00Z",
        "--until",
        "2026-12-01T00:00:00.001Z",
    ];
    assert_eq!(
        rows(&report(&half), &columns),
        [
            "2026-11-30T12:00:00Z 2026-12-01T00:00:00Z 2026-11-30 1",
            "2026-12-01T00:00:00Z 2026-12-01T00:00:00.001Z 2026-12-01 1",
        ]
    );
    // Without a period, the bounds of the report; without those, what there is.
    let columns = ["period_start", "period_end", "client", "requests"];
    assert_eq!(
        rows(&report(&["--client", "acme", "--since", "2026-11", "--until", "2027-01"]), &columns),
        ["2026-11-01T00:00:00Z 2027-01-01T00:00:00Z acme 3"]
    );
    assert_eq!(
        rows(&report(&["--client", "globex"]), &columns),
        ["2026-12-31T23:59:59.999Z 2027-01-01T00:00:00.001Z globex 2"]
    );
    let run = report(&["--by", "client,day,client"]);
    assert_eq!(run.status, 2);
    assert!(run.err.contains("--by has \"client\" twice"), "{}", run.err);
    assert_eq!(report(&["--by", "client,path"]).status, 2);
    let run = report(&["--since", "2027-01", "--until", "2026-12"]);
    assert_eq!(run.status, 2);
    assert!(run.err.contains("nothing ends between 2027-01-01T00:00:00Z"), "{}", run.err);
}

#[test]
fn filters_choose_requests_before_they_are_added_up() {
    let folder = Folder::new();
    let file = folder.file("audit.log", &year_end());
    let count = |options: &[&str]| {
        let run = tollgate([&["audit", "report", &file, "--json"], options].concat());
        serde_json::from_str::<Value>(&run.out).unwrap()["total"]["requests"].as_u64().unwrap()
    };
    assert_eq!(count(&[]), 6);
    assert_eq!(count(&["--client", "acme"]), 4);
    assert_eq!(count(&["--client", "acme", "--client", "globex"]), 6);
    assert_eq!(count(&["--model", "ll*"]), 4);
    assert_eq!(count(&["--model", "ll*", "--client", "globex"]), 1);
    assert_eq!(count(&["--tenant", "corp", "--client", "nobody"]), 0);
    assert_eq!(count(&["--tenant", "cor"]), 0);
}

#[test]
fn what_is_not_certain_is_marked() {
    let folder = Folder::new();
    let file = folder.file("audit.log", &year_end());
    let run = tollgate(["audit", "report", &file, "--json"]);
    let told: Value = serde_json::from_str(&run.out).unwrap();
    let part = |requests: u64, cost: Option<&str>| {
        let cost = cost.map_or(String::new(), |cost| format!(r#","cost":{cost}"#));
        let tokens =
            format!(r#""input_tokens":{},"output_tokens":{}"#, requests * 100, requests * 10);
        format!(r#"{{"requests":{requests},{tokens}{cost}}}"#)
    };
    let is =
        |told: &Value, json: &str| assert_eq!(*told, serde_json::from_str::<Value>(json).unwrap());
    is(&told["total"]["estimated"], &part(1, Some("0.000000004")));
    is(&told["total"]["partial"], &part(1, Some("0.000000008")));
    is(&told["total"]["unpriced"], &part(1, None));
    // To the last digit, which a parser of JSON may not keep.
    assert!(run.out.contains("\"cost\": 0.000000031"), "{}", run.out);

    let text = tollgate(["audit", "report", &file]).out;
    let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap();
    let words =
        |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    assert_eq!(
        words(line("client")),
        "client requests input output cost estimated partial unpriced"
    );
    assert_eq!(words(line("acme")), "acme 4 400 40 0.000000015 1 1 0");
    assert_eq!(words(line("globex")), "globex 2 200 20 0.000000016 0 0 1");
    assert!(
        line("estimated:").contains("1 request, 110 tokens, 0.000000004 of the cost"),
        "{text}"
    );
    assert!(line("partial:").contains("1 request, 110 tokens, 0.000000008 of the cost"), "{text}");
    assert!(
        line("unpriced:").contains("1 request, 110 tokens; their models have no price"),
        "{text}"
    );

    // Who has no prices at all is not told so in each row.
    let free = charged("2027-01-01T00:00:00.000Z", "acme", "new", Source::Measured, None);
    let free = folder.file("free.log", &free);
    let text = tollgate(["audit", "report", &free]).out;
    assert!(!text.contains("unpriced") && text.contains("acme"), "{text}");
    let json: Value =
        serde_json::from_str(&tollgate(["audit", "report", &free, "--json"]).out).unwrap();
    assert_eq!(json["total"]["unpriced"]["requests"], 1);
}

#[test]
fn the_day_before_is_one_of_utc() {
    let folder = Folder::new();
    let now = now_ms();
    let midnight = now - now.rem_euclid(86_400_000);
    let at = |ms: i64, client: &str| {
        let mut record = Record::new(UnixMillis(ms));
        record.client = Some(client.as_bytes());
        line(&record)
    };
    let text = [
        at(midnight - 86_400_001, "before"),
        at(midnight - 86_400_000, "first"),
        at(midnight - 1, "last"),
        at(midnight, "today"),
    ];
    let file = folder.file("audit.log", &text.concat());
    let clients = |options: &[&str], zone: &str| {
        let run = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args([&["audit", "report", &file, "--json", "--sort", "name"], options].concat())
            .env("TZ", zone)
            .output()
            .unwrap();
        let told: Value = serde_json::from_slice(&run.stdout).unwrap();
        let name = |group: &Value| group["client"].as_str().unwrap().to_owned();
        told["groups"].as_array().unwrap().iter().map(name).collect::<Vec<_>>().join(" ")
    };
    for zone in ["UTC", "America/New_York", "Pacific/Kiritimati"] {
        assert_eq!(clients(&["--since", "yesterday", "--until", "today"], zone), "first last");
        assert_eq!(clients(&["--since", "today"], zone), "today");
        assert_eq!(clients(&["--until", "yesterday"], zone), "before");
    }
}

/// Milliseconds since 1970.
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

fn requests(run: &Run) -> u64 {
    let told: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(told["broken_lines"], 0);
    told["total"]["requests"].as_u64().unwrap()
}

#[test]
fn the_log_may_be_named_by_the_environment_and_its_rotations_found() {
    let folder = Folder::new();
    let one = charged("2026-12-01T00:00:00Z", "acme", "llama", Source::Measured, Some(1));
    let log = folder.file("audit.log", &one);
    folder.file("audit.log.1", &one.repeat(2));
    folder.file("audit.log.2.gz", &gzip(&one.repeat(4)));
    folder.file("audit.log-20261101", &one.repeat(8));
    folder.file("audit.log.bak", &one.repeat(16));
    folder.file("other.log.1", &one.repeat(32));
    // logrotate compresses it just now.
    folder.file("audit.log.1.gz", &gzip(&one.repeat(2))[..20]);
    let run = |arguments: &[&str]| {
        let run = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(arguments)
            .env("TOLLGATE_AUDIT_LOG", &log)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { status: run.status.code().unwrap(), out: text(run.stdout), err: text(run.stderr) }
    };
    assert_eq!(requests(&run(&["audit", "report", "--json"])), 1);
    let all = run(&["audit", "report", "--json", "--rotated"]);
    assert_eq!((all.status, requests(&all)), (0, 15));
    assert!(all.err.contains("audit.log.1.gz is left out"), "{}", all.err);
    // Whoever names one is obeyed.
    let other = folder.path("other.log.1");
    assert_eq!(requests(&run(&["audit", "report", "--json", other.to_str().unwrap()])), 32);
    assert_eq!(run(&["audit", "tail", "--no-follow"]).out.lines().count(), 1);
    assert_eq!(run(&["audit", "top", "--once"]).status, 0);
    assert_eq!(run(&["audit", "show", "id-1"]).out.matches("request_id").count(), 1);
    assert_eq!(run(&["audit", "show", "id-1", "--rotated", "--json"]).out.lines().count(), 15);
    for command in [&["audit", "report"][..], &["audit", "tail"], &["audit", "show", "id-1"]] {
        let run = tollgate(command);
        assert_eq!(run.status, 2);
        assert!(run.err.contains("FILE"), "{}", run.err);
    }
}

#[test]
fn no_request_is_counted_twice() {
    let folder = Folder::new();
    let one = charged("2026-12-01T00:00:00Z", "acme", "llama", Source::Measured, Some(1));
    let log = folder.file("audit.log", &one);
    fs::hard_link(&log, folder.path("audit.log.1")).unwrap();
    let other = folder.path("audit.log.1");
    let run = tollgate(["audit", "report", "--json", &log, &log, other.to_str().unwrap()]);
    assert_eq!((run.status, requests(&run)), (0, 1));
    assert_eq!(run.err.matches("is named twice, and read once").count(), 2, "{}", run.err);

    let packed = folder.file("audit.log.gz", &gzip(&one));
    let run = tollgate(["audit", "report", "--json", &log, &packed]);
    assert_eq!((run.status, requests(&run)), (0, 1));
    let run = tollgate(["audit", "report", "--json", &packed]);
    assert_eq!((run.status, requests(&run), run.err.as_str()), (0, 1, ""));

    for (name, bytes) in
        [("a.zst", &[0x28, 0xb5, 0x2f, 0xfd, 0][..]), ("a.bz2", b"BZh9"), ("a.xz", b"\xfd7zXZ\0")]
    {
        let run = tollgate(["audit", "report", &folder.file(name, bytes)]);
        assert_eq!(run.status, 3);
        assert!(run.err.contains("compressed in a way that is not read here"), "{}", run.err);
    }
}

#[test]
fn seals_and_numbers_of_lines_are_passed_over() {
    let folder = Folder::new();
    let one = charged("2026-12-01T00:00:00Z", "acme", "llama", Source::Measured, Some(1));
    let numbered = String::from_utf8(one).unwrap().replacen('{', "{\"seq\":1,", 1);
    let seal = "{\"seal\":{\"first\":1,\"last\":1,\"mac\":\"x\"},\"time\":\"2026-12-01T00:00:00Z\",\"request_id\":\"id-2\"}\n";
    let file = folder.file("audit.log", format!("{numbered}{seal}{numbered}{seal}").as_bytes());
    for command in ["report", "top"] {
        let run = tollgate(["audit", command, &file, "--json"]);
        assert_eq!(run.status, 0);
        assert!(!run.out.contains("seal"), "{}", run.out);
    }
    assert_eq!(requests(&tollgate(["audit", "report", &file, "--json"])), 2);
    let tail = tollgate(["audit", "tail", "--no-follow", "--json", &file]);
    assert_eq!(tail.out, numbered.repeat(2));
    let text = tollgate(["audit", "tail", "--no-follow", &file]);
    assert_eq!(text.out.lines().count(), 2);
    assert!(!text.out.contains("no record"), "{}", text.out);
    let piped =
        tollgate_with(["audit", "tail", "--json", "-"], format!("{seal}{numbered}").as_bytes());
    assert_eq!(piped.out, numbered);
    assert_eq!(tollgate(["audit", "show", "id-2", &file]).status, 1);
}

#[test]
fn a_request_is_shown_by_its_id() {
    let folder = Folder::new();
    let record = |id: &'static [u8], reason: Option<Reason>| {
        let mut record = Record::new(UnixMillis(1_767_600_000_000));
        record.request_id = Some(id);
        record.client = Some("\u{1b}[2Jx\u{202e}\n".as_bytes());
        record.decision = Some(reason.map_or(Decision::Allow, Decision::Deny));
        line(&record)
    };
    let (first, second) = (record(b"id-1", None), record(b"id-2", Some(Reason::ModelDenied)));
    let log =
        folder.file("audit.log", &[&first[..], &second, b"{\"request_id\":\"id-3\"\n"].concat());
    let old = folder.file("audit.log.1.gz", &gzip(&second));

    let run = tollgate(["audit", "show", "id-1", &log, &old]);
    assert_eq!((run.status, run.err.as_str()), (0, ""));
    let expected = format!(
        "{log}, line 1\ntime        2026-01-05T08:00:00.000Z\nrequest_id  id-1\ndecision    allow\n\
         client      \\u{{1b}}[2Jx\\u{{202e}}\\u{{a}}\n"
    );
    assert!(run.out.starts_with(&expected), "{}", run.out);
    let run = tollgate(["audit", "show", "id-2", &log, &old]);
    assert!(run.out.contains(&format!("{log}, line 2\n")), "{}", run.out);
    assert!(run.out.contains(&format!("\n\n{old}, line 1\n")), "{}", run.out);
    assert_eq!(run.out.matches("reason      model_denied\n").count(), 2, "{}", run.out);
    let run = tollgate(["audit", "show", "--json", "id-2", &log, &old]);
    assert_eq!(run.out.as_bytes(), second.repeat(2));

    for id in ["id", "id-", "id-3", "ID-1", ""] {
        let run = tollgate(["audit", "show", id, &log]);
        assert_eq!((run.status, run.out.as_str()), (1, ""), "{id}");
        assert!(run.err.contains("no request"), "{}", run.err);
    }
    let run = tollgate(["audit", "show", "id-1", &log, "/nonexistent"]);
    assert_eq!(run.status, 3);
    assert!(run.out.contains("id-1"));
}

//! `tollgate client` and `tollgate status` at a socket at which something answers as nginx does. What nginx answers,
//! tests/control.t sees.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod command;

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use command::{tollgate, Run};
use serde_json::{json, Value};

/// Something that answers one line after the other, and what it was asked.
struct Nginx {
    folder: tempfile::TempDir,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Nginx {
    /// Each connection gets the next of these lines.
    fn answering(lines: Vec<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        std::thread::spawn(move || {
            for line in lines {
                let Ok((stream, _)) = listener.accept() else { return };
                let mut request = String::new();
                BufReader::new(&stream).read_line(&mut request).unwrap();
                noted.lock().unwrap().push(serde_json::from_str(&request).unwrap());
                let _ = (&stream).write_all(line.as_bytes());
            }
        });
        Self { folder, asked }
    }

    fn ok(answers: Vec<Value>) -> Self {
        Self::answering(
            answers.into_iter().map(|ok| format!("{}\n", json!({ "ok": ok }))).collect(),
        )
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let socket = self.socket();
        let mut all = arguments.to_vec();
        all.extend(["--socket", socket.to_str().unwrap()]);
        tollgate(all)
    }

    fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().clone()
    }
}

fn client(name: &str) -> Value {
    json!({
        "client": name, "tier": "pro", "tenant": "north", "last_seen": "2026-12-01T15:04:05.678Z",
        "requests": 1234, "refused": 1, "input_tokens": 5210, "output_tokens": 1874, "cost": "0.0187",
        "in_flight": 2, "worst": 0.875,
        "limits": [
            {"name": "requests 100r/m", "dimension": "requests", "quota": 100, "burst": 200, "period": "minute",
             "used": 175, "left": 25, "used_ratio": 0.875, "reset_seconds": 52.56},
            {"name": "budget 20/day", "dimension": "budget", "quota": "20", "period": "day",
             "used": "0.0187", "left": "19.9813", "used_ratio": 0.0009, "reset_seconds": 32154.0},
            {"name": "tokens 1m/d", "dimension": "tokens", "quota": 1_000_000, "burst": 1_000_000, "period": "day",
             "used": 0, "left": 1_000_000, "used_ratio": 0.0, "reset_seconds": 0.0},
            {"name": "concurrency 8", "dimension": "concurrency", "quota": 8, "used": 2, "left": 6,
             "used_ratio": 0.25},
        ],
    })
}

#[test]
fn a_client_is_shown_with_each_of_its_limits() {
    let nginx = Nginx::ok(vec![client("acme"), client("acme")]);
    let run = nginx.run(&["client", "show", "acme"]);
    assert_eq!((run.status, run.err.as_str()), (0, ""), "{}", run.err);
    for line in [
        "  requests     1,234, 1 of them refused\n",
        "  tokens       5,210 of input, 1,874 of output\n",
        "limit              used       left         of  share  full again\n",
        "requests 100r/m     175         25        200    87%  in 52.6 s\n",
        "budget 20/day    0.0187    19.9813         20     0%  in 8 hours\n",
        "tokens 1m/d           0  1,000,000  1,000,000     0%  is full\n",
        "concurrency 8         2          6          8    25%  -\n",
    ] {
        assert!(run.out.contains(line), "{line}{}", run.out);
    }
    let run = nginx.run(&["client", "show", "acme", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&run.out).unwrap(), client("acme"));
    assert_eq!(nginx.asked()[0], json!({"command": "client", "client": "acme"}));
}

#[test]
fn a_client_that_was_not_seen_is_no_client() {
    let refused = json!({"error": {"code": "unknown_client", "message": "no client of that name"}});
    let nginx = Nginx::answering(vec![format!("{refused}\n")]);
    let run = nginx.run(&["client", "show", "ac\u{1b}[2Jme"]);
    assert_eq!((run.status, run.out.as_str()), (1, ""));
    assert_eq!(run.err, "no client \"ac\\u{1b}[2Jme\" was seen lately\n");
}

#[test]
fn clients_are_listed_in_lines_that_fit() {
    let nasty = format!("{}\u{1b}[31m\u{202e}", "n".repeat(14));
    let list = json!({"clients": [client("acme"), client(&nasty)], "total": 2});
    let nginx = Nginx::ok(vec![list]);
    let run = nginx.run(&["client", "list", "--sort", "cost", "--search", "a"]);
    assert_eq!(run.status, 0, "{}", run.err);
    assert!(run.out.lines().all(|line| line.chars().count() <= 80), "{}", run.out);
    assert!(!run.out.contains('\u{1b}') && !run.out.contains('\u{202e}'), "{}", run.out);
    assert!(run.out.contains("acme"), "{}", run.out);
    assert!(!run.out.contains(" of 2 clients"), "{}", run.out);
    let asked =
        json!({"command": "clients", "sort": "cost", "search": "a", "offset": 0, "limit": 50});
    assert_eq!(nginx.asked(), [asked]);
}

#[test]
fn a_long_list_is_asked_for_in_parts() {
    let part = |from: usize, to: usize| {
        let clients: Vec<Value> = (from..to).map(|n| client(&format!("c{n}"))).collect();
        json!({"clients": clients, "total": 1000})
    };
    let nginx = Nginx::ok(vec![part(10, 210), part(210, 310)]);
    let run = nginx.run(&["client", "list", "--offset", "10", "--limit", "300"]);
    assert_eq!(run.status, 0, "{}", run.err);
    assert!(
        run.out.ends_with("\n11 to 310 of 1,000 clients; --offset 310 shows those that follow\n"),
        "{}",
        run.out
    );
    assert_eq!(run.out.lines().filter(|line| line.starts_with('c')).count(), 301);
    let of = |asked: &Value| (asked["offset"].clone(), asked["limit"].clone());
    let asked: Vec<_> = nginx.asked().iter().map(of).collect();
    assert_eq!(asked, [(json!(10), json!(200)), (json!(210), json!(100))]);

    // Where they have become fewer, it ends.
    let nginx = Nginx::ok(vec![part(0, 200), json!({"clients": [], "total": 1000})]);
    let run = nginx.run(&["client", "list", "--limit", "300", "--json"]);
    let list: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((list["clients"].as_array().unwrap().len(), &list["total"]), (200, &json!(1000)));

    let nginx = Nginx::ok(vec![json!({"clients": [], "total": 0})]);
    let run = nginx.run(&["client", "list", "--search", "none"]);
    assert_eq!((run.status, run.out.as_str()), (1, ""));
}

#[test]
fn limits_begin_anew() {
    let reset = |slots: usize| json!({"reset": {"slots": slots}});
    let nginx = Nginx::ok(vec![reset(2), reset(1), reset(0)]);
    let run = nginx.run(&["client", "reset", "acme"]);
    assert_eq!((run.status, run.out.as_str()), (0, "acme: all limits anew\n"));
    let run = nginx.run(&["client", "reset", "acme", "--limit", "budget"]);
    assert_eq!((run.status, run.out.as_str()), (0, "acme: budget anew\n"));
    let run = nginx.run(&["client", "reset", "nobody"]);
    assert_eq!((run.status, run.out.as_str()), (1, ""));
    assert_eq!(run.err, "nothing was used of limits of a client \"nobody\"\n");
    let asked = nginx.asked();
    assert_eq!(asked[0], json!({"command": "reset", "client": "acme"}));
    assert_eq!(asked[1], json!({"command": "reset", "client": "acme", "limit": "budget"}));
    for wrong in ["concurrency", "Budget", ""] {
        assert_eq!(nginx.run(&["client", "reset", "acme", "--limit", wrong]).status, 2, "{wrong}");
    }
}

#[test]
fn requests_are_dropped_and_counted() {
    for (requests, status, out, err) in [
        (3, 0, "acme: 3 requests have ended\n", ""),
        (1, 0, "acme: 1 request has ended\n", ""),
        (0, 1, "", "no request of a client \"acme\" was in flight\n"),
    ] {
        let nginx = Nginx::ok(vec![
            json!({"drop": {"order": 7}}),
            json!({"dropped": {"requests": requests}}),
        ]);
        let run = nginx.run(&["client", "drop", "acme"]);
        assert_eq!((run.status, run.out.as_str(), run.err.as_str()), (status, out, err));
        let asked = nginx.asked();
        assert_eq!(asked[0], json!({"command": "drop", "client": "acme"}));
        assert_eq!(asked[1], json!({"command": "dropped", "order": 7}));
    }
}

#[test]
fn it_is_said_why_nobody_answers() {
    let run_at = |socket: &str| tollgate(["client", "show", "acme", "--socket", socket]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let path = path.to_str().unwrap();
    let run = run_at(path);
    assert_eq!((run.status, run.out.as_str()), (3, ""));
    assert!(
        run.err.contains(&format!("say \"tollgate_control unix:{path};\" in nginx.conf")),
        "{}",
        run.err
    );
    drop(UnixListener::bind(path).unwrap());
    let run = run_at(&format!("unix:{path}"));
    assert_eq!(run.status, 3);
    assert!(run.err.contains("was left by an nginx that doesn't run any more"), "{}", run.err);

    for (line, status, told) in [
        ("", 3, "hears nobody but root and the user that starts it"),
        ("HTTP/1.1 400 Bad Request\r\n", 3, "is no nginx with this version of Tollgate"),
        (
            r#"{"error":{"code":"too_many","message":"try later\u001b[2J"}}"#,
            3,
            "tollgate: try later\\u{1b}[2J\n",
        ),
        (r#"{"error":{"code":"malformed","message":"no"}}"#, 2, "tollgate: no\n"),
    ] {
        let nginx = Nginx::answering(vec![line.to_owned()]);
        let run = nginx.run(&["client", "show", "acme"]);
        assert_eq!((run.status, run.out.as_str()), (status, ""), "{line}");
        assert!(run.err.contains(told), "{line}: {}", run.err);
    }
}

fn overview(workers_on_it: u64) -> Value {
    json!({
        "version": "0.1.0", "nginx": "1.22.1", "workers": 2, "requests_per_second": 12.5, "in_flight": 3,
        "keys": [{"paths": ["/etc/keys.json"], "kind": "api_keys", "keys": 5, "workers_on_it": workers_on_it,
                  "workers": 2, "refused": [], "refused_count": 0, "warnings": []}],
    })
}

#[test]
fn the_server_is_shown_at_a_glance() {
    // No status file tells there.
    let none = tempfile::tempdir().unwrap().path().join("none");
    let nginx = Nginx::ok(vec![overview(2), overview(1), overview(2)]);
    let status = |arguments: &[&str]| {
        let mut all = vec!["status"];
        all.extend(arguments);
        nginx.run(&all)
    };
    let run = status(&[]);
    if run.out.contains("nginx, of") {
        // An nginx of this machine's own has one.
        return;
    }
    assert_eq!(run.status, 0, "{}", run.err);
    for part in ["Tollgate 0.1.0, nginx 1.22.1\n", "requests/s    12.5\n", "/etc/keys.json\n"] {
        assert!(run.out.contains(part), "{part}: {}", run.out);
    }
    let run = status(&[]);
    assert_eq!(run.status, 1);
    assert!(run.out.contains("in 1 of 2 workers"), "{}", run.out);
    let run = status(&["--json"]);
    let all: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(all, json!([{"ok": true, "overview": overview(2)}]));
    assert_eq!(nginx.asked()[0], json!({"command": "status"}));

    // A file that was named and isn't there is told of, whatever the socket says.
    let nginx = Nginx::ok(vec![overview(2)]);
    let run = nginx.run(&["status", "--status-file", none.to_str().unwrap()]);
    assert_eq!(run.status, 3);
    assert!(run.err.contains("tollgate_status_file"), "{}", run.err);
    // And so is a socket.
    let run = tollgate(["status", "--socket", none.to_str().unwrap()]);
    assert_eq!(run.status, 3);
    assert!(run.err.contains("tollgate_control"), "{}", run.err);
}

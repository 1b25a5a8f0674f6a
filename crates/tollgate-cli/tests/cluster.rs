//! `--cluster`, as a user runs it, with a real store.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod command;
mod keyring;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use command::tollgate;
use keyring::Keys;
use serde_json::Value;
use store_client::{Access, Client, Config, Greeting, NodeRow};
use tollgate_core::cluster::message::{Incarnation, Message};
use tollgate_core::cluster::revocations::KeyHash;

/// A store at a socket of the file system, which ends with it.
struct Store {
    folder: tempfile::TempDir,
    server: Child,
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Store {
    /// `None`: there is no program for it here.
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let program = ["redis-server", "valkey-server"].into_iter().find_map(|program| {
            let mut command = Command::new(program);
            command.args([
                "--port",
                "0",
                "--save",
                "",
                "--appendonly",
                "no",
                "--requirepass",
                "correct horse",
            ]);
            command.arg("--unixsocket").arg(&path).arg("--dir").arg(folder.path());
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
        });
        let Some(server) = program else {
            eprintln!(
                "skipped: neither redis-server nor valkey-server is here (scripts/setup --cluster)"
            );
            return None;
        };
        std::fs::write(folder.path().join("p"), "correct horse\n").unwrap();
        let store = Self { folder, server };
        let begun = Instant::now();
        while store.client().prepare().is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "the store doesn't start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(store)
    }

    fn words(&self) -> String {
        let folder = self.folder.path().display();
        format!("unix:{folder}/s password_file={folder}/p name=prod")
    }

    fn client(&self) -> Client {
        let words = format!("{} on_loss=local", self.words());
        let config = Config::parse(words.split(' '), "node").unwrap();
        Client::new(&config, &Access::read(&config, Path::new("/")).unwrap()).unwrap()
    }

    fn greet(&self, name: &str, number: u64, revocations: u64) {
        let mut client = self.client();
        client.prepare().unwrap();
        let row = NodeRow {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            leases: 1200,
            lag_us: 740,
            exchange_ms: 50,
            revocations,
        };
        let incarnation = Incarnation::from_random(number << 11);
        let message = Message { incarnation, seq: 1, latest_us: 0, lines: Vec::new() };
        let spoken = client.speak(Some(&Greeting { row, seed: (1, 2) }), &message, soon());
        assert!(matches!(spoken.greeted, Some(Ok(_))), "{spoken:?}");
    }

    fn revoked(&self) -> Vec<(KeyHash, bool)> {
        let mut client = self.client();
        client.prepare().unwrap();
        client
            .revocations(0, soon())
            .unwrap()
            .iter()
            .map(|word| (word.key, word.is_revoked))
            .collect()
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

#[test]
fn a_key_is_revoked_in_the_file_and_in_all_nodes() {
    let Some(store) = Store::start() else { return };
    let keys = Keys::new();
    let (key, id) = keys.create(&["--client", "acme"]);
    keys.create(&["--client", "other"]);
    let hash = KeyHash::parse(keys.entries()[0]["hash"].as_str().unwrap()).unwrap();
    let run = keys.run(&["revoke", &id, "--cluster", "--store", &store.words()]);
    assert_eq!(run.status, 0, "{}", run.err);
    assert!(run.err.contains("no node speaks to the store now"), "{}", run.err);
    assert_eq!(store.revoked(), [(hash, true)]);
    assert_eq!(keys.entries()[0]["disabled"], true);
    assert!(!run.err.contains(&key) && !run.err.contains("correct horse"));
    // A node that doesn't hear is named.
    store.greet("east-1", 1, 0);
    let run = keys.run(&["revoke", &id, "--cluster", "--store", &store.words()]);
    assert_eq!(run.status, 0, "{}", run.err);
    assert!(run.err.contains("of 1 nodes, these have not heard yet: east-1"), "{}", run.err);
}

#[test]
fn a_disabled_key_is_enabled_in_all_nodes() {
    let Some(store) = Store::start() else { return };
    let keys = Keys::new();
    let (_, id) = keys.create(&["--client", "acme"]);
    let hash = KeyHash::parse(keys.entries()[0]["hash"].as_str().unwrap()).unwrap();
    for (what, is_revoked) in [("disable", true), ("enable", false), ("disable", true)] {
        let run = keys.run(&[what, &id, "--cluster", "--store", &store.words()]);
        assert_eq!(run.status, 0, "{}", run.err);
        assert_eq!(store.revoked(), [(hash, is_revoked)], "{what}");
    }
}

#[test]
fn the_file_is_changed_even_if_the_store_is_away_and_that_is_said() {
    let keys = Keys::new();
    let (_, id) = keys.create(&["--client", "acme"]);
    let run = keys.run(&["revoke", &id, "--cluster", "--store", "unix:/nonexistent/store"]);
    assert_eq!(run.status, 3);
    assert!(run.err.contains("the file is changed, and the cluster may not know"), "{}", run.err);
    assert_eq!(keys.entries()[0]["disabled"], true);
    for (words, text) in [
        ("redis://:hunter2@cache-1", "password_file="),
        ("redis://cache-1 sentinel=a cluster", "exclude each other"),
        ("redis://cache-1 password_file=/nonexistent", "can't be read"),
    ] {
        let run = keys.run(&["revoke", &id, "--cluster", "--store", words]);
        assert!(run.status != 0 && run.err.contains(text), "{}", run.err);
        assert!(!run.err.contains("hunter2"));
    }
    let run = keys.run(&["revoke", &id, "--store", "redis://cache-1"]);
    assert_eq!(run.status, 2, "without --cluster");
}

#[test]
fn nodes_are_shown() {
    let Some(store) = Store::start() else { return };
    let words = store.words();
    let status = |more: &[&str]| {
        let words = ["status", "--cluster", "--store", &words];
        tollgate([words.as_slice(), more].concat())
    };
    let run = status(&[]);
    assert_eq!((run.status, run.out.contains("no node has spoken")), (1, true), "{}", run.err);
    store.greet("east-1", 1, 0);
    store.greet("west-1", 2, 0);
    let run = status(&[]);
    assert_eq!(run.status, 0, "{}", run.err);
    assert!(run.out.starts_with("Cluster prod\n"), "{}", run.out);
    let row = run.out.lines().find(|line| line.starts_with("east-1")).unwrap();
    assert!(row.contains("alive") && row.contains("1,200") && row.contains("0.7"), "{row}");
    let run = status(&["--json"]);
    let told: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(told["nodes"][1]["node"], "west-1");
    assert_eq!(
        (told["nodes"][1]["state"].as_str(), told["ok"].as_bool()),
        (Some("alive"), Some(true))
    );
    assert_eq!(told["nodes"][1]["leases"], 1200);
    // One hasn't heard of what another one has.
    store.greet("west-1", 2, 7);
    assert_eq!(status(&[]).status, 1);
}

#[test]
fn the_doctor_asks_the_store() {
    let Some(mut store) = Store::start() else { return };
    store.greet("east-1", 1, 0);
    let path = store.folder.path().join("nginx.conf");
    let words = store.words();
    let conf =
        format!("events {{ }}\nhttp {{\n    tollgate_cluster {words} expected_nodes=2;\n}}\n");
    std::fs::write(&path, conf).unwrap();
    let path = path.display().to_string();
    let doctor = || tollgate(["doctor", "--config", &path, "--json"]);
    let found = |run: &command::Run| {
        let said: Value = serde_json::from_str(&run.out).unwrap();
        let findings = said["findings"].as_array().unwrap();
        let names = findings.iter().map(|one| one["check"].as_str().unwrap().to_owned());
        let mut names: Vec<_> = names.filter(|name| name.starts_with("cluster-")).collect();
        names.sort_unstable();
        names
    };
    let run = doctor();
    assert_eq!(found(&run), ["cluster-nodes", "cluster-persistence"], "{} {}", run.out, run.err);
    store.server.kill().unwrap();
    store.server.wait().unwrap();
    let run = doctor();
    assert_eq!(found(&run), ["cluster-store"], "{} {}", run.out, run.err);
    assert!(!run.out.contains("correct horse"), "{}", run.out);
}

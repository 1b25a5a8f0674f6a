//! `tollgate status` and `--wait`, with files such as nginx writes them. What nginx writes,
//! tests/status.t sees.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod command;

use std::fs;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use command::{tollgate, Run};
use serde_json::Value;
use tollgate_core::status::{
    digest, Board, Description, Failure, Phase, SetDescription, SetKind, SetState, Sign, Worker,
};

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

struct Folder(tempfile::TempDir);

/// What an nginx says that has one keys file.
#[derive(Clone)]
struct Nginx {
    state: Option<SetState>,
    /// What each worker uses; the last of them is as given.
    generations: Vec<u64>,
    last: Phase,
    age_ms: i64,
    beat_age_ms: i64,
    has_locks: bool,
}

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let made = folder.run(&["key", "create", "--client", "acme", "--id", "k_1", "--quiet"]);
        assert_eq!(made.status, 0, "{}", made.err);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let (keys, status) = (self.path("keys.json"), self.path("status"));
        let mut all = arguments.to_vec();
        if arguments[0] == "key" {
            all.extend(["--file", keys.to_str().unwrap()]);
        }
        all.extend(["--status-file", status.to_str().unwrap()]);
        tollgate(all)
    }

    fn digest(&self) -> String {
        digest(&fs::read(self.path("keys.json")).unwrap())
    }

    /// An nginx that has taken what the file holds.
    fn nginx(&self) -> Nginx {
        let state = SetState {
            generation: 3,
            digests: vec![self.digest()],
            keys: 1,
            ..SetState::default()
        };
        Nginx {
            state: Some(state),
            generations: vec![3, 3],
            last: Phase::Running,
            age_ms: 60_000,
            beat_age_ms: 0,
            has_locks: false,
        }
    }

    fn write(&self, name: &str, nginx: &Nginx) {
        let path = self.path("keys.json").to_str().unwrap().to_owned();
        let description = Description {
            version: "0.1.0".to_owned(),
            since_ms: now_ms() - nginx.age_ms,
            tiers: vec!["free".to_owned()],
            sets: vec![SetDescription { kind: SetKind::ApiKeys, paths: vec![path] }],
        };
        let (board, mut file) = Board::new(&description, nginx.generations.len());
        let mut parts = Vec::new();
        if let Some(state) = &nginx.state {
            parts.extend(board.set_parts(0, 0, state).unwrap());
        }
        for (index, generation) in nginx.generations.iter().enumerate() {
            let is_last = index + 1 == nginx.generations.len();
            let sign = match nginx.has_locks {
                true => Sign::Lock,
                false => Sign::Beat(now_ms() - nginx.beat_age_ms),
            };
            let worker = Worker {
                pid: 100 + u32::try_from(index).unwrap(),
                phase: if is_last { nginx.last } else { Phase::Running },
                sign,
                generations: vec![*generation],
            };
            parts.push(board.worker_part(index, &worker).unwrap());
        }
        for part in parts {
            let at = usize::try_from(part.at).unwrap();
            file[at..at + part.bytes.len()].copy_from_slice(&part.bytes);
        }
        fs::write(self.path(name), file).unwrap();
    }

    /// Enabling what is enabled writes nothing new.
    fn wait(&self) -> Run {
        self.run(&["key", "enable", "k_1", "--wait=100ms"])
    }
}

#[test]
fn status_is_good_only_if_all_that_is_in_the_file_is_in_force_in_all_workers() {
    let folder = Folder::new();
    let good = folder.nginx();
    let with = |state| Nginx { state: Some(state), ..good.clone() };
    let state = good.state.clone().unwrap();
    let failure = Some(Failure { error: "it is broken".to_owned(), ..Failure::default() });
    let refused = vec!["key \"k_2\": field \"expires\"".to_owned()];
    for (nginx, status, text) in [
        (good.clone(), 0, "in force in 2 of 2 workers"),
        (Nginx { generations: vec![3, 2], ..good.clone() }, 1, "in 1 of 2 workers"),
        (Nginx { last: Phase::Exiting, ..good.clone() }, 1, "1 of 2 take requests"),
        (Nginx { last: Phase::Absent, ..good.clone() }, 1, "in 1 of 2 workers"),
        (Nginx { state: None, ..good.clone() }, 1, "is being written"),
        (
            with(SetState { digests: vec![digest(b"other")], ..state.clone() }),
            1,
            "holds something else",
        ),
        (with(SetState { failure, ..state.clone() }), 1, "not taken it is broken"),
        (with(SetState { refused, refused_count: 3, ..state.clone() }), 1, "2 more entries"),
        (with(SetState { warnings: vec!["a mount".to_owned()], ..state }), 0, "warning a mount"),
    ] {
        folder.write("status", &nginx);
        let run = folder.run(&["status"]);
        assert_eq!(run.status, status, "{text}: {}{}", run.out, run.err);
        let words: Vec<&str> = run.out.split_ascii_whitespace().collect();
        assert!(words.join(" ").contains(text), "{text}: {}", run.out);
        let json: Value = serde_json::from_str(&folder.run(&["status", "--json"]).out).unwrap();
        assert_eq!(json[0]["ok"], status == 0, "{text}");
    }
}

#[test]
fn file_that_no_nginx_writes_is_no_status() {
    let folder = Folder::new();
    let said = |expected: &str| {
        let run = folder.run(&["status"]);
        assert_eq!((run.status, run.out.as_str()), (3, ""), "{}", run.err);
        assert!(run.err.contains(expected), "{expected}: {}", run.err);
        let wait = folder.wait();
        assert_eq!(wait.status, 3, "{}", wait.err);
        assert!(wait.err.contains("is written, but nobody knows"), "{}", wait.err);
    };
    said("tollgate_status_file");
    fs::write(folder.path("status"), "something").unwrap();
    said("no status file of this version");
    folder.write("status", &Nginx { beat_age_ms: 60_000, ..folder.nginx() });
    said("doesn't run any more");
    fs::remove_file(folder.path("status")).unwrap();
    fs::create_dir(folder.path("status")).unwrap();
    said("cannot read");
}

#[test]
fn wait_ends_well_only_when_the_file_is_in_force_everywhere() {
    let folder = Folder::new();
    let good = folder.nginx();
    let state = good.state.clone().unwrap();
    let with = |state| Nginx { state: Some(state), ..good.clone() };
    let failed = |content: &[u8]| {
        Some(Failure { digests: vec![digest(content)], error: "it is broken".to_owned(), at_ms: 0 })
    };
    let content = fs::read(folder.path("keys.json")).unwrap();
    for (nginx, status, text) in [
        (good.clone(), 0, "In force in all 2 workers"),
        (Nginx { generations: vec![3, 2], ..good.clone() }, 3, "it is in force in 1 of 2 workers"),
        (Nginx { last: Phase::Exiting, ..good.clone() }, 3, "it is in force in 1 of 2 workers"),
        // The workers of before a reload may still take requests.
        (Nginx { age_ms: 0, ..good.clone() }, 3, "has just been reloaded"),
        (
            with(SetState { digests: vec![digest(b"before")], ..state.clone() }),
            3,
            "not read it yet",
        ),
        (with(SetState { failure: failed(&content), ..state.clone() }), 1, "does not take"),
        (with(SetState { failure: failed(b"before"), ..state.clone() }), 0, "In force"),
    ] {
        folder.write("status", &nginx);
        let run = folder.wait();
        assert_eq!(run.status, status, "{text}: {}", run.err);
        assert!(run.err.contains(text), "{text}: {}", run.err);
    }
    // It is waited for.
    folder.write("status", &Nginx { generations: vec![3, 2], ..good.clone() });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            folder.write("status", &good);
        });
        assert_eq!(folder.run(&["key", "enable", "k_1", "--wait=20s"]).status, 0);
    });
}

#[test]
fn while_a_newer_nginx_takes_over_both_count() {
    let folder = Folder::new();
    folder.write("status", &folder.nginx());
    folder.write("status.oldbin", &Nginx { generations: vec![3, 1], ..folder.nginx() });
    assert_eq!((folder.wait().status, folder.run(&["status"]).status), (3, 1));
    folder.write("status.oldbin", &folder.nginx());
    let run = folder.wait();
    assert!(run.status == 0 && run.err.contains("all 4 workers"), "{}", run.err);
    // One that is gone doesn't count, whichever it is.
    let gone = Nginx { beat_age_ms: 60_000, generations: vec![1, 1], ..folder.nginx() };
    folder.write("status", &gone);
    assert_eq!(folder.wait().status, 0);
    folder.write("status", &folder.nginx());
    folder.write("status.oldbin", &gone);
    assert_eq!(folder.wait().status, 0);
}

#[test]
fn workers_that_hold_their_locks_count_and_others_are_gone() {
    let folder = Folder::new();
    folder.write("status", &Nginx { has_locks: true, ..folder.nginx() });
    let file = fs::OpenOptions::new().write(true).open(folder.path("status")).unwrap();
    rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let run = folder.run(&["status"]);
    assert!(run.status == 0 && run.out.contains("in 2 of 2 workers"), "{}{}", run.out, run.err);
    let json: Value = serde_json::from_str(&folder.run(&["status", "--json"]).out).unwrap();
    assert_eq!(json[0]["workers"][1]["takes_requests"], true);
    assert_eq!(folder.wait().status, 0);
    drop(file);
    let run = folder.run(&["status"]);
    assert!(run.status == 3 && run.err.contains("doesn't run any more"), "{}", run.err);
}

#[test]
fn tier_that_is_not_declared_is_told_and_fails_whoever_waits() {
    let folder = Folder::new();
    folder.write("status", &folder.nginx());
    let edit = folder.run(&["key", "edit", "k_1", "--tier", "prro"]);
    assert_eq!(edit.status, 0, "{}", edit.err);
    assert!(edit.err.contains("the tier \"prro\" is not declared"), "{}", edit.err);
    folder.write("status", &folder.nginx());
    let wait = folder.run(&["key", "edit", "k_1", "--tier", "prro", "--wait=1s"]);
    assert_eq!(wait.status, 1, "{}", wait.err);
    // To take back a key that names one is no fault.
    let revoke = folder.run(&["key", "revoke", "k_1"]);
    assert!(!revoke.err.contains("not declared"), "{}", revoke.err);
    let create = folder.run(&["key", "create", "--client", "a", "--tier", "free"]);
    assert!(!create.err.contains("not declared"), "{}", create.err);
}

#[test]
fn nothing_is_said_to_be_in_force_that_is_only_written() {
    let folder = Folder::new();
    for has_status in [false, true] {
        if has_status {
            folder.write("status", &folder.nginx());
        }
        for arguments in [
            &["key", "create", "--client", "a", "--id", "k_2"][..],
            &["key", "disable", "k_2"],
            &["key", "enable", "k_2"],
            &["key", "edit", "k_2", "--client", "b"],
            &["key", "rotate", "k_2"],
            &["key", "revoke", "k_2"],
            &["key", "prune", "--older-than", "0s"],
        ] {
            let run = folder.run(arguments);
            assert_eq!(run.status, 0, "{arguments:?} {}", run.err);
            assert!(!run.err.contains("n force in") && !run.err.contains("within a second where"));
            let is_prune = arguments[1] == "prune";
            assert_eq!(run.err.contains("is written"), !is_prune, "{arguments:?} {}", run.err);
        }
    }
    fs::copy(folder.path("keys.json"), folder.path("other.json")).unwrap();
    let other = folder.path("other.json");
    let status = folder.path("status");
    let run = tollgate([
        "key",
        "create",
        "--client",
        "a",
        "--file",
        other.to_str().unwrap(),
        "--status-file",
        status.to_str().unwrap(),
    ]);
    assert!(run.status == 0 && run.err.contains("nginx uses other files"), "{}", run.err);
}

#[test]
fn help_and_completions_know_of_it() {
    for command in ["create", "revoke", "disable", "enable", "edit", "rotate", "prune"] {
        let help = tollgate(["key", command, "--help"]).out;
        assert!(
            help.contains("--wait[=<TIME>]") && help.contains("--status-file"),
            "{command}: {help}"
        );
    }
    let run = tollgate(["completions", "bash"]);
    assert!(run.out.contains("--wait") && run.out.contains("status"));
}

/// As in a container, where the file is a mount of its own.
#[test]
fn file_that_was_replaced_where_it_comes_from_is_not_in_force() {
    let folder = Folder::new();
    folder.write("status", &folder.nginx());
    assert_eq!(folder.run(&["status"]).status, 0);
    let path = folder.path("keys.json");
    let file = fs::File::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let seen = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    std::os::unix::fs::symlink(seen, &path).unwrap();
    let run = folder.run(&["status"]);
    assert_eq!(run.status, 1, "{}", run.out);
    assert!(run.out.contains("was removed or replaced where it comes from"), "{}", run.out);
}

//! `tollgate key` and `tollgate check`, as a user runs them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod command;

use std::fs;
use std::os::unix::fs::{symlink, MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use command::{tollgate, tollgate_with, Run};
use serde_json::Value;
use tollgate_core::clock::UnixSeconds;
use tollgate_core::keys::KeySet;

struct Keys {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Keys {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        Self { _folder: folder, path }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let (command, rest) = arguments.split_first().unwrap();
        let file = ["key", command, "--file", self.path.to_str().unwrap()];
        tollgate(file.iter().chain(rest))
    }

    /// A new key and its id.
    fn create(&self, arguments: &[&str]) -> (String, String) {
        let run = self.run(&[&["create", "--json"], arguments].concat());
        assert_eq!(run.status, 0, "{}", run.err);
        let made: Value = serde_json::from_str(&run.out).unwrap();
        (made["key"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned())
    }

    fn entries(&self) -> Vec<Value> {
        let file: Value = serde_json::from_slice(&fs::read(&self.path).unwrap()).unwrap();
        file["keys"].as_array().unwrap().clone()
    }

    /// What nginx would say of the key now.
    fn judge(&self, key: &str) -> String {
        let set = KeySet::parse(&fs::read(&self.path).unwrap()).unwrap();
        let now = UnixSeconds(jiff::Timestamp::now().as_second());
        match set.lookup(key.as_bytes(), now, Some("203.0.113.7".parse().unwrap())) {
            Ok(principal) => principal.client().to_owned(),
            Err(refusal) => refusal.reason.as_str().to_owned(),
        }
    }

    fn column(&self, arguments: &[&str], name: &str) -> Vec<String> {
        let run = self.run(&[&["list", "--json"], arguments].concat());
        let list: Vec<Value> = serde_json::from_str(&run.out).unwrap();
        assert_eq!(run.status, i32::from(list.is_empty()));
        list.iter().map(|entry| entry[name].as_str().unwrap_or("-").to_owned()).collect()
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn created_key_is_printed_once_and_only_its_hash_is_kept() {
    let keys = Keys::new();
    let run = keys.run(&["create", "--client", "acme", "--tier", "pro"]);
    assert_eq!(run.status, 0);
    let key = run.out.strip_suffix('\n').unwrap();
    assert!(key.len() == 46 && key.starts_with("tg_"), "{key}");
    assert!(run.err.contains("hand it out now") && !run.err.contains(key));
    assert_eq!(keys.judge(key), "acme");
    assert!(!fs::read_to_string(&keys.path).unwrap().contains(key));
    assert_eq!(mode(&keys.path), 0o640);
    let quiet = keys.run(&["create", "--client", "acme", "--quiet"]);
    assert!(quiet.err.is_empty() && quiet.out != run.out);
}

#[test]
fn every_right_of_a_key_is_in_its_entry() {
    let keys = Keys::new();
    let (key, id) = keys.create(&[
        "--client",
        "acme",
        "--tier",
        "pro",
        "--models",
        "a*,b",
        "--scopes",
        "chat",
        "--cidrs",
        "203.0.113.0/24,2001:db8::/32",
        "--expires",
        "90d",
        "--not-before",
        "2026-01-01",
        "--description",
        "batch \"jobs\"",
        "--id",
        "k_1",
    ]);
    assert_eq!(id, "k_1");
    let entry = &keys.entries()[0];
    assert_eq!(entry["models"], serde_json::json!(["a*", "b"]));
    assert_eq!(entry["not_before"], "2026-01-01T00:00:00Z");
    assert_eq!(entry["description"], "batch \"jobs\"");
    assert_eq!(keys.judge(&key), "acme");
    let shown = keys.run(&["show", "k_1"]).out;
    for part in ["acme", "pro", "a*, b", "active", "Z (in "] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn values_that_nginx_would_refuse_are_refused_where_they_are_typed() {
    let keys = Keys::new();
    for arguments in [
        &["--client", " acme"][..],
        &["--client", ""],
        &["--client", "a\nb"],
        &["--client", "a", "--cidrs", "10.0.0.1/8"],
        &["--client", "a", "--cidrs", "nowhere"],
        &["--client", "a", "--expires", "tomorrow"],
        &["--client", "a", "--expires", "2026-01-01T00:00:00"],
        &["--client", "a", "--models", ","],
        &["--client", "a", "--not-before", "2030-01-01", "--expires", "2029-01-01"],
        &["--client", "a", "--id", "tg_0123456789012345678901234567890123456789012"],
        &["--tier", "pro"],
    ] {
        let run = keys.run(&[&["create"], arguments].concat());
        assert_eq!(run.status, 2, "{arguments:?} {}", run.err);
        assert!(run.out.is_empty() && !keys.path.exists(), "{arguments:?}");
    }
    assert_eq!(keys.run(&["create", "--client", "a"]).status, 0);
}

#[test]
fn id_is_given_once() {
    let keys = Keys::new();
    keys.create(&["--client", "acme", "--id", "k_1"]);
    let again = keys.run(&["create", "--client", "acme", "--id", "k_1"]);
    assert_eq!((again.status, again.out.as_str()), (2, ""));
    assert!(again.err.contains("k_1"), "{}", again.err);
    assert_eq!(keys.entries().len(), 1);
}

#[test]
fn revoked_key_stays_revoked() {
    let keys = Keys::new();
    let (key, id) = keys.create(&["--client", "acme"]);
    assert_eq!(keys.run(&["revoke", &id]).status, 0);
    assert_eq!(keys.judge(&key), "revoked_credential");
    let entry = keys.entries()[0].clone();
    assert_eq!(entry["disabled"], true);
    let enabled = keys.run(&["enable", &id]);
    assert_eq!(enabled.status, 2);
    assert!(enabled.err.contains("tollgate key create"), "{}", enabled.err);
    assert_eq!(keys.run(&["revoke", &id]).status, 0);
    assert_eq!(keys.entries()[0], entry);
}

#[test]
fn folder_that_is_not_there_is_named_with_the_line_that_makes_it() {
    let keys = Keys::new();
    let folder = keys.path.with_file_name("missing");
    let file = folder.join("keys.json");
    let file = file.to_str().unwrap();
    let run = tollgate(["key", "create", "--client", "acme", "--file", file]);
    assert_eq!((run.status, run.out.as_str()), (3, ""), "{}", run.err);
    let line = format!("install -d -g www-data -m 2750 {}", folder.display());
    assert!(run.err.contains(&line), "{}", run.err);
    fs::create_dir(&folder).unwrap();
    assert_eq!(tollgate(["key", "create", "--client", "acme", "--file", file]).status, 0);
}

#[test]
fn key_that_is_revoked_again_keeps_the_date_of_the_first_time() {
    let keys = Keys::new();
    let (_, id) = keys.create(&["--client", "acme"]);
    assert_eq!(keys.run(&["revoke", &id]).status, 0);
    let now = keys.entries()[0]["revoked"].as_str().unwrap().to_owned();
    let text = fs::read_to_string(&keys.path).unwrap();
    fs::write(&keys.path, text.replace(&now, "2020-01-02T03:04:05Z")).unwrap();
    let before = keys.entries();
    assert_eq!(before[0]["revoked"], "2020-01-02T03:04:05Z");
    let again = keys.run(&["revoke", &id]);
    assert_eq!(again.status, 0, "{}", again.err);
    assert_eq!(keys.entries(), before);
}

#[test]
fn the_last_dates_that_there_are_are_written_as_they_are_given() {
    let keys = Keys::new();
    for (given, written) in
        [("9999-12-31", "9999-12-31T00:00:00Z"), ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z")]
    {
        let (key, id) = keys.create(&["--client", "acme", "--expires", given]);
        let entry = keys.entries().into_iter().find(|entry| entry["id"] == *id).unwrap();
        assert_eq!(entry["expires"], written);
        assert_eq!(keys.judge(&key), "acme");
        let shown = keys.run(&["show", &id]).out;
        assert!(shown.contains(&format!("{written} (in 79")), "{shown}");
    }
}

#[test]
fn of_several_keys_those_that_there_are_get_revoked() {
    let keys = Keys::new();
    let (key, id) = keys.create(&["--client", "acme"]);
    let run = keys.run(&["revoke", "k_misspelt", &id]);
    assert_eq!(run.status, 1);
    assert!(run.err.contains("k_misspelt"), "{}", run.err);
    assert_eq!(keys.judge(&key), "revoked_credential");
}

#[test]
fn disabled_key_can_be_enabled() {
    let keys = Keys::new();
    let (key, id) = keys.create(&["--client", "acme"]);
    assert_eq!(keys.run(&["disable", &id]).status, 0);
    assert_eq!(keys.judge(&key), "revoked_credential");
    assert_eq!(keys.run(&["enable", &id]).status, 0);
    assert_eq!(keys.judge(&key), "acme");
}

#[test]
fn edit_changes_what_is_named_and_nothing_else() {
    let keys = Keys::new();
    let (key, id) =
        keys.create(&["--client", "acme", "--tier", "free", "--models", "a", "--expires", "1d"]);
    let edited = keys.run(&["edit", &id, "--tier", "pro", "--no-models", "--client", "zenith"]);
    assert_eq!(edited.status, 0, "{}", edited.err);
    let entry = &keys.entries()[0];
    assert_eq!((&entry["tier"], &entry["client"]), (&"pro".into(), &"zenith".into()));
    assert!(entry.get("models").is_none() && entry.get("expires").is_some());
    assert_eq!(keys.run(&["edit", &id, "--no-expires"]).status, 0);
    assert!(keys.entries()[0].get("expires").is_none());
    assert_eq!(keys.judge(&key), "zenith");
    assert_eq!(keys.run(&["edit", &id]).status, 2);
    assert_eq!(keys.run(&["edit", &id, "--tier", "a", "--no-tier"]).status, 2);
    assert_eq!(keys.run(&["edit", "k_none", "--tier", "a"]).status, 1);
    assert_eq!(
        keys.run(&["edit", &id, "--expires", "1990-01-01", "--not-before", "2000-01-01"]).status,
        2
    );
}

#[test]
fn rotated_key_has_a_successor_with_its_rights_and_ends_after_the_overlap() {
    let keys = Keys::new();
    let (old, id) = keys.create(&["--client", "acme", "--tier", "pro", "--scopes", "chat"]);
    let run = keys.run(&["rotate", &id, "--overlap", "2d"]);
    assert_eq!(run.status, 0, "{}", run.err);
    let new = run.out.trim_end();
    assert_eq!((keys.judge(&old), keys.judge(new)), ("acme".to_owned(), "acme".to_owned()));
    let entries = keys.entries();
    assert_eq!(entries[1]["scopes"], entries[0]["scopes"]);
    assert_eq!(entries[1]["tier"], "pro");
    assert!(entries[1].get("expires").is_none() && entries[0].get("expires").is_some());
    // It has ended sooner than that already, or ends at once.
    let before = entries[0]["expires"].clone();
    assert_eq!(keys.run(&["rotate", &id, "--overlap", "90d"]).status, 0);
    assert_eq!(keys.entries()[0]["expires"], before);
    assert_eq!(keys.run(&["rotate", &id, "--overlap", "0s"]).status, 0);
    assert_eq!(keys.judge(&old), "revoked_credential");
    assert_eq!(keys.run(&["rotate", &id]).status, 2);
    assert_eq!(keys.run(&["rotate", "k_none"]).status, 1);
}

#[test]
fn successor_ends_with_the_old_key_unless_it_is_given_an_end() {
    let keys = Keys::new();
    let ends = |id: &str| {
        let entries = keys.entries();
        let entry = entries.iter().find(|entry| entry["id"] == id).unwrap();
        entry.get("expires").and_then(|date| date.as_str().map(str::to_owned))
    };
    let rotated = |id: &str, more: &[&str]| {
        let run = keys.run(&[&["rotate", id, "--json"], more].concat());
        assert_eq!(run.status, 0, "{}", run.err);
        let made: Value = serde_json::from_str(&run.out).unwrap();
        made["id"].as_str().unwrap().to_owned()
    };
    let (_, id) = keys.create(&["--client", "acme", "--expires", "2d"]);
    let end = ends(&id);
    // The overlap is longer than what was left.
    let told = keys.run(&["rotate", &id, "--overlap", "90d"]).err;
    assert_eq!(
        told.matches(&format!("ends at {} (in ", end.clone().unwrap())).count(),
        2,
        "{told}"
    );
    assert!(!told.contains("90 days"), "{told}");
    assert_eq!((ends(&rotated(&id, &[])), ends(&id)), (end.clone(), end.clone()));
    let given = rotated(&id, &["--expires", "2099-01-01"]);
    assert_eq!(ends(&given).as_deref(), Some("2099-01-01T00:00:00Z"));
    assert_eq!(ends(&rotated(&id, &["--no-expires"])), None);
    assert_eq!(ends(&id), end);
    let both = ["rotate", &id, "--expires", "1d", "--no-expires"];
    assert_eq!(keys.run(&both).status, 2);
}

#[test]
fn leaked_key_is_found_by_itself_and_not_repeated() {
    let keys = Keys::new();
    let (key, id) = keys.create(&["--client", "acme"]);
    let path = keys.path.to_str().unwrap();
    let find = |input: &str, more: &[&str]| {
        tollgate_with(["key", "find", "--file", path].iter().chain(more), input.as_bytes())
    };
    for input in [key.clone(), format!("{key}\n"), format!("{key}\r\n")] {
        let run = find(&input, &[]);
        assert_eq!(run.status, 0, "{}", run.err);
        assert!(run.out.contains(&id) && run.out.contains("acme") && !run.out.contains(&key));
    }
    let json: Value = serde_json::from_str(&find(&key, &["--json"]).out).unwrap();
    assert_eq!((&json["id"], &json["state"]), (&id.as_str().into(), &"active".into()));
    assert_eq!((find("secret", &[]).status, find("\n", &[]).status), (1, 2));
    assert_eq!(find(&"x".repeat(5000), &[]).status, 2);
}

#[test]
fn key_in_place_of_an_id_is_not_repeated() {
    let keys = Keys::new();
    let (key, id) = keys.create(&["--client", "acme"]);
    let other = "sk-of-another-gateway";
    let input = tollgate_with(
        ["key", "import", "-", "--client", "acme", "--file", keys.path.to_str().unwrap()],
        other.as_bytes(),
    );
    assert_eq!(input.status, 0, "{}", input.err);
    let gone = "tg_0123456789012345678901234567890123456789012";
    for key in [&key, other, gone] {
        for command in [&["revoke"][..], &["show"], &["rotate"], &["edit", "--tier", "a"]] {
            let run = keys.run(&[command, &[key]].concat());
            assert_eq!((run.status, run.out.as_str()), (1, ""), "{command:?} {}", run.err);
            assert!(run.err.contains("tollgate key find") && !run.err.contains(key));
        }
    }
    assert_eq!(keys.run(&["show", &id]).status, 0);
}

#[test]
fn list_tells_states_and_filters() {
    let keys = Keys::new();
    for (client, more) in [
        ("a", &["--tier", "pro"][..]),
        ("b", &["--expires", "2020-01-01"]),
        ("c", &["--not-before", "2099-01-01"]),
        ("d", &["--expires", "3d", "--tier", "pro"]),
        ("e", &[]),
        ("f", &[]),
    ] {
        keys.create(&[&["--client", client, "--id", client], more].concat());
    }
    keys.run(&["revoke", "e"]);
    keys.run(&["disable", "f"]);
    let states = ["active", "expired", "not yet valid", "active", "revoked", "disabled"];
    assert_eq!(keys.column(&[], "state"), states);
    assert_eq!(keys.column(&["--tier", "pro"], "id"), ["a", "d"]);
    assert_eq!(keys.column(&["--client", "b"], "id"), ["b"]);
    assert_eq!(keys.column(&["--state", "not-yet-valid"], "id"), ["c"]);
    assert_eq!(keys.column(&["--expiring-within", "7d"], "id"), ["d"]);
    assert_eq!(keys.column(&["--client", "nobody"], "id"), [""; 0]);
    let table = keys.run(&["list"]).out;
    assert_eq!(table.lines().count(), 7, "{table}");
    assert!(table.starts_with("ID  CLIENT"), "{table}");
    assert_eq!(keys.run(&["show", "nobody"]).status, 1);
}

#[test]
fn prune_removes_what_ended_long_ago_and_nothing_else() {
    let keys = Keys::new();
    for (id, expires) in [("old", "2020-01-01"), ("new", "2099-01-01")] {
        keys.create(&["--client", "a", "--id", id, "--expires", expires]);
    }
    keys.create(&["--client", "a", "--id", "forever"]);
    keys.create(&["--client", "a", "--id", "revoked"]);
    keys.run(&["revoke", "revoked"]);
    let ids = || keys.column(&[], "id");
    assert_eq!(keys.run(&["prune", "--dry-run"]).out, "old\n");
    assert_eq!(ids(), ["old", "new", "forever", "revoked"]);
    assert_eq!(keys.run(&["prune"]).out, "old\n");
    assert_eq!(ids(), ["new", "forever", "revoked"]);
    assert_eq!(keys.run(&["prune", "--older-than", "0s", "--json"]).out, "[\"revoked\"]\n");
    assert_eq!(ids(), ["new", "forever"]);
}

#[test]
fn file_that_cannot_be_understood_is_not_touched() {
    let keys = Keys::new();
    let hash = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    for text in [
        String::new(),
        "{\"version\": 1, \"keys\": [".to_owned(),
        "{\"version\": 2, \"keys\": []}".to_owned(),
        format!("{{\"version\": 1, \"keys\": [{{\"id\":\"a\",\"client\":\"b\",\"hash\":\"{hash}\",\"x\":1}}]}}"),
        format!("{{\"version\": 1, \"keys\": [], \"comment\": \"{hash}\"}}"),
    ] {
        fs::write(&keys.path, &text).unwrap();
        for arguments in
            [&["create", "--client", "a"][..], &["revoke", "a"], &["prune"], &["list"], &["show", "a"]]
        {
            let run = keys.run(arguments);
            assert_eq!((run.status, run.out.as_str()), (3, ""), "{arguments:?} {}", run.err);
            assert!(run.err.contains("tollgate check"), "{}", run.err);
            assert_eq!(fs::read_to_string(&keys.path).unwrap(), text);
        }
    }
}

#[test]
fn only_new_keys_make_a_file() {
    let keys = Keys::new();
    for arguments in [
        &["revoke", "a"][..],
        &["disable", "a"],
        &["enable", "a"],
        &["edit", "a", "--tier", "pro"],
        &["rotate", "a"],
        &["prune"],
        &["list"],
    ] {
        let run = keys.run(arguments);
        assert_eq!((run.status, run.out.as_str()), (3, ""), "{arguments:?} {}", run.err);
        assert!(run.err.contains("cannot read") && !keys.path.exists(), "{arguments:?}");
    }
    keys.create(&["--client", "acme"]);
}

#[test]
fn files_of_others_stay_whatever_they_are_called() {
    let keys = Keys::new();
    let folder = keys.path.parent().unwrap();
    let theirs = [".keys-backup.json", ".keys-ABCDEF", ".keys-old.new", ".keys-1234567.new"];
    for name in theirs {
        fs::write(folder.join(name), "theirs").unwrap();
    }
    fs::write(folder.join(".keys-aB3xYz.new"), "left by a writer that was killed").unwrap();
    keys.create(&["--client", "acme"]);
    assert!(theirs.iter().all(|name| folder.join(name).exists()));
    assert_eq!(fs::read_dir(folder).unwrap().count(), theirs.len() + 1);
}

#[test]
fn key_that_cannot_be_printed_is_told_to_be_lost() {
    let keys = Keys::new();
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    for out in [std::process::Stdio::from(full()), closed.into()] {
        let run = std::process::Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(["key", "create", "--client", "acme", "--file"])
            .arg(&keys.path)
            .stdout(out)
            .output()
            .unwrap();
        let err = String::from_utf8(run.stderr).unwrap();
        let id = keys.entries().last().unwrap()["id"].as_str().unwrap().to_owned();
        assert_eq!(run.status.code(), Some(3), "{err}");
        assert!(err.contains(&format!("tollgate key revoke {id}")), "{err}");
    }
    // Where nothing can be told on stderr, the key is printed all the same.
    fs::set_permissions(&keys.path, fs::Permissions::from_mode(0o644)).unwrap();
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["key", "create", "--client", "acme", "--file"])
        .arg(&keys.path)
        .stderr(full())
        .output()
        .unwrap();
    let key = String::from_utf8(run.stdout).unwrap();
    assert_eq!((run.status.code(), keys.judge(key.trim_end()).as_str()), (Some(0), "acme"));
}

#[test]
fn mode_owner_and_link_stay() {
    let keys = Keys::new();
    let folder = keys.path.parent().unwrap();
    let real = folder.join("real");
    fs::create_dir(&real).unwrap();
    let file = real.join("keys.json");
    fs::write(&file, "{\"version\":1,\"keys\":[]}").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let is_root = std::os::unix::fs::chown(&file, Some(1), Some(2)).is_ok();
    symlink("real/keys.json", &keys.path).unwrap();
    keys.create(&["--client", "acme"]);
    assert!(keys.path.is_symlink());
    assert_eq!(mode(&file), 0o600);
    let found = fs::metadata(&file).unwrap();
    assert!(!is_root || (found.uid(), found.gid()) == (1, 2));
    assert_eq!(fs::read_dir(&real).unwrap().count(), 1);
}

/// Of somebody who may replace the file, but not give the new one to whom the old one belongs.
#[test]
fn owner_that_cannot_be_kept_leaves_the_old_file() {
    let keys = Keys::new();
    let folder = keys.path.parent().unwrap();
    fs::write(&keys.path, "{\"version\":1,\"keys\":[]}").unwrap();
    let command = folder.join("tollgate");
    // Where anybody may run it. By another process: while this one writes to it, and other tests start
    // programs, it can't be run.
    let copied = std::process::Command::new("cp")
        .args([env!("CARGO_BIN_EXE_tollgate").as_ref(), command.as_os_str()])
        .status()
        .unwrap();
    assert!(copied.success());
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(&keys.path, fs::Permissions::from_mode(0o644)).unwrap();
    let is_root = fs::metadata(&keys.path).unwrap().uid() == 0;
    if !is_root {
        println!("skipped: only root can become somebody else");
        return;
    }
    let before = fs::read(&keys.path).unwrap();
    let run = std::process::Command::new(&command)
        .args(["key", "create", "--client", "acme", "--file"])
        .arg(&keys.path)
        .uid(65_534)
        .gid(65_534)
        .output()
        .unwrap();
    let err = String::from_utf8(run.stderr).unwrap();
    assert_eq!((run.status.code(), run.stdout.len()), (Some(3), 0), "{err}");
    assert!(err.contains("user 0 and group 0") && err.contains("as root"), "{err}");
    assert_eq!(fs::read(&keys.path).unwrap(), before);
    assert_eq!(fs::read_dir(folder).unwrap().count(), 2);
}

#[test]
fn file_that_everybody_can_read_is_warned_of() {
    let keys = Keys::new();
    keys.create(&["--client", "acme"]);
    assert!(!keys.run(&["list"]).err.contains("everybody"));
    fs::set_permissions(&keys.path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(keys.run(&["list"]).err.contains("everybody"));
    assert!(keys.run(&["create", "--client", "b"]).err.contains("everybody"));
}

#[test]
fn check_tells_all_faults_with_their_places() {
    let keys = Keys::new();
    let check = |more: &[&str]| tollgate(["check", keys.path.to_str().unwrap()].iter().chain(more));
    keys.create(&["--client", "acme"]);
    let good = check(&[]);
    assert_eq!(good.status, 0);
    assert!(good.out.ends_with(": ok, 1 keys (1 active)\n"), "{}", good.out);
    fs::write(
        &keys.path,
        r#"{"version":1,"keys":[{"id":"a","client":"x"},{"id":"b","client":"y","hash":"secret"}]}"#,
    )
    .unwrap();
    let bad = check(&[]);
    assert_eq!(bad.status, 1);
    assert!(bad.out.contains("key \"a\": field \"hash\" is missing"), "{}", bad.out);
    assert!(bad.out.contains("key \"b\": field \"hash\" must be"), "{}", bad.out);
    assert!(!bad.out.contains("secret"));
    let json: Value = serde_json::from_str(&check(&["--json"]).out).unwrap();
    assert_eq!(json["faults"].as_array().unwrap().len(), 2);
    assert_eq!(json["ok"], false);
    assert_eq!(tollgate(["check", "/nowhere/keys.json"]).status, 3);
}

#[test]
fn file_may_be_named_by_the_environment() {
    let keys = Keys::new();
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["key", "create", "--client", "acme", "--quiet"])
        .env("TOLLGATE_KEYS", &keys.path)
        .output()
        .unwrap();
    assert!(run.status.success());
    assert_eq!(keys.entries().len(), 1);
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let run = tollgate(["completions", shell]);
        assert_eq!(run.status, 0);
        assert!(run.out.contains("rotate") && run.out.contains("keygen"), "{shell}");
    }
}

#[test]
fn restrictions_that_are_not_enforced_are_told_wherever_they_are_set_or_shown() {
    let told = |run: &Run| run.err.matches(tollgate_core::keys::NOT_ENFORCED).count();
    let keys = Keys::new();
    for (id, more) in [("m", ["--models", "llama-*"]), ("s", ["--scopes", "chat"])] {
        let create = keys.run(&[&["create", "--client", "a", "--id", id], &more[..]].concat());
        assert_eq!((create.status, told(&create)), (0, 1), "{}", create.err);
        let key = create.out.trim_end();
        let find = ["key", "find", "--file", keys.path.to_str().unwrap()];
        assert_eq!(told(&tollgate_with(find, key.as_bytes())), 1);
        assert_eq!((told(&keys.run(&["show", id])), told(&keys.run(&["list"]))), (1, 1));
        assert_eq!(told(&keys.run(&["list", "--json"])), 1);
    }
    let other = keys.run(&["create", "--client", "a", "--id", "free"]);
    let shown = keys.run(&["show", "free"]);
    let of_tier = keys.run(&["list", "--tier", "none"]);
    assert_eq!((told(&other), told(&shown), told(&of_tier)), (0, 0, 0), "{}", other.err);
    assert_eq!(told(&keys.run(&["edit", "free", "--models", "a"])), 1);
    assert_eq!(told(&keys.run(&["edit", "free", "--tier", "pro"])), 0);
    assert_eq!(told(&keys.run(&["rotate", "m"])), 1);
    let check = tollgate(["check", keys.path.to_str().unwrap()]);
    assert!(check.out.contains(tollgate_core::keys::NOT_ENFORCED), "{}", check.out);
    let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let rows = format!(r#"[{{"token": "{hash}", "key_alias": "team", "models": ["gpt-4o"]}}]"#);
    for dry_run in [&["--dry-run"][..], &[]] {
        let import = ["key", "import", "-", "--file", keys.path.to_str().unwrap()];
        let run = tollgate_with(import.iter().chain(dry_run), rows.as_bytes());
        assert_eq!((run.status, told(&run)), (0, 1), "{}", run.err);
    }
    for command in ["create", "edit"] {
        let help = tollgate(["key", command, "--help"]).out.replace(['\n', ' '], "");
        let words = tollgate_core::keys::NOT_ENFORCED.replace(' ', "");
        assert_eq!(help.matches(&words).count(), 2, "{help}");
    }
}

#[test]
fn key_is_revoked_whatever_is_wrong_with_other_entries() {
    let keys = Keys::new();
    let (key, id) = keys.create(&["--client", "acme"]);
    let (other, other_id) = keys.create(&["--client", "other"]);
    let good: Vec<String> = keys.entries().iter().map(ToString::to_string).collect();
    let hash = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let twin = good[1].replace(&other_id, "k_twin");
    for wrong in [
        format!(r#"{{"id": "k_x", "client": "b", "hash": "{hash}", "x": [1, {{"y": 2.50}}]}}"#),
        format!(
            r#"{{"id":"k_x","client":"b","hash":"{hash}","expires":"soon","revoked":"yesterday"}}"#
        ),
        "null".to_owned(),
        twin,
    ] {
        let text = format!("{{\"keys\": [{}, {wrong},\n{}], \"version\": 1}}", good[0], good[1]);
        let judge = |key: &str| {
            let built =
                KeySet::build(&fs::read(&keys.path).unwrap(), &|_| true, UnixSeconds(0)).unwrap();
            let set = KeySet::from_block(built.block).unwrap();
            let found = set.lookup(key.as_bytes(), UnixSeconds(0), None);
            found.map_err(|refusal| refusal.reason.as_str()).map(|found| found.client().to_owned())
        };
        for command in ["revoke", "disable"] {
            fs::write(&keys.path, &text).unwrap();
            let run = keys.run(&[command, &id]);
            assert_eq!(run.status, 0, "{wrong}: {}", run.err);
            assert!(run.err.contains("that entry stays as it is"), "{wrong}: {}", run.err);
            assert_eq!(judge(&key), Err("revoked_credential"), "{wrong}");
            let is_twin = wrong.contains("k_twin");
            assert_eq!(judge(&other).is_ok(), !is_twin, "{wrong}");
            assert!(is_twin || fs::read_to_string(&keys.path).unwrap().contains(&wrong), "{wrong}");
            assert_eq!(keys.entries().len(), 3);
            // What gives rights is not done to such a file, nor what nobody understands.
            let before = fs::read(&keys.path).unwrap();
            for arguments in
                [&["enable", &id][..], &["create", "--client", "a"], &["revoke", "k_x"]]
            {
                let run = keys.run(arguments);
                assert_eq!(run.status, 3, "{arguments:?} {}", run.err);
                assert_eq!(fs::read(&keys.path).unwrap(), before);
            }
            let both = keys.run(&["revoke", "k_nobody", &other_id]);
            assert_eq!(
                (both.status, judge(&other)),
                (1, Err("revoked_credential")),
                "{}",
                both.err
            );
        }
    }
    // A file that can't be read as a whole can't be written, either.
    fs::write(&keys.path, format!("{{\"version\": 1, \"keys\": [{},]}}", good[0])).unwrap();
    assert_eq!(keys.run(&["revoke", &id]).status, 3);
}

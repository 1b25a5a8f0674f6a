//! What `tollgate key` and `tollgate check` do with the file.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod command;
mod keyring;

use std::fs;
use std::os::unix::fs::{symlink, MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;

use command::tollgate;
use keyring::{mode, Keys};
use serde_json::Value;
use tollgate_core::clock::UnixSeconds;
use tollgate_core::keys::KeySet;

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

//! `tollgate key`, as a user runs it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod command;
mod keyring;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use command::{tollgate, tollgate_with};
use keyring::{mode, Keys};
use serde_json::Value;

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
        "--deny-cidrs",
        "203.0.113.128/25",
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
    assert_eq!(entry["deny_cidrs"], serde_json::json!(["203.0.113.128/25"]));
    assert_eq!(entry["not_before"], "2026-01-01T00:00:00Z");
    assert_eq!(entry["description"], "batch \"jobs\"");
    assert_eq!(keys.judge(&key), "acme");
    let shown = keys.run(&["show", "k_1"]).out;
    for part in ["acme", "pro", "a*, b", "active", "Z (in ", "203.0.113.128/25"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(keys.run(&["edit", "k_1", "--no-deny-cidrs"]).status, 0);
    assert!(keys.entries()[0].get("deny_cidrs").is_none());
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
        &["--client", "a", "--deny-cidrs", "10.0.0.1/8"],
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
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let run = tollgate(["completions", shell]);
        assert_eq!(run.status, 0);
        assert!(run.out.contains("rotate") && run.out.contains("keygen"), "{shell}");
    }
}

#[test]
fn scopes_are_those_that_there_are() {
    let keys = Keys::new();
    let create = |scopes| keys.run(&["create", "--client", "a", "--scopes", scopes]);
    assert_eq!(create("chat,admin").status, 0);
    for wrong in ["chats", "Chat", "chat,all", "openid"] {
        let refused = create(wrong);
        assert!(refused.err.contains("no scope; known are chat, completions"), "{}", refused.err);
    }
    std::fs::write(
        &keys.path,
        r#"{"version": 1, "keys": [{"id": "k", "client": "a", "scopes": ["chat", "chats"],
            "hash": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}]}"#,
    )
    .unwrap();
    let check = tollgate(["check", keys.path.to_str().unwrap()]);
    let told = format!("{}{}", check.out, check.err);
    assert_ne!(check.status, 0);
    assert!(
        told.contains("key \"k\": field \"scopes\" has an element [1] that is no scope"),
        "{told}"
    );
}

#[test]
fn an_entry_may_have_a_certificate_in_place_of_a_key() {
    let keys = Keys::new();
    let cert = "spiffe://example.org/ns/prod/sa/batch";
    let run = keys.run(&["create", "--client", "acme", "--tier", "pro", "--cert", cert]);
    assert_eq!(run.status, 0, "{}", run.err);
    let id = run.out.strip_suffix('\n').unwrap().to_owned();
    let entry = keys.entries()[0].clone();
    assert_eq!((entry["id"].as_str(), entry["cert"].as_str()), (Some(id.as_str()), Some(cert)));
    assert_eq!(entry.get("hash"), None);
    let shown = keys.run(&["show", &id]).out;
    assert!(shown.contains(cert) && !shown.contains("hash"), "{shown}");
    // Nothing follows it, as there is no key.
    let run = keys.run(&["rotate", &id]);
    assert!(run.status == 2 && run.err.contains("a certificate without a key"), "{}", run.err);
    // The same for another client is refused, and changes nothing.
    let run = keys.run(&["create", "--client", "other", "--cert", cert]);
    assert!(
        run.status != 0 && run.err.contains("a certificate belongs to one client"),
        "{}",
        run.err
    );
    assert_eq!(keys.entries().len(), 1);
    // Without it, nobody could be known by the entry.
    let run = keys.run(&["edit", &id, "--no-cert"]);
    assert!(run.status != 0 && run.err.contains("and so is \"cert\""), "{}", run.err);
    let run = keys.run(&["edit", &id, "--cert", "cn:batch"]);
    assert_eq!((run.status, keys.entries()[0]["cert"].as_str()), (0, Some("cn:batch")));
    for bad in ["batch", "spiffe://example.org", "dns:A", "sha256:ab"] {
        let run = keys.run(&["create", "--client", "acme", "--cert", bad]);
        assert!(run.status == 2 && !run.err.is_empty(), "{bad}: {}", run.err);
    }
}

#[test]
fn a_certificate_goes_over_to_the_key_that_follows() {
    let keys = Keys::new();
    let (_, id) = keys.create(&["--client", "acme"]);
    assert_eq!(keys.run(&["edit", &id, "--cert", "dns:batch.example.org"]).status, 0);
    assert_eq!(keys.run(&["rotate", &id]).status, 0);
    let entries = keys.entries();
    assert_eq!(entries[0].get("cert"), None);
    assert_eq!(entries[1]["cert"], "dns:batch.example.org");
    assert!(entries.iter().all(|entry| entry.get("hash").is_some()));
}

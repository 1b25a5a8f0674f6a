//! `tollgate key` and what a key says of itself: its tenant, its name, its metadata.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod command;
mod keyring;

use std::fs;

use command::tollgate;
use keyring::Keys;

#[test]
fn tenant_name_and_metadata_are_set_shown_and_taken_out() {
    let keys = Keys::new();
    let (key, id) = keys.create(&[
        "--client",
        "acme-app",
        "--tenant",
        "acme",
        "--name",
        "Bob's laptop",
        "--metadata",
        "cost-center=4711",
        "--metadata",
        "team=a=b",
        "--metadata",
        "beta=true",
    ]);
    assert_eq!(keys.judge(&key), "acme-app");
    let entry = keys.entries()[0].clone();
    assert_eq!((&entry["tenant"], &entry["name"]), (&"acme".into(), &"Bob's laptop".into()));
    assert_eq!(
        entry["metadata"],
        serde_json::json!({"cost-center": 4711, "team": "a=b", "beta": true})
    );
    let created = entry["created"].as_str().unwrap();
    assert!(created.starts_with("20") && created.ends_with('Z'), "{created}");
    let shown = keys.run(&["show", &id]).out;
    for part in ["acme", "Bob's laptop", "cost-center=4711", "team=a=b", created] {
        assert!(shown.contains(part), "{part}: {shown}");
    }

    let check = || tollgate(["check", keys.path.to_str().unwrap()]);
    assert!(!check().out.contains("no tenant"), "{}", check().out);
    keys.create(&["--client", "other"]);
    assert_eq!(check().status, 0);
    assert!(check().out.contains("warning: 1 of 2 keys have no tenant"), "{}", check().out);
    let listed = keys.run(&["list"]).out;
    assert!(listed.lines().next().unwrap().contains("TENANT"), "{listed}");
    let of_acme = keys.run(&["list", "--tenant", "acme"]);
    assert_eq!((of_acme.status, of_acme.out.lines().count()), (0, 2), "{}", of_acme.out);
    assert_eq!(keys.run(&["list", "--tenant", "nobody"]).status, 1);

    let edit = |arguments: &[&str]| {
        let run = keys.run(&[&["edit", &id], arguments].concat());
        assert_eq!(run.status, 0, "{}", run.err);
        keys.entries()[0].clone()
    };
    let edited = edit(&["--tenant", "globex", "--metadata", "beta=false", "--metadata", "n=1.5"]);
    assert_eq!(edited["tenant"], "globex");
    let metadata = serde_json::json!({"cost-center": 4711, "team": "a=b", "beta": false, "n": 1.5});
    assert_eq!(edited["metadata"], metadata);
    assert_eq!(
        edit(&["--no-metadata", "--metadata", "a=b"])["metadata"],
        serde_json::json!({"a": "b"})
    );
    let bare = edit(&["--no-metadata", "--no-tenant", "--no-name"]);
    for field in ["metadata", "tenant", "name"] {
        assert!(bare.get(field).is_none(), "{field}");
    }
    assert_eq!(bare["created"], created);
}

#[test]
fn a_successor_is_of_the_same_tenant_and_was_made_later() {
    let keys = Keys::new();
    let (_, id) = keys.create(&["--client", "acme", "--tenant", "t", "--metadata", "a=b"]);
    let text = fs::read_to_string(&keys.path).unwrap();
    let created = keys.entries()[0]["created"].as_str().unwrap().to_owned();
    fs::write(&keys.path, text.replace(&created, "2020-01-02T03:04:05Z")).unwrap();
    assert_eq!(keys.run(&["rotate", &id]).status, 0);
    let entries = keys.entries();
    assert_eq!((&entries[1]["tenant"], &entries[1]["metadata"]["a"]), (&"t".into(), &"b".into()));
    assert_eq!(entries[0]["created"], "2020-01-02T03:04:05Z");
    assert_ne!(entries[1]["created"], entries[0]["created"]);
}

#[test]
fn metadata_that_nginx_would_refuse_are_refused() {
    let keys = Keys::new();
    let many: Vec<String> = (0..17).map(|n| format!("--metadata=m{n}=1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let long = format!("--metadata=a={}", "x".repeat(257));
    for arguments in [
        &["--metadata", "a"][..],
        &["--metadata", "a b=c"],
        &["--metadata", "=c"],
        &["--metadata", "a="],
        &["--metadata", "a=b\nc"],
        &[&long],
        &["--tenant", ""],
        &["--name", " a"],
        &many,
    ] {
        let run = keys.run(&[&["create", "--client", "a"], arguments].concat());
        assert_eq!(run.status, 2, "{arguments:?} {}", run.err);
        assert!(run.out.is_empty() && !keys.path.exists(), "{arguments:?}");
    }
    assert_eq!(keys.run(&["create", "--client", "a", "--metadata", "a=b"]).status, 0);
}

#[test]
fn what_would_have_no_effect_is_refused_and_nothing_is_written() {
    let keys = Keys::new();
    let refused = |arguments: &[&str], told: &str| {
        let run = keys.run(arguments);
        assert_eq!((run.status, run.out.as_str()), (2, ""), "{arguments:?}");
        assert!(run.err.contains(told), "{}", run.err);
    };
    let create = |more: &[&'static str]| [&["create", "--client", "acme"], more].concat();
    for (allowed, denied) in [
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("198.51.100.0/24,203.0.113.7", "203.0.113.0/24"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
    ] {
        refused(
            &create(&["--cidrs", allowed, "--deny-cidrs", denied]),
            "to no effect: all of it is in 203.0.113.",
        );
    }
    assert!(!keys.path.exists());
    let (_, id) = keys.create(&[
        "--client",
        "acme",
        "--cidrs",
        "203.0.113.0/24",
        "--deny-cidrs",
        "203.0.113.7",
    ]);
    let before = keys.entries();
    refused(&["edit", &id, "--deny-cidrs", "203.0.0.0/16"], "to no effect");
    refused(&["edit", &id, "--cidrs", "203.0.113.7"], "to no effect");
    assert_eq!(keys.entries(), before);
    assert_eq!(
        keys.run(&["edit", &id, "--cidrs", "198.51.100.7", "--deny-cidrs", "203.0.0.0/16"]).status,
        0
    );
    // What was so before keeps nobody from other changes.
    let mut file: serde_json::Value =
        serde_json::from_slice(&fs::read(&keys.path).unwrap()).unwrap();
    file["keys"][0]["deny_cidrs"] = serde_json::json!(["198.51.100.0/24"]);
    fs::write(&keys.path, file.to_string()).unwrap();
    assert_eq!(keys.run(&["edit", &id, "--tenant", "corp"]).status, 0);
}

#[test]
fn metadata_has_each_name_once_and_no_secrets() {
    let keys = Keys::new();
    let create = |metadata: &[&str]| {
        let options = metadata.iter().flat_map(|member| ["--metadata", member]);
        keys.run(&["create", "--client", "acme"].into_iter().chain(options).collect::<Vec<_>>())
    };
    let run = create(&["team=a", "seats=3", "team=b"]);
    assert_eq!((run.status, run.out.as_str()), (2, ""));
    assert!(run.err.contains("--metadata has \"team\" twice"), "{}", run.err);
    for secret in [
        "tg_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "key sk-proj-abcdefghijklmnop",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x",
    ] {
        let run = create(&["team=a", &format!("upstream={secret}")]);
        assert_eq!((run.status, run.out.as_str()), (2, ""), "{secret}");
        assert!(run.err.contains("\"upstream\" in --metadata looks like a key"), "{}", run.err);
        assert!(!run.err.contains(secret), "{}", run.err);
    }
    assert!(!keys.path.exists());
    let run = create(&["team=sk-8", "contact=somebody.with.a.long.name@example.com", "Team=b"]);
    assert_eq!(run.status, 0, "{}", run.err);
    let id = keys.entries()[0]["id"].as_str().unwrap().to_owned();
    let run = keys.run(&["edit", &id, "--metadata", "a=1", "--metadata", "a=1"]);
    assert_eq!(run.status, 2);
    // A name that is there already gets its new value.
    assert_eq!(keys.run(&["edit", &id, "--metadata", "team=c"]).status, 0);
    assert_eq!(keys.entries()[0]["metadata"]["team"], "c");
}

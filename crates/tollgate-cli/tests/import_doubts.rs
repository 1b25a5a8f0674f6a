//! `tollgate key import` of what is in doubt: what was never a key, isn't in force, or is restricted.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod command;
mod importer;

use importer::{belongs, Keys};
use serde_json::Value;

/// One of each kind that templates, documentation and switches leave where a key could be.
#[test]
fn what_was_never_a_key_becomes_none() {
    let keys = Keys::new();
    let map = |entry: &str| format!("map $http_authorization $c {{\n default 0;\n {entry}\n}}\n");
    for (bad, line, good) in [
        (map("\"Bearer ${SOME_KEY}\" acme;"), 3, map("\"Bearer secret-0123456789\" acme;")),
        (map("\"Bearer {{ .Values.key }}\" acme;"), 3, map("\"Bearer secret-0123456789\" \"\";")),
        (map("'Bearer {{ env \"X\" }}' acme;"), 3, map("'Bearer secret-0123456789' 0;")),
        (map("\"Bearer YOUR_TOKEN_HERE\" acme;"), 3, map("# \"Bearer YOUR_TOKEN_HERE\" acme;\n")),
        (map("\"Bearer secret-0123456789\" 1;"), 3, map("\"Bearer secret-0123456789\" one;")),
        (map("\"Bearer secret-0123456789\" revoked;"), 3, map("\"Bearer secret-0123456789\" zen;")),
        (
            map("\"Bearer secret-0123456789\" \"sk-secret-abcdefghijk\";"),
            3,
            map("\"Bearer secret-0123456789\" acme;"),
        ),
        (
            "A=secret-0123456789\nB='${KEY_OF_B}'\n".to_owned(),
            2,
            "A=secret-0123456789\n".to_owned(),
        ),
        ("A=secret-0123456789\nB=<your-key>\n".to_owned(), 2, "A=secret-0123456789\n".to_owned()),
        (
            map("\"Bearer secret-0123456789\" <client>;"),
            3,
            map("\"Bearer secret-0123456789\" acme;"),
        ),
        ("A=secret-0123456789:your_tier\n".to_owned(), 1, "A=secret-0123456789:pro\n".to_owned()),
        ("A=changeme\n".to_owned(), 1, "A=secret-0123456789\n".to_owned()),
        (
            "A=secret-0123456789\nDATABASE_URL=postgresql://u:secret@h/db\n".to_owned(),
            2,
            "A=secret-0123456789:pro\n".to_owned(),
        ),
        ("A=secret-0123456789\nFOO=true\n".to_owned(), 2, "A=secret-0123456789\n".to_owned()),
        ("A=secret-0123456789:secret/pass\n".to_owned(), 1, "A=secret-0123456789:pro\n".to_owned()),
    ] {
        let run = keys.import(&bad, &[]);
        assert!(run.status == 1 && !keys.path.exists(), "{bad} {}", run.out);
        assert!(run.err.contains(&format!("line {line}: ")), "{bad} {}", run.err);
        assert_eq!(keys.import(&good, &["--dry-run"]).status, 0, "{good}");
        // Left out, it isn't there.
        let run = keys.import(&bad, &["--dry-run", "--skip-invalid", "--json"]);
        let report: Value = serde_json::from_str(&run.out).unwrap();
        let expected = if line == 2 { 1 } else { 0 };
        assert_eq!((run.status, &report["imported"]), (0, &expected.into()), "{bad}");
    }
}

#[test]
fn map_of_switches_gives_its_keys_to_the_client_that_is_named() {
    let keys = Keys::new();
    let text = "map $http_x_api_key $ok {\n default 0;\n \"secret-0123456789\" 1;\n \"secret-abcdefghijk\" 0;\n}\n";
    let run = keys.import(text, &[]);
    assert!(run.status == 1 && run.err.contains("--client NAME"), "{}", run.err);
    let run = keys.import(text, &["--client", "acme"]);
    assert_eq!(run.status, 0, "{}", run.err);
    assert_eq!(keys.judge("secret-0123456789"), belongs("acme", "-"));
    assert_eq!(keys.judge("secret-abcdefghijk"), None);
    assert!(run.out.contains("skipped 1: a value that requests without a key have"), "{}", run.out);
    let conditions =
        "server {\n if ($http_x_api_key != \"secret-0123456789\") { return 401; }\n}\n";
    let run = Keys::new().import(conditions, &["--client", "acme"]);
    assert!(run.status == 1 && run.out.is_empty(), "{} {}", run.out, run.err);
}

#[test]
fn descriptions_keep_no_secret() {
    let keys = Keys::new();
    let text =
        "A=example-0123456789:pro:batch jobs\nB=example-abcdefghijk:pro:password is secret\n\
                C=example-qwertyuiop:pro:was 4f2Kq9LmZx8Yw7Vu6T\n";
    let run = keys.import(text, &[]);
    assert_eq!(run.status, 0, "{}", run.err);
    assert!(run.out.contains("note: 2 descriptions may hold a credential"), "{}", run.out);
    let entries = keys.entries();
    assert_eq!(entries[0]["description"], "batch jobs");
    assert!(entries[1].get("description").is_none() && entries[2].get("description").is_none());
}

#[test]
fn what_restricts_consumers_of_kong_comes_along_or_is_refused() {
    let kong = |consumer: &str, more: &str| {
        format!(
            r#"{{"_format_version":"3.0","consumers":[{{"username":"acme",
            "keyauth_credentials":[{{"key":"secret-0123456789"}}]{consumer}}}]{more}}}"#
        )
    };
    let networks = kong(
        r#","plugins":[{"name":"ip-restriction","config":{"allow":["10.0.0.0/8"]}}],"acls":[{"group":"pro"}]"#,
        "",
    );
    let keys = Keys::new();
    assert_eq!(keys.import(&networks, &[]).status, 0);
    assert_eq!(keys.entries()[0]["cidrs"], serde_json::json!(["10.0.0.0/8"]));
    assert_eq!(keys.entries()[0]["tier"], "pro");

    let off = kong("", r#","plugins":[{"name":"request-termination","consumer":"acme"}]"#);
    let keys = Keys::new();
    let run = keys.import(&off, &[]);
    assert!(run.status == 0 && run.out.contains("they are disabled"), "{}", run.err);
    assert_eq!(keys.entries()[0]["disabled"], true);

    let denied =
        kong(r#","plugins":[{"name":"ip-restriction","config":{"deny":["10.0.0.0/8"]}}]"#, "");
    let keys = Keys::new();
    let run = keys.import(&denied, &[]);
    assert!(
        run.status == 1 && run.err.contains("entry 1: a key that is restricted"),
        "{}",
        run.err
    );
    assert!(!keys.path.exists());
    let run = keys.import(&denied, &["--drop-restrictions"]);
    assert!(run.status == 0 && run.out.contains("are no more: ip-restriction"), "{}", run.out);

    let limited =
        kong("", r#","plugins":[{"name":"rate-limiting","consumer":{"username":"acme"}}]"#);
    let run = Keys::new().import(&limited, &["--tier", "pro"]);
    assert!(run.status == 0 && run.out.contains("rate limits of their own"), "{}", run.out);
}

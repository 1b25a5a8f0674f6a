//! `tollgate key import`, from what other gateways have.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod command;
mod importer;

use std::collections::BTreeMap;
use std::fs;

use command::tollgate_with;
use importer::{belongs, Keys};
use serde_json::Value;

#[test]
fn configuration_in_the_documentation_is_taken_over_with_its_tiers() {
    let keys = Keys::new();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../nginx-conf/migrate-from-map.conf");
    let run = keys.import(&fs::read_to_string(path).unwrap(), &[]);
    assert_eq!(run.status, 0, "{}", run.err);
    assert!(run.out.starts_with("imported 2 keys of 2 clients (map)"), "{}", run.out);
    assert_eq!(keys.judge("example-key-of-acme"), belongs("acme", "free"));
    assert_eq!(keys.judge("example-key-of-zenith"), belongs("zenith", "pro"));
}

#[test]
fn map_is_all_or_nothing() {
    let keys = Keys::new();
    let text = "map $http_authorization $c {\n \"Bearer secret-0123456789\" acme;\n ~secret x;\n \"Bearer secret-abcdefghijk\" zen;\n}";
    let run = keys.import(text, &[]);
    assert_eq!(run.status, 1);
    assert!(run.err.contains("line 3: a regular expression"), "{}", run.err);
    assert!(!keys.path.exists());
    let run = keys.import(text, &["--skip-invalid", "--tier", "pro"]);
    assert_eq!(run.status, 0, "{}", run.err);
    assert_eq!(keys.judge("secret-abcdefghijk"), belongs("zen", "pro"));
    assert_eq!(keys.entries().len(), 2);
}

#[test]
fn maps_of_what_is_no_credential_make_no_keys() {
    let keys = Keys::new();
    let text = r#"
        map $http_upgrade $connection_upgrade { default upgrade; '' close; }
        map $http_accept $kind { "application/json" json; }
        map $http_authorization $client { default ""; "Bearer secret-0123456789" acme; }"#;
    let run = keys.import(text, &[]);
    assert_eq!(run.status, 0, "{}", run.err);
    assert_eq!(keys.entries().len(), 1);
    assert_eq!(keys.judge("secret-0123456789"), belongs("acme", "-"));
    assert_eq!(keys.judge("application/json"), None);
    let text = "map $http_x_gate $client { \"secret-abcdefghijk\" zen; }";
    let run = keys.import(text, &[]);
    assert!(run.status == 1 && run.err.contains("--map-variable"), "{}", run.err);
    assert_eq!(keys.import(text, &["--map-variable", "http_x_gate"]).status, 0);
    assert_eq!(keys.judge("secret-abcdefghijk"), belongs("zen", "-"));
}

#[test]
fn nothing_on_stdin_is_told_with_what_it_may_be() {
    let keys = Keys::new();
    let run = tollgate_with(["key", "import", "--file", keys.path.to_str().unwrap(), "-"], b"");
    assert_eq!(run.status, 3, "{}", run.err);
    assert!(run.err.contains("nginx -T") && run.err.contains("root"), "{}", run.err);
}

#[test]
fn files_that_a_map_includes_are_not_passed_over() {
    let keys = Keys::new();
    let text =
        "map $http_authorization $c {\n include keys.map;\n \"Bearer secret-0123456789\" a;\n}";
    let run = keys.import(text, &[]);
    assert!(run.status == 1 && run.err.contains("line 2: a file"), "{}", run.err);
    assert!(!keys.path.exists());
}

#[test]
fn mark_at_the_beginning_of_a_file_is_no_part_of_a_key() {
    let keys = Keys::new();
    let run = keys.import("\u{feff}secret-0123456789\r\n", &["--client", "acme"]);
    assert_eq!(run.status, 0, "{}", run.err);
    assert_eq!(keys.judge("secret-0123456789"), belongs("acme", "-"));
    let run =
        keys.import("\u{feff}[{\"token\":\"sk-secret-0123456789\",\"user_id\":\"zen\"}]", &[]);
    assert!(run.status == 0 && run.out.contains("(litellm)"), "{}", run.err);
}

#[test]
fn elements_of_an_export_that_are_no_keys_are_not_passed_over() {
    let keys = Keys::new();
    let hash = tollgate_core_hash(b"sk-secret-0123456789");
    for (text, format, message) in [
        (format!(r#"{{"keys":["{hash}"],"total_count":1}}"#), "litellm", "return_full_object"),
        (r#"{"consumers":["secret-1"]}"#.to_owned(), "kong", "entry 1"),
        (r#"{"consumers":[{"username":"a","keyauth_credentials":["secret-1"]}]}"#.to_owned(), "kong", "entry 1"),
        (r#"{"consumers":[{"username":"a","keyauth_credentials":[{"key":"{vault://env/secret-1}"}]}]}"#.to_owned(), "kong", "vault"),
    ] {
        let run = keys.import(&text, &["--format", format]);
        assert!(run.status == 1 && run.err.contains(message), "{text} {}", run.err);
        assert!(!run.err.contains(&hash) && !keys.path.exists(), "{text}");
    }
}

#[test]
fn lines_of_an_environment_are_taken_over() {
    let keys = Keys::new();
    let text = "# keys\nACME_CORP=secret-0123456789:pro:batch: jobs\nexport ZEN='secret-abcdefghijk:free'\n\nONE=\"secret-qwertyuiop\" # x\n";
    let run = keys.import(text, &[]);
    assert_eq!(run.status, 0, "{}", run.err);
    assert!(run.out.contains("(env)"), "{}", run.out);
    assert_eq!(keys.judge("secret-0123456789"), belongs("acme-corp", "pro"));
    assert_eq!(keys.judge("secret-abcdefghijk"), belongs("zen", "free"));
    assert_eq!(keys.judge("secret-qwertyuiop"), belongs("one", "-"));
    assert_eq!(keys.entries()[0]["description"], "batch: jobs");
    let run = keys.import("A=secret-1:x\nsecret line\n", &["--format", "env"]);
    assert_eq!(run.status, 1);
    assert!(run.err.contains("line 2"), "{}", run.err);
}

#[test]
fn plain_list_needs_a_client() {
    let keys = Keys::new();
    let text = "secret-0123456789\n# a comment\nsecret-abcdefghijk\n";
    assert_eq!(keys.import(text, &[]).status, 2);
    let run = keys.import(text, &["--client", "acme", "--tier", "pro"]);
    assert_eq!(run.status, 0, "{}", run.err);
    assert_eq!(keys.judge("secret-abcdefghijk"), belongs("acme", "pro"));
    let run = keys.import("secret one\n", &["--format", "plain", "--client", "acme"]);
    assert_eq!(run.status, 1);
}

#[test]
fn litellm_keys_are_taken_over_by_their_hashes() {
    let keys = Keys::new();
    // The SHA-256 of sk-secret-0123456789.
    let hash = tollgate_core_hash(b"sk-secret-0123456789");
    let text = format!(
        r#"{{"keys":[
            {{"token":"{hash}","key_alias":"acme","models":["gpt-4o"],"expires":"2030-01-01T00:00:00Z","max_budget":10.0,"metadata":{{"tier":"pro"}}}},
            {{"token":"sk-secret-abcdefghijk","user_id":"zen","models":["all-team-models"],"expires":"2030-01-01 00:00:00","blocked":null}},
            {{"token":"sk-secret-qwertyuiop","team_id":"off","created_at":"2026-01-02T03:04:05.678","blocked":true}}
        ]}}"#
    );
    let run = keys.import(&text, &["--tier", "free"]);
    assert_eq!(run.status, 0, "{}", run.err);
    assert!(
        run.out.contains("(litellm)") && run.out.contains("note: 1 keys have budgets"),
        "{}",
        run.out
    );
    assert_eq!(keys.judge("sk-secret-0123456789"), belongs("acme", "pro"));
    assert_eq!(keys.judge("sk-secret-abcdefghijk"), belongs("zen", "free"));
    assert_eq!(keys.judge("sk-secret-qwertyuiop"), None);
    let entries = keys.entries();
    assert_eq!(entries[0]["models"], serde_json::json!(["gpt-4o"]));
    assert_eq!(entries[1]["expires"], "2030-01-01T00:00:00Z");
    assert_eq!(entries[2]["tenant"], "off");
    assert_eq!(entries[2]["created"], "2026-01-02T03:04:05Z");
    assert!(entries[0].get("tenant").is_none());
    assert!(entries[1].get("models").is_none() && entries[2]["disabled"] == true);
    for bad in [
        r#"[{"token":"sk-...abcd","key_alias":"a"}]"#,
        r#"[{"token":"sk-secret-1"}]"#,
        r#"[{"token":"sk-secret-1","key_alias":"a","expires":"secret"}]"#,
        r#"{"other":[]}"#,
    ] {
        assert_eq!(keys.import(bad, &["--format", "litellm"]).status, 1, "{bad}");
    }
    assert_eq!(keys.import("[secret", &["--format", "litellm"]).status, 3);
}

fn tollgate_core_hash(key: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn kong_consumers_are_taken_over_with_their_groups() {
    let keys = Keys::new();
    let text = r#"{"_format_version":"3.0","consumers":[
        {"username":"acme","acls":[{"group":"pro"}],"keyauth_credentials":[{"key":"secret-0123456789"},{"key":"secret-abcdefghijk","ttl":86400,"created_at":4102444800}]},
        {"custom_id":"zen","id":"7","acls":[{"group":"a"},{"group":"b"}]}],
        "keyauth_credentials":[{"key":"secret-qwertyuiop","consumer":{"id":"7"}},{"key":"secret-asdfghjkl","consumer":"acme"}]}"#;
    let run = keys.import(text, &[]);
    assert_eq!(run.status, 0, "{}", run.err);
    assert!(run.out.contains("(kong)"), "{}", run.out);
    assert_eq!(keys.judge("secret-0123456789"), belongs("acme", "pro"));
    assert_eq!(keys.judge("secret-asdfghjkl"), belongs("acme", "pro"));
    assert_eq!(keys.judge("secret-qwertyuiop"), belongs("zen", "-"));
    assert_eq!(keys.entries()[1]["expires"], "2100-01-02T00:00:00Z");
    assert_eq!(keys.entries()[1]["created"], "2100-01-01T00:00:00Z");
    let page = r#"{"data":[{"key":"secret-zxcvbnmasdf","consumer":{"id":"c-1"}}],"next":null}"#;
    assert_eq!(keys.import(page, &[]).status, 0);
    assert_eq!(keys.judge("secret-zxcvbnmasdf"), belongs("c-1", "-"));
    let yaml = keys.import("_format_version: \"3.0\"\nconsumers:\n- username: a\n", &[]);
    assert_eq!(yaml.status, 2);
    assert!(yaml.err.contains("JSON"), "{}", yaml.err);
    assert_eq!(keys.import(r#"{"data":[{"key":"secret-1","consumer":null}]}"#, &[]).status, 1);
}

#[test]
fn entries_of_maps_that_nginx_would_refuse_import_nothing() {
    let keys = Keys::new();
    let map = |entry: &str| {
        format!("map $http_authorization $c {{\n \"Bearer secret-0123456789\" acme;\n {entry}\n}}")
    };
    for (entry, good) in [
        ("secret-abcdefghijk zen", "\"Bearer secret-abcdefghijk\" zen;"),
        ("\"Bearer secret-abcdefghijk\";", "\"Bearer secret-abcdefghijk\" \"\";"),
        ("Bearer secret-abcdefghijk zen;", "# Bearer secret-abcdefghijk zen;"),
    ] {
        let run = keys.import(&map(entry), &[]);
        assert!(run.status == 1 && run.err.contains("line 3: an entry"), "{}", run.err);
        assert_eq!(keys.import(&map(good), &["--dry-run"]).status, 0, "{good}");
    }
    assert!(!keys.path.exists());
}

#[test]
fn what_shells_would_not_take_for_a_key_is_none() {
    let keys = Keys::new();
    for (bad, good) in [
        ("A= # secret-comment", "A=secret-0123456789 # secret-comment"),
        ("A=$SECRET_secret", "A='$SECRET_secret'"),
        ("A=\"secret-0123456789\"secret", "A=\"secret-0123456789\" # secret"),
    ] {
        let run = keys.import(bad, &[]);
        assert!(run.status != 0 && !keys.path.exists(), "{bad} {}", run.out);
        assert_eq!(keys.import(good, &["--dry-run"]).status, 0, "{good}");
    }
    let run = keys.import("c2VjcmV0LTAxMjM0NTY3ODk=\n", &["--client", "acme"]);
    assert!(run.status == 0 && run.out.contains("(plain)"), "{}", run.out);
    assert_eq!(keys.judge("c2VjcmV0LTAxMjM0NTY3ODk="), belongs("acme", "-"));
}

#[test]
fn what_restricts_a_key_is_never_left_out() {
    let keys = Keys::new();
    let litellm =
        |more: &str| format!(r#"[{{"token":"sk-secret-0123456789","user_id":"a",{more}}}]"#);
    let kong = |more: &str| {
        format!(r#"{{"data":[{{"key":"secret-0123456789","consumer":{{"id":"c"}},{more}}}]}}"#)
    };
    for (bad, good) in [
        (litellm(r#""models":"gpt-4o""#), litellm(r#""models":["gpt-4o"]"#)),
        (litellm(r#""models":[{"name":"gpt-4o"}]"#), litellm(r#""models":[]"#)),
        (litellm(r#""expires":1900000000"#), litellm(r#""expires":null"#)),
        (litellm(r#""blocked":1"#), litellm(r#""blocked":false"#)),
        (litellm(r#""metadata":{"tier":1}"#), litellm(r#""metadata":{"tier":"pro"}"#)),
        (kong(r#""ttl":"60""#), kong(r#""ttl":60"#)),
        (kong(r#""ttl":-1"#), kong(r#""ttl":0"#)),
        (kong(r#""ttl":60,"created_at":"x""#), kong(r#""ttl":null,"created_at":1"#)),
    ] {
        let run = keys.import(&bad, &[]);
        assert!(run.status == 1 && run.err.contains("entry 1: "), "{bad} {}", run.err);
        assert!(!keys.path.exists());
        assert_eq!(keys.import(&good, &["--dry-run"]).status, 0, "{good}");
    }
    // What is left of a ttl has a fraction, in Kong's Admin API.
    let run = keys.import(&kong(r#""ttl":998.4,"created_at":4102444800"#), &[]);
    assert!(run.status == 0 && run.out.contains("note: 1 keys have a \"ttl\""), "{}", run.out);
    assert_eq!(keys.entries()[0]["expires"], "2100-01-01T00:16:38Z");
}

#[test]
fn what_litellm_keys_lose_is_said() {
    let keys = Keys::new();
    let text = r#"[{"token":"sk-secret-0123456789","user_id":"a","team_id":"t","models":["m"],
        "allowed_routes":["/chat"],"metadata":{"model_rpm_limit":{"m":1}}},
        {"token":"sk-secret-abcdefghijk","user_id":"b","max_budget":null,"model_max_budget":{}}]"#;
    // What opens more than before is not taken over unasked.
    let run = keys.import(text, &[]);
    assert!(
        run.status == 1 && run.err.contains("entry 1: a key that is restricted"),
        "{}",
        run.err
    );
    assert!(run.err.contains("allowed_routes") && !keys.path.exists(), "{}", run.err);
    let run = keys.import(text, &["--drop-restrictions"]);
    assert_eq!(run.status, 0, "{}", run.err);
    for said in ["budgets or rate", "belong to teams", "are no more: allowed_routes"] {
        assert!(
            run.out.lines().any(|l| l.starts_with("note: 1 keys") && l.contains(said)),
            "{said}"
        );
    }
}

#[test]
fn flat_export_of_kong_keeps_owners_and_groups_apart() {
    let keys = Keys::new();
    let text = r#"{"_format_version":"3.0","_transform":false,
        "consumers":[{"id":"1","username":"bob","custom_id":null},{"id":"2","username":"eve","custom_id":"bob"}],
        "acls":[{"id":"a","consumer":"1","group":"pro"},{"id":"b","consumer":{"id":"2"},"group":"x"},{"id":"c","consumer":"2","group":"y"}],
        "jwt_secrets":[{"consumer":"1","secret":"secret"}],
        "keyauth_credentials":[{"key":"secret-0123456789","consumer":"bob","ttl":null},{"key":"secret-abcdefghijk","consumer":"2"}]}"#;
    let run = keys.import(text, &["--tier", "free"]);
    assert_eq!(run.status, 0, "{}", run.err);
    assert_eq!(keys.judge("secret-0123456789"), belongs("bob", "pro"));
    assert_eq!(keys.judge("secret-abcdefghijk"), belongs("eve", "free"));
    assert!(
        run.out.contains("skipped 1: a credential of Kong's that is no API key"),
        "{}",
        run.out
    );
    let empty = Keys::new();
    for bad in [
        text.replace(r#""keyauth_credentials":["#, r#""keyauth_credentials":7,"more":["#),
        text.replace(r#""group":"pro""#, r#""group":7"#),
        r#"{"consumers":[{"username":"a","keyauth_credentials":{"key":"secret-0123456789"}}]}"#
            .to_owned(),
    ] {
        assert_eq!(empty.import(&bad, &[]).status, 1, "{bad}");
        assert!(!empty.path.exists());
    }
    let yaml = keys.import("_format_version: \"3.0\"\n", &["--format", "kong"]);
    assert!(yaml.status == 2 && yaml.err.contains("YAML"), "{}", yaml.err);
}

#[test]
fn keys_that_are_names_are_refused_unseen() {
    let keys = Keys::new();
    let hash = tollgate_core_hash(b"sk-secret-0123456789");
    for text in [
        // Key and client changed places in one of two lines.
        "map $http_x_key $c {\n secret-0123456789 secret-abcdefghijk;\n secret-abcdefghijk zen;\n}"
            .to_owned(),
        format!(r#"[{{"token":"{hash}","key_alias":"sk-secret-0123456789"}}]"#),
        "ACME=secret-0123456789:pro:its key is secret-0123456789".to_owned(),
        format!("ACME=secret-0123456789:tg_{}", "secret-".repeat(7).split_at(43).0),
    ] {
        for more in [&[][..], &["--dry-run"], &["--json"]] {
            let run = keys.import(&text, more);
            assert!(run.status == 1 && run.err.contains("a key"), "{text} {}", run.err);
            assert!(!keys.path.exists());
        }
        // What remains without it is imported.
        assert_eq!(keys.import(&text, &["--dry-run", "--skip-invalid"]).status, 0, "{text}");
    }
}

#[test]
fn refusal_is_told_as_json_as_well() {
    let keys = Keys::new();
    let text = "A=secret-0123456789\nB=secret\n";
    let run = keys.import(text, &["--json"]);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((run.status, &report["imported"], &report["invalid"]), (1, &0.into(), &1.into()));
    assert_eq!(report["faults"][0]["place"], "line 2");
    let run = keys.import(text, &["--json", "--skip-invalid"]);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((run.status, &report["imported"], &report["invalid"]), (0, &1.into(), &1.into()));
}

#[test]
fn key_of_another_client_stays_with_it() {
    let keys = Keys::new();
    assert_eq!(keys.import("A=secret-0123456789\n", &[]).status, 0);
    let run = keys.import("B=secret-0123456789\n", &[]);
    assert!(run.out.contains("note: 1 keys that are in the file already belong to"), "{}", run.out);
    assert_eq!(keys.judge("secret-0123456789"), belongs("a", "-"));
    assert!(!keys.import("A=secret-0123456789\n", &[]).out.contains("note"));
}

#[test]
fn pages_that_are_missing_are_told_of() {
    let keys = Keys::new();
    let litellm = r#"{"keys":[{"token":"sk-secret-0123456789","user_id":"a"}],"total_pages":2}"#;
    let kong =
        r#"{"data":[{"key":"secret-0123456789","consumer":{"id":"c"}}],"next":"/key-auths"}"#;
    for text in [litellm, kong] {
        let run = keys.import(text, &[]);
        assert!(run.status == 0 && run.out.contains("pages"), "{}{}", run.out, run.err);
        let whole = text.replace("2}", "1}").replace("\"/key-auths\"", "null");
        assert!(!keys.import(&whole, &[]).out.contains("pages"));
    }
}

#[test]
fn dry_run_tells_and_writes_nothing() {
    let keys = Keys::new();
    let text = "A=secret-0123456789\nB=secret-abcdefghijk\n";
    let run = keys.import(text, &["--dry-run"]);
    assert_eq!(run.status, 0);
    assert!(run.out.starts_with("would import 2 keys"), "{}", run.out);
    assert!(!keys.path.exists());
    assert_eq!(keys.import(text, &[]).status, 0);
    let before = fs::read(&keys.path).unwrap();
    let again = keys.import(text, &[]);
    assert!(again.out.contains("skipped 2: in the file already"), "{}", again.out);
    assert_eq!(fs::read(&keys.path).unwrap(), before);
}

#[test]
fn key_of_two_clients_is_a_fault_and_one_twice_is_not() {
    let keys = Keys::new();
    let run = keys.import("A=secret-0123456789\nB=secret-0123456789\n", &[]);
    assert_eq!(run.status, 1);
    assert!(run.err.contains("line 2: the key of line 1 again"), "{}", run.err);
    let list = "secret-0123456789\nsecret-0123456789\n";
    let run = keys.import(list, &["--client", "acme", "--json"]);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&report["imported"], &report["format"]), (&1.into(), &"plain".into()));
    let skipped: BTreeMap<String, u64> = serde_json::from_value(report["skipped"].clone()).unwrap();
    assert_eq!(skipped.values().sum::<u64>(), 1);
}

#[test]
fn short_keys_are_warned_of_and_bad_names_refused() {
    let keys = Keys::new();
    let run = keys.import("A=secret-1\n", &[]);
    assert!(run.status == 0 && run.out.contains("note: 1 keys are shorter"), "{}", run.out);
    for client in [" ", "a\tb"] {
        assert_eq!(keys.import("secret-0123456789\n", &["--client", client]).status, 1, "{client}");
    }
    let run = keys.import("map $http_x_key $y { \"\" acme; }", &[]);
    assert_eq!(run.status, 1);
}

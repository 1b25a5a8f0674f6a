use super::*;
use proptest::prelude::*;

#[test]
fn a_file_without_entries_is_an_empty_set() {
    let set = parse("{\"keys\": [], \"version\": 1}\r\n").unwrap();
    assert!(set.is_empty());
    assert!(set.lookup(b"secret-k_1", NOW, None).is_err());
}

#[test]
fn errors_of_the_file_say_what_it_is() {
    for (text, expected) in [
        ("", "the keys file is not one json object: EOF while parsing a value at line 1 column 0"),
        ("[]", "the keys file is not a json object"),
        ("\"secret\"", "the keys file is not a json object"),
        ("7", "the keys file is not a json object"),
        ("{}", "field \"version\" is missing"),
        ("{\"version\": 1}", "field \"keys\" is missing"),
        ("{\"keys\": []}", "field \"version\" is missing"),
        ("{\"version\": 1, \"keys\": {}}", "field \"keys\" must be an array"),
        ("{\"version\": 1, \"keys\": \"secret\"}", "field \"keys\" must be an array"),
        ("{\"version\": 1, \"keys\": null}", "field \"keys\" must be an array"),
        ("{\"version\": 2, \"keys\": []}", "field \"version\" must be 1"),
        ("{\"version\": 1.0, \"keys\": []}", "field \"version\" must be 1"),
        ("{\"version\": \"1\", \"keys\": []}", "field \"version\" must be 1"),
        ("{\"keys\": [{\"secret\": 1}], \"version\": 2}", "field \"version\" must be 1"),
        ("{\"version\": 1, \"version\": 1, \"keys\": []}", "field \"version\" occurs twice"),
        ("{\"version\": 1, \"keys\": [], \"k\\u0065ys\": []}", "field \"keys\" occurs twice"),
        ("{\"version\": 1, \"keys\": [], \"extra\": 1}", "field \"extra\" is unknown"),
        ("{\"version\": 1, \"keys\": [\"secret\"]}", "keys[0]: is not a json object"),
        ("{\"version\": 1, \"keys\": [null]}", "keys[0]: is not a json object"),
        ("{\"version\": 1, \"keys\": []} {}", "the keys file is not one json object: trailing"),
        ("{\"version\": 1, \"keys\": []}, 1", "the keys file is not one json object: trailing"),
        ("{\"version\": 1, \"keys\": [],}", "the keys file is not one json object: trailing comma"),
        ("\u{feff}{\"version\": 1, \"keys\": []}", "the keys file begins with a byte order mark"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
    assert_eq!(KeySet::parse(b"\xff\xfe{\0}\0").unwrap_err().problem, Problem::ByteOrderMark);
}

#[test]
fn errors_of_an_entry_name_it_and_the_field() {
    for (more, expected) in [
        (json!({"extra": 1}), "key \"k_1\": field \"extra\" is unknown: use version"),
        (json!({"tg_Secret": 1}), "key \"k_1\": a field whose name is not shown is unknown"),
        (json!({"tier": 1}), "key \"k_1\": field \"tier\" must be a string"),
        (json!({"tier": null}), "key \"k_1\": field \"tier\" must be a string"),
        (json!({"tier": ""}), "key \"k_1\": field \"tier\" must be 1 to 256 bytes"),
        (json!({"client": "a\nb"}), "key \"k_1\": field \"client\" must be 1 to 256 bytes"),
        (json!({"client": " a"}), "key \"k_1\": field \"client\" must be 1 to 256 bytes"),
        (json!({"client": "x".repeat(257)}), "key \"k_1\": field \"client\" must be 1 to 256"),
        (json!({"disabled": "secret"}), "key \"k_1\": field \"disabled\" must be true or false"),
        (json!({"disabled": 1}), "key \"k_1\": field \"disabled\" must be true or false"),
        (json!({"description": []}), "key \"k_1\": field \"description\" must be a string"),
        (json!({"models": []}), "key \"k_1\": field \"models\" is an empty array"),
        (json!({"scopes": []}), "key \"k_1\": field \"scopes\" is an empty array"),
        (json!({"cidrs": []}), "key \"k_1\": field \"cidrs\" is an empty array"),
        (
            json!({"deny_cidrs": []}),
            "key \"k_1\": field \"deny_cidrs\" is an empty array, which denies nothing",
        ),
        (
            json!({"deny_cidrs": ["10.0.0.0/8", "secret"]}),
            "key \"k_1\": field \"deny_cidrs\" has an element [1] that is not an address",
        ),
        (json!({"scopes": "chat"}), "key \"k_1\": field \"scopes\" must be an array of strings"),
        (json!({"scopes": ["chat", ""]}), "key \"k_1\": field \"scopes\" has an element [1] that"),
        (
            json!({"scopes": ["chat", "Chat"]}),
            "key \"k_1\": field \"scopes\" has an element [1] that is no scope: use some of chat, completions",
        ),
        (json!({"models": [["a"]]}), "key \"k_1\": field \"models\" has an element [0] that"),
        (
            json!({"models": ["llama-*", "~^qwen"]}),
            "key \"k_1\": field \"models\" has an element [1] that is no pattern of models: ",
        ),
        (json!({"cidrs": [4]}), "key \"k_1\": field \"cidrs\" must be an array of strings"),
        (
            json!({"cidrs": ["10.0.0.0/8", "203.0.113.7/24"]}),
            "key \"k_1\": field \"cidrs\" has an element [1] that has bits set below its prefix: \
             write \"203.0.113.0/24\" for the network",
        ),
        (
            json!({"cidrs": ["secret"]}),
            "key \"k_1\": field \"cidrs\" has an element [0] that is not an address",
        ),
        (
            json!({"not_before": "2027-01-01T00:00:00Z", "expires": "2027-01-01T00:00:00Z"}),
            "key \"k_1\": field \"expires\" is not after \"not_before\"",
        ),
        (json!({"hash": hash("secret-k_0")}), "key \"k_1\": field \"hash\" is that of key \"k_0\""),
        (json!({"hash": hash("")}), "key \"k_1\": field \"hash\" is the sha-256 of the empty"),
        (json!({"hash": hash("acme")}), "key \"k_1\": field \"client\" holds a key itself"),
        (json!({"hash": hash("k_1")}), "keys[1]: field \"id\" holds a key itself"),
    ] {
        let error = error(more);
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_name_in_the_form_of_a_key_is_refused_and_not_repeated() {
    let key = format!("tg_{}secret", "0123456789-_secret".repeat(2) + "0");
    let error = parse(&file(&[entry(&key, json!({}))])).unwrap_err();
    assert!(error.starts_with("keys[0]: field \"id\" holds a key itself"), "{error}");
}

#[test]
fn required_fields_are_required() {
    for field in ["id", "client"] {
        let mut entry = entry("k_1", json!({}));
        entry.as_object_mut().unwrap().remove(field);
        let error = parse(&file(&[entry])).unwrap_err();
        let name = if field == "id" { "keys[0]" } else { "key \"k_1\"" };
        assert_eq!(error, format!("{name}: field \"{field}\" is missing"));
    }
}

#[test]
fn a_member_may_not_occur_twice_whatever_its_spelling() {
    let entry = entry("k_1", json!({"disabled": true})).to_string();
    let entry = entry.replace("{", "{\"d\\u0069sabled\": false, ");
    let error = parse(&format!("{{\"version\": 1, \"keys\": [{entry}]}}")).unwrap_err();
    assert!(error.starts_with("key \"k_1\": field \"disabled\" occurs twice"), "{error}");
}

#[test]
fn an_id_may_not_occur_twice() {
    let other = json!({"id": "k_1", "hash": hash("other"), "client": "acme"});
    let error =
        parse(&file(&[entry("k_1", json!({})), entry("k_2", json!({})), other])).unwrap_err();
    assert!(error.starts_with("key \"k_1\": field \"id\" is that of both keys[0] and keys[2]"));
}

#[test]
fn one_spelling_of_a_hash_is_accepted() {
    let good = hash("x");
    for bad in [
        good.to_uppercase(),
        good.replace("sha256", "SHA256"),
        format!("sha256:{}", digits("x").to_uppercase()),
        digits("x"),
        good.chars().take(70).collect(),
        format!("{good}0"),
        format!("{good}\n"),
        good.replace(':', ": "),
        format!("sha256:{}", "g".repeat(64)),
        format!("sha256:{}", "\u{e9}".repeat(32)),
        "secret".to_owned(),
    ] {
        let error = error(json!({"hash": bad}));
        assert!(error.starts_with("key \"k_1\": field \"hash\" must be \"sha256:\""), "{error}");
    }
    // Every byte, at every place of a pair.
    for byte in (0..=127u8).map(char::from) {
        let is_digit = matches!(byte, '0'..='9' | 'a'..='f');
        for pair in [format!("{byte}0"), format!("0{byte}")] {
            let hash = format!("sha256:{pair}{}", "12".repeat(31));
            let parsed = parse(&file(&[json!({"id": "k_1", "client": "acme", "hash": hash})]));
            assert_eq!(parsed.is_ok(), is_digit, "{byte:?}");
        }
    }
}

#[test]
fn dates_are_those_of_rfc_3339() {
    for good in [
        "2027-01-01T00:00:00Z",
        "2027-01-01T00:00:00.5Z",
        "2027-01-01T00:00:00.123456789+05:30",
        "2027-06-30T23:59:60Z",
        "2028-02-29T00:00:00-00:00",
        "9000-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00Z",
        "0000-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59.999-23:59",
        "2027-01-01t00:00:00z",
        "2027-01-01T00:00:00.0000000001Z",
    ] {
        assert!(parse(&file(&[entry("k_1", json!({"not_before": good}))])).is_ok(), "{good}");
    }
    for bad in [
        "",
        "2027",
        "2027-01-01",
        "2027-01-01T00:00Z",
        "2027-01-01T00:00:00",
        "2027-01-01 00:00:00Z",
        "2027-02-29T00:00:00Z",
        "2027-13-01T00:00:00Z",
        "2027-01-01T24:00:00Z",
        "2027-01-01T00:60:00Z",
        "2027-01-01T00:00:61Z",
        "2027-01-01T00:00:00.Z",
        "2027-01-01T00:00:00,5Z",
        "2027-01-01T00:00:00+0000",
        "2027-01-01T00:00:00+24:00",
        "2027-01-01T00:00:00+00:60",
        "2027-01-01T00:00:00+00",
        "2027-01-01T00:00:00Z[UTC]",
        "+002027-01-01T00:00:00Z",
        " 2027-01-01T00:00:00Z",
        "2027-01-01T00:00:00Z ",
        "20270101T000000Z",
        "2027-01-01T00:00:00 Z",
        "1798761600",
        "never",
        "2027-01-01T00:00:00\u{2212}05:00",
    ] {
        let error = error(json!({"expires": bad}));
        assert!(
            error.starts_with("key \"k_1\": field \"expires\" must be a date"),
            "{bad}: {error}"
        );
    }
    let error = error(json!({"expires": 1_798_761_600}));
    assert!(error.starts_with("key \"k_1\": field \"expires\" must be a string"), "{error}");
}

#[test]
fn errors_survive_hostile_names() {
    let id = "a\"\r\n\u{1b}[31m\0\u{2028}\u{202e}\\";
    let error = parse(&file(&[entry(id, json!({}))])).unwrap_err();
    assert!(
        error.starts_with("key \"a\\\"\\r\\n\\u{1b}[31m\\0\\u{2028}\\u{202e}\\\\\": field"),
        "{error}"
    );
    let error = parse(&file(&[entry(&"x".repeat(100_000), json!({}))])).unwrap_err();
    assert!(error.starts_with("key \"xxx") && error.len() < 300, "{error}");
    for id in [json!(""), json!(7), json!(null), json!(["secret"])] {
        let mut entry = entry("k_1", json!({}));
        entry["id"] = id;
        let error = parse(&file(&[entry])).unwrap_err();
        assert!(error.starts_with("keys[0]: field \"id\" must be"), "{error}");
    }
}

#[test]
fn deep_nesting_is_an_error() {
    for depth in [200, 100_000] {
        let deep = format!(
            "{{\"version\": 1, \"keys\": [{{\"id\": {}{}}}]}}",
            "[".repeat(depth),
            "]".repeat(depth)
        );
        assert!(parse(&deep).is_err());
    }
}

#[test]
fn debug_shows_no_entry() {
    assert_eq!(format!("{:?}", set(json!({}))), "KeySet { len: 1, .. }");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        prop_assert!(KeySet::parse(&bytes).is_err());
    }

    #[test]
    fn a_damaged_file_never_panics_and_errors_stay_clean(
        at in 0_usize..200, byte: u8, cut in 0_usize..200,
    ) {
        let mut bytes = file(&[entry("k_1", json!({"tier": "pro", "cidrs": ["10.0.0.0/8"]}))]).into_bytes();
        let len = bytes.len();
        bytes[at % len] = byte;
        bytes.truncate(len - cut % 2 * (cut % len));
        if let Err(error) = KeySet::parse(&bytes) {
            prop_assert!(!error.to_string().chars().any(char::is_control));
        }
    }
}

#[test]
fn what_a_key_says_of_itself_is_bounded_and_no_key() {
    for (more, expected) in [
        (json!({"tenant": ""}), "field \"tenant\" must be 1 to 256 bytes"),
        (json!({"tenant": 1}), "field \"tenant\" must be a string"),
        (json!({"tenant": "secret-k_1"}), "field \"tenant\" holds a key itself"),
        (json!({"name": "a\n"}), "field \"name\" must be 1 to 256 bytes"),
        (json!({"name": "secret-k_1"}), "field \"name\" holds a key itself"),
        (json!({"created": "2026-01-01"}), "field \"created\" must be a date"),
        (json!({"created": null}), "field \"created\" must be a string"),
        (json!({"metadata": "a"}), "field \"metadata\" must be an object"),
        (json!({"metadata": []}), "field \"metadata\" must be an object"),
        (json!({"metadata": {}}), "field \"metadata\" must be an object of 1 to 16 members"),
        (json!({"metadata": {"a": null}}), "field \"metadata\" must be an object of"),
        (json!({"metadata": {"a": ["b"]}}), "field \"metadata\" must be an object of"),
        (json!({"metadata": {"a": {"b": 1}}}), "field \"metadata\" must be an object of"),
        (json!({"metadata": {"a": ""}}), "field \"metadata\" must be an object of"),
        (json!({"metadata": {"a": "b\tc"}}), "field \"metadata\" must be an object of"),
        (json!({"metadata": {"": 1}}), "field \"metadata\" must be an object of"),
        (json!({"metadata": {"a": "secret-k_1"}}), "field \"metadata\" holds a key itself"),
        (json!({"client": {"a": 1}}), "field \"client\" must be a string"),
    ] {
        let shown = error(more.clone());
        assert!(shown.contains(expected), "{more}: {shown}");
    }
    let members = |count: usize, len: usize| {
        let member = |n| (format!("m{n}"), Value::from("x".repeat(len)));
        Value::Object((0..count).map(member).collect())
    };
    assert!(parse(&file(&[entry("k_1", json!({"metadata": members(16, 40)}))])).is_ok());
    assert!(error(json!({"metadata": members(17, 1)})).contains("16 members"));
    assert!(error(json!({"metadata": members(5, 250)})).contains("1024 bytes"));
    let twice = file(&[entry("k_1", json!({"metadata": {"a": 1}}))])
        .replace("{\"a\":1}", "{\"a\":1,\"a\":2}");
    assert!(parse(&twice).unwrap_err().contains("each once"));
}

use super::*;
use proptest::prelude::*;

fn found(text: &str) -> Vec<(String, String, Option<String>)> {
    let source = read(text, None, false);
    assert!(source.faults.is_empty(), "{:?}", source.faults);
    let found = source.found.into_iter().map(|found| {
        let Secret::Key(key) = found.secret else { panic!("a hash") };
        (key, found.client, found.tier)
    });
    found.collect()
}

#[test]
fn maps_of_headers_are_read_with_the_tiers_of_their_clients() {
    let text = r#"
        http { # the map "of" keys {
            map $http_authorization $who {
                default "";
                'bearer one\'s key' acme;
                "Bearer two"  zenith;  "Basic abc" x;
                "Bearer three" "";
            }
            map $who $pro_client { default ""; zenith $who; acme ""; }
            map $http_upgrade $connection_upgrade { default upgrade; "" close; }
            map $http_accept $kind { "application/json" json; }
            map $http_x_api_key$host $both { "public" c; }
            map $http_x_api_key $other { \default strange; "a;{}b" last; }
            server { location / { return 200 "map $x $y { }"; } }
        }"#;
    let key = |key: &str, client: &str, tier: Option<&str>| {
        (key.to_owned(), client.to_owned(), tier.map(str::to_owned))
    };
    assert_eq!(
        found(text),
        [
            key("one's key", "acme", None),
            key("two", "zenith", Some("pro")),
            key("default", "strange", None),
            key("a;{}b", "last", None),
        ]
    );
}

#[test]
fn what_is_no_map_of_keys_is_a_fault_with_its_line() {
    for (text, line) in [
        ("server { }", 1),
        ("map $http_x $y {\n \"a\" b;", 2),
        ("map $http_x_key $y {\n ~^a b;\n }", 2),
        ("map $http_x_key $y {\n include keys.map;\n }", 2),
        ("map $http_x_key $y { \"a b; }", 1),
        ("map $http_accept $y { \"text/html\" a; }", 1),
        ("\n}", 2),
    ] {
        let source = read(text, None, false);
        assert_eq!(
            source.faults.first().map(|(place, _)| *place),
            Some(SourcePlace::Line(line)),
            "{text}"
        );
    }
    assert_eq!(read("map $host $y { a b; }", Some("host"), false).found.len(), 1);
}

/// Places of faults, and keys in between that were understood.
fn faults(text: &str) -> Vec<usize> {
    let source = read(text, None, false);
    let lines = source.faults.iter().map(|(place, _)| match place {
        SourcePlace::Line(line) | SourcePlace::Entry(line) => *line,
        SourcePlace::Whole => 0,
    });
    lines.collect()
}

#[test]
fn entries_that_nginx_would_refuse_are_not_passed_over() {
    let map = |entries: &str| format!("map $http_x_key $y {{\nkey-1 a;\n{entries}}}\n");
    assert!(faults(&map("")).is_empty());
    for entries in ["key-2 b\n", "key-2;\n", "key-2 b c;\n", "\"key-2\"b c;\n", "key-2 { b c; }\n"]
    {
        assert_eq!(faults(&map(entries)), [3], "{entries}");
    }
    assert_eq!(faults("map $http_x_key {\nkey-1 a;\n}"), [1]);
    assert_eq!(faults("map $http_x_key $y {\nhostnames;\n*.key-1 a;\nkey-2 b;\n}"), [3]);
    assert!(faults("map $http_x_key $y {\n*.key-1 a;\nkey-2 b;\n}").is_empty());
}

#[test]
fn words_are_those_of_nginx() {
    let text = "map ${http_X_Key} $y { a}b c; ${x}d e; \\\"f g; h\\ti j; }";
    let keys: Vec<_> = found(text).into_iter().map(|(key, _, _)| key).collect();
    assert_eq!(keys, ["a}b", "${x}d", "\"f", "h\ti"]);
    // A line that ends in a word counts as well.
    assert_eq!(faults("map $http_x_key $y {\n\"a\\\nb\" c;\n~d e;\n}"), [4]);
}

/// Keys that are taken, faults (as texts), and how many are skipped.
fn taken(text: &str, has_client: bool) -> (Vec<String>, Vec<String>, usize) {
    let source = read(text, None, has_client);
    let keys = source.found.iter().map(|found| match &found.secret {
        Secret::Key(key) | Secret::Hash(key) => key.clone(),
    });
    let faults = source.faults.iter().map(|(place, message)| format!("{place}: {message}"));
    (keys.collect(), faults.collect(), source.skipped.values().sum())
}

#[test]
fn values_say_whether_a_key_is_in_force_and_not_whose_it_is() {
    let map = |entries: &str| format!("map $http_x_api_key $ok {{\n{entries}\n}}");
    // The revoked key is no key of a client "0".
    let text = map("default 0; good-key 1;\nleaked 0;");
    let (keys, faults, skipped) = taken(&text, false);
    assert!(keys.is_empty() && faults.len() == 1 && skipped == 1, "{faults:?}");
    assert!(faults[0].contains("line 2") && faults[0].contains("--client"), "{faults:?}");
    assert_eq!(taken(&text, true), (vec!["good-key".to_owned()], vec![], 1));
    let guest = taken(&map("default guest; key-1 guest; key-2 acme;"), false);
    assert_eq!((guest.0, guest.2), (vec!["key-2".to_owned()], 1));
    for no in ["0", "off", "deny", "-1", "Revoked", "false", "403"] {
        let (keys, faults, _) = taken(&map(&format!("key-1 acme;\nkey-2 {no};")), true);
        assert!(keys == ["key-1"] && faults.len() == 1, "{no}");
        assert!(faults[0].starts_with("line 3: a value that says no"), "{faults:?}");
    }
    // Everybody is let in, but for these.
    let (keys, faults, _) = taken(&map("default 1; key-1 0; key-2 acme;"), true);
    assert!(keys.is_empty() && faults.len() == 1, "{faults:?}");
}

#[test]
fn keys_that_other_maps_refuse_are_not_taken() {
    let keys = "map $http_x_api_key $who { key-1 acme; key-2 zen; }\n";
    for (more, good) in [
        ("map $http_x_token $blocked { key-3 acme; }", &["key-1", "key-2"][..]),
        ("map $http_x_token $is_revoked { key-3 1; }", &["key-1", "key-2"]),
        ("map $who $banned { default 0; zen 1; }", &["key-1"]),
        ("map $who $ok { default 1; zen 0; }", &["key-1"]),
        ("map $who $allowed { default 0; acme 1; }", &["key-1"]),
        ("map $who $tier_ok { default no; zen deny; acme yes; }", &["key-1"]),
    ] {
        let (found, faults, _) = taken(&format!("{keys}{more}"), false);
        assert!(found == good && faults.len() == 1, "{more} {found:?} {faults:?}");
    }
    for more in [
        "map $who $limited { default $binary_remote_addr; acme \"\"; }",
        "map $who $pro_client { default \"\"; zen $who; acme \"\"; }",
        "map $who $allowed { default 0; acme 1; zen 1; }",
        "map $who $rate { default 0; acme 0; }",
    ] {
        let (found, faults, _) = taken(&format!("{keys}{more}"), false);
        assert!(found.len() == 2 && faults.is_empty(), "{more} {faults:?}");
    }
}

#[test]
fn what_a_key_gets_is_no_client() {
    let tiers = "map $http_x_api_key $tier { key-1 pro; key-2 pro; }\n";
    let (keys, faults, _) = taken(tiers, false);
    assert!(keys.is_empty() && faults.len() == 1 && faults[0].contains("--client"), "{faults:?}");
    assert_eq!(taken(tiers, true).0, ["key-1", "key-2"]);
    let both = format!("{tiers}map $http_x_api_key $who {{ key-1 acme; }}\n");
    let source = read(&both, None, false);
    assert!(source.found.len() == 1 && source.faults.is_empty(), "{:?}", source.faults);
    assert!(source.notes.iter().any(|note| note.contains("the map to $tier was not read")));
    // And conditions are where the keys are, if there is no map.
    let (keys, faults, _) = taken("server {\nif ($http_x_key != key-1) { return 401; }\n}", true);
    assert!(keys.is_empty() && faults.len() == 1 && faults[0].starts_with("line 2"), "{faults:?}");
}

#[test]
fn conditions_are_not_passed_over() {
    let keys = "map $http_authorization $who { \"Bearer key-1\" acme; }\n";
    let condition =
        |compared: &str| format!("{keys}server {{ if ({compared}) {{ return 403; }} }}");
    for refused in
        ["$http_authorization = \"Bearer key-1\"", "$http_x_key = KEY-1", "$arg_key != 'key-1' "]
    {
        let (found, faults, _) = taken(&condition(refused), false);
        assert!(found.is_empty() && faults.len() == 1, "{refused} {faults:?}");
        assert!(faults[0].contains("the condition in line 2"), "{faults:?}");
    }
    for (other, said) in [
        ("$http_x_api_key != \"secret-0123\"", true),
        ("$http_authorization = \"\"", false),
        ("$request_method = POST", false),
        ("$http_x_api_key", false),
    ] {
        let source = read(&condition(other), None, false);
        assert_eq!(source.found.len(), 1, "{other}");
        let notes = source.notes.join("; ");
        assert_eq!(notes.contains("line 2: a condition compares"), said, "{other} {notes}");
        assert!(!notes.contains("secret-0123"));
    }
    let geo = read(&format!("{keys}geo $http_x_key $g {{ default 0; }}"), None, false);
    assert!(geo.notes.iter().any(|note| note.contains("line 2: the geo")), "{:?}", geo.notes);
}

#[test]
fn what_was_not_read_is_said() {
    let notes = |text: &str| read(text, None, false).notes.join("; ");
    let map = "map $http_authorization $y { \"Bearer key\" a; }";
    assert!(!notes(map).contains("line"), "{}", notes(map));
    for (more, said) in [
        ("\ninclude conf.d/*.conf;", "(conf.d/*.conf), which may hold keys, or refuse some of these: to have all of it read, as root: nginx -T | tollgate key import -"),
        ("\nmap $http_x_gate $z { key b; }", "line 2: the map of $http_x_gate was not read"),
        ("\nmap $http_x_token $z { key b; }", "\"tollgate_api_key_header x-token;\""),
        ("\nmap $arg_key $z { key b; }", "headers, and not from $arg_key"),
        ("\nmap $http_x_key $z {\ndefault b;\nkey c;\n}", "line 3: the map has a client for"),
    ] {
        let notes = notes(&format!("{map}{more}"));
        assert!(notes.contains(said), "{notes}");
    }
}

/// As Debian has it.
const DEBIAN: &str = "user www-data;
include /etc/nginx/modules-enabled/*.conf;
events { worker_connections 768; }
http {
    include /etc/nginx/mime.types;
    include /etc/nginx/conf.d/*.conf;
    include sites-enabled/*;
}
";

/// What `nginx -T` prints of these.
fn dump(files: &[(&str, &str)]) -> String {
    files.iter().map(|(name, text)| format!("# configuration file {name}:\n{text}\n")).collect()
}

fn places(source: &Source) -> Vec<String> {
    source.faults.iter().map(|(place, text)| format!("{}: {text}", source.place(*place))).collect()
}

#[test]
fn file_that_has_its_maps_elsewhere_says_where_they_may_be() {
    for wanted in [None, Some("$http_x_gate")] {
        let told = places(&read(DEBIAN, wanted, false)).join("\n");
        assert!(told.contains("(/etc/nginx/conf.d/*.conf, sites-enabled/*)"), "{told}");
        assert!(told.contains("nginx -T | tollgate key import - "), "{told}");
        assert!(!told.contains("--map-variable"), "{told}");
    }
    let told = places(&read("http { include mime.types; }", None, false)).join("\n");
    assert!(told.contains("nor by any other"), "{told}");
    assert!(!told.contains("--map-variable") && !told.contains("nginx -T"), "{told}");
    let told = places(&read("map $http_x_gate $y { a-key b; }", None, false)).join("\n");
    assert!(told.contains("one of $http_x_gate, name it with --map-variable"), "{told}");
}

#[test]
fn files_that_nginx_prints_are_read_as_one_and_places_are_those_in_them() {
    let keys =
        "map $http_x_key $client {\n    default \"\";\n    secret-0123456789 acme;\n    ~^x y;\n}";
    let site = "server {\n    auth_basic_user_file htpasswd;\n    if ($http_x_key = \"other\") { return 403; }\n}";
    let files = [
        ("/etc/nginx/nginx.conf", DEBIAN),
        ("/etc/nginx/conf.d/keys.conf", keys),
        ("/etc/nginx/sites-enabled/llm", site),
    ];
    let said = "nginx: the configuration file /etc/nginx/nginx.conf syntax is ok\nnginx: configuration file \
                /etc/nginx/nginx.conf test is successful\n";
    for text in [dump(&files), format!("{said}{}", dump(&files))] {
        let source = read(&text, None, false);
        assert_eq!(source.found.len(), 1);
        assert_eq!(
            places(&source),
            ["line 4 of /etc/nginx/conf.d/keys.conf: a regular expression, which is no key"]
        );
        let notes = source.notes.join("\n");
        assert!(notes.contains("line 3 of /etc/nginx/sites-enabled/llm: a condition"), "{notes}");
        assert!(!notes.contains("were not read"), "{notes}");
    }
    let told = places(&read(&dump(&files[..1]), None, false)).join("\n");
    assert!(!told.contains("--map-variable") && !told.contains("nginx -T"), "{told}");
    let told = places(&read(&dump(&[files[0], files[2]]), Some("$http_x_gate"), false)).join("\n");
    assert!(told.contains("line 2 of /etc/nginx/sites-enabled/llm: passwords of Basic"), "{told}");
}

#[test]
fn what_a_map_includes_is_read_where_nginx_prints_it() {
    for include in ["keys/list.map", "/etc/nginx/keys/list.map"] {
        let map = format!(
            "map $http_x_key $client {{\n    a-first-key-0123 acme;\n    include {include};\n}}"
        );
        let files = [
            ("/etc/nginx/nginx.conf", DEBIAN),
            ("/etc/nginx/conf.d/keys.conf", map.as_str()),
            ("/etc/nginx/keys/list.map", "\"a-second-key-012\" zen;\n~^x y;\n"),
            ("/etc/nginx/sites-enabled/llm", "server { }"),
        ];
        let source = read(&dump(&files), None, false);
        let clients: Vec<&str> = source.found.iter().map(|found| found.client.as_str()).collect();
        assert_eq!(clients, ["acme", "zen"], "{include}");
        assert_eq!(
            places(&source),
            ["line 2 of /etc/nginx/keys/list.map: a regular expression, which is no key"]
        );
    }
    let map = "map $http_x_key $client {\n include elsewhere.map;\n}";
    let source = read(&dump(&[("/etc/nginx/nginx.conf", map)]), None, false);
    assert!(places(&source)[0].starts_with("line 2 of /etc/nginx/nginx.conf: a file that"));
}

proptest! {
    #[test]
    fn no_text_panics(text in "[ -~\n]{0,200}") {
        let _ = read(&text, None, false);
        let _ = super::super::env::read(&text, false);
        let _ = super::super::plain::read(&text, "c");
    }

    #[test]
    fn pieces_of_a_configuration_never_panic(
        pieces in prop::collection::vec(
            prop_oneof!["map ", "\\$http_x_key ", "\\$y ", "\\{", "\\}", ";", "\"", "\\\\", "#", "\n", "a ", "\\$\\{", "# configuration file a:\n", "include a;"], 0..40),
    ) {
        let _ = read(&pieces.concat(), None, false);
    }
}

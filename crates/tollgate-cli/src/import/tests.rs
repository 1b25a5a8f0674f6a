use super::fuzzed::{arguments, FORMATS};
use super::*;
use proptest::prelude::*;

/// All that an import of this text would show or keep.
fn traces(text: &str, format: Format) -> String {
    let mut traces = String::new();
    for json in [false, true] {
        let arguments = arguments(format, json);
        let understood = arguments.understand(text).and_then(|(format, mut source)| {
            let entries = entries(&mut source, true)?;
            Ok((format, source, entries))
        });
        match understood {
            Ok((format, source, entries)) => {
                traces.push_str(&arguments.report(format, &source, &entries));
                traces.push_str(&serde_json::to_string(&entries).unwrap());
                for (place, message) in &source.faults {
                    traces.push_str(&format!("{place}: {message}\n"));
                }
                if let Err(failure) = keys_file::check(&entries) {
                    traces.push_str(&failure.to_string());
                }
            }
            Err(failure) => traces.push_str(&failure.to_string()),
        }
    }
    traces
}

/// One of each, with a key for `KEY`, and texts of others for `A`, `B` and `C`.
const TEMPLATES: [(Format, &str); 9] = [
    (Format::Map, "map $http_authorization $c {\n default \"B\";\n \"Bearer KEY\" \"A\";\n}\nmap $c $pro_client { \"A\" $c; }"),
    (Format::Map, "map $http_x_key $c { KEY A; include \"B\"; ~C x; }"),
    (Format::Env, "ACME=KEY:A:B\n"),
    (Format::Env, "export ACME='KEY:A:B' # C\n"),
    (Format::Plain, "# A\nKEY\n"),
    (Format::Litellm, r#"{"keys":[{"token":"sk-KEY","key_alias":"A","models":["B"],"metadata":{"tier":"C"},"expires":"2030-01-01"}]}"#),
    (Format::Litellm, r#"[{"token":"HASH","user_id":"A","team_id":"B","metadata":{"tier":"C"}}]"#),
    (Format::Kong, r#"{"_format_version":"3.0","consumers":[{"username":"A","acls":[{"group":"B"}],"keyauth_credentials":[{"key":"KEY","tags":["C"],"ttl":9}]}]}"#),
    (Format::Kong, r#"{"data":[{"key":"KEY","consumer":{"id":"A"},"created_at":1,"ttl":1.5}],"next":null}"#),
];

fn filled(template: &str, key: &str, texts: [&str; 3]) -> String {
    let [a, b, c] = texts;
    let hash = keys_file::hash_of(key.as_bytes());
    // The texts come in by marks that no key has.
    let marked = template
        .replace("\"A\"", "\"\u{1}\"")
        .replace("\"B\"", "\"\u{2}\"")
        .replace("\"C\"", "\"\u{3}\"");
    let marked = marked
        .replace(":A:B", ":\u{1}:\u{2}")
        .replace(" A;", " \u{1};")
        .replace("~C", "~\u{3}")
        .replace("# A", "# \u{1}")
        .replace("# C", "# \u{3}");
    marked
        .replace("KEY", key)
        .replace("HASH", hash.trim_start_matches("sha256:"))
        .replace('\u{1}', a)
        .replace('\u{2}', b)
        .replace('\u{3}', c)
}

#[test]
fn templates_of_these_tests_are_imported() {
    for (format, template) in TEMPLATES {
        let key = "Zq9-0123456789abcdef";
        let text = filled(template, key, ["acme", "pro", "2031-01-01T00:00:00Z"]);
        let (format, mut source) = arguments(format, false).understand(&text).unwrap();
        let entries = entries(&mut source, true).unwrap();
        let expected = if text.contains("sk-") { format!("sk-{key}") } else { key.to_owned() };
        assert_eq!(entries.len(), 1, "{format:?} {text} {:?}", source.faults);
        assert_eq!(entries[0].hash, Some(keys_file::hash_of(expected.as_bytes())), "{text}");
    }
}

/// What cannot be in a message by chance.
fn key() -> impl Strategy<Value = String> {
    "Zq9[A-Za-z0-9+/_.-]{13,40}"
}

proptest! {
    #[test]
    fn no_key_is_shown_or_kept(
        (format, template) in prop::sample::select(&TEMPLATES[..]),
        auto: bool,
        key in key(),
        cut in (0usize..200, 0usize..40),
    ) {
        let format = if auto { Format::Auto } else { format };
        let text = filled(template, &key, ["acme", "pro", "key"]);
        prop_assert!(!traces(&text, format).contains(&key), "{text}");
        // Nor if a part is missing.
        let (from, len) = cut;
        let text: String = text
            .chars()
            .enumerate()
            .filter(|(at, _)| !(from..from + len).contains(at))
            .map(|(_, c)| c)
            .collect();
        prop_assert!(!traces(&text, format).contains(&key), "{text}");
    }

    #[test]
    fn no_key_is_shown_or_kept_that_is_a_name_as_well(
        (format, template) in prop::sample::select(&TEMPLATES[..]),
        key in key(),
        is_key in any::<[bool; 3]>(),
        around in ("[a-z ]{0,3}", "[a-z ]{0,3}"),
    ) {
        // LiteLLM's keys begin with sk-, and a key is one whole. Only as a whole it is found behind a
        // hash, and in the includes of a map.
        let is_whole = template.contains("HASH") || template.contains("include") || template.contains("sk-");
        let secret = if template.contains("sk-") { format!("sk-{key}") } else { key.clone() };
        let name = match is_whole {
            true => secret.clone(),
            false => format!("{}{secret}{}", around.0, around.1),
        };
        let of = |is: bool, other: &'static str| if is { name.clone() } else { other.to_owned() };
        let [a, b, c] = [of(is_key[0], "acme"), of(is_key[1], "pro"), of(is_key[2], "key")];
        let text = filled(template, &key, [&a, &b, &c]);
        prop_assert!(!traces(&text, format).contains(&secret), "{text}");
    }

    #[test]
    fn no_text_panics(text: String, format in prop::sample::select(&FORMATS[..])) {
        let _ = traces(&text, format);
    }

    #[test]
    fn no_json_panics(
        pieces in prop::collection::vec(
            prop::sample::select(&[
                "{", "}", "[", "]", ",", ":", "null", "true", "-1", "1.5", "1e300", "\"x\"",
                "\"keys\":", "\"data\":", "\"consumers\":", "\"keyauth_credentials\":", "\"acls\":",
                "\"token\":\"sk-0123456789\"", "\"key\":\"k-0123456789\"", "\"user_id\":\"a\"",
                "\"consumer\":\"a\"", "\"consumer\":{\"id\":\"a\"}", "\"group\":\"g\"", "\"ttl\":",
                "\"created_at\":", "\"models\":", "\"expires\":", "\"blocked\":",
            ][..]),
            0..30,
        ),
        format in prop::sample::select(&FORMATS[..]),
    ) {
        let _ = traces(&pieces.concat(), format);
        // Commas where they make JSON likelier.
        let _ = traces(&format!("{{\"keys\":[{{{0}}}],\"data\":[{{{0}}}]}}", pieces.join(",")), format);
    }

    #[test]
    fn numbers_of_kong_never_panic(ttl: f64, made: i64) {
        let text = format!(
            r#"{{"data":[{{"key":"k-0123456789","consumer":"a","ttl":{},"created_at":{made}}}]}}"#,
            serde_json::json!(ttl)
        );
        let _ = traces(&text, Format::Kong);
    }
}

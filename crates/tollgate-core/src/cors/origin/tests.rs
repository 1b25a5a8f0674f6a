use super::*;
use proptest::prelude::*;

fn contains(pattern: &str, origin: &str) -> bool {
    Pattern::parse(pattern).unwrap().contains(origin.as_bytes())
}

#[test]
fn an_origin_is_itself_and_nothing_else() {
    for origin in [
        "https://app.example.com",
        "http://localhost:3000",
        "https://app.example.com:8443",
        "http://127.0.0.1:8000",
        "http://[::1]:3000",
        "http://[::ffff:102:304]",
        "https://xn--bcher-kva.example",
        "https://a_b.example",
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
        "app://obsidian.md",
    ] {
        assert!(contains(origin, origin), "{origin}");
        for other in [
            format!("{origin}/"),
            format!("{origin}:1"),
            format!("{origin}.evil.example"),
            format!("x{origin}"),
            format!(" {origin}"),
            format!("{origin} "),
            format!("{origin}, {origin}"),
            format!("{origin}\0"),
            origin.to_ascii_uppercase(),
            origin.replacen("://", "://x", 1),
            origin.replacen("://", "://x.", 1),
            "null".to_owned(),
            String::new(),
        ] {
            assert!(!contains(origin, &other), "{origin} {other}");
        }
    }
    assert!(!contains("https://app.example.com", "http://app.example.com"));
    assert!(!contains("https://app.example.com", "https://app.example.com:443"));
}

#[test]
fn a_wildcard_is_for_names_below_at_their_dots() {
    let pattern = "https://*.example.com";
    for origin in ["https://a.example.com", "https://a.b.example.com", "https://a-1_b.example.com"]
    {
        assert!(contains(pattern, origin), "{origin}");
    }
    for origin in [
        "https://example.com",
        "https://.example.com",
        "https://evilexample.com",
        "https://a.example.com.evil.example",
        "https://a.example.com:8443",
        "http://a.example.com",
        "https://a..example.com",
        "https://a.example.com/",
        "https://evil.example/.example.com",
        "https://evil.example#.example.com",
        "https://evil.example:1.example.com",
        "https://user@a.example.com",
        "https://A.example.com",
        "https://a.example.com.",
        "https://a b.example.com",
        "https://*.example.com",
        "null",
    ] {
        assert!(!contains(pattern, origin), "{origin}");
    }
    assert!(contains("http://*.dev.example.com:3000", "http://a.dev.example.com:3000"));
    assert!(!contains("http://*.dev.example.com:3000", "http://a.dev.example.com"));
    assert!(!contains("http://*.dev.example.com:3000", "http://a.dev.example.com:30000"));
}

#[test]
fn any_is_every_origin_but_null() {
    assert!(contains("*", "https://anything.example"));
    for origin in ["null", "", "https://a b", "https://\u{e9}"] {
        assert!(!contains("*", origin), "{origin}");
    }
}

#[test]
fn what_browsers_write_otherwise_is_told() {
    for (text, form) in [
        ("HTTPS://app.example.com", "https://app.example.com"),
        ("https://App.Example.com", "https://app.example.com"),
        ("https://app.example.com/", "https://app.example.com"),
        ("https://app.example.com/path", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://app.example.com:80", "http://app.example.com"),
        ("https://app.example.com:08443", "https://app.example.com:8443"),
        ("https://*.Example.com/", "https://*.example.com"),
        ("http://[0:0::1]", "http://[::1]"),
        ("http://[::ffff:1.2.3.4]", "http://[::ffff:102:304]"),
    ] {
        assert_eq!(Pattern::parse(text), Err(OriginError::Write(form.to_owned())), "{text}");
        assert!(Pattern::parse(form).is_ok(), "{form}");
    }
    assert!(Pattern::parse("http://app.example.com:443").is_ok());
    assert!(Pattern::parse("https://app.example.com:80").is_ok());
}

#[test]
fn what_names_no_origin_is_refused() {
    use OriginError as E;
    for (text, error) in [
        ("null", E::Null),
        ("NULL", E::Null),
        ("", E::NoScheme),
        ("app.example.com", E::NoScheme),
        ("//app.example.com", E::NoScheme),
        ("://app.example.com", E::NoScheme),
        ("1https://app.example.com", E::NoScheme),
        ("*://app.example.com", E::NoScheme),
        ("file:///tmp", E::Opaque),
        ("data://x", E::Opaque),
        ("https://", E::Host),
        ("https://app..example.com", E::Host),
        ("https://.example.com", E::Host),
        ("https://app.example.com.", E::Host),
        ("https://b\u{fc}cher.example", E::Host),
        ("https://1.2.3", E::Host),
        ("https://1.2.3.4.5", E::Host),
        ("http://[::1", E::Host),
        ("http://::1", E::Host),
        ("https://app.example.com:", E::Port),
        ("https://app.example.com:0", E::Port),
        ("https://app.example.com:+1", E::Port),
        ("https://app.example.com:65536", E::Port),
        ("https://user@app.example.com", E::NoOrigin),
        ("https://app.example.com?x", E::NoOrigin),
        ("https://app.example.com#x", E::NoOrigin),
        ("https://*", E::Wildcard),
        ("https://*.*.example.com", E::Wildcard),
        ("https://app.*.com", E::Wildcard),
        ("https://*app.example.com", E::Wildcard),
        ("https://app.example.*", E::Wildcard),
        ("chrome-extension://*.example.com", E::Wildcard),
        ("**", E::NoScheme),
        ("https://*.com", E::TooWide),
        ("https://*.localhost", E::TooWide),
        ("https://*.com:8443", E::TooWide),
        ("https://*.", E::Host),
        ("https://*.1.2.3.4", E::Host),
    ] {
        assert_eq!(Pattern::parse(text), Err(error), "{text}");
    }
}

#[test]
fn names_that_anybody_can_have_are_doubted() {
    for text in ["https://*.github.io", "https://*.co.uk", "http://*.vercel.app:8080"] {
        assert!(Pattern::parse(text).unwrap().doubt().is_some(), "{text}");
    }
    for text in ["https://*.example.com", "https://*.me.github.io", "https://me.github.io", "*"] {
        assert!(Pattern::parse(text).unwrap().doubt().is_none(), "{text}");
    }
}

proptest! {
    #[test]
    fn what_is_taken_is_what_it_matches(text in "(https?|app)://([a-z0-9*]{0,3}[.:/]?){0,4}") {
        match Pattern::parse(&text) {
            Ok(pattern @ Pattern::Exact(_)) => prop_assert!(pattern.contains(text.as_bytes())),
            Ok(pattern @ Pattern::Below { .. }) => {
                prop_assert!(!pattern.contains(text.as_bytes()));
                prop_assert!(pattern.contains(text.replacen('*', "a", 1).as_bytes()));
                prop_assert!(!pattern.contains(text.replacen("*.", "", 1).as_bytes()));
            }
            Ok(Pattern::Any) => prop_assert!(false),
            Err(OriginError::Write(form)) => prop_assert!(Pattern::parse(&form).is_ok(), "{}", form),
            Err(_) => {}
        }
    }

    #[test]
    fn no_text_panics(text: String, origin: Vec<u8>) {
        if let Ok(pattern) = Pattern::parse(&text) {
            let _ = pattern.contains(&origin);
        }
    }
}

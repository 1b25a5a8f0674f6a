//! A list of keys, one a line.

use super::source::{Found, Secret, Source, SourcePlace};

pub(super) fn read(text: &str, client: &str) -> Source {
    let mut source = Source::default();
    for (number, line) in (1..).zip(text.lines()) {
        let key = line.trim();
        if key.is_empty() || key.starts_with('#') {
            continue;
        }
        let place = SourcePlace::Line(number);
        if key.contains(char::is_whitespace) {
            source.fault(place, "blanks in a key: write one key on each line");
            continue;
        }
        if let Some(message) = is_more(key) {
            source.fault(place, message);
            continue;
        }
        source.found.push(Found::new(place, Secret::Key(key.to_owned()), client.to_owned()));
    }
    source
}

/// What a line says beside a key, or in its place.
fn is_more(line: &str) -> Option<&'static str> {
    if line.contains([',', ';', '|']) || line.contains(':') {
        Some("a line of several fields, and not a key alone: write one key on each line")
    } else if line.starts_with(['"', '\'', '`']) || line.ends_with(['"', '\'', '`']) {
        Some("a key in quotes, which would be part of it: take them off")
    } else if line.starts_with("//") || line.starts_with("--") || line.starts_with("/*") {
        Some("a comment, or a mark: comments begin with #")
    } else if line.trim_end_matches('=').contains('=') {
        Some("an assignment, and not a key alone: is it an environment, of which another line is none?")
    } else if line.starts_with('/') || line.starts_with("./") {
        Some("a path, and no key")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_is_a_key_and_nothing_else() {
        for line in [
            "key-012345,acme,pro",
            "key-012345;acme",
            "acme:key-012345",
            "user:$apr1$abc$def",
            "\"key-012345\"",
            "'key-012345'",
            "// key-012345",
            "//key-012345",
            "-----BEGIN",
            "/etc/keys/acme",
            "key 012345",
            "ACME=key-012345",
            "ACME=a2V5LTAxMjM0NQ==",
        ] {
            let source = read(line, "acme");
            assert!(source.found.is_empty() && source.faults.len() == 1, "{line}");
        }
        let source = read("c2VjcmV0LWtleQ==\n# key\n\n  a+b/c-0123  \n", "acme");
        assert!(source.found.len() == 2 && source.faults.is_empty(), "{:?}", source.faults);
    }
}

//! What looks like a key, a client or a switch, and what it more likely is.
//!
//! A file of another gateway is full of things that stand where a key could: what a template puts there, a
//! hash, the address of a database. Taken for a key, it would be one in force that everybody can guess, or
//! a secret that is kept in clear under another name. So what is in doubt is refused.

/// Why this can't be what a client sends as its key; `None`: nothing speaks against it.
pub(super) fn is_no_key(text: &str) -> Option<&'static str> {
    if is_placeholder(text) {
        Some("a placeholder in the place of a key: put the key itself there, or take the entry out")
    } else if is_hash(text) {
        Some("the hash of a key or password, which no client sends")
    } else if text.contains("://") || text.contains("-----BEGIN") {
        Some("a URL or a PEM text, and no key")
    } else {
        None
    }
}

/// What templates, documentation and masks put in the place of a secret.
fn is_placeholder(text: &str) -> bool {
    const MARKS: [&str; 17] = [
        "${",
        "$(",
        "#{",
        "{{",
        "{%",
        "{$",
        "<%",
        "[[",
        "...",
        "\u{2026}",
        "***",
        "\u{2022}\u{2022}",
        "ENC[",
        "$ANSIBLE_VAULT",
        "vault:",
        "os.environ",
        "op://",
    ];
    const AROUND: [(char, char); 6] =
        [('<', '>'), ('{', '}'), ('[', ']'), ('%', '%'), ('@', '@'), ('_', '_')];
    let is_around = AROUND.iter().any(|(start, end)| {
        text.strip_prefix(*start)
            .and_then(|text| text.strip_suffix(*end))
            .is_some_and(|inner| !inner.is_empty() && inner.chars().all(is_of_name))
    });
    MARKS.iter().any(|mark| text.contains(mark))
        || is_around
        || has_name_after(text, '<', Some('>'))
        || has_name_after(text, '%', Some('%'))
        || has_name_after(text, '$', None)
        || is_called_so(text)
        || has_run(text)
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ')
}

/// Whether the name of a variable stands behind `start`, and up to `end`, if there has to be one: in capitals,
/// or all that there is.
fn has_name_after(text: &str, start: char, end: Option<char>) -> bool {
    text.match_indices(start).any(|(at, mark)| {
        let rest = text.get(at + mark.len()..).unwrap_or_default();
        let name: String = match end {
            Some(_) => rest.chars().take_while(|c| is_of_name(*c)).collect(),
            None => rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect(),
        };
        let behind = rest.get(name.len()..).unwrap_or_default();
        match end {
            Some(end) if !behind.starts_with(end) => false,
            // `<your key>` is never anything else.
            Some('>') => name.starts_with(|c: char| c.is_alphabetic()),
            _ => {
                is_name_of_variable(&name)
                    && ((at == 0 && behind.len() < 2) || is_in_capitals(&name))
            }
        }
    })
}

fn is_in_capitals(name: &str) -> bool {
    name.len() >= 3 && !name.contains(|c: char| c.is_ascii_lowercase())
}

/// In one of the ways that these are written: in capitals, in small letters, or as `apiKey`.
fn is_name_of_variable(name: &str) -> bool {
    let has = |is: fn(&char) -> bool| name.chars().any(|c| is(&c));
    let is_mixed = has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase);
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && !(is_mixed && name.contains('_'))
}

/// Words with which people say that something else belongs here.
fn is_called_so(text: &str) -> bool {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).collect();
    let follow = |one: &str, others: &[&str]| {
        words.windows(2).any(|pair| matches!(pair, [a, b] if *a == one && others.contains(b)))
    };
    let is_constant = text.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        && words.iter().any(|word| ["key", "keys", "token", "secret", "password"].contains(word));
    [
        "changeme",
        "changethis",
        "changeit",
        "replaceme",
        "placeholder",
        "redacted",
        "yourkey",
        "yourapikey",
    ]
    .iter()
    .any(|word| lower.contains(word))
        || words
            .iter()
            .any(|word| ["your", "todo", "tbd", "fixme", "dummy", "insert"].contains(word))
        || follow("change", &["me", "this", "it"])
        || follow("replace", &["me", "this", "it", "with"])
        || words.last() == Some(&"here")
        || is_constant
}

/// Masks: `xxxxx`, or one character alone.
fn has_run(text: &str) -> bool {
    let lower = text.to_lowercase();
    let first = lower.chars().next();
    lower.contains("xxxxx") || (lower.len() > 1 && lower.chars().all(|c| Some(c) == first))
}

fn is_hash(text: &str) -> bool {
    const STARTS: [&str; 16] = [
        "$2a$", "$2b$", "$2y$", "$argon2", "$apr1$", "$1$", "$5$", "$6$", "$y$", "$scrypt",
        "pbkdf2", "{sha", "{ssha", "sha256:", "sha512:", "scrypt:",
    ];
    let lower = text.to_ascii_lowercase();
    STARTS.iter().any(|start| lower.starts_with(start))
}

/// Whether a name, or a word of a description, is more likely a secret: those have long rows of letters and
/// digits.
pub(super) fn may_be_secret(text: &str) -> bool {
    const STARTS: [&str; 9] =
        ["bearer ", "basic ", "sk-", "tg_", "ghp_", "hf_", "akia", "eyj", "xox"];
    const RUN: usize = 16;
    let lower = text.to_ascii_lowercase();
    let is_row = |row: &str| {
        let has = |is: fn(&char) -> bool| row.chars().any(|c| is(&c));
        // Databases make ids of 24 hexadecimal digits.
        let is_id = row.len() == 24 && row.bytes().all(|byte| byte.is_ascii_hexdigit());
        row.len() >= RUN && has(char::is_ascii_digit) && has(char::is_ascii_alphabetic) && !is_id
    };
    STARTS.iter().any(|start| lower.starts_with(start))
        || (text.contains("://") && text.contains('@'))
        || text.split(|c: char| !c.is_ascii_alphanumeric()).any(is_row)
}

/// Whether a description might tell a secret.
pub(super) fn may_tell_secret(text: &str) -> bool {
    const WORDS: [&str; 6] = ["password", "passwd", "secret", "token", "credential", "://"];
    let lower = text.to_lowercase();
    WORDS.iter().any(|word| lower.contains(word))
        || text.contains('@')
        || text.split([' ', ',', ';', '=', ':', '"', '\'']).any(may_be_secret)
}

/// A value that says no, whatever is asked.
pub(super) fn says_no(value: &str) -> bool {
    const NO: [&str; 33] = [
        "",
        "0",
        "-1",
        "off",
        "no",
        "n",
        "false",
        "deny",
        "denied",
        "disable",
        "disabled",
        "revoked",
        "block",
        "blocked",
        "ban",
        "banned",
        "invalid",
        "expired",
        "inactive",
        "none",
        "null",
        "nil",
        "forbidden",
        "unauthorized",
        "reject",
        "rejected",
        "unknown",
        "leaked",
        "compromised",
        "suspended",
        "deleted",
        "401",
        "403",
    ];
    NO.contains(&value.trim().to_ascii_lowercase().as_str())
}

/// A value that says yes, and nothing else.
pub(super) fn says_yes(value: &str) -> bool {
    const YES: [&str; 18] = [
        "1",
        "on",
        "yes",
        "y",
        "true",
        "ok",
        "allow",
        "allowed",
        "valid",
        "pass",
        "enabled",
        "active",
        "authorized",
        "authenticated",
        "granted",
        "accept",
        "accepted",
        "good",
    ];
    YES.contains(&value.trim().to_ascii_lowercase().as_str())
}

/// Whether a variable is called like one that says who is refused.
pub(super) fn denies(variable: &str) -> bool {
    const WORDS: [&str; 13] = [
        "block",
        "deny",
        "denied",
        "banned",
        "revok",
        "reject",
        "invalid",
        "disabl",
        "blacklist",
        "forbid",
        "leaked",
        "expired",
        "suspend",
    ];
    WORDS.iter().any(|word| variable.contains(word))
        || variable.split(['_', '$']).any(|word| matches!(word, "bad" | "ban"))
}

/// Whether a variable is called like one that says who is let in.
pub(super) fn permits(variable: &str) -> bool {
    const WORDS: [&str; 8] = [
        "allow",
        "permit",
        "valid",
        "authorized",
        "authenticated",
        "whitelist",
        "enabled",
        "active",
    ];
    !denies(variable) && WORDS.iter().any(|word| variable.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_a_key_is_none() {
        for text in [
            "${SOME_KEY}",
            "prefix-${KEY}",
            "$SOME_KEY",
            "$some_key",
            "sk-$API_KEY",
            "$(cat key)",
            "{{ env \"X\" }}",
            "{{.Values.key}}",
            "{% key %}",
            "<%= key %>",
            "#{key}",
            "{$VALID_TOKEN}",
            "{ANON_KEY}",
            "<your-key>",
            "<API KEY>",
            "sk-<token>",
            "%API_KEY%",
            "%%KEY%%",
            "@API_KEY@",
            "__API_KEY__",
            "_MY_SECRET_",
            "[your key]",
            "[[key]]",
            "YOUR_TOKEN_HERE",
            "your-strong-api-key",
            "changeme",
            "CHANGE-ME-PLEASE",
            "replace_with_key",
            "my_placeholder_1",
            "REDACTED",
            "sk-...abcd",
            "sk-\u{2026}abcd",
            "********",
            "xxxxxxxxxxxx",
            "sk-XXXXXXXX",
            "00000000",
            "TODO-key",
            "API_KEY",
            "ANON_KEY",
            "insert-key-1",
            "put-key-here",
            "{vault://env/key}",
            "os.environ/MY_KEY",
            "ENC[AES256_GCM,data:x]",
            "vault:secret/key",
            "op://vault/item",
            // Hashes, addresses and texts.
            "$2b$12$abcdefghijklmnopqrstuv",
            "$apr1$abc$defghijk",
            "{SHA}abcdefghijk=",
            "sha256:0123",
            "postgresql://u:p@h/db",
            "-----BEGIN PRIVATE KEY-----",
        ] {
            assert!(is_no_key(text).is_some(), "{text}");
        }
    }

    #[test]
    fn what_may_be_a_key_is_one() {
        for text in [
            "secret-0123456789",
            "example-key-of-acme",
            "dev-key-12345",
            "my-super-secret-key-123",
            "tg_dGhpcyBpcyBub3QgYSBrZXkgYXQgYWxsLCByZWFsbHk",
            "sk-4f2Kq9LmZx",
            "c2VjcmV0LWtleQ==",
            "pa$word-12",
            "it$_secret-01",
            "a%20b%20c-1234",
            "4174348a-9222-4e81-b33e-5d72d2fd7f1e",
            "a+b/c-0123",
            "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.abcdefgh",
            "ACME0123456789",
            "_0123abcd-",
            "k<0>9-012345",
            "there-is-nothing",
        ] {
            assert_eq!(is_no_key(text), None, "{text}");
        }
    }

    #[test]
    fn names_are_told_from_secrets() {
        for name in [
            "acme",
            "service-account-2024-production",
            "59d1ef15-24a5-4373-b957-e8192c15ff6e",
            "507f1f77bcf86cd799439011",
            "auth0|507f1f77bcf86cd799439011",
            "alice@example.com",
            "Team 42",
        ] {
            assert!(!may_be_secret(name), "{name}");
        }
        for secret in [
            "sk-upstream",
            "Bearer abc",
            "4f2Kq9LmZx8Yw7Vu6T",
            "u:0123456789abcdef0@h",
            "AKIAIOSFODNN7EXAMPLE",
            "postgresql://u:p@h/db",
        ] {
            assert!(may_be_secret(secret), "{secret}");
        }
        for (text, tells) in [
            ("batch: jobs", false),
            ("for the team of 2026", false),
            ("the password is hunter2", true),
            ("//u:hunter2@h/db", true),
            ("old one: 4f2Kq9LmZx8Yw7Vu6T", true),
        ] {
            assert_eq!(may_tell_secret(text), tells, "{text}");
        }
    }

    #[test]
    fn switches_are_told_from_clients() {
        for value in ["", "0", "off", "Deny", "REVOKED", "-1", "403"] {
            assert!(says_no(value) && !says_yes(value), "{value}");
        }
        for value in ["1", "On", "TRUE", "valid"] {
            assert!(says_yes(value) && !says_no(value), "{value}");
        }
        for value in ["acme", "2", "1001", "noel", "off-line"] {
            assert!(!says_yes(value) && !says_no(value), "{value}");
        }
        assert!(denies("$is_blocked") && denies("$revoked_key") && denies("$bad_key"));
        assert!(!denies("$client") && !denies("$badge"));
        assert!(permits("$is_valid_api_key") && !permits("$invalid_key") && !permits("$client"));
    }
}

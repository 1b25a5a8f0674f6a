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
    } else if is_wrapped(text) {
        Some("a file in base64 (PEM, DER, JSON, an archive), and no key")
    } else {
        None
    }
}

/// What files begin with, in base64; a token of three parts begins like one of JSON.
fn is_wrapped(text: &str) -> bool {
    let is_json = text.starts_with("eyJ") && !text.contains('.');
    let is_der = text.starts_with("MII") && text.len() >= 64;
    is_json
        || is_der
        || ["LS0tLS1", "AAAAB3NzaC", "H4sIA", "UEsDB"].iter().any(|s| text.starts_with(s))
}

/// What templates, documentation and masks put in the place of a secret.
fn is_placeholder(text: &str) -> bool {
    is_of_template(text) || is_called_so(text) || has_run(text)
}

/// Whether a template, or whoever fills it in, was to put something else in the place of this name.
pub(super) fn is_no_name(text: &str) -> bool {
    is_of_template(text)
        || text.to_lowercase().split(|c: char| !c.is_alphanumeric()).any(|w| w == "your")
}

fn is_of_template(text: &str) -> bool {
    const MARKS: [&str; 19] = [
        "${",
        "%(",
        "%env(",
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

/// A value that says no, whatever is asked; or that it is nobody.
pub(super) fn says_no(value: &str) -> bool {
    const NO: [&str; 24] = [
        "",
        "-",
        "_",
        "off",
        "no",
        "n",
        "false",
        "none",
        "null",
        "nil",
        "n/a",
        "undefined",
        "unknown",
        "block",
        "ban",
        "401",
        "403",
        "444",
        "anonymous",
        "unauthenticated",
        "nobody",
        "bad",
        "reject",
        "not",
    ];
    /// Nor does anything that begins with one of these words.
    const BEGINNINGS: [&str; 18] = [
        "deny",
        "denied",
        "disable",
        "disabled",
        "revoked",
        "blocked",
        "banned",
        "invalid",
        "expired",
        "inactive",
        "forbidden",
        "unauthorized",
        "unauthorised",
        "rejected",
        "leaked",
        "compromised",
        "suspended",
        "deleted",
    ];
    let lower = value.trim().to_ascii_lowercase();
    let mut words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    NO.contains(&lower.as_str())
        || BEGINNINGS.contains(&first)
        || (["no", "not"].contains(&first)
            && ["access", "auth", "allowed", "valid", "key"].contains(&second))
        || lower.parse::<f64>().is_ok_and(|number| number <= 0.0)
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

/// Whether a variable is called like one that says what a client gets, and not who it is.
pub(super) fn is_of_others(variable: &str) -> bool {
    const WORDS: [&str; 17] = [
        "tier",
        "plan",
        "role",
        "level",
        "limit",
        "rate",
        "ratelimit",
        "zone",
        "quota",
        "burst",
        "upstream",
        "backend",
        "pool",
        "server",
        "cache",
        "host",
        "scope",
    ];
    variable.split(['_', '$']).any(|word| WORDS.contains(&word))
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
mod tests;

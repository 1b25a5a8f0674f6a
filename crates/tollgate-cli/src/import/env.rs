//! Lines `NAME=key:tier:description`, as programs have them in their environment.

use super::doubt;
use super::source::{Found, Secret, Source, SourcePlace};

/// Whether these lines give values to names. Lines of keys in base64 look so, but for what would be
/// their values: nothing, or padding.
pub(super) fn are_assignments<'l>(mut lines: impl Iterator<Item = &'l str>) -> bool {
    let mut has_value = false;
    lines.all(|line| {
        let parts = parts(line);
        has_value |= parts.is_some_and(|(_, value)| !matches!(value, "" | "="));
        parts.is_some()
    }) && has_value
}

fn parts(line: &str) -> Option<(&str, &str)> {
    let export = line.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t']));
    let (name, value) = export.unwrap_or(line).trim_start().split_once('=')?;
    let is_name = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some((name, value))
}

/// `has_client`: all keys are those of a client that the command line names.
pub(super) fn read(text: &str, has_client: bool) -> Source {
    let mut source = Source::default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let place = SourcePlace::Line(number);
        let Some((name, value)) = parts(line) else {
            source.fault(place, "no line of the form NAME=key:tier:description");
            continue;
        };
        let value = match unquote(value) {
            Ok(value) => value,
            Err(message) => {
                source.fault(place, message);
                continue;
            }
        };
        let doubt = is_setting(name, &value).or_else(|| {
            (!has_client && is_of_nobody(name)).then_some(
                "a name that is not that of a client: write NAME=key:tier, or add --client NAME",
            )
        });
        if let Some(message) = doubt {
            source.fault(place, message);
            continue;
        }
        let mut fields = value.splitn(3, ':').map(str::trim);
        let key = fields.next().unwrap_or_default();
        let client = name.to_ascii_lowercase().replace('_', "-");
        let mut found = Found::new(place, Secret::Key(key.to_owned()), client);
        let mut field = || fields.next().filter(|text| !text.is_empty()).map(str::to_owned);
        found.tier = field();
        found.description = field();
        if found.tier.as_deref().is_some_and(|tier| !is_tier(tier)) {
            source.fault(
                place,
                "something behind a colon that is no name of a tier: write NAME=key:tier:description, \
                 with a tier of letters, digits, - and _",
            );
            continue;
        }
        let is_off = |text: &Option<String>| {
            text.as_deref().is_some_and(|text| text.len() > 1 && doubt::says_no(text))
        };
        if is_off(&found.tier) || is_off(&found.description) {
            source.fault(
                place,
                "a tier or a description that says no, and so a key that may not be in force: take it out, or \
                 correct that",
            );
            continue;
        }
        source.found.push(found);
    }
    source
}

/// A tier begins with a letter; a port, a password or a tag of an image mostly doesn't, or goes on with
/// something else.
fn is_tier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// Whether a name says that it is a key, and no more.
fn is_of_nobody(name: &str) -> bool {
    const WORDS: [&str; 12] = [
        "ACCESS", "ALLOWED", "API", "APIKEY", "APIKEYS", "AUTH", "BEARER", "KEY", "KEYS", "TOKEN",
        "TOKENS", "VALID",
    ];
    let upper = name.to_ascii_uppercase();
    (upper.contains("KEY") || upper.contains("TOKEN"))
        && upper
            .split('_')
            .all(|part| WORDS.contains(&part) || part.chars().all(|c| c.is_ascii_digit()))
}

/// Why a variable is rather a setting of a program than the key of a client: a file of them has many that
/// are no keys, or are those of others.
fn is_setting(name: &str, value: &str) -> Option<&'static str> {
    const NAMED: &str =
        "a name as programs call their own settings: if it is the key of a client, give \
                         the line that client's name";
    const VALUED: &str =
        "a value as programs have for settings (an address, a path, a number, a word, a list), and \
                          no key of a client";
    /// Parts of names.
    const PARTS: [&str; 60] = [
        "ADDR",
        "ADDRESS",
        "ADMIN",
        "BUCKET",
        "COOKIE",
        "CREDENTIALS",
        "CSRF",
        "DATABASE",
        "DB",
        "DEBUG",
        "DIR",
        "DSN",
        "EMAIL",
        "ENCRYPTION",
        "ENDPOINT",
        "HOME",
        "HOST",
        "HOSTNAME",
        "IMAGE",
        "JWT",
        "LANG",
        "LEVEL",
        "MASTER",
        "MODE",
        "PASS",
        "PASSPHRASE",
        "PASSWD",
        "PASSWORD",
        "PATH",
        "PORT",
        "PRIVATE",
        "PUBLIC",
        "PWD",
        "REGION",
        "ROOT",
        "SALT",
        "SECRET",
        "SESSION",
        "SIGNING",
        "SMTP",
        "TIMEOUT",
        "URI",
        "URL",
        "USERNAME",
        "WEBHOOK",
        "ENV",
        "ENVIRONMENT",
        "NODE",
        "LOG",
        "NAME",
        "VERSION",
        "LOCALE",
        "TZ",
        "MODEL",
        "ENABLE",
        "ENABLED",
        "MAX",
        "MIN",
        "TTL",
        "USER",
    ];
    /// Whose keys these are is plain: those of services that a program uses.
    const SERVICES: [&str; 22] = [
        "ANTHROPIC",
        "AWS",
        "AZURE",
        "CLOUDFLARE",
        "COHERE",
        "DATADOG",
        "DEEPSEEK",
        "GEMINI",
        "GITHUB",
        "GITLAB",
        "GOOGLE",
        "GROQ",
        "HF",
        "HUGGINGFACE",
        "MISTRAL",
        "OPENAI",
        "OPENROUTER",
        "REPLICATE",
        "SENTRY",
        "SLACK",
        "STRIPE",
        "TOGETHER",
    ];
    let upper = name.to_ascii_uppercase();
    let parts = || upper.split('_');
    let of_service = parts().next().is_some_and(|first| SERVICES.contains(&first))
        && parts().next_back().is_some_and(|last| ["KEY", "TOKEN", "ID"].contains(&last));
    if of_service || parts().any(|part| PARTS.contains(&part)) {
        return Some(NAMED);
    }
    let is_host = |text: &str| {
        text.matches('.').count() >= 2
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c))
    };
    let first = value.split(':').next().unwrap_or_default();
    let is_plain = doubt::says_yes(value) || doubt::says_no(value) && !value.is_empty();
    let is_address = value.contains("://") || value.contains('@') || is_host(first);
    let is_path = ["/", "./", "../", "~/"].iter().any(|start| value.starts_with(start))
        || (first.contains('/') && first.contains('.'));
    let is_number =
        !first.is_empty() && first.chars().all(|c| c.is_ascii_digit() || ".-".contains(c));
    let is_text =
        value.starts_with(['{', '[']) && !value.starts_with("{{") || value.contains("-----BEGIN");
    // A word alone, such as `production`.
    let is_word =
        first.len() < 20 && first.chars().all(|c| c.is_ascii_alphabetic()) && !first.is_empty();
    let is_list = first.contains([',', ';']);
    (is_word || is_list || is_plain || is_address || is_path || is_number || is_text)
        .then_some(VALUED)
}

/// As shells have it: what is in quotes; or all up to a comment, which has a blank before it.
fn unquote(value: &str) -> Result<String, &'static str> {
    const VARIABLE: &str =
        "a value with a variable: write the key itself, in single quotes if it has a dollar";
    let trimmed = value.trim();
    let Some(quote) = trimmed.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        let comment = value.match_indices('#').map(|(at, _)| value.split_at(at).0);
        let value =
            comment.into_iter().find(|before| before.ends_with([' ', '\t'])).unwrap_or(value);
        return match value.contains('$') {
            true => Err(VARIABLE),
            false => Ok(value.trim().to_owned()),
        };
    };
    let mut text = String::new();
    let mut rest = trimmed.chars();
    let _ = rest.next();
    loop {
        match rest.next().ok_or("a quote that doesn't end")? {
            c if c == quote => break,
            '$' if quote == '"' => return Err(VARIABLE),
            '\\' if quote == '"' => match rest.next().ok_or("a quote that doesn't end")? {
                c @ ('"' | '\\' | '$' | '`') => text.push(c),
                c => text.extend(['\\', c]),
            },
            c => text.push(c),
        }
    }
    let behind = rest.as_str();
    match behind.trim_start() {
        "" => Ok(text),
        comment if comment.starts_with('#') && behind.starts_with([' ', '\t']) => Ok(text),
        _ => Err("something behind the quote that ends"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_shells() {
        for (value, read) in [
            (" key ", "key"),
            ("key # comment", "key"),
            (" # comment", ""),
            ("#key", "#key"),
            ("key#1\t# 2", "key#1"),
            ("'it$\\n' # comment", "it$\\n"),
            ("\"a\\\"b\\\\c\\$d\\ne\"", "a\"b\\c$d\\ne"),
        ] {
            assert_eq!(unquote(value).as_deref(), Ok(read), "{value}");
        }
        for value in ["'a", "\"a\\", "'a'b", "\"a\"#b", "$KEY", "\"${KEY}\"", "'it'\\''s'"] {
            assert!(unquote(value).is_err(), "{value}");
        }
    }

    #[test]
    fn keys_that_end_in_their_padding_are_no_assignments() {
        let are = |text: &str| are_assignments(text.lines());
        assert!(are("A=b") && are("export\tA=b\nB=") && are("A=\nB=c=="));
        assert!(!are("") && !are("c2VjcmV0LWtleXM=") && !are("c2VjcmV0LWtleQ==\nc2VjcmV0LWtleXM="));
        assert!(!are("A=b\nc") && !are("1A=b") && !are("exportA b=c"));
    }

    #[test]
    fn settings_of_programs_are_no_keys() {
        for line in [
            "DATABASE_URL=postgresql://u:hunter2hunter2@h/db",
            "X=postgresql://u:hunter2hunter2@h/db",
            "REDIS=redis://:hunter2hunter2@cache:6379/0",
            "CACHE=redis-master:6379",
            "SENTRY_DSN=abc-0123456789",
            "OPENAI_API_KEY=sk-abc-0123456789",
            "HF_TOKEN=hf_abc0123456789",
            "JWT_SECRET=abc-0123456789",
            "POSTGRES_PASSWORD=abc-0123456789",
            "LITELLM_MASTER_KEY=sk-abc-0123456789",
            "DEBUG=true",
            "FOO=true",
            "FOO=false",
            "RETRIES=12345678",
            "STARTED=2026-11-30",
            "IMAGE=ghcr.io/acme/app:latest",
            "APP=ghcr.io/acme/app:latest",
            "DATA=/var/lib/data:/data",
            "CERT=./certs/server.pem",
            "MAIL=ops@example.com",
            "SITE=api.example.com",
            "SITE=api.example.com:pro",
            "KEY=-----BEGIN PRIVATE KEY-----",
            "CONF='{\"a\":1}'",
            "NODE_ENV=production",
            "LOGIN=administrator:hunter2hunter2",
            "DSN_OF_DB=u:hunter2@tcp(h:1)/db",
            "MYSQL=someuser:hunter2@tcp(h:1)/db",
            "STAGE=production",
            "APP_NAME=shop-backend",
            "API_KEYS=key-01234,key-56789",
            "API_KEY=key-0123456789",
            "KEY_1=key-0123456789",
            "VALID_API_KEY_2=key-0123456789:pro",
            "AUTH=service-user:hunter.2",
            "AUTH=service-user:pass word",
            "A=key-0123456789:pro/x",
            "A=key-0123456789:revoked",
            "A=key-0123456789:pro:revoked in May",
            "A=key-0123456789:disabled:batch jobs",
        ] {
            let source = read(line, false);
            assert!(
                source.found.is_empty() && source.faults.len() == 1,
                "{line} {:?}",
                source.found
            );
            assert!(!source.faults[0].1.contains("hunter"), "{:?}", source.faults);
        }
        for line in [
            "ACME=key-0123456789:pro",
            "ACME_CORP=key-0123456789:pro-2:batch: jobs",
            "ZEN=c2VjcmV0LWtleQ==",
            "ACME_KEY=key-0123456789",
            "ACME=key-0123456789:pro:-",
            "GOOGLE=key-0123456789:free",
            "X=a/b+c0123456789=",
        ] {
            let source = read(line, false);
            assert!(
                source.found.len() == 1 && source.faults.is_empty(),
                "{line} {:?}",
                source.faults
            );
        }
    }
}

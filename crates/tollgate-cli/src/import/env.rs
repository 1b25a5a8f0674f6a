//! Lines `NAME=key:tier:description`, as programs have them in their environment.

use super::{Found, Place, Secret, Source};

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

pub(super) fn read(text: &str) -> Source {
    let mut source = Source::default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let place = Place::Line(number);
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
        let mut fields = value.splitn(3, ':').map(str::trim);
        let key = fields.next().unwrap_or_default();
        let client = name.to_ascii_lowercase().replace('_', "-");
        let mut found = Found::new(place, Secret::Key(key.to_owned()), client);
        let mut field = || fields.next().filter(|text| !text.is_empty()).map(str::to_owned);
        found.tier = field();
        found.description = field();
        source.found.push(found);
    }
    source
}

/// As shells have it: what is in quotes; or all up to a comment, which has a blank before it.
fn unquote(value: &str) -> Result<String, &'static str> {
    const VARIABLE: &str =
        "a value with a variable: write the key itself, or put it in single quotes \
                            if it has a dollar";
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
}

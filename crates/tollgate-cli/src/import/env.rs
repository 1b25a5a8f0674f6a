//! Lines `NAME=key:tier:description`, as programs have them in their environment.

use super::{Found, Place, Secret, Source};

/// Whether a line gives a value to a name.
pub(super) fn is_assignment(line: &str) -> bool {
    parts(line).is_some()
}

fn parts(line: &str) -> Option<(&str, &str)> {
    let (name, value) =
        line.strip_prefix("export ").unwrap_or(line).trim_start().split_once('=')?;
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
        let Some(value) = unquote(value.trim()) else {
            source.fault(place, "a quote that doesn't end");
            continue;
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

/// As shells have it: what is in quotes; or all up to a comment.
fn unquote(value: &str) -> Option<String> {
    let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        return Some(value.split(" #").next().unwrap_or_default().trim_end().to_owned());
    };
    let mut text = String::new();
    let mut rest = value.chars().skip(1);
    while let Some(c) = rest.next() {
        match c {
            c if c == quote => return Some(text),
            '\\' if quote == '"' => text.push(rest.next()?),
            c => text.push(c),
        }
    }
    None
}

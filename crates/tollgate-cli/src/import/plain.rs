//! A list of keys, one a line.

use super::{Found, Place, Secret, Source};

pub(super) fn read(text: &str, client: &str) -> Source {
    let mut source = Source::default();
    for (number, line) in (1..).zip(text.lines()) {
        let key = line.trim();
        if key.is_empty() || key.starts_with('#') {
            continue;
        }
        let place = Place::Line(number);
        if key.contains(char::is_whitespace) {
            source.fault(place, "blanks in a key: write one key on each line");
            continue;
        }
        source.found.push(Found::new(place, Secret::Key(key.to_owned()), client.to_owned()));
    }
    source
}

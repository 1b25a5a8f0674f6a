//! Reading the keys file: strictly, since whatever is overlooked here is a key that is valid for
//! longer, from further away or for more than its operator believes.
//!
//! Entries are judged one by one as they are parsed, so that a file of a million entries is
//! never in memory as a tree.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde::Deserialize;
use serde_json::Value;

use super::builder::Builder;
use super::entry::Members;
use super::{EntryName, KeysError, Problem};

/// The block of [`super::image`]; or the first thing that is wrong.
pub(super) fn build(json: &[u8], is_declared: &dyn Fn(&str) -> bool) -> Result<Vec<u8>, KeysError> {
    read(json, 1, is_declared).map_err(|(first, _)| first)
}

/// Everything that is wrong, up to `most` entries: one fault an entry.
pub(super) fn faults(json: &[u8], most: usize) -> Vec<KeysError> {
    match read(json, most, &|_| true) {
        Ok(_) => Vec::new(),
        Err((first, mut others)) => {
            others.insert(0, first);
            others
        }
    }
}

/// Reads the file until it is at an end, or has `most` faults: the first, and the others.
fn read(
    json: &[u8],
    most: usize,
    is_declared: &dyn Fn(&str) -> bool,
) -> Result<Vec<u8>, (KeysError, Vec<KeysError>)> {
    let several = |mut errors: Vec<KeysError>| match errors.is_empty() {
        true => None,
        false => Some((errors.remove(0), errors)),
    };
    // UTF-8, and both orders of UTF-16: what editors on Windows write.
    if [&b"\xEF\xBB\xBF"[..], b"\xFF\xFE", b"\xFE\xFF"].iter().any(|mark| json.starts_with(mark)) {
        return Err((of_file(None, Problem::ByteOrderMark), Vec::new()));
    }
    let mut reader = Reader {
        builder: Builder::default(),
        expected: Expected::File,
        is_declared,
        most,
        errors: Vec::new(),
        stopped: false,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let outcome =
        deserializer.deserialize_map(FileVisitor(&mut reader)).and_then(|()| deserializer.end());
    if let Err(error) = outcome {
        reader.explain(&error, json);
    }
    match several(reader.errors) {
        Some(errors) => Err(errors),
        None => reader.builder.finish().map_err(|errors| match several(errors) {
            Some((first, mut others)) => {
                others.truncate(most.saturating_sub(1));
                (first, others)
            }
            None => (of_file(None, Problem::NotAnObject), Vec::new()),
        }),
    }
}

/// What has been read so far.
struct Reader<'t> {
    builder: Builder,
    is_declared: &'t dyn Fn(&str) -> bool,
    expected: Expected,
    /// How many errors are wanted.
    most: usize,
    errors: Vec<KeysError>,
    /// The last of the errors stopped the parser.
    stopped: bool,
}

/// What must come next, to say what is wrong when something else does.
#[derive(Clone, Copy)]
enum Expected {
    File,
    Keys,
    Entry(usize),
}

impl Reader<'_> {
    /// Stops the parser with an error of ours. The parser's own carries nothing: it could repeat a
    /// value of the file.
    fn stop<E: serde::de::Error>(&mut self, error: KeysError) -> E {
        self.errors.push(error);
        self.stopped = true;
        E::custom("")
    }

    /// Goes on behind an error, unless there are enough.
    fn note<E: serde::de::Error>(&mut self, error: KeysError) -> Result<(), E> {
        if self.errors.len().saturating_add(1) >= self.most {
            return Err(self.stop(error));
        }
        self.errors.push(error);
        Ok(())
    }

    /// The parser has stopped, with this error.
    fn explain(&mut self, error: &serde_json::Error, json: &[u8]) {
        if error.is_data() {
            // A later version may well have other fields: then that is the message.
            if let Ok(AnyVersion { version }) = serde_json::from_slice(json) {
                if version != 1 {
                    self.errors = vec![of_file(Some("version"), Problem::UnknownVersion)];
                    return;
                }
            }
        }
        if self.stopped {
            return;
        }
        self.errors.push(match self.expected {
            // Syntax errors of the parser are fixed texts with a position.
            _ if !error.is_data() => of_file(None, Problem::Syntax(error.to_string())),
            Expected::File => of_file(None, Problem::NotAnObject),
            Expected::Keys => of_file(Some("keys"), Problem::WrongType("an array")),
            Expected::Entry(position) => KeysError {
                entry: Some(EntryName::Position(position)),
                field: None,
                problem: Problem::NotAnObject,
            },
        });
    }
}

#[derive(Deserialize)]
struct AnyVersion {
    version: u64,
}

fn of_file(field: Option<&str>, problem: Problem) -> KeysError {
    KeysError { entry: None, field: field.map(str::to_owned), problem }
}

/// The object that is the file.
struct FileVisitor<'r, 't>(&'r mut Reader<'t>);

impl<'de> Visitor<'de> for FileVisitor<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(reader) = self;
        let (mut version, mut keys) = (false, false);
        while let Some(name) = map.next_key::<String>()? {
            let seen = match name.as_str() {
                "version" => &mut version,
                "keys" => &mut keys,
                _ => return Err(reader.stop(of_file(Some(&name), Problem::UnknownField))),
            };
            if std::mem::replace(seen, true) {
                return Err(reader.stop(of_file(Some(&name), Problem::DuplicateField)));
            }
            if name == "keys" {
                reader.expected = Expected::Keys;
                map.next_value_seed(KeysSeed(reader))?;
            } else if map.next_value::<Value>()?.as_u64() != Some(1) {
                return Err(reader.stop(of_file(Some(&name), Problem::UnknownVersion)));
            }
        }
        for (name, seen) in [("version", version), ("keys", keys)] {
            if !seen {
                return Err(reader.stop(of_file(Some(name), Problem::MissingField)));
            }
        }
        Ok(())
    }
}

/// The array of the entries.
struct KeysSeed<'r, 't>(&'r mut Reader<'t>);

impl<'de> DeserializeSeed<'de> for KeysSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for KeysSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self(reader) = self;
        for position in 0.. {
            reader.expected = Expected::Entry(position);
            let Some(members) = seq.next_element::<Members<'de>>()? else {
                break;
            };
            let read = members.read().and_then(|draft| {
                if let Some(tier) = draft.tier.filter(|tier| !(reader.is_declared)(tier)) {
                    let problem = Problem::UndeclaredTier(tier.to_owned());
                    return Err(("tier".to_owned(), problem));
                }
                let room = reader.builder.push(&draft);
                room.ok_or_else(|| ("id".to_owned(), Problem::TooManyKeys))
            });
            if let Err((field, problem)) = read {
                let entry = Some(members.name(position));
                reader.note(KeysError { entry, field: Some(field), problem })?;
            }
        }
        Ok(())
    }
}

//! Reading the keys file: strictly, since whatever is overlooked here is a key that is valid for
//! longer, from further away or for more than its operator believes.
//!
//! Entries are judged one by one as they are parsed, so that a file of a million entries is
//! never in memory as a tree.

use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde::Deserialize;
use serde_json::Value;

use super::entry::Members;
use super::{EntryName, KeySet, KeysError, Problem};

pub(super) fn parse(json: &[u8]) -> Result<KeySet, KeysError> {
    // UTF-8, and both orders of UTF-16: what editors on Windows write.
    if [&b"\xEF\xBB\xBF"[..], b"\xFF\xFE", b"\xFE\xFF"].iter().any(|mark| json.starts_with(mark)) {
        return Err(of_file(None, Problem::ByteOrderMark));
    }
    let mut reader = Reader { set: KeySet::default(), expected: Expected::File, error: None };
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let outcome =
        deserializer.deserialize_map(FileVisitor(&mut reader)).and_then(|()| deserializer.end());
    if let Err(error) = outcome {
        return Err(reader.explain(&error, json));
    }
    refuse_duplicate_ids(&reader.set)?;
    Ok(reader.set)
}

/// What has been read so far.
struct Reader {
    set: KeySet,
    expected: Expected,
    /// Our own account of the error that stopped the parser.
    error: Option<KeysError>,
}

/// What must come next, to say what is wrong when something else does.
#[derive(Clone, Copy)]
enum Expected {
    File,
    Keys,
    Entry(usize),
}

impl Reader {
    /// Stops the parser with an error of ours. The parser's own carries nothing: it could repeat a
    /// value of the file.
    fn stop<E: serde::de::Error>(&mut self, error: KeysError) -> E {
        self.error = Some(error);
        E::custom("")
    }

    fn explain(self, error: &serde_json::Error, json: &[u8]) -> KeysError {
        if error.is_data() {
            // A later version may well have other fields: then that is the message.
            if let Ok(AnyVersion { version }) = serde_json::from_slice(json) {
                if version != 1 {
                    return of_file(Some("version"), Problem::UnknownVersion);
                }
            }
        }
        match (self.error, self.expected) {
            (Some(error), _) => error,
            // Syntax errors of the parser are fixed texts with a position.
            (None, _) if !error.is_data() => of_file(None, Problem::Syntax(error.to_string())),
            (None, Expected::File) => of_file(None, Problem::NotAnObject),
            (None, Expected::Keys) => of_file(Some("keys"), Problem::WrongType("an array")),
            (None, Expected::Entry(position)) => KeysError {
                entry: Some(EntryName::Position(position)),
                field: None,
                problem: Problem::NotAnObject,
            },
        }
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
struct FileVisitor<'r>(&'r mut Reader);

impl<'de> Visitor<'de> for FileVisitor<'_> {
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
struct KeysSeed<'r>(&'r mut Reader);

impl<'de> DeserializeSeed<'de> for KeysSeed<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for KeysSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self(reader) = self;
        for position in 0.. {
            reader.expected = Expected::Entry(position);
            let Some(members) = seq.next_element::<Members>()? else {
                break;
            };
            let name = |field: &str, problem| KeysError {
                entry: Some(members.name(position)),
                field: Some(field.to_owned()),
                problem,
            };
            let (digest, entry) = match members.read() {
                Ok(read) => read,
                Err((field, problem)) => return Err(reader.stop(name(&field, problem))),
            };
            if let Err(other) = reader.set.insert(digest, entry) {
                let other = match reader.set.entries.get(other) {
                    Some(entry) => EntryName::Id(entry.id().to_owned()),
                    None => EntryName::Position(other),
                };
                return Err(reader.stop(name("hash", Problem::DuplicateHash(other))));
            }
        }
        Ok(())
    }
}

fn refuse_duplicate_ids(set: &KeySet) -> Result<(), KeysError> {
    let mut first = HashMap::with_capacity(set.len());
    for (position, entry) in set.entries.iter().enumerate() {
        if let Some(earlier) = first.insert(entry.id(), position) {
            return Err(KeysError {
                entry: Some(EntryName::Id(entry.id().to_owned())),
                field: Some("id".to_owned()),
                problem: Problem::DuplicateId([earlier, position]),
            });
        }
    }
    Ok(())
}

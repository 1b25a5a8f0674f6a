//! Reading the keys file: strictly, since whatever is overlooked here is a key that is valid for
//! longer, from further away or for more than its operator believes. An entry that something is wrong
//! with is refused, and the others are not: whether a key is revoked must not depend on other entries.
//!
//! Entries are judged one by one as they are parsed, so that a file of a million entries is
//! never in memory as a tree.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde::Deserialize;
use serde_json::Value;

use super::builder::Builder;
use super::entry::{Element, Wrong};
use super::error::{EntryName, KeysError, Problem};
use super::refused::Refused;
use crate::clock::UnixSeconds;

/// The most refused entries that [`Built`] tells.
pub const MAX_TOLD: usize = 20;

/// What was made of a keys file.
pub struct Built {
    /// The block, for [`super::KeySet::from_block`].
    pub block: Vec<u8>,
    /// Entries that are not in force as they stand, in the order in which they were found: the first
    /// [`MAX_TOLD`], and a mistake among them if there is one.
    pub refused: Vec<Refused>,
    /// How many there are.
    pub refused_count: usize,
}

impl Built {
    /// The number of keys, but for those whose entries are wrong.
    #[must_use]
    pub fn set_len(&self) -> usize {
        super::image::Header::read(&self.block).map_or(0, super::image::Header::len)
    }
}

/// The block of [`super::image`], of what there is to use in the file.
pub(super) fn build(
    json: &[u8],
    is_declared: &dyn Fn(&str) -> bool,
    now: UnixSeconds,
) -> Result<Built, KeysError> {
    let Reading { builder, mut refused, mut count, fatal } =
        read(json, MAX_TOLD, is_declared, Some(now));
    if let Some(fatal) = fatal {
        return Err(fatal);
    }
    let (block, duplicates) =
        builder.finish(Some(now)).ok_or_else(|| of_file(None, Problem::TooManyKeys))?;
    count = count.saturating_add(duplicates.len());
    duplicates.into_iter().for_each(|duplicate| keep(&mut refused, duplicate, MAX_TOLD));
    Ok(Built { block, refused, refused_count: count })
}

/// Adds to those that are told, if there is room. A mistake must not hide behind what is none.
fn keep(told: &mut Vec<Refused>, refused: Refused, most: usize) {
    if told.len() < most {
        told.push(refused);
    } else if refused.is_mistake() && !told.iter().any(Refused::is_mistake) {
        told.pop();
        told.push(refused);
    }
}

/// The block of a file that nothing is wrong with; or the first thing that is.
pub(super) fn strict(json: &[u8]) -> Result<Vec<u8>, KeysError> {
    let Reading { builder, refused, fatal, .. } = read(json, 1, &|_| true, None);
    if let Some(first) = refused.into_iter().next() {
        return Err(first.error);
    }
    if let Some(fatal) = fatal {
        return Err(fatal);
    }
    let (block, duplicates) =
        builder.finish(None).ok_or_else(|| of_file(None, Problem::TooManyKeys))?;
    match duplicates.into_iter().next() {
        Some(first) => Err(first.error),
        None => Ok(block),
    }
}

/// Everything that is wrong, up to `most` entries: one fault an entry.
pub(super) fn faults(json: &[u8], most: usize) -> Vec<KeysError> {
    let Reading { builder, mut refused, fatal, .. } = read(json, most, &|_| true, None);
    if fatal.is_none() {
        refused.extend(builder.finish(None).into_iter().flat_map(|(_, duplicates)| duplicates));
    }
    refused.truncate(most.saturating_sub(usize::from(fatal.is_some())));
    refused.into_iter().map(|refused| refused.error).chain(fatal).collect()
}

/// What was found in a file.
struct Reading {
    builder: Builder,
    /// The first of the entries that are not in force.
    refused: Vec<Refused>,
    /// How many there are.
    count: usize,
    /// What is wrong with the file as a whole.
    fatal: Option<KeysError>,
}

/// Reads the file. Of entries that are wrong, the first `most` are kept. `now`: where it isn't given,
/// whoever is `off` doesn't matter.
fn read(
    json: &[u8],
    most: usize,
    is_declared: &dyn Fn(&str) -> bool,
    now: Option<UnixSeconds>,
) -> Reading {
    let mut reader = Reader {
        found: Reading { builder: Builder::default(), refused: Vec::new(), count: 0, fatal: None },
        expected: Expected::File,
        is_declared,
        now,
        most,
    };
    // UTF-8, and both orders of UTF-16: what editors on Windows write.
    if [&b"\xEF\xBB\xBF"[..], b"\xFF\xFE", b"\xFE\xFF"].iter().any(|mark| json.starts_with(mark)) {
        reader.found.fatal = Some(of_file(None, Problem::ByteOrderMark));
        return reader.found;
    }
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let outcome =
        deserializer.deserialize_map(FileVisitor(&mut reader)).and_then(|()| deserializer.end());
    if let Err(error) = outcome {
        reader.explain(&error, json);
    }
    reader.found
}

/// What has been read so far.
struct Reader<'t> {
    found: Reading,
    is_declared: &'t dyn Fn(&str) -> bool,
    now: Option<UnixSeconds>,
    expected: Expected,
    /// How many errors are wanted.
    most: usize,
}

/// What must come next, to say what is wrong when something else does.
#[derive(Clone, Copy)]
enum Expected {
    File,
    Keys,
}

impl Reader<'_> {
    /// Stops the parser with an error of ours. The parser's own carries nothing: it could repeat a
    /// value of the file.
    fn stop<E: serde::de::Error>(&mut self, error: KeysError) -> E {
        self.found.fatal = Some(error);
        E::custom("")
    }

    /// Goes on behind an entry that is not in force.
    fn note(&mut self, refused: Refused) {
        keep(&mut self.found.refused, refused, self.most);
        self.found.count = self.found.count.saturating_add(1);
    }

    /// Takes an entry, or notes what is wrong with it. `None`: there are too many.
    fn take(&mut self, position: usize, Element(members): &Element<'_>) -> Option<()> {
        let Some(members) = members else {
            let entry = Some(EntryName::Position(position));
            let error = KeysError { entry, field: None, problem: Problem::NotAnObject };
            self.note(Refused { error, is_off: false });
            return self.found.builder.push_refused(&Wrong::default());
        };
        let is_off = || self.now.is_some_and(|now| members.is_off(now));
        let named = |field: &str, problem| KeysError {
            entry: Some(members.name(position)),
            field: Some(field.to_owned()),
            problem,
        };
        match members.read() {
            Ok(draft) => {
                let undeclared = draft.tier.filter(|tier| !(self.is_declared)(tier));
                // Nobody misses a tier of a key that has ended.
                let undeclared = undeclared.filter(|_| !is_off());
                if let Some(tier) = undeclared {
                    let error = named("tier", Problem::UndeclaredTier(tier.to_owned()));
                    self.note(Refused { error, is_off: false });
                }
                self.found.builder.push(&draft, undeclared.is_some())
            }
            Err((field, problem)) => {
                let refused = Refused { error: named(&field, problem), is_off: is_off() };
                self.note(refused);
                self.found.builder.push_refused(&members.wrong())
            }
        }
    }

    /// The parser has stopped, with this error.
    fn explain(&mut self, error: &serde_json::Error, json: &[u8]) {
        if error.is_data() {
            // A later version may well have other fields: then that is the message.
            if let Ok(AnyVersion { version }) = serde_json::from_slice(json) {
                if version != 1 {
                    self.found.refused.clear();
                    self.found.fatal = Some(of_file(Some("version"), Problem::UnknownVersion));
                    return;
                }
            }
        }
        if self.found.fatal.is_some() {
            return;
        }
        self.found.fatal = Some(match self.expected {
            // Syntax errors of the parser are fixed texts with a position.
            _ if !error.is_data() => of_file(None, Problem::Syntax(error.to_string())),
            Expected::File => of_file(None, Problem::NotAnObject),
            Expected::Keys => of_file(Some("keys"), Problem::WrongType("an array")),
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
        let mut position = 0;
        while let Some(element) = seq.next_element::<Element<'de>>()? {
            if reader.take(position, &element).is_none() {
                return Err(reader.stop(of_file(Some("keys"), Problem::TooManyKeys)));
            }
            position += 1;
        }
        Ok(())
    }
}

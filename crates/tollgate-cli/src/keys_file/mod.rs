//! The keys file, read and written.
//!
//! Whoever reads it, nginx above all, sees the old file or the new one and never a part of one: a new
//! one is written beside it, and moved over it when all of it is on the disk. Of two writers the second
//! waits for the first. A file that can't be understood as a whole is not touched.
//!
//! * `entry`: one key; `lookup`: which file, and which key of it;
//! * `folder`: the lock on it, and how a new file takes the old one's place.

mod entry;
mod folder;
mod lookup;

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_core::clock::UnixSeconds;
use tollgate_core::keys::{KeySet, KeysError};

use crate::exit::Failure;
use folder::{failed, locate, lock, remove_leftovers, replace, warn_of_foreign_eyes};

pub(crate) use entry::{hash_of, is_like_a_key, is_network, new_id, Entry, KEY_PREFIX};
pub(crate) use folder::is_readable_by_all;
pub(crate) use lookup::{find, Keys};

#[derive(Deserialize)]
struct Document {
    keys: Vec<Entry>,
}

/// A file of which some entries can't be understood.
#[derive(Deserialize)]
struct PartlyKnown {
    keys: Vec<Box<RawValue>>,
}

/// The entries that can't be understood, and where in the file they are.
type Unknown = Vec<(usize, Box<RawValue>)>;

/// The keys of the file.
pub(crate) fn read(path: &Path) -> Result<Vec<Entry>, Failure> {
    let json = fs::read(path).map_err(|error| failed(path, "read", &error))?;
    warn_of_foreign_eyes(path);
    parse(path, &json)
}

fn parse(path: &Path, json: &[u8]) -> Result<Vec<Entry>, Failure> {
    // As nginx reads it, which is stricter than what follows.
    KeySet::parse(json).map_err(|fault| untouched(path, &fault))?;
    parsed(json)
}

/// The file has a fault, and stays as it is.
pub(crate) fn untouched(path: &Path, fault: &KeysError) -> Failure {
    Failure::failed(format!(
        "{}: {fault}; nothing was changed, and \"tollgate check\" tells all that is wrong",
        path.display()
    ))
}

/// The keys of a file that was found good.
pub(crate) fn parsed(json: &[u8]) -> Result<Vec<Entry>, Failure> {
    let document: Document =
        serde_json::from_slice(json).map_err(|error| Failure::failed(error.to_string()))?;
    Ok(document.keys)
}

/// Changes the keys of the file, in one step, with what `change` makes of them. If that fails, the file
/// stays as it is.
///
/// One that isn't there is not made: an empty file where nginx looks for one would refuse everybody.
pub(crate) fn change<T>(
    path: &Path,
    change: impl FnOnce(&mut Vec<Entry>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    rewrite(path, None, change)
}

/// The same, for keys to be added: a file that isn't there is made.
pub(crate) fn change_or_make<T>(
    path: &Path,
    change: impl FnOnce(&mut Vec<Entry>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    rewrite(path, Some(Vec::new()), change)
}

/// The same, to take keys back: what is wrong with other entries must not be in the way. Those stay as they
/// are; `change` gets the first fault, if there is one.
pub(crate) fn take_back<T>(
    path: &Path,
    change: impl FnOnce(&mut Vec<Entry>, Option<&KeysError>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let (resolved, folder) = locate(path)?;
    let lock = lock(&folder)?;
    let json = fs::read(&resolved).map_err(|error| failed(path, "read", &error))?;
    let Err(fault) = KeySet::parse(&json) else {
        drop(lock);
        return rewrite(path, None, |entries| change(entries, None));
    };
    let Some((mut entries, unknown)) = parse_partly(&json) else {
        return Err(untouched(path, &fault));
    };
    let outcome = change(&mut entries, Some(&fault))?;
    let json = format_with(&entries, &unknown)?;
    if parse_partly(&json).is_none() {
        return Err(untouched(path, &fault));
    }
    replace(&resolved, &folder, &json).map_err(|error| failed(path, "write", &error))?;
    warn_of_foreign_eyes(path);
    Ok(outcome)
}

/// The entries that nginx takes by themselves, and the others; `None`: the file can't be read as a whole.
fn parse_partly(json: &[u8]) -> Option<(Vec<Entry>, Unknown)> {
    KeySet::build(json, &|_| true, UnixSeconds(0)).ok()?;
    let document: PartlyKnown = serde_json::from_slice(json).ok()?;
    let (mut entries, mut unknown) = (Vec::new(), Vec::new());
    for (position, raw) in document.keys.into_iter().enumerate() {
        let alone = format!("{{\"version\": 1, \"keys\": [{}]}}", raw.get());
        match KeySet::parse(alone.as_bytes()).is_ok().then(|| serde_json::from_str(raw.get())) {
            Some(Ok(entry)) => entries.push(entry),
            _ => unknown.push((position, raw)),
        }
    }
    Some((entries, unknown))
}

fn format_with(entries: &[Entry], unknown: &Unknown) -> Result<Vec<u8>, Failure> {
    let lines = entries.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>();
    let mut lines = lines.map_err(|error| Failure::failed(error.to_string()))?;
    for (position, raw) in unknown {
        lines.insert((*position).min(lines.len()), raw.get().to_owned());
    }
    Ok(format!("{{\"version\": 1, \"keys\": [\n  {}\n]}}\n", lines.join(",\n  ")).into_bytes())
}

fn rewrite<T>(
    path: &Path,
    if_missing: Option<Vec<Entry>>,
    change: impl FnOnce(&mut Vec<Entry>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let (resolved, folder) = locate(path)?;
    let _lock = lock(&folder)?;
    remove_leftovers(&folder);
    let mut entries = match (fs::read(&resolved), if_missing) {
        (Ok(json), _) => parse(path, &json)?,
        (Err(error), Some(entries)) if error.kind() == io::ErrorKind::NotFound => entries,
        (Err(error), _) => return Err(failed(path, "read", &error)),
    };
    // Of a million entries a second copy would be too much to keep.
    let before = fingerprint(&entries);
    let outcome = change(&mut entries)?;
    if fingerprint(&entries) != before {
        let json = checked(&entries)?;
        drop(entries);
        replace(&resolved, &folder, &json).map_err(|error| failed(path, "write", &error))?;
    }
    warn_of_foreign_eyes(path);
    Ok(outcome)
}

/// Whether these could be written.
pub(crate) fn check(entries: &[Entry]) -> Result<(), Failure> {
    checked(entries).map(|_| ())
}

/// The file of these keys. What can't be read again must not be written.
fn checked(entries: &[Entry]) -> Result<Vec<u8>, Failure> {
    let json = format(entries)?;
    KeySet::parse(&json).map_err(|error| {
        Failure::usage(format!("that would make a file with a fault, {error}; nothing was changed"))
    })?;
    Ok(json)
}

fn fingerprint(entries: &[Entry]) -> u64 {
    let mut hasher = DefaultHasher::new();
    entries.hash(&mut hasher);
    hasher.finish()
}

/// One entry a line, so that people and version control can tell what changed.
fn format(entries: &[Entry]) -> Result<Vec<u8>, Failure> {
    let mut json = b"{\"version\": 1, \"keys\": [".to_vec();
    for (position, entry) in entries.iter().enumerate() {
        json.extend_from_slice(if position == 0 { b"\n  " } else { b",\n  " });
        serde_json::to_writer(&mut json, entry)
            .map_err(|error| Failure::failed(error.to_string()))?;
    }
    json.extend_from_slice(b"\n]}\n");
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(names in prop::collection::hash_set("[a-z\"\\\\é]{1,9}", 0..9)) {
            let entries: Vec<Entry> = names
                .iter()
                .map(|name| Entry {
                    id: name.clone(),
                    hash: Some(hash_of(format!("key of {name}").as_bytes())),
                    client: name.clone(),
                    description: Some(name.clone()),
                    ..Entry::default()
                })
                .collect();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("keys.json");
            let made = change_or_make(&path, |keys| {
                keys.clone_from(&entries);
                Ok(())
            });
            prop_assert!(made.is_ok());
            // Nothing was added to a file that isn't there.
            prop_assert_eq!(path.exists(), !entries.is_empty());
            prop_assert_eq!(read(&path).unwrap_or_default(), entries);
        }
    }
}

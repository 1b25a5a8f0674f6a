//! The keys file, read and written.
//!
//! Whoever reads it, nginx above all, sees the old file or the new one and never a part of one: a new
//! one is written beside it, and moved over it when all of it is on the disk. Of two writers the second
//! waits for the first. A file that can't be understood as a whole is not touched.

use std::fs::{self, File, Permissions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{fchown, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tollgate_core::clock::UnixSeconds;
use tollgate_core::hex;
use tollgate_core::keys::{KeySet, KeysError, NOT_ENFORCED};

use crate::exit::{tell, Failure};

/// How long a writer waits for another one.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// What is around the random part of the names of files that are being written, and how long that is.
const PREFIX: &str = ".keys-";
const SUFFIX: &str = ".new";
const RANDOM_LEN: usize = 6;

/// The mode of a file that is new: nginx's group may read it, everybody else may not.
const NEW_MODE: u32 = 0o640;

/// One key, as it stands in the file. What is `None` is left out.
#[derive(Clone, Debug, Default, PartialEq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) hash: String,
    pub(crate) client: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) models: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scopes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cidrs: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) not_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) disabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revoked: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
}

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

/// The hash of a key, as it stands in the file.
pub(crate) fn hash_of(key: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(key)))
}

/// An id for a new key: `k_` and ten random letters and digits.
pub(crate) fn new_id() -> Result<String, Failure> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut id = "k_".to_owned();
    while id.len() < 12 {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| Failure::failed(error.to_string()))?;
        // What is beyond the alphabet is left out, so that all of it is equally likely.
        let letters = bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 63)));
        id.extend(letters.take(12 - id.len()).map(|letter| char::from(*letter)));
    }
    Ok(id)
}

impl Entry {
    /// It has `models` or `scopes`.
    pub(crate) fn is_restricted(&self) -> bool {
        self.models.is_some() || self.scopes.is_some()
    }
}

/// Tells what is not enforced of these keys, if anything.
pub(crate) fn tell_not_enforced<'e>(entries: impl IntoIterator<Item = &'e Entry>) {
    if entries.into_iter().any(Entry::is_restricted) {
        tell(&format!("tollgate: {NOT_ENFORCED}"));
    }
}

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

/// The file that a path leads to, and its folder.
fn locate(path: &Path) -> Result<(PathBuf, PathBuf), Failure> {
    // Behind a symbolic link, the file itself is replaced, and not the link.
    let resolved = match fs::canonicalize(path) {
        Ok(resolved) => resolved,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {
            path.to_owned()
        }
        Err(error) => return Err(failed(path, "find", &error)),
    };
    let folder = match resolved.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    if !folder.exists() {
        let folder = folder.display();
        return Err(Failure::failed(format!(
            "cannot write {}: there is no folder {folder}; make it, readable by the group of nginx's \
             workers: \"install -d -g www-data -m 2750 {folder}\" with Debian",
            path.display()
        )));
    }
    Ok((resolved, folder))
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
    let (before, restricted) = (fingerprint(&entries), restrictions(&entries));
    let outcome = change(&mut entries)?;
    if fingerprint(&entries) != before {
        let json = checked(&entries)?;
        if restrictions(&entries) != restricted {
            tell_not_enforced(&entries);
        }
        drop(entries);
        replace(&resolved, &folder, &json).map_err(|error| failed(path, "write", &error))?;
    }
    warn_of_foreign_eyes(path);
    Ok(outcome)
}

/// Whether these could be written.
pub(crate) fn check(entries: &[Entry]) -> Result<(), Failure> {
    tell_not_enforced(entries);
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

/// A number that changes with what keys are restricted to.
fn restrictions(entries: &[Entry]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for entry in entries.iter().filter(|entry| entry.is_restricted()) {
        (&entry.id, &entry.models, &entry.scopes).hash(&mut hasher);
    }
    hasher.finish()
}

fn failed(path: &Path, what: &str, error: &io::Error) -> Failure {
    // A file that is mounted can't be replaced.
    if error.kind() == io::ErrorKind::ResourceBusy {
        return Failure::failed(format!(
            "cannot {what} {}: it is a mount of its own, mount its folder instead",
            path.display()
        ));
    }
    Failure::failed(format!("cannot {what} {}: {error}", path.display()))
}

/// The right to write in this folder. The lock is on the folder, as the file is replaced; the kernel
/// takes it back from a process that ends.
fn lock(folder: &Path) -> Result<File, Failure> {
    let file = File::open(folder).map_err(|error| failed(folder, "open", &error))?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::Error(error)) => return Err(failed(folder, "lock", &error)),
            Err(fs::TryLockError::WouldBlock) if begun.elapsed() < LOCK_WAIT => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(fs::TryLockError::WouldBlock) => {
                return Err(Failure::failed(format!(
                    "another command has been writing in {} for {} seconds, try again when it has \
                     ended",
                    folder.display(),
                    LOCK_WAIT.as_secs()
                )))
            }
        }
    }
}

/// What a killed writer left, which nobody else is writing now. If it can't be removed, it does no harm.
fn remove_leftovers(folder: &Path) {
    for found in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_file = found.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && found.file_name().to_str().is_some_and(is_temporary) {
            let _ = fs::remove_file(found.path());
        }
    }
}

/// Whether we have named a file so. Whatever else begins like that is somebody's.
fn is_temporary(name: &str) -> bool {
    let random = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    random.is_some_and(|random| {
        random.len() == RANDOM_LEN && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
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

fn replace(path: &Path, folder: &Path, json: &[u8]) -> io::Result<()> {
    // Readable by nobody else, until it is who the old one is.
    let mut new = tempfile::Builder::new()
        .prefix(PREFIX)
        .rand_bytes(RANDOM_LEN)
        .suffix(SUFFIX)
        .tempfile_in(folder)?;
    {
        let mut writer = BufWriter::new(new.as_file_mut());
        writer.write_all(json)?;
        writer.flush()?;
    }
    let mode = match fs::metadata(path) {
        Ok(old) => {
            let own = new.as_file().metadata()?;
            if (old.uid(), old.gid()) != (own.uid(), own.gid()) {
                fchown(new.as_file(), Some(old.uid()), Some(old.gid())).map_err(|error| {
                    let (user, group) = (old.uid(), old.gid());
                    io::Error::other(format!(
                        "a new file can't be given to user {user} and group {group}, as the old one \
                         is, by this user ({error}); run the command as root or as that user"
                    ))
                })?;
            }
            // After the owner, as that may take bits off.
            old.mode() & 0o7777
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => NEW_MODE,
        Err(error) => return Err(error),
    };
    new.as_file().set_permissions(Permissions::from_mode(mode))?;
    new.as_file().sync_all()?;
    new.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// The hashes of good keys are of no use to anybody, but who has which key is nobody's business.
fn warn_of_foreign_eyes(path: &Path) {
    if is_readable_by_all(path) {
        tell(&format!(
            "tollgate: {} can be read by everybody on this machine; chmod o-rwx it",
            path.display()
        ));
    }
}

pub(crate) fn is_readable_by_all(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.mode() & 0o004 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hash_is_that_of_sha256sum() {
        assert_eq!(
            hash_of(b"test"),
            "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
        );
    }

    #[test]
    fn ids_are_random() {
        let ids: Vec<String> = (0..100).map(|_| new_id().unwrap()).collect();
        assert!(ids.iter().all(|id| id.len() == 12 && id.starts_with("k_")));
        assert!(ids.iter().enumerate().all(|(at, id)| !ids[..at].contains(id)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(names in prop::collection::hash_set("[a-z\"\\\\é]{1,9}", 0..9)) {
            let entries: Vec<Entry> = names
                .iter()
                .map(|name| Entry {
                    id: name.clone(),
                    hash: hash_of(format!("key of {name}").as_bytes()),
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

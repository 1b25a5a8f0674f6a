//! Files, as they look from outside, and what they hold.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::keys::mounts::Mounts;
use tollgate_core::status::SetKind;

/// The largest file of keys that is read, in bytes.
pub(crate) const MAX_FILE: u64 = 1 << 30;

/// How long a file must have been left alone before it is read. Two changes that are closer together
/// may bear the same time, as the kernel counts it; and whoever writes a file in place needs a moment.
const SETTLED: Duration = Duration::from_millis(20);

/// The number of no [`Look`].
pub(super) const NEVER_SEEN: u64 = 0;

/// What files look like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) number: u64,
    /// The last change is too recent.
    pub(super) is_fresh: bool,
}

impl Look {
    pub(super) fn at(paths: impl IntoIterator<Item = impl AsRef<Path>>) -> Self {
        let mut hasher = DefaultHasher::new();
        let mut is_fresh = false;
        for path in paths {
            match fs::metadata(path) {
                Ok(found) => {
                    let changed = (found.ctime(), found.ctime_nsec());
                    let written = (found.mtime(), found.mtime_nsec());
                    (found.dev(), found.ino(), found.size(), written, changed).hash(&mut hasher);
                    is_fresh |= is_recent(changed);
                }
                Err(error) => (0u8, error.raw_os_error()).hash(&mut hasher),
            }
        }
        Self { number: hasher.finish().max(NEVER_SEEN + 1), is_fresh }
    }
}

/// Whether this was less than [`SETTLED`] ago, by the clock of this machine.
fn is_recent((secs, nanos): (i64, i64)) -> bool {
    let since = Duration::new(u64::try_from(secs).unwrap_or(0), u32::try_from(nanos).unwrap_or(0));
    let Some(changed) = SystemTime::UNIX_EPOCH.checked_add(since) else { return false };
    SystemTime::now().duration_since(changed).is_ok_and(|ago| ago < SETTLED)
}

/// What a file holds of at most so many bytes.
pub(crate) fn read(path: impl AsRef<Path>, most: u64) -> io::Result<Vec<u8>> {
    let path = path.as_ref();
    // To open a pipe would be to wait for its other end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    if size > most {
        return Err(io::Error::other(format!("it is larger than {}", in_words(most))));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0).saturating_add(1));
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn in_words(bytes: u64) -> String {
    match bytes >> 30 {
        0 => format!("{} MiB", bytes >> 20),
        gib => format!("{gib} GiB"),
    }
}

/// The files in a folder whose names are wanted, in the order of names. `None`: it is no folder.
pub(crate) fn in_folder(
    path: &str,
    is_wanted: fn(&str) -> bool,
) -> io::Result<Option<Vec<String>>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(None);
    }
    let entries = fs::read_dir(path)?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| is_wanted(name)).collect();
    names.sort_unstable();
    Ok(Some(names))
}

/// Why nginx may never see that a file changes; `None`: there is no sign of that. A container gets a
/// single file as a mount of its own, which stays with the file that was there at the start: whoever
/// replaces that from outside, changes nothing in here.
pub(super) fn blindness(path: &str, kind: SetKind) -> Option<String> {
    let found = fs::metadata(path).ok()?;
    let remedy = "mount its folder instead";
    if found.nlink() == 0 {
        return Some(format!(
            "\"{path}\" has been removed or replaced where it comes from, and nginx sees the old one for \
             ever; {remedy}"
        ));
    }
    let resolved = fs::canonicalize(path).ok()?;
    let is_elsewhere = || {
        let folder = resolved.parent().and_then(|folder| fs::metadata(folder).ok());
        folder.is_some_and(|folder| folder.dev() != found.dev())
    };
    let is_mount = Mounts::now().map_or_else(is_elsewhere, |mounts| mounts.has_point(&resolved));
    let even = if kind.is_of_keys() { ", not even that a key is revoked" } else { "" };
    is_mount.then(|| {
        format!(
            "\"{path}\" is a mount of its own: where it comes from, a file that is moved over it changes \
             nothing here{even}; {remedy}"
        )
    })
}

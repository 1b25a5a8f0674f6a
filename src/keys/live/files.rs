//! Files, as they look from outside, and what they hold.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, SystemTime};

use crate::keys::mounts::Mounts;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 30;

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
    pub(super) fn at(paths: &[String]) -> Self {
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

/// What a file holds.
pub(super) fn read(path: &str) -> io::Result<Vec<u8>> {
    // To open a pipe would be to wait for its other end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    if size > MAX_FILE {
        return Err(io::Error::other("it is larger than 1 GiB"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0).saturating_add(1));
    file.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Why nginx may never see that a file changes; `None`: there is no sign of that. A container gets a
/// single file as a mount of its own, which stays with the file that was there at the start: whoever
/// replaces that from outside, changes nothing in here.
pub(super) fn blindness(path: &str) -> Option<String> {
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
    is_mount.then(|| {
        format!(
            "\"{path}\" is a mount of its own: where it comes from, a file that is moved over it changes \
             nothing here, not even that a key is revoked; {remedy}"
        )
    })
}

//! `state=` of `tollgate_zone`: the file that limits survive a restart in.
//!
//! Beside it lies a file with `.lock` at its end. Who has it locked may write the state; and it holds the
//! number of the zone whose state that is to be: the newest, which took over what was written before. So
//! the workers of a zone that has a successor, who may be there for long, can't put what they know in the
//! place of what that one knows.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The largest file that is read, in bytes.
const MAX_SIZE: u64 = 1 << 32;

/// The file of a zone's state.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    boot_id: [u8; 16],
}

/// The right to write the file: a lock that the kernel takes back when the process ends.
#[derive(Debug)]
pub(crate) struct Ownership(File);

/// Which file it is, however it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    number: u64,
}

/// What went wrong with the file, and where.
#[derive(Debug)]
pub(crate) struct StateError {
    what: &'static str,
    path: PathBuf,
    error: io::Error,
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} the state \"{}\": {}", self.what, self.path.display(), self.error)
    }
}

impl fmt::Display for StateFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the state \"{}\"", self.path.display())
    }
}

impl StateFile {
    pub(crate) fn new(path: &str) -> Self {
        Self { path: PathBuf::from(path), boot_id: boot_id() }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is the same file, by its path.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.path == other.path
    }

    /// Tells whether two moments on the monotonic clock can be compared.
    pub(crate) fn boot_id(&self) -> [u8; 16] {
        self.boot_id
    }

    /// The folder that the file is in.
    pub(crate) fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// Makes this process the one that writes the file, until it drops what it is given or ends.
    /// `None`: another one does.
    pub(crate) fn own(&self) -> Result<Option<Ownership>, StateError> {
        let failed = self.error("write");
        let file = self.lock_file().map_err(&failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Ownership(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Has the file hold the state of the zone of this number from now on, whoever writes it just now.
    pub(crate) fn claim(&self, zone: u64) -> Result<(), StateError> {
        let claimed = self.lock_file().and_then(|file| file.write_all_at(&zone.to_le_bytes(), 0));
        claimed.map_err(self.error("write"))
    }

    /// The number of the zone whose state the file is to hold; `None`: nobody said.
    pub(crate) fn zone(&self) -> Option<u64> {
        zone_in(&self.lock_file().ok()?)
    }

    fn lock_file(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.open(self.beside(".lock"))
    }

    /// Which file is there now.
    pub(crate) fn identity(&self) -> Option<Identity> {
        let found = std::fs::symlink_metadata(&self.path).ok()?;
        Some(Identity { device: found.dev(), number: found.ino() })
    }

    /// The path of a file beside it.
    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(suffix);
        PathBuf::from(name)
    }

    pub(crate) fn error(&self, what: &'static str) -> impl Fn(io::Error) -> StateError + '_ {
        move |error| StateError { what, path: self.path.clone(), error }
    }

    /// What the file holds; `None` where there is none yet.
    pub(crate) fn read(&self) -> Result<Option<Vec<u8>>, StateError> {
        let failed = self.error("read");
        match std::fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
            Ok(found) if found.len() > MAX_SIZE || !found.is_file() => {
                return Err(failed(io::Error::other("it is not a file that nginx wrote")));
            }
            Ok(_) => {}
        }
        std::fs::read(&self.path).map(Some).map_err(failed)
    }

    /// Puts what `content` writes in the place of what the file holds: all of it, or nothing.
    pub(crate) fn write(
        &self,
        content: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<(), StateError> {
        let new = self.beside(".new");
        let written = || {
            // What it tells of clients is nobody else's business.
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let mut file = options.open(&new)?;
            content(&mut file)?;
            file.sync_all()?;
            std::fs::rename(&new, &self.path)?;
            File::open(self.folder())?.sync_all()
        };
        written().map_err(self.error("write"))
    }
}

impl Ownership {
    /// The number of the zone whose state the file is to hold; `None`: nobody said.
    pub(crate) fn zone(&self) -> Option<u64> {
        zone_in(&self.0)
    }
}

fn zone_in(file: &File) -> Option<u64> {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, 0).ok()?;
    Some(u64::from_le_bytes(bytes))
}

/// The kernel's name for this boot; zeros where it has none.
pub(super) fn boot_id() -> [u8; 16] {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: Vec<u8> = text.chars().filter_map(|c| u8::try_from(c.to_digit(16)?).ok()).collect();
    let mut id = [0; 16];
    if digits.len() == 32 {
        for (byte, pair) in id.iter_mut().zip(digits.chunks(2)) {
            *byte = pair.iter().fold(0, |byte, digit| byte << 4 | digit);
        }
    }
    id
}

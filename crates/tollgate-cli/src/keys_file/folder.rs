//! The folder that the file is in: who may write there, and how a new file takes the old one's place.

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{fchown, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::exit::{tell, Failure};

/// How long a writer waits for another one.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// What is around the random part of the names of files that are being written, and how long that is.
const PREFIX: &str = ".keys-";
const SUFFIX: &str = ".new";
const RANDOM_LEN: usize = 6;

/// The mode of a file that is new: nginx's group may read it, everybody else may not.
const NEW_MODE: u32 = 0o640;

/// The file that a path leads to, and its folder.
pub(super) fn locate(path: &Path) -> Result<(PathBuf, PathBuf), Failure> {
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

pub(super) fn failed(path: &Path, what: &str, error: &io::Error) -> Failure {
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
pub(super) fn lock(folder: &Path) -> Result<File, Failure> {
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
pub(super) fn remove_leftovers(folder: &Path) {
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

pub(super) fn replace(path: &Path, folder: &Path, json: &[u8]) -> io::Result<()> {
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
pub(super) fn warn_of_foreign_eyes(path: &Path) {
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

//! What stands where the socket is to be.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use crate::conf::ConfError;
use crate::process;

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing, or what can't be looked at: nginx tells of it in its own words.
    Nothing,
    /// There is no folder for it.
    NoFolder,
    /// Something that is no socket.
    Foreign,
    /// The socket of a process that runs.
    Live,
    /// One that a process has left behind.
    Stale,
}

/// Looks, and touches nothing.
pub(super) fn look(path: &Path) -> Found {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(_) => {
            let has_folder = path.parent().is_none_or(Path::is_dir);
            return if has_folder { Found::Nothing } else { Found::NoFolder };
        }
    };
    if !found.file_type().is_socket() {
        return Found::Foreign;
    }
    // A socket of another kind is refused, but not as one that nobody has: so whoever listens there doesn't notice.
    let asked = UnixDatagram::unbound().and_then(|socket| socket.connect(path));
    match asked {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Found::Stale,
        _ => Found::Live,
    }
}

/// Whether any user may put something else in the place of what root has made there: nginx would open that to
/// everybody, when it gives a socket its rights.
pub(super) fn is_open_to_all(path: &Path) -> bool {
    let mode = path.parent().and_then(|folder| fs::metadata(folder).ok()).map(|found| found.mode());
    // In one such as /tmp, nobody may take away what is another one's.
    mode.is_some_and(|mode| mode & 0o1002 == 0o002)
}

/// Sees to it that nginx can make a socket there, or finds it there already.
pub(super) fn prepare(path: &str) -> Result<(), ConfError> {
    let shown = path.escape_debug();
    if is_open_to_all(Path::new(path)) {
        return Err(ConfError::new(format!(
            "every user may write in the folder of the socket \"{shown}\", and so put something else in its \
             place; name a path in a folder of root's, such as /run"
        )));
    }
    match look(Path::new(path)) {
        Found::Nothing => Ok(()),
        Found::NoFolder => Err(ConfError::new(format!(
            "the socket \"{shown}\" is in a folder that isn't there; make the folder, or name another one"
        ))),
        Found::Foreign => Err(ConfError::new(format!(
            "\"{shown}\" is there, and no socket; remove it, or name another path"
        ))),
        // For a reload it is our own, or nginx can't bind it; of an nginx that runs it is inherited (USR2).
        Found::Live if process::is_test() || process::is_running() || process::is_upgrade() => {
            Ok(())
        }
        Found::Live => Err(ConfError::new(format!(
            "another process listens at \"{shown}\"; give each nginx a socket of its own"
        ))),
        Found::Stale if process::is_test() || process::is_signaller() => Ok(()),
        Found::Stale => fs::remove_file(path).map_err(|error| {
            ConfError::new(format!(
                "the socket \"{shown}\" was left by a process that doesn't run any more, and can't be removed: \
                 {error}"
            ))
        }),
    }
}

//! What stands where a directive has a file written.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use tollgate_core::nginx_text::file_name::Use;

/// Whether a file can be written there, as `purpose` says; what the operator should know all the same.
///
/// # Errors
///
/// Why it can't, and the way out.
pub(super) fn check(path: &str, purpose: Use) -> Result<Option<String>, String> {
    let shown = path.escape_debug();
    let found = match fs::metadata(path) {
        Ok(found) => found.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return check_folder(path),
        // nginx says it in its own words, when it opens the file.
        Err(_) => return Ok(None),
    };
    if found.is_dir() {
        return Err(format!("\"{shown}\" is a folder; name a file in it"));
    }
    if found.is_socket() || found.is_block_device() {
        return Err(format!("\"{shown}\" is a socket or a disk; name a file instead"));
    }
    let is_pipe = found.is_fifo();
    if purpose != Use::Log && (is_pipe || found.is_char_device()) {
        return Err(format!("\"{shown}\" is a pipe or a device; name a file instead"));
    }
    // In a container, a pipe is what its standard output is.
    if is_pipe && !is_own_stream(path) {
        return Ok(Some(format!(
            "\"{shown}\" is a pipe: lines that nobody reads in time are lost; use a file instead, and \
             follow that"
        )));
    }
    Ok(None)
}

fn check_folder(path: &str) -> Result<Option<String>, String> {
    let shown = path.escape_debug();
    if path.ends_with('/') {
        return Err(format!("\"{shown}\" is a folder; name a file in it"));
    }
    match Path::new(path).parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => Err(format!(
            "\"{shown}\" is in a folder that isn't there; make the folder, or name a file in another one"
        )),
        _ => Ok(None),
    }
}

/// Whether two paths are those of one file, that is there or would be made.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let identity = |path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    match (identity(one), identity(other)) {
        (Ok(one), Ok(other)) => one == other,
        (Err(_), Err(_)) => {
            let place = place(one);
            place.is_some() && place == self::place(other)
        }
        _ => false,
    }
}

/// The folder of a file, by its own name, and the name of the file in it.
fn place(path: &str) -> Option<(PathBuf, &OsStr)> {
    let path = Path::new(path);
    Some((path.parent()?.canonicalize().ok()?, path.file_name()?))
}

/// `/dev/stdout` and its like.
fn is_own_stream(path: &str) -> bool {
    let resolved = fs::read_link(path).unwrap_or_default();
    let is_of = |path: &Path| {
        ["/dev/stdout", "/dev/stderr"].iter().any(|stream| path == Path::new(stream))
            || path.starts_with("/dev/fd")
            || path.starts_with("/proc")
    };
    is_of(Path::new(path)) || is_of(&resolved)
}

//! Which files a report is of.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::input;
use super::record::{NoRequest, Reader, Record};
use crate::exit::{tell, Failure};

/// The options that name the logs.
#[derive(Args)]
pub(super) struct Logs {
    /// The logs.
    #[arg(value_name = "FILE", required = true, env = "TOLLGATE_AUDIT_LOG")]
    files: Vec<PathBuf>,
    /// Read what rotation made of them as well: FILE.1, FILE.2.gz, FILE-20270131.
    #[arg(long)]
    rotated: bool,
}

/// What was read.
#[derive(Default)]
pub(super) struct Done {
    /// Lines that are no record.
    pub(super) broken: u64,
    /// Why not all could be read.
    pub(super) damage: Option<Failure>,
}

/// A line, and where it is.
pub(super) struct Place<'a> {
    pub(super) file: &'a Path,
    /// From 1 on.
    pub(super) number: u64,
    pub(super) line: &'a [u8],
}

impl Logs {
    /// Calls `each` with every request of all files. What can't be read is left out.
    pub(super) fn each_request(&self, mut each: impl FnMut(&Record<'_>)) -> Done {
        let mut reader = Reader::default();
        let mut broken = 0;
        let damage = self.each_line(|place| match place.map(|place| reader.read(place.line)) {
            Some(Ok(record)) => each(&record),
            Some(Err(NoRequest::Empty | NoRequest::Seal)) => {}
            Some(Err(NoRequest::Broken)) | None => broken += 1,
        });
        Done { broken, damage }
    }

    /// Calls `each` with every line of all files, and with `None` for one that is too long. Returns why not
    /// all could be read.
    pub(super) fn each_line(&self, mut each: impl FnMut(Option<Place<'_>>)) -> Option<Failure> {
        let (files, mut damage) = self.files();
        let progress = input::progress(&files);
        for file in &files {
            let mut number = 0;
            let read = input::each_line(file, &progress, |line| {
                number += 1;
                each(line.map(|line| Place { file, number, line }));
            });
            damage = damage.or(read.err());
        }
        progress.finish_and_clear();
        damage
    }

    /// Each file once, so that no request is counted twice; and why not all could be found.
    pub(super) fn files(&self) -> (Vec<PathBuf>, Option<Failure>) {
        let mut files: Vec<PathBuf> = Vec::new();
        let mut damage = None;
        for file in &self.files {
            files.push(file.clone());
            if self.rotated && file.as_os_str() != "-" {
                match rotations(file) {
                    Ok(rotations) => files.extend(rotations),
                    Err(failure) => damage = damage.or(Some(failure)),
                }
            }
        }
        let named: HashSet<PathBuf> = files.iter().cloned().collect();
        let mut seen = HashSet::new();
        files.retain(|file| {
            if let Some(original) = original(file).filter(|original| named.contains(original)) {
                // While logrotate compresses a file, both are there.
                let (file, original) = (file.display(), original.display());
                tell(&format!("tollgate: {file} is left out, as {original} is read, its original"));
                return false;
            }
            // A pipe may be named twice, and has something else each time.
            let identity = file.metadata().ok().filter(|metadata| metadata.is_file());
            let is_new = identity.is_none_or(|file| seen.insert((file.dev(), file.ino())));
            if !is_new && !self.rotated {
                tell(&format!("tollgate: {} is named twice, and read once", file.display()));
            }
            is_new
        });
        (files, damage)
    }
}

/// What a compressed file was made of, where that is still there.
fn original(file: &Path) -> Option<PathBuf> {
    (file.extension()? == "gz").then(|| file.with_extension("")).filter(|file| file.is_file())
}

/// The files beside `log` that have its name, and a number or a date behind it; the oldest first, as far as
/// their names tell.
fn rotations(log: &Path) -> Result<Vec<PathBuf>, Failure> {
    let folder = match log.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", folder.display()));
    let mut names: Vec<OsString> = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name());
    }
    let log_name = log.file_name().unwrap_or_default();
    names.retain(|name| is_rotation(name, log_name));
    names.sort();
    Ok(names.into_iter().map(|name| log.with_file_name(name)).collect())
}

/// `audit.log.1`, `audit.log-20270131`, `audit.log.2.gz`... of `audit.log`.
fn is_rotation(name: &OsStr, log: &OsStr) -> bool {
    let Some([b'.' | b'-', behind @ ..]) = name.as_bytes().strip_prefix(log.as_bytes()) else {
        return false;
    };
    let packed = [&b".gz"[..], b".zst", b".xz", b".bz2"];
    let number = packed.iter().find_map(|end| behind.strip_suffix(*end)).unwrap_or(behind);
    number.first().is_some_and(u8::is_ascii_digit)
        && number
            .iter()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'_' | b'T'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotations_have_a_number_or_a_date_behind_the_name() {
        let is = |name: &str| is_rotation(name.as_ref(), "audit.log".as_ref());
        for name in [
            "audit.log.1",
            "audit.log.12.gz",
            "audit.log-20270131",
            "audit.log-20270131.zst",
            "audit.log-2027-01-31T10.xz",
        ] {
            assert!(is(name), "{name}");
        }
        for name in [
            "audit.log",
            "audit.log.gz",
            "audit.log.bak",
            "audit.log.1.swp",
            "audit.log1",
            "other.log.1",
            "audit.log.",
        ] {
            assert!(!is(name), "{name}");
        }
    }
}

//! The file in which nginx tells what is in force: where it is, and what it says.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, ValueHint};
use rustix::process::{fcntl_getlk, Flock, FlockOffsetType, FlockType};
use tollgate_core::status::{SetKind, SetState, Status};

/// Where it is, unless that is said: beside the file with the pid, for Debian's nginx and for nginx's own
/// default.
const USUAL: [&str; 2] =
    ["/run/nginx.tollgate-status", "/usr/local/nginx/logs/nginx.tollgate-status"];

/// Which file.
#[derive(Args, Clone)]
pub(crate) struct Source {
    /// The file in which nginx tells what is in force, as `tollgate_status_file` names it; by default
    /// /run/nginx.tollgate-status.
    #[arg(
        long = "status-file",
        env = "TOLLGATE_STATUS",
        value_name = "FILE",
        value_hint = ValueHint::FilePath
    )]
    path: Option<PathBuf>,
}

/// An nginx that runs, and what it says.
pub(crate) struct Running {
    pub(crate) path: PathBuf,
    pub(crate) status: Status,
}

/// Why nothing is known of what is in force: a lower-case sentence without a full stop.
#[derive(Debug)]
pub(crate) enum Unknown {
    /// There is no such file.
    Missing(Vec<PathBuf>),
    /// It can't be read.
    Unreadable(PathBuf, io::Error),
    /// It is something else.
    Foreign(PathBuf),
    /// No nginx writes it any more.
    Left(PathBuf),
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(paths) => {
                let paths: Vec<String> =
                    paths.iter().map(|path| path.display().to_string()).collect();
                write!(
                    f,
                    "no nginx with Tollgate tells at {} what is in force; name the file of its \
                     \"tollgate_status_file\" with --status-file, or set TOLLGATE_STATUS",
                    paths.join(" or ")
                )
            }
            Self::Unreadable(path, error) => {
                write!(f, "cannot read {}: {error}; nginx's group may", path.display())
            }
            Self::Foreign(path) => {
                write!(f, "{} is no status file of this version of Tollgate", path.display())
            }
            Self::Left(path) => {
                write!(f, "{} was left by an nginx that doesn't run any more", path.display())
            }
        }
    }
}

pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

impl Source {
    /// That at this path.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path: Some(path) }
    }

    /// Whether it was said which one.
    pub(super) fn is_said(&self) -> bool {
        self.path.is_some()
    }

    fn candidates(&self) -> Vec<PathBuf> {
        match &self.path {
            Some(path) => vec![path.clone()],
            None => USUAL.iter().map(PathBuf::from).collect(),
        }
    }

    /// What all say that run: while a newer nginx takes over, the older one as well.
    pub(crate) fn read(&self) -> Result<Vec<Running>, Unknown> {
        let candidates = self.candidates();
        let mut running = Vec::new();
        let mut unknown = None;
        for path in &candidates {
            let mut old = path.clone().into_os_string();
            old.push(".oldbin");
            for path in [path.clone(), PathBuf::from(old)] {
                match read(&path) {
                    Ok(status) => running.push(Running { path, status }),
                    Err(Unknown::Missing(_)) => {}
                    Err(error) => unknown = unknown.or(Some(error)),
                }
            }
        }
        match running.is_empty() {
            true => Err(unknown.unwrap_or(Unknown::Missing(candidates))),
            false => Ok(running),
        }
    }
}

fn read(path: &Path) -> Result<Status, Unknown> {
    let unreadable = |error| Unknown::Unreadable(path.to_owned(), error);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Unknown::Missing(vec![path.to_owned()]))
        }
        Err(error) => return Err(unreadable(error)),
    };
    let content = || {
        let mut bytes = Vec::new();
        (&file).rewind()?;
        (&file).read_to_end(&mut bytes).map(|_| bytes)
    };
    let status = Status::look(content, |at, len| is_locked(&file, at, len)).map_err(unreadable)?;
    let status = status.ok_or_else(|| Unknown::Foreign(path.to_owned()))?;
    match status.is_alive(now_ms()) {
        true => Ok(status),
        false => Err(Unknown::Left(path.to_owned())),
    }
}

/// Whether a process has locked these bytes, in whichever container it is.
fn is_locked(file: &File, at: u64, len: u64) -> io::Result<bool> {
    let lock = Flock {
        start: at,
        length: len,
        pid: None,
        // What only an exclusive lock forbids.
        typ: FlockType::ReadLock,
        offset_type: FlockOffsetType::Set,
    };
    Ok(fcntl_getlk(file, &lock)?.is_some())
}

/// What nginx made of a keys file.
pub(crate) struct OfFile<'s> {
    /// Which set.
    pub(crate) set: usize,
    /// `None`: it is being written just now.
    pub(crate) state: Option<&'s SetState>,
    /// The digest of what was read of this file.
    pub(crate) digest: Option<&'s str>,
}

/// What this nginx made of a keys file, for each set that it is in; empty: it doesn't use that file.
pub(crate) fn of_keys_file<'s>(status: &'s Status, file: &Path) -> Vec<OfFile<'s>> {
    let resolved = fs::canonicalize(file).ok();
    let is_it = |path: &String| {
        Path::new(path) == file || resolved.is_some() && fs::canonicalize(path).ok() == resolved
    };
    let sets = status.description.sets.iter().enumerate().zip(&status.sets);
    sets.filter(|((_, set), _)| set.kind == SetKind::ApiKeys)
        .filter_map(|((index, set), state)| {
            let position = set.paths.iter().position(is_it)?;
            let state = state.as_ref();
            let digest = state.and_then(|state| state.digests.get(position)).map(String::as_str);
            Some(OfFile { set: index, state, digest })
        })
        .collect()
}

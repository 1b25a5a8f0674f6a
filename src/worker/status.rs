//! The file in which nginx tells what is in force (`tollgate_status_file`), for `tollgate status` and
//! `tollgate key ... --wait`.
//!
//! The master makes one for each configuration, and workers write into it through the descriptor that
//! they inherit: so old workers, which are about to end, write into a file that nobody finds any more.
//! Like the file with the master's pid, it has `.oldbin` at its end while a newer nginx takes over (USR2).

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{
    fchown, FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use parking_lot::Mutex;
use tollgate_core::status::{Board, Description, Part, Phase, SetState, Status, Worker};

use crate::clock::wall_ms;
use crate::conf::MainConf;
use crate::keys::live::Follow;
use nginx::log::{cycle_error, cycle_warn};
use nginx::process::{self, Processes};

/// Who must be able to read it can read the keys files as well: the group of the workers.
const MODE: u32 = 0o640;

/// How often a worker gives a sign of life at least, in milliseconds.
const BEAT_MS: i64 = 1000;

/// The file of the configuration in use, in the master and in the workers that it makes.
static CURRENT: Mutex<Option<Arc<StatusFile>>> = Mutex::new(None);

/// What this worker has written last.
static LAST: Mutex<Option<Worker>> = Mutex::new(None);

/// The file, opened.
#[derive(Debug)]
pub(crate) struct StatusFile {
    path: PathBuf,
    file: File,
    board: Board,
}

/// In the master: a configuration comes into use.
pub(crate) fn begin(conf: &MainConf, place: &Processes) {
    let before = CURRENT.lock().take();
    let path = match &conf.status_file {
        Some(None) => None,
        Some(Some(path)) => Some(PathBuf::from(path)),
        None => Some(beside(&place.pid_path)),
    };
    if let (Some(before), Some(path)) = (&before, &path) {
        if before.path != *path {
            before.remove();
        }
    }
    let Some(path) = path else {
        before.inspect(|before| before.remove());
        return;
    };
    let description = Description {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        since_ms: wall_ms(),
        tiers: conf.tiers.iter().map(|tier| tier.name.clone()).collect(),
        sets: conf.live.iter().map(|live| live.description()).collect(),
    };
    match StatusFile::make(path.clone(), before.as_deref(), &description, place) {
        Ok(file) => {
            let file = Arc::new(file);
            for (set, live) in conf.live.iter().enumerate() {
                live.tell_in(&file, set);
            }
            *CURRENT.lock() = Some(file);
            *LAST.lock() = None;
        }
        Err(error) => {
            before.inspect(|before| before.remove());
            cycle_warn(format_args!(
                "tollgate: cannot make \"{}\": {error}; \"tollgate status\" and \"--wait\" will not know \
                 what is in force; name a place for it with \"tollgate_status_file PATH;\", or say \"off\"",
                path.display()
            ));
        }
    }
}

/// In the master: nginx ends.
pub(crate) fn end() {
    CURRENT.lock().take().inspect(|file| file.remove());
}

/// In a worker: what its requests use.
pub(crate) fn beat(live: &[Rc<dyn Follow>]) {
    let phase = if process::is_exiting() { Phase::Exiting } else { Phase::Running };
    write_worker(phase, live.iter().map(|live| live.in_use()).collect());
}

/// In a worker, which ends.
pub(crate) fn leave() {
    let generations = match &*LAST.lock() {
        Some(last) => vec![0; last.generations.len()],
        None => return,
    };
    write_worker(Phase::Gone, generations);
}

fn write_worker(phase: Phase, generations: Vec<u64>) {
    let current = CURRENT.lock();
    let Some(file) = current.as_deref() else { return };
    let worker = Worker { pid: process::me().pid, phase, beat_ms: wall_ms(), generations };
    let mut last = LAST.lock();
    let is_known = last.as_ref().is_some_and(|last| {
        let age = worker.beat_ms.saturating_sub(last.beat_ms);
        (0..BEAT_MS).contains(&age) && Worker { beat_ms: worker.beat_ms, ..last.clone() } == worker
    });
    if !is_known {
        if let Some(part) = file.board.worker_part(process::index(), &worker) {
            write(file, &part);
        }
        *last = Some(worker);
    }
}

/// Whether the last write has failed.
static FAILING: AtomicBool = AtomicBool::new(false);

/// A status that can't be written is none of the requests' business. It is old then, and whoever reads
/// it sees that. It is said once, until it works again.
fn write(file: &StatusFile, part: &Part) {
    let written = file.file.write_all_at(&part.bytes, part.at);
    if written.is_err() != FAILING.swap(written.is_err(), Ordering::Relaxed) {
        let path = file.path.display();
        match written {
            Err(error) => cycle_error(format_args!("tollgate: cannot write \"{path}\": {error}")),
            Ok(()) => cycle_error(format_args!("tollgate: \"{path}\" is written again")),
        }
    }
}

/// Where the file is, unless that is said: `/run/nginx.pid` has `/run/nginx.tollgate-status` beside it.
fn beside(pid: &Path) -> PathBuf {
    pid.with_extension("tollgate-status")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

impl StatusFile {
    fn make(
        path: PathBuf,
        before: Option<&Self>,
        description: &Description,
        place: &Processes,
    ) -> io::Result<Self> {
        let (board, content) = Board::new(description, place.workers);
        let new = with_suffix(&path, ".new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        // Never through a link that somebody has put there.
        let file = options.read(true).write(true).create_new(true).mode(MODE).open(&new)?;
        file.write_all_at(&content, 0)?;
        if let Some((_, group)) = place.worker_user {
            fchown(&file, None, Some(group))?;
        }
        file.set_permissions(Permissions::from_mode(MODE))?;
        let is_ours = before.is_some_and(|before| before.is_at(&path));
        if !is_ours && is_alive(&path) {
            fs::rename(&path, with_suffix(&path, ".oldbin"))?;
        }
        fs::rename(&new, &path)?;
        Ok(Self { path, file, board })
    }

    /// Says what was made of a set. Only who may change the set may do this.
    pub(crate) fn write_set(&self, set: usize, change: impl FnOnce(SetState) -> SetState) {
        let Some((at, len)) = self.board.set(set) else { return };
        let mut bytes = vec![0; len];
        if self.file.read_exact_at(&mut bytes, at as u64).is_err() {
            return;
        }
        let (turn, state) = Board::read_set(&bytes);
        let state = change(state.unwrap_or_default());
        for part in self.board.set_parts(set, turn, &state).into_iter().flatten() {
            write(self, &part);
        }
    }

    fn is_at(&self, path: &Path) -> bool {
        let same = |ours: fs::Metadata, theirs: fs::Metadata| {
            (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino())
        };
        let ours = self.file.metadata();
        ours.is_ok_and(|ours| fs::symlink_metadata(path).is_ok_and(|theirs| same(ours, theirs)))
    }

    /// Takes it away, wherever it is now. An nginx of before, which goes on, has its own back.
    fn remove(&self) {
        let old = with_suffix(&self.path, ".oldbin");
        if self.is_at(&old) {
            let _ = fs::remove_file(&old);
        }
        if self.is_at(&self.path) {
            let _ = match is_alive(&old) {
                true => fs::rename(&old, &self.path),
                false => fs::remove_file(&self.path),
            };
        }
    }
}

/// Whether the file is that of an nginx that runs.
fn is_alive(path: &Path) -> bool {
    // To open a pipe would be to wait for its other end.
    let is_file = fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
    let bytes = is_file.then(|| fs::read(path).ok()).flatten();
    let status = bytes.and_then(|bytes| Status::read(&bytes));
    status.is_some_and(|status| status.is_alive(wall_ms()))
}

//! The file in which nginx tells what is in force (`tollgate_status_file`), for `tollgate status` and
//! `tollgate key ... --wait`.
//!
//! The master makes one for each configuration, and workers write into it through the descriptor that
//! they inherit: so old workers, which are about to end, write into a file that nobody finds any more.
//! A worker that has nothing new to say writes nothing: the lock on its part says that it is there. No
//! worker may open the file a second time, as to close it would free the lock.
//! Like the file with the master's pid, it has `.oldbin` at its end while a newer nginx takes over (USR2).

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::{
    fchown, FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use parking_lot::Mutex;
use tollgate_core::status::{Board, Description, Part, Phase, SetState, Sign, Status, Worker};

use crate::clock::wall_ms;
use crate::conf::MainConf;
use crate::keys::live::{Follow, Report};
use nginx::file::lock as file_lock;
use nginx::log::{cycle_error, cycle_warn};
use nginx::process::{self, Processes};

/// Who must be able to read it can read the keys files as well: the group of the workers.
const MODE: u32 = 0o640;

/// How often a worker without a lock gives a sign of life, and one tries again what it could not write, in
/// milliseconds.
const BEAT_MS: i64 = 1000;

/// The file of the configuration in use, in the master and in the workers that it makes.
static CURRENT: Mutex<Option<Arc<StatusFile>>> = Mutex::new(None);

/// What this worker has said last.
static LAST: Mutex<Option<Said>> = Mutex::new(None);

struct Said {
    worker: Worker,
    at_ms: i64,
    is_written: bool,
}

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
        sets: conf.live().iter().map(|live| live.description()).collect(),
    };
    match StatusFile::make(path.clone(), before.as_deref(), &description, place) {
        Ok(file) => {
            let file = Arc::new(file);
            let report: Arc<dyn Report> = file.clone();
            for (set, live) in conf.live().iter().enumerate() {
                live.tell_in(&report, set);
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

/// In a worker: what the file says; `None`: there is none, or it can't be read.
pub(crate) fn read() -> Option<Status> {
    CURRENT.lock().as_deref()?.look().ok()?
}

/// In a worker, which ends.
pub(crate) fn leave() {
    let generations = match &*LAST.lock() {
        Some(last) => vec![0; last.worker.generations.len()],
        None => return,
    };
    write_worker(Phase::Gone, generations);
}

fn write_worker(phase: Phase, generations: Vec<u64>) {
    let current = CURRENT.lock();
    let Some(file) = current.as_deref() else { return };
    let mut last = LAST.lock();
    let now_ms = wall_ms();
    let has_lock = last.as_ref().is_some_and(|last| last.worker.sign == Sign::Lock);
    let mut worker = Worker { pid: process::me().pid, phase, sign: Sign::Lock, generations };
    let is_known = last.as_ref().is_some_and(|last| {
        let is_new = (0..BEAT_MS).contains(&now_ms.saturating_sub(last.at_ms));
        (is_new || has_lock && last.is_written)
            && Worker { sign: Sign::Lock, ..last.worker.clone() } == worker
    });
    if is_known {
        return;
    }
    let write_as = |worker: &Worker| {
        let part = file.board.worker_part(process::index(), worker);
        part.is_some_and(|part| write(file, &part))
    };
    if !has_lock {
        // First: whoever sees the lock must not take what another one has said for this one's.
        worker.sign = Sign::Beat(now_ms);
    }
    let mut is_written = write_as(&worker);
    if !has_lock && is_written && file.lock() {
        worker.sign = Sign::Lock;
        is_written = write_as(&worker);
    }
    *last = Some(Said { worker, at_ms: now_ms, is_written });
}

/// Whether the last write has failed.
static FAILING: AtomicBool = AtomicBool::new(false);

/// Whether it could be written. A status that can't be is none of the requests' business; it is said once,
/// until it works again.
fn write(file: &StatusFile, part: &Part) -> bool {
    let written = file.file.write_all_at(&part.bytes, part.at);
    let is_good = written.is_ok();
    if is_good == FAILING.swap(!is_good, Ordering::Relaxed) {
        let path = file.path.display();
        match written {
            Err(error) => cycle_error(format_args!("tollgate: cannot write \"{path}\": {error}")),
            Ok(()) => cycle_error(format_args!("tollgate: \"{path}\" is written again")),
        }
    }
    is_good
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

impl Report for StatusFile {
    /// Only who may change the set may do this.
    fn set(&self, set: usize, change: &mut dyn FnMut(SetState) -> SetState) {
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

    /// Takes the lock that says that this worker is there, if there are locks, and no worker before it has
    /// this one still.
    fn lock(&self) -> bool {
        static IS_SAID: AtomicBool = AtomicBool::new(false);
        let index = process::index();
        let Some((at, len)) = self.board.worker_lock(index) else { return false };
        file_lock::take(&self.file, at, len).unwrap_or_else(|error| {
            // It goes for all of them.
            if index == 0 && !IS_SAID.swap(true, Ordering::Relaxed) {
                cycle_warn(format_args!(
                    "tollgate: cannot lock \"{}\": {error}; each worker writes into it once a second instead; \
                     name a place on this machine for it with \"tollgate_status_file PATH;\"",
                    self.path.display()
                ));
            }
            false
        })
    }

    /// What it says, as a worker sees it: that one's own lock bars nobody of its process.
    fn look(&self) -> io::Result<Option<Status>> {
        let mine = self.board.worker_lock(process::index());
        let content = || {
            let len = usize::try_from(self.file.metadata()?.len()).unwrap_or(0);
            let mut bytes = vec![0; len];
            self.file.read_exact_at(&mut bytes, 0).map(|()| bytes)
        };
        Status::look(content, |at, len| match mine == Some((at, len)) {
            true => Ok(true),
            false => file_lock::is_taken(&self.file, at, len),
        })
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
    let Some(file) = is_file.then(|| File::open(path).ok()).flatten() else { return false };
    let content = || {
        let mut bytes = Vec::new();
        (&file).rewind()?;
        (&file).read_to_end(&mut bytes).map(|_| bytes)
    };
    let status = Status::look(content, |at, len| file_lock::is_taken(&file, at, len));
    status.is_ok_and(|status| status.is_some_and(|status| status.is_alive(wall_ms())))
}

//! The zone: the limits and counters that all workers see, in memory that lives through reloads, and in a
//! file through restarts.
//!
//! * [`state_file`]: that file; [`stated`]: what is kept in such a file;
//! * [`objects`]: the objects of clients, in memory of their own; [`clients`]: and who they are; [`whereabouts`]: and
//!   from where their keys are used; [`control`]: orders of operators;
//! * [`leases`]: what this node has leased of limits that hold over several nodes; [`lender`]: of places in flight;
//! * [`seals`]: the chains of sealed logs;
//! * [`lock`]: the zone's mutex, and the processes that take part; [`member`]: this one;
//! * [`census`]: how full it is.

pub(crate) mod census;
pub(crate) mod clients;
pub(crate) mod control;
pub(crate) mod leases;
pub(crate) mod lender;
pub(crate) mod lock;
pub(crate) mod member;
pub(crate) mod objects;
pub(crate) mod revocations;
pub(crate) mod seals;
pub(crate) mod state_file;
pub(crate) mod stated;
pub(crate) mod whereabouts;

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write as _};
use std::sync::atomic::AtomicU64;
use std::sync::Arc;

use nginx::log::{cycle_error, cycle_warn};
use nginx::process::{self, Workers};
use nginx::shm::{Attached, Shared};
use tollgate_core::limits::{LayoutError, Saving, Snapshot, StateMarks, Zone};

use crate::clock::precise_now;
use crate::keys::key_file::KeyFile;
use crate::random;
use state_file::StateFile;
use stated::Stated;

/// The zone of one configuration. Its memory is there when the configuration is taken into use.
pub(crate) type SharedZone = nginx::shm::SharedZone<Limits>;

/// A zone, and the memory that it lies in.
pub(crate) type Mapped = Attached<Limits>;

/// What a configuration has to do with its zone.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    state: Option<Arc<StateFile>>,
    /// Files that the workers read.
    files: RefCell<Vec<KeyFile>>,
}

impl Limits {
    /// Limits whose state is kept in this file.
    pub(crate) fn new(state: Option<String>) -> Self {
        let state = state.map(|path| Arc::new(StateFile::new(&path)));
        Self { state, files: RefCell::default() }
    }

    /// Where the state is kept.
    pub(crate) fn state(&self) -> Option<&Arc<StateFile>> {
        self.state.as_ref()
    }

    /// Warns if it doesn't look as if the workers could read these files, or if others could change them.
    /// Who the workers are is known when all of the configuration has been read: that is when the memory is
    /// mapped.
    pub(crate) fn expect_safe(&self, files: Vec<KeyFile>) {
        self.files.borrow_mut().extend(files);
    }

    /// Whether the workers, who are not who reads the configuration, can read the files, and nobody else can
    /// change them.
    fn check_files(&self, workers: Option<&Workers>) {
        let files = self.files.borrow();
        for (index, file) in files.iter().enumerate() {
            if files.iter().take(index).any(|other| other.path == file.path) {
                continue;
            }
            for danger in file.dangers(workers) {
                cycle_warn(format_args!("{danger}"));
            }
        }
    }
}

impl Shared for Limits {
    const DIRECTIVE: &'static str = "tollgate_zone";
    const MEMORY: &'static str = "tollgate-zone";
    const NUMBER: u8 = 0;

    type View<'m> = Zone<'m>;

    fn shorten<'s, 'm: 's>(view: &'s Zone<'m>) -> &'s Zone<'s> {
        view
    }

    fn is_filed(&self) -> bool {
        self.state.is_some()
    }

    fn attach(words: &[AtomicU64]) -> Result<Zone<'_>, String> {
        Zone::attach(words).map_err(|error| error.to_string())
    }

    /// Makes a zone: as the file of its state has it, or empty.
    fn format<'m>(
        &self,
        name: &str,
        words: &'m [AtomicU64],
        workers: Option<&Workers>,
    ) -> Result<Zone<'m>, String> {
        let bytes = match &self.state {
            Some(state) => {
                prepare_folder(Self::DIRECTIVE, state, workers);
                state.read().map_err(|error| error.to_string())?
            }
            None => None,
        };
        let snapshot = match (&bytes, &self.state) {
            (Some(bytes), Some(state)) => Some(
                Snapshot::read(bytes)
                    .map_err(|error| format!("cannot be restored: {state} {error}"))?,
            ),
            _ => None,
        };
        let (Some(snapshot), Some(state)) = (&snapshot, &self.state) else {
            return Zone::format(words, new_seed()?).map_err(|error| error.to_string());
        };
        let (zone, restored) = snapshot
            .format(words, precise_now(), state.boot_id())
            .map_err(|error| error.to_string())?;
        if restored.outdated > 0 {
            cycle_warn(format_args!(
                "tollgate_zone \"{name}\": {state} is of the version before; the limits of tiers go on as \
                 they were, those of {} keys of tollgate_limit begin unused",
                restored.outdated,
            ));
        }
        if restored.left_out > 0 {
            cycle_error(format_args!(
                "tollgate_zone \"{name}\" has no room for {} of the {} clients in {state}; make the zone \
                 larger",
                restored.left_out,
                restored.left_out.saturating_add(restored.kept),
            ));
        }
        Ok(zone)
    }

    fn ready(&self, workers: Option<&Workers>) {
        self.check_files(workers);
    }
}

/// How much of the zone is written in one go; a snapshot needs as much memory.
const SETS_AT_ONCE: usize = 1024;

impl Stated for Mapped {
    const THREAD: &'static str = "tollgate-state";

    fn marks(&self) -> StateMarks<'_> {
        self.get().marks()
    }

    fn write(&self, state: &StateFile, file: &mut File) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut saving = Saving::new(*self.get(), precise_now(), state.boot_id(), &mut bytes);
        while !saving.step(precise_now(), SETS_AT_ONCE, &mut bytes) {
            file.write_all(&bytes)?;
            bytes.clear();
        }
        saving.finish(precise_now(), &mut bytes);
        file.write_all(&bytes)
    }
}

/// Without a seed of its own a zone isn't safe from crafted keys; there is none then.
fn new_seed() -> Result<(u64, u64), String> {
    let seed = random::key().map_err(|_| LayoutError::NoSeed.to_string())?;
    let [low, high] = [0, 8].map(|at| {
        seed.iter().skip(at).take(8).fold(0u64, |word, byte| word << 8 | u64::from(*byte))
    });
    Ok((low, high))
}

/// The workers, who write the file, are not who reads the configuration.
fn prepare_folder(directive: &str, state: &StateFile, workers: Option<&Workers>) {
    let folder = state.folder();
    let is_new = !folder.exists() && std::fs::create_dir_all(folder).is_ok();
    let Some(workers) = workers else { return };
    if is_new {
        let path = std::ffi::CString::new(folder.as_os_str().as_encoded_bytes());
        let given = path.map(|path| process::give(&path, (workers.user, workers.group)));
        if matches!(given, Ok(Ok(()))) {
            return;
        }
    }
    if !workers.may(folder, 0o3) {
        cycle_warn(format_args!(
            "\"state=\" of \"{directive}\": the user of the workers may not be able to write {state}; give the folder \"{}\" to \
             that user, or give the state a folder of its own",
            folder.display()
        ));
    }
}

//! The memory of `tollgate_owned_objects`: who made what, for all workers, and in a file through restarts.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::atomic::AtomicU64;
use std::sync::Arc;

use nginx::log::cycle_error;
use nginx::process::Workers;
use nginx::shm::{Attached, Shared};
use tollgate_core::limits::StateMarks;
use tollgate_core::objects::snapshot::{Saving, Snapshot};
use tollgate_core::objects::OwnedObjects;

use super::state_file::StateFile;
use super::stated::Stated;
use super::{new_seed, prepare_folder};

/// The memory of one configuration.
pub(crate) type SharedObjects = nginx::shm::SharedZone<Objects>;

/// The table, and the memory that it lies in.
pub(crate) type MappedObjects = Attached<Objects>;

/// What a configuration says of it.
#[derive(Debug)]
pub(crate) struct Objects {
    /// For how many seconds an object is remembered that its client doesn't use.
    pub(crate) ttl: u64,
    state: Option<Arc<StateFile>>,
}

impl Objects {
    pub(crate) fn new(ttl: u64, state: Option<String>) -> Self {
        Self { ttl, state: state.map(|path| Arc::new(StateFile::new(&path))) }
    }

    /// Where they are kept.
    pub(crate) fn state(&self) -> Option<&Arc<StateFile>> {
        self.state.as_ref()
    }
}

impl Shared for Objects {
    const DIRECTIVE: &'static str = "tollgate_owned_objects";
    const MEMORY: &'static str = "tollgate-objects";
    const NUMBER: u8 = 1;

    type View<'m> = OwnedObjects<'m>;

    fn shorten<'s, 'm: 's>(view: &'s OwnedObjects<'m>) -> &'s OwnedObjects<'s> {
        view
    }

    fn is_filed(&self) -> bool {
        self.state.is_some()
    }

    fn attach(words: &[AtomicU64]) -> Result<OwnedObjects<'_>, String> {
        OwnedObjects::attach(words).map_err(|error| error.to_string())
    }

    /// Makes a table: as the file has it, or empty.
    fn format<'m>(
        &self,
        name: &str,
        words: &'m [AtomicU64],
        workers: Option<&Workers>,
    ) -> Result<OwnedObjects<'m>, String> {
        let bytes = match &self.state {
            Some(state) => {
                prepare_folder(Self::DIRECTIVE, state, workers);
                state.read().map_err(|error| error.to_string())?.zip(Some(state))
            }
            None => None,
        };
        let Some((bytes, state)) = bytes else {
            return OwnedObjects::format(words, new_seed()?).map_err(|error| error.to_string());
        };
        let snapshot = Snapshot::read(&bytes)
            .map_err(|error| format!("cannot be restored: {state} {error}"))?;
        let (objects, lost) = snapshot.format(words).map_err(|error| error.to_string())?;
        if lost > 0 {
            cycle_error(format_args!(
                "tollgate_owned_objects \"{name}\" has no room for {lost} of the objects in {state}, which \
                 nobody can reach any more; make the zone larger"
            ));
        }
        Ok(objects)
    }

    fn ready(&self, _workers: Option<&Workers>) {}
}

/// How much of the table is written in one go.
const SLOTS_AT_ONCE: usize = 16 * 1024;

impl Stated for MappedObjects {
    const THREAD: &'static str = "tollgate-owned";

    fn marks(&self) -> StateMarks<'_> {
        self.get().marks()
    }

    fn write(&self, _state: &StateFile, file: &mut File) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut saving = Saving::new(*self.get(), &mut bytes);
        while !saving.step(SLOTS_AT_ONCE, &mut bytes) {
            file.write_all(&bytes)?;
            bytes.clear();
        }
        saving.finish(&mut bytes);
        file.write_all(&bytes)
    }
}

//! The memory of keys that are revoked in all nodes of a cluster: for all workers, and in a file through restarts.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;

use nginx::process::Workers;
use nginx::shm::{Attached, Shared};
use tollgate_core::cluster::revocations::{self, KeyHash, Revocations};
use tollgate_core::limits::StateMarks;

use super::state_file::StateFile;
use super::stated::Stated;
use super::{member, prepare_folder};

/// The memory of one configuration.
pub(crate) type SharedRevocations = nginx::shm::SharedZone<Revoked>;

/// The list, and the memory that it lies in.
pub(crate) type MappedRevocations = Attached<Revoked>;

/// Bytes that the list takes.
pub(crate) const SIZE: usize = revocations::MEMORY_WORDS * 8;

/// What a configuration says of it.
#[derive(Debug)]
pub(crate) struct Revoked {
    state: Option<Arc<StateFile>>,
}

impl Revoked {
    pub(crate) fn new(state: Option<&str>) -> Self {
        Self { state: state.map(|path| Arc::new(StateFile::new(path))) }
    }

    /// Where it is kept.
    pub(crate) fn state(&self) -> Option<&Arc<StateFile>> {
        self.state.as_ref()
    }
}

/// The name of the memory beside this zone; a zone of nginx's can't have it.
pub(crate) fn name(zone: &str) -> String {
    format!("{zone}:revocations")
}

impl Shared for Revoked {
    const DIRECTIVE: &'static str = "tollgate_cluster";
    const MEMORY: &'static str = "tollgate-revoked";
    const NUMBER: u8 = 8;

    type View<'m> = Revocations<'m>;

    fn shorten<'s, 'm: 's>(view: &'s Revocations<'m>) -> &'s Revocations<'s> {
        view
    }

    fn is_filed(&self) -> bool {
        self.state.is_some()
    }

    fn attach(words: &[AtomicU64]) -> Result<Revocations<'_>, String> {
        Revocations::attach(words).map_err(|error| error.to_string())
    }

    /// Makes a list: as the file has it, or empty.
    fn format<'m>(
        &self,
        _name: &str,
        words: &'m [AtomicU64],
        workers: Option<&Workers>,
    ) -> Result<Revocations<'m>, String> {
        let list = Revocations::format(words).map_err(|error| error.to_string())?;
        if let Some(state) = &self.state {
            prepare_folder(Self::DIRECTIVE, state, workers);
            if let Some(bytes) = state.read().map_err(|error| error.to_string())? {
                revocations::file::read(&bytes, &list)
                    .map_err(|error| format!("cannot be restored: {state} {error}"))?;
            }
        }
        Ok(list)
    }

    fn ready(&self, _workers: Option<&Workers>) {}
}

impl Stated for MappedRevocations {
    const THREAD: &'static str = "tollgate-revoked";

    fn marks(&self) -> StateMarks<'_> {
        self.get().marks()
    }

    fn write(&self, _state: &StateFile, file: &mut File) -> io::Result<()> {
        file.write_all(&revocations::file::write(self.get()))
    }
}

/// Whether this process has a list: who has none, pays one look for that.
static HAS_LIST: AtomicBool = AtomicBool::new(false);

/// The worker has come to life.
pub(crate) fn start(list: &MappedRevocations) {
    list.keep();
    member::with(|member| member.revocations = Some(MappedRevocations::clone(list)));
    HAS_LIST.store(true, Ordering::Relaxed);
}

/// The worker ends.
pub(crate) fn stop() {
    HAS_LIST.store(false, Ordering::Relaxed);
    member::with(|member| member.revocations = None);
}

/// Whether a key is revoked in all nodes.
#[inline]
pub(crate) fn has(key: Option<&KeyHash>) -> bool {
    HAS_LIST.load(Ordering::Relaxed) && key.is_some_and(look)
}

#[inline(never)]
fn look(key: &KeyHash) -> bool {
    member::with(|member| member.revocations.as_ref().is_some_and(|list| list.get().has(key)))
}

/// A number that changes with the keys that are revoked in all nodes.
pub(crate) fn turns() -> u64 {
    if !HAS_LIST.load(Ordering::Relaxed) {
        return 0;
    }
    member::with(|member| member.revocations.as_ref().map_or(0, |list| list.get().turns()))
}

//! The zone: its memory, and its mutex.
//!
//! nginx's shared memory is asked for under the zone's name as well, the smallest that there is: so that
//! nginx tells us when a configuration takes over the zone of the one before, and refuses names that are
//! taken. The zone itself lies in [`ZoneMemory`].

use std::cell::RefCell;
use std::ffi::c_void;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ngx::ffi::{
    ngx_cycle_t, ngx_int_t, ngx_pagesize, ngx_shared_memory_add, ngx_shm_zone_t, NGX_ERROR, NGX_OK,
};
use tollgate_core::limits::{ClaimLock, LayoutError, ProcessLock, Snapshot, Zone};

use super::clock::precise_now;
use super::conf::{ConfContext, ConfError};
use super::guard::guard;
use super::log::{cycle_emerg, cycle_error, cycle_warn};
use super::zone_memory::ZoneMemory;
use super::{module, process};
use crate::keys::key_file::KeyFile;
use crate::random;
use crate::worker::state_file::StateFile;

/// The zone of one configuration. Its memory is there when the configuration is taken into use.
#[derive(Debug)]
pub(crate) struct SharedZone {
    name: String,
    /// In bytes.
    size: usize,
    state: Option<Arc<StateFile>>,
    cycle: *mut ngx_cycle_t,
    /// Files that the workers read.
    files: RefCell<Vec<KeyFile>>,
    mapped: OnceLock<Mapped>,
}

#[derive(Debug)]
struct Mapped {
    /// Shared by the requests that hold something in it.
    zone: Rc<Zone<'static>>,
    /// What it lies in.
    memory: Arc<ZoneMemory>,
}

/// The zone's mutex. Whoever waits for one that died goes on in its place.
#[derive(Clone, Debug)]
pub(crate) struct ZoneLock(ProcessLock<'static>);

/// Between two looks at a holder that takes its time.
const PAUSE: Duration = Duration::from_micros(500);

impl ClaimLock for ZoneLock {
    fn with<T>(&self, f: impl FnOnce() -> T) -> T {
        self.0.with(process::me(), process::is_alive, || std::thread::sleep(PAUSE), f)
    }
}

impl SharedZone {
    /// Asks nginx for the memory.
    pub(crate) fn add(
        cx: &ConfContext<'_>,
        name: &str,
        size: usize,
        state: Option<String>,
    ) -> Result<Box<Self>, ConfError> {
        let failed = || ConfError::new(format!("cannot add the zone \"{name}\""));
        let mut zone_name = cx.pool_str(name.as_bytes()).ok_or_else(failed)?;
        // SAFETY: the pool of the context is valid; nginx keeps the name, which lives in it.
        unsafe {
            let cf = cx.as_ptr();
            let mapped = nginx_size();
            let zone = ngx_shared_memory_add(cf, &raw mut zone_name, mapped, module::address());
            let zone = zone.as_mut().ok_or_else(failed)?;
            // The box is kept by the main configuration, and lives as long as the zone's entry.
            let state = state.map(|path| Arc::new(StateFile::new(&path)));
            let (name, cycle) = (name.to_owned(), (*cf).cycle);
            let files = RefCell::default();
            let mapped = OnceLock::new();
            let shared = Box::new(Self { name, size, state, cycle, files, mapped });
            zone.data = (&raw const *shared).cast_mut().cast();
            zone.init = Some(init);
            Ok(shared)
        }
    }

    /// The zone and its lock; `None` before nginx has mapped it.
    pub(crate) fn get(&self) -> Option<(&Rc<Zone<'static>>, ZoneLock)> {
        let mapped = self.mapped.get()?;
        Some((&mapped.zone, ZoneLock(mapped.zone.lock())))
    }

    /// What it lies in, for whoever uses it for longer than the configuration.
    pub(crate) fn memory(&self) -> Option<Arc<ZoneMemory>> {
        self.mapped.get().map(|mapped| Arc::clone(&mapped.memory))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Warns if it doesn't look as if the workers could read these files, or if others could change them.
    /// Who the workers are is known when all of the configuration has been read: that is when the memory is
    /// mapped.
    pub(crate) fn expect_safe(&self, files: Vec<KeyFile>) {
        self.files.borrow_mut().extend(files);
    }

    /// Where its state is kept.
    pub(crate) fn state(&self) -> Option<&Arc<StateFile>> {
        self.state.as_ref()
    }

    /// The smallest size for `tollgate_zone`: twice what nginx takes for its own zones.
    pub(crate) fn min_size() -> usize {
        16 * page()
    }
}

fn page() -> usize {
    // SAFETY: nginx writes it once, at its start.
    unsafe { ngx_pagesize }
}

/// The smallest shared memory of nginx's.
fn nginx_size() -> usize {
    page().saturating_mul(8)
}

/// nginx has mapped its own memory: anew (`old` is null), or that of the configuration before.
unsafe extern "C" fn init(zone: *mut ngx_shm_zone_t, old: *mut c_void) -> ngx_int_t {
    guard(NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx passes the zone that `add` asked for, and what it asked for in the configuration
        // before, which is still there.
        let (shared, before) = unsafe {
            ((*zone).data.cast::<SharedZone>().as_ref(), old.cast::<SharedZone>().as_ref())
        };
        let Some(shared) = shared else {
            return NGX_ERROR as ngx_int_t;
        };
        match shared.find(before) {
            Ok(mapped) => {
                check_files(shared);
                let _ = shared.mapped.set(mapped);
                NGX_OK as ngx_int_t
            }
            Err(error) => {
                cycle_emerg(format_args!("tollgate_zone \"{}\" {error}", shared.name()));
                NGX_ERROR as ngx_int_t
            }
        }
    })
}

impl SharedZone {
    /// The zone of the configuration before, or of the nginx before; else a new one. A configuration that
    /// comes to nothing must not have touched what the running one uses, so a zone that is in use is only
    /// looked at.
    fn find(&self, before: Option<&Self>) -> Result<Mapped, String> {
        let known = before.filter(|before| before.size == self.size).and_then(Self::memory);
        if let Some(memory) = known {
            return attach(memory).map_err(|error| error.to_string());
        }
        // Who has made memory itself would take it for inherited.
        if !process::is_running() && !process::is_test() {
            let inherited = ZoneMemory::inherited(&self.name, self.size, self.state.is_some());
            if let Some(memory) = inherited {
                match attach(memory) {
                    Ok(mapped) => return Ok(mapped),
                    Err(error) => cycle_warn(format_args!(
                        "tollgate_zone \"{}\" of the nginx that is running {error}; until that one ends, \
                         both count for themselves",
                        self.name
                    )),
                }
            }
        }
        let memory = ZoneMemory::make(&self.name, self.size).or_else(|error| {
            let private = ZoneMemory::make_private(self.size)?;
            cycle_warn(format_args!(
                "tollgate_zone \"{}\" cannot be shared with a newer nginx (USR2), which would count \
                 for itself: {error}{}",
                self.name,
                match error.kind() {
                    io::ErrorKind::FileTooLarge =>
                        "; raise the limit on the size of files (\"ulimit -f\", \"LimitFSIZE=\")",
                    _ => "",
                }
            ));
            Ok(private)
        });
        let memory = memory.map_err(|error: io::Error| format!("cannot be made: {error}"))?;
        let zone = format(&memory, self)?;
        Ok(Mapped { zone: Rc::new(zone), memory })
    }
}

fn attach(memory: Arc<ZoneMemory>) -> Result<Mapped, LayoutError> {
    // SAFETY: the memory is kept beside the zone, and by whoever uses the zone for longer.
    let zone = Zone::attach(unsafe { memory.words() })?;
    Ok(Mapped { zone: Rc::new(zone), memory })
}

/// Makes a zone: as the file of its state has it, or empty.
fn format(memory: &ZoneMemory, shared: &SharedZone) -> Result<Zone<'static>, String> {
    let bytes = match &shared.state {
        Some(state) => {
            prepare_folder(state, shared.cycle);
            state.read().map_err(|error| error.to_string())?
        }
        None => None,
    };
    let snapshot = match (&bytes, &shared.state) {
        (Some(bytes), Some(state)) => Some(
            Snapshot::read(bytes)
                .map_err(|error| format!("cannot be restored: {state} {error}"))?,
        ),
        _ => None,
    };
    // SAFETY: the memory is kept beside the zone, and by whoever uses the zone for longer.
    let words = unsafe { memory.words() };
    let (Some(snapshot), Some(state)) = (&snapshot, &shared.state) else {
        return Zone::format(words, new_seed()?).map_err(|error| error.to_string());
    };
    let (zone, restored) = snapshot
        .format(words, precise_now(), state.boot_id())
        .map_err(|error| error.to_string())?;
    if restored.outdated > 0 {
        cycle_warn(format_args!(
            "tollgate_zone \"{}\": {state} is of the version before; the limits of tiers go on as they \
             were, those of {} keys of tollgate_limit begin unused",
            shared.name(),
            restored.outdated,
        ));
    }
    if restored.left_out > 0 {
        cycle_error(format_args!(
            "tollgate_zone \"{}\" has no room for {} of the {} clients in {state}; make the zone \
             larger",
            shared.name(),
            restored.left_out,
            restored.left_out.saturating_add(restored.kept),
        ));
    }
    Ok(zone)
}

/// Without a seed of its own a zone isn't safe from crafted keys; there is none then.
fn new_seed() -> Result<(u64, u64), String> {
    let seed = random::key().map_err(|_| LayoutError::NoSeed.to_string())?;
    let [low, high] = [0, 8].map(|at| {
        seed.iter().skip(at).take(8).fold(0u64, |word, byte| word << 8 | u64::from(*byte))
    });
    Ok((low, high))
}

/// Whether the workers, who are not who reads the configuration, can read the files, and nobody else can
/// change them.
fn check_files(shared: &SharedZone) {
    // SAFETY: zones are made when all of the configuration has been read.
    let workers = unsafe { process::workers(shared.cycle) };
    let files = shared.files.borrow();
    for (index, file) in files.iter().enumerate() {
        if files.iter().take(index).any(|other| other.path == file.path) {
            continue;
        }
        for danger in file.dangers(workers.as_ref()) {
            cycle_warn(format_args!("{danger}"));
        }
    }
}

/// The workers, who write the file, are not who reads the configuration.
fn prepare_folder(state: &StateFile, cycle: *mut ngx_cycle_t) {
    let folder = state.folder();
    // SAFETY: zones are made when all of the configuration has been read.
    let workers = unsafe { process::workers(cycle) };
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
            "\"state=\" of \"tollgate_zone\": the user of the workers may not be able to write {state}; give the folder \"{}\" to \
             that user, or give the state a folder of its own",
            folder.display()
        ));
    }
}

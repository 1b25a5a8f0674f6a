//! The zone: nginx's shared memory, and its mutex.

use std::cell::RefCell;
use std::ffi::c_void;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use ngx::ffi::{
    ngx_cycle_t, ngx_int_t, ngx_pagesize, ngx_shared_memory_add, ngx_shm_zone_t, ngx_shmtx_lock,
    ngx_shmtx_t, ngx_shmtx_unlock, ngx_slab_alloc, ngx_slab_pool_t, NGX_ERROR, NGX_OK,
};
use tollgate_core::limits::{ClaimLock, LayoutError, Snapshot, Zone};

use super::clock::precise_now;
use super::conf::{ConfContext, ConfError};
use super::guard::guard;
use super::log::{cycle_emerg, cycle_error, cycle_warn};
use super::module;
use crate::key_file::KeyFile;
use crate::random;
use crate::state_file::StateFile;

/// Slots are whole cache lines.
const LINE: usize = 64;

/// The zone of one configuration. nginx maps the memory when the configuration is taken into use.
#[derive(Debug)]
pub(crate) struct SharedZone {
    name: String,
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
    mutex: *mut ngx_shmtx_t,
}

/// The slab mutex: nginx's master unlocks it when a worker dies holding it.
#[derive(Clone)]
pub(crate) struct ZoneLock(*mut ngx_shmtx_t);

// SAFETY: a mutex between processes; the memory that it lies in stays mapped.
unsafe impl Send for ZoneLock {}

impl ClaimLock for ZoneLock {
    fn with<T>(&self, f: impl FnOnce() -> T) -> T {
        struct Unlock(*mut ngx_shmtx_t);
        impl Drop for Unlock {
            fn drop(&mut self) {
                // SAFETY: locked below.
                unsafe { ngx_shmtx_unlock(self.0) };
            }
        }
        // SAFETY: the mutex lies in the zone, which is mapped as long as the process lives.
        unsafe { ngx_shmtx_lock(self.0) };
        let _unlock = Unlock(self.0);
        f()
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
            let zone = ngx_shared_memory_add(cf, &raw mut zone_name, size, module::address());
            let zone = zone.as_mut().ok_or_else(failed)?;
            // The box is kept by the main configuration, and lives as long as the zone's entry.
            let state = state.map(|path| Arc::new(StateFile::new(&path)));
            let (name, cycle) = (name.to_owned(), (*cf).cycle);
            let files = RefCell::default();
            let shared = Box::new(Self { name, state, cycle, files, mapped: OnceLock::new() });
            zone.data = (&raw const *shared).cast_mut().cast();
            zone.init = Some(init);
            Ok(shared)
        }
    }

    /// The zone and its lock; `None` before nginx has mapped it.
    pub(crate) fn get(&self) -> Option<(&Rc<Zone<'static>>, ZoneLock)> {
        let mapped = self.mapped.get()?;
        Some((&mapped.zone, ZoneLock(mapped.mutex)))
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

    /// The smallest size for `tollgate_zone`: nginx's own minimum for a slab, twice.
    pub(crate) fn min_size() -> usize {
        16 * page()
    }
}

/// The page of nginx's slab allocator.
fn page() -> usize {
    // SAFETY: nginx writes it once, at its start.
    unsafe { ngx_pagesize }
}

/// nginx has mapped the memory: anew (`old` is null), or that of the configuration before.
unsafe extern "C" fn init(zone: *mut ngx_shm_zone_t, old: *mut c_void) -> ngx_int_t {
    guard(NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx passes the zone that `add` asked for, with a slab pool at its start.
        let (shared, pool) = unsafe {
            ((*zone).data.cast::<SharedZone>().as_ref(), (*zone).shm.addr.cast::<ngx_slab_pool_t>())
        };
        let Some(shared) = shared else {
            return NGX_ERROR as ngx_int_t;
        };
        // SAFETY: as above. A configuration that comes to nothing must not have touched what the
        // running one uses, so memory that is in use is only looked at.
        let found = unsafe {
            if old.is_null() && (*pool).data.is_null() {
                format(pool, shared)
            } else {
                words(pool).and_then(Zone::attach).map_err(|error| error.to_string())
            }
        };
        match found {
            Ok(zone) => {
                check_files(shared);
                // SAFETY: as above.
                let mutex = unsafe { &raw mut (*pool).mutex };
                let zone = Rc::new(zone);
                let _ = shared.mapped.set(Mapped { zone, mutex });
                NGX_OK as ngx_int_t
            }
            Err(error) => {
                cycle_emerg(format_args!("tollgate_zone \"{}\" {error}", shared.name()));
                NGX_ERROR as ngx_int_t
            }
        }
    })
}

/// The memory that `format` took.
///
/// # Safety
///
/// `pool` is the slab pool of a zone of ours, formatted.
unsafe fn words(pool: *mut ngx_slab_pool_t) -> Result<&'static [AtomicU64], LayoutError> {
    // SAFETY: `format` left a pointer to the length, with so many words behind it, a cache line on.
    unsafe {
        let length: *mut u64 = (*pool).data.cast();
        let count = usize::try_from(*length.as_ref().ok_or(LayoutError::Foreign)?)
            .map_err(|_| LayoutError::Foreign)?;
        let first = length.byte_add(LINE).cast::<AtomicU64>();
        Ok(std::slice::from_raw_parts(first, count))
    }
}

/// Takes all of the free pages in one allocation, and makes a zone of it: as the file of its state
/// has it, or empty.
///
/// # Safety
///
/// `pool` is the slab pool of a new zone of ours.
unsafe fn format(pool: *mut ngx_slab_pool_t, shared: &SharedZone) -> Result<Zone<'static>, String> {
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
    // SAFETY: the pool is new, so its free pages are contiguous, and nobody else has seen it. The
    // allocator gives whole pages, aligned as such.
    let words = unsafe {
        let size = (*pool).pfree.saturating_sub(1).saturating_mul(page());
        let length: *mut u64 = ngx_slab_alloc(pool, size).cast();
        if length.is_null() || size < 2 * LINE {
            return Err(LayoutError::TooSmall.to_string());
        }
        *length = ((size - LINE) / size_of::<u64>()) as u64;
        (*pool).data = length.cast();
        words(pool).map_err(|error| error.to_string())?
    };
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
    let worker = unsafe { super::process::worker_user(shared.cycle) };
    let files = shared.files.borrow();
    for (index, file) in files.iter().enumerate() {
        if files.iter().take(index).any(|other| other.path == file.path) {
            continue;
        }
        for danger in file.dangers(worker.map(|(user, _)| user)) {
            cycle_warn(format_args!("{danger}"));
        }
        let Some(worker) = worker else { continue };
        let path = &file.path;
        let folders = Path::new(path).ancestors().skip(1);
        let is_open =
            may(worker, Path::new(path), 0o4) && folders.into_iter().all(|f| may(worker, f, 0o1));
        if !is_open {
            cycle_warn(format_args!(
                "the user of the workers may not be able to read \"{path}\", so that changes of it \
                 would be in force only after a reload; let that user's group read the file, and \
                 enter its folder"
            ));
        }
    }
}

/// Whether the mode of a file or folder gives this user and group these rights.
fn may((user, group): (u32, u32), path: &Path, rights: u32) -> bool {
    user == 0
        || std::fs::metadata(path).is_ok_and(|found| {
            let shift = match (found.uid() == user, found.gid() == group) {
                (true, _) => 6,
                (false, true) => 3,
                (false, false) => 0,
            };
            found.mode() >> shift & rights == rights
        })
}

/// The workers, who write the file, are not who reads the configuration.
fn prepare_folder(state: &StateFile, cycle: *mut ngx_cycle_t) {
    let folder = state.folder();
    // SAFETY: zones are made when all of the configuration has been read.
    let user = unsafe { super::process::worker_user(cycle) };
    let is_new = !folder.exists() && std::fs::create_dir_all(folder).is_ok();
    let Some((user, group)) = user else { return };
    if is_new {
        let path = std::ffi::CString::new(folder.as_os_str().as_encoded_bytes());
        let given = path.map(|path| super::process::give(&path, (user, group)));
        if matches!(given, Ok(Ok(()))) {
            return;
        }
    }
    let may_write = may((user, group), folder, 0o3);
    if !may_write {
        cycle_warn(format_args!(
            "the user of the workers may not be able to write {state}; give the folder \"{}\" to \
             that user, or give the state a folder of its own",
            folder.display()
        ));
    }
}

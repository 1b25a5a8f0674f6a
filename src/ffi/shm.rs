//! The zone: nginx's shared memory, and its mutex.

use std::ffi::c_void;
use std::sync::atomic::AtomicU64;
use std::sync::OnceLock;

use ngx::ffi::{
    ngx_int_t, ngx_pagesize, ngx_shared_memory_add, ngx_shm_zone_t, ngx_shmtx_lock, ngx_shmtx_t,
    ngx_shmtx_unlock, ngx_slab_alloc, ngx_slab_pool_t, NGX_ERROR, NGX_OK,
};
use tollgate_core::limits::{ClaimLock, LayoutError, Zone};

use super::conf::{ConfContext, ConfError};
use super::guard::guard;
use super::log::cycle_error;
use super::module;
use crate::random;

/// Slots are whole cache lines.
const LINE: usize = 64;

/// The zone of one configuration. nginx maps the memory when the configuration is taken into use.
#[derive(Debug)]
pub(crate) struct SharedZone {
    name: String,
    mapped: OnceLock<Mapped>,
}

#[derive(Debug)]
struct Mapped {
    zone: Zone<'static>,
    mutex: *mut ngx_shmtx_t,
}

/// The slab mutex: nginx's master unlocks it when a worker dies holding it.
pub(crate) struct ZoneLock(*mut ngx_shmtx_t);

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
    ) -> Result<Box<Self>, ConfError> {
        let failed = || ConfError::new(format!("cannot add the zone \"{name}\""));
        let mut zone_name = cx.pool_str(name.as_bytes()).ok_or_else(failed)?;
        // SAFETY: the pool of the context is valid; nginx keeps the name, which lives in it.
        unsafe {
            let cf = cx.as_ptr();
            let zone = ngx_shared_memory_add(cf, &raw mut zone_name, size, module::address());
            let zone = zone.as_mut().ok_or_else(failed)?;
            // The box is kept by the main configuration, and lives as long as the zone's entry.
            let shared = Box::new(Self { name: name.to_owned(), mapped: OnceLock::new() });
            zone.data = (&raw const *shared).cast_mut().cast();
            zone.init = Some(init);
            Ok(shared)
        }
    }

    /// The zone and its lock; `None` before nginx has mapped it.
    pub(crate) fn get(&self) -> Option<(Zone<'static>, ZoneLock)> {
        let mapped = self.mapped.get()?;
        Some((mapped.zone, ZoneLock(mapped.mutex)))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
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
                format(pool)
            } else {
                words(pool).and_then(Zone::attach)
            }
        };
        match found {
            Ok(zone) => {
                // SAFETY: as above.
                let mutex = unsafe { &raw mut (*pool).mutex };
                let _ = shared.mapped.set(Mapped { zone, mutex });
                NGX_OK as ngx_int_t
            }
            Err(error) => {
                cycle_error(format_args!("tollgate_zone \"{}\" {error}", shared.name()));
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

/// Takes all of the free pages in one allocation, and makes an empty zone of it.
///
/// # Safety
///
/// `pool` is the slab pool of a new zone of ours.
unsafe fn format(pool: *mut ngx_slab_pool_t) -> Result<Zone<'static>, LayoutError> {
    // SAFETY: the pool is new, so its free pages are contiguous, and nobody else has seen it. The
    // allocator gives whole pages, aligned as such.
    let words = unsafe {
        let size = (*pool).pfree.saturating_sub(1).saturating_mul(page());
        let length: *mut u64 = ngx_slab_alloc(pool, size).cast();
        if length.is_null() || size < 2 * LINE {
            return Err(LayoutError::TooSmall);
        }
        *length = ((size - LINE) / size_of::<u64>()) as u64;
        (*pool).data = length.cast();
        words(pool)?
    };
    // Without a seed of its own the zone isn't safe from crafted keys; there is none then.
    let seed = random::key().map_err(|_| LayoutError::NoSeed)?;
    let [low, high] = [0, 8].map(|at| {
        seed.iter().skip(at).take(8).fold(0u64, |word, byte| word << 8 | u64::from(*byte))
    });
    Zone::format(words, (low, high))
}

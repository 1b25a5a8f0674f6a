//! Memory that all workers see, by the name of a zone.
//!
//! nginx's shared memory is asked for under the zone's name as well, the smallest that there is: so that
//! nginx tells us when a configuration takes over the zone of the one before, and refuses names that are
//! taken. The memory of the module lies in [`ZoneMemory`].

mod memory;
pub(crate) mod shared;
mod zone_memory;

use std::ffi::c_void;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use ngx::ffi::{
    ngx_cycle_t, ngx_int_t, ngx_pagesize, ngx_shared_memory_add, ngx_shm_zone_t, NGX_ERROR, NGX_OK,
};

use crate::conf::context::{keep, ConfContext, ConfError};
use crate::guard::guard;
use crate::log::{cycle_emerg, cycle_warn};
use crate::process::{self, Workers};
use crate::types::Types;
pub use shared::Shared;
use zone_memory::{Tag, ZoneMemory};

/// A view of shared memory, and the memory.
pub struct Attached<S: Shared> {
    /// As long as the memory: nobody gets it for longer than they have this.
    view: S::View<'static>,
    memory: Arc<ZoneMemory>,
}

impl<S: Shared> Clone for Attached<S> {
    fn clone(&self) -> Self {
        Self { view: self.view, memory: Arc::clone(&self.memory) }
    }
}

impl<S: Shared> fmt::Debug for Attached<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Attached").field(&self.memory).finish()
    }
}

impl<S: Shared> Attached<S> {
    fn new(
        memory: Arc<ZoneMemory>,
        view: impl for<'m> FnOnce(&'m [AtomicU64]) -> Result<S::View<'m>, String>,
    ) -> Result<Self, String> {
        // SAFETY: the memory is kept beside the view, which nobody gets for longer. Whoever makes it can't
        // keep the words, as it has to do for any lifetime.
        let words: &'static [AtomicU64] = unsafe { memory.words() };
        Ok(Self { view: view(words)?, memory })
    }

    /// What requests see of it.
    #[inline]
    #[must_use]
    pub fn get(&self) -> &S::View<'_> {
        S::shorten(&self.view)
    }

    /// Keeps the memory from what this process starts, which is no newer nginx: for workers.
    pub fn keep(&self) {
        self.memory.keep();
    }
}

/// The shared memory of one configuration. It is there when the configuration is taken into use.
pub struct SharedZone<S: Shared> {
    name: String,
    /// In bytes.
    size: usize,
    cycle: *mut ngx_cycle_t,
    content: S,
    mapped: OnceLock<Rc<Attached<S>>>,
}

impl<S: Shared + fmt::Debug> fmt::Debug for SharedZone<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, size, content, .. } = self;
        f.debug_struct("SharedZone")
            .field("name", name)
            .field("size", size)
            .field("content", content)
            .finish_non_exhaustive()
    }
}

impl<S: Shared> SharedZone<S> {
    /// Asks nginx for the memory, for the module `T`.
    ///
    /// # Errors
    ///
    /// When nginx refuses it.
    pub fn add<T: Types>(
        cx: &ConfContext<'_>,
        name: &str,
        size: usize,
        content: S,
    ) -> Result<Rc<Self>, ConfError> {
        let failed = || ConfError::new(format!("cannot add the zone \"{name}\""));
        let mut zone_name = cx.pool_str(name.as_bytes()).ok_or_else(failed)?;
        // SAFETY: the pool of the context is valid; nginx keeps the name, which lives in it. The tag is the
        // module's own, and that of this kind of memory, so that `init` finds what is made here, also in the
        // configuration before.
        unsafe {
            let cf = cx.as_ptr();
            let tag = T::registration().tag_of(S::NUMBER);
            let zone = ngx_shared_memory_add(cf, &raw mut zone_name, nginx_size(), tag);
            let zone = zone.as_mut().ok_or_else(failed)?;
            let (name, cycle) = (name.to_owned(), (*cf).cycle);
            let shared = Rc::new(Self { name, size, cycle, content, mapped: OnceLock::new() });
            // nginx refers to it for as long as the configuration lives.
            keep(cx, Rc::clone(&shared)).ok_or_else(failed)?;
            zone.data = Rc::as_ptr(&shared).cast_mut().cast();
            zone.init = Some(init::<S>);
            Ok(shared)
        }
    }

    /// What is in it; `None` before nginx has mapped it.
    #[inline]
    pub fn get(&self) -> Option<&Rc<Attached<S>>> {
        self.mapped.get()
    }

    /// As the configuration has it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// In bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    fn tag(&self) -> Tag {
        Tag::new(S::MEMORY, &self.name)
    }

    /// What the module keeps for it.
    #[must_use]
    pub fn content(&self) -> &S {
        &self.content
    }
}

/// The smallest size of a zone, in bytes: twice what nginx takes for its own zones.
#[must_use]
pub fn min_size() -> usize {
    page().saturating_mul(16)
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
unsafe extern "C" fn init<S: Shared>(zone: *mut ngx_shm_zone_t, old: *mut c_void) -> ngx_int_t {
    guard(NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx passes the zone that `add` asked for, and what it asked for in the configuration
        // before, which is still there.
        let (shared, before) = unsafe {
            let before = old.cast::<SharedZone<S>>().as_ref();
            ((*zone).data.cast::<SharedZone<S>>().as_ref(), before)
        };
        let Some(shared) = shared else {
            return NGX_ERROR as ngx_int_t;
        };
        // SAFETY: zones are made when all of the configuration has been read.
        let workers = unsafe { process::workers(shared.cycle) };
        match shared.find(before, workers.as_ref()) {
            Ok(mapped) => {
                shared.content.ready(workers.as_ref());
                let _ = shared.mapped.set(Rc::new(mapped));
                NGX_OK as ngx_int_t
            }
            Err(error) => {
                cycle_emerg(format_args!("{} \"{}\" {error}", S::DIRECTIVE, shared.name()));
                NGX_ERROR as ngx_int_t
            }
        }
    })
}

impl<S: Shared> SharedZone<S> {
    /// The memory of the configuration before, or of the nginx before; else a new one. A configuration that
    /// comes to nothing must not have touched what the running one uses, so memory that is in use is only
    /// looked at.
    fn find(
        &self,
        before: Option<&Self>,
        workers: Option<&Workers>,
    ) -> Result<Attached<S>, String> {
        let known = before.filter(|before| before.size == self.size).and_then(Self::get);
        if let Some(known) = known {
            return Attached::new(Arc::clone(&known.memory), |words| S::attach(words));
        }
        // Who has made memory itself would take it for inherited.
        if !process::is_running() && !process::is_test() {
            let inherited = ZoneMemory::inherited(&self.tag(), self.size, self.content.is_filed());
            if let Some(memory) = inherited {
                match Attached::new(memory, |words| S::attach(words)) {
                    Ok(mapped) => return Ok(mapped),
                    Err(error) => cycle_warn(format_args!(
                        "{} \"{}\" of the nginx that is running {error}; until that one ends, \
                         both count for themselves",
                        S::DIRECTIVE,
                        self.name
                    )),
                }
            }
        }
        let memory = ZoneMemory::make(&self.tag(), self.size).or_else(|error| {
            let private = ZoneMemory::make_private(self.size)?;
            cycle_warn(format_args!(
                "{} \"{}\" cannot be shared with a newer nginx (USR2), which would count \
                 for itself: {error}{}",
                S::DIRECTIVE,
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
        Attached::new(memory, |words| self.content.format(&self.name, words, workers))
    }
}

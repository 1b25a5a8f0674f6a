//! How nginx knows a module, and what of nginx's each module has to remember.

use std::cell::UnsafeCell;
use std::ffi::{c_char, c_void};

use ngx::ffi::{
    ngx_http_log_handler_pt, ngx_http_output_body_filter_pt, ngx_http_output_header_filter_pt,
    ngx_module_t, ngx_pool_cleanup_pt,
};

/// A module that [`module!`](crate::module!) has registered.
///
/// # Safety
///
/// The registration is that of no other type, and made by [`register`](crate::hooks::register) of the table and
/// the context of the type itself. [`module!`](crate::module!) sees to it.
pub unsafe trait Registered {
    /// The one of this module.
    fn registration() -> &'static Registration;
}

/// What there is once of each module. C code knows it as the `ngx_module_t` that comes first.
#[derive(Debug)]
#[repr(C)]
pub struct Registration {
    module: UnsafeCell<ngx_module_t>,
    /// Changed while nginx reads a configuration.
    pub(crate) next: UnsafeCell<Next>,
    /// Who writes the context of a request into the error log without us: the same for all requests, as
    /// nginx makes them. Set by the first one.
    pub(crate) log_handler: UnsafeCell<ngx_http_log_handler_pt>,
    pub(crate) marks: Marks,
}

// SAFETY: nginx runs on one thread. Other threads have nothing to do with nginx.
unsafe impl Sync for Registration {}

/// The filters that were on top before ours, of the configuration that was read last.
#[derive(Debug)]
pub(crate) struct Next {
    pub(crate) header: ngx_http_output_header_filter_pt,
    pub(crate) body: ngx_http_output_body_filter_pt,
}

/// Functions by whose addresses we know what is ours in nginx's lists. The compiler may make several copies
/// of one function; these are the copies that count.
#[derive(Debug)]
pub(crate) struct Marks {
    /// Drops what is attached to a request.
    pub(crate) attachment: ngx_pool_cleanup_pt,
    /// Does nothing, for the id of a request that nothing is attached to.
    pub(crate) early_id: ngx_pool_cleanup_pt,
    /// Writes the context of a request that has nothing attached, and no id.
    pub(crate) write_first: ngx_http_log_handler_pt,
    /// The same for one that has an id.
    pub(crate) write_early: ngx_http_log_handler_pt,
}

impl Registration {
    pub(crate) const fn new(module: ngx_module_t, marks: Marks) -> Self {
        Self {
            module: UnsafeCell::new(module),
            next: UnsafeCell::new(Next { header: None, body: None }),
            log_handler: UnsafeCell::new(None),
            marks,
        }
    }

    /// What nginx is given. The address is a tag that is nobody else's.
    #[must_use]
    pub const fn as_ptr(&self) -> *mut ngx_module_t {
        self.module.get()
    }

    pub(crate) fn tag(&self) -> *mut c_void {
        self.as_ptr().cast()
    }

    /// One of several tags that are nobody else's: an address within the module.
    pub(crate) fn tag_of(&self, number: u8) -> *mut c_void {
        const { assert!(size_of::<ngx_module_t>() > u8::MAX as usize / 2) };
        self.tag().wrapping_byte_add(usize::from(number))
    }

    /// The index of our entries in the arrays of configurations and contexts.
    #[inline]
    pub(crate) fn ctx_index(&self) -> usize {
        // SAFETY: nginx writes it while it reads the configuration, before any of our callbacks, and
        // each time the same.
        unsafe { (*self.module.get()).ctx_index }
    }
}

/// Pointers to constants, which nginx reads when it loads the library.
#[derive(Debug)]
#[repr(transparent)]
pub struct Exported<T>(T);

// SAFETY: nothing writes to them.
unsafe impl<T> Sync for Exported<T> {}

impl<const N: usize> Exported<[*const ngx_module_t; N]> {
    /// The modules in a library.
    #[must_use]
    pub const fn modules(modules: [*const ngx_module_t; N]) -> Self {
        Self(modules)
    }
}

impl<const N: usize> Exported<[*const c_char; N]> {
    /// Names of modules.
    #[must_use]
    pub const fn names(names: [*const c_char; N]) -> Self {
        Self(names)
    }
}

//! The main configuration of a module, and what we keep beside it.

use std::cell::OnceCell;
use std::sync::atomic::{AtomicU64, Ordering};

use ngx::ffi::{ngx_conf_t, ngx_http_conf_ctx_t};

use crate::request::header_variables::HeaderVariables;
use crate::types::Types;

/// The main configuration, and what we keep beside it.
pub(crate) struct MainEntry<T: Types> {
    pub(crate) main: T::Main,
    /// Tells the configuration from all others that this process has had.
    pub(crate) generation: u64,
    /// The variables that come of a request's header, once the first one asks.
    pub(crate) header_variables: OnceCell<HeaderVariables>,
}

impl<T: Types> MainEntry<T> {
    pub(crate) fn new() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let generation = LAST.fetch_add(1, Ordering::Relaxed);
        Self { main: T::Main::default(), generation, header_variables: OnceCell::new() }
    }

    /// The one of the `http` block that `cf` is in.
    ///
    /// # Safety
    ///
    /// `cf` is the context of a callback below `http`.
    pub(crate) unsafe fn of(cf: *mut ngx_conf_t) -> *mut Self {
        // SAFETY: in such a callback `ctx` is the context of `http`, and our entry is what
        // `create_main` made.
        unsafe {
            let ctx = (*cf).ctx.cast::<ngx_http_conf_ctx_t>();
            (*(*ctx).main_conf.add(T::registration().ctx_index())).cast()
        }
    }
}

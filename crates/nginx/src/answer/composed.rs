//! Pages that nginx puts together from the answers of subrequests (`ssi`, `add_after_body`): the end of the
//! main answer comes by while those are still to be made.

use std::sync::atomic::{AtomicUsize, Ordering};

use ngx::ffi::{ngx_conf_t, ngx_module_t};

use crate::request::Request;
use crate::types::Types;

/// The modules that do so.
const COMPOSERS: [&std::ffi::CStr; 2] =
    [c"ngx_http_ssi_filter_module", c"ngx_http_addition_filter_module"];

/// The indices of their contexts in a request; `ABSENT` for one that this nginx doesn't have.
static INDICES: [AtomicUsize; COMPOSERS.len()] = [const { AtomicUsize::new(ABSENT) }; 2];
const ABSENT: usize = usize::MAX;

/// Looks for the modules. They may be none of this nginx's, so that there is no symbol to go by.
///
/// # Safety
///
/// `cf` is the context that nginx passed to `postconfiguration`.
pub(crate) unsafe fn find(cf: *mut ngx_conf_t) {
    for (name, index) in COMPOSERS.iter().zip(&INDICES) {
        index.store(ABSENT, Ordering::Relaxed);
        // SAFETY: by the contract of this function; the cycle's list of modules ends in a null, and each of
        // them has a name.
        unsafe {
            let mut entry: *mut *mut ngx_module_t = (*(*cf).cycle).modules;
            while let Some(module) = (*entry).as_ref() {
                if std::ffi::CStr::from_ptr(module.name) == *name {
                    index.store(module.ctx_index, Ordering::Relaxed);
                }
                entry = entry.add(1);
            }
        }
    }
}

impl<T: Types> Request<'_, T> {
    /// Whether subrequests add to the answer that is being sent.
    pub fn is_composed(self) -> bool {
        INDICES.iter().map(|index| index.load(Ordering::Relaxed)).any(|index| {
            // SAFETY: the request is live, and nginx makes its array of contexts for all modules of the
            // configuration, of which this is one.
            index != ABSENT && unsafe { !(*(*self.as_ptr()).ctx.add(index)).is_null() }
        })
    }
}

//! The id of a request that nobody has judged yet: what nginx's own modules say of it in the error log
//! (`limit_req`, `deny`, `auth_basic`, a body that is too large) is often the only thing that tells why it was
//! refused. It is chosen when the first such line is written, as most requests have none.

use ngx::ffi::{
    ngx_http_log_handler_pt, ngx_http_request_t, ngx_int_t, ngx_pool_cleanup_add, ngx_str_t,
    u_char, NGX_DECLINED,
};

use super::log_context::write_with_id;
use super::Request;
use crate::guard::inside;
use crate::module::Module;
use crate::text;
use crate::types::Types;

fn is(handler: ngx_http_log_handler_pt, other: ngx_http_log_handler_pt) -> bool {
    handler.is_some() && handler.map(|it| it as usize) == other.map(|it| it as usize)
}

/// Who writes the context of a request without us.
fn original<T: Types>() -> ngx_http_log_handler_pt {
    // SAFETY: nginx runs on one thread.
    unsafe { *T::registration().log_handler.get() }
}

/// POST_READ: the header of a request is there.
pub(crate) unsafe extern "C" fn on_post_read<T: Types>(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a live request, and runs on one thread.
    unsafe {
        let handler = (*r).log_handler;
        match original::<T>() {
            None => *T::registration().log_handler.get() = handler,
            original if !is(handler, original) => return NGX_DECLINED as ngx_int_t,
            Some(_) => {}
        }
        (*r).log_handler = T::registration().marks.write_first;
    }
    NGX_DECLINED as ngx_int_t
}

/// Marks the entry among the cleanups of a request that holds its id.
pub(crate) unsafe extern "C" fn forget(_id: *mut std::ffi::c_void) {}

impl<'r, T: Types> Request<'r, T> {
    /// The id under which the error log has the request, though it has no state yet.
    pub fn early_id(self) -> Option<&'r [u8]> {
        let marks = &T::registration().marks;
        if !is(self.raw().log_handler, marks.write_early) {
            return None;
        }
        // SAFETY: the list of cleanups of a live pool; an entry with our handler holds an id, which lives as
        // long as the pool.
        unsafe {
            let mut cleanup = self.raw().pool.as_ref()?.cleanup;
            let ours = marks.early_id.map(|mark| mark as usize);
            while let Some(entry) = cleanup.as_ref() {
                if entry.handler.map(|handler| handler as usize) == ours {
                    return Some(text::bytes(*entry.data.cast::<ngx_str_t>()));
                }
                cleanup = entry.next;
            }
        }
        None
    }

    /// Who writes the context of the request into the error log without us.
    pub(crate) fn original_log_handler(self) -> ngx_http_log_handler_pt {
        let handler = self.raw().log_handler;
        let marks = &T::registration().marks;
        match is(handler, marks.write_first) || is(handler, marks.write_early) {
            true => original::<T>(),
            false => handler,
        }
    }
}

impl<M: Module> Request<'_, M> {
    fn choose_early_id(self) -> Option<()> {
        let id = M::early_id(self)?;
        // SAFETY: the pool is live as long as the request. nginx adds memory of that size to the entry,
        // aligned for a pointer at least, as which a string is aligned.
        unsafe {
            let size = size_of::<ngx_str_t>();
            let cleanup = ngx_pool_cleanup_add(self.raw().pool, size).as_mut()?;
            let id = ngx_str_t { len: id.len(), data: id.as_ptr().cast_mut() };
            cleanup.data.cast::<ngx_str_t>().write(id);
            cleanup.handler = M::registration().marks.early_id;
        }
        Some(())
    }
}

/// The first line about a request that has no state: chooses its id.
pub(crate) unsafe extern "C" fn write_first<M: Module>(
    r: *mut ngx_http_request_t,
    subrequest: *mut ngx_http_request_t,
    buf: *mut u_char,
    len: usize,
) -> *mut u_char {
    // SAFETY: nginx passes a live request, whose handler this is, and room for `len` bytes. What is logged
    // while the id is chosen, is logged without it.
    unsafe {
        (*r).log_handler = original::<M>();
        let chosen = inside(None, || Request::<M>::from_raw(r).choose_early_id());
        let marks = &M::registration().marks;
        (*r).log_handler = if chosen.is_some() { marks.write_early } else { marks.write_first };
        write_early::<M>(r, subrequest, buf, len)
    }
}

/// The same for those that follow.
pub(crate) unsafe extern "C" fn write_early<T: Types>(
    r: *mut ngx_http_request_t,
    subrequest: *mut ngx_http_request_t,
    buf: *mut u_char,
    len: usize,
) -> *mut u_char {
    // SAFETY: as above.
    unsafe {
        let id = Request::<T>::from_raw(r).early_id().unwrap_or_default();
        write_with_id(id, original::<T>(), r, subrequest, (buf, len))
    }
}

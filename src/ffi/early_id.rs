//! The id of a request that nobody has judged yet: what nginx's own modules say of it in the error log
//! (`limit_req`, `deny`, `auth_basic`, a body that is too large) is often the only thing that tells why it was
//! refused. It is chosen when the first such line is written, as most requests have none.

use ngx::ffi::{
    ngx_http_log_handler_pt, ngx_http_request_t, ngx_int_t, ngx_pool_cleanup_add, u_char,
    NGX_DECLINED,
};

use super::attachment::write_with_id;
use super::guard::guard;
use super::request::{Kept, Request};
use crate::request::id as request_id;

/// What writes the context of a request into the error log without us: the same for all requests, as nginx
/// makes them. Set by the first one.
static mut ORIGINAL: ngx_http_log_handler_pt = None;

type Handler = unsafe extern "C" fn(
    *mut ngx_http_request_t,
    *mut ngx_http_request_t,
    *mut u_char,
    usize,
) -> *mut u_char;

fn is(handler: ngx_http_log_handler_pt, other: Handler) -> bool {
    handler.is_some_and(|handler| handler as usize == other as usize)
}

/// POST_READ: the header of a request is there.
pub(super) unsafe extern "C" fn on_post_read(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a live request, and runs on one thread.
    unsafe {
        let (handler, original) = ((*r).log_handler, ORIGINAL);
        match original {
            None => ORIGINAL = handler,
            Some(original) if !is(handler, original) => return NGX_DECLINED as ngx_int_t,
            Some(_) => {}
        }
        (*r).log_handler = Some(write_first);
    }
    NGX_DECLINED as ngx_int_t
}

/// Marks the entry among the cleanups of a request that holds its id.
unsafe extern "C" fn forget(_id: *mut std::ffi::c_void) {}

impl<'r> Request<'r> {
    /// The id under which the error log has the request, though it has no state yet.
    pub(crate) fn early_id(self) -> Option<&'r [u8]> {
        if !is(self.raw().log_handler, write_early) {
            return None;
        }
        // SAFETY: the list of cleanups of a live pool; an entry with our handler holds an id.
        unsafe {
            let mut cleanup = self.raw().pool.as_ref()?.cleanup;
            let ours = forget as *const () as usize;
            while let Some(entry) = cleanup.as_ref() {
                if entry.handler.is_some_and(|handler| handler as usize == ours) {
                    return Some(self.kept(*entry.data.cast::<Kept>()));
                }
                cleanup = entry.next;
            }
        }
        None
    }

    /// Who writes the context of the request into the error log without us.
    pub(super) fn original_log_handler(self) -> ngx_http_log_handler_pt {
        let handler = self.raw().log_handler;
        match is(handler, write_first) || is(handler, write_early) {
            // SAFETY: nginx runs on one thread.
            true => unsafe { ORIGINAL },
            false => handler,
        }
    }

    fn choose_early_id(self) -> Option<()> {
        // Where we have no say, the answer has no id of ours.
        let policy = self.loc_conf().policy()?;
        let id = request_id::early(self, policy)?;
        // SAFETY: the pool is live as long as the request. nginx adds memory of that size to the entry,
        // aligned for a pointer at least, as which a `Kept` is aligned.
        unsafe {
            let cleanup = ngx_pool_cleanup_add(self.raw().pool, size_of::<Kept>()).as_mut()?;
            cleanup.data.cast::<Kept>().write(self.keep(id));
            cleanup.handler = Some(forget);
        }
        Some(())
    }
}

/// The first line about a request that has no state: chooses its id.
unsafe extern "C" fn write_first(
    r: *mut ngx_http_request_t,
    subrequest: *mut ngx_http_request_t,
    buf: *mut u_char,
    len: usize,
) -> *mut u_char {
    // SAFETY: nginx passes a live request, whose handler this is, and room for `len` bytes. What is logged
    // while the id is chosen, is logged without it.
    unsafe {
        (*r).log_handler = ORIGINAL;
        let chosen = guard(None, || Request::from_raw(r).choose_early_id());
        (*r).log_handler = Some(if chosen.is_some() { write_early } else { write_first });
        write_early(r, subrequest, buf, len)
    }
}

/// The same for those that follow.
unsafe extern "C" fn write_early(
    r: *mut ngx_http_request_t,
    subrequest: *mut ngx_http_request_t,
    buf: *mut u_char,
    len: usize,
) -> *mut u_char {
    // SAFETY: as above.
    unsafe {
        let id = Request::from_raw(r).early_id().unwrap_or_default();
        write_with_id(id, ORIGINAL, r, subrequest, (buf, len))
    }
}

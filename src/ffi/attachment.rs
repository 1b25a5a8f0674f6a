//! What a request carries of ours: its [`State`], and its id for the error log.
//!
//! An internal redirect makes nginx forget the contexts of a request, so that this is found by the cleanup
//! handler that it has in the pool as well.

use std::cell::RefCell;
use std::ffi::c_void;

use ngx::ffi::{ngx_http_log_handler_pt, ngx_http_request_t, ngx_pool_cleanup_add, u_char};

use super::guard::guard;
use super::module::ctx_index;
use super::request::{Kept, Request};
use crate::request::state::State;

struct Attachment {
    state: RefCell<State>,
    /// That of the state, which may be borrowed while something is logged.
    request_id: Kept,
    /// Who writes the context of the request into the error log without us.
    log_handler: ngx_http_log_handler_pt,
}

unsafe extern "C" fn drop_attachment(data: *mut c_void) {
    guard((), || {
        // SAFETY: `attach_state` put it here, and nginx runs a cleanup once, before it frees the pool.
        unsafe { data.cast::<Attachment>().drop_in_place() };
    });
}

impl<'r> Request<'r> {
    /// The state of the request, if this callback belongs to the location in which it was judged:
    /// an internal redirect loses it. See [`Request::find_state`].
    #[inline]
    pub(crate) fn state(self) -> Option<&'r RefCell<State>> {
        // SAFETY: `here` is null, or what `attach_state` made, which lives as long as the pool.
        unsafe { self.here().as_ref() }.map(|attachment| &attachment.state)
    }

    /// The state of the request, internal redirects or not.
    pub(crate) fn find_state(self) -> Option<&'r RefCell<State>> {
        // SAFETY: as above.
        unsafe { self.find_attachment().as_ref() }.map(|attachment| &attachment.state)
    }

    /// The state of the request, which is made by the first caller, and known to
    /// [`Request::state`] from now on. `None` when nginx has no memory.
    pub(crate) fn attach_state(self, make: impl FnOnce() -> State) -> Option<&'r RefCell<State>> {
        let mut attachment = self.find_attachment();
        if attachment.is_null() {
            const { assert!(align_of::<Attachment>() <= align_of::<usize>()) };
            let state = make();
            let (request_id, log_handler) = (state.request_id, self.original_log_handler());
            let made = Attachment { state: RefCell::new(state), request_id, log_handler };
            // SAFETY: the pool is live as long as the request. nginx adds memory of that size to
            // the entry, aligned for a pointer at least.
            unsafe {
                let cleanup =
                    ngx_pool_cleanup_add(self.raw().pool, size_of::<Attachment>()).as_mut()?;
                attachment = cleanup.data.cast();
                attachment.write(made);
                cleanup.handler = Some(drop_attachment);
                // nginx asks it while the request lives, and so does what is attached to it.
                (*self.as_ptr()).log_handler = Some(write_context);
            }
        }
        // SAFETY: nginx makes the array of contexts; what is attached lives as long as the pool.
        unsafe {
            *self.raw().ctx.add(ctx_index()) = attachment.cast();
            Some(&(*attachment).state)
        }
    }

    /// Makes the state of the request known to [`Request::state`] here, too, if it has one.
    pub(crate) fn attach_state_again(self) {
        let attachment = self.find_attachment();
        if !attachment.is_null() {
            // SAFETY: nginx makes the array of contexts; what is attached lives as long as the pool.
            unsafe { *self.raw().ctx.add(ctx_index()) = attachment.cast() }
        }
    }

    #[inline]
    fn here(self) -> *mut Attachment {
        // SAFETY: nginx makes the array of contexts.
        unsafe { (*self.raw().ctx.add(ctx_index())).cast() }
    }

    fn find_attachment(self) -> *mut Attachment {
        let here = self.here();
        if !here.is_null() {
            return here;
        }
        // SAFETY: the list of cleanups of a live pool; an entry with our handler holds an attachment. (A
        // request has none while nginx frees it.)
        unsafe {
            let mut cleanup = match self.raw().pool.as_ref() {
                Some(pool) => pool.cleanup,
                None => return std::ptr::null_mut(),
            };
            let ours = drop_attachment as *const () as usize;
            while let Some(entry) = cleanup.as_ref() {
                if entry.handler.is_some_and(|handler| handler as usize == ours) {
                    return entry.data.cast();
                }
                cleanup = entry.next;
            }
        }
        std::ptr::null_mut()
    }
}

/// Names the request in each line of the error log that is about it, nginx's own lines as well, before what
/// nginx writes of it: the client chooses how long that is, and a long line is cut off.
unsafe extern "C" fn write_context(
    r: *mut ngx_http_request_t,
    subrequest: *mut ngx_http_request_t,
    buf: *mut u_char,
    len: usize,
) -> *mut u_char {
    // SAFETY: nginx passes a request of which this is the handler, so that it has an attachment.
    let attachment = unsafe { Request::from_raw(r).find_attachment() };
    // SAFETY: null, or as `attach_state` made it.
    let Some(attachment) = (unsafe { attachment.as_ref() }) else { return buf };
    // SAFETY: the request is live, and this its id; the rest is as nginx passed it.
    unsafe {
        let id = Request::from_raw(r).kept(attachment.request_id);
        write_with_id(id, attachment.log_handler, r, subrequest, (buf, len))
    }
}

/// Writes the id, if there is one, and what `original` writes.
///
/// # Safety
///
/// The request and the room, an address and a length in bytes, are those that nginx passed to a handler of
/// its log, and `original` is another one.
pub(super) unsafe fn write_with_id(
    id: &[u8],
    original: ngx_http_log_handler_pt,
    r: *mut ngx_http_request_t,
    subrequest: *mut ngx_http_request_t,
    (buf, len): (*mut u_char, usize),
) -> *mut u_char {
    const LABEL: &[u8] = b", request_id: ";
    let room = LABEL.len().saturating_add(id.len());
    let written = if id.is_empty() || room > len { 0 } else { room };
    // SAFETY: nginx has room for `len` bytes at `buf`, which isn't less than `written`.
    let end = unsafe {
        if written > 0 {
            buf.copy_from_nonoverlapping(LABEL.as_ptr(), LABEL.len());
            buf.add(LABEL.len()).copy_from_nonoverlapping(id.as_ptr(), id.len());
        }
        buf.add(written)
    };
    match original {
        // SAFETY: what nginx would have called, with what is left of the room.
        Some(handler) => unsafe { handler(r, subrequest, end, len.saturating_sub(written)) },
        None => end,
    }
}
